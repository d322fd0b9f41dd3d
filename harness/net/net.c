#include "net/net.h"

#include <assert.h>
#include <sys/random.h>

#include "net/driver.h"
#include "net/names.h"

void net_init(struct net *n, const struct net_ops *ops) {
  *n = (struct net){ .ops = ops, .turner = n };
  heap_init(&n->timers);
  list_init(&n->streams);
  list_init(&n->listeners);
  n->dirty_end = &n->dirty;
}

void net_fini(struct net *n) {
  assert(!n->timers.count && !n->dirty && list_empty(&n->streams) && list_empty(&n->listeners));
  heap_fini(&n->timers);
  names_free(n->names);
}

struct names *net_names(struct net *n) {
  struct net *world = n->turner;
  if (!world->names) world->names = names_new();
  return world->names;
}

int64_t net_now(const struct net *n) {
  return n->in_turn ? n->now_ns : n->ops->clock(n);
}

/* Writes what was asked for so far. A stream that asks again meanwhile waits for the next time: one that never ends its
 * output keeps nobody else from theirs. */
static void net_flush(struct net *n) {
  struct stream *batch = n->dirty;
  if (!batch) return;
  batch->dirty_link = &batch;
  n->dirty = NULL;
  n->dirty_end = &n->dirty;
  while (batch) {
    struct stream *s = batch;
    batch = s->dirty_next;
    if (batch) batch->dirty_link = &batch;
    s->dirty_link = NULL;
    n->ops->flush(s);
  }
}

void net_random(struct net *n, void *to, size_t size) {
  if (n->ops->random) {
    n->ops->random(n, to, size);
    return;
  }
  while (size) {
    ssize_t got = getrandom(to, size, 0);
    if (got < 0) continue; /* interrupted before the system had any */
    to = (char *)to + got;
    size -= (size_t)got;
  }
}

static int64_t net_due(const struct net *n, int64_t until_ns) {
  const struct heap_node *first = heap_first(&n->timers);
  if (n->dirty) return INT64_MIN;
  return first && first->at_ns < until_ns ? first->at_ns : until_ns;
}

/* Fires what is due now, but not what is set meanwhile: a timer set from its own `fire` comes in the next turn. Since
 * no timer is set earlier than now, all of those are behind all that were due before. */
void net_fire(struct net *n) {
  uint64_t mark = n->timers.sequence;
  for (struct heap_node *node = heap_first(&n->timers); node; node = heap_first(&n->timers)) {
    if (node->at_ns > n->now_ns || node->sequence >= mark) return;
    struct net_timer *t = (struct net_timer *)node;
    heap_clear(&n->timers, node);
    t->fire(t->arg);
  }
}

bool net_turn(struct net *n, int64_t until_ns, struct err *err) {
  assert(!n->in_turn);
  n->now_ns = n->ops->clock(n);
  n->in_turn = true;
  /* What was written has happened: whoever waits for that is to look before the turn waits for more. */
  if (n->dirty) until_ns = INT64_MIN;
  net_flush(n);
  bool ok = n->ops->wait(n, net_due(n, until_ns), err);
  if (ok) {
    net_fire(n);
    net_flush(n);
  }
  n->in_turn = false;
  return ok;
}

void net_linger(struct net *n) {
  n->linger = true;
}

void net_wake(struct net *n) {
  n->ops->wake(n);
}

void net_free(struct net *n) {
  if (n) n->ops->free(n);
}

void net_timer_init(struct net_timer *t, void (*fire)(void *arg), void *arg) {
  *t = (struct net_timer){ .fire = fire, .arg = arg };
}

void net_timer_set(struct net *n, struct net_timer *t, int64_t at_ns) {
  if (at_ns == NET_NEVER) heap_clear(&n->timers, &t->node);
  else heap_set(&n->timers, &t->node, at_ns > n->now_ns ? at_ns : n->now_ns);
  if (n->ops->timed) n->ops->timed(n);
}

void net_timer_clear(struct net *n, struct net_timer *t) {
  heap_clear(&n->timers, &t->node);
  if (n->ops->timed) n->ops->timed(n);
}

struct stream *net_connect(struct net *n, const struct url *u, int64_t timeout_ns, const struct stream_handler *handler,
                           void *arg, struct err *err) {
  struct stream *s = n->ops->connect(n, u, timeout_ns, err);
  if (!s) return NULL;
  stream_own(s, handler, arg);
  list_append(&n->turner->streams, &s->owned);
  return s;
}

void net_accepted(struct net_listener *l, struct stream *s) {
  list_append(&l->net->turner->streams, &s->owned);
  l->handler->accepted(l->arg, s);
}

struct net_listener *net_listen(struct net *n, const struct url *u, const struct net_listen_options *options,
                                const struct net_listener_handler *handler, void *arg, struct err *err) {
  static const struct net_listen_options none;
  struct net_listener *l = n->ops->listen(n, u, options ? options : &none, err);
  if (!l) return NULL;
  l->handler = handler;
  l->arg = arg;
  list_append(&n->turner->listeners, &l->owned);
  return l;
}

const struct url *net_listener_url(const struct net_listener *l) {
  return &l->url;
}

void net_listener_pause(struct net_listener *l, bool paused) {
  l->net->ops->listener_pause(l, paused);
}

bool net_listener_mute(struct net_listener *l, bool muted, struct err *err) {
  return l->net->ops->listener_mute(l, muted, err);
}

bool net_can_vanish(struct net *n, struct err *why) {
  return n->ops->can_vanish(n, why);
}

void net_listener_free(struct net_listener *l) {
  if (!l) return;
  list_remove(&l->owned);
  l->net->ops->listener_free(l);
}
