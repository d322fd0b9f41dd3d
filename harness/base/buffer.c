#include "base/buffer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define BUFFER_FIRST 256

static size_t buffer_total;

size_t buffer_held(void) {
  return buffer_total;
}

void buffer_init(struct buffer *b, size_t limit) {
  *b = (struct buffer){ .limit = limit < BUFFER_MAX ? (uint32_t)limit : BUFFER_MAX };
}

uint8_t *buffer_give_away(struct buffer *b) {
  uint8_t *data = b->data;
  buffer_total -= b->capacity;
  buffer_init(b, b->limit);
  return data;
}

void buffer_fini(struct buffer *b) {
  free(buffer_give_away(b));
}

static void buffer_compact(struct buffer *b) {
  memmove(b->data, b->data + b->start, b->end - b->start);
  b->end -= b->start;
  b->start = 0;
}

static void buffer_grow(struct buffer *b, size_t need) {
  size_t capacity = b->capacity ? b->capacity : BUFFER_FIRST;
  while (capacity < need) capacity *= 2;
  if (capacity > b->limit) capacity = b->limit; /* `need` is not over it */
  b->data = mem_resize(b->data, capacity);
  buffer_total += capacity - b->capacity;
  b->capacity = (uint32_t)capacity;
}

uint8_t *buffer_reserve(struct buffer *b, size_t n) {
  size_t need = buffer_size(b) + n;
  if (n > b->limit || need > b->limit) return NULL;
  if (b->capacity - b->end < n) {
    /* Moving what is held costs as much as it frees, at the least: amortised O(1) a byte. */
    if (need <= b->capacity && buffer_size(b) <= b->start) {
      buffer_compact(b);
    } else {
      if (b->start) buffer_compact(b);
      buffer_grow(b, need);
    }
  }
  return b->data + b->end;
}

void buffer_commit(struct buffer *b, size_t n) {
  assert(n <= b->capacity - b->end);
  b->end += (uint32_t)n;
}

bool buffer_append(struct buffer *b, struct slice bytes) {
  if (bytes.size == 0) return true;
  uint8_t *to = buffer_reserve(b, bytes.size);
  if (!to) return false;
  memcpy(to, bytes.data, bytes.size);
  buffer_commit(b, bytes.size);
  return true;
}

void buffer_consume(struct buffer *b, size_t n) {
  assert(n <= buffer_size(b));
  b->start += (uint32_t)n;
  if (b->start == b->end) buffer_fini(b);
}
