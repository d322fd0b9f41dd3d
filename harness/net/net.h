/* net: the seam between mqrig and a world, real (evnet) or virtual (simnet).
 *
 * A world has a clock, timers and streams. Nothing above this line knows which driver it runs on. A driver fills a
 * `struct net_ops`; the timers, and the list of streams with something to write, are kept here for all drivers.
 *
 * One thread. Nothing calls back from inside a call: handlers run in net_turn only (stream_flush being the exception:
 * it may call `output` and `wrote`, never `input` or `ended`).
 */
#ifndef MQRIG_NET_H
#define MQRIG_NET_H

#include "base/err.h"
#include "base/heap.h"
#include "base/slice.h"
#include "net/stream.h"
#include "net/url.h"

#define NET_READ_MAX  65536 /* bytes handed over by one input call, and of one stream in a turn */
#define NET_FLUSH_AT  65536 /* an owner with this much to write flushes at once instead of at the end of the turn */
#define NET_LINGER_NS 30000 /* see net_linger */
#define NET_NEVER     INT64_MAX

struct net;
struct net_listener;
struct names;

/* Monotonic nanoseconds; constant while the handlers of a turn run. */
int64_t net_now(const struct net *n);

/* One turn: writes what was asked for since the last; if there was nothing, waits until something happens, a timer is
 * due, or `until_ns` (NET_NEVER: no limit) has come; runs what is due; then writes what was asked for by
 * stream_want_write. False on a broken driver. Not to be called from a handler. */
bool net_turn(struct net *n, int64_t until_ns, struct err *err);

/* Makes the next net_turn return without waiting. Not for signal handlers. */
void net_wake(struct net *n);

/* Random bytes: the system's, good enough for keys; in a virtual world those of its seed. */
void net_random(struct net *n, void *to, size_t size);

/* What this world tells of names instead of asking for them, for names.h. */
struct names *net_names(struct net *n);

/* More input is due at once, in small pieces: the next wait, if there must be one, may begin with a nap of
 * NET_LINGER_NS, so that what comes meanwhile is read together. A wake-up costs more than reading. */
void net_linger(struct net *n);

/* Whether a connection can end without a word to the other end (stream_vanish); `why` (may be NULL): why not. */
bool net_can_vanish(struct net *n, struct err *why);

void net_free(struct net *n); /* all streams, listeners and timers must be gone */

/* Timers live in their owners. `fire` is called once, in a turn, with the timer cleared; set it again there to repeat.
 * Those due at one time fire in the order in which they were set. */
struct net_timer {
  struct heap_node node;
  void (*fire)(void *arg);
  void *arg;
};

void net_timer_init(struct net_timer *t, void (*fire)(void *arg), void *arg);
/* NET_NEVER clears; a time that has passed counts as now, and one set by a timer that fires comes in the next turn. */
void net_timer_set(struct net *n, struct net_timer *t, int64_t at_ns);
void net_timer_clear(struct net *n, struct net_timer *t);

/* Starts connecting; the outcome comes to `opened` or `ended`, never before net_turn. Several addresses race,
 * one begun after the other, within `timeout_ns` from now in all. NULL only where nothing could be started (no
 * descriptors, a path too long: the sentence says so). `handler` may be NULL until stream_own, before the next turn. */
struct stream *net_connect(struct net *n, const struct url *u, int64_t timeout_ns, const struct stream_handler *handler,
                           void *arg, struct err *err);

#define NET_BACKLOG_NONE (-1)

struct net_listen_options {
  int backlog;         /* 0: 1024; NET_BACKLOG_NONE: one connect is answered while none is accepted */
  uint32_t accept_max; /* streams alive at once, then no more are accepted until one ends; 0: no limit */
  size_t send_buffer, receive_buffer;
};

struct net_listener_handler {
  void (*accepted)(void *arg, struct stream *s); /* gets each stream and owns it: stream_own, or an end */
  /* May be NULL. Told once each time accepting has to stop for want of descriptors; it goes on by itself when there are
   * some again. */
  void (*trouble)(void *arg, const struct err *why);
};

/* Listens; port 0 takes a free one. A name with several addresses listens at the first; looking it up may wait.
 * `options` may be NULL. */
struct net_listener *net_listen(struct net *n, const struct url *u, const struct net_listen_options *options,
                                const struct net_listener_handler *handler, void *arg, struct err *err);
/* Where it listens: the port it got. */
const struct url *net_listener_url(const struct net_listener *l);
/* Nothing is accepted while paused; the system goes on taking connections up to the backlog. */
void net_listener_pause(struct net_listener *l, bool paused);
/* The system answers nobody who wants to connect, not even by a refusal: their connects wait. False with a sentence
 * where that cannot be done. */
bool net_listener_mute(struct net_listener *l, bool muted, struct err *err);
void net_listener_free(struct net_listener *l); /* streams that it accepted live on */

#endif
