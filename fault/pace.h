/* pace: when bytes are through a line of a certain rate.
 *
 * Counted from the beginning of each busy time in whole bytes, so that nothing is rounded twice: a minute of it is as
 * long as it is to be, however often it was asked.
 */
#ifndef MQRIG_PACE_H
#define MQRIG_PACE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes go on in pieces of about so many a second. */
#define PACE_PIECES_S 1000

struct pace {
  int64_t begin_ns; /* of the busy time */
  uint64_t passed;  /* bytes in it */
};

/* Bytes that arrived then are next: a new busy time begins if those before were through by then. Fine to be told
 * again. */
void pace_begin(struct pace *p, uint64_t rate, int64_t arrived_ns);

/* How many of `size` bytes are through now: 0, a whole number of pieces, or all. */
size_t pace_due(const struct pace *p, uint64_t rate, size_t size, int64_t now_ns);

/* When the next piece of them is. */
int64_t pace_next_ns(const struct pace *p, uint64_t rate, size_t size);

#endif
