#include "net/simdial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/oscall.h"
#include "net/simlisten.h"
#include "net/simname.h"

#define SIMDIAL_PORT_FIRST 32768 /* of the range from which a caller's own port is taken */
#define SIMDIAL_PORTS      28232

enum simdial_state {
  SIMDIAL_LOOKUP,
  SIMDIAL_TRYING,
  SIMDIAL_READY, /* connected; to be told */
  SIMDIAL_OVER,  /* none worked; to be told */
};

/* Exists until its end's owner was told what came of it. */
struct simdial {
  struct simend *end;
  enum simdial_state state;
  struct address addresses[ADDRESS_MAX];
  int count, tried;         /* addresses; how many were begun, one more than once for each time */
  int current;              /* is being tried */
  bool failed[ADDRESS_MAX]; /* have said that it is nothing */
  struct net_timer timer;
  int64_t timeout_ns, deadline_ns; /* by its host's clock */
  int64_t found_ns;                /* by the world's: when the name is known */
  enum stream_end kind;            /* of the last that failed */
  struct err why;
  char target[URL_PATH_MAX + 32];
};

void simdial_free(struct simend *e) {
  struct simdial *d = e->dial;
  if (!d) return;
  e->dial = NULL;
  net_timer_clear(e->stream.net, &d->timer);
  free(d);
}

/* What went on with the address before is over. */
static void simdial_hang_up(struct simend *e) {
  struct simworld *w = simend_world(e);
  struct simend *peer = e->peer;
  list_remove(&peer->held);
  list_remove(&e->held);
  while (e->out.first) simpipe_pop(w, &e->out);
  while (peer->out.first) simpipe_pop(w, &peer->out);
  if (peer->state == SIMEND_HALF) {
    simend_die(peer);
    simend_release(peer);
  }
  list_remove(&peer->queued);
  peer->state = SIMEND_NONE;
}

const struct address *simdial_called(const struct simend *e) {
  const struct simdial *d = e->dial;
  return d && d->state == SIMDIAL_TRYING ? &d->addresses[d->current] : NULL;
}

static void simdial_over(struct simdial *d) {
  d->state = SIMDIAL_OVER;
  simdial_hang_up(d->end);
  net_timer_clear(d->end->stream.net, &d->timer);
  simend_schedule(d->end);
}

static void simdial_note(struct simdial *d, int why, bool told) {
  char target[URL_PATH_MAX + 32];
  address_full_text(&d->addresses[d->current], target, sizeof target);
  d->kind = stream_end_of(why);
  if (d->count > 1) {
    err_set(&d->why, "connecting to %.255s (%.100s, address %d of %d): %s%s", d->target, target, d->current + 1,
            d->count, strerror(why), oscall_mark(told));
  } else {
    err_set(&d->why, "connecting to %.300s: %s%s", target, strerror(why), oscall_mark(told));
  }
}

static bool simdial_has_other(const struct simdial *d) {
  for (int i = 0; i < d->count; i++)
    if (i != d->current && !d->failed[i]) return true;
  return false;
}

/* The next one is tried after the time after which the real one begins to race it; where there is none, there is all of
 * the time. An end has one connection: what is not decided then is called again in the next round, with twice the time.
 */
static void simdial_set_timer(struct simdial *d) {
  struct net *n = d->end->stream.net;
  int64_t wait_ns = ADDRESS_NEXT_NS, left_ns = d->deadline_ns - net_now(n);
  for (int round = (d->tried - 1) / d->count; round && wait_ns < left_ns; round--) wait_ns *= 2;
  net_timer_set(n, &d->timer, simdial_has_other(d) && wait_ns < left_ns ? net_now(n) + wait_ns : d->deadline_ns);
}

static uint16_t simdial_port(struct simworld *w) {
  return (uint16_t)(SIMDIAL_PORT_FIRST + w->port++ % SIMDIAL_PORTS);
}

/* Who calls, as the other end sees it: as it was called itself, or by its host's address. */
static struct address_brief simdial_own(struct simend *e, const struct address_brief *called) {
  struct address_brief own = { .family = called->family };
  uint32_t address = htonl(simhost_is_loopback(called) ? INADDR_LOOPBACK : simend_host(e)->address);
  if (called->family == AF_UNIX) return own;
  own.port = simdial_port(simend_world(e));
  if (called->family == AF_INET) memcpy(own.host, &address, sizeof address);
  else memcpy(own.host, &in6addr_loopback, sizeof own.host);
  return own;
}

static struct simhost *simdial_host(struct simend *e, const struct address *a, const struct address_brief *called) {
  struct simworld *w = simend_world(e);
  struct simlisten *l = simlisten_find(w, a);
  if (l) return simlisten_host(l);
  if (e->is_unix || simhost_is_loopback(called)) return simend_host(e);
  return simhost_at(w, called);
}

/* 0, or what its hook makes of the calls for an address. A connect that is interrupted goes on by itself. */
static int simdial_ask(struct simdial *d) {
  struct oscall_hook *hook = d->end->stream.hook;
  struct oscall_verdict v;
  if (oscall_ask(hook, OSCALL_SOCKET, 0, &v) && v.error) return v.error;
  if (!oscall_ask(hook, OSCALL_CONNECT, 0, &v) || v.error == EINTR || v.error == EINPROGRESS) return 0;
  return v.error;
}

/* Calls the current address; true unless that has failed already. */
static bool simdial_try(struct simdial *d) {
  struct simend *e = d->end, *peer = e->peer;
  struct simworld *w = simend_world(e);
  const struct address *a = &d->addresses[d->current];
  struct address_brief called = address_brief(a);
  d->state = SIMDIAL_TRYING;
  int told = simdial_ask(d);
  if (told) {
    simdial_note(d, told, true);
    return false;
  }
  e->is_unix = peer->is_unix = address_is_unix(a);
  struct simhost *h = simdial_host(e, a, &called);
  if (!h) {
    simdial_note(d, EHOSTUNREACH, false);
    return false;
  }
  simdial_hang_up(e);
  peer->stream.net = &h->net;
  peer->local = called;
  e->local = simdial_own(e, &called);
  e->link = e->is_unix ? w->local : simlink_between(w, simend_host(e), h);
  peer->link = e->is_unix ? w->local : simlink_between(w, h, simend_host(e));
  simdial_set_timer(d);
  simend_send(e, SIMPIPE_SYN, 0);
  return true;
}

static void simdial_next(struct simdial *d) {
  for (int i = 0; i < d->count; i++) {
    d->current = d->tried++ % d->count;
    if (d->failed[d->current]) continue;
    if (simdial_try(d)) return;
    d->failed[d->current] = true;
  }
  simdial_over(d);
}

static void simdial_expired(void *arg) {
  struct simdial *d = arg;
  d->kind = STREAM_TIMEOUT;
  err_set(&d->why, "%s %.300s: no answer within %.3g s", d->state == SIMDIAL_LOOKUP ? "looking up" : "connecting to",
          d->target, (double)d->timeout_ns / 1e9);
  if (d->state == SIMDIAL_LOOKUP || net_now(d->end->stream.net) >= d->deadline_ns) simdial_over(d);
  else simdial_next(d);
}

int64_t simdial_due_ns(const struct simdial *d) {
  return d->state == SIMDIAL_LOOKUP ? d->found_ns : NET_NEVER;
}

void simdial_look(struct simend *e) {
  struct simdial *d = e->dial;
  if (d->state == SIMDIAL_LOOKUP && d->found_ns <= simend_world(e)->now_ns) simdial_next(d);
}

bool simdial_is_ready(const struct simdial *d) {
  return d->state == SIMDIAL_READY || d->state == SIMDIAL_OVER;
}

void simdial_answered(struct simend *e) {
  struct simdial *d = e->dial;
  e->state = SIMEND_OPEN;
  d->state = SIMDIAL_READY;
  net_timer_clear(e->stream.net, &d->timer);
  simend_send(e, SIMPIPE_ACK, 0);
}

void simdial_refused(struct simend *e, int why) {
  struct simdial *d = e->dial;
  if (!d || d->state != SIMDIAL_TRYING) return;
  simdial_note(d, why, false);
  d->failed[d->current] = true;
  simdial_next(d);
}

void simdial_tell(struct simend *e) {
  struct simdial *d = e->dial;
  if (d->state == SIMDIAL_OVER) {
    struct err why = d->why;
    enum stream_end kind = d->kind;
    simdial_free(e);
    simend_report(e, kind, false, &why);
    return;
  }
  simdial_free(e);
  if (!e->shut) stream_want_write(&e->stream);
  else simend_transmit(e);
  e->stream.handler->opened(e->stream.arg);
}

static void simdial_name(struct simdial *d, const struct url *u) {
  if (u->scheme == URL_UNIX) snprintf(d->target, sizeof d->target, "%s", u->path);
  else if (strchr(u->host, ':')) snprintf(d->target, sizeof d->target, "[%s]:%u", u->host, u->port);
  else snprintf(d->target, sizeof d->target, "%s:%u", u->host, u->port);
}

struct stream *simdial_start(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err) {
  struct simhost *h = simhost_of(n);
  struct address found[ADDRESS_MAX];
  struct err why;
  int64_t delay_ns = 0;
  int count = simname_find(h->world, u, found, &delay_ns, &why);
  if (count < 0) {
    err_set(err, "%s", why.text);
    return NULL;
  }
  struct simend *e = simend_new(h);
  struct simdial *d = e->dial = mem_zero(sizeof *d);
  d->end = e;
  d->count = count;
  memcpy(d->addresses, found, (size_t)count * sizeof *found);
  address_interleave(d->addresses, count);
  d->kind = STREAM_UNREACHABLE;
  d->why = why;
  d->timeout_ns = timeout_ns;
  d->deadline_ns = net_now(n) + timeout_ns;
  d->found_ns = delay_ns < NET_NEVER - h->world->now_ns ? h->world->now_ns + delay_ns : NET_NEVER;
  net_timer_init(&d->timer, simdial_expired, d);
  simdial_name(d, u);
  net_timer_set(n, &d->timer, d->deadline_ns);
  if (delay_ns == 0) simdial_next(d);
  else simend_schedule(e);
  return &e->stream;
}
