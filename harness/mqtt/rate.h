/* rate: a token bucket in whole numbers, without drift: a rate that does not divide a second is still exact. */
#ifndef MQRIG_RATE_H
#define MQRIG_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_MAX 1000000000 /* a second */

struct rate {
  uint32_t per_s, burst; /* per_s 0: no limit */
  int64_t owed_ns;       /* when the bucket was, or will be, full; private */
  uint32_t owed_part;    /* and this many 1/per_s of a nanosecond later; private */
};

/* `per_s` at most RATE_MAX, `burst` at least 1 (0 counts as 1). The bucket starts full. */
void rate_init(struct rate *r, uint32_t per_s, uint32_t burst);

/* Takes one; false if there is none at `now_ns`, and nothing changes. */
bool rate_take(struct rate *r, int64_t now_ns);

/* When rate_take will next succeed; `now_ns` if at once. */
int64_t rate_ready(const struct rate *r, int64_t now_ns);

#endif
