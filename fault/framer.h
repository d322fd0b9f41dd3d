/* framer: cuts the bytes of one direction into pieces of packets, without keeping any but those of an unfinished fixed
 * header.
 *
 * Bytes that are no packets (a malformed length; TLS or HTTP from the first byte on) end the framing: they and all that
 * follow are pieces of nothing.
 */
#ifndef MQRIG_FRAMER_H
#define MQRIG_FRAMER_H

#include "mqtt/frame.h"

struct framer {
  uint8_t header[5];
  uint8_t have; /* bytes of the fixed header in progress; 0: between packets */
  uint8_t sent; /* of these, how many were part of a piece already, or went by */
  bool known, lost;
  struct frame frame; /* once known */
  uint32_t from;      /* bytes of the packet taken */
  uint64_t index;     /* packets begun */
  uint64_t offset;    /* of the first byte of the packet in progress */
  uint64_t taken;     /* bytes taken in all */
};

/* Consecutive bytes of one packet: `head`, then `body`. Borrowed until the next call. */
struct framer_piece {
  struct slice head, body;
  bool framed, last;
  uint8_t first;
  uint32_t total, from; /* total 0: not known yet */
  uint64_t index, offset;
};

/* What a stream is that begins so and is not MQTT: "TLS", "HTTP"; it takes two bytes. NULL: MQTT, as far as one sees.
 */
const char *framer_foreign(struct slice first);

/* Takes the next piece off `*rest`. False if there is none: all of `*rest` was taken, perhaps into an unfinished
 * header. */
bool framer_next(struct framer *f, struct slice *rest, struct framer_piece *out);

/* The bytes of an unfinished header that were in no piece, as one that is not last. False if there are none. */
bool framer_pending(struct framer *f, struct framer_piece *out);

/* Takes all of the bytes without cutting them: for whoever only needs to know where packets begin. A header in progress
 * counts as gone by. */
void framer_follow(struct framer *f, struct slice bytes);

/* Bytes of the packet in progress that were taken; 0: between packets, or no longer framed. */
static inline uint64_t framer_passed(const struct framer *f) {
  return f->have && !f->lost ? f->taken - f->offset : 0;
}

/* What it carries that is not MQTT, as framer_foreign. */
static inline const char *framer_carries(const struct framer *f) {
  return f->lost && f->offset == 0 ? framer_foreign(slice_of(f->header, f->have)) : NULL;
}

#endif
