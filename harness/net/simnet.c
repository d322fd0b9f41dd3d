#include "net/simnet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/simdial.h"
#include "net/simlisten.h"
#include "net/simname.h"

static bool simnet_wait(struct net *n, int64_t until_ns, struct err *err) {
  struct simhost *h = simhost_of(n);
  assert(h == h->world->main);
  n->linger = false;
  simend_pay(h->world);
  return simworld_wait(h->world, simhost_wakes_ns(h, until_ns), err);
}

static void simnet_wake(struct net *n) {
  simhost_world(n)->woken = true;
}

static bool simnet_can_vanish(struct net *n, struct err *why) {
  (void)n;
  (void)why;
  return true;
}

static void simnet_free(struct net *n) {
  struct simworld *w = simhost_world(n);
  assert(simhost_of(n) == w->main && list_empty(&w->conns) && !w->listener_table.count);
  for (struct list_node *l = list_first(&w->links); l; l = list_first(&w->links)) {
    simlink_free(LIST_OWNER(l, struct simlink, listed));
  }
  for (size_t i = 0; i < w->host_table.count; i++) simhost_free(w->hosts[i]);
  simworld_fini(w);
  free(w);
}

static struct net *simnet_part(struct net *n, size_t i) {
  struct simworld *w = simhost_world(n);
  return i < w->host_table.count ? &w->hosts[i]->net : NULL;
}

static const struct net_ops simnet_ops = {
  .clock = simhost_clock,
  .wait = simnet_wait,
  .wake = simnet_wake,
  .random = simhost_random,
  .timed = simhost_timed,
  .free = simnet_free,
  .connect = simdial_start,
  .listen = simlisten_new,
  .flush = simend_flush,
  .pause = simend_pause,
  .unsent = simend_unsent,
  .name = simend_name,
  .shutdown = simend_shutdown,
  .set_buffers = simend_set_buffers,
  .close = simend_close,
  .reset = simend_reset,
  .vanish = simend_vanish,
  .can_vanish = simnet_can_vanish,
  .listener_pause = simlisten_pause,
  .listener_mute = simlisten_mute,
  .listener_free = simlisten_free,
  .part = simnet_part,
};

struct net *simnet_new(const struct simnet_options *options) {
  static const struct simnet_link local;
  struct simworld *w = mem_zero(sizeof *w);
  simworld_init(w, options);
  w->local = simlink_new(w, NULL, NULL);
  simlink_set(w, w->local, &local);
  w->main = simhost_new(w, "main", &simnet_ops);
  return &w->main->net;
}

struct net *simnet_host(struct net *n, const char *name, struct err *err) {
  struct simworld *w = simhost_world(n);
  if (!simhost_is_name(name)) {
    err_set(err, "\"%.100s\" is no name of a virtual host: 1 to %d of a-z 0-9 - _ .", name, SIMHOST_NAME_MAX);
    return NULL;
  }
  struct simhost *h = simhost_named(w, name);
  if (!h && w->host_table.count >= SIMNET_HOSTS_MAX) {
    err_set(err, "a virtual world has at most %d hosts", SIMNET_HOSTS_MAX);
    return NULL;
  }
  return h ? &h->net : &simhost_new(w, name, &simnet_ops)->net;
}

const char *simnet_host_name(const struct net *host) {
  return simhost_of(host)->name;
}

struct simnet_link simnet_link(struct net *n, const struct net *from, const struct net *to) {
  struct simworld *w = simhost_world(n);
  assert(!from == !to);
  return from ? *simlink_settings(w, simlink_between(w, simhost_of(from), simhost_of(to))) : w->link;
}

void simnet_set_link(struct net *n, const struct net *from, const struct net *to, const struct simnet_link *link) {
  struct simworld *w = simhost_world(n);
  assert(!from == !to);
  simlink_set(w, from ? simlink_between(w, simhost_of(from), simhost_of(to)) : NULL, link);
}

void simnet_jump(struct net *host, int64_t by_ns) {
  simhost_jump(simhost_of(host), by_ns);
}

void simnet_drift(struct net *host, uint32_t local, uint32_t real) {
  simhost_drift(simhost_of(host), local, real);
}

void simnet_stop(struct net *host, bool stopped) {
  struct simhost *h = simhost_of(host);
  assert(h != h->world->main);
  simhost_stop(h, stopped);
}

int64_t simnet_next_ns(struct net *n) {
  struct simhost *h = simhost_of(n);
  struct simworld *w = h->world;
  const struct heap_node *event = heap_first(&w->events), *timer = heap_first(&w->main->net.timers);
  int64_t at_ns = event ? event->at_ns : NET_NEVER;
  int64_t timer_ns = timer ? simhost_wakes_ns(w->main, timer->at_ns) : NET_NEVER;
  if (timer_ns < at_ns) at_ns = timer_ns;
  if (w->main->net.dirty || !list_empty(&w->owing)) at_ns = w->now_ns;
  return at_ns == NET_NEVER ? NET_NEVER : simhost_clock(n) + (at_ns > w->now_ns ? at_ns - w->now_ns : 0);
}

uint64_t simnet_hash(const struct net *n) {
  return simhost_world(n)->hash;
}

struct simnet_count simnet_count(const struct net *n) {
  return simhost_world(n)->count;
}

void simnet_waiting(struct net *n, void (*line)(void *arg, const char *text), void *arg) {
  struct simworld *w = simhost_world(n);
  for (struct list_node *c = list_first(&w->conns); c; c = list_next(&w->conns, c)) {
    char text[SIMEND_TEXT_MAX];
    if (simend_describe(LIST_OWNER(c, struct simconn, listed), text)) line(arg, text);
  }
}
