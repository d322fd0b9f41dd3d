#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

#define HASH_FIRST 16

void hash_init(struct hash *h) {
  *h = (struct hash){ 0 };
}

void hash_fini(struct hash *h) {
  free(h->buckets);
  hash_init(h);
}

static struct hash_node **hash_bucket(const struct hash *h, uint64_t value) {
  return &h->buckets[value & (h->capacity - 1)];
}

static void hash_link(struct hash *h, struct hash_node *node) {
  struct hash_node **bucket = hash_bucket(h, node->value);
  node->next = *bucket;
  *bucket = node;
}

static void hash_resize(struct hash *h, size_t capacity) {
  struct hash old = *h;
  h->buckets = mem_zero(capacity * sizeof(struct hash_node *));
  h->capacity = capacity;
  for (size_t i = 0; i < old.capacity; i++) {
    for (struct hash_node *n = old.buckets[i], *next; n; n = next) {
      next = n->next;
      hash_link(h, n);
    }
  }
  free(old.buckets);
}

void hash_add(struct hash *h, struct hash_node *node, uint64_t value) {
  if (h->count >= h->capacity) hash_resize(h, h->capacity ? 2 * h->capacity : HASH_FIRST);
  node->value = value;
  hash_link(h, node);
  h->count++;
}

void hash_remove(struct hash *h, struct hash_node *node) {
  struct hash_node **link = hash_bucket(h, node->value);
  while (*link != node) {
    assert(*link);
    link = &(*link)->next;
  }
  *link = node->next;
  if (--h->count == 0) hash_fini(h);
  else if (h->capacity > HASH_FIRST && h->count < h->capacity / 8) hash_resize(h, h->capacity / 2);
}

struct hash_node *hash_first(const struct hash *h, uint64_t value) {
  if (h->count == 0) return NULL;
  struct hash_node *n = *hash_bucket(h, value);
  while (n && n->value != value) n = n->next;
  return n;
}

struct hash_node *hash_next(const struct hash_node *node) {
  struct hash_node *n = node->next;
  while (n && n->value != node->value) n = n->next;
  return n;
}

uint64_t hash_bytes(uint64_t seed, struct slice bytes) {
  uint64_t h = seed ^ (bytes.size * 0x9e3779b97f4a7c15u), word;
  for (; bytes.size >= sizeof word; bytes = slice_from(bytes, sizeof word)) {
    memcpy(&word, bytes.data, sizeof word);
    h = rng_mix(h ^ word);
  }
  word = 0;
  if (bytes.size) memcpy(&word, bytes.data, bytes.size);
  return rng_mix(h ^ word);
}
