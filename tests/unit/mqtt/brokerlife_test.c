#include "brokerrig.h"

enum ending { GONE, MALFORMED, SILENT, TAKEN_OVER, SECOND_CONNECT, DISCONNECT, ENDINGS };

static void end_by(struct brokerrig_client *c, enum ending how) {
  struct brokerrig_client *other;
  switch (how) {
  case MALFORMED: brokerrig_bytes(c, "\x36", 1); break;
  case SILENT: brokerrig_later(15 * BROKERRIG_S); break;
  case TAKEN_OVER:
    other = brokerrig_client("c", true, false);
    brokerrig_expect_why(c, "MQTT-3.1.4-2");
    brokerrig_gone(other);
    break;
  case SECOND_CONNECT: brokerrig_send(c, brokerrig_connect_packet("c", true)); break;
  case DISCONNECT: brokerrig_send(c, (struct packet){ .type = SPEC_DISCONNECT }); break;
  default: break;
  }
  assert_int_equal(broker_wants_close(c->conn, NULL), how != GONE);
  brokerrig_gone(c);
}

/* The will goes out once, at its QoS and RETAIN, on any end but DISCONNECT [MQTT-3.1.2-8]. */
static void test_will(void **state) {
  (void)state;
  struct brokerrig_client *watcher = brokerrig_client("w", true, false);
  brokerrig_subscribed(watcher, "will", 2);
  for (int how = 0; how < ENDINGS; how++) {
    for (int i = 0; i < 6; i++) {
      uint8_t qos = (uint8_t)(i / 2);
      struct packet connect = brokerrig_will_packet("c", true, "will", qos, i % 2);
      char expected[80] = "";
      connect.keepalive_s = 10;
      end_by(brokerrig_with(connect), how);
      static uint16_t id;
      if (qos && how != DISCONNECT) id++;
      if (how != DISCONNECT) snprintf(expected, sizeof expected, "PUBLISH q%u will=will", qos);
      if (how != DISCONNECT && qos) snprintf(expected, sizeof expected, "PUBLISH q%u will=will id %u", qos, id);
      brokerrig_expect(watcher, expected);
      assert_int_equal(broker_stats(brokerrig_broker).retained, i % 2 && how != DISCONNECT);
      struct packet clear = brokerrig_message("will", "", 0, 0);
      clear.retain = true;
      brokerrig_send(watcher, clear);
      brokerrig_skip(watcher);
    }
  }
  brokerrig_gone(watcher);
}

static void test_no_will(void **state) {
  (void)state;
  struct brokerrig_client *watcher = brokerrig_client("w", true, false);
  brokerrig_subscribed(watcher, "#", 0);
  brokerrig_gone(brokerrig_with(brokerrig_will_packet("c", false, "will", 0, false)));
  brokerrig_expect(watcher, "PUBLISH q0 will=will");
  brokerrig_gone(brokerrig_client("c", false, true));
  brokerrig_expect(watcher, "");
  brokerrig_gone(watcher);
}

static void test_keepalive(void **state) {
  (void)state;
  struct packet connect = brokerrig_connect_packet("c", true);
  connect.keepalive_s = 3;
  struct brokerrig_client *c = brokerrig_with(connect), *free_of_it = brokerrig_client("f", true, false);
  brokerrig_later(4499999999);
  brokerrig_bytes(c, "\xc0\0", 2);
  brokerrig_expect(c, "PINGRESP");
  brokerrig_later(4499999999);
  assert_false(broker_wants_close(c->conn, NULL));
  brokerrig_bytes(c, "\xc0", 1); /* no packet yet */
  assert_int_equal(broker_deadline(brokerrig_broker), brokerrig_now_ns + 1);
  brokerrig_later(1);
  brokerrig_expect_why(c, "MQTT-3.1.2-24");
  brokerrig_gone(c);
  brokerrig_later(100000 * BROKERRIG_S);
  assert_false(broker_wants_close(free_of_it->conn, NULL));
  brokerrig_gone(free_of_it);
  assert_int_equal(broker_deadline(brokerrig_broker), INT64_MAX);
}

static void test_connect_timeout(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_accept();
  brokerrig_bytes(c, "\x10\x20", 2);
  assert_int_equal(broker_deadline(brokerrig_broker), brokerrig_now_ns + BROKER_CONNECT_TIMEOUT_NS);
  brokerrig_later(BROKER_CONNECT_TIMEOUT_NS);
  brokerrig_expect_why(c, "no CONNECT");
  brokerrig_gone(c);
}

/* Clean sessions end with their connection, others stay; a clean CONNECT throws away what was kept [MQTT-3.1.2-6]. */
static void test_sessions(void **state) {
  (void)state;
  struct brokerrig_client *p = brokerrig_client("p", true, false), *c = brokerrig_client("c", false, false);
  brokerrig_subscribed(c, "t", 1);
  brokerrig_gone(c);
  assert_int_equal(broker_stats(brokerrig_broker).sessions, 2);
  brokerrig_publish(p, "t", "kept", 1, false);
  c = brokerrig_accept();
  brokerrig_send(c, brokerrig_connect_packet("c", false));
  brokerrig_expect(c, "CONNACK 1 0; PUBLISH q1 t=kept id 1");
  brokerrig_gone(c);
  c = brokerrig_client("c", true, false);
  brokerrig_publish(p, "t", "gone", 1, false);
  brokerrig_expect(c, "");
  brokerrig_gone(c);
  assert_int_equal(broker_stats(brokerrig_broker).sessions, 1);
  assert_int_equal(broker_stats(brokerrig_broker).subscriptions, 0);
  brokerrig_gone(brokerrig_client("c", false, false));
  brokerrig_gone(p);
}

/* The older connection gives the session up at once; what it was not given yet goes to the newer one, not as a repeat.
 */
static void test_takeover(void **state) {
  (void)state;
  struct brokerrig_client *p = brokerrig_client("p", true, false), *old = brokerrig_client("c", false, false);
  brokerrig_subscribed(old, "t", 2);
  brokerrig_publish(p, "t", "1", 1, false);
  brokerrig_expect(old, "PUBLISH q1 t=1 id 1");
  old->stalled = true;
  brokerrig_publish(p, "t", "2", 2, false);
  brokerrig_publish(p, "t", "3", 1, false);
  brokerrig_take(old, 3); /* of 2 */
  brokerrig_bytes(old, "\xc0\0", 2);
  struct brokerrig_client *new = brokerrig_accept();
  brokerrig_send(new, brokerrig_connect_packet("c", false));
  brokerrig_expect(new, "CONNACK 1 0; PUBLISH q1 dup t=1 id 1; PUBLISH q2 dup t=2 id 2; PUBLISH q1 t=3 id 3");
  brokerrig_take(old, SIZE_MAX);
  brokerrig_expect(old, "PUBLISH q2 t=2 id 2; PINGRESP; closed");
  brokerrig_gone(old);
  brokerrig_publish(p, "t", "4", 0, false);
  brokerrig_expect(new, "PUBLISH q0 t=4");
  brokerrig_gone(new);
  brokerrig_gone(p);
}

/* A restart without persistence. */
static void test_forget(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", false, false);
  brokerrig_subscribed(c, "t", 2);
  brokerrig_publish(c, "r", "kept", 1, true);
  brokerrig_gone(c);
  broker_forget(brokerrig_broker);
  struct broker_stats stats = broker_stats(brokerrig_broker);
  assert_int_equal(stats.sessions + stats.retained + stats.subscriptions + stats.connections, 0);
  brokerrig_gone(brokerrig_client("c", false, false));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, brokerrig_setup, brokerrig_close)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_will),     TEST(test_no_will),  TEST(test_keepalive), TEST(test_connect_timeout),
    TEST(test_sessions), TEST(test_takeover), TEST(test_forget),
  };
  return cmocka_run_group_tests_name("brokerlife", tests, NULL, NULL);
}
