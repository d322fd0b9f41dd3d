#include "mqtt/rate.h"

#include <assert.h>

#define RATE_SECOND_NS 1000000000

void rate_init(struct rate *r, uint32_t per_s, uint32_t burst) {
  assert(per_s <= RATE_MAX);
  *r = (struct rate){ per_s, burst ? burst : 1, INT64_MIN, 0 };
}

/* There is one token when the bucket lacks at most burst - 1 of them: when (owed - now) * per_s <= (burst - 1) seconds,
 * all in 1/per_s of a nanosecond. */
int64_t rate_ready(const struct rate *r, int64_t now_ns) {
  if (r->per_s == 0) return now_ns;
  __int128 spare = (__int128)(r->burst - 1) * RATE_SECOND_NS - r->owed_part;
  __int128 floor = spare >= 0 ? spare / r->per_s : -((-spare + r->per_s - 1) / r->per_s);
  __int128 at_ns = r->owed_ns - floor;
  return at_ns > now_ns ? (int64_t)at_ns : now_ns;
}

bool rate_take(struct rate *r, int64_t now_ns) {
  if (r->per_s == 0) return true;
  if (rate_ready(r, now_ns) > now_ns) return false;
  if (r->owed_ns < now_ns) {
    r->owed_ns = now_ns;
    r->owed_part = 0;
  }
  r->owed_ns += RATE_SECOND_NS / r->per_s;
  r->owed_part += RATE_SECOND_NS % r->per_s;
  if (r->owed_part >= r->per_s) {
    r->owed_part -= r->per_s;
    r->owed_ns++;
  }
  return true;
}
