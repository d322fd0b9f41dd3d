#include "brokerrig.h"

/* Delivery is at the lower of both [MQTT-3.8.4-6], with RETAIN and DUP of its own. */
static void test_qos_matrix(void **state) {
  (void)state;
  struct brokerrig_client *s = brokerrig_client("s", true, false), *p = brokerrig_client("p", true, false);
  uint16_t id = 0;
  for (uint8_t granted = 0; granted < 3; granted++) {
    brokerrig_subscribed(s, "t", granted);
    for (uint8_t qos = 0; qos < 3; qos++) {
      char expected[80];
      uint8_t lower = qos < granted ? qos : granted;
      struct packet publish = brokerrig_message("t", "m", qos, qos ? 50 : 0);
      publish.dup = qos > 0;
      brokerrig_send(p, publish);
      if (qos == 2) brokerrig_ack(p, SPEC_PUBREL, 50);
      brokerrig_expect(p, qos == 0 ? "" : qos == 1 ? "PUBACK id 50" : "PUBREC id 50; PUBCOMP id 50");
      if (lower) snprintf(expected, sizeof expected, "PUBLISH q%u t=m id %u", lower, ++id);
      else snprintf(expected, sizeof expected, "PUBLISH q0 t=m");
      brokerrig_expect(s, expected);
      brokerrig_ack(s, lower == 1 ? SPEC_PUBACK : SPEC_PUBREC, id ? id : 1);
      brokerrig_ack(s, SPEC_PUBCOMP, id ? id : 1);
      brokerrig_skip(s);
    }
  }
  brokerrig_gone(s);
  brokerrig_gone(p);
}

/* One copy, at the highest QoS of what matches [MQTT-3.3.5-1]; the same filter again replaces [MQTT-3.8.4-3]. */
static void test_overlapping(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", true, false);
  brokerrig_subscribed(c, "a/#", 0);
  brokerrig_subscribed(c, "a/+", 2);
  brokerrig_subscribed(c, "a/b", 1);
  assert_int_equal(broker_stats(brokerrig_broker).subscriptions, 3);
  brokerrig_send(c, brokerrig_message("a/b", "1", 2, 5));
  brokerrig_expect(c, "PUBLISH q2 a/b=1 id 1; PUBREC id 5");
  brokerrig_subscribed(c, "a/+", 0);
  assert_int_equal(broker_stats(brokerrig_broker).subscriptions, 3);
  brokerrig_send(c, brokerrig_message("a/b", "2", 2, 6));
  brokerrig_expect(c, "PUBLISH q1 a/b=2 id 2; PUBREC id 6");
  brokerrig_unsubscribe(c, "a/b");
  brokerrig_unsubscribe(c, "a/+");
  brokerrig_unsubscribe(c, "a/c");
  brokerrig_send(c, brokerrig_message("a", "3", 1, 7));
  brokerrig_expect(c, "PUBLISH q0 a=3; PUBACK id 7");
  brokerrig_unsubscribe(c, "a/#");
  brokerrig_send(c, brokerrig_message("a/b", "4", 0, 0));
  brokerrig_ack(c, SPEC_PUBREC, 1); /* what was begun is completed [MQTT-3.10.4-3] */
  brokerrig_expect(c, "PUBREL id 1");
  brokerrig_gone(c);
}

static void test_retained(void **state) {
  (void)state;
  struct brokerrig_client *p = brokerrig_client("p", true, false), *c = brokerrig_client("c", true, false);
  brokerrig_subscribed(c, "live/#", 2);
  brokerrig_publish(p, "live/x", "now", 1, true);
  brokerrig_expect(c, "PUBLISH q1 live/x=now id 1");
  brokerrig_publish(p, "a/1", "old", 2, true);
  brokerrig_publish(p, "a/1", "new", 2, true);
  brokerrig_publish(p, "a/1", "not retained", 1, false);
  brokerrig_publish(p, "a/2", "at 0", 0, true);
  brokerrig_publish(p, "$x/1", "hidden", 0, true);
  brokerrig_subscribe(c, "a/+", 1);
  brokerrig_expect(c, "SUBACK id 900 1; PUBLISH q1 retain a/1=new id 2; PUBLISH q0 retain a/2=at 0");
  brokerrig_subscribe(c, "#", 0);
  brokerrig_expect(c, "SUBACK id 900 0; PUBLISH q0 retain live/x=now; PUBLISH q0 retain a/1=new; "
                      "PUBLISH q0 retain a/2=at 0");
  brokerrig_publish(p, "a/1", "", 1, true);
  brokerrig_expect(c, "PUBLISH q1 a/1= id 3");
  assert_int_equal(broker_stats(brokerrig_broker).retained, 3);
  brokerrig_gone(p); /* retained messages are no session state [MQTT-3.1.2-7] */
  brokerrig_subscribe(c, "a/#", 0);
  brokerrig_expect(c, "SUBACK id 900 0; PUBLISH q0 retain a/2=at 0");
  brokerrig_gone(c);
}

/* Several filters: one SUBACK in their order, then what is retained for each. */
static void test_many_filters(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", true, false);
  struct buffer items;
  brokerrig_publish(c, "b", "kept", 1, true);
  buffer_init(&items, 1000);
  const char *const filters[] = { "a", "b", "+", "b" };
  const uint8_t qos[] = { 2, 0, 1, 2 };
  for (int i = 0; i < 4; i++) encode_subscription(&items, slice_text(filters[i]), qos[i]);
  brokerrig_send(c, (struct packet){ .type = SPEC_SUBSCRIBE, .packet_id = 65535, .items = buffer_slice(&items) });
  buffer_fini(&items);
  brokerrig_expect(c, "SUBACK id 65535 2 0 1 2; PUBLISH q0 retain b=kept; PUBLISH q1 retain b=kept id 1; "
                      "PUBLISH q1 retain b=kept id 2");
  brokerrig_gone(c);
}

/* $ topics do not reach wildcards at the first level, and $SYS is not for clients to publish to. */
static void test_dollar(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", true, false);
  brokerrig_subscribed(c, "#", 0);
  brokerrig_subscribed(c, "+/x", 0);
  brokerrig_send(c, brokerrig_message("$test/x", "m", 0, 0));
  brokerrig_expect(c, "");
  brokerrig_subscribed(c, "$test/+", 0);
  brokerrig_subscribed(c, "$SYS/#", 0);
  brokerrig_send(c, brokerrig_message("$test/x", "m", 0, 0));
  brokerrig_send(c, brokerrig_message("$SYS/x", "m", 2, 4));
  brokerrig_expect(c, "PUBLISH q0 $test/x=m; PUBREC id 4");
  struct packet own = brokerrig_message("$SYS/uptime", "1", 0, 0);
  broker_publish(brokerrig_broker, &own, brokerrig_now_ns);
  own.topic = slice_text("bad/#");
  broker_publish(brokerrig_broker, &own, brokerrig_now_ns);
  brokerrig_run();
  brokerrig_expect(c, "PUBLISH q0 $SYS/uptime=1");
  brokerrig_gone(c);
}

/* QoS 2 in: once until PUBREL, whatever DUP says, across connections; then it is new [MQTT-4.3.3-2]. */
static void test_exactly_once(void **state) {
  (void)state;
  struct brokerrig_client *s = brokerrig_client("s", true, false), *p = brokerrig_client("p", false, false);
  struct packet m = brokerrig_message("t", "m", 2, 8);
  brokerrig_subscribed(s, "t", 0);
  brokerrig_send(p, m);
  m.dup = true;
  brokerrig_send(p, m);
  brokerrig_gone(p);
  p = brokerrig_client("p", false, true);
  brokerrig_send(p, m);
  brokerrig_expect(p, "PUBREC id 8");
  brokerrig_expect(s, "PUBLISH q0 t=m");
  brokerrig_ack(p, SPEC_PUBREL, 8);
  brokerrig_ack(p, SPEC_PUBREL, 8);
  brokerrig_send(p, m);
  brokerrig_expect(p, "PUBCOMP id 8; PUBCOMP id 8; PUBREC id 8");
  brokerrig_expect(s, "PUBLISH q0 t=m");
  m.qos = 1; /* at QoS 1 each is new [MQTT-4.3.2-2] */
  brokerrig_send(p, m);
  brokerrig_send(p, m);
  brokerrig_expect(p, "PUBACK id 8; PUBACK id 8");
  brokerrig_expect(s, "PUBLISH q0 t=m; PUBLISH q0 t=m");
  brokerrig_gone(s);
  brokerrig_gone(p);
}

/* U+FEFF, spelling and case are part of a topic [MQTT-1.5.3-3], [MQTT-4.7.3-4]. */
static void test_bytes_of_topics(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", true, false);
  brokerrig_subscribed(c, "\xef\xbb\xbft", 0);
  brokerrig_subscribed(c, "A//b", 0);
  const char *const others[] = { "t", "a//b", "A/b", "A//b/", "/A//b" };
  for (int i = 0; i < 5; i++) brokerrig_send(c, brokerrig_message(others[i], "m", 0, 0));
  brokerrig_send(c, brokerrig_message("\xef\xbb\xbft", "m", 0, 0));
  brokerrig_send(c, brokerrig_message("A//b", "m", 0, 0));
  brokerrig_expect(c, "PUBLISH q0 \xef\xbb\xbft=m; PUBLISH q0 A//b=m");
  brokerrig_gone(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, brokerrig_setup, brokerrig_close)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_qos_matrix), TEST(test_overlapping),  TEST(test_retained),        TEST(test_many_filters),
    TEST(test_dollar),     TEST(test_exactly_once), TEST(test_bytes_of_topics),
  };
  return cmocka_run_group_tests_name("brokerroute", tests, NULL, NULL);
}
