/* simhost: hosts of a virtual world: a name, an address, a clock, timers. */
#ifndef MQRIG_SIMHOST_H
#define MQRIG_SIMHOST_H

#include "net/address.h"
#include "net/simworld.h"

#define SIMHOST_NAME_MAX 63

struct simhost {
  struct net net;
  struct simworld *world;
  struct hash_node named;
  uint64_t key;
  uint64_t connects;        /* made so far: each takes its draws from its number */
  uint64_t randoms;         /* words of net_random given out */
  uint32_t address;         /* IPv4, as a number */
  uint32_t local, real;     /* its clock's speed */
  int64_t set_ns, world_ns; /* what the clock showed at which time of the world */
  struct simevent due;      /* its first timer; the main host's are net_turn's own affair */
  struct list_node parked;  /* events of ends and listeners that have something for it when it goes on */
  bool stopped;
  char name[SIMHOST_NAME_MAX + 1];
};

static inline struct simhost *simhost_of(const struct net *n) {
  return (struct simhost *)n;
}

static inline struct simworld *simhost_world(const struct net *n) {
  return simhost_of(n)->world;
}

/* Finds it, or NULL. */
struct simhost *simhost_named(const struct simworld *w, const char *name);
struct simhost *simhost_at(const struct simworld *w, const struct address_brief *a);
bool simhost_is_loopback(const struct address_brief *a);
struct simhost *simhost_new(struct simworld *w, const char *name, const struct net_ops *ops);
void simhost_free(struct simhost *h);
bool simhost_is_name(const char *name);

int64_t simhost_clock(const struct net *n);
int64_t simhost_to_world(const struct simhost *h, int64_t local_ns);
/* When somebody on it who waits until then goes on. */
int64_t simhost_wakes_ns(const struct simhost *h, int64_t local_ns);
void simhost_timed(struct net *n);
void simhost_random(struct net *n, void *to, size_t size);
void simhost_stop(struct simhost *h, bool stopped);
void simhost_jump(struct simhost *h, int64_t by_ns);
void simhost_drift(struct simhost *h, uint32_t local, uint32_t real);

#endif
