/* net: the seam between mqrig and a world, real (evnet) or virtual (simnet).
 *
 * A world has a clock, timers and streams. Nothing above this line knows which driver it runs on. A driver fills a
 * `struct net_ops`; the timers, and the list of streams with something to write, are kept here for all drivers.
 *
 * One thread. Nothing calls back from inside a call: handlers run in net_turn only (stream_flush being the exception: it
 * may call `output` and `wrote`, never `input` or `ended`).
 */
#ifndef MQRIG_NET_H
#define MQRIG_NET_H

#include "base/err.h"
#include "base/heap.h"
#include "base/slice.h"
#include "net/url.h"

#define NET_READ_MAX 65536    /* bytes handed over by one input call */
#define NET_FLUSH_AT 65536    /* an owner with this much to write flushes at once instead of at the end of the turn */
#define NET_NEVER INT64_MAX

struct net;
struct stream;
struct net_listener;

/* Monotonic nanoseconds; constant during a turn. */
int64_t net_now(const struct net *n);

/* One turn: waits until something happens, a timer is due, or `until_ns` (NET_NEVER: no limit) has come; runs what is due; then
 * writes what was asked for by stream_want_write. False on a broken driver. */
bool net_turn(struct net *n, int64_t until_ns, struct err *err);

/* Makes a net_turn that is waiting, or the next one, return without waiting. */
void net_wake(struct net *n);

void net_free(struct net *n); /* all streams, listeners and timers must be gone */

/* Timers live in their owners. `fire` is called once, in a turn, with the timer cleared; set it again there to repeat. */
struct net_timer {
  struct heap_node node;
  void (*fire)(void *arg);
  void *arg;
};

void net_timer_init(struct net_timer *t, void (*fire)(void *arg), void *arg);
void net_timer_set(struct net *n, struct net_timer *t, int64_t at_ns); /* NET_NEVER clears */
void net_timer_clear(struct net *n, struct net_timer *t);

/* How a stream ended. */
enum stream_end {
  STREAM_FIN,         /* the other end finished sending; writing still works */
  STREAM_RESET,       /* ECONNRESET, EPIPE */
  STREAM_REFUSED,     /* while connecting: nobody listens */
  STREAM_UNREACHABLE, /* while connecting: no route, no such name or path */
  STREAM_TIMEOUT,     /* while connecting, or ETIMEDOUT */
  STREAM_FAILED,      /* anything else: `why` tells */
};

/* What the owner of a stream provides. All run inside net_turn, but for `output` and `wrote`, which stream_flush calls too.
 * Any of them may close or reset the stream that they are called for. */
struct stream_handler {
  void (*opened)(void *arg);                       /* connected; not called for accepted streams */
  void (*input)(void *arg, struct slice bytes);    /* takes all; stream_pause stops more */
  struct slice (*output)(void *arg);               /* what to write next; empty: nothing now */
  void (*wrote)(void *arg, size_t n);              /* the first n bytes of that were taken by the transport */
  /* STREAM_FIN: nothing more comes in, the stream lives on, for writing. Anything else: the stream has failed, `wrote` and
   * `input` will not be called again and the owner closes it. All input received before was handed over first, also when
   * it was a write that failed (`writing`). */
  void (*ended)(void *arg, enum stream_end end, bool writing, const struct err *why);
};

/* Starts connecting; the outcome comes to `opened` or `ended`, never before net_turn. Several addresses are tried in turn,
 * within `timeout_ns` from now in all. NULL only where nothing could be started (no descriptors: the sentence says so). */
struct stream *net_connect(struct net *n, const struct url *u, int64_t timeout_ns, const struct stream_handler *handler,
                           void *arg, struct err *err);

/* Sets or replaces the owner: for an accepted stream, inside `accepted`. */
void stream_own(struct stream *s, const struct stream_handler *handler, void *arg);

/* There is something to write: `output` is asked at the end of this turn, and again whenever the transport takes more. */
void stream_want_write(struct stream *s);

/* Writes now as much as the transport takes. Failure is reported later, by `ended` in a turn. */
void stream_flush(struct stream *s);

/* Stops and starts reading: the window closes. */
void stream_pause(struct stream *s, bool paused);

/* Bytes written that the other end's kernel has not acknowledged yet. */
size_t stream_unsent(const struct stream *s);

/* FIN: no more writing; reading goes on. */
void stream_shutdown(struct stream *s);

/* Sizes of the kernel's buffers, 0 leaves one alone. For accepted streams best set on the listener. */
void stream_set_buffers(struct stream *s, size_t send, size_t receive);

/* End the stream and free it; no handler is called any more. close: in order, what the transport took still goes out. reset: RST
 * now. vanish: neither FIN nor RST; false with a sentence, and the stream untouched, where that cannot be done. */
void stream_close(struct stream *s);
void stream_reset(struct stream *s);
bool stream_vanish(struct stream *s, struct err *err);

/* "127.0.0.1:53412", or "unix"; of the other end and of this one. Borrowed. */
const char *stream_peer(const struct stream *s);
const char *stream_local(const struct stream *s);

struct net_listen_options {
  int backlog;              /* 0: 1024 */
  uint32_t accept_max;      /* streams alive at once, then no more are accepted until one ends; 0: no limit */
  size_t send_buffer, receive_buffer;
};

/* Listens; port 0 takes a free one. `accepted` gets each stream and owns it. `trouble` (may be NULL) is told once each time accepting
 * has to stop for want of descriptors; it goes on by itself when there are some again. */
struct net_listener_handler {
  void (*accepted)(void *arg, struct stream *s);
  void (*trouble)(void *arg, const struct err *why);
};
struct net_listener *net_listen(struct net *n, const struct url *u, const struct net_listen_options *options,
                                const struct net_listener_handler *handler, void *arg, struct err *err);
/* Where it listens: the port it got. */
const struct url *net_listener_url(const struct net_listener *l);
void net_listener_free(struct net_listener *l);

#endif
