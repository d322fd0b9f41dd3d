#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "fault/framer.h"

/* Random packets in random cuts: the pieces of each packet are consecutive, know its size and index, and give all bytes
 * back. */
static void test_pieces(void **state) {
  (void)state;
  struct rng rng = { 3 };
  for (int round = 0; round < 2000; round++) {
    struct buffer in, out;
    uint32_t sizes[8], from = 0;
    uint64_t offset = 0, index = 1;
    struct framer f = { 0 };
    struct framer_piece p;
    buffer_init(&in, 1 << 20);
    buffer_init(&out, 1 << 20);
    for (size_t i = 0; i < 8; i++) {
      uint32_t rest = (uint32_t)rng_below(&rng, rng_below(&rng, 3) ? 5 : 20000), left = rest;
      uint8_t byte = 0xc0;
      size_t start = buffer_size(&in);
      buffer_append(&in, slice_of(&byte, 1));
      do {
        byte = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        buffer_append(&in, slice_of(&byte, 1));
        left >>= 7;
      } while (left);
      uint8_t *body = buffer_reserve(&in, rest + 1);
      memset(body, (int)i, rest);
      buffer_commit(&in, rest);
      sizes[i] = (uint32_t)(buffer_size(&in) - start);
    }
    struct slice all = buffer_slice(&in);
    while (all.size) {
      struct slice cut = slice_first(all, 1 + rng_below(&rng, 1 + rng_below(&rng, 3000)));
      all = slice_from(all, cut.size);
      while (framer_next(&f, &cut, &p) || (rng_below(&rng, 2) && framer_pending(&f, &p))) {
        assert_true(p.framed && p.first == 0xc0 && p.index == index && p.offset == offset && p.from == from);
        assert_true(p.total == sizes[index - 1] || (p.total == 0 && !p.last));
        buffer_append(&out, p.head);
        buffer_append(&out, p.body);
        from += (uint32_t)(p.head.size + p.body.size);
        assert_int_equal(p.last, from == sizes[index - 1]);
        if (!p.last) continue;
        offset += from;
        from = 0;
        index++;
      }
      assert_int_equal(cut.size, 0);
    }
    assert_int_equal(index, 9);
    assert_true(slice_equal(buffer_slice(&in), buffer_slice(&out)));
    buffer_fini(&in);
    buffer_fini(&out);
  }
}

/* After a malformed length everything is just bytes. */
static void test_lost(void **state) {
  (void)state;
  const uint8_t bytes[] = { 0xc0, 0, 0x30, 0x80, 0x80, 0x80, 0x80, 0x01, 0xc0, 0 };
  struct framer f = { 0 };
  struct framer_piece p;
  struct slice rest = slice_of(bytes, sizeof bytes);
  assert_true(framer_next(&f, &rest, &p) && p.framed && p.last);
  assert_true(framer_next(&f, &rest, &p));
  assert_false(p.framed);
  assert_int_equal(p.head.size + p.body.size, 8);
  assert_int_equal(p.offset, 2);
  assert_false(framer_next(&f, &rest, &p));
  rest = slice_of(bytes, 2);
  assert_true(framer_next(&f, &rest, &p) && !p.framed && p.body.size == 2 && p.offset == 10);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_pieces), cmocka_unit_test(test_lost) };
  return cmocka_run_group_tests_name("framer", tests, NULL, NULL);
}
