#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "host/cutter.h"

#define PACKET_MAX 500

struct record {
  struct buffer all; /* everything given, in order */
  size_t sizes[200]; /* of the packets */
  size_t packets;
};

static void cut(struct slice bytes, struct rng *rng, size_t most, struct record *r) {
  struct cutter c;
  struct slice piece;
  cutter_init(&c, PACKET_MAX);
  *r = (struct record){ 0 };
  buffer_init(&r->all, 1 << 20);
  while (bytes.size) {
    struct slice part = slice_first(bytes, 1 + rng_below(rng, most));
    bytes = slice_from(bytes, part.size);
    for (enum cutter_piece kind; (kind = cutter_next(&c, &part, &piece)) != CUTTER_NONE;) {
      assert_true(buffer_append(&r->all, piece));
      if (kind == CUTTER_PACKET) r->sizes[r->packets++] = piece.size;
    }
    assert_int_equal(part.size, 0);
  }
  /* Between packets nothing is held. */
  assert_null(c.partial.data);
  cutter_fini(&c);
}

/* However the bytes are cut: the same packets are given, packets over the limit and garbage as bytes, and nothing is
 * lost. */
static void test_any_cut(void **state) {
  (void)state;
  struct rng rng = { 5 };
  uint8_t *bytes = mem_zero(1 << 20);
  size_t size = 0, small = 0;
  for (int i = 0; i < 100; i++) {
    uint32_t body = (uint32_t)rng_below(&rng, i % 5 ? 400 : 2000);
    if (body + 2 + (body > 127) <= PACKET_MAX) small++;
    bytes[size++] = (uint8_t)rng_below(&rng, 256);
    if (body > 127) bytes[size++] = (uint8_t)(body & 127) | 128;
    bytes[size++] = (uint8_t)(body > 127 ? body >> 7 : body);
    for (uint32_t k = 0; k < body; k++) bytes[size++] = (uint8_t)rng_below(&rng, 256);
  }
  memcpy(bytes + size, "\x30\xff\xff\xff\xff\x01\xc0\x00", 8);
  size += 8;
  struct record whole, other;
  cut(slice_of(bytes, size), &rng, 1, &whole);
  assert_int_equal(whole.packets, small);
  assert_true(slice_equal(buffer_slice(&whole.all), slice_of(bytes, size)));
  for (size_t most = 2; most < 4 * size; most *= 3) {
    cut(slice_of(bytes, size), &rng, most, &other);
    assert_int_equal(other.packets, whole.packets);
    assert_memory_equal(other.sizes, whole.sizes, sizeof whole.sizes);
    assert_true(slice_equal(buffer_slice(&other.all), slice_of(bytes, size)));
    buffer_fini(&other.all);
  }
  buffer_fini(&whole.all);
  free(bytes);
}

static void test_partial(void **state) {
  (void)state;
  struct cutter c;
  struct slice piece, bytes = slice_of("\x40\x02\x00", 3);
  cutter_init(&c, PACKET_MAX);
  assert_int_equal(cutter_next(&c, &bytes, &piece), CUTTER_NONE);
  assert_int_equal(cutter_partial(&c).size, 3);
  bytes = slice_of("\x01", 1);
  assert_int_equal(cutter_next(&c, &bytes, &piece), CUTTER_PACKET);
  assert_int_equal(cutter_partial(&c).size, 0);
  assert_true(slice_equal(piece, slice_of("\x40\x02\x00\x01", 4)));
  cutter_fini(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_any_cut), cmocka_unit_test(test_partial) };
  return cmocka_run_group_tests_name("cutter", tests, NULL, NULL);
}
