/* evloop: readiness of descriptors and the time to wait, on a libevent base.
 *
 * libevent only polls: its callbacks put a source on the ready list, and the sources run after it has returned. So no
 * handler runs inside libevent, and a source may be closed by any handler. The memory of one closed while handlers run
 * is released when they have returned.
 *
 * The next deadline is a timerfd: exact where libevent's own timeouts are rounded to the tick, and set only when a
 * deadline comes earlier than the one it is set to, so that a busy turn costs no call for it.
 */
#ifndef MQRIG_EVLOOP_H
#define MQRIG_EVLOOP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct evloop_source;

struct evloop {
  struct event_base *base;
  struct event alarm;
  int alarm_fd;
  int64_t alarm_ns; /* what it is set to; INT64_MAX: it went off, or was never set */
  bool woken;
  unsigned depth; /* of handlers that are running */
  struct evloop_source *ready, **ready_end;
  struct evloop_source *sources; /* all with a descriptor */
  struct evloop_source *buried;  /* closed, their memory waits for depth 0 */
};

/* Part of whatever has a descriptor. */
struct evloop_source {
  struct evloop *loop;
  void *memory;                                     /* what evloop_bury frees */
  void (*run)(struct evloop_source *s, short what); /* EV_READ, EV_WRITE, or 0 after evloop_raise */
  int fd;                                           /* -1: none */
  short what;
  bool edge;
  bool borrowed;                                  /* the descriptor is somebody else's to close */
  struct event *read, *write;                     /* libevent's, while wanted: a write seldom is */
  struct evloop_source *ready_next, **ready_link; /* on the ready list, or link NULL */
  struct evloop_source *sources_next, **sources_link;
};

int64_t evloop_clock(void);

bool evloop_init(struct evloop *l, struct err *err);
void evloop_fini(struct evloop *l);
/* After fork: closes this process's copies of the descriptors that are not borrowed; the base is gone, the sources
 * stay, without descriptors. */
void evloop_abandon(struct evloop *l);

/* Waits until a source is ready, evloop_wake was called, or `until_ns`; if it must wait, it naps for `nap_ns` first. */
bool evloop_wait(struct evloop *l, int64_t until_ns, int64_t nap_ns, struct err *err);
void evloop_wake(struct evloop *l);
/* Runs the sources that are ready now, each once. */
void evloop_run(struct evloop *l);

/* Around calls of handlers outside evloop_run. */
void evloop_enter(struct evloop *l);
void evloop_leave(struct evloop *l);

void evloop_add(struct evloop *l, struct evloop_source *s, void *memory,
                void (*run)(struct evloop_source *s, short what));
void evloop_open(struct evloop_source *s, int fd); /* the source has no descriptor; takes it over */
void evloop_close(struct evloop_source *s);        /* closes the descriptor; the source may get another */
int evloop_release(struct evloop_source *s);       /* gives the descriptor back, unwatched */
void evloop_want(struct evloop_source *s, bool read, bool write);
/* From now on readiness is told once each time it changes. Wants nothing until told again. */
void evloop_use_edge(struct evloop_source *s);
/* Runs the source in the next evloop_run, which does not wait for it. */
void evloop_raise(struct evloop_source *s);
/* Closes, and frees `memory` once no handler runs. */
void evloop_bury(struct evloop_source *s);

#endif
