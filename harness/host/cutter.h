/* cutter: whole packets out of bytes as they come.
 *
 * A packet that lies inside the bytes is given as it lies there; one that came in pieces is put together, up to a
 * limit. A larger one, and what has no readable length (with all that follows it), is given as bytes.
 */
#ifndef MQRIG_CUTTER_H
#define MQRIG_CUTTER_H

#include "base/buffer.h"

enum cutter_piece { CUTTER_NONE, CUTTER_PACKET, CUTTER_BYTES };

struct cutter {
  struct buffer partial;
  uint32_t passing; /* bytes to come of a packet over the limit */
  bool lost;        /* no longer framed */
  bool given;       /* what is in `partial` was given out */
};

void cutter_init(struct cutter *c, size_t packet_max);
void cutter_fini(struct cutter *c);

/* Takes the next piece off `*bytes`. NONE: all are taken, a packet is in progress or not. `*piece` is borrowed until
 * the next call. */
enum cutter_piece cutter_next(struct cutter *c, struct slice *bytes, struct slice *piece);

/* What was taken of the packet in progress, and not given out. */
struct slice cutter_partial(const struct cutter *c);

#endif
