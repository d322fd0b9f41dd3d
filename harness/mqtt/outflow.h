/* outflow: the bytes on their way to the transport, and where each stands in the stream of one connection.
 *
 * Offsets count from the connection's first byte. The bytes of the packet in progress are kept until all of it was
 * handed over: a fault filter that is put in now begins with them.
 */
#ifndef MQRIG_OUTFLOW_H
#define MQRIG_OUTFLOW_H

#include "base/buffer.h"

#define OUTFLOW_RAW_MAX ((size_t)1 << 29)     /* bytes that may wait when there are raw ones among them */
#define OUTFLOW_MAX     (2 * OUTFLOW_RAW_MAX) /* so that all that a session may put behind those has room */

struct outflow {
  struct buffer bytes; /* from the first byte of the packet in progress */
  struct buffer raws;  /* where the runs of raw bytes are: begin and size, in order */
  uint64_t start;      /* offset of the first of `bytes` */
  uint64_t written;    /* how much of the stream was handed over */
};

void outflow_init(struct outflow *f);
void outflow_fini(struct outflow *f); /* empty, at offset 0: ready for the next connection */

/* The offset that the next byte appended to `bytes` will have. */
static inline uint64_t outflow_end(const struct outflow *f) {
  return f->start + buffer_size(&f->bytes);
}

static inline size_t outflow_waiting(const struct outflow *f) {
  return (size_t)(outflow_end(f) - f->written);
}

/* What is still to be handed over. Borrowed until the next call. */
struct slice outflow_unwritten(const struct outflow *f);

/* The first `n` of those were handed over. */
void outflow_wrote(struct outflow *f, size_t n);

/* What was handed over of the packet in progress; empty between packets. */
struct slice outflow_partial(const struct outflow *f);

/* The bytes of a packet that is not yet handed over completely. */
struct slice outflow_at(const struct outflow *f, uint64_t begin, size_t size);

/* Bytes as they are; they count as one packet. False if that passes OUTFLOW_RAW_MAX. */
bool outflow_raw(struct outflow *f, struct slice bytes);

#endif
