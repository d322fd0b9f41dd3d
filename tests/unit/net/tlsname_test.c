#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "net/tlsname.h"

static void expect_called(const char *said, const char *prefix, const char *want) {
  struct err e;
  err_set(&e, "%s", said);
  tlsname_call(&e, prefix);
  assert_string_equal(e.text, want);
}

/* Options are called as they were given, and nothing else in the sentence is taken for one. */
static void test_options_are_called_as_they_were_given(void **state) {
  (void)state;
  expect_called("tls.cert (tls.cert) is empty", "--tls-", "--tls-cert (tls.cert) is empty");
  expect_called("see tls.min_version, tls.max_version", "--upstream-tls-",
                "see --upstream-tls-min-version, --upstream-tls-max-version");
  expect_called("tls.psk_identity: x", "upstream_tls.", "upstream_tls.psk_identity: x");
  expect_called("/etc/tls.ca and tls. and tls.7", "--tls-", "/etc/tls.ca and tls. and tls.7");
  expect_called("tls.ca", NULL, "tls.ca");
  expect_called("", "--tls-", "");
}

/* A sentence that becomes too long is cut. */
static void test_a_long_sentence_is_cut(void **state) {
  (void)state;
  struct err e;
  for (size_t size = ERR_TEXT_MAX - 40; size < ERR_TEXT_MAX; size++) {
    memset(e.text, 'x', sizeof e.text);
    memcpy(e.text + size - 10, " tls.a_b_c", 11);
    tlsname_call(&e, "--upstream-tls-");
    assert_true(memchr(e.text, 0, sizeof e.text));
    assert_memory_equal(e.text, "xxxx", 4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_options_are_called_as_they_were_given),
                                      cmocka_unit_test(test_a_long_sentence_is_cut) };
  return cmocka_run_group_tests_name("tlsname", tests, NULL, NULL);
}
