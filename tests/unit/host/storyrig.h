/* storyrig: timelines for tests of what is made of them. */
#ifndef MQRIG_STORYRIG_H
#define MQRIG_STORYRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "host/timeline.h"

#define STORYRIG_MS 1000000

#define STORYRIG_ACK(n) slice_of("\x40\x02\x00" n, 4)
#define STORYRIG_PING   slice_of("\xc0\x00", 2)
#define STORYRIG_EMPTY  slice_of("\x30\x03\x00\x01\x61", 5) /* PUBLISH q0 "a" */
#define STORYRIG_PUB(n) slice_of("\x32\x05\x00\x01\x61\x00" n, 7)

static inline void storyrig_random_entry(struct timeline *t, struct rng *rng, int64_t at_ns) {
  static const char *const openings[] = { "127.0.0.1:5 to 127.0.0.1:9",
                                          "from 127.0.0.1:5 to 127.0.0.1:9",
                                          "unix to unix",
                                          "from unix",
                                          "[::1]:7 to [::1]:8",
                                          "from 127.0.0.1:5 through 127.0.0.1:6",
                                          "from 127.0.0.1:6 to 127.0.0.1:9" };
  static const char *const ends[] = { "closed by this end", "closed by the other end", "reset by the other end", "?" };
  static const uint8_t large[3000] = { 0x30, 0xb5, 0x17 };
  uint32_t who = (uint32_t)rng_below(rng, 4);
  struct slice packets[] = { STORYRIG_ACK("\1"), STORYRIG_ACK("\2"), STORYRIG_PING,
                             STORYRIG_EMPTY,     slice_of("", 0),    slice_of(large, rng_below(rng, 2) ? 3000 : 100) };
  struct slice packet = packets[rng_below(rng, 6)];
  uint64_t what = rng_below(rng, 100);
  enum timeline_kind kind = rng_below(rng, 2) ? TIMELINE_UP : TIMELINE_DOWN;
  if (what < 45) timeline_add(t, at_ns, who, kind, packet);
  else if (what < 85)
    timeline_add_hit(t, at_ns, who, kind == TIMELINE_UP ? "up rule" : "down rule",
                     &(struct timeline_hit){ .up = kind == TIMELINE_UP,
                                             .fate = (enum timeline_fate)rng_below(rng, 3),
                                             .at = (uint32_t)rng_below(rng, 6),
                                             .index = rng_below(rng, 8),
                                             .packet = packet });
  else if (what < 90) timeline_add(t, at_ns, who, TIMELINE_FAULT, slice_text("rst now"));
  else if (what < 95) timeline_add(t, at_ns, who, TIMELINE_OPEN, slice_text(openings[rng_below(rng, 7)]));
  else timeline_add(t, at_ns, who, TIMELINE_END, slice_text(ends[rng_below(rng, 4)]));
}

/* Anything, in any order, of three participants and the scenario; of some seeds so much that the beginning is dropped.
 */
static inline struct timeline *storyrig_random(uint64_t seed) {
  struct rng rng = { seed };
  struct timeline *t = timeline_new(0);
  int64_t at_ns = 0;
  for (int i = 0; i < 3; i++) timeline_who(t, "x");
  for (uint64_t i = rng_below(&rng, seed % 150 == 7 ? 90000 : 300); i > 0; i--) {
    at_ns += (int64_t)rng_below(&rng, 4) * (STORYRIG_MS / 3);
    storyrig_random_entry(t, &rng, at_ns);
  }
  return t;
}

#endif
