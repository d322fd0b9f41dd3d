#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "mqtt/outcome.h"

/* Every code that a user can meet has a sentence of its own. */
static void test_texts(void **state) {
  (void)state;
  static const int codes[] = { 0, -1, -2, -3, -4, -10, -11, -12, 1, 2, 3, 4, 5, 128 };
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    assert_string_not_equal(outcome_text(codes[i]), "unknown code");
    for (size_t j = 0; j < i; j++) assert_string_not_equal(outcome_text(codes[i]), outcome_text(codes[j]));
  }
  assert_string_equal(outcome_text(-5), "unknown code");
  assert_string_equal(outcome_text(6), "unknown code");
}

/* From byte 10 to 20 of the stream. */
static void test_of_end(void **state) {
  (void)state;
  for (uint64_t written = 0; written < 30; written++) {
    for (int end = SESSION_END_FAILED; end <= SESSION_END_LOCAL; end++) {
      bool failed = end == SESSION_END_FAILED || end == SESSION_END_WRITE;
      int expected = written <= 10              ? SESSION_DISCONNECTED
                     : written >= 20 || !failed ? SESSION_INCOMPLETE
                                                : SESSION_SOCKET_ERROR;
      assert_int_equal(outcome_of_end((enum session_end)end, 10, 20, written, false), expected);
      if (end == SESSION_END_WRITE && written <= 10) expected = SESSION_SOCKET_ERROR;
      assert_int_equal(outcome_of_end((enum session_end)end, 10, 20, written, true), expected);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts), cmocka_unit_test(test_of_end) };
  return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
