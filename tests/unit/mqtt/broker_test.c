#include "base/rng.h"
#include "brokerrig.h"

/* What of a packet went over already, and raw bytes behind it. */
static void test_partial_out(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("c", true, false);
  brokerrig_subscribed(c, "t", 0);
  c->stalled = true;
  brokerrig_send(c, brokerrig_message("t", "one", 0, 0));
  brokerrig_send(c, brokerrig_message("t", "two", 0, 0));
  brokerrig_take(c, 10);
  assert_true(slice_equal(broker_partial_out(c->conn), slice_of("\x30\x06", 2)));
  brokerrig_take(c, 6);
  assert_int_equal(broker_partial_out(c->conn).size, 0);
  assert_true(broker_raw(c->conn, slice_of("\xd0\0\x30", 3)));
  brokerrig_take(c, SIZE_MAX);
  assert_true(slice_equal(broker_partial_out(c->conn), slice_of("\x30", 1)));
  assert_true(broker_raw(c->conn, slice_of("\x03\0\1x", 4)));
  brokerrig_take(c, SIZE_MAX);
  brokerrig_expect(c, "PUBLISH q0 t=one; PUBLISH q0 t=two; PINGRESP; PUBLISH q0 x=");
  /* What is no packet at all is not kept. */
  assert_true(broker_raw(c->conn, slice_of("\xff\xff\xff\xff\xff\xff", 6)));
  broker_wrote(c->conn, 6, brokerrig_now_ns);
  assert_int_equal(broker_partial_out(c->conn).size, 0);
  static uint8_t big[BROKER_OUTPUT_MAX];
  assert_true(broker_raw(c->conn, slice_of(big, sizeof big)));
  assert_false(broker_raw(c->conn, slice_of(big, 1)));
  brokerrig_gone(c);
}

/* A crowd of clients that do as the seed says; every byte that they are sent, as one number. */
static uint64_t crowd(uint64_t seed) {
  enum { COUNT = 20 };
  struct rng rng = { seed };
  struct brokerrig_client *c[COUNT];
  uint64_t sum = 0;
  brokerrig_open(&(struct broker_options){ .queued_max = 30, .inflight_max = 5 });
  for (int i = 0; i < COUNT; i++) c[i] = brokerrig_client((char[]){ (char)('a' + i), 0 }, i % 2, false);
  for (int round = 0; round < 2000; round++) {
    int i = (int)rng_below(&rng, COUNT);
    char topic[3] = { (char)('0' + rng_below(&rng, 3)), '/', (char)('0' + rng_below(&rng, 3)) };
    struct slice name = slice_of(topic, 3);
    switch (rng_below(&rng, 5)) {
    case 0: brokerrig_subscribe(c[i], rng_below(&rng, 2) ? "+/1" : "0/#", (uint8_t)rng_below(&rng, 3)); break;
    case 1: brokerrig_ack(c[i], SPEC_PUBACK, (uint16_t)(1 + rng_below(&rng, 9))); break;
    case 2:
      brokerrig_gone(c[i]);
      c[i] = brokerrig_accept();
      brokerrig_send(c[i], brokerrig_connect_packet((char[]){ (char)('a' + i), 0 }, i % 2));
      break;
    default:
      brokerrig_send(c[i], (struct packet){ .type = SPEC_PUBLISH,
                                            .topic = name,
                                            .payload = name,
                                            .qos = (uint8_t)rng_below(&rng, 3),
                                            .packet_id = 5,
                                            .retain = rng_below(&rng, 4) == 0 });
    }
    for (int j = 0; j < COUNT; j++) {
      for (size_t k = 0; k < c[j]->length; k++) sum = rng_mix(sum ^ (uint8_t)c[j]->text[k]);
      brokerrig_skip(c[j]);
    }
  }
  sum ^= broker_stats(brokerrig_broker).dropped;
  for (int i = 0; i < COUNT; i++) brokerrig_gone(c[i]);
  brokerrig_close(NULL);
  return sum;
}

/* Neither addresses nor the order in a table show in what comes out. */
static void test_same_again(void **state) {
  (void)state;
  brokerrig_close(NULL);
  for (uint64_t seed = 1; seed < 6; seed++) {
    uint64_t first = crowd(seed);
    void *shift = mem_zero(100003 * seed);
    assert_int_equal(crowd(seed), first);
    free(shift);
  }
  brokerrig_open(NULL);
}

/* A broker is freed with whatever it holds. */
static void test_freed_full(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_with(brokerrig_will_packet("c", false, "w", 1, true));
  brokerrig_subscribed(c, "#", 1);
  struct brokerrig_client *d = brokerrig_client("d", true, false);
  brokerrig_publish(d, "t", "m", 1, true);
  brokerrig_bytes(c, "\x30\x05\0", 3);
  struct broker_stats stats = broker_stats(brokerrig_broker);
  assert_int_equal(stats.connections, 2);
  assert_int_equal(stats.sessions, 2);
  assert_int_equal(stats.retained, 1);
  assert_int_equal(stats.subscriptions, 1);
  assert_int_equal(stats.messages_in, 1);
  assert_int_equal(stats.messages_out, 1);
  struct brokerrig_client *both[] = { c, d };
  for (int i = 0; i < 2; i++) {
    buffer_fini(&both[i]->got);
    free(both[i]->text);
    free(both[i]);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, brokerrig_setup, brokerrig_close)

int main(void) {
  const struct CMUnitTest tests[] = { TEST(test_partial_out), TEST(test_same_again), TEST(test_freed_full) };
  return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
