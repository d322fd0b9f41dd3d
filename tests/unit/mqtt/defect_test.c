#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/defect.h"

/* Each has a name of its own that finds it, and a sentence. */
static void test_names(void **state) {
  (void)state;
  for (int d = 0; d < DEFECT_COUNT; d++) {
    enum defect found;
    struct err err;
    assert_non_null(defect_name((enum defect)d));
    assert_non_null(defect_text((enum defect)d));
    assert_true(defect_find(defect_name((enum defect)d), &found, &err));
    assert_int_equal(found, d);
  }
  assert_null(defect_name(DEFECT_COUNT));
  assert_null(defect_text(DEFECT_COUNT));
}

static void test_unknown(void **state) {
  (void)state;
  enum defect found = DEFECT_WILL_TWICE;
  struct err err;
  assert_false(defect_find("will-twise", &found, &err));
  assert_string_equal(err.text, "there is no defect \"will-twise\", did you mean \"will-twice\"?");
  assert_false(defect_find("of no kind at all", &found, &err));
  assert_string_equal(err.text, "there is no defect \"of no kind at all\"");
  assert_int_equal(found, DEFECT_WILL_TWICE);
}

static void test_one_at_a_time(void **state) {
  (void)state;
  assert_true(defect_is(DEFECT_NONE));
  defect_switch(DEFECT_WILL_TWICE);
  assert_true(defect_is(DEFECT_WILL_TWICE));
  defect_switch(DEFECT_QUEUE_LOST);
  assert_true(defect_is(DEFECT_QUEUE_LOST));
  assert_false(defect_is(DEFECT_WILL_TWICE));
  defect_switch(DEFECT_NONE);
  assert_false(defect_is(DEFECT_QUEUE_LOST));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_unknown),
    cmocka_unit_test(test_one_at_a_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
