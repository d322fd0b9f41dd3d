/* buffer: a first-in first-out run of bytes with a limit.
 *
 * The buffer owns its memory, and has some only while it holds bytes: emptying it releases it. Bytes are contiguous,
 * so a slice of them can be decoded or written as it is. Nothing ever grows past `limit`. An idle client has seven of
 * them: each is 24 bytes.
 */
#ifndef MQRIG_BUFFER_H
#define MQRIG_BUFFER_H

#include "base/slice.h"

#define BUFFER_MAX UINT32_MAX

struct buffer {
  uint8_t *data;
  uint32_t start, end, capacity, limit;
};

/* An empty buffer that holds at most `limit` bytes, and never more than BUFFER_MAX. Needs no memory. */
void buffer_init(struct buffer *b, size_t limit);
void buffer_fini(struct buffer *b);

static inline size_t buffer_size(const struct buffer *b) {
  return b->end - b->start;
}

/* What the buffer holds, oldest first. Borrowed until the next call on the buffer. */
static inline struct slice buffer_slice(const struct buffer *b) {
  return slice_of(b->data ? b->data + b->start : NULL, b->end - b->start);
}

/* How many more bytes fit under the limit. */
static inline size_t buffer_room(const struct buffer *b) {
  return b->limit - buffer_size(b);
}

/* Room for `n` bytes behind the last, to be filled and then committed. NULL if that passes the limit. */
uint8_t *buffer_reserve(struct buffer *b, size_t n);

/* The first `n` of the bytes last reserved are now held. */
void buffer_commit(struct buffer *b, size_t n);

/* Appends all of the bytes, or none of them and returns false if that passes the limit. */
bool buffer_append(struct buffer *b, struct slice bytes);

/* Drops the `n` oldest bytes. */
void buffer_consume(struct buffer *b, size_t n);

/* Gives its memory away, to be released with free(): what it holds begins there if nothing was consumed. The buffer is
 * empty then. */
uint8_t *buffer_give_away(struct buffer *b);

/* The memory of all buffers of the process, in bytes. */
size_t buffer_held(void);

#endif
