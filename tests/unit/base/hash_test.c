#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/rng.h"

struct hash_test_item {
  struct hash_node node;
  uint32_t key;
  bool in;
};

static struct hash_test_item *hash_test_find(const struct hash *h, uint32_t key) {
  for (struct hash_node *n = hash_first(h, key % 97); n; n = hash_next(n)) {
    struct hash_test_item *item = LIST_OWNER(n, struct hash_test_item, node);
    if (item->key == key) return item;
  }
  return NULL;
}

/* Among many of equal value, each is found while it is in and not after; an empty table has no memory. */
static void test_find(void **state) {
  (void)state;
  enum { COUNT = 2000 };
  static struct hash_test_item items[COUNT];
  struct hash h;
  struct rng rng = { 3 };
  hash_init(&h);
  for (int round = 0; round < 50000; round++) {
    uint32_t key = (uint32_t)rng_below(&rng, COUNT);
    struct hash_test_item *item = &items[key];
    assert_ptr_equal(hash_test_find(&h, key), item->in ? item : NULL);
    item->key = key;
    if (item->in) hash_remove(&h, &item->node);
    else hash_add(&h, &item->node, key % 97);
    item->in = !item->in;
  }
  for (int i = 0; i < COUNT; i++)
    if (items[i].in) hash_remove(&h, &items[i].node);
  assert_int_equal(h.count, 0);
  assert_null(h.buckets);
  hash_fini(&h);
}

/* Lengths, contents and seeds tell values apart, zero bytes included. */
static void test_bytes(void **state) {
  (void)state;
  uint8_t zeros[40] = { 0 };
  for (size_t a = 0; a < sizeof zeros; a++) {
    for (size_t b = 0; b < a; b++) assert_true(hash_bytes(0, slice_of(zeros, a)) != hash_bytes(0, slice_of(zeros, b)));
    assert_true(hash_bytes(0, slice_of(zeros, a)) != hash_bytes(1, slice_of(zeros, a)));
  }
  assert_true(hash_bytes(0, slice_text("abcdefgh")) != hash_bytes(0, slice_text("abcdefgi")));
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_bytes) };
  return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
