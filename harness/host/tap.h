/* tap: cuts the bytes that pass one connection into packets and puts them on a timeline.
 *
 * A packet is entered when its last byte passes. Nothing is copied but what the timeline keeps, and the start of a
 * packet that is in progress. Of a packet over TAP_PACKET_MAX only the first TAP_START bytes are kept and entered.
 * Bytes that are no packets (a malformed length) are entered once, as a note with their hex, and the rest of that
 * direction is not cut any more.
 */
#ifndef MQRIG_TAP_H
#define MQRIG_TAP_H

#include "base/buffer.h"
#include "host/timeline.h"

#define TAP_PACKET_MAX TIMELINE_ENTRY_MAX
#define TAP_START      1024

struct tap_side {
  struct buffer partial;
  uint32_t passed; /* of a packet too large to keep: bytes that passed and are not in `partial` */
  bool lost;       /* no longer framed */
};

struct tap {
  struct timeline *timeline; /* borrowed */
  uint32_t who;
  struct tap_side up, down;
};

/* NULL without a timeline; a tap that is NULL does nothing. */
struct tap *tap_new(struct timeline *timeline, uint32_t who);
void tap_free(struct tap *t);
void tap_restart(struct tap *t); /* a new connection: both directions begin at a packet */
void tap_pass(struct tap *t, enum timeline_kind direction, struct slice bytes, int64_t now_ns);
/* The same up to the end of the first packet. Returns how many bytes that were. */
size_t tap_pass_one(struct tap *t, enum timeline_kind direction, struct slice bytes, int64_t now_ns);
/* Whether a part of a packet has passed. */
bool tap_is_midway(const struct tap *t, enum timeline_kind direction);
/* The connection is over, at the end whose packets go in that direction. */
void tap_end(struct tap *t, enum timeline_kind direction, int64_t now_ns);

/* What is left of bytes that begin at a packet behind the last whole one: the packet in progress. */
struct slice tap_tail(struct slice bytes);

#endif
