#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "net/pcapng.h"

/* A file with one frame of five bytes and two comments, byte for byte. */
static void test_golden(void **state) {
  static const uint8_t want[] = {
    /* section header: size 48; magic, 1.0, length not told; comment "note", application "app" */
    0x0a, 0x0d, 0x0d, 0x0a, 0x30, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 1, 0, 4, 0, 'n', 'o', 't', 'e', 4, 0, 3, 0, 'a', 'p', 'p', 0, 0, 0, 0, 0, 0x30, 0, 0, 0,
    /* interface: size 32; Ethernet, no limit; time resolution 9 */
    1, 0, 0, 0, 0x20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0,
    /* interface: size 40; the same, with the name "in" */
    1, 0, 0, 0, 0x28, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 'i', 'n', 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0,
    0x28, 0, 0, 0,
    /* packet: size 64; interface 1, time 0x0102030405060708, 5 bytes of 5; comments "ab" and "cdefg" */
    6, 0, 0, 0, 0x40, 0, 0, 0, 1, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5, 5, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 1, 0,
    2, 0, 'a', 'b', 0, 0, 1, 0, 5, 0, 'c', 'd', 'e', 'f', 'g', 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0,
    /* packet: size 36; without comments, without options */
    6, 0, 0, 0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 6, 7, 8, 9, 0x24, 0, 0, 0
  };
  const struct slice comments[] = { slice_text("ab"), slice_text("cdefg") };
  char *bytes;
  size_t size;
  (void)state;
  FILE *to = open_memstream(&bytes, &size);
  pcapng_begin(to, slice_text("app"), slice_text("note"));
  pcapng_interface(to, slice_text(""));
  pcapng_interface(to, slice_text("in"));
  pcapng_packet(to, 1, 0x0102030405060708, slice_of("\1\2\3\4\5", 5), comments, 2);
  pcapng_packet(to, 0, 9, slice_of("\6\7\x8\x9", 4), NULL, 0);
  fclose(to);
  for (size_t i = 0; i < sizeof want && i < size; i++)
    if ((uint8_t)bytes[i] != want[i]) fail_msg("byte %zu: %02x, wanted %02x", i, (uint8_t)bytes[i], want[i]);
  assert_int_equal(size, sizeof want);
  free(bytes);
}

static uint32_t number_at(const char *bytes) {
  const uint8_t *b = (const uint8_t *)bytes;
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Whatever the sizes, blocks are whole words, follow each other, and end with their size; a long comment is cut between
 * characters. */
static void test_blocks(void **state) {
  enum { COMMENT = PCAPNG_COMMENT_MAX + 100 };
  char *bytes, *text = mem_zero(COMMENT);
  size_t size, blocks = 0;
  (void)state;
  for (size_t i = 0; i + 1 < COMMENT; i += 2) memcpy(text + i, "\xc3\xa4", 2);
  FILE *to = open_memstream(&bytes, &size);
  pcapng_begin(to, slice_of(text, 0), slice_of(text, 0));
  pcapng_interface(to, slice_text(""));
  for (size_t i = 0; i < 40; i++) {
    struct slice comments[] = { slice_of(text, i), slice_of(text + 1, COMMENT - 1 - i), slice_of(text, 0) };
    pcapng_packet(to, 0, 1, slice_of(text, i * 7), comments, i % 4);
  }
  fclose(to);
  for (size_t at = 0; at < size; blocks++) {
    uint32_t length = number_at(bytes + at + 4);
    assert_true(length >= 12 && length % 4 == 0 && length <= size - at);
    assert_int_equal(number_at(bytes + at + length - 4), length);
    at += length;
  }
  assert_int_equal(blocks, 42);
  assert_true(size < 40 * (PCAPNG_COMMENT_MAX + 600));
  free(bytes);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden), cmocka_unit_test(test_blocks) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
