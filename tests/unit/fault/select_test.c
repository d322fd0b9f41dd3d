#include "injectrig.h"

#include "base/rng.h"

/* Ten packets of many kinds; a dropping rule shows which of them it means. */
static const struct {
  const char *topic;
  uint8_t qos;
  uint16_t id;
  size_t size;
  bool dup, retain;
} sent[] = {
  { "a/1", 0, 0, 5, false, false },  { "a/2", 1, 1, 10, false, false }, { "b/1", 2, 2, 200, false, true },
  { "a/1", 1, 3, 0, true, false },   { "$x/1", 1, 4, 5, false, false }, { "a/b/c", 0, 0, 3000, false, true },
  { "b", 2, 65535, 7, true, false }, { "a", 1, 6, 5, false, false },
};
#define SENT (sizeof sent / sizeof sent[0])

static void append_sent(struct buffer *to, size_t i) {
  size_t start = buffer_size(to);
  injectrig_publish(to, sent[i].topic, sent[i].qos, sent[i].id, sent[i].size);
  to->data[to->start + start] |= (uint8_t)(sent[i].dup << 3 | sent[i].retain);
}

/* Feeds CONNECT and all of them; says which were dropped, as "0 3 ". */
static void expect_dropped(const char *rule, const char *dropped) {
  struct injectrig rig;
  char got[64] = "";
  injectrig_init(&rig, true);
  injectrig_rule(&rig, rule);
  struct buffer b;
  buffer_init(&b, 10000);
  injectrig_connect(&b, "client-7");
  injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&b));
  buffer_fini(&b);
  buffer_fini(&rig.got[CHAIN_OUT]);
  for (size_t i = 0; i < SENT; i++) {
    append_sent(&b, i);
    assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&b)), buffer_size(&b));
    if (buffer_size(&rig.got[CHAIN_OUT]) == 0) snprintf(got + strlen(got), 8, "%zu ", i);
    else injectrig_expect(&rig, CHAIN_OUT, buffer_slice(&b));
    buffer_fini(&b);
  }
  if (strcmp(got, dropped) != 0) fail_msg("%s: dropped %s, not %s", rule, got, dropped);
  injectrig_fini(&rig);
}

static void test_selectors(void **state) {
  (void)state;
  expect_dropped("up PUBLISH drop", "0 1 2 3 4 5 6 7 ");
  expect_dropped("down PUBLISH drop", "");
  expect_dropped("both any drop", "0 1 2 3 4 5 6 7 ");
  expect_dropped("up PUBACK,CONNECT drop", "");
  expect_dropped("up PUBLISH qos 0 drop", "0 5 ");
  expect_dropped("up PUBLISH qos 2 drop", "2 6 ");
  expect_dropped("up PUBLISH id 65535 drop", "6 ");
  expect_dropped("up PUBLISH id 0 drop", "");
  expect_dropped("up PUBLISH topic a/# drop", "0 1 3 5 7 ");
  expect_dropped("up PUBLISH topic +/1 drop", "0 2 3 ");
  expect_dropped("up PUBLISH dup true drop", "3 6 ");
  expect_dropped("up PUBLISH retain true drop", "2 5 ");
  expect_dropped("up PUBLISH size 200 drop", "2 5 ");
  expect_dropped("up PUBLISH size 14 19 drop", "1 4 6 ");
  expect_dropped("up PUBLISH client client-? drop", "0 1 2 3 4 5 6 7 ");
  expect_dropped("up PUBLISH client *7 drop", "0 1 2 3 4 5 6 7 ");
  expect_dropped("up PUBLISH client *8 drop", "");
  expect_dropped("up any reason 0 drop", "");
}

static void test_occurrences(void **state) {
  (void)state;
  expect_dropped("up PUBLISH first drop", "0 ");
  expect_dropped("up PUBLISH nth 3 drop", "2 ");
  expect_dropped("up PUBLISH range 2 4 drop", "1 2 3 ");
  expect_dropped("up PUBLISH every 3 drop", "2 5 ");
  expect_dropped("up PUBLISH times 2 drop", "0 1 ");
  expect_dropped("up PUBLISH every 2 times 3 drop", "1 3 5 ");
  expect_dropped("up PUBLISH qos 1 nth 2 drop", "3 ");
  expect_dropped("up PUBLISH prob 0 drop", "");
  expect_dropped("up PUBLISH prob 1 drop", "0 1 2 3 4 5 6 7 ");
}

/* Occurrences are counted on each connection by itself, or over all with `across`. */
static void count_on_two(const char *text, unsigned fired) {
  struct injectrig rig;
  struct slice none = { 0 }, ping = slice_of("\xc0\x00", 2);
  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, text);
  struct filter *other = inject_new(rig.scope, NULL, true, none, none);
  for (int i = 0; i < 2; i++) {
    injectrig_feed(&rig, CHAIN_OUT, ping);
    assert_int_equal(other->ops->take(other, CHAIN_OUT, ping, 0), 2);
  }
  assert_int_equal(scope_seen(rule), 4);
  assert_int_equal(scope_fired(rule), fired);
  other->ops->free(other);
  injectrig_fini(&rig);
}

static void test_across(void **state) {
  (void)state;
  count_on_two("up PINGREQ nth 2 drop", 2);
  count_on_two("up PINGREQ nth 2 across drop", 1);
  count_on_two("up PINGREQ nth 4 across drop", 1);
  count_on_two("up PINGREQ times 1 drop", 2);
  count_on_two("up PINGREQ times 1 across drop", 1);
}

/* A draw belongs to rule, connection and occurrence: it comes out the same whatever else is installed behind it. */
static void test_prob_is_seeded(void **state) {
  (void)state;
  unsigned fired[2];
  for (int round = 0; round < 2; round++) {
    struct injectrig rig;
    injectrig_init(&rig, true);
    struct scope_rule *rule = injectrig_rule(&rig, "up PINGREQ prob 0.3 drop");
    if (round) injectrig_rule(&rig, "up PINGREQ prob 0.5 drop");
    for (int i = 0; i < 3000; i++) injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00", 2));
    fired[round] = (unsigned)scope_fired(rule);
    injectrig_fini(&rig);
  }
  assert_int_equal(fired[0], fired[1]);
  assert_in_range(fired[0], 800, 1000);
}

static void test_reason(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "down CONNACK,SUBACK reason 0x80 drop");
  injectrig_feed(&rig, CHAIN_IN, slice_of("\x20\x02\x00\x00\x90\x04\x00\x01\x01\x80\x90\x03\x00\x01\x01", 15));
  injectrig_expect(&rig, CHAIN_IN, slice_of("\x20\x02\x00\x00\x90\x03\x00\x01\x01", 9));
  injectrig_fini(&rig);
}

/* A malformed packet is matched by its type; not by fields that it does not have. */
static void test_malformed(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK id 1 drop");
  injectrig_rule(&rig, "up SUBSCRIBE drop");
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\x40\x01\x00\x82\x01\x00", 6));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40\x01\x00", 3));
  injectrig_fini(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_selectors), cmocka_unit_test(test_occurrences),
                                      cmocka_unit_test(test_across),    cmocka_unit_test(test_prob_is_seeded),
                                      cmocka_unit_test(test_reason),    cmocka_unit_test(test_malformed) };
  return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
