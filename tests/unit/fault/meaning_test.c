#include "injectrig.h"

#include "base/rng.h"
#include "fault/scope_fields.h"

/* The eight meanings of rules, each with its test. Number 4 at large is segmentation_test.c; number 5 over a real
 * connection is in injectlink_test.c. */

#define MS INT64_C(1000000)

#define PING   slice_of("\xc0\x00", 2)
#define ACK(n) "\x40\x02\x00" n
#define ACKS   slice_of(ACK("\1") ACK("\2") ACK("\3"), 12)

/* 1: rules run in the order in which they were installed; what transforms hands its result on, what ends, ends. */
static void test_1_rules_are_a_pipeline(void **state) {
  static const struct {
    const char *rules[3], *out;
    size_t size;
    enum chain_end end;
  } rows[] = {
    { { "up PUBACK id 2 dup 1", "up PUBACK id 2 nth 2 drop", "" }, ACK("\1") ACK("\2") ACK("\3"), 12, CHAIN_NONE },
    { { "up PUBACK id 2 nth 2 drop", "up PUBACK id 2 dup 1", "" },
      ACK("\1") ACK("\2") ACK("\2") ACK("\3"),
      16,
      CHAIN_NONE },
    { { "up PUBACK id 2 corrupt byte=3,bit=0", "up PUBACK id 3 first drop", "" }, ACK("\1") ACK("\3"), 8, CHAIN_NONE },
    { { "up PUBACK id 2 corrupt byte=0,bit=7", "up PUBACK id 2 drop", "up CONNACK drop" },
      ACK("\1") "\xc0\x02\x00\x02" ACK("\3"),
      12,
      CHAIN_NONE },
    { { "up PUBACK id 1 overtake", "up PUBACK first drop", "" }, ACK("\1") ACK("\3"), 8, CHAIN_NONE },
    { { "up PUBACK id 2 inject hex:40020009", "up PUBACK id 9 inject hex:c000", "up PINGREQ drop" },
      ACK("\1") ACK("\2") ACK("\x09") ACK("\3"),
      16,
      CHAIN_NONE },
    { { "up PUBACK id 2 drop", "up PUBACK id 2 rst", "up PUBACK id 2 inject hex:c000" },
      ACK("\1") ACK("\3"),
      8,
      CHAIN_NONE },
    { { "up PUBACK id 2 close", "up PUBACK id 3 vanish", "up PUBACK id 2 inject hex:c000" },
      ACK("\1"),
      4,
      CHAIN_CLOSE },
    { { "up PUBACK id 3 vanish", "up PUBACK id 2 close", "" }, ACK("\1"), 4, CHAIN_CLOSE },
    { { "up PUBACK id 2 truncate 3", "up PUBACK nth 2 drop", "" }, ACK("\1") "\x40\x02\x00", 7, CHAIN_NONE },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct injectrig rig;
    injectrig_init(&rig, true);
    for (size_t r = 0; r < 3 && rows[i].rules[r][0]; r++) injectrig_rule(&rig, rows[i].rules[r]);
    injectrig_feed(&rig, CHAIN_OUT, ACKS);
    if (buffer_size(&rig.got[CHAIN_OUT]) != rows[i].size) print_error("%s: ", rows[i].rules[0]);
    injectrig_expect(&rig, CHAIN_OUT, slice_of(rows[i].out, rows[i].size));
    assert_int_equal(rig.ends[CHAIN_OUT], rows[i].end);
    injectrig_fini(&rig);
  }
}

static size_t passes(struct filter *f, struct slice bytes) {
  assert_int_equal(f->ops->take(f, CHAIN_OUT, bytes, 0), bytes.size);
  size_t n = f->ops->give(f, CHAIN_OUT, 0).size;
  f->ops->gave(f, CHAIN_OUT, n, 0);
  return n;
}

/* 2: occurrences are counted for each rule and each connection; across, over all connections. */
static void test_2_occurrences_are_counted(void **state) {
  static const struct {
    const char *rule;
    unsigned dropped; /* a bit for each of six packets, given to three connections in turn */
  } rows[] = {
    { "up PINGREQ nth 2 drop", 0x38 },          { "up PINGREQ nth 2 across drop", 0x02 },
    { "up PINGREQ first drop", 0x07 },          { "up PINGREQ first across drop", 0x01 },
    { "up PINGREQ times 1 drop", 0x07 },        { "up PINGREQ times 1 across drop", 0x01 },
    { "up PINGREQ every 3 across drop", 0x24 },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct injectrig rig;
    struct slice none = { 0 };
    unsigned dropped = 0;
    injectrig_init(&rig, true);
    injectrig_rule(&rig, rows[i].rule);
    injectrig_rule(&rig, "up PINGREQ nth 1000 drop"); /* another rule has counts of its own */
    struct filter *f[3] = { rig.filter, inject_new(rig.scope, NULL, true, none, none),
                            inject_new(rig.scope, NULL, true, none, none) };
    for (unsigned n = 0; n < 6; n++) dropped |= (passes(f[n % 3], PING) == 0) << n;
    if (dropped != rows[i].dropped) fail_msg("%s: %x", rows[i].rule, dropped);
    f[1]->ops->free(f[1]);
    f[2]->ops->free(f[2]);
    injectrig_fini(&rig);
  }
}

/* 3: a byte stream loses nothing and keeps its order: what delays, slows, stalls, cuts or gathers holds all behind it.
 */
static void test_3_a_stream_keeps_its_order(void **state) {
  static const char *const rules[] = {
    "both %s delay normal(5ms,5ms)",
    "both %s delay pareto(1ms,1)",
    "both %s rate 900",
    "both %s stall 7ms",
    "both %s split 3 1ms",
    "both %s coalesce 50 9ms",
    "both %s at_byte 1 delay 8ms",
  };
  static const char *const whats[] = { "bytes", "any", "PUBACK", "PUBLISH every 2", "PINGREQ prob 0.3" };
  (void)state;
  struct rng rng = { 4 };
  for (int round = 0; round < 400; round++) {
    struct injectrig rig;
    struct buffer all;
    char text[80];
    enum chain_direction d = rng_below(&rng, 2) ? CHAIN_OUT : CHAIN_IN;
    buffer_init(&all, 1 << 20);
    injectrig_init(&rig, true);
    for (int i = 0; i < 3; i++) {
      const char *what = whats[rng_below(&rng, 5)];
      snprintf(text, sizeof text, rules[rng_below(&rng, 7)], what);
      injectrig_rule(&rig, text);
    }
    for (int n = 0; n < 30; n++) {
      size_t from = buffer_size(&all);
      uint8_t ack[4] = { 0x40, 2, 0, (uint8_t)n };
      if (n % 3) buffer_append(&all, slice_of(ack, 4));
      else injectrig_publish(&all, "a", 0, 0, rng_below(&rng, 40));
      struct slice rest = slice_from(buffer_slice(&all), from);
      while ((rest = slice_from(rest, injectrig_feed(&rig, d, rest))).size)
        injectrig_until(&rig, rig.now_ns + (int64_t)rng_below(&rng, 9000000));
    }
    injectrig_end(&rig, d, CHAIN_FIN);
    injectrig_until(&rig, INT64_C(1) << 55);
    injectrig_expect(&rig, d, buffer_slice(&all));
    assert_int_equal(rig.ends[d], CHAIN_FIN);
    injectrig_fini(&rig);
    buffer_fini(&all);
  }
}

/* 4: fed one byte at a time, five at a time, or all at once, the same comes out. */
static void test_4_segmentation_does_not_matter(void **state) {
  static const char *const rules[] = {
    "both PUBACK id 2 at_byte 3 rst",
    "both PUBACK id 2 dup 2",
    "both PUBACK id 1 overtake 2",
    "both PUBACK id 2 truncate 1",
    "both PUBACK id 2 at_byte -1 inject hex:ff",
    "both PUBACK id 2 corrupt byte=1,bit=1",
    "both bytes at_byte 7 blackhole",
    "both PUBACK id 2 at_byte 2 slow_close 1s",
  };
  (void)state;
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
    for (int d = CHAIN_OUT; d <= CHAIN_IN; d++) {
      struct injectrig rigs[3];
      static const size_t steps[] = { 12, 5, 1 };
      for (size_t s = 0; s < 3; s++) {
        injectrig_init(&rigs[s], true);
        injectrig_rule(&rigs[s], rules[i]);
        for (size_t at = 0; at < 12; at += steps[s])
          if (injectrig_feed(&rigs[s], d, slice_first(slice_from(ACKS, at), steps[s])) < steps[s]) break;
        injectrig_until(&rigs[s], 2000 * MS);
        assert_int_equal(rigs[s].ends[d], rigs[0].ends[d]);
        assert_string_equal(rigs[s].log, rigs[0].log);
        if (s) injectrig_expect(&rigs[s], d, buffer_slice(&rigs[0].got[d]));
      }
      for (size_t s = 0; s < 3; s++) injectrig_fini(&rigs[s]);
    }
  }
}

/* 5: what stands before a reset goes out before it, whatever holds it up. */
static void test_5_a_reset_comes_behind_the_bytes(void **state) {
  static const char *const rules[] = { "both PUBACK id 1 delay 1s", "both any rate 3", "both any split 1 10ms",
                                       "both any coalesce 100 1s" };
  (void)state;
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
    for (int order = 0; order < 2; order++) {
      struct injectrig rig;
      injectrig_init(&rig, true);
      if (order) injectrig_rule(&rig, rules[i]);
      injectrig_rule(&rig, "both PUBACK id 2 at_byte 3 rst");
      if (!order) injectrig_rule(&rig, rules[i]);
      injectrig_feed(&rig, CHAIN_OUT, ACKS);
      /* Where bytes are gathered, none can come behind a reset: it does not wait for any. */
      if (i < 3 || order) assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_NONE);
      injectrig_until(&rig, 60000 * MS); /* the rig asserts that no byte comes behind an end */
      injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") "\x40\x02\x00", 7));
      assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_RESET);
      injectrig_fini(&rig);
    }
  }
}

/* 6: a rule with an occurrence that did not fire has failed, unless it may; others only if they must. */
static void test_6_what_was_to_fire_fires(void **state) {
  static const struct {
    const char *rule;
    bool met_unseen, met_once;
  } rows[] = {
    { "up PINGREQ drop", true, true },
    { "up PINGREQ first drop", false, true },
    { "up PINGREQ nth 2 drop", false, false },
    { "up PINGREQ nth 2 drop may_fire", true, true },
    { "up PINGREQ drop must_fire", false, true },
    { "up PINGREQ drop must_fire 2", false, false },
    { "up PINGREQ at 0 drop", false, true },
    { "up PINGREQ during 0 9 first drop", false, true },
    { "up PINGREQ during 0 9 drop", true, true },
    { "up PINGREQ prob 0 drop", true, true },
    { "up PINGREQ first at_byte 9 rst", false, false },
    { "up PINGREQ first truncate 9", false, false },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct injectrig rig;
    struct err why = { "" };
    injectrig_init(&rig, true);
    struct scope_rule *r = injectrig_rule(&rig, rows[i].rule);
    if (scope_met(r, &why) != rows[i].met_unseen) fail_msg("%s: unseen", rows[i].rule);
    injectrig_feed(&rig, CHAIN_OUT, PING);
    if (scope_met(r, &why) != rows[i].met_once) fail_msg("%s: once", rows[i].rule);
    if (!rows[i].met_once) assert_non_null(strstr(why.text, rows[i].rule));
    injectrig_fini(&rig);
  }
}

struct told {
  struct scope_firing firings[8];
  size_t count;
};

static void told_fired(void *arg, const struct scope_firing *f) {
  struct told *told = arg;
  assert_true(told->count < 8);
  told->firings[told->count++] = *f;
}

/* 7: every firing is an event: rule, connection, direction, packet, offset, time. */
static void test_7_every_firing_is_told(void **state) {
  (void)state;
  struct injectrig rig;
  struct told told = { .count = 0 };
  injectrig_init(&rig, true);
  rig.scope->fired = told_fired;
  rig.scope->arg = &told;
  struct scope_rule *second = injectrig_rule(&rig, "both PUBACK nth 2 at_byte 3 delay 1ms");
  struct scope_rule *bytes = injectrig_rule(&rig, "both bytes at_byte 5 delay 0");
  struct scope_rule *end = injectrig_rule(&rig, "both close drop");
  rig.now_ns = 5 * MS;
  injectrig_feed(&rig, CHAIN_IN, slice_of("\xc0\x00" ACK("\1") ACK("\2"), 10));
  injectrig_until(&rig, 9 * MS);
  injectrig_end(&rig, CHAIN_IN, CHAIN_FIN);
  const struct {
    struct scope_rule *rule;
    uint64_t index, offset;
    int64_t at_ns;
  } want[] = { { bytes, 0, 5, 5 * MS }, { second, 3, 9, 5 * MS }, { end, 0, 10, 9 * MS } };
  assert_int_equal(told.count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_ptr_equal(told.firings[i].rule, want[i].rule);
    assert_ptr_equal(told.firings[i].conn, &rig);
    assert_false(told.firings[i].up);
    assert_int_equal(told.firings[i].packet_index, want[i].index);
    assert_int_equal(told.firings[i].stream_offset, want[i].offset);
    assert_int_equal(told.firings[i].at_ns, want[i].at_ns);
  }
  injectrig_fini(&rig);
}

static bool mute_fails(void *arg, bool muted, struct err *err) {
  (void)arg;
  (void)muted;
  return err_set(err, "a Unix socket answers always");
}

/* 8: what cannot be done here is an error that says so: of the text, or of the place. */
static void test_8_what_cannot_be_done_says_so(void **state) {
  static const struct scope_place link = { .name = "a client's link", .never_accepts = true };
  static const struct scope_place peer = { .name = "a peer", .never_connects = true, .mute = mute_fails };
  static const struct scope_place conn = { .name = "a connection", .never_connects = true, .never_accepts = true };
  static const struct {
    const char *rule;
    const struct scope_place *place;
    const char *why;
  } rows[] = {
    { "tls alert internal_error", &link, "a client's link has no TLS of its own" },
    { "up any close_without_notify", NULL, "TLS" },
    { "up any loss 0.5", NULL, "simulation only" },
    { "up any heal", NULL, "simulation only" },
    { "up bytes drop", NULL, "cannot lose any" },
    { "up bytes overtake", NULL, "keeps its order" },
    { "up PUBLISH prop user_property drop", NULL, "MQTT 5.0" },
    { "up PUBLISH where drop", NULL, "needs a function" },
    { "up PUBLISH after nobody drop", NULL, "no rule that was installed here before" },
    { "connect dead_upstream", NULL, "only a proxy has an upstream" },
    { "accept no_answer", NULL, "no listener" },
    { "connect dead_upstream", &link, "a client's link is none" },
    { "accept refuse", &link, "a client's link never accepts a connection: say connect" },
    { "connect refuse", &peer, "a peer never connects: say accept" },
    { "accept no_answer", &peer, "a Unix socket answers always" },
    { "accept first no_answer", &peer, "`first` do not go together" },
    { "accept no_answer must_fire", &peer, "`must_fire` do not go together" },
    { "accept refuse", &conn, "a connection never accepts a connection" },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct scope *s = scope_new(1, NULL, NULL);
    struct err err = { "" };
    if (rows[i].place) scope_set_place(s, rows[i].place);
    struct rule *r = rule_parse(rows[i].rule, &err);
    if (r && scope_add(s, r, &err)) fail_msg("%s: was taken", rows[i].rule);
    if (!strstr(err.text, rows[i].why)) fail_msg("%s: %s", rows[i].rule, err.text);
    scope_free(s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_1_rules_are_a_pipeline),           cmocka_unit_test(test_2_occurrences_are_counted),
    cmocka_unit_test(test_3_a_stream_keeps_its_order),       cmocka_unit_test(test_4_segmentation_does_not_matter),
    cmocka_unit_test(test_5_a_reset_comes_behind_the_bytes), cmocka_unit_test(test_6_what_was_to_fire_fires),
    cmocka_unit_test(test_7_every_firing_is_told),           cmocka_unit_test(test_8_what_cannot_be_done_says_so),
  };
  return cmocka_run_group_tests_name("meaning", tests, NULL, NULL);
}
