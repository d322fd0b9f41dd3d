/* evlisten: listeners of the real world. */
#ifndef MQRIG_EVLISTEN_H
#define MQRIG_EVLISTEN_H

#include <sys/stat.h>

#include "net/evworld.h"

#define EVLISTEN_BACKLOG  1024
#define EVLISTEN_PASS_MAX 64        /* accepted in one turn */
#define EVLISTEN_RETRY_NS 250000000 /* without descriptors, and none of ours was closed */

struct evlisten {
  struct net_listener listener;
  struct evloop_source source;
  struct net_timer retry;
  struct evlisten *starving_next, **starving_link; /* waits for descriptors, or link NULL */
  uint32_t alive, accept_max;
  bool is_unix, paused, closed, told;
  dev_t device; /* of a Unix socket's file, to remove no other */
  ino_t inode;
};

struct net_listener *evlisten_new(struct net *n, const struct url *u, const struct net_listen_options *options,
                                  struct err *err);
void evlisten_pause(struct net_listener *l, bool paused);
bool evlisten_mute(struct net_listener *l, bool muted, struct err *err);
void evlisten_free(struct net_listener *l);

/* One of its streams has ended. */
void evlisten_ended(struct evlisten *l);

#endif
