#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"

/* Nodes come out by time, and those of one time in the order in which they were set. */
static void test_order(void **state) {
  (void)state;
  enum { COUNT = 500 };
  struct heap h;
  struct heap_node nodes[COUNT] = { 0 };
  struct rng rng = { 1 };
  heap_init(&h);
  for (int i = 0; i < COUNT; i++) heap_set(&h, &nodes[i], (int64_t)rng_below(&rng, 50));
  for (int i = 0; i < COUNT; i += 3) heap_set(&h, &nodes[i], (int64_t)rng_below(&rng, 50));
  for (int i = 1; i < COUNT; i += 7) heap_clear(&h, &nodes[i]);
  int64_t at_ns = -1;
  uint64_t sequence = 0;
  size_t seen = 0;
  for (struct heap_node *n = heap_first(&h); n; n = heap_first(&h)) {
    assert_true(n->at_ns > at_ns || (n->at_ns == at_ns && n->sequence > sequence));
    at_ns = n->at_ns;
    sequence = n->sequence;
    heap_clear(&h, n);
    assert_false(heap_holds(n));
    seen++;
  }
  assert_int_equal(seen, COUNT - (COUNT + 5) / 7);
  heap_fini(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };
  return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
