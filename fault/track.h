/* track: where one direction of a connection stands, for a filter that is put in later.
 *
 * Follows the bytes that go by, at a few nanoseconds a packet, and keeps the start of the packet in progress while that
 * is short. Of a packet with more than TRACK_START_MAX bytes gone by, only where it ends is known.
 */
#ifndef MQRIG_TRACK_H
#define MQRIG_TRACK_H

#include "base/buffer.h"
#include "fault/inject.h"

#define TRACK_START_MAX 16384

struct track {
  struct framer framer;
  struct buffer start;
};

void track_init(struct track *t);
void track_fini(struct track *t);

/* These bytes go by. */
void track_pass(struct track *t, struct slice bytes);

/* Borrowed until the next call. */
struct inject_past track_past(const struct track *t);

#endif
