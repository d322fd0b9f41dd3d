#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>

#include "base/rng.h"
#include "fault/pace.h"

#define SECOND 1000000000

static int64_t ideal_ns(uint64_t bytes, uint64_t rate) {
  return (int64_t)(((unsigned __int128)bytes * SECOND + rate - 1) / rate);
}

/* A minute at any rate, asked at random times: never a byte too early, never a millisecond too late. */
static void check_minute(uint64_t rate, struct rng *rng) {
  struct pace p = { 0 };
  int64_t now_ns = 0;
  uint64_t passed = 0;
  pace_begin(&p, rate, 0);
  while (now_ns < 60 * (int64_t)SECOND) {
    int64_t next_ns = pace_next_ns(&p, rate, 1u << 30);
    assert_true(next_ns > now_ns);
    assert_true(next_ns - now_ns <= SECOND / PACE_PIECES_S + 1 || ideal_ns(passed + 1, rate) >= next_ns);
    if (rng_below(rng, 50) == 0) next_ns += (int64_t)rng_below(rng, SECOND / 20); /* the loop was late */
    now_ns = next_ns;
    bool some = false;
    for (size_t n; (n = pace_due(&p, rate, 1u << 30, now_ns)); some = true) {
      p.passed += n;
      passed += n;
    }
    assert_true(some);
    assert_true(ideal_ns(passed, rate) <= now_ns);
    assert_true(ideal_ns(passed + 1 + rate / PACE_PIECES_S, rate) > now_ns);
  }
}

static void test_minute(void **state) {
  static const uint64_t rates[] = { 1, 3, 7, 999, 1000, 1001, 33333, 1000000, 123456789, UINT64_C(1) << 40 };
  struct rng rng = { 3 };
  (void)state;
  for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) check_minute(rates[i], &rng);
}

/* Bytes that arrive while others are on the line come behind them; after a pause the line is free at once, and has
 * saved nothing up. */
static void test_busy_and_idle(void **state) {
  (void)state;
  struct pace p = { 0 };
  pace_begin(&p, 1000, 5 * (int64_t)SECOND);
  assert_int_equal(pace_due(&p, 1000, 100, 5 * (int64_t)SECOND), 0);
  assert_int_equal(pace_due(&p, 1000, 100, 6 * (int64_t)SECOND), 100);
  p.passed += 100;
  pace_begin(&p, 1000, 5 * (int64_t)SECOND + 50000000); /* came in the middle of it */
  assert_int_equal(pace_next_ns(&p, 1000, 1), 5 * (int64_t)SECOND + 101000000);
  pace_begin(&p, 1000, 9 * (int64_t)SECOND);
  assert_int_equal(pace_next_ns(&p, 1000, 1), 9 * (int64_t)SECOND + 1000000);
  assert_int_equal(pace_due(&p, 1000, 5, 9 * (int64_t)SECOND + 999999), 0);
  assert_int_equal(pace_due(&p, 1000, 5, 9 * (int64_t)SECOND + 1000000), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_minute), cmocka_unit_test(test_busy_and_idle) };
  return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
