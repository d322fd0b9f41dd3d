#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/message.h"

/* It lives as long as anybody holds it, and is a copy; what is freed too early or never, the sanitizer tells. */
static void test_references(void **state) {
  (void)state;
  char topic[] = "a/b";
  size_t before = message_held();
  struct message *m = message_new(slice_text(topic), slice_of("x\0y", 3), 2, true);
  topic[0] = 'z';
  assert_ptr_equal(message_keep(m), m);
  message_drop(m);
  assert_int_equal(message_held(), before + 6);
  assert_true(slice_equal(message_topic(m), slice_text("a/b")));
  assert_true(slice_equal(message_payload(m), slice_of("x\0y", 3)));
  assert_int_equal(m->qos, 2);
  assert_true(m->retain);
  message_drop(m);
  assert_int_equal(message_held(), before);
  message_drop(NULL);
}

static void test_empty(void **state) {
  (void)state;
  struct message *m = message_new(slice_text("t"), slice_of(NULL, 0), 0, false);
  assert_int_equal(message_payload(m).size, 0);
  message_drop(m);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_references), cmocka_unit_test(test_empty) };
  return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
