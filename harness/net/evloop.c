#include "net/evloop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

int64_t evloop_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void evloop_alarm(evutil_socket_t fd, short what, void *arg) {
  struct evloop *l = arg;
  (void)fd;
  (void)what;
  l->alarm_ns = INT64_MAX;
}

static struct event_base *evloop_base(void) {
  struct event_config *config = event_config_new();
  if (!config) return NULL;
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
  event_config_require_features(config, EV_FEATURE_ET);
  struct event_base *base = event_base_new_with_config(config);
  event_config_free(config);
  return base;
}

bool evloop_init(struct evloop *l, struct err *err) {
  *l = (struct evloop){ .alarm_ns = INT64_MAX };
  l->ready_end = &l->ready;
  l->base = evloop_base();
  if (!l->base) return err_set(err, "the system gives no event loop: %s", strerror(errno));
  l->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (l->alarm_fd < 0) {
    int why = errno;
    event_base_free(l->base);
    return err_set(err, "the system gives no timer: %s", strerror(why));
  }
  event_assign(&l->alarm, l->base, l->alarm_fd, EV_READ | EV_PERSIST | EV_ET, evloop_alarm, l);
  event_add(&l->alarm, NULL);
  return true;
}

void evloop_fini(struct evloop *l) {
  assert(!l->sources && !l->ready && !l->buried);
  if (!l->base) return;
  event_del(&l->alarm);
  event_base_free(l->base);
  close(l->alarm_fd);
}

/* The epoll set is the parent's too: libevent is first made to take a new one, in which it may then delete what it
 * likes. */
void evloop_abandon(struct evloop *l) {
  bool own = event_reinit(l->base) == 0;
  for (struct evloop_source *s = l->sources; s; s = s->sources_next) {
    if (own) evloop_want(s, false, false);
    if (!s->borrowed) close(s->fd);
    s->fd = -1;
    s->read = s->write = NULL;
    s->sources_link = NULL;
  }
  l->sources = NULL;
  close(l->alarm_fd);
  if (own) {
    event_del(&l->alarm);
    event_base_free(l->base);
  }
  l->base = NULL;
}

static bool evloop_set_alarm(struct evloop *l, int64_t at_ns, int64_t now_ns, struct err *err) {
  if (at_ns == INT64_MAX || (l->alarm_ns <= at_ns && l->alarm_ns > now_ns)) return true;
  struct itimerspec t = { .it_value = { at_ns / 1000000000, at_ns % 1000000000 } };
  if (timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &t, NULL) != 0) {
    return err_set(err, "the timer of the event loop failed: %s", strerror(errno));
  }
  l->alarm_ns = at_ns;
  return true;
}

bool evloop_wait(struct evloop *l, int64_t until_ns, int64_t nap_ns, struct err *err) {
  for (;;) {
    int64_t now_ns = evloop_clock();
    bool wait = !l->ready && !l->woken && until_ns > now_ns;
    if (wait && nap_ns && until_ns - now_ns > nap_ns) ppoll(NULL, 0, &(struct timespec){ .tv_nsec = nap_ns }, NULL);
    nap_ns = 0;
    if (wait && !evloop_set_alarm(l, until_ns, now_ns, err)) return false;
    /* ONCE also without waiting: readiness that is only noted here would be told for ever. */
    if (event_base_loop(l->base, EVLOOP_ONCE | (wait ? EVLOOP_NO_EXIT_ON_EMPTY : EVLOOP_NONBLOCK)) < 0) {
      return err_set(err, "the event loop failed: %s", strerror(errno));
    }
    /* An alarm left from an earlier deadline ends no wait. */
    if (!wait || l->ready || l->woken || evloop_clock() >= until_ns) break;
  }
  l->woken = false;
  return true;
}

void evloop_wake(struct evloop *l) {
  l->woken = true;
}

static void evloop_unready(struct evloop_source *s) {
  struct evloop *l = s->loop;
  if (!s->ready_link) return;
  *s->ready_link = s->ready_next;
  if (s->ready_next) s->ready_next->ready_link = s->ready_link;
  else if (l->ready_end == &s->ready_next) l->ready_end = s->ready_link;
  s->ready_link = NULL;
}

static void evloop_make_ready(struct evloop_source *s, short what) {
  struct evloop *l = s->loop;
  s->what |= what;
  if (s->ready_link) return;
  s->ready_next = NULL;
  s->ready_link = l->ready_end;
  *l->ready_end = s;
  l->ready_end = &s->ready_next;
}

void evloop_raise(struct evloop_source *s) {
  evloop_make_ready(s, 0);
}

static void evloop_event(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  evloop_make_ready(arg, what & (EV_READ | EV_WRITE));
}

void evloop_enter(struct evloop *l) {
  l->depth++;
}

void evloop_leave(struct evloop *l) {
  if (--l->depth) return;
  while (l->buried) {
    struct evloop_source *s = l->buried;
    l->buried = s->sources_next;
    free(s->memory);
  }
}

void evloop_run(struct evloop *l) {
  struct evloop_source *batch = l->ready;
  if (!batch) return;
  batch->ready_link = &batch;
  l->ready = NULL;
  l->ready_end = &l->ready;
  evloop_enter(l);
  while (batch) {
    struct evloop_source *s = batch;
    short what = s->what;
    evloop_unready(s);
    s->what = 0;
    s->run(s, what);
  }
  evloop_leave(l);
}

void evloop_add(struct evloop *l, struct evloop_source *s, void *memory,
                void (*run)(struct evloop_source *s, short what)) {
  *s = (struct evloop_source){ .loop = l, .memory = memory, .run = run, .fd = -1 };
}

void evloop_open(struct evloop_source *s, int fd) {
  struct evloop *l = s->loop;
  assert(s->fd < 0);
  s->fd = fd;
  s->edge = false;
  s->sources_next = l->sources;
  if (l->sources) l->sources->sources_link = &s->sources_next;
  s->sources_link = &l->sources;
  l->sources = s;
}

int evloop_release(struct evloop_source *s) {
  int fd = s->fd;
  evloop_unready(s);
  s->what = 0;
  if (fd < 0) return -1;
  evloop_want(s, false, false);
  *s->sources_link = s->sources_next;
  if (s->sources_next) s->sources_next->sources_link = s->sources_link;
  s->fd = -1;
  return fd;
}

void evloop_close(struct evloop_source *s) {
  int fd = evloop_release(s);
  if (fd >= 0 && !s->borrowed) close(fd);
}

static struct event *evloop_watch(struct evloop_source *s, short what) {
  struct event *e = mem_zero(sizeof *e);
  event_assign(e, s->loop->base, s->fd, (short)(what | EV_PERSIST | (s->edge ? EV_ET : 0)), evloop_event, s);
  event_add(e, NULL);
  return e;
}

static void evloop_unwatch(struct event *e) {
  event_del(e);
  free(e);
}

static void evloop_switch(struct evloop_source *s, struct event **e, short what, bool wanted) {
  if (wanted == (*e != NULL)) return;
  if (!wanted) evloop_unwatch(*e);
  *e = wanted ? evloop_watch(s, what) : NULL;
}

void evloop_want(struct evloop_source *s, bool read, bool write) {
  if (s->fd < 0) return;
  evloop_switch(s, &s->read, EV_READ, read);
  evloop_switch(s, &s->write, EV_WRITE, write);
}

void evloop_use_edge(struct evloop_source *s) {
  if (s->fd < 0 || s->edge) return;
  evloop_want(s, false, false);
  s->edge = true;
}

void evloop_bury(struct evloop_source *s) {
  struct evloop *l = s->loop;
  evloop_close(s);
  if (l->depth) {
    s->sources_next = l->buried;
    l->buried = s;
  } else {
    free(s->memory);
  }
}
