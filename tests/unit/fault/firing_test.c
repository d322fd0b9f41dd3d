#include "injectrig.h"

#include "fault/scope_fields.h"

#define ACK(n) "\x40\x02\x00" n
#define ACKS   ACK("\1") ACK("\2") ACK("\3")

/* What is told of a firing at the second of three packets, all in one go, and a byte at a time. */
static const struct {
  const char *rule;
  size_t at;
  enum scope_fate fate;
} rows[] = {
  { "up PUBACK nth 2 drop", 0, SCOPE_TAKEN },
  { "up PUBACK nth 2 hold", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 delay 1ms", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 split 1", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 stall", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 inject hex:c000", 4, SCOPE_PASSES },
  { "up PUBACK nth 2 rst", 0, SCOPE_CUT },
  { "up PUBACK nth 2 at_byte 3 close", 3, SCOPE_CUT },
  { "up PUBACK nth 2 at_byte -1 blackhole", 3, SCOPE_CUT },
  { "up PUBACK nth 2 after_packet rst", 4, SCOPE_PASSES },
  { "up PUBACK nth 2 at_byte 1 fin", 1, SCOPE_CUT },
  { "up PUBACK nth 2 at_byte 1 fin down", 1, SCOPE_PASSES },
  { "up PUBACK nth 2 vanish", 0, SCOPE_CUT },
  { "up PUBACK nth 2 at_byte 2 slow_close 1s", 2, SCOPE_CUT },
  { "up PUBACK nth 2 truncate 3", 3, SCOPE_CUT },
  { "up PUBACK nth 2 corrupt byte=2", 2, SCOPE_TAKEN },
  { "up PUBACK nth 2 dup 3", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 overtake", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 rate 10", 0, SCOPE_PASSES },
  { "up PUBACK nth 2 coalesce 100", 0, SCOPE_PASSES },
};

struct told {
  const char *rule;
  size_t row;
  unsigned count;
};

static void told_fired(void *arg, const struct scope_firing *f) {
  struct told *told = arg;
  told->count++;
  if (f->packet_index != 2 || f->packet_at != rows[told->row].at || f->fate != rows[told->row].fate)
    fail_msg("%s: packet %d, at %zu, fate %d", told->rule, (int)f->packet_index, f->packet_at, (int)f->fate);
  assert_true(slice_equal(f->packet, slice_of(ACK("\2"), 4)));
}

static void feed_row(size_t row, enum chain_direction d, size_t step) {
  struct injectrig rig;
  struct told told = { rows[row].rule, row, 0 };
  injectrig_init(&rig, d == CHAIN_OUT);
  injectrig_rule(&rig, told.rule);
  rig.scope->fired = told_fired;
  rig.scope->arg = &told;
  for (size_t i = 0; i < 12; i += step) injectrig_feed(&rig, d, slice_of(ACKS + i, step));
  assert_int_equal(told.count, 1);
  injectrig_fini(&rig);
}

static void test_firing_tells_its_packet(void **state) {
  (void)state;
  for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
    for (int d = CHAIN_OUT; d <= CHAIN_IN; d++) {
      feed_row(row, d, 12);
      feed_row(row, d, 1);
    }
}

static void unpacked_fired(void *arg, const struct scope_firing *f) {
  assert_int_equal(f->packet.size, 0);
  ++*(unsigned *)arg;
}

/* Bytes, ends and packets too large to be kept have none to show. */
static void test_firing_without_packet(void **state) {
  static const char *const rules[] = { "up bytes at_byte 6 rst", "up close rst", "up PUBLISH at_byte 9 rst" };
  (void)state;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    struct injectrig rig;
    struct buffer large;
    unsigned count = 0;
    injectrig_init(&rig, true);
    injectrig_rule(&rig, rules[i]);
    rig.scope->fired = unpacked_fired;
    rig.scope->arg = &count;
    buffer_init(&large, 4 * INJECT_PACKET_MAX);
    injectrig_publish(&large, "a", 0, 0, 2 * INJECT_PACKET_MAX);
    injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&large));
    injectrig_end(&rig, CHAIN_OUT, CHAIN_FIN);
    if (count != 1) fail_msg("%s", rules[i]);
    buffer_fini(&large);
    injectrig_fini(&rig);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_firing_tells_its_packet),
    cmocka_unit_test(test_firing_without_packet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
