#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/rng.h"
#include "mqtt/frame.h"

static const uint32_t limits[] = { 0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455 };

/* The remaining length in `width` bytes, also in more than it needs. */
static size_t encode(uint32_t length, size_t width, uint8_t to[6]) {
  to[0] = 0x3a;
  for (size_t i = 1; i <= width; i++, length >>= 7) to[i] = (uint8_t)((length & 0x7f) | (i < width ? 0x80 : 0));
  return 1 + width;
}

static void check_length(uint32_t length) {
  for (size_t width = 1; width <= 4; width++) {
    uint8_t bytes[6];
    struct frame frame;
    if (width < 4 && length >> (7 * width)) continue;
    size_t size = encode(length, width, bytes);
    for (size_t cut = 0; cut < size; cut++) assert_int_equal(frame_read(slice_of(bytes, cut), &frame), FRAME_NEED_MORE);
    assert_int_equal(frame_read(slice_of(bytes, size), &frame), FRAME_OK);
    assert_int_equal(frame.first, 0x3a);
    assert_int_equal(frame.header_size, size);
    assert_int_equal(frame.size, length + size);
  }
}

static void test_every_limit(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) check_length(limits[i]);
}

static void test_random_lengths(void **state) {
  (void)state;
  struct rng rng = { 11 };
  for (int i = 0; i < 20000; i++) check_length((uint32_t)(rng_next(&rng) & 0xfffffff) >> rng_below(&rng, 28));
}

/* Four bytes that go on are wrong as soon as they are there, whatever the fifth is. */
static void test_five_bytes(void **state) {
  (void)state;
  struct frame frame;
  const uint8_t bytes[] = { 0x30, 0x80, 0xff, 0x80, 0x80, 0x01 };
  assert_int_equal(frame_read(slice_of(bytes, 4), &frame), FRAME_NEED_MORE);
  assert_int_equal(frame_read(slice_of(bytes, 5), &frame), FRAME_BAD);
  assert_int_equal(frame_read(slice_of(bytes, 6), &frame), FRAME_BAD);
}

static void test_nothing(void **state) {
  (void)state;
  struct frame frame;
  assert_int_equal(frame_read(slice_of(NULL, 0), &frame), FRAME_NEED_MORE);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_limit), cmocka_unit_test(test_random_lengths),
                                      cmocka_unit_test(test_five_bytes), cmocka_unit_test(test_nothing) };
  return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
