#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/rng.h"
#include "mqtt/packetid.h"

static char owners[PACKETID_MAX + 1];

/* What next-fit gives, worked out one identifier at a time. */
static uint16_t next_fit(const bool *used, uint16_t last) {
  for (uint32_t step = 1; step <= PACKETID_MAX + 1u; step++) {
    uint32_t id = (last + step) % (PACKETID_MAX + 1u);
    if (id && !used[id]) return (uint16_t)id;
  }
  return 0;
}

static void check_random(uint64_t seed, uint32_t keep_about) {
  static bool used[PACKETID_MAX + 1];
  struct packetid ids;
  struct rng rng = { seed };
  uint16_t last = 0;
  uint32_t count = 0;
  memset(used, 0, sizeof used);
  packetid_init(&ids);
  for (int round = 0; round < 200000; round++) {
    uint16_t any = (uint16_t)rng_next(&rng);
    bool take = rng_below(&rng, 2 * keep_about) > count;
    if (take && rng_below(&rng, 8)) {
      uint16_t id = packetid_take(&ids, &owners[1]);
      assert_int_equal(id, next_fit(used, last));
      if (id) {
        used[id] = true;
        last = id;
        count++;
      }
    } else if (take) {
      bool free_one = any && !used[any];
      assert_int_equal(packetid_take_this(&ids, any, &owners[1]), free_one);
      count += free_one;
      if (any) used[any] = true;
    } else {
      packetid_release(&ids, any);
      count -= used[any];
      used[any] = false;
    }
    assert_int_equal(ids.count, count);
    assert_int_equal(packetid_find(&ids, any) != NULL, used[any]);
  }
  packetid_fini(&ids);
}

static void test_against_reference(void **state) {
  (void)state;
  check_random(1, 10);
  check_random(2, 1000);
  check_random(3, 60000);
}

/* All 65,535 are given once, in order; then none; then exactly the one that is released. */
static void test_full(void **state) {
  (void)state;
  struct packetid ids;
  packetid_init(&ids);
  for (uint32_t id = 1; id <= PACKETID_MAX; id++) {
    assert_false(packetid_full(&ids));
    assert_int_equal(packetid_take(&ids, &owners[id]), id);
  }
  assert_true(packetid_full(&ids));
  assert_int_equal(packetid_take(&ids, owners), 0);
  for (uint32_t id = 1; id <= PACKETID_MAX; id += 257) {
    assert_ptr_equal(packetid_find(&ids, (uint16_t)id), &owners[id]);
    packetid_release(&ids, (uint16_t)id);
    assert_false(packetid_full(&ids));
    assert_int_equal(packetid_take(&ids, &owners[id]), id);
    assert_int_equal(packetid_take(&ids, owners), 0);
  }
  for (uint32_t id = 1; id <= PACKETID_MAX; id++) packetid_release(&ids, (uint16_t)id);
  assert_int_equal(ids.count, 0);
  assert_null(ids.book);
  packetid_fini(&ids);
}

/* One just freed is not given again before the others had their turn; 65,535 is followed by 1. */
static void test_next_fit(void **state) {
  (void)state;
  struct packetid ids;
  packetid_init(&ids);
  for (uint32_t turn = 0; turn < 3; turn++) {
    for (uint32_t id = 1; id <= PACKETID_MAX; id++) {
      assert_int_equal(packetid_take(&ids, owners), id);
      packetid_release(&ids, (uint16_t)id);
    }
  }
  assert_null(packetid_find(&ids, 0));
  assert_false(packetid_take_this(&ids, 0, owners));
  packetid_release(&ids, 0);
  packetid_fini(&ids);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_against_reference),
    cmocka_unit_test(test_full),
    cmocka_unit_test(test_next_fit),
  };
  return cmocka_run_group_tests_name("packetid", tests, NULL, NULL);
}
