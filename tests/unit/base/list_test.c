#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/list.h"

static void test_order(void **state) {
  (void)state;
  struct list_node head, nodes[5] = { 0 };
  list_init(&head);
  assert_true(list_empty(&head));
  assert_null(list_first(&head));
  for (int i = 0; i < 5; i++) list_append(&head, &nodes[i]);
  list_remove(&nodes[0]);
  list_remove(&nodes[2]);
  list_remove(&nodes[2]);
  list_append(&head, &nodes[0]);
  assert_false(list_holds(&nodes[2]));
  const int expected[] = { 1, 3, 4, 0 };
  struct list_node *n = list_first(&head);
  for (int i = 0; i < 4; i++, n = list_next(&head, n)) assert_ptr_equal(n, &nodes[expected[i]]);
  assert_null(n);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };
  return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
