#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/utf8.h"

struct row {
  const char *text;
  size_t size;
  enum utf8_fault fault;
  size_t offset;
};
#define ROW(text, fault, offset)                                                                                       \
  { text, sizeof text - 1, fault, offset }

static const struct row rows[] = {
  ROW("", UTF8_GOOD, 0),
  ROW("plain, and long enough for whole words", UTF8_GOOD, 0),
  ROW("\x01\x7f", UTF8_GOOD, 0),
  ROW("\xc2\x80\xdf\xbf", UTF8_GOOD, 0),
  ROW("\xe0\xa0\x80\xef\xbf\xbf", UTF8_GOOD, 0),
  ROW("\xed\x9f\xbf\xee\x80\x80", UTF8_GOOD, 0),
  ROW("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", UTF8_GOOD, 0),
  ROW("\xef\xbb\xbf", UTF8_GOOD, 0), /* U+FEFF is a character [MQTT-1.5.3-3] */
  ROW("\0", UTF8_NULL, 0),
  ROW("1234567\0", UTF8_NULL, 7),
  ROW("12345678\0", UTF8_NULL, 8),
  ROW("a\xed\xa0\x80", UTF8_SURROGATE, 1),
  ROW("\xed\xbf\xbf", UTF8_SURROGATE, 0),
  ROW("\xed\xa0", UTF8_ILL_FORMED, 0),
  ROW("\xc0\x80", UTF8_ILL_FORMED, 0), /* overlong */
  ROW("\xc1\xbf", UTF8_ILL_FORMED, 0),
  ROW("\xe0\x9f\xbf", UTF8_ILL_FORMED, 0),
  ROW("\xf0\x8f\xbf\xbf", UTF8_ILL_FORMED, 0),
  ROW("\xf4\x90\x80\x80", UTF8_ILL_FORMED, 0), /* above U+10FFFF */
  ROW("\xf5\x80\x80\x80", UTF8_ILL_FORMED, 0),
  ROW("\xff", UTF8_ILL_FORMED, 0),
  ROW("a\x80", UTF8_ILL_FORMED, 1),  /* a continuation that continues nothing */
  ROW("ab\xc3", UTF8_ILL_FORMED, 2), /* cut short */
  ROW("\xe2\x82", UTF8_ILL_FORMED, 0),
  ROW("\xf0\x9f\x92", UTF8_ILL_FORMED, 0),
  ROW("\xc3(", UTF8_ILL_FORMED, 0),
  ROW("\xe2\x28\xa1", UTF8_ILL_FORMED, 0),
};

static void test_classes(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t offset = 999;
    assert_int_equal(utf8_check(slice_of(rows[i].text, rows[i].size), &offset), rows[i].fault);
    assert_int_equal(offset, rows[i].fault == UTF8_GOOD ? 999 : rows[i].offset);
    assert_int_equal(utf8_check(slice_of(rows[i].text, rows[i].size), NULL), rows[i].fault);
  }
}

static size_t encode(uint32_t code, uint8_t to[4]) {
  if (code < 0x80) return to[0] = (uint8_t)code, 1;
  size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size; --i > 0; code >>= 6) to[i] = 0x80 | (code & 0x3f);
  to[0] = (uint8_t)(0xf00 >> size | code);
  return size;
}

/* Every code point there is, whole and cut short at every byte. */
static void test_every_code_point(void **state) {
  (void)state;
  for (uint32_t code = 0; code <= 0x10ffff; code++) {
    uint8_t bytes[4];
    size_t size = encode(code, bytes), taken = 0;
    enum utf8_fault due = code == 0 ? UTF8_NULL : code >= 0xd800 && code <= 0xdfff ? UTF8_SURROGATE : UTF8_GOOD;
    if (utf8_next(slice_of(bytes, size), &taken) != due || taken != size) fail_msg("U+%04X", code);
    for (size_t cut = 1; cut < size; cut++)
      if (utf8_check(slice_of(bytes, cut), NULL) != UTF8_ILL_FORMED) fail_msg("U+%04X cut to %zu", code, cut);
  }
}

/* A fault is found wherever it lies among words of plain text. */
static void test_every_place(void **state) {
  (void)state;
  for (size_t size = 1; size < 40; size++) {
    for (size_t at = 0; at < size; at++) {
      char text[40];
      size_t offset = 0;
      memset(text, 'x', size);
      text[at] = (char)(at % 2 ? 0 : 0x80);
      assert_int_equal(utf8_check(slice_of(text, size), &offset), at % 2 ? UTF8_NULL : UTF8_ILL_FORMED);
      assert_int_equal(offset, at);
    }
  }
}

static void test_texts(void **state) {
  (void)state;
  assert_string_equal(utf8_fault_text(UTF8_NULL), "U+0000");
  assert_string_equal(utf8_fault_text(UTF8_SURROGATE), "a surrogate");
  assert_string_equal(utf8_fault_text(UTF8_ILL_FORMED), "ill-formed UTF-8");
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_classes), cmocka_unit_test(test_every_code_point),
                                      cmocka_unit_test(test_every_place), cmocka_unit_test(test_texts) };
  return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
