#include "brokerrig.h"

static struct brokerrig_client *resume(const char *id) {
  struct brokerrig_client *c = brokerrig_accept();
  brokerrig_send(c, brokerrig_connect_packet(id, false));
  return c;
}

/* Every state of a message in flight, then what waits: resent at its stage, under its identifier, in order. */
static void test_resume(void **state) {
  (void)state;
  struct brokerrig_client *p = brokerrig_client("p", true, false), *c = brokerrig_client("c", false, false);
  brokerrig_subscribed(c, "t", 2);
  const uint8_t qos[] = { 1, 2, 1, 2, 2, 0, 1 };
  for (int i = 0; i < 7; i++) brokerrig_publish(p, "t", (char[]){ (char)('1' + i), 0 }, qos[i], false);
  brokerrig_skip(c);
  brokerrig_ack(c, SPEC_PUBACK, 3);
  brokerrig_ack(c, SPEC_PUBREC, 4);
  brokerrig_ack(c, SPEC_PUBREC, 5);
  brokerrig_ack(c, SPEC_PUBCOMP, 5);
  brokerrig_expect(c, "PUBREL id 4; PUBREL id 5");
  brokerrig_gone(c);
  brokerrig_publish(p, "t", "at 0 it is not kept", 0, false);
  brokerrig_publish(p, "t", "8", 2, false);
  for (int round = 0; round < 2; round++) {
    c = resume("c");
    brokerrig_expect(c, round == 0 ? "CONNACK 1 0; PUBLISH q1 dup t=1 id 1; PUBLISH q2 dup t=2 id 2; PUBREL id 4; "
                                     "PUBLISH q1 dup t=7 id 6; PUBLISH q2 t=8 id 7"
                                   : "CONNACK 1 0; PUBLISH q1 dup t=1 id 1; PUBLISH q2 dup t=2 id 2; PUBREL id 4; "
                                     "PUBLISH q1 dup t=7 id 6; PUBLISH q2 dup t=8 id 7");
    if (round == 0) brokerrig_gone(c);
  }
  brokerrig_ack(c, SPEC_PUBCOMP, 4);
  brokerrig_ack(c, SPEC_PUBREC, 2);
  brokerrig_ack(c, SPEC_PUBREC, 2);
  brokerrig_expect(c, "PUBREL id 2; PUBREL id 2");
  brokerrig_gone(c);
  brokerrig_gone(p);
}

/* Acknowledgements that do not fit change nothing. */
static void test_wrong_acks(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", false, false);
  brokerrig_subscribed(c, "t", 2);
  brokerrig_send(c, brokerrig_message("t", "1", 1, 1));
  brokerrig_send(c, brokerrig_message("t", "2", 2, 2));
  brokerrig_skip(c);
  brokerrig_ack(c, SPEC_PUBREC, 1);
  brokerrig_ack(c, SPEC_PUBCOMP, 1);
  brokerrig_ack(c, SPEC_PUBACK, 2);
  brokerrig_ack(c, SPEC_PUBCOMP, 2);
  brokerrig_ack(c, SPEC_PUBACK, 3);
  brokerrig_ack(c, SPEC_PUBREC, 65535);
  brokerrig_expect(c, "");
  brokerrig_gone(c);
  c = resume("c");
  brokerrig_expect(c, "CONNACK 1 0; PUBLISH q1 dup t=1 id 1; PUBLISH q2 dup t=2 id 2");
  brokerrig_gone(c);
}

/* No more than the window in flight; beyond `queued_max` the newest are dropped, and counted. QoS 0 passes the window.
 */
static void test_limits(void **state) {
  (void)state;
  brokerrig_close(NULL);
  brokerrig_open(&(struct broker_options){ .inflight_max = 2, .queued_max = 3 });
  struct brokerrig_client *p = brokerrig_client("p", true, false), *c = brokerrig_client("c", false, false);
  brokerrig_subscribed(c, "t", 1);
  for (int i = 0; i < 7; i++) brokerrig_publish(p, "t", (char[]){ (char)('1' + i), 0 }, 1, false);
  brokerrig_publish(p, "t", "zero", 0, false);
  brokerrig_expect(c, "PUBLISH q1 t=1 id 1; PUBLISH q1 t=2 id 2; PUBLISH q0 t=zero");
  assert_int_equal(broker_stats(brokerrig_broker).dropped, 2);
  brokerrig_ack(c, SPEC_PUBACK, 2);
  brokerrig_expect(c, "PUBLISH q1 t=3 id 3");
  brokerrig_gone(c);
  brokerrig_publish(p, "t", "8", 2, false);
  brokerrig_publish(p, "t", "9", 2, false);
  assert_int_equal(broker_stats(brokerrig_broker).dropped, 3);
  c = resume("c");
  brokerrig_expect(c, "CONNACK 1 0; PUBLISH q1 dup t=1 id 1; PUBLISH q1 dup t=3 id 3");
  brokerrig_ack(c, SPEC_PUBACK, 1);
  brokerrig_ack(c, SPEC_PUBACK, 3);
  brokerrig_expect(c, "PUBLISH q1 t=4 id 4; PUBLISH q1 t=5 id 5");
  brokerrig_ack(c, SPEC_PUBACK, 5);
  brokerrig_expect(c, "PUBLISH q1 t=8 id 6");
  brokerrig_gone(c);
  brokerrig_gone(p);
}

/* A client that does not read: its output stays below its limit and a packet, the rest waits in order, QoS 0 is dropped
 * once the queue is full; all that was kept comes when it reads. */
static void test_output_limit(void **state) {
  (void)state;
  enum { SIZE = 100000, FIT = BROKER_OUTPUT_MAX / SIZE + 1 };
  brokerrig_close(NULL);
  brokerrig_open(&(struct broker_options){ .queued_max = 8 });
  struct brokerrig_client *p = brokerrig_client("p", true, false), *c = brokerrig_client("c", true, false);
  char *payload = mem_zero(SIZE + 1), expected[4000] = "";
  memset(payload, '.', SIZE);
  brokerrig_subscribed(c, "t", 1);
  c->stalled = true;
  for (int i = 0, id = 0; i < FIT + 10; i++) {
    sprintf(payload, "%03d", i);
    payload[3] = '.';
    brokerrig_publish(p, "t", payload, i % 2, false);
    if (i >= FIT + 8) continue;
    sprintf(expected + strlen(expected), "%sPUBLISH q%d t=%.40s", i ? "; " : "", i % 2, payload);
    if (i % 2) sprintf(expected + strlen(expected), " id %d", ++id);
  }
  assert_in_range(broker_output(c->conn, brokerrig_now_ns).size, BROKER_OUTPUT_MAX, BROKER_OUTPUT_MAX + SIZE + 10);
  assert_int_equal(broker_stats(brokerrig_broker).dropped, 2);
  for (int i = 0; i < 200; i++) brokerrig_take(c, 9999);
  brokerrig_take(c, SIZE_MAX);
  brokerrig_expect(c, expected);
  c->stalled = false;
  brokerrig_publish(p, "t", "again", 0, false);
  brokerrig_expect(c, "PUBLISH q0 t=again");
  free(payload);
  brokerrig_gone(c);
  brokerrig_gone(p);
}

/* All 65,535 identifiers in flight to one client; the next message waits for one, and none is given twice. */
static void test_all_identifiers(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", true, false);
  struct packet m = { .type = SPEC_PUBLISH, .topic = slice_text("t"), .qos = 1 };
  brokerrig_subscribed(c, "t", 1);
  for (int i = 0; i < 65535 + 2; i++) {
    broker_publish(brokerrig_broker, &m, brokerrig_now_ns);
    brokerrig_run();
    brokerrig_skip(c);
  }
  assert_int_equal(broker_stats(brokerrig_broker).messages_out, 65535);
  brokerrig_ack(c, SPEC_PUBACK, 400);
  brokerrig_expect(c, "PUBLISH q1 t= id 400");
  brokerrig_ack(c, SPEC_PUBACK, 7);
  brokerrig_expect(c, "PUBLISH q1 t= id 7");
  brokerrig_gone(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, brokerrig_setup, brokerrig_close)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_resume), TEST(test_wrong_acks), TEST(test_limits), TEST(test_output_limit), TEST(test_all_identifiers),
  };
  return cmocka_run_group_tests_name("brokersession", tests, NULL, NULL);
}
