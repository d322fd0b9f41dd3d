/* slice: a borrowed run of bytes.
 *
 * A slice owns nothing. It is valid until the next call on whatever owns the bytes.
 * Values are passed and returned by copy.
 */
#ifndef MQRIG_SLICE_H
#define MQRIG_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
  const uint8_t *data;
  size_t size;
};

static inline struct slice slice_of(const void *data, size_t size) {
  return (struct slice){ data, size };
}

/* The bytes of a C string, without its terminator. */
static inline struct slice slice_text(const char *text) {
  return slice_of(text, strlen(text));
}

/* What is left after the first `n` bytes; `n` may not exceed the size. */
static inline struct slice slice_from(struct slice s, size_t n) {
  return slice_of(n ? s.data + n : s.data, s.size - n); /* an empty slice may have no address to count from */
}

/* The first `n` bytes, or all of them if there are fewer. */
static inline struct slice slice_first(struct slice s, size_t n) {
  return slice_of(s.data, n < s.size ? n : s.size);
}

static inline bool slice_equal(struct slice a, struct slice b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
