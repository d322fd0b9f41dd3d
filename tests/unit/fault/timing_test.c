#include "injectrig.h"

#include "base/rng.h"
#include "fault/scope_fields.h"
#include "fault/side.h"

/* Actions and rules in time, which here is driven by the filter's own deadlines. */

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

#define PING   slice_of("\xc0\x00", 2)
#define ACK(n) "\x40\x02\x00" n

/* A minute of bytes at a rate: at each moment as many are through as there can be, to a millisecond. The sender is felt
 * for what it has too much. */
static void check_rate(uint64_t rate, int64_t seconds, enum chain_direction d) {
  struct injectrig rig;
  char text[64];
  uint8_t some[4096];
  struct rng rng = { rate };
  uint64_t came = 0, fed = 0;
  memset(some, 0xff, sizeof some); /* no packets */
  injectrig_init(&rig, true);
  snprintf(text, sizeof text, "both bytes rate %llu", (unsigned long long)rate);
  injectrig_rule(&rig, text);
  while (rig.now_ns < seconds * SECOND) {
    size_t n;
    do fed += n = injectrig_feed(&rig, d, slice_of(some, 1 + rng_below(&rng, sizeof some)));
    while (n);
    assert_true(fed - came <= SIDE_PACED_MAX);
    int64_t next_ns = rig.filter->ops->deadline(rig.filter);
    assert_true(next_ns > rig.now_ns);
    injectrig_until(&rig, next_ns);
    came += buffer_size(&rig.got[d]);
    buffer_fini(&rig.got[d]);
    uint64_t ideal = (uint64_t)((unsigned __int128)rig.now_ns * rate / SECOND);
    assert_in_range(came, ideal > rate / 1000 ? ideal - rate / 1000 : 0, ideal);
  }
  assert_true(came >= (uint64_t)seconds * rate - rate / 1000);
  injectrig_fini(&rig);
}

static void test_rate(void **state) {
  (void)state;
  check_rate(7, 60, CHAIN_IN);
  check_rate(700, 60, CHAIN_OUT);
  check_rate(20000, 60, CHAIN_IN);
  check_rate(1000000, 5, CHAIN_OUT); /* a minute of it is in pace_test.c */
}

/* Packets come when their last byte is through; others that are not slowed down keep their place. */
static void test_rate_of_packets(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, "up PUBACK rate 1000");
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00" ACK("\1") "\xc0\x00" ACK("\2"), 12));
  injectrig_expect(&rig, CHAIN_OUT, PING);
  injectrig_until(&rig, 4 * MS - 1);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40\x02\x00", 3));
  injectrig_until(&rig, 4 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\1\xc0\x00", 3));
  injectrig_until(&rig, 8 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\2"), 4));
  /* A pause saves nothing up. Without the rule what waits goes at once. */
  injectrig_until(&rig, 60 * MS);
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\3"), 4));
  injectrig_until(&rig, 62 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x40\x02", 2));
  scope_remove(rule);
  injectrig_drain(&rig);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\x00\3", 2));
  injectrig_fini(&rig);
}

/* One that is too large to be kept is slowed down all the same. */
static void test_rate_of_large(void **state) {
  (void)state;
  struct injectrig rig;
  struct buffer b;
  buffer_init(&b, 8 << 20);
  injectrig_publish(&b, "a", 0, 0, 3000000 - 8);
  assert_int_equal(buffer_size(&b), 3000000);
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBLISH rate 1000000");
  struct slice rest = buffer_slice(&b);
  while (rest.size) {
    rest = slice_from(rest, injectrig_feed(&rig, CHAIN_OUT, rest));
    if (rest.size) injectrig_until(&rig, rig.now_ns + MS);
  }
  injectrig_until(&rig, 3 * SECOND - 1);
  assert_in_range(buffer_size(&rig.got[CHAIN_OUT]), 2999000, 2999999);
  injectrig_until(&rig, 3 * SECOND);
  injectrig_expect(&rig, CHAIN_OUT, buffer_slice(&b));
  injectrig_fini(&rig);
  buffer_fini(&b);
}

/* A minute of packets, each delayed: each comes out exactly that much after it came in, the last as the first, and so
 * do bytes. */
static void check_delay(const char *text, int64_t delay_ns, int64_t every_ns) {
  struct injectrig rig;
  int64_t sent = 0, came = 0, count = 60 * SECOND / every_ns;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, text);
  while (came < count) {
    int64_t next_in_ns = sent < count ? sent * every_ns : INT64_MAX, next_out_ns = came * every_ns + delay_ns;
    if (sent > came) assert_int_equal(rig.filter->ops->deadline(rig.filter), next_out_ns);
    injectrig_until(&rig, next_in_ns < next_out_ns ? next_in_ns : next_out_ns);
    if (next_in_ns < next_out_ns) {
      injectrig_feed(&rig, CHAIN_IN, slice_of(ACK("\1"), 4));
      sent++;
    } else {
      injectrig_expect(&rig, CHAIN_IN, slice_of(ACK("\1"), 4));
      came++;
    }
  }
  injectrig_fini(&rig);
}

static void test_delay_does_not_drift(void **state) {
  (void)state;
  check_delay("down PUBACK delay 1234567us", 1234567000, 10 * MS);
  check_delay("down bytes delay 1234567us", 1234567000, 10 * MS);
  check_delay("down any delay 333333ns", 333333, 7 * MS);
}

/* Pieces of a split keep their distance over a minute. */
static void test_gaps_do_not_drift(void **state) {
  (void)state;
  struct injectrig rig;
  struct buffer b;
  buffer_init(&b, 1 << 20);
  injectrig_publish(&b, "a", 0, 0, 60000);
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBLISH split 1 1ms");
  injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&b));
  for (int64_t ms = 0; ms <= 60000; ms += 7) {
    injectrig_until(&rig, ms * MS);
    assert_int_equal(buffer_size(&rig.got[CHAIN_OUT]), ms + 1);
  }
  injectrig_fini(&rig);
  buffer_fini(&b);
}

/* Sizes of pieces are drawn from the seed, the same however the bytes come; each piece goes a gap after the last. */
static void drawn_pieces(uint64_t seed, size_t step, size_t sizes[64], size_t *count) {
  struct injectrig rig;
  uint8_t some[8000];
  memset(some, 0xff, sizeof some);
  injectrig_init(&rig, true);
  rig.scope->seed = seed;
  injectrig_rule(&rig, "up bytes at_byte 50 split uniform(100,300) 1ms");
  for (size_t at = 0; at < sizeof some; at += step)
    injectrig_feed(&rig, CHAIN_OUT, slice_first(slice_of(some + at, sizeof some - at), step));
  for (*count = 0; rig.pieces[CHAIN_OUT] && *count < 64; rig.now_ns += MS, ++*count) {
    size_t before = buffer_size(&rig.got[CHAIN_OUT]);
    injectrig_until(&rig, rig.now_ns);
    sizes[*count] = buffer_size(&rig.got[CHAIN_OUT]) - (*count ? before : 50);
    if (buffer_size(&rig.got[CHAIN_OUT]) == sizeof some) break;
  }
  injectrig_fini(&rig);
}

static void test_pieces_are_drawn(void **state) {
  (void)state;
  size_t once[64], again[64], count, count_again;
  bool small = false, large = false;
  drawn_pieces(1, 8000, once, &count);
  drawn_pieces(1, 37, again, &count_again);
  assert_in_range(count, 8000 / 300, 63);
  assert_int_equal(count, count_again);
  assert_memory_equal(once, again, count * sizeof once[0]);
  for (size_t i = 0; i < count; i++) {
    assert_in_range(once[i], 100, 300);
    small |= once[i] < 150;
    large |= once[i] > 250;
  }
  assert_true(small && large);
  drawn_pieces(2, 8000, again, &count_again);
  assert_memory_not_equal(once, again, 8 * sizeof once[0]);
}

/* Bytes draw a delay anew with each arrival. */
static void test_delays_of_bytes_differ(void **state) {
  (void)state;
  struct injectrig rig;
  bool early = false, late = false;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up bytes delay uniform(1ms,100ms)");
  for (int i = 0; i < 50; i++) {
    int64_t now_ns = rig.now_ns;
    injectrig_feed(&rig, CHAIN_OUT, PING);
    injectrig_until(&rig, now_ns + 30 * MS);
    early |= buffer_size(&rig.got[CHAIN_OUT]) == 2;
    late |= buffer_size(&rig.got[CHAIN_OUT]) == 0;
    injectrig_until(&rig, now_ns + 100 * MS);
    injectrig_expect(&rig, CHAIN_OUT, PING);
  }
  assert_true(early && late);
  injectrig_fini(&rig);
}

/* Bytes are put together until there are enough, or for some time, or until no more can come. */
static void test_coalesce(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up bytes coalesce 10 50ms");
  for (int i = 0; i < 2; i++) injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1"), 4));
  assert_int_equal(rig.pieces[CHAIN_OUT], 0);
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1"), 4));
  assert_int_equal(rig.pieces[CHAIN_OUT], 1);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\1") ACK("\1"), 12));
  injectrig_until(&rig, 20 * MS);
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_until(&rig, 30 * MS);
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_until(&rig, 69 * MS);
  assert_int_equal(rig.pieces[CHAIN_OUT], 1);
  injectrig_until(&rig, 70 * MS);
  assert_int_equal(rig.pieces[CHAIN_OUT], 2);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\xc0\x00\xc0\x00", 4));
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_end(&rig, CHAIN_OUT, CHAIN_FIN);
  injectrig_expect(&rig, CHAIN_OUT, PING);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_FIN);
  injectrig_fini(&rig);

  /* Of packets: others keep their place behind them. */
  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, "up PUBACK coalesce 8");
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00" ACK("\1") "\xc0\x00", 8));
  injectrig_expect(&rig, CHAIN_OUT, PING);
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\2") ACK("\3"), 8));
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") "\xc0\x00" ACK("\2"), 10));
  injectrig_until(&rig, 199 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("", 0));
  injectrig_until(&rig, 200 * MS);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\3"), 4));
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\4"), 4));
  scope_remove(rule);
  injectrig_drain(&rig);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\4"), 4));
  injectrig_fini(&rig);
}

/* Nothing passes from the position on, and then it closes. Taken out before, the rule leaves nothing behind. */
static void test_slow_close(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK id 2 at_byte 1 slow_close 3s");
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2"), 8)), 5);
  injectrig_until(&rig, 3 * SECOND - 1);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 0);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_NONE);
  injectrig_until(&rig, 3 * SECOND);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") "\x40", 5));
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_CLOSE);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 0);
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  struct scope_rule *rule = injectrig_rule(&rig, "up PUBACK id 2 at_byte 1 slow_close 3s");
  injectrig_feed(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2"), 8));
  injectrig_until(&rig, SECOND);
  scope_remove(rule);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_of("\x02\x00\x02\xc0\x00", 5)), 5);
  injectrig_until(&rig, 9 * SECOND);
  injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2") "\xc0\x00", 10));
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_NONE);
  injectrig_fini(&rig);

  /* An end that is on its way takes longer, whichever it is. */
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "down close slow_close 1s");
  injectrig_end(&rig, CHAIN_IN, CHAIN_FIN);
  injectrig_until(&rig, SECOND - 1);
  assert_int_equal(rig.ends[CHAIN_IN], CHAIN_NONE);
  injectrig_until(&rig, SECOND);
  assert_int_equal(rig.ends[CHAIN_IN], CHAIN_FIN);
  injectrig_fini(&rig);
}

/* One packet each second from 0 on; which were dropped, as "2 3 ". */
static void expect_dropped(const char *rule, const char *dropped) {
  struct injectrig rig;
  char got[64] = "";
  injectrig_init(&rig, true);
  rig.now_ns = 77 * SECOND; /* times are those of the connection */
  injectrig_rule(&rig, rule);
  for (int s = 0; s < 8; s++) {
    injectrig_until(&rig, (77 + s) * SECOND);
    injectrig_feed(&rig, CHAIN_OUT, PING);
    if (!buffer_size(&rig.got[CHAIN_OUT])) snprintf(got + strlen(got), 8, "%d ", s);
    buffer_fini(&rig.got[CHAIN_OUT]);
  }
  if (strcmp(got, dropped) != 0) fail_msg("%s: dropped %s, not %s", rule, got, dropped);
  injectrig_fini(&rig);
}

/* Occurrences are counted within the time that the rule is about. */
static void test_windows(void **state) {
  (void)state;
  expect_dropped("up any during 2 5 drop", "2 3 4 ");
  expect_dropped("up any during 2 5 nth 2 drop", "3 ");
  expect_dropped("up any during 0.5 100 every 3 drop", "3 6 ");
  expect_dropped("up any during 3 3 drop", "");
  expect_dropped("up any at 3 drop", "3 ");
  expect_dropped("up any at 2500ms drop", "3 ");
  expect_dropped("up any at 0 drop", "0 ");
  expect_dropped("up any at 100 drop", "");
  expect_dropped("up any during 1 9 times 2 drop", "1 2 ");
}

/* A rule on bytes acts in its time only, and `at` by the clock: it does not wait for a byte. */
static void test_windows_of_bytes(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up bytes during 2 4 delay 1500ms");
  for (int s = 0; s < 7; s++) {
    injectrig_until(&rig, s * SECOND);
    injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00\xc0\x00", 4));
    static const size_t passed[] = { 4, 8, 8, 8, 12, 24, 28 };
    assert_int_equal(buffer_size(&rig.got[CHAIN_OUT]), passed[s]);
  }
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up bytes at 5 rst");
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_until(&rig, 5 * SECOND - 1);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_NONE);
  injectrig_until(&rig, 5 * SECOND);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_RESET);
  assert_int_equal(rig.fired, 1);
  assert_string_equal(rig.log, "up rst #0 @2; ");
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up bytes at 1 inject hex:aa");
  injectrig_rule(&rig, "up bytes at 1 corrupt bit=0");
  injectrig_rule(&rig, "up bytes at 2 stall 3s");
  injectrig_feed(&rig, CHAIN_OUT, PING);
  injectrig_until(&rig, SECOND);
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\xc0\x00\xab", 3));
  injectrig_until(&rig, 2 * SECOND);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 0);
  injectrig_until(&rig, 5 * SECOND);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 2);
  injectrig_fini(&rig);
}

/* After another rule has fired, whoever it was for. */
static void test_after(void **state) {
  (void)state;
  struct injectrig rig;
  struct slice none = { 0 };
  struct err err = { "" };
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PUBACK nth 2 drop name second");
  injectrig_rule(&rig, "up PINGREQ after second nth 2 drop");
  injectrig_rule(&rig, "up bytes after second at_byte 10 inject hex:ff");
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00" ACK("\1") "\xc0\x00" ACK("\2"), 12));
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00\xc0\x00\xe0\x00", 6));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\xc0\x00" ACK("\1") "\xc0\x00\xc0\x00\xff\xe0\x00", 13));
  struct filter *other = inject_new(rig.scope, NULL, true, none, none);
  other->ops->take(other, CHAIN_OUT, slice_of("\xc0\x00\xc0\x00", 4), rig.now_ns);
  assert_int_equal(other->ops->give(other, CHAIN_OUT, rig.now_ns).size, 2);
  other->ops->free(other);
  assert_null(scope_add(rig.scope, rule_parse("up any after sceond drop", &err), &err));
  assert_non_null(strstr(err.text, "sceond"));
  injectrig_fini(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rate),
    cmocka_unit_test(test_rate_of_packets),
    cmocka_unit_test(test_rate_of_large),
    cmocka_unit_test(test_delay_does_not_drift),
    cmocka_unit_test(test_gaps_do_not_drift),
    cmocka_unit_test(test_pieces_are_drawn),
    cmocka_unit_test(test_delays_of_bytes_differ),
    cmocka_unit_test(test_coalesce),
    cmocka_unit_test(test_slow_close),
    cmocka_unit_test(test_windows),
    cmocka_unit_test(test_windows_of_bytes),
    cmocka_unit_test(test_after),
  };
  return cmocka_run_group_tests_name("timing", tests, NULL, NULL);
}
