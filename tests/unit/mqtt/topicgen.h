/* topicgen: random topic names and filters from few levels, so that they often meet. */
#ifndef MQRIG_TOPICGEN_H
#define MQRIG_TOPICGEN_H

#include <stdio.h>

#include "base/rng.h"
#include "base/slice.h"

#define TOPICGEN_MAX 64

/* A good name or, with `wildcards`, filter of 1 to 5 levels: empty ones, $ and case included. */
static inline struct slice topicgen_make(struct rng *rng, bool wildcards, char to[TOPICGEN_MAX]) {
  static const char *const levels[] = { "a", "b", "A", "$S", "", "ab", "$", "\xc3\xa4" };
  size_t count = 1 + rng_below(rng, 5), at = 0;
  for (size_t i = 0; i < count; i++) {
    const char *level = levels[rng_below(rng, sizeof levels / sizeof *levels)];
    bool last = i + 1 == count;
    if (wildcards && rng_below(rng, 3) == 0) level = "+";
    if (wildcards && last && rng_below(rng, 3) == 0) level = "#";
    at += (size_t)snprintf(to + at, TOPICGEN_MAX - at, "%s%s", i ? "/" : "", level);
  }
  if (at == 0) to[at++] = 'x';
  return slice_of(to, at);
}

#endif
