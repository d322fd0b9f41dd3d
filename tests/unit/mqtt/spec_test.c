#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/spec.h"

static void test_rows(void **state) {
  (void)state;
  assert_null(spec_packet(0));
  assert_null(spec_packet(SPEC_TYPES));
  for (unsigned type = 1; type < SPEC_TYPES; type++) {
    const struct spec_packet *row = spec_packet(type);
    assert_int_equal(spec_type_of(slice_text(row->name)), type);
    assert_true(row->flags == 0 || row->flags == 2);
    assert_int_equal(row->senders & ~row->senders_5, 0);
    assert_true(row->senders_5 != 0);
  }
  assert_int_equal(spec_packet(SPEC_AUTH)->senders, 0);
}

static void test_names_are_exact(void **state) {
  (void)state;
  const char *wrong[] = { "", "publish", "PUBLISH ", "PUB", "PUBLISHX" };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(spec_type_of(slice_text(wrong[i])), 0);
}

/* What a row answers is sent by the other end, and an identifier is repeated. */
static void test_answers(void **state) {
  (void)state;
  for (unsigned type = 1; type < SPEC_TYPES; type++) {
    const struct spec_packet *row = spec_packet(type), *asked = spec_packet(row->answers);
    if (!asked) continue;
    assert_int_equal(row->has_packet_id, asked->has_packet_id);
    bool both = row->senders == (SPEC_CLIENT | SPEC_BROKER);
    assert_true(both ? row->senders == asked->senders : row->senders != asked->senders);
  }
}

static void test_connack_texts(void **state) {
  (void)state;
  assert_string_equal(spec_connack_text(0), "accepted");
  assert_string_not_equal(spec_connack_text(5), "reserved");
  assert_string_equal(spec_connack_text(6), "reserved");
  assert_string_equal(spec_connack_text(255), "reserved");
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_names_are_exact),
                                      cmocka_unit_test(test_answers), cmocka_unit_test(test_connack_texts) };
  return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
