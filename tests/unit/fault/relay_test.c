#include <fcntl.h>

#include "proxyrig.h"

static struct relay *newest(const struct proxyrig *r) {
  return proxy_conn_relay(proxy_newest(r->proxy));
}

static void bytes_go_both_ways_and_are_counted(void **state) {
  struct proxyrig r;
  int client, upstream;
  struct buffer b;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  buffer_init(&b, 4096);
  proxyrig_connect(&b, "lamp");
  proxyrig_publish(&b, "a", 10);
  proxyrig_send(client, buffer_slice(&b));
  proxyrig_expect(&r, upstream, buffer_slice(&b));
  proxyrig_send(upstream, slice_of("\x20\x02\0\0", 4));
  proxyrig_expect(&r, client, slice_of("\x20\x02\0\0", 4));
  struct relay_counts c = relay_counts(newest(&r));
  assert_int_equal(c.bytes_up, buffer_size(&b));
  assert_int_equal(c.bytes_down, 4);
  assert_int_equal(c.packets_up, 2);
  assert_int_equal(c.packets_down, 1);
  assert_true(slice_equal(relay_client_id(newest(&r)), slice_text("lamp")));
  buffer_fini(&b);
  close(client);
  TURN_UNTIL(&r, proxyrig_end(&r, upstream, NULL) == 0);
  close(upstream);
  TURN_UNTIL(&r, r.ended);
  assert_string_equal(r.why, "closed by the client");
  assert_int_equal(proxy_counts(r.proxy).bytes_down, 4);
  proxyrig_close(&r);
}

/* What the client sends before the upstream is connected waits. */
static void early_bytes_are_not_lost(void **state) {
  struct proxyrig r;
  (void)state;
  proxyrig_open(&r);
  int client = proxyrig_client(&r);
  proxyrig_send_text(client, "early");
  shutdown(client, SHUT_WR);
  TURN_UNTIL(&r, r.opened);
  int upstream = accept4(r.listener, NULL, NULL, SOCK_CLOEXEC);
  proxyrig_expect_text(&r, upstream, "early");
  assert_int_equal(proxyrig_end(&r, upstream, NULL), 0);
  close(upstream);
  assert_int_equal(proxyrig_end(&r, client, NULL), 0);
  TURN_UNTIL(&r, r.ended);
  close(client);
  proxyrig_close(&r);
}

static void half_close(bool up) {
  struct proxyrig r;
  int client, upstream;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  int first = up ? client : upstream, second = up ? upstream : client;
  proxyrig_send_text(first, "last words");
  shutdown(first, SHUT_WR);
  proxyrig_expect_text(&r, second, "last words");
  assert_int_equal(proxyrig_end(&r, second, NULL), 0);
  for (int i = 0; i < 3; i++) {
    proxyrig_send_text(second, "still");
    proxyrig_expect_text(&r, first, "still");
  }
  assert_int_equal(r.ended, 0);
  shutdown(second, SHUT_WR);
  assert_int_equal(proxyrig_end(&r, first, NULL), 0);
  TURN_UNTIL(&r, r.ended);
  assert_string_equal(r.why, up ? "closed by the client" : "closed by the upstream");
  close(client);
  close(upstream);
  proxyrig_close(&r);
}

static void half_close_goes_on_as_half_close(void **state) {
  (void)state;
  half_close(true);
  half_close(false);
}

/* The bytes before it arrive, then the reset: never an end of file. */
static void reset_from(bool up, size_t size) {
  struct proxyrig r;
  int client, upstream;
  uint8_t *bytes = calloc(1, size);
  size_t got = 0;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  int first = up ? client : upstream, second = up ? upstream : client;
  proxyrig_send(first, slice_of(bytes, size));
  struct proxy_counts c;
  TURN_UNTIL(&r, (c = proxy_counts(r.proxy), (up ? c.bytes_up : c.bytes_down) == size));
  proxyrig_reset(first);
  TURN_UNTIL(&r, r.ended);
  assert_int_equal(proxyrig_end(&r, second, &got), ECONNRESET);
  assert_int_equal(got, size);
  assert_string_equal(r.why, up ? "reset by the client" : "reset by the upstream");
  close(second);
  free(bytes);
  proxyrig_close(&r);
}

static void reset_goes_on_as_reset(void **state) {
  (void)state;
  for (int up = 0; up < 2; up++) {
    reset_from(up, 7);
    reset_from(up, 100000);
  }
}

/* One that comes while the other end does not read waits for what is before it. */
static void reset_waits_for_a_slow_reader(void **state) {
  struct proxyrig r;
  int client;
  static uint8_t bytes[65536];
  size_t sent = 0, got = 0;
  (void)state;
  proxyrig_open_with(&r, &(struct proxy_options){ .accepting = { .send_buffer = 8192 } });
  client = proxyrig_client_with(&r, 8192);
  TURN_UNTIL(&r, r.opened);
  int upstream = accept4(r.listener, NULL, NULL, SOCK_CLOEXEC);
  /* As much as waits in the proxy with the buffers of the client's side full, and nothing in the upstream's own. */
  while (relay_counts(newest(&r)).bytes_down + 4096 > sent) {
    proxyrig_send(upstream, slice_of(bytes, 4096));
    sent += 4096;
    TURN_UNTIL(&r, relay_counts(newest(&r)).packets_down * 2 >= sent);
  }
  size_t before = relay_counts(newest(&r)).bytes_down;
  assert_true(sent > before);
  proxyrig_reset(upstream);
  uint8_t one;
  TURN_UNTIL(&r, proxyrig_read(client, &one, 1) == 1);
  assert_int_equal(proxyrig_end(&r, client, &got), ECONNRESET);
  assert_int_equal(got + 1, sent);
  TURN_UNTIL(&r, r.ended);
  assert_string_equal(r.why, "reset by the upstream");
  close(client);
  proxyrig_close(&r);
}

static void refusal(bool closes) {
  struct proxyrig r;
  proxyrig_open_with(&r, &(struct proxy_options){ .closes = closes });
  close(r.listener);
  int client = proxyrig_client(&r);
  proxyrig_send_text(client, "hello");
  assert_int_equal(proxyrig_end(&r, client, NULL), closes ? 0 : ECONNRESET);
  assert_int_equal(r.ended, closes ? 0 : 1);
  close(client);
  TURN_UNTIL(&r, r.ended);
  assert_non_null(strstr(r.why, "connecting to 127.0.0.1"));
  assert_non_null(strstr(r.why, "refused"));
  assert_int_equal(proxy_counts(r.proxy).unreached, 1);
  r.listener = dup(0);
  proxyrig_close(&r);
}

static void upstream_that_refuses_is_a_refusal(void **state) {
  (void)state;
  refusal(false);
  refusal(true);
}

static void upstream_that_does_not_answer_times_out(void **state) {
  struct proxyrig r;
  (void)state;
  uint16_t port;
  int full = proxyrig_listen(&port, 0), first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = proxyrig_address(port);
  assert_int_equal(connect(first, (struct sockaddr *)&a, sizeof a), 0);
  struct proxy_options o = { .connect_timeout_ns = 50000000 };
  proxyrig_url(&o.upstream, port);
  proxyrig_open_with(&r, &o);
  int client = proxyrig_client(&r);
  assert_int_equal(proxyrig_end(&r, client, NULL), ECONNRESET);
  TURN_UNTIL(&r, r.ended);
  assert_non_null(strstr(r.why, "no answer within 0.05 s"));
  close(client);
  close(first);
  close(full);
  proxyrig_close(&r);
}

/* A slow reader at one end stops the sender at the other; then every byte arrives. */
static void back_pressure(bool up) {
  struct proxyrig r;
  int client, upstream;
  struct rng out = { 7 }, in = { 7 };
  size_t sent = 0, got = 0, still = 0, last = 0;
  proxyrig_open_with(&r, &(struct proxy_options){ .accepting = { .send_buffer = 16384, .receive_buffer = 16384 } });
  proxyrig_small(r.listener, 16384);
  client = proxyrig_client_with(&r, 16384);
  TURN_UNTIL(&r, r.opened);
  upstream = accept4(r.listener, NULL, NULL, SOCK_CLOEXEC);
  int from = up ? client : upstream, to = up ? upstream : client;
  fcntl(from, F_SETFL, O_NONBLOCK);
  uint64_t word = rng_next(&out);
  size_t at = 0;
  while (still < 50) {
    struct err err;
    for (ssize_t n = 1; n > 0;) {
      n = send(from, (uint8_t *)&word + at, sizeof word - at, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += (size_t)n;
      at += (size_t)n;
      if (at == sizeof word) word = rng_next(&out), at = 0;
    }
    still = sent == last ? still + 1 : 0;
    last = sent;
    assert_true(net_turn(r.net, net_now(r.net) + PROXYRIG_LOOK_NS, &err));
    assert_true(sent < 16u << 20);
  }
  shutdown(from, SHUT_WR);
  uint64_t want = rng_next(&in);
  uint8_t bytes[4096];
  ssize_t n;
  TURN_UNTIL(&r, ({
    n = proxyrig_read(to, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++, got++) {
      assert_int_equal(bytes[i], ((uint8_t *)&want)[got % sizeof want]);
      if (got % sizeof want == sizeof want - 1) want = rng_next(&in);
    }
    n == 0;
  }));
  assert_int_equal(got, sent);
  close(client);
  close(upstream);
  TURN_UNTIL(&r, r.ended);
  proxyrig_close(&r);
}

static void slow_reader_stops_the_sender(void **state) {
  (void)state;
  back_pressure(true);
  back_pressure(false);
}

/* Rules that come in while packets are on their way. */

static void rule_comes_in_within_a_packet(bool up) {
  struct proxyrig r;
  int client, upstream;
  struct buffer b;
  size_t got;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  int from = up ? client : upstream, to = up ? upstream : client;
  buffer_init(&b, 4096);
  proxyrig_publish(&b, "a/b", 40);
  struct slice bytes = buffer_slice(&b);
  proxyrig_send(from, slice_first(bytes, 5));
  proxyrig_expect(&r, to, slice_first(bytes, 5));
  proxyrig_rule(&r, up ? "up PUBLISH topic a/# at_byte 10 rst" : "down PUBLISH topic a/# at_byte 10 rst");
  proxyrig_send(from, slice_from(bytes, 5));
  assert_int_equal(proxyrig_end(&r, to, &got), ECONNRESET);
  assert_int_equal(got, 5);
  assert_int_equal(proxyrig_end(&r, from, NULL), ECONNRESET);
  TURN_UNTIL(&r, r.ended);
  assert_int_equal(r.fired, 1);
  assert_string_equal(r.why, "reset by a rule");
  buffer_fini(&b);
  close(client);
  close(upstream);
  proxyrig_close(&r);
}

static void rule_comes_in_within_a_large_packet(bool up) {
  struct proxyrig r;
  int client, upstream;
  struct buffer b, next, last;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  int from = up ? client : upstream, to = up ? upstream : client;
  buffer_init(&b, 1 << 20);
  buffer_init(&next, 4096);
  buffer_init(&last, 4096);
  proxyrig_publish(&b, "large", 100000);
  proxyrig_publish(&next, "small", 100);
  proxyrig_connect(&last, "kept");
  struct slice bytes = buffer_slice(&b);
  proxyrig_send(from, slice_first(bytes, 60000));
  proxyrig_expect(&r, to, slice_first(bytes, 60000));
  struct scope_rule *rule = proxyrig_rule(&r, "both PUBLISH drop");
  proxyrig_send(from, slice_from(bytes, 60000));
  proxyrig_send(from, buffer_slice(&next));
  proxyrig_send(from, buffer_slice(&last));
  proxyrig_expect(&r, to, slice_from(bytes, 60000));
  proxyrig_expect(&r, to, buffer_slice(&last));
  assert_int_equal(scope_fired(rule), 1);
  buffer_fini(&b);
  buffer_fini(&next);
  buffer_fini(&last);
  close(client);
  close(upstream);
  TURN_UNTIL(&r, r.ended);
  proxyrig_close(&r);
}

static void rules_begin_aligned(void **state) {
  (void)state;
  for (int up = 0; up < 2; up++) {
    rule_comes_in_within_a_packet(up);
    rule_comes_in_within_a_large_packet(up);
  }
}

/* Also where the CONNECT went by before there was a rule, or half of it. */
static void rule_that_comes_later_knows_the_client(void **state) {
  (void)state;
  for (size_t cut = 0; cut < 3; cut++) {
    struct proxyrig r;
    int client, upstream;
    struct buffer b;
    proxyrig_open(&r);
    proxyrig_pair(&r, &client, &upstream);
    buffer_init(&b, 4096);
    proxyrig_connect(&b, "sensor-7");
    size_t size = buffer_size(&b), first = cut == 0 ? size : cut == 1 ? size - 3 : 1;
    proxyrig_publish(&b, "a", 3);
    proxyrig_send(client, slice_first(buffer_slice(&b), first));
    proxyrig_expect(&r, upstream, slice_first(buffer_slice(&b), first));
    struct scope_rule *rule = proxyrig_rule(&r, "up PUBLISH client sensor-* drop");
    proxyrig_send(client, slice_from(buffer_slice(&b), first));
    proxyrig_send(client, slice_of("\xc0\0", 2));
    proxyrig_expect(&r, upstream, slice_first(slice_from(buffer_slice(&b), first), size - first));
    proxyrig_expect(&r, upstream, slice_of("\xc0\0", 2));
    assert_int_equal(scope_fired(rule), 1);
    buffer_fini(&b);
    close(client);
    close(upstream);
    TURN_UNTIL(&r, r.ended);
    proxyrig_close(&r);
  }
}

/* Ends that rules make. */

static void publish_on(int fd) {
  struct buffer b;
  buffer_init(&b, 4096);
  proxyrig_publish(&b, "t", 8);
  proxyrig_send(fd, buffer_slice(&b));
  buffer_fini(&b);
}

static void rule_of_a_half_close(bool up) {
  struct proxyrig r;
  int client, upstream;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  int from = up ? client : upstream, to = up ? upstream : client;
  proxyrig_rule(&r, up ? "up PUBLISH fin" : "down PUBLISH fin");
  publish_on(from);
  assert_int_equal(proxyrig_end(&r, to, NULL), 0);
  /* What comes after it goes nowhere, and does not stop the sender. */
  static uint8_t much[1 << 20];
  fcntl(from, F_SETFL, O_NONBLOCK);
  size_t sent = 0;
  TURN_UNTIL(&r, ({
    ssize_t n = send(from, much, sizeof much, MSG_NOSIGNAL);
    if (n > 0) sent += (size_t)n;
    sent > 8u << 20;
  }));
  proxyrig_send_text(to, "back");
  proxyrig_expect_text(&r, from, "back");
  close(to);
  close(from);
  TURN_UNTIL(&r, r.ended);
  proxyrig_close(&r);
}

static void rule_of_a_close(bool up) {
  struct proxyrig r;
  int client, upstream;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  int from = up ? client : upstream, to = up ? upstream : client;
  proxyrig_rule(&r, up ? "up PUBLISH close" : "down PUBLISH close");
  publish_on(from);
  assert_int_equal(proxyrig_end(&r, to, NULL), 0);
  assert_int_equal(proxyrig_end(&r, from, NULL), 0);
  TURN_UNTIL(&r, r.ended);
  assert_string_equal(r.why, "closed by a rule");
  close(to);
  close(from);
  proxyrig_close(&r);
}

/* Neither end hears of it. Where the system does not let a connection vanish, that is told. */
static void a_vanished_connection_is_silent(void **state) {
  struct proxyrig r;
  int client, upstream;
  struct err err = { "" };
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  bool vanished = relay_vanish(newest(&r), &err);
  publish_on(client);
  if (vanished) {
    TURN_UNTIL(&r, r.ended);
    assert_string_equal(r.why, "vanished");
  } else {
    assert_non_null(strstr(err.text, "CAP_NET_ADMIN"));
    for (int i = 0; i < 20; i++) assert_true(net_turn(r.net, net_now(r.net) + PROXYRIG_LOOK_NS, &err));
  }
  proxyrig_expect_silence(client);
  proxyrig_expect_silence(upstream);
  proxyrig_close(&r);
  if (vanished) {
    proxyrig_expect_silence(client);
    proxyrig_expect_silence(upstream);
  }
  close(client);
  close(upstream);
}

static void rule_of_a_vanishing(bool up) {
  struct proxyrig r;
  int client, upstream;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  proxyrig_rule(&r, up ? "up PUBLISH vanish" : "down PUBLISH vanish");
  publish_on(up ? client : upstream);
  TURN_UNTIL(&r, r.ended || r.troubles);
  if (r.troubles) assert_non_null(strstr(r.trouble, "CAP_NET_ADMIN"));
  else assert_string_equal(r.why, "vanished");
  proxyrig_expect_silence(client);
  proxyrig_expect_silence(upstream);
  close(client);
  close(upstream);
  proxyrig_close(&r);
}

static void rules_end_both_sides(void **state) {
  (void)state;
  for (int up = 0; up < 2; up++) {
    rule_of_a_half_close(up);
    rule_of_a_close(up);
    rule_of_a_vanishing(up);
  }
}

static void delayed_end_stays_behind_delayed_bytes(void **state) {
  struct proxyrig r;
  int client, upstream;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  proxyrig_rule(&r, "up bytes delay 50ms");
  int64_t began_ns = net_now(r.net);
  proxyrig_send_text(client, "late");
  close(client);
  proxyrig_expect_text(&r, upstream, "late");
  assert_int_equal(proxyrig_end(&r, upstream, NULL), 0);
  assert_true(net_now(r.net) - began_ns >= 50000000);
  close(upstream);
  TURN_UNTIL(&r, r.ended);
  proxyrig_close(&r);
}

/* Actions now. */

static void actions_reach_both_ends(void **state) {
  struct proxyrig r;
  int client, upstream;
  (void)state;
  for (int action = 0; action < 3; action++) {
    proxyrig_open(&r);
    proxyrig_pair(&r, &client, &upstream);
    if (action == 0) relay_reset(newest(&r), "by hand");
    else if (action == 1) relay_close(newest(&r), "by hand");
    else relay_fin(newest(&r), true, true);
    assert_int_equal(proxyrig_end(&r, client, NULL), action == 0 ? ECONNRESET : 0);
    assert_int_equal(proxyrig_end(&r, upstream, NULL), action == 0 ? ECONNRESET : 0);
    close(client);
    close(upstream);
    TURN_UNTIL(&r, r.ended);
    if (action < 2) assert_string_equal(r.why, "by hand");
    proxyrig_close(&r);
  }
}

static void stall_holds_both_ways_until_it_is_lifted(void **state) {
  struct proxyrig r;
  int client, upstream;
  struct err err;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  relay_stall(newest(&r), true);
  proxyrig_send_text(client, "up");
  proxyrig_send_text(upstream, "down");
  for (int i = 0; i < 20; i++) assert_true(net_turn(r.net, net_now(r.net) + PROXYRIG_LOOK_NS, &err));
  proxyrig_expect_silence(client);
  proxyrig_expect_silence(upstream);
  relay_stall(newest(&r), false);
  proxyrig_expect_text(&r, upstream, "up");
  proxyrig_expect_text(&r, client, "down");
  close(client);
  close(upstream);
  TURN_UNTIL(&r, r.ended);
  proxyrig_close(&r);
}

/* A function of a rule makes a second scope join, in the middle of a packet that the first is looking at. */

static struct {
  struct proxyrig *rig;
  struct scope *second;
} joining;

static bool joins(void *arg, const struct packet *p) {
  (void)arg;
  (void)p;
  relay_join(newest(joining.rig), joining.second, NULL);
  return true;
}

static void scope_joins_from_inside_a_rule(void **state) {
  struct proxyrig r;
  int client, upstream;
  struct err err;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  joining.rig = &r;
  joining.second = scope_new(1, NULL, NULL);
  struct scope_rule *dropping = scope_add(joining.second, rule_parse("up PUBLISH drop", &err), &err);
  struct rule *rule = rule_parse("up PUBLISH where first delay 1ms", &err);
  rule_set_hooks(rule, &(struct rule_hooks){ .where = joins });
  assert_non_null(scope_add(proxy_scope(r.proxy), rule, &err));
  proxy_join(r.proxy);
  publish_on(client);
  uint8_t first[13];
  size_t got = 0;
  TURN_UNTIL(&r, ({
    ssize_t n = proxyrig_read(upstream, first + got, sizeof first - got);
    got += n > 0 ? (size_t)n : 0;
    got == sizeof first;
  }));
  publish_on(client);
  TURN_UNTIL(&r, scope_fired(dropping) == 1);
  proxyrig_send(client, slice_of("\xc0\0", 2));
  proxyrig_expect(&r, upstream, slice_of("\xc0\0", 2));
  close(client);
  close(upstream);
  TURN_UNTIL(&r, r.ended);
  proxyrig_close(&r);
  scope_free(joining.second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_go_both_ways_and_are_counted),
    cmocka_unit_test(early_bytes_are_not_lost),
    cmocka_unit_test(half_close_goes_on_as_half_close),
    cmocka_unit_test(reset_goes_on_as_reset),
    cmocka_unit_test(reset_waits_for_a_slow_reader),
    cmocka_unit_test(upstream_that_refuses_is_a_refusal),
    cmocka_unit_test(upstream_that_does_not_answer_times_out),
    cmocka_unit_test(slow_reader_stops_the_sender),
    cmocka_unit_test(rules_begin_aligned),
    cmocka_unit_test(rule_that_comes_later_knows_the_client),
    cmocka_unit_test(rules_end_both_sides),
    cmocka_unit_test(a_vanished_connection_is_silent),
    cmocka_unit_test(delayed_end_stays_behind_delayed_bytes),
    cmocka_unit_test(actions_reach_both_ends),
    cmocka_unit_test(stall_holds_both_ways_until_it_is_lifted),
    cmocka_unit_test(scope_joins_from_inside_a_rule),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
