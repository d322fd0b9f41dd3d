#include "net/evnet.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/evconnect.h"
#include "net/evlisten.h"
#include "net/evresolve.h"
#include "net/evworld.h"

#define EVNET_DESCRIPTORS "/proc/self/fd"

static int64_t evnet_clock(const struct net *n) {
  (void)n;
  return evloop_clock();
}

static bool evnet_wait(struct net *n, int64_t until_ns, struct err *err) {
  struct evworld *w = evworld_of(n);
  bool linger = n->linger;
  n->linger = false;
  if (!evloop_wait(&w->loop, until_ns, linger ? NET_LINGER_NS : 0, err)) return false;
  n->now_ns = evloop_clock();
  evloop_run(&w->loop);
  return true;
}

static void evnet_wake(struct net *n) {
  evloop_wake(&evworld_of(n)->loop);
}

static void evnet_free(struct net *n) {
  struct evworld *w = evworld_of(n);
  evworld_close_mute(w);
  evresolve_drain(w);
  evloop_fini(&w->loop);
  net_fini(n);
  free(w->buffer);
  free(w);
}

static const struct net_ops evnet_ops = {
  .clock = evnet_clock,
  .wait = evnet_wait,
  .wake = evnet_wake,
  .free = evnet_free,
  .connect = evconnect_start,
  .listen = evlisten_new,
  .flush = evstream_flush,
  .pause = evstream_pause,
  .unsent = evstream_unsent,
  .hurry = evstream_hurry,
  .name = evstream_name,
  .shutdown = evstream_shutdown,
  .set_buffers = evstream_set_buffers,
  .close = evstream_close,
  .reset = evstream_reset,
  .vanish = evstream_vanish,
  .can_vanish = evstream_can_vanish,
  .listener_pause = evlisten_pause,
  .listener_mute = evlisten_mute,
  .listener_free = evlisten_free,
};

struct net *evnet_new(struct err *err) {
  struct evworld *w = mem_zero(sizeof *w);
  if (!evloop_init(&w->loop, err)) {
    free(w);
    return NULL;
  }
  net_init(&w->net, &evnet_ops);
  w->vanish_error = -1;
  w->buffer = mem_resize(NULL, NET_READ_MAX);
  return &w->net;
}

/* Given up, not released: what lived in them still points to them. */
static struct evworld *evnet_abandoned;

void evnet_abandon(struct net *n) {
  struct evworld *w = evworld_of(n);
  evworld_close_mute(w);
  evloop_abandon(&w->loop);
  w->abandoned_next = evnet_abandoned;
  evnet_abandoned = w;
}

struct evnet_watch {
  struct evloop_source source;
  void (*ready)(void *arg, int fd);
  void *arg;
};

static void evnet_ready(struct evloop_source *s, short what) {
  struct evnet_watch *w = s->memory;
  if (what && w->ready) w->ready(w->arg, s->fd);
}

struct evnet_watch *evnet_watch(struct net *n, int fd, void (*ready)(void *arg, int fd), void *arg) {
  struct evnet_watch *w = mem_zero(sizeof *w);
  evloop_add(&evworld_of(n)->loop, &w->source, w, evnet_ready);
  w->source.borrowed = true;
  evloop_open(&w->source, fd);
  evloop_want(&w->source, true, false);
  w->ready = ready;
  w->arg = arg;
  return w;
}

void evnet_unwatch(struct evnet_watch *w) {
  if (!w) return;
  w->ready = NULL;
  evloop_bury(&w->source);
}

void evnet_descriptors(const struct net *n, void (*one)(void *arg, int fd, const char *text), void *arg) {
  DIR *d = opendir(EVNET_DESCRIPTORS);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    char text[64];
    ssize_t size = readlinkat(dirfd(d), e->d_name, text, sizeof text - 1);
    if (size <= 0) continue;
    text[size] = 0;
    if (text[0] == '/' || strncmp(text, "pipe:", 5) == 0) continue;
    int fd = (int)strtol(e->d_name, NULL, 10);
    if (!evworld_is_mute((const struct evworld *)n, fd)) one(arg, fd, text);
  }
  closedir(d);
}

size_t evnet_descriptors_left(void) {
  struct rlimit limit;
  size_t open = 0;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  DIR *d = opendir(EVNET_DESCRIPTORS);
  if (!d) return 0;
  while (readdir(d)) open++;
  closedir(d);
  /* The names ".", ".." and the directory itself are no descriptors in use. */
  open = open > 3 ? open - 3 : 0;
  return limit.rlim_cur > open ? limit.rlim_cur - open : 0;
}

bool evnet_shortage(struct err *err, int why, const char *doing) {
  return evworld_shortage(err, why, doing);
}
