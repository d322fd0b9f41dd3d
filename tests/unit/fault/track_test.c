#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "fault/track.h"

#define STREAM_MAX 400000

struct stream_of_packets {
  uint8_t bytes[STREAM_MAX];
  size_t size;
  size_t begin[4096]; /* of each packet */
  size_t count;
};

static size_t put_length(uint8_t *to, size_t n) {
  size_t i = 0;
  do {
    to[i] = (uint8_t)(n & 127) | (n > 127 ? 128 : 0);
    n >>= 7;
    i++;
  } while (n);
  return i;
}

static void make(struct stream_of_packets *s, struct rng *rng) {
  static const size_t sizes[] = { 0, 1, 2, 20, 127, 128, 129, 300, 17000, 40000 };
  s->size = s->count = 0;
  for (;;) {
    size_t body = sizes[rng_below(rng, sizeof sizes / sizeof *sizes)];
    if (s->size + body + 8 > STREAM_MAX || s->count == 4096) return;
    s->begin[s->count++] = s->size;
    s->bytes[s->size++] = (uint8_t)(rng_next(rng) & 0xff);
    s->size += put_length(s->bytes + s->size, body);
    for (size_t i = 0; i < body; i++) s->bytes[s->size++] = (uint8_t)rng_next(rng);
  }
}

/* Wherever it is cut: how many packets have begun, where the one in progress began, and its bytes while they are few.
 */
static void check(const struct track *t, const struct stream_of_packets *s, size_t at, size_t begun) {
  size_t begin = begun ? s->begin[begun - 1] : 0;
  size_t end = begun < s->count ? s->begin[begun] : s->size;
  size_t passed = at < end ? at - begin : 0;
  struct inject_past past = track_past(t);
  assert_int_equal(t->framer.taken, at);
  assert_int_equal(t->framer.index, begun);
  assert_int_equal(framer_passed(&t->framer), passed);
  if (passed <= TRACK_START_MAX) {
    assert_int_equal(past.start.size, passed);
    if (passed) assert_memory_equal(past.start.data, s->bytes + begin, passed);
  } else {
    assert_int_equal(past.start.size, 0);
  }
}

static void follows_any_cut(void **state) {
  struct stream_of_packets *s = malloc(sizeof *s);
  (void)state;
  for (uint64_t seed = 0; seed < 60; seed++) {
    struct rng rng = { seed };
    struct track t;
    make(s, &rng);
    track_init(&t);
    size_t begun = 0, most = (size_t)1 << (1 + seed % 17);
    for (size_t at = 0; at < s->size;) {
      size_t n = 1 + rng_below(&rng, most);
      if (n > s->size - at) n = s->size - at;
      track_pass(&t, slice_of(s->bytes + at, n));
      at += n;
      while (begun < s->count && s->begin[begun] < at) begun++;
      check(&t, s, at, begun);
    }
    track_fini(&t);
  }
  free(s);
}

static void bytes_that_are_no_packets_are_counted(void **state) {
  static const uint8_t bad[] = { 0xc0, 0x00, 0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };
  (void)state;
  for (size_t cut = 0; cut <= sizeof bad; cut++) {
    struct track t;
    track_init(&t);
    track_pass(&t, slice_of(bad, cut));
    track_pass(&t, slice_of(bad + cut, sizeof bad - cut));
    assert_true(t.framer.lost);
    assert_int_equal(t.framer.taken, sizeof bad);
    assert_int_equal(framer_passed(&t.framer), 0);
    assert_int_equal(track_past(&t).start.size, 0);
    track_fini(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(follows_any_cut),
    cmocka_unit_test(bytes_that_are_no_packets_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
