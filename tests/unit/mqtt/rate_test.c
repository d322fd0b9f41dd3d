#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/rng.h"
#include "mqtt/rate.h"

/* The bucket in the smallest exact unit: a token is 1e9 of them, and each nanosecond adds per_s. */
struct model {
  __int128 level, full;
  int64_t at_ns;
};

static bool model_take(struct model *m, uint32_t per_s, int64_t now_ns) {
  m->level += (__int128)(now_ns - m->at_ns) * per_s;
  m->at_ns = now_ns;
  if (m->level > m->full) m->level = m->full;
  if (m->level < 1000000000) return false;
  m->level -= 1000000000;
  return true;
}

/* Exact for any rate and burst at any times, and rate_ready names the very nanosecond. */
static void test_against_model(void **state) {
  (void)state;
  static const uint32_t rates[] = { 1, 3, 7, 1000, 999983, 333333333, RATE_MAX };
  static const uint32_t bursts[] = { 1, 2, 10, 100000, UINT32_MAX };
  struct rng rng = { 3 };
  for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
    for (size_t j = 0; j < sizeof bursts / sizeof bursts[0]; j++) {
      struct rate r;
      int64_t now_ns = -1000, step_ns = 2 * 1000000000 / rates[i] + 2;
      struct model m = { (__int128)bursts[j] * 1000000000, (__int128)bursts[j] * 1000000000, now_ns };
      rate_init(&r, rates[i], bursts[j]);
      for (int round = 0; round < 3000; round++) {
        now_ns += (int64_t)rng_below(&rng, (uint64_t)step_ns);
        int64_t ready_ns = rate_ready(&r, now_ns);
        bool taken = rate_take(&r, now_ns);
        assert_int_equal(taken, model_take(&m, rates[i], now_ns));
        assert_int_equal(taken, ready_ns == now_ns);
        if (taken || round % 3) continue;
        if (ready_ns - 1 > now_ns) assert_false(rate_take(&r, ready_ns - 1));
        now_ns = ready_ns;
        assert_true(rate_take(&r, now_ns));
        assert_true(model_take(&m, rates[i], now_ns));
      }
    }
  }
}

static void test_no_limit(void **state) {
  (void)state;
  struct rate r;
  rate_init(&r, 0, 0);
  for (int i = 0; i < 1000; i++) assert_true(rate_take(&r, 0));
  assert_int_equal(rate_ready(&r, 5), 5);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_model), cmocka_unit_test(test_no_limit) };
  return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
