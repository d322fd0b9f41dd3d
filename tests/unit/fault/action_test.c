#include "injectrig.h"

#define MS 1000000

#define PING   slice_of("\xc0\x00", 2)
#define ACK(n) "\x40\x02\x00" n

/* Each action and position on a packet in the middle of three: what comes out, how it ends, and how much of it was
 * taken. */
static const struct {
  const char *rule, *out;
  size_t out_size, taken;
  enum chain_end end;
  bool writing;
} rows[] = {
  { "up PUBACK id 2 drop", ACK("\1") ACK("\3"), 8, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 hold", ACK("\1") ACK("\3"), 8, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 inject hex:c000", ACK("\1") ACK("\2") "\xc0\x00" ACK("\3"), 14, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 before inject hex:c000", ACK("\1") "\xc0\x00" ACK("\2") ACK("\3"), 14, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte 1 inject hex:ff", ACK("\1") "\x40\xff\x02\x00\x02" ACK("\3"), 13, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte -1 inject hex:ff", ACK("\1") "\x40\x02\x00\xff\x02" ACK("\3"), 13, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 rst", ACK("\1"), 4, 4, CHAIN_RESET, true },
  { "up PUBACK id 2 before rst", ACK("\1"), 4, 4, CHAIN_RESET, true },
  { "up PUBACK id 2 at_byte 0 rst", ACK("\1"), 4, 4, CHAIN_RESET, true },
  { "up PUBACK id 2 at_byte 3 rst", ACK("\1") "\x40\x02\x00", 7, 7, CHAIN_RESET, false },
  { "up PUBACK id 2 at_byte -3 rst", ACK("\1") "\x40", 5, 5, CHAIN_RESET, false },
  { "up PUBACK id 2 at_byte 4 rst", ACK("\1") ACK("\2"), 8, 8, CHAIN_RESET, false },
  { "up PUBACK id 2 after_packet rst", ACK("\1") ACK("\2"), 8, 8, CHAIN_RESET, false },
  { "up PUBACK id 2 at_byte 5 rst", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte -5 rst", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte 2 fin", ACK("\1") "\x40\x02", 6, 6, CHAIN_FIN, false },
  { "up PUBACK id 2 after_packet close", ACK("\1") ACK("\2"), 8, 8, CHAIN_CLOSE, false },
  { "up PUBACK id 2 close", ACK("\1"), 4, 4, CHAIN_CLOSE, false },
  { "up PUBACK id 2 stall", ACK("\1"), 4, 4, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte 1 stall", ACK("\1") "\x40", 5, 5, CHAIN_NONE, false },
  { "up PUBACK id 2 after_packet stall", ACK("\1") ACK("\2"), 8, 8, CHAIN_NONE, false },
  { "up PUBACK id 2 blackhole", ACK("\1"), 4, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte 3 blackhole", ACK("\1") "\x40\x02\x00", 7, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 delay 1ms", ACK("\1"), 4, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 at_byte 2 delay 1ms", ACK("\1") "\x40\x02", 6, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 after_packet delay 1ms", ACK("\1") ACK("\2"), 8, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 split 1", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 split 3 1ms", ACK("\1") "\x40\x02\x00", 7, 12, CHAIN_NONE, false },
  { "up bytes at_byte 5 rst", ACK("\1") "\x40", 5, 5, CHAIN_RESET, false },
  { "up bytes at_byte 8 rst", ACK("\1") ACK("\2"), 8, 8, CHAIN_RESET, false },
  { "up bytes rst", "", 0, 0, CHAIN_RESET, true },
  { "up bytes at_byte 6 blackhole", ACK("\1") "\x40\x02", 6, 12, CHAIN_NONE, false },
  { "up bytes at_byte 6 inject hex:ffff", ACK("\1") "\x40\x02\xff\xff\x00\x02" ACK("\3"), 14, 12, CHAIN_NONE, false },
};

static void check_row(size_t i) {
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, rows[i].rule);
  size_t taken = injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2") ACK("\3"), 12));
  if (taken != rows[i].taken || rig.ends[CHAIN_OUT] != rows[i].end || rig.filter->writing != rows[i].writing)
    fail_msg("%s: took %zu, end %d, writing %d", rows[i].rule, taken, rig.ends[CHAIN_OUT], rig.filter->writing);
  if (buffer_size(&rig.got[CHAIN_OUT]) != rows[i].out_size) print_error("%s: ", rows[i].rule);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(rows[i].out, rows[i].out_size));
  if (rows[i].end) assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 0);
  injectrig_fini(&rig);
}

static void test_rows(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check_row(i);
}

/* Coming in, what is behind an end that a rule made is let go, so that the other side never blocks on it. */
static void test_rst_in(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "down PUBACK id 2 at_byte 2 rst");
  assert_int_equal(injectrig_feed(&rig, CHAIN_IN, slice_of(ACK("\1") ACK("\2") ACK("\3"), 12)), 12);
  injectrig_expect(&rig, CHAIN_IN, slice_of(ACK("\1") "\x40\x02", 6));
  assert_int_equal(rig.ends[CHAIN_IN], CHAIN_RESET);
  assert_int_equal(injectrig_feed(&rig, CHAIN_IN, PING), 2);
  assert_string_equal(rig.log, "down rst #2 @6; ");
  injectrig_fini(&rig);
}

/* A delay holds everything behind it, and packets delayed one after the other each wait from when they came. */
static void test_delay(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK delay 10ms");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1"), 4));
  injectrig_until(&rig, 4 * MS);
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\2"), 4));
  injectrig_end(&rig, CHAIN_OUT, CHAIN_FIN);
  injectrig_until(&rig, 9 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("", 0));
  injectrig_until(&rig, 10 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") "\xc0\x00", 6));
  injectrig_until(&rig, 13 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("", 0));
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_NONE);
  injectrig_until(&rig, 14 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\2"), 4));
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_FIN);
  injectrig_fini(&rig);
}

static void test_split(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK split 1");
  rig.stuck = true;
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00" ACK("\1") "\xc0\x00\xc0\x00", 10));
  rig.stuck = false;
  injectrig_drain(&rig);
  assert_int_equal(rig.pieces[CHAIN_OUT], 1 + 4 + 1);
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up bytes split 3 2ms");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2"), 8));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40\x02\x00", 3));
  injectrig_until(&rig, 2 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x01\x40\x02", 3));
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\3"), 4));
  injectrig_until(&rig, 4 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x00\x02\x40", 3));
  injectrig_until(&rig, 6 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x02\x00\x03", 3));
  injectrig_fini(&rig);
}

/* What is in a black hole is gone; one with a duration lets packets pass again, whole ones. */
static void test_blackhole_ends(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK first at_byte 1 blackhole 5ms");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2") "\x40\x02", 10));
  injectrig_until(&rig, 5 * MS);
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\x00\x03" ACK("\4"), 6));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40" ACK("\4"), 5));
  injectrig_end(&rig, CHAIN_OUT, CHAIN_CLOSE);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_CLOSE);
  injectrig_fini(&rig);
}

/* What stands behind a stall is not taken; it is offered again, and taken, when the stall is over. */
static void test_stall_ends(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, "up PUBACK at_byte 1 stall 5ms");
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2"), 8)), 1);
  injectrig_until(&rig, 4 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40", 1));
  injectrig_until(&rig, 5 * MS);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_of("\x02\x00", 2)), 2);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x02\x00\x01", 3));
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_of("\x01" ACK("\2") ACK("\3"), 9)), 2);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40", 1));
  scope_remove(rule);
  injectrig_drain(&rig);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x02\x00\x02", 3));
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_of("\x02\x00\x02\xc0\x00", 5)), 5);
  injectrig_expect(&rig, CHAIN_OUT, PING);
  injectrig_fini(&rig);
}

/* `fin` of the other direction leaves this one as it is. */
static void test_fin_other_way(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK first fin down");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1"), 4));
  injectrig_feed(&rig, CHAIN_IN, PING);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1"), 4));
  injectrig_expect(&rig, CHAIN_IN, slice_of("", 0));
  assert_int_equal(rig.ends[CHAIN_IN], CHAIN_FIN);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_NONE);
  injectrig_fini(&rig);
}

/* Ends passing by are something that a rule can act on. */
static void test_close_rules(void **state) {
  static const struct {
    const char *rule, *out;
    size_t size;
    enum chain_end end;
  } closes[] = {
    { "down close drop", "", 0, CHAIN_NONE },
    { "down close rst", "", 0, CHAIN_RESET },
    { "up close drop", "", 0, CHAIN_FIN },
    { "down close inject hex:c000", "\xc0\x00", 2, CHAIN_FIN },
    { "down close stall", "", 0, CHAIN_NONE },
    { "down close nth 2 drop", "", 0, CHAIN_FIN },
    { "down close client x drop", "", 0, CHAIN_FIN },
  };
  (void)state;
  for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
    struct injectrig rig;
    injectrig_init(&rig, true);
    injectrig_rule(&rig, closes[i].rule);
    injectrig_end(&rig, CHAIN_IN, CHAIN_FIN);
    injectrig_expect(&rig, CHAIN_IN, slice_of(closes[i].out, closes[i].size));
    if (rig.ends[CHAIN_IN] != closes[i].end) fail_msg("%s: end %d", closes[i].rule, rig.ends[CHAIN_IN]);
    injectrig_fini(&rig);
  }
}

static void test_hold_and_release(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  struct scope_rule *hold = injectrig_rule(&rig, "up PUBACK hold");
  injectrig_rule(&rig, "up PUBACK id 2 drop");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2") ACK("\3") ACK("\4") "\xc0\x00", 18));
  injectrig_expect(&rig, CHAIN_OUT, PING);
  assert_int_equal(scope_release(hold, 1), 1);
  injectrig_drain(&rig);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1"), 4));
  /* What is let go meets the rules behind. In the middle of another packet it waits for the end of that one. */
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\x30\x07\x00", 3));
  assert_int_equal(scope_release(hold, 2), 2);
  injectrig_drain(&rig);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x30\x07\x00", 3));
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\1adata", 6));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\1adata" ACK("\3"), 10));
  /* All: and the rule is over. */
  assert_int_equal(scope_release(hold, 0), 1);
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\5"), 4));
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\4") ACK("\5"), 8));
  assert_int_equal(scope_release(hold, 1), 0);
  injectrig_fini(&rig);
}

/* An end that was held goes on when it is released, also behind half a packet. */
static void test_hold_an_end(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  struct scope_rule *hold = injectrig_rule(&rig, "down close hold");
  injectrig_feed(&rig, CHAIN_IN, slice_of("\x40\x02\x00", 3));
  injectrig_end(&rig, CHAIN_IN, CHAIN_FIN);
  injectrig_expect(&rig, CHAIN_IN, slice_of("\x40\x02\x00", 3));
  assert_int_equal(rig.ends[CHAIN_IN], CHAIN_NONE);
  assert_int_equal(scope_release(hold, 1), 1);
  injectrig_drain(&rig);
  assert_int_equal(rig.ends[CHAIN_IN], CHAIN_FIN);
  injectrig_fini(&rig);
}

/* Hooks. */

static bool rewrite_twice(void *arg, const struct packet *p, struct buffer *out) {
  (void)arg;
  return p->packet_id == 3 ? false : p->packet_id == 2 || (buffer_append(out, p->raw) && buffer_append(out, p->raw));
}

static bool is_even(void *arg, const struct packet *p) {
  (void)arg;
  return p->packet_id % 2 == 0;
}

static void test_rewrite_and_where(void **state) {
  (void)state;
  struct injectrig rig;
  struct slice all = slice_of(ACK("\1") ACK("\2") ACK("\3"), 12);
  injectrig_init(&rig, true);
  injectrig_rule_with(&rig, "up PUBACK rewrite", &(struct rule_hooks){ .rewrite = rewrite_twice });
  struct scope_rule *second = injectrig_rule(&rig, "up PUBACK id 1 nth 2 drop");
  injectrig_feed(&rig, CHAIN_OUT, all);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\3"), 8));
  assert_int_equal(scope_seen(second), 2);
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  injectrig_rule_with(&rig, "up PUBACK drop", &(struct rule_hooks){ .where = is_even });
  injectrig_feed(&rig, CHAIN_OUT, all);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\3"), 8));
  injectrig_fini(&rig);
}

/* Rules run one after the other: what an earlier one makes, a later one sees. */
static void test_pipeline(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PINGREQ inject hex:40020009");
  injectrig_rule(&rig, "up PUBACK id 9 inject hex:e000");
  injectrig_rule(&rig, "up DISCONNECT drop");
  injectrig_rule(&rig, "up PINGREQ drop");
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40\x02\x00\x09", 4));
  assert_string_equal(rig.log, "up inject #1 @2; up drop #1 @0; up inject #1 @4; up drop #1 @0; ");
  injectrig_fini(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_rst_in),
    cmocka_unit_test(test_delay),
    cmocka_unit_test(test_split),
    cmocka_unit_test(test_blackhole_ends),
    cmocka_unit_test(test_stall_ends),
    cmocka_unit_test(test_fin_other_way),
    cmocka_unit_test(test_close_rules),
    cmocka_unit_test(test_hold_and_release),
    cmocka_unit_test(test_hold_an_end),
    cmocka_unit_test(test_rewrite_and_where),
    cmocka_unit_test(test_pipeline),
  };
  return cmocka_run_group_tests_name("action", tests, NULL, NULL);
}
