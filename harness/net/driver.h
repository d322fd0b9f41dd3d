/* driver: what a world provides under net.h. Included by net.c, stream.c and by the drivers, by nobody else.
 *
 * A driver embeds `struct net`, `struct stream` and `struct net_listener` as the first member of its own.
 */
#ifndef MQRIG_DRIVER_H
#define MQRIG_DRIVER_H

#include "base/list.h"
#include "net/net.h"

#define NET_NAME_MAX 64 /* bytes of an address as text, its end included */

struct net_ops {
  int64_t (*clock)(const struct net *n);
  /* Waits until something happens or `until_ns`, sets `now_ns`, and runs the handlers of what happened. */
  bool (*wait)(struct net *n, int64_t until_ns, struct err *err);
  void (*wake)(struct net *n);
  void (*random)(struct net *n, void *to, size_t size); /* NULL: the system's */
  void (*timed)(struct net *n);                         /* its timers were changed. May be NULL */
  void (*free)(struct net *n);
  struct stream *(*connect)(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err);
  struct net_listener *(*listen)(struct net *n, const struct url *u, const struct net_listen_options *options,
                                 struct err *err);
  void (*flush)(struct stream *s);
  void (*pause)(struct stream *s, bool paused);
  size_t (*unsent)(const struct stream *s);
  void (*hurry)(struct stream *s); /* may be NULL */
  /* Its address, or the other end's, as stream_peer has it. May be NULL. */
  void (*name)(const struct stream *s, bool peer, char *to, size_t size);
  void (*shutdown)(struct stream *s);
  void (*set_buffers)(struct stream *s, size_t send, size_t receive);
  void (*close)(struct stream *s);
  void (*reset)(struct stream *s);
  bool (*vanish)(struct stream *s, struct err *err);
  bool (*can_vanish)(struct net *n, struct err *why);
  void (*listener_pause)(struct net_listener *l, bool paused);
  bool (*listener_mute)(struct net_listener *l, bool muted, struct err *err);
  void (*listener_free)(struct net_listener *l);
  struct net *(*part)(struct net *n, size_t i); /* the nets of its world, from 0; NULL beyond. May be NULL: only it */
};

struct net {
  const struct net_ops *ops;
  const char *name;   /* of a host in a world of several, else NULL */
  struct net *turner; /* in whose turns it takes part: its own, unless a driver has several nets in one world */
  int64_t now_ns;
  bool in_turn;
  bool linger; /* see net_linger; for the next wait */
  struct heap timers;
  struct list_node streams, listeners;          /* of the net whose turns they are: those that somebody owns */
  struct stream *dirty, **dirty_end;            /* streams that want to write, oldest wish first */
  struct names *names;                          /* of the net whose turns they are; see names.h. NULL: none yet */
  struct oscall_hook *hook;                     /* for the stream that `connect` makes, or NULL; see oscall.h */
  char peer[NET_NAME_MAX], local[NET_NAME_MAX]; /* the text asked for last: an idle stream carries none */
};

struct stream {
  struct net *net;
  struct list_node owned;   /* in net.streams from net_connect or `accepted` to its end */
  struct oscall_hook *hook; /* asked before each system call, or NULL; see oscall.h */
  const struct stream_handler *handler;
  void *arg;
  struct stream *dirty_next, **dirty_link; /* in net.dirty, or link NULL */
  bool blocked;                            /* the transport is full: the driver will ask for output by itself */
};

struct net_listener {
  struct net *net;
  struct list_node owned;   /* in net.listeners */
  struct oscall_hook *hook; /* as a stream's */
  const struct net_listener_handler *handler;
  void *arg;
  struct url url;
};

void net_init(struct net *n, const struct net_ops *ops);
void net_fini(struct net *n);
/* Fires the timers that are due at `now_ns`, but not those set meanwhile. For a net that is not turned itself. */
void net_fire(struct net *n);
/* Hands a stream that came to a listener to its owner. */
void net_accepted(struct net_listener *l, struct stream *s);
/* All zero before. */
void stream_init(struct stream *s, struct net *n);
void stream_fini(struct stream *s);     /* it wants to write no more, and its hook goes */
enum stream_end stream_end_of(int why); /* which end the errno of a call is */

#endif
