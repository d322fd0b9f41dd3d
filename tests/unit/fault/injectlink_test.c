#include "injectrig.h"

#include "net/evnet.h"

/* The filter on a real connection over loopback: a client end with rules, and a plain one. */

#define LIMIT_NS 20000000000
#define MS       1000000

struct end {
  struct chain *chain;
  struct buffer out, in;
  size_t wrote;
  bool opened, ended, writing;
  enum stream_end how;
};

struct link {
  struct net *net;
  struct net_listener *listener;
  struct end client, server;
  struct scope *scope;
  unsigned fired;
};

static void end_opened(void *arg) {
  struct end *e = arg;
  e->opened = true;
}

static void end_input(void *arg, struct slice bytes) {
  struct end *e = arg;
  assert_true(buffer_append(&e->in, bytes));
}

static struct slice end_output(void *arg) {
  struct end *e = arg;
  return buffer_slice(&e->out);
}

static void end_wrote(void *arg, size_t n) {
  struct end *e = arg;
  e->wrote += n;
  buffer_consume(&e->out, n);
}

static void end_ended(void *arg, enum stream_end how, bool writing, const struct err *why) {
  struct end *e = arg;
  (void)why;
  e->ended = true;
  e->how = how;
  e->writing = writing;
}

static const struct stream_handler end_handler = { end_opened, end_input, end_output, end_wrote, end_ended };

static void link_accepted(void *arg, struct stream *s) {
  struct link *l = arg;
  l->server.opened = true;
  chain_attach(l->server.chain, s);
}

static void link_fired(void *arg, const struct scope_firing *f) {
  struct link *l = arg;
  (void)f;
  l->fired++;
}

static void link_begin_end(struct link *l, struct end *e) {
  buffer_init(&e->out, 1 << 20);
  buffer_init(&e->in, 1 << 20);
  e->chain = chain_new(l->net, &end_handler, e);
}

#define TURN_UNTIL(l, condition)                                                                                       \
  do {                                                                                                                 \
    struct err err_;                                                                                                   \
    int64_t limit_ = net_now((l)->net) + LIMIT_NS;                                                                     \
    while (!(condition)) {                                                                                             \
      assert_true(net_now((l)->net) < limit_);                                                                         \
      assert_true(net_turn((l)->net, limit_, &err_));                                                                  \
    }                                                                                                                  \
  } while (0)

static struct scope_rule *link_rule(struct link *l, const char *text) {
  struct err err;
  struct scope_rule *r = scope_add(l->scope, rule_parse(text, &err), &err);
  assert_non_null(r);
  return r;
}

static void link_begin(struct link *l) {
  static const struct net_listener_handler handler = { link_accepted, NULL };
  struct err err;
  struct url url;
  struct slice none = { 0 };
  memset(l, 0, sizeof *l);
  l->net = evnet_new(&err);
  link_begin_end(l, &l->client);
  link_begin_end(l, &l->server);
  l->scope = scope_new(1, link_fired, l);
  chain_push_inner(l->client.chain, inject_new(l->scope, NULL, true, none, none));
  assert_true(url_parse("tcp://127.0.0.1:0", &url, &err));
  l->listener = net_listen(l->net, &url, &(struct net_listen_options){ 0 }, &handler, l, &err);
  assert_non_null(l->listener);
  struct stream *s = net_connect(l->net, net_listener_url(l->listener), LIMIT_NS, NULL, NULL, &err);
  assert_non_null(s);
  chain_attach(l->client.chain, s);
  TURN_UNTIL(l, l->client.opened && l->server.opened);
}

static void link_end(struct link *l) {
  chain_free(l->client.chain);
  chain_free(l->server.chain);
  net_listener_free(l->listener);
  scope_free(l->scope);
  net_free(l->net);
  buffer_fini(&l->client.out);
  buffer_fini(&l->client.in);
  buffer_fini(&l->server.out);
  buffer_fini(&l->server.in);
}

static void link_send(struct end *from, const char *bytes, size_t size) {
  assert_true(buffer_append(&from->out, slice_of(bytes, size)));
  chain_want_write(from->chain);
}

#define ACKS "\x40\x02\x00\x01\x40\x02\x00\x02\x40\x02\x00\x03"

/* The bytes before a reset arrive, then the reset; the owner knows how much was taken, and whether it was its write
 * that failed. */
static void check_reset(const char *rule, size_t bytes, bool writing) {
  struct link l;
  link_begin(&l);
  link_rule(&l, rule);
  link_send(&l.client, ACKS, 12);
  TURN_UNTIL(&l, l.client.ended && l.server.ended);
  assert_int_equal(buffer_size(&l.server.in), bytes);
  assert_int_equal(l.client.wrote, bytes);
  assert_int_equal(l.server.how, STREAM_RESET);
  assert_int_equal(l.client.how, STREAM_RESET);
  assert_int_equal(l.client.writing, writing);
  assert_int_equal(l.fired, 1);
  link_end(&l);
}

static void test_reset_out(void **state) {
  (void)state;
  check_reset("up PUBACK id 2 at_byte 3 rst", 7, false);
  check_reset("up PUBACK id 2 rst", 4, true);
  check_reset("up PUBACK id 2 after_packet rst", 8, false);
  check_reset("up PUBACK first rst", 0, true);
}

static void test_reset_in(void **state) {
  (void)state;
  struct link l;
  link_begin(&l);
  link_rule(&l, "down PUBACK id 2 at_byte 1 rst");
  link_send(&l.server, ACKS, 12);
  TURN_UNTIL(&l, l.client.ended && l.server.ended);
  assert_int_equal(buffer_size(&l.client.in), 5);
  assert_int_equal(l.client.how, STREAM_RESET);
  assert_int_equal(l.server.how, STREAM_RESET);
  link_end(&l);
}

static void test_delay_and_drop(void **state) {
  (void)state;
  struct link l;
  link_begin(&l);
  link_rule(&l, "down PUBACK id 1 delay 20ms");
  link_rule(&l, "down PUBACK id 2 drop");
  int64_t begin_ns = net_now(l.net);
  link_send(&l.server, ACKS, 12);
  TURN_UNTIL(&l, buffer_size(&l.client.in) == 8);
  assert_true(net_now(l.net) >= begin_ns + 20 * MS);
  assert_memory_equal(buffer_slice(&l.client.in).data, "\x40\x02\x00\x01\x40\x02\x00\x03", 8);
  link_end(&l);
}

/* What is released goes on without anything else happening on the connection. */
static void test_release_and_stall(void **state) {
  (void)state;
  struct link l;
  link_begin(&l);
  struct scope_rule *hold = link_rule(&l, "up PUBACK id 1 hold");
  struct scope_rule *stall = link_rule(&l, "up PUBACK id 2 at_byte 1 stall");
  link_send(&l.client, ACKS, 12);
  TURN_UNTIL(&l, buffer_size(&l.server.in) == 1);
  assert_int_equal(l.client.wrote, 5);
  scope_remove(stall);
  TURN_UNTIL(&l, buffer_size(&l.server.in) == 8);
  assert_int_equal(scope_release(hold, 1), 1);
  TURN_UNTIL(&l, buffer_size(&l.server.in) == 12);
  assert_int_equal(l.client.wrote, 12);
  assert_memory_equal(buffer_slice(&l.server.in).data, "\x40\x02\x00\x02\x40\x02\x00\x03\x40\x02\x00\x01", 12);
  link_end(&l);
}

/* `fin` half-closes: the other way goes on. */
static void test_fin(void **state) {
  (void)state;
  struct link l;
  link_begin(&l);
  link_rule(&l, "up PUBACK id 2 after_packet fin");
  link_send(&l.client, ACKS, 12);
  TURN_UNTIL(&l, l.server.ended);
  assert_int_equal(l.server.how, STREAM_FIN);
  assert_int_equal(buffer_size(&l.server.in), 8);
  link_send(&l.server, ACKS, 12);
  TURN_UNTIL(&l, buffer_size(&l.client.in) == 12);
  assert_int_equal(l.client.wrote, 8);
  link_end(&l);
}

/* Who is not reset sees an orderly end. */
static void check_who(const char *rule, enum stream_end client, enum stream_end server) {
  struct link l;
  link_begin(&l);
  link_rule(&l, rule);
  link_send(&l.client, ACKS, 12);
  link_send(&l.server, ACKS, 12);
  TURN_UNTIL(&l, l.client.ended && l.server.ended);
  assert_int_equal(l.client.how, client);
  assert_int_equal(l.server.how, server);
  assert_null(chain_stream(l.client.chain));
  assert_int_equal(l.fired, 1);
  link_end(&l);
}

static void test_who(void **state) {
  (void)state;
  check_who("up PUBACK id 2 at_byte 3 rst who=both", STREAM_RESET, STREAM_RESET);
  check_who("up PUBACK id 2 at_byte 3 rst who=broker", STREAM_FIN, STREAM_RESET);
  check_who("up PUBACK id 2 at_byte 3 rst who=client", STREAM_RESET, STREAM_FIN);
  check_who("down PUBACK id 2 at_byte 3 rst who=broker", STREAM_FIN, STREAM_RESET);
  check_who("down PUBACK id 2 at_byte 3 rst who=client", STREAM_RESET, STREAM_FIN);
}

/* Meaning 5: before it resets, the other kernel has all bytes up to there, also when nobody reads them yet. */
static void test_5_a_reset_comes_behind_the_bytes(void **state) {
  (void)state;
  struct link l;
  struct buffer b;
  buffer_init(&b, 1 << 20);
  for (int i = 0; i < 60; i++) injectrig_publish(&b, "a", 0, 0, 1000);
  size_t size = buffer_size(&b);
  link_begin(&l);
  link_rule(&l, "up PUBLISH nth 60 at_byte 500 rst");
  chain_pause(l.server.chain, true);
  link_send(&l.client, (const char *)buffer_slice(&b).data, size);
  TURN_UNTIL(&l, l.client.ended);
  assert_int_equal(l.client.how, STREAM_RESET);
  assert_int_equal(l.client.wrote, size / 60 * 59 + 500);
  assert_int_equal(buffer_size(&l.server.in), 0);
  chain_pause(l.server.chain, false);
  TURN_UNTIL(&l, l.server.ended);
  assert_int_equal(l.server.how, STREAM_RESET);
  assert_int_equal(buffer_size(&l.server.in), l.client.wrote);
  assert_memory_equal(buffer_slice(&l.server.in).data, buffer_slice(&b).data, l.client.wrote);
  link_end(&l);
  buffer_fini(&b);
}

/* The way out and the way in at a rate, and a connection that closes slowly, by the clock of the machine. */
static void test_in_real_time(void **state) {
  (void)state;
  struct link l;
  link_begin(&l);
  link_rule(&l, "both bytes rate 100");
  link_rule(&l, "up bytes at 250ms slow_close 100ms");
  int64_t begin_ns = net_now(l.net);
  link_send(&l.client, ACKS, 12);
  link_send(&l.server, ACKS, 12);
  TURN_UNTIL(&l, buffer_size(&l.client.in) == 12 && buffer_size(&l.server.in) == 12);
  assert_true(net_now(l.net) >= begin_ns + 120 * MS);
  assert_false(l.server.ended);
  TURN_UNTIL(&l, l.server.ended);
  assert_true(net_now(l.net) >= begin_ns + 340 * MS);
  assert_int_equal(l.server.how, STREAM_FIN);
  link_end(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reset_out),
    cmocka_unit_test(test_reset_in),
    cmocka_unit_test(test_delay_and_drop),
    cmocka_unit_test(test_release_and_stall),
    cmocka_unit_test(test_fin),
    cmocka_unit_test(test_who),
    cmocka_unit_test(test_5_a_reset_comes_behind_the_bytes),
    cmocka_unit_test(test_in_real_time),
  };
  return cmocka_run_group_tests_name("injectlink", tests, NULL, NULL);
}
