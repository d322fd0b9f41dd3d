#include "hostrig.h"

static const uint8_t connect_x[] = "\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01x";
#define CONNECT_X slice_of(connect_x, 15)

enum { ON_OPENED = 1, ON_INPUT, ON_ENDED };

struct raw {
  struct rawclient *client;
  size_t opened, input, ended;
  enum stream_end end;
  int free_at;
};

static void raw_free_at(struct raw *raw, int at) {
  if (raw->free_at != at) return;
  rawclient_free(raw->client);
  raw->client = NULL;
}

static void raw_opened(void *arg) {
  struct raw *raw = arg;
  raw->opened++;
  raw_free_at(raw, ON_OPENED);
}

static void raw_input(void *arg) {
  struct raw *raw = arg;
  raw->input++;
  raw_free_at(raw, ON_INPUT);
}

static void raw_ended(void *arg, enum stream_end end, const char *why) {
  struct raw *raw = arg;
  assert_non_null(why);
  raw->ended++;
  raw->end = end;
  raw_free_at(raw, ON_ENDED);
}

static void raw_open(struct hostrig *r, struct raw *raw) {
  static const struct rawclient_handler handler = { raw_opened, raw_input, raw_ended };
  struct err err;
  raw->client = rawclient_new(r->net, r->timeline, "raw", peer_url(r->peer), NULL, 5000000000, &handler, raw, &err);
  if (!raw->client) fail_msg("%s", err.text);
}

/* What is sent before the connection is there goes out when it is; both ways are on the timeline. */
static void test_send_and_take(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw = { 0 };
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  assert_true(rawclient_send(raw.client, CONNECT_X));
  TURN_UNTIL(r.net, raw.input);
  assert_int_equal(raw.opened, 1);
  rawclient_take(raw.client, 3);
  assert_true(slice_equal(rawclient_input(raw.client), slice_of("\0", 1)));
  assert_true(hostrig_saw(&r, rawclient_who(raw.client), TIMELINE_UP, SPEC_CONNECT));
  assert_true(hostrig_saw(&r, rawclient_who(raw.client), TIMELINE_DOWN, SPEC_CONNACK));
  rawclient_free(raw.client);
  TURN_UNTIL(r.net, r.ended == 1);
  hostrig_close(&r);
}

/* After the other end has finished sending, bytes still go to it. */
static void test_fin_then_send(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw = { 0 };
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  TURN_UNTIL(r.net, raw.opened && peer_newest(r.peer));
  chain_fin(peer_conn_chain(peer_newest(r.peer)), CHAIN_OUT);
  TURN_UNTIL(r.net, raw.ended);
  assert_int_equal(raw.end, STREAM_FIN);
  assert_true(rawclient_send(raw.client, CONNECT_X));
  TURN_UNTIL(r.net, peer_newest(r.peer) && peer_conn_client_id(peer_newest(r.peer)).size == 1);
  rawclient_free(raw.client);
  hostrig_close(&r);
}

/* After a link's own close nothing can be sent any more, and that is said. */
static void test_closed_here(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw = { 0 };
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  TURN_UNTIL(r.net, raw.opened && peer_newest(r.peer));
  chain_close(rawclient_chain(raw.client));
  TURN_UNTIL(r.net, raw.ended && r.ended);
  assert_int_equal(raw.end, STREAM_FIN);
  assert_null(rawclient_chain(raw.client));
  assert_false(rawclient_send(raw.client, CONNECT_X));
  rawclient_free(raw.client);
  hostrig_close(&r);
}

static void test_refused(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw = { 0 };
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  peer_stop(r.peer, false);
  raw_open(&r, &raw);
  TURN_UNTIL(r.net, raw.ended);
  assert_int_equal(raw.end, STREAM_REFUSED);
  assert_int_equal(raw.opened, 0);
  assert_null(rawclient_chain(raw.client));
  assert_false(rawclient_send(raw.client, CONNECT_X));
  rawclient_free(raw.client);
  hostrig_close(&r);
}

/* It stops reading when enough is there, and goes on when that is taken; nothing is lost. */
static void test_window(void **state) {
  (void)state;
  enum { CHUNK = 500000 };
  struct hostrig r;
  struct raw raw = { 0 };
  uint8_t *chunk = mem_zero(CHUNK);
  size_t sent = 0, got = 0;
  memcpy(chunk, "\x30\x9c\xc2\x1e", 4); /* one packet of that size */
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  TURN_UNTIL(r.net, raw.opened && peer_newest(r.peer));
  struct peer_conn *c = peer_newest(r.peer);
  for (int idle = 0; idle < 30; idle++) {
    while (peer_conn_send(c, slice_of(chunk, CHUNK))) sent += CHUNK, idle = 0;
    assert_true(net_turn(r.net, net_now(r.net) + 1000000, NULL));
  }
  size_t waits = rawclient_input(raw.client).size;
  assert_true(waits >= RAWCLIENT_IN_MAX);
  assert_true(waits < RAWCLIENT_IN_MAX + NET_READ_MAX);
  while (got < sent) {
    TURN_UNTIL(r.net, rawclient_input(raw.client).size);
    got += rawclient_input(raw.client).size;
    rawclient_take(raw.client, rawclient_input(raw.client).size);
  }
  assert_int_equal(got, sent);
  assert_int_equal(hostrig_count(&r, TIMELINE_DOWN, "\x30\x9c\xc2\x1e"), 2 * sent / CHUNK);
  rawclient_free(raw.client);
  free(chunk);
  hostrig_close(&r);
}

static void test_free_inside(void **state) {
  (void)state;
  for (int at = ON_OPENED; at <= ON_ENDED; at++) {
    struct hostrig r;
    struct raw raw = { .free_at = at };
    hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
    raw_open(&r, &raw);
    rawclient_send(raw.client, CONNECT_X);
    rawclient_send(raw.client, CONNECT_X);
    TURN_UNTIL(r.net, !raw.client);
    if (r.accepted) TURN_UNTIL(r.net, r.ended == 1);
    hostrig_close(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_send_and_take), cmocka_unit_test(test_fin_then_send), cmocka_unit_test(test_refused),
    cmocka_unit_test(test_closed_here),   cmocka_unit_test(test_window),        cmocka_unit_test(test_free_inside),
  };
  return cmocka_run_group_tests_name("rawclient", tests, NULL, NULL);
}
