#include "host/rolling.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

#define ROLLING_FIRST 256 /* steps that there is room for at first */

struct rolling {
  uint64_t hash;
  uint64_t *steps;
  size_t count, capacity;
};

struct rolling *rolling_new(void) {
  return mem_zero(sizeof(struct rolling));
}

void rolling_free(struct rolling *r) {
  if (!r) return;
  free(r->steps);
  free(r);
}

void rolling_add(struct rolling *r, uint64_t word) {
  r->hash = rng_mix(r->hash ^ (word + 0x9e3779b97f4a7c15u));
}

void rolling_add_bytes(struct rolling *r, struct slice bytes) {
  uint64_t word;
  rolling_add(r, bytes.size);
  for (; bytes.size >= sizeof word; bytes = slice_from(bytes, sizeof word)) {
    memcpy(&word, bytes.data, sizeof word);
    rolling_add(r, word);
  }
  if (!bytes.size) return;
  word = 0;
  memcpy(&word, bytes.data, bytes.size);
  rolling_add(r, word);
}

void rolling_step(struct rolling *r) {
  if (r->count == ROLLING_STEPS_MAX) return;
  if (r->count == r->capacity) {
    r->capacity = r->capacity ? 2 * r->capacity : ROLLING_FIRST;
    r->steps = mem_resize(r->steps, r->capacity * sizeof *r->steps);
  }
  r->steps[r->count++] = r->hash;
}

uint64_t rolling_hash(const struct rolling *r) {
  return r->hash;
}

const uint64_t *rolling_steps(const struct rolling *r, size_t *count) {
  *count = r->count;
  return r->steps;
}
