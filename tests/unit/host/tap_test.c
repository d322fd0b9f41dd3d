#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "host/tap.h"

struct stream_bytes {
  uint8_t *data;
  size_t size;
};

static void put_packet(struct stream_bytes *s, uint8_t first, uint32_t body) {
  s->data[s->size++] = first;
  uint32_t left = body;
  do {
    s->data[s->size++] = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
    left >>= 7;
  } while (left);
  for (uint32_t i = 0; i < body; i++) s->data[s->size++] = (uint8_t)(body + i);
}

/* Packets of all header sizes, one over what is kept. */
static struct stream_bytes make_stream(struct rng *rng, bool garbage) {
  struct stream_bytes s = { mem_zero(4 << 20), 0 };
  for (int i = 0; i < 60; i++) {
    static const uint32_t sizes[] = { 1, 100, 300, 20000 };
    put_packet(&s, (uint8_t)rng_below(rng, 256), (uint32_t)rng_below(rng, sizes[i % 4]));
  }
  put_packet(&s, 0x30, TAP_PACKET_MAX);
  put_packet(&s, 0xc0, 0);
  if (garbage) {
    memcpy(s.data + s.size, "\x30\xff\xff\xff\xff\xff\x30\x00", 8);
    s.size += 8;
  }
  return s;
}

static void assert_same(const struct timeline *a, const struct timeline *b) {
  struct timeline_entry x, y;
  assert_int_equal(timeline_last(a), timeline_last(b));
  for (uint64_t n = 1; n <= timeline_last(a); n++) {
    assert_true(timeline_get(a, n, &x) && timeline_get(b, n, &y));
    assert_int_equal(x.kind, y.kind);
    assert_true(slice_equal(x.bytes, y.bytes));
  }
}

static struct timeline *tap_cut(struct slice bytes, struct rng *rng, size_t most) {
  struct timeline *t = timeline_new(0);
  struct tap *tap = tap_new(t, timeline_who(t, "c"));
  while (bytes.size) {
    struct slice part = slice_first(bytes, 1 + rng_below(rng, most));
    tap_pass(tap, TIMELINE_DOWN, part, 0);
    bytes = slice_from(bytes, part.size);
  }
  tap_free(tap);
  return t;
}

/* However the bytes are cut, the entries are the same: each packet whole (a too large one by its start), garbage once.
 */
static void test_any_cut(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 6; seed++) {
    struct rng rng = { seed };
    struct stream_bytes s = make_stream(&rng, seed % 2);
    struct timeline *whole = tap_cut(slice_of(s.data, s.size), &rng, 1);
    assert_int_equal(timeline_last(whole), 62 + 2 * (seed % 2)); /* a note and an event */
    struct timeline_entry e;
    assert_true(timeline_get(whole, 61, &e));
    assert_int_equal(e.bytes.size, TAP_START);
    assert_true(timeline_get(whole, 62, &e));
    assert_true(slice_equal(e.bytes, slice_of("\xc0\x00", 2)));
    for (size_t most = 2; most < 2 * s.size; most *= 7) {
      struct timeline *cut = tap_cut(slice_of(s.data, s.size), &rng, most);
      assert_same(whole, cut);
      timeline_free(cut);
    }
    timeline_free(whole);
    free(s.data);
  }
}

/* The two directions know nothing of each other, a restart begins at a packet, and between packets no memory is held.
 */
static void test_directions(void **state) {
  (void)state;
  struct timeline *t = timeline_new(0);
  struct tap *tap = tap_new(t, timeline_who(t, "c"));
  tap_pass(tap, TIMELINE_UP, slice_of("\x40\x02\x00", 3), 1);
  tap_pass(tap, TIMELINE_DOWN, slice_of("\xd0\x00\xd0", 3), 2);
  assert_int_equal(timeline_last(t), 1);
  tap_pass(tap, TIMELINE_UP, slice_of("\x01", 1), 3);
  assert_int_equal(timeline_last(t), 2);
  assert_null(tap->up.partial.data);
  assert_non_null(tap->down.partial.data);
  tap_restart(tap);
  tap_pass(tap, TIMELINE_DOWN, slice_of("\xd0\x00", 2), 4);
  assert_int_equal(timeline_last(t), 3);
  tap_free(tap);
  timeline_free(t);
}

static void test_no_timeline(void **state) {
  (void)state;
  struct tap *tap = tap_new(NULL, 0);
  assert_null(tap);
  tap_pass(tap, TIMELINE_UP, slice_of("\x40\x02\x00", 3), 1);
  tap_restart(tap);
  tap_free(tap);
}

static void test_tail(void **state) {
  (void)state;
  assert_int_equal(tap_tail(slice_of("\x40\x02\x00\x01\xc0\x00", 6)).size, 0);
  assert_true(slice_equal(tap_tail(slice_of("\xc0\x00\x40\x02\x00", 5)), slice_of("\x40\x02\x00", 3)));
  assert_int_equal(tap_tail(slice_of("\x40", 1)).size, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_any_cut),
    cmocka_unit_test(test_directions),
    cmocka_unit_test(test_no_timeline),
    cmocka_unit_test(test_tail),
  };
  return cmocka_run_group_tests_name("tap", tests, NULL, NULL);
}
