#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/rng.h"

/* Random appends and consumes give the bytes back in order, never pass the limit, and an empty buffer has no memory. */
static void test_fifo(void **state) {
  (void)state;
  struct buffer b;
  struct rng rng = { 7 };
  uint8_t in = 0, out = 0, chunk[300];
  buffer_init(&b, 1000);
  for (int round = 0; round < 20000; round++) {
    size_t n = rng_below(&rng, sizeof chunk);
    for (size_t i = 0; i < n; i++) chunk[i] = (uint8_t)(in + i);
    bool fits = n <= buffer_room(&b);
    assert_int_equal(buffer_append(&b, slice_of(chunk, n)), fits);
    if (fits) in = (uint8_t)(in + n);
    assert_true(buffer_size(&b) <= 1000 && b.capacity <= 1000);
    size_t take = rng_below(&rng, buffer_size(&b) + 1);
    struct slice held = buffer_slice(&b);
    for (size_t i = 0; i < take; i++) assert_int_equal(held.data[i], out++);
    buffer_consume(&b, take);
    if (buffer_size(&b) == 0) assert_null(b.data);
  }
  buffer_fini(&b);
}

static void test_reserve_past_limit(void **state) {
  (void)state;
  struct buffer b;
  buffer_init(&b, 10);
  assert_null(buffer_reserve(&b, 11));
  assert_non_null(buffer_reserve(&b, 10));
  buffer_commit(&b, 4);
  assert_int_equal(buffer_room(&b), 6);
  assert_null(buffer_reserve(&b, 7));
  assert_null(buffer_reserve(&b, SIZE_MAX)); /* the sum with what is held is a small number again */
  buffer_fini(&b);
}

/* All memory of buffers is counted, and what was given away is not theirs any more. */
static void test_held(void **state) {
  (void)state;
  struct buffer a, b;
  size_t before = buffer_held();
  buffer_init(&a, 1000);
  buffer_init(&b, 1u << 20);
  assert_true(buffer_append(&a, slice_text("word")));
  assert_non_null(buffer_reserve(&b, 100000));
  assert_int_equal(buffer_held(), before + a.capacity + b.capacity);
  uint8_t *word = buffer_give_away(&a);
  assert_memory_equal(word, "word", 4);
  assert_int_equal(buffer_size(&a), 0);
  assert_int_equal(buffer_held(), before + b.capacity);
  free(word);
  buffer_fini(&a);
  buffer_fini(&b);
  assert_int_equal(buffer_held(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_fifo), cmocka_unit_test(test_reserve_past_limit),
                                      cmocka_unit_test(test_held) };
  return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
