#include "host/rolling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What is the same has the same hash at every step; what differs somewhere has it until there, and not from there on.
 */
static void test_parts_where_it_differs(void **state) {
  (void)state;
  struct rolling *a = rolling_new(), *b = rolling_new();
  for (uint64_t i = 0; i < 1000; i++) {
    rolling_add(a, i);
    rolling_add(b, i == 700 ? 7 : i);
    rolling_add_bytes(a, slice_of("0123456789", i % 11));
    rolling_add_bytes(b, slice_of("0123456789", i % 11));
    rolling_step(a);
    rolling_step(b);
  }
  size_t count, same = 0;
  const uint64_t *x = rolling_steps(a, &count), *y = rolling_steps(b, &count);
  assert_int_equal(count, 1000);
  while (same < count && x[same] == y[same]) same++;
  assert_int_equal(same, 700);
  for (size_t i = same; i < count; i++) assert_true(x[i] != y[i]);
  assert_true(rolling_hash(a) == x[count - 1]);
  rolling_free(a);
  rolling_free(b);
}

/* The same bytes in other pieces are another story. */
static void test_pieces_count(void **state) {
  (void)state;
  struct rolling *a = rolling_new(), *b = rolling_new();
  rolling_add_bytes(a, slice_of("ab\0", 3));
  rolling_add_bytes(b, slice_of("ab", 2));
  assert_true(rolling_hash(a) != rolling_hash(b));
  rolling_free(a);
  rolling_free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parts_where_it_differs),
    cmocka_unit_test(test_pieces_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
