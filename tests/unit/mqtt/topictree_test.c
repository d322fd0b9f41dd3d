#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/topictree.h"

/* Paths share nodes; a node stays while it is used or leads somewhere; a walk gives parents first, in order of coming.
 */
static void test_paths(void **state) {
  (void)state;
  struct topictree t;
  topictree_init(&t);
  struct topictree_node *abc = topictree_make(&t, slice_text("a/b/c"));
  struct topictree_node *ab = topictree_make(&t, slice_text("a/b")), *empty = topictree_make(&t, slice_text("a/"));
  struct topictree_node *plus = topictree_make(&t, slice_text("a/+")), *rest = topictree_make(&t, slice_text("a/#"));
  assert_int_equal(t.count, 6);
  assert_ptr_equal(abc->parent, ab);
  assert_ptr_equal(topictree_find(&t, slice_text("a/")), empty);
  assert_null(topictree_find(&t, slice_text("a//")));
  assert_null(topictree_find(&t, slice_text("b")));
  assert_ptr_equal(ab->parent->plus, plus);
  assert_ptr_equal(ab->parent->rest, rest);
  struct topictree_node *walk[] = { t.root, ab->parent, ab, abc, empty, plus, rest, NULL };
  struct topictree_node *n = t.root;
  for (size_t i = 0; n || walk[i]; i++, n = topictree_after(t.root, n)) assert_ptr_equal(n, walk[i]);
  ab->used = 1;
  topictree_prune(&t, plus);
  assert_null(ab->parent->plus);
  topictree_prune(&t, rest);
  topictree_prune(&t, empty);
  topictree_prune(&t, abc);
  assert_int_equal(t.count, 2);
  ab->used = 0;
  topictree_prune(&t, ab);
  assert_int_equal(t.count, 0);
  topictree_make(&t, slice_text("x/y/z"));
  topictree_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_paths) };
  return cmocka_run_group_tests_name("topictree", tests, NULL, NULL);
}
