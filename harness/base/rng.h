/* rng: seeded random numbers.
 *
 * Two forms: a stream (`struct rng`, splitmix64) for one consumer, and `rng_hash`, a draw named by what it is for, so
 * that taking one draw away shifts no other. Integers only: decisions never rest on floating point.
 */
#ifndef MQRIG_RNG_H
#define MQRIG_RNG_H

#include <stdint.h>

struct rng {
  uint64_t state;
};

static inline uint64_t rng_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static inline uint64_t rng_next(struct rng *r) {
  return rng_mix(r->state += 0x9e3779b97f4a7c15u);
}

/* A number from 0 to n - 1; n is not 0. */
static inline uint64_t rng_below(struct rng *r, uint64_t n) {
  return (uint64_t)(((unsigned __int128)rng_next(r) * n) >> 64);
}

/* The draw of this seed for the `occurrence`-th event at `site` on `link`. */
static inline uint64_t rng_hash(uint64_t seed, uint64_t site, uint64_t link, uint64_t occurrence) {
  uint64_t h = rng_mix(seed + 0x9e3779b97f4a7c15u);
  h = rng_mix(h ^ (site + 0x9e3779b97f4a7c15u));
  h = rng_mix(h ^ (link + 0x9e3779b97f4a7c15u));
  return rng_mix(h ^ (occurrence + 0x9e3779b97f4a7c15u));
}

#endif
