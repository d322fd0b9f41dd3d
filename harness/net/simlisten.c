#include "net/simlisten.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/mem.h"
#include "net/oscall.h"
#include "net/simdial.h"
#include "net/simname.h"

struct simlisten {
  struct net_listener listener;
  struct simevent event;
  struct hash_node found;
  struct address_brief address;
  struct list_node callers;     /* ends of a Unix socket for which there is no room */
  struct list_node half, queue; /* ends that wait for the caller's last word; to be accepted */
  size_t waiting, backlog;      /* how many in both */
  uint32_t alive, accept_max;
  size_t send_buffer, receive_buffer;
  uint64_t calls;
  int64_t notices_ns; /* when its owner is told, if there is somebody */
  bool is_unix, paused, muted, closed;
  bool waits; /* for the hook's timer */
};

static struct simlisten *simlisten_of(const struct net_listener *l) {
  return (struct simlisten *)l;
}

static struct simworld *simlisten_world(const struct simlisten *l) {
  return simhost_world(l->listener.net);
}

struct simhost *simlisten_host(const struct simlisten *l) {
  return simhost_of(l->listener.net);
}

/* Addresses. */

static bool simlisten_is_wildcard(const struct address_brief *a) {
  static const uint8_t any[sizeof a->host];
  return memcmp(a->host, any, sizeof any) == 0;
}

static const char *simlisten_path(const struct address *a) {
  return ((const struct sockaddr_un *)&a->address)->sun_path;
}

/* All that may concern one address are found under one value: they have its port, or its path. */
static uint64_t simlisten_value(const struct address *a) {
  if (address_is_unix(a)) return hash_bytes(AF_UNIX, slice_text(simlisten_path(a)));
  return rng_mix((uint64_t)a->address.ss_family << 16 | address_port(a));
}

static bool simlisten_is_at(const struct simlisten *l, const struct address *a, const struct address_brief *b) {
  if (l->is_unix || b->family == AF_UNIX) return l->is_unix && strcmp(l->listener.url.path, simlisten_path(a)) == 0;
  return l->address.family == b->family && l->address.port == b->port &&
         memcmp(l->address.host, b->host, sizeof b->host) == 0;
}

/* One at this very address before one at all addresses. A wildcard is found at its host's own address, and at those
 * that are everybody's. */
struct simlisten *simlisten_find(const struct simworld *w, const struct address *a) {
  struct address_brief b = address_brief(a);
  struct simlisten *wild = NULL;
  for (struct hash_node *n = hash_first(&w->listener_table, simlisten_value(a)); n; n = hash_next(n)) {
    struct simlisten *l = LIST_OWNER(n, struct simlisten, found);
    if (simlisten_is_at(l, a, &b)) return l;
    bool near = simhost_is_loopback(&b) || simhost_at(w, &b) == simlisten_host(l);
    if (!l->is_unix && near && simlisten_is_wildcard(&l->address) && l->address.port == b.port) wild = l;
  }
  return wild;
}

static bool simlisten_is_taken(const struct simworld *w, const struct address *a) {
  struct address_brief b = address_brief(a);
  for (struct hash_node *n = hash_first(&w->listener_table, simlisten_value(a)); n; n = hash_next(n)) {
    struct simlisten *l = LIST_OWNER(n, struct simlisten, found);
    if (simlisten_is_at(l, a, &b)) return true;
    if (l->is_unix || b.family == AF_UNIX || l->address.port != b.port) continue;
    if (simlisten_is_wildcard(&b) || simlisten_is_wildcard(&l->address)) return true;
  }
  return false;
}

/* Calls. */

static void simlisten_update(struct simlisten *l) {
  struct simworld *w = simlisten_world(l);
  bool full = l->accept_max && l->alive >= l->accept_max;
  bool wanted = !l->closed && !l->paused && !l->waits && !full && !list_empty(&l->queue);
  if (!wanted) simworld_clear(w, &l->event);
  else if (!simlisten_host(l)->stopped) simworld_set(w, &l->event, l->notices_ns);
  else if (!list_holds(&l->event.parked)) list_append(&simlisten_host(l)->parked, &l->event.parked);
}

/* Nobody answers: it is called again at the time of the next retry. Who calls a Unix socket waits for room. */
static void simlisten_again(struct simlisten *l, struct simend *e, int64_t asked_ns) {
  struct simworld *w = simend_world(e);
  struct simend *caller = e->peer;
  if (e->is_unix) {
    list_append(&l->callers, &e->queued);
    return;
  }
  int64_t at_ns = simpipe_retry_ns(SIMPIPE_SYN, asked_ns, w->now_ns + 1);
  if (at_ns == NET_NEVER) return;
  at_ns += simlink_arrival(w, caller->link, 0, caller->key, caller->sends++) - w->now_ns;
  simpipe_push(w, &caller->out, SIMPIPE_SYN, 0, at_ns)->sent_ns = asked_ns;
  simend_schedule(e);
}

static void simlisten_answer(struct simlisten *l, struct simend *e) {
  e->listener = l;
  e->released = false;
  e->state = SIMEND_HALF;
  list_append(&l->half, &e->queued);
  l->waiting++;
  simpipe_set_sizes(&e->out, l->send_buffer, 0);
  simpipe_set_sizes(simend_in(e), 0, l->receive_buffer);
  simend_send(e, SIMPIPE_SYN_ACK, 0);
}

static void simlisten_refuse(struct simend *e) {
  if (e->is_unix) simdial_refused(e->peer, ENOENT);
  else simend_send(e, SIMPIPE_RST, 0);
}

void simlisten_call(struct simend *e, int64_t asked_ns) {
  struct simworld *w = simend_world(e);
  const struct address *called = simdial_called(e->peer);
  const struct simnet_link *way = simlink_settings(w, e->peer->link);
  if (!called) return;
  struct simlisten *l = simlisten_find(w, called);
  if (l && simlisten_host(l) != simend_host(e)) l = NULL;
  if (simworld_happens(w, way->no_answer, SIMWORLD_NO_ANSWER, e->key, 0)) return;
  if (!l || simworld_happens(w, way->refuse, SIMWORLD_REFUSE, e->key, 0)) simlisten_refuse(e);
  else if (l->muted || l->waiting > l->backlog) simlisten_again(l, e, asked_ns);
  else simlisten_answer(l, e);
}

/* There may be room for those who wait for it. */
static void simlisten_room(struct simlisten *l) {
  while (l->waiting <= l->backlog && !list_empty(&l->callers)) {
    struct simend *e = LIST_OWNER(list_first(&l->callers), struct simend, queued);
    list_remove(&e->queued);
    simlisten_answer(l, e);
  }
}

void simlisten_called(struct simend *e) {
  struct simlisten *l = e->listener;
  e->state = SIMEND_QUEUED;
  list_remove(&e->queued);
  if (list_empty(&l->queue)) {
    l->notices_ns = simlink_noticed(simlisten_world(l), e->peer->link, l->event.key, l->calls++);
  }
  list_append(&l->queue, &e->queued);
  simlisten_update(l);
}

static void simlisten_again_now(void *arg) {
  struct simlisten *l = arg;
  l->waits = false;
  simlisten_update(l);
}

/* As the system would: the connection is taken away, or stays for later. */
static void simlisten_deny(struct simlisten *l, struct simend *e, int error) {
  if (!oscall_ends_connection(error)) {
    l->waits = true;
    oscall_wait(l->listener.net, l->listener.hook, error, simlisten_again_now, l);
    return;
  }
  if (e->state != SIMEND_GONE) simend_refuse(e);
  simend_release(e);
}

static void simlisten_accept(struct simlisten *l) {
  struct simend *e = LIST_OWNER(list_first(&l->queue), struct simend, queued);
  struct oscall_verdict v;
  if (oscall_ask(l->listener.hook, OSCALL_ACCEPT, 0, &v) && v.error) {
    simlisten_deny(l, e, v.error);
    return;
  }
  list_remove(&e->queued);
  l->waiting--;
  l->alive++;
  simlisten_room(l);
  if (e->state == SIMEND_QUEUED) e->state = SIMEND_OPEN;
  net_accepted(&l->listener, &e->stream);
  if (!e->released) simend_schedule(e);
}

static void simlisten_run(struct simevent *event) {
  struct simlisten *l = LIST_OWNER(event, struct simlisten, event);
  for (int i = 0; i < SIMLISTEN_PASS_MAX; i++) {
    if (l->closed || l->paused || l->waits || list_empty(&l->queue) || (l->accept_max && l->alive >= l->accept_max))
      break;
    simlisten_accept(l);
  }
  simlisten_update(l);
}

/* Its streams count themselves off: it stays, closed, until the last has ended. */
static void simlisten_end(struct simlisten *l) {
  if (!l->closed || l->alive) return;
  simworld_clear(simlisten_world(l), &l->event);
  list_remove(&l->event.parked);
  free(l);
}

void simlisten_left(struct simlisten *l, struct simend *e) {
  if (list_holds(&e->queued)) {
    list_remove(&e->queued);
    l->waiting--;
    if (!l->closed) simlisten_room(l);
    return;
  }
  l->alive--;
  if (l->closed) simlisten_end(l);
  else simlisten_update(l);
}

/* Listening. */

static bool simlisten_give_port(struct simworld *w, struct address *a) {
  for (uint32_t i = 0; i < SIMLISTEN_PORTS; i++) {
    address_set_port(a, (uint16_t)(SIMLISTEN_PORT_FIRST + w->listener_port++ % SIMLISTEN_PORTS));
    if (!simlisten_is_taken(w, a)) return true;
  }
  return false;
}

static bool simlisten_is_own(struct simhost *h, const struct address *a) {
  struct address_brief b = address_brief(a);
  return b.family == AF_UNIX || simlisten_is_wildcard(&b) || simhost_is_loopback(&b) || simhost_at(h->world, &b) == h;
}

static bool simlisten_address(struct simhost *h, const struct url *u, struct address *to, struct err *err) {
  struct address found[ADDRESS_MAX];
  struct err why;
  char where[URL_UNIX_PATH_MAX + 64];
  int64_t delay_ns;
  int count = simname_find(h->world, u, found, &delay_ns, &why);
  if (count < 0) return err_set(err, "%s", why.text);
  if (count == 0) return err_set(err, "cannot listen at %.200s: %.200s", u->host, why.text);
  *to = found[0];
  address_full_text(to, where, sizeof where);
  if (!simlisten_is_own(h, to)) {
    return err_set(err, "cannot listen at %s: this machine does not have that address", where);
  }
  if (u->scheme != URL_UNIX && u->port == 0) {
    return simlisten_give_port(h->world, to) || err_set(err, "cannot listen at %s: no port is free", where);
  }
  if (!simlisten_is_taken(h->world, to)) return true;
  return err_set(err, "cannot listen at %s: somebody else does already (the address is in use)", where);
}

struct net_listener *simlisten_new(struct net *n, const struct url *u, const struct net_listen_options *options,
                                   struct err *err) {
  struct simhost *h = simhost_of(n);
  struct address a;
  if (!simlisten_address(h, u, &a, err)) return NULL;
  struct simlisten *l = mem_zero(sizeof *l);
  l->listener.net = n;
  l->listener.url = *u;
  l->is_unix = address_is_unix(&a);
  if (!l->is_unix) l->listener.url.port = address_port(&a);
  l->address = address_brief(&a);
  l->event = (struct simevent){ .run = simlisten_run, .key = rng_mix(simlisten_value(&a) + h->key) };
  l->backlog = options->backlog == NET_BACKLOG_NONE ? 0
               : options->backlog                   ? (size_t)options->backlog
                                                    : SIMLISTEN_BACKLOG;
  l->accept_max = options->accept_max;
  l->send_buffer = options->send_buffer;
  l->receive_buffer = options->receive_buffer;
  list_init(&l->callers);
  list_init(&l->half);
  list_init(&l->queue);
  hash_add(&h->world->listener_table, &l->found, simlisten_value(&a));
  return &l->listener;
}

void simlisten_pause(struct net_listener *listener, bool paused) {
  struct simlisten *l = simlisten_of(listener);
  l->paused = paused;
  simlisten_update(l);
}

bool simlisten_mute(struct net_listener *listener, bool muted, struct err *err) {
  struct simlisten *l = simlisten_of(listener);
  if (l->is_unix) return err_set(err, "who connects to a Unix socket is always answered");
  l->muted = muted;
  return true;
}

static void simlisten_drop_all(struct list_node *list) {
  for (struct list_node *n = list_first(list); n; n = list_first(list)) {
    struct simend *e = LIST_OWNER(n, struct simend, queued);
    if (e->state != SIMEND_GONE) simend_refuse(e);
    simend_release(e);
  }
}

void simlisten_free(struct net_listener *listener) {
  struct simlisten *l = simlisten_of(listener);
  struct simworld *w = simlisten_world(l);
  assert(!l->closed);
  l->alive++; /* until all that wait were dropped */
  oscall_drop(listener->net, &listener->hook);
  hash_remove(&w->listener_table, &l->found);
  l->closed = true;
  for (struct list_node *n = list_first(&l->callers); n; n = list_first(&l->callers)) {
    list_remove(n);
    simdial_refused(LIST_OWNER(n, struct simend, queued)->peer, ECONNREFUSED);
  }
  simlisten_drop_all(&l->half);
  simlisten_drop_all(&l->queue);
  l->alive--;
  simlisten_end(l);
}
