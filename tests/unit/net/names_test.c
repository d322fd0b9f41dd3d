#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "net/names.h"

static void test_told(void **state) {
  (void)state;
  struct names *n = names_new();
  struct names_told told;
  char text[64];
  assert_false(names_ask(NULL, "a", 1, &told));
  assert_false(names_ask(n, "a.example", 1, &told));
  assert_true(names_answer(n, "A.example.", "10.0.0.1", NULL));
  assert_true(names_answer(n, "a.example", "::1", NULL));
  assert_true(names_delay(n, "a.EXAMPLE", 5, NULL));
  assert_true(names_ask(n, "a.Example", 1883, &told));
  assert_true(told.decided);
  assert_int_equal(told.count, 2);
  assert_int_equal(told.delay_ns, 5);
  address_text(&told.addresses[0], text, sizeof text);
  assert_string_equal(text, "10.0.0.1:1883");
  address_text(&told.addresses[1], text, sizeof text);
  assert_string_equal(text, "[::1]:1883");
  /* A failure takes the answers' place, an answer the failure's. */
  assert_true(names_fail(n, "a.example", "NXDOMAIN", NULL));
  assert_true(names_ask(n, "a.example", 1883, &told));
  assert_true(told.decided && told.count == 0 && told.delay_ns == 5);
  assert_string_equal(told.why.text, "the name a.example was not found: there is no such name (NXDOMAIN, as told)");
  assert_true(names_answer(n, "a.example", "10.0.0.2", NULL));
  assert_true(names_ask(n, "a.example", 1883, &told));
  assert_int_equal(told.count, 1);
  names_forget(n, "A.example");
  names_forget(n, "never.there");
  assert_false(names_ask(n, "a.example", 1, &told));
  names_free(n);
}

static void test_delay_alone(void **state) {
  (void)state;
  struct names *n = names_new();
  struct names_told told;
  assert_true(names_delay(n, "localhost", 7, NULL));
  assert_true(names_ask(n, "localhost", 1, &told));
  assert_false(told.decided);
  assert_int_equal(told.delay_ns, 7);
  assert_true(names_fail(n, "localhost", "TIMEOUT", NULL));
  assert_true(names_ask(n, "localhost", 1, &told));
  assert_true(told.delay_ns == INT64_MAX);
  names_free(n);
}

static void test_misuse(void **state) {
  (void)state;
  struct names *n = names_new();
  struct err err;
  assert_false(names_answer(n, "a", "b.example", &err));
  assert_string_equal(err.text, "a name stands for an IPv4 or IPv6 address, not for \"b.example\"");
  assert_false(names_answer(n, "a", "localhost", &err));
  assert_false(names_answer(n, "127.0.0.1", "127.0.0.2", &err));
  assert_string_equal(err.text, "\"127.0.0.1\" is no name of a host");
  assert_false(names_delay(n, "", 1, &err));
  assert_false(names_delay(n, "::1", 1, &err));
  assert_false(names_fail(n, "a", "nxdomain", &err));
  assert_non_null(strstr(err.text, "NXDOMAIN, NODATA, SERVFAIL, REFUSED or TIMEOUT, not with \"nxdomain\""));
  for (int i = 0; i < ADDRESS_MAX; i++) assert_true(names_answer(n, "many", "::1", NULL));
  assert_false(names_answer(n, "many", "::1", &err));
  assert_non_null(strstr(err.text, "at most 16 addresses"));
  names_free(n);
}

static void test_limit(void **state) {
  (void)state;
  struct names *n = names_new();
  struct err err;
  char name[32];
  for (int i = 0; i < NAMES_MAX; i++) {
    snprintf(name, sizeof name, "n%d.example", i);
    assert_true(names_delay(n, name, 1, NULL));
  }
  assert_true(names_delay(n, name, 2, NULL));
  assert_false(names_delay(n, "one.more", 1, &err));
  assert_non_null(strstr(err.text, "at most 65536 names"));
  names_free(n);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_told), cmocka_unit_test(test_delay_alone),
                                      cmocka_unit_test(test_misuse), cmocka_unit_test(test_limit) };
  return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
