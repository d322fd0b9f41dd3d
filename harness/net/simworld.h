/* simworld: time, events and draws of a virtual world. */
#ifndef MQRIG_SIMWORLD_H
#define MQRIG_SIMWORLD_H

#include "base/hash.h"
#include "base/list.h"
#include "base/rng.h"
#include "net/driver.h"
#include "net/simnet.h"

struct simhost;
struct simconn;
struct simlink;
struct simflight;

/* What a draw is for. */
enum simworld_site {
  SIMWORLD_ORDER,
  SIMWORLD_LATENCY,
  SIMWORLD_WAKE,
  SIMWORLD_LOSS,
  SIMWORLD_PREFIX,
  SIMWORLD_REFUSE,
  SIMWORLD_NO_ANSWER,
  SIMWORLD_RANDOM, /* net_random */
};

/* Something that will happen. Lives in whom it happens to; all zero but `run` and `key` before it is set. */
struct simevent {
  struct heap_node node;
  struct list_node parked; /* its host stands still: it is set again when that goes on */
  uint64_t turn;           /* in which it was set: it runs in a later one */
  void (*run)(struct simevent *e);
  uint64_t key, count; /* name the draw of its place among those of one instant */
};

struct simworld {
  struct simhost *main;
  struct simnet_options options;
  int64_t now_ns;
  struct heap events;
  uint64_t turn, instant; /* events since time last moved */
  bool woken;
  unsigned depth;            /* of handlers that are running */
  struct simconn *buried;    /* over, their memory waits for depth 0 */
  struct simflight *flights; /* to be used again */
  struct list_node conns;
  struct list_node owing;    /* ends that owe an acknowledgement */
  struct list_node arriving; /* ends at which something arrives now */
  bool settling;             /* they are being seen to */
  struct list_node links;
  struct simhost **hosts; /* in the order in which they were made; as many as host_table has */
  struct hash host_table, link_table, listener_table;
  struct simnet_link link;      /* of all links that were not set */
  struct simlink *local;        /* what Unix sockets go over */
  uint32_t listener_port, port; /* given out so far */
  uint8_t *buffer;              /* NET_READ_MAX bytes that are being handed over */
  uint64_t hash;
  struct simnet_count count;
};

void simworld_init(struct simworld *w, const struct simnet_options *options);
void simworld_fini(struct simworld *w);

/* Puts the event in, or moves it. One that is due already and in is left alone. */
void simworld_set(struct simworld *w, struct simevent *e, int64_t at_ns);
void simworld_clear(struct simworld *w, struct simevent *e);

/* Lets time jump to the next event, but not past `until_ns`, and runs what is due then. */
bool simworld_wait(struct simworld *w, int64_t until_ns, struct err *err);

uint64_t simworld_draw(const struct simworld *w, enum simworld_site site, uint64_t key, uint64_t occurrence);
bool simworld_happens(const struct simworld *w, struct simnet_ratio r, enum simworld_site site, uint64_t key,
                      uint64_t occurrence);

/* Something has happened: into the hash. */
static inline void simworld_note(struct simworld *w, uint64_t key, uint64_t what) {
  w->hash = rng_mix(rng_mix(w->hash ^ (uint64_t)w->now_ns) ^ key) + what;
}

/* Around calls of handlers. */
void simworld_enter(struct simworld *w);
void simworld_leave(struct simworld *w);

#endif
