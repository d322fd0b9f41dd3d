/* evworld: what the parts of evnet share: the loop, the read buffer, and the shortage of descriptors. */
#ifndef MQRIG_EVWORLD_H
#define MQRIG_EVWORLD_H

#include <errno.h>

#include "net/driver.h"
#include "net/evloop.h"

#define EVWORLD_MUTE_MAX 64 /* descriptors of vanished streams kept open; beyond it the oldest goes */

struct evlisten;
struct evdns_base;

struct evworld {
  struct net net;
  struct evloop loop;
  uint8_t *buffer;           /* NET_READ_MAX bytes that every stream reads into */
  struct evlisten *starving; /* listeners that wait for descriptors */
  struct evdns_base *dns;    /* while names are looked up */
  unsigned lookups;
  int mute[EVWORLD_MUTE_MAX];
  unsigned mute_count, mute_next;
  int vanish_error; /* of TCP_REPAIR here; -1: not tried yet */
  struct evworld *abandoned_next;
};

static inline struct evworld *evworld_of(struct net *n) {
  return (struct evworld *)n;
}

/* What comes in to that socket is dropped unread by the system, as if it had been lost on the way: connects, too, if it
 * listens. False with errno where the system refuses that. */
bool evworld_deafen(int fd, bool deaf);

/* A descriptor was closed: listeners that wait for one try again. */
void evworld_freed(struct evworld *w);

/* Keeps a descriptor that must not be closed for as long as there is room, without reading it. */
void evworld_keep_mute(struct evworld *w, int fd);
bool evworld_is_mute(const struct evworld *w, int fd);
void evworld_close_mute(struct evworld *w);

static inline bool evworld_is_shortage(int why) {
  return why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM;
}

/* Why `doing` ("a connection to 127.0.0.1:1883") got no descriptor: names the limit and what to do. Returns false. */
bool evworld_shortage(struct err *err, int why, const char *doing);

#endif
