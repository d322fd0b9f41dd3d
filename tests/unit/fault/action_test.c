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
  { "up PUBACK id 2 vanish", ACK("\1"), 4, 4, CHAIN_VANISH, false },
  { "up PUBACK id 2 at_byte 3 vanish", ACK("\1") "\x40\x02\x00", 7, 7, CHAIN_VANISH, false },
  { "up PUBACK id 2 slow_close 1s", ACK("\1"), 4, 4, CHAIN_NONE, false },
  { "up PUBACK id 2 slow_close 0", ACK("\1"), 4, 4, CHAIN_CLOSE, false },
  { "up PUBACK id 2 at_byte 1 slow_close 0", ACK("\1") "\x40", 5, 5, CHAIN_CLOSE, false },
  { "up PUBACK id 2 dup 2", ACK("\1") ACK("\2") ACK("\2") ACK("\2") ACK("\3"), 20, 12, CHAIN_NONE, false },
  { "up PUBACK id 1 overtake", ACK("\2") ACK("\1") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 1 overtake 2", ACK("\2") ACK("\3") ACK("\1"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK overtake", ACK("\2") ACK("\1"), 8, 12, CHAIN_NONE, false },
  { "up PUBACK id 3 overtake", ACK("\1") ACK("\2"), 8, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 truncate 3", ACK("\1") "\x40\x02\x00" ACK("\3"), 11, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 truncate -3", ACK("\1") "\x40" ACK("\3"), 9, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 truncate 0", ACK("\1") ACK("\3"), 8, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 truncate 4", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 corrupt byte=3,bit=0", ACK("\1") ACK("\3") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 corrupt byte=1,bit=0", ACK("\1") "\x40\x03\x00\x02" ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 corrupt field=packet_id,byte=-1,bit=4", ACK("\1") ACK("\x12") ACK("\3"), 12, 12, CHAIN_NONE,
    false },
  { "up PUBACK id 2 corrupt byte=4", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up bytes corrupt byte=5,bit=7", ACK("\1") "\x40\x82\x00\x02" ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up bytes corrupt byte=8,bit=0", ACK("\1") ACK("\2") "\x41\x02\x00\x03", 12, 12, CHAIN_NONE, false },
  { "up bytes truncate 5", ACK("\1") "\x40", 5, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 coalesce 9 1s", ACK("\1"), 4, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 coalesce 4 1s", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up bytes coalesce 12", ACK("\1") ACK("\2") ACK("\3"), 12, 12, CHAIN_NONE, false },
  { "up bytes coalesce 13", "", 0, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 rate 1000", ACK("\1"), 4, 12, CHAIN_NONE, false },
  { "up bytes at_byte 6 rate 1", ACK("\1") "\x40\x02", 6, 12, CHAIN_NONE, false },
  { "up PUBACK id 2 rst who=client", ACK("\1"), 4, 4, CHAIN_RESET, true },
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

/* A reset for one end only: which of the two it spares depends on whose chain it is. */
static void test_who(void **state) {
  static const struct {
    const char *rule;
    bool out_is_up, owner, stream;
  } spared[] = {
    { "both PUBACK rst", true, false, false },
    { "both PUBACK rst who=both", true, false, false },
    { "both PUBACK rst who=client", true, false, true },
    { "both PUBACK rst who=broker", true, true, false },
    { "both PUBACK rst who=client", false, true, false },
    { "both PUBACK rst who=broker", false, false, true },
  };
  (void)state;
  for (size_t i = 0; i < sizeof spared / sizeof spared[0]; i++) {
    for (int d = CHAIN_OUT; d <= CHAIN_IN; d++) {
      struct injectrig rig;
      injectrig_init(&rig, spared[i].out_is_up);
      injectrig_rule(&rig, spared[i].rule);
      injectrig_feed(&rig, d, slice_of(ACK("\1"), 4));
      assert_int_equal(rig.ends[d], CHAIN_RESET);
      assert_int_equal(rig.filter->spares_owner, spared[i].owner);
      assert_int_equal(rig.filter->spares_stream, spared[i].stream);
      injectrig_fini(&rig);
    }
  }
}

/* Copies are made as there is room for them, and none is lost. */
static void test_many_copies(void **state) {
  (void)state;
  struct injectrig rig;
  struct buffer b;
  buffer_init(&b, 1 << 20);
  injectrig_publish(&b, "a", 0, 0, 100000);
  size_t size = buffer_size(&b);
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBLISH dup 10");
  injectrig_rule(&rig, "up PUBLISH dup 12");
  rig.stuck = true;
  injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&b));
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 0);
  rig.stuck = false;
  injectrig_drain(&rig);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 2);
  assert_int_equal(buffer_size(&rig.got[CHAIN_OUT]), 143 * size + 2);
  injectrig_fini(&rig);

  /* Rules that are taken out make no more of them. */
  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, "up PUBLISH dup 1000");
  rig.stuck = true;
  injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&b));
  scope_remove(rule);
  rig.stuck = false;
  injectrig_drain(&rig);
  assert_in_range(buffer_size(&rig.got[CHAIN_OUT]), 2 * size, 90 * size);
  assert_int_equal(buffer_size(&rig.got[CHAIN_OUT]) % size, 0);
  injectrig_fini(&rig);
  buffer_fini(&b);
}

/* Rules that double what comes, one after the other: what they make waits for room. */
static void test_doubling(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  for (int i = 0; i < 40; i++) injectrig_rule(&rig, "up any inject hex:c000");
  rig.stuck = true;
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 2);
  rig.stuck = false;
  for (int i = 0; i < 10; i++) {
    struct slice bytes = rig.filter->ops->give(rig.filter, CHAIN_OUT, 0);
    assert_true(bytes.size > 0 && bytes.size < 1 << 20);
    rig.filter->ops->gave(rig.filter, CHAIN_OUT, bytes.size, 0);
  }
  injectrig_fini(&rig);
}

/* What others were to overtake goes on when no more can come, and when the rule is taken out. */
static void test_overtake_none(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "both PUBACK overtake 5");
  for (int d = CHAIN_OUT; d <= CHAIN_IN; d++) {
    injectrig_feed(&rig, d, slice_of(ACK("\1") "\xc0\x00", 6));
    injectrig_expect(&rig, d, PING);
    injectrig_end(&rig, d, CHAIN_FIN);
    injectrig_expect(&rig, d, slice_of(ACK("\1"), 4));
    assert_int_equal(rig.ends[d], CHAIN_FIN);
  }
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, "up PUBACK overtake");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") "\x30\x03", 6));
  scope_remove(rule);
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\x00\x01g\xc0\x00", 5));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x30\x03\x00\x01g" ACK("\1") "\xc0\x00", 11));
  injectrig_fini(&rig);
}

/* The spot that is not said is drawn from the seed: another one for each packet, the same in each run. */
static void test_corrupt_is_drawn(void **state) {
  (void)state;
  struct buffer b[2];
  uint64_t bits = 0;
  for (int run = 0; run < 2; run++) {
    struct injectrig rig;
    buffer_init(&b[run], 4096);
    injectrig_init(&rig, true);
    injectrig_rule(&rig, "up PUBACK corrupt field=packet_id");
    for (int i = 0; i < 200; i++) injectrig_feed(&rig, CHAIN_OUT, slice_of("\x40\x02\x00\x00", 4));
    buffer_append(&b[run], buffer_slice(&rig.got[CHAIN_OUT]));
    injectrig_fini(&rig);
  }
  assert_true(slice_equal(buffer_slice(&b[0]), buffer_slice(&b[1])));
  for (const uint8_t *at = buffer_slice(&b[0]).data, *end = at + 800; at < end; at += 4) {
    unsigned id = at[2] << 8 | at[3];
    assert_true(at[0] == 0x40 && at[1] == 2 && id && (id & (id - 1)) == 0);
    bits |= id;
  }
  assert_int_equal(bits, 0xffff);
  buffer_fini(&b[0]);
  buffer_fini(&b[1]);
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
    cmocka_unit_test(test_who),
    cmocka_unit_test(test_many_copies),
    cmocka_unit_test(test_doubling),
    cmocka_unit_test(test_overtake_none),
    cmocka_unit_test(test_corrupt_is_drawn),
  };
  return cmocka_run_group_tests_name("action", tests, NULL, NULL);
}
