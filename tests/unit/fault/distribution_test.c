#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/rng.h"
#include "fault/value.h"

#define DRAWS 100000
#define MS    1000000

/* Mean, deviation and range of many draws are what the name promises. */
static const struct {
  const char *text;
  int64_t mean_ns, deviation_ns, low_ns, high_ns;
} rows[] = {
  { "5ms", 5 * MS, 0, 5 * MS, 5 * MS },
  { "uniform(10ms,20ms)", 15 * MS, 2886751, 10 * MS, 20 * MS },
  { "normal(120ms,30ms)", 120 * MS, 30 * MS, 0, 300 * MS },
  { "normal(0s,10ms)", 3989423, 5838000, 0, 60 * MS },
  { "exponential(50ms)", 50 * MS, 50 * MS, 0, 2200 * (int64_t)MS },
  { "fixed(7ms)", 7 * MS, 0, 7 * MS, 7 * MS },
  { "pareto(10ms,5)", 12500000, 3227486, 10 * MS, 62000 * (int64_t)MS },
  { "pareto(0s,1)", 0, 0, 0, 0 },
};

static int64_t root(unsigned __int128 n) {
  unsigned __int128 low = 0, high = (unsigned __int128)1 << 40;
  while (low + 1 < high) {
    unsigned __int128 middle = (low + high) / 2;
    if (middle * middle <= n) low = middle;
    else high = middle;
  }
  return (int64_t)low;
}

static void assert_near(const char *text, const char *what, int64_t got, int64_t want) {
  int64_t slack = want / 50 + 1;
  if (got < want - slack || got > want + slack)
    fail_msg("%s: %s %lld, not %lld", text, what, (long long)got, (long long)want);
}

static void test_draws(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct distribution d;
    __int128 sum = 0;
    unsigned __int128 squares = 0;
    assert_true(distribution_parse(slice_text(rows[i].text), &value_durations, &d));
    for (uint64_t n = 0; n < DRAWS; n++) {
      int64_t ns = distribution_draw(&d, rng_hash(1, 2, 3, n));
      assert_true(ns >= rows[i].low_ns && ns <= rows[i].high_ns);
      sum += ns;
      squares += (unsigned __int128)((__int128)ns * ns);
    }
    int64_t mean_ns = (int64_t)(sum / DRAWS);
    unsigned __int128 variance = squares / DRAWS - (unsigned __int128)((__int128)mean_ns * mean_ns);
    assert_near(rows[i].text, "mean", mean_ns, rows[i].mean_ns);
    assert_near(rows[i].text, "deviation", root(variance), rows[i].deviation_ns);
  }
}

static void test_bad(void **state) {
  (void)state;
  static const char *const bad[] = { "",
                                     "normal",
                                     "normal()",
                                     "normal(1s)",
                                     "normal(1s,2s,3s)",
                                     "normal(1s,2s",
                                     "uniform(2s,1s)",
                                     "exponential(1s,2s)",
                                     "gauss(1s,1s)",
                                     "pareto(1s)",
                                     "pareto(1s,0)",
                                     "pareto(1s,-1)",
                                     "pareto(1s,2ms)",
                                     "fixed()",
                                     "-1s",
                                     "1s)" };
  struct distribution d;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(distribution_parse(slice_text(bad[i]), &value_durations, &d));
}

/* Half of a pareto distribution lies below a * 2^(1/b); however long its tail, there is an end to it. */
static void test_tail(void **state) {
  (void)state;
  struct distribution d;
  unsigned below = 0;
  assert_true(distribution_parse(slice_text("pareto(10ms,1.5)"), &value_durations, &d));
  for (uint64_t n = 0; n < DRAWS; n++) below += distribution_draw(&d, rng_hash(1, 2, 3, n)) < 15874011;
  assert_near("pareto(10ms,1.5)", "below the median", below, DRAWS / 2);
  assert_true(distribution_parse(slice_text("pareto(1h,0.000000001)"), &value_durations, &d));
  for (uint64_t n = 0; n < 1000; n++)
    assert_int_equal(distribution_draw(&d, rng_hash(1, 2, 3, n)), INT64_C(1000) * 86400 * 1000000000);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_draws), cmocka_unit_test(test_bad),
                                      cmocka_unit_test(test_tail) };
  return cmocka_run_group_tests_name("distribution", tests, NULL, NULL);
}
