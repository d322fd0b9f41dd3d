#include "net/simhost.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SIMHOST_NETWORK 0x0a000000u /* 10.0.0.0; the first host is 10.0.0.1 */

/* a * b / c, rounded up or down, and never past the ends of what an int64_t holds. */
static int64_t simhost_scale(int64_t a, uint32_t b, uint32_t c, bool up) {
  __int128 product = (__int128)a * b, quotient = product / c;
  if (up && product % c > 0) quotient++;
  if (!up && product % c < 0) quotient--;
  return quotient > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)quotient;
}

int64_t simhost_clock(const struct net *n) {
  const struct simhost *h = simhost_of(n);
  int64_t since_ns = h->world->now_ns - h->world_ns;
  return h->set_ns + (h->local == h->real ? since_ns : simhost_scale(since_ns, h->local, h->real, false));
}

int64_t simhost_to_world(const struct simhost *h, int64_t local_ns) {
  if (local_ns == NET_NEVER) return NET_NEVER;
  if (local_ns <= h->set_ns) return h->world_ns;
  int64_t since_ns = local_ns - h->set_ns;
  return h->world_ns + (h->local == h->real ? since_ns : simhost_scale(since_ns, h->real, h->local, true));
}

void simhost_random(struct net *n, void *to, size_t size) {
  struct simhost *h = simhost_of(n);
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    uint64_t word = simworld_draw(h->world, SIMWORLD_RANDOM, h->key, h->randoms++);
    memcpy((char *)to + at, &word, size - at < sizeof word ? size - at : sizeof word);
  }
}

int64_t simhost_wakes_ns(const struct simhost *h, int64_t local_ns) {
  int64_t at_ns = simhost_to_world(h, local_ns);
  return at_ns == NET_NEVER || at_ns <= h->world->now_ns ? at_ns : at_ns + SIMNET_LATE_NS;
}

/* The main host's timers are part of every turn. */
void simhost_timed(struct net *n) {
  struct simhost *h = simhost_of(n);
  const struct heap_node *first = heap_first(&n->timers);
  if (h == h->world->main) return;
  if (first && !h->stopped) simworld_set(h->world, &h->due, simhost_wakes_ns(h, first->at_ns));
  else simworld_clear(h->world, &h->due);
}

static void simhost_due(struct simevent *e) {
  struct simhost *h = LIST_OWNER(e, struct simhost, due);
  h->net.now_ns = simhost_clock(&h->net);
  net_fire(&h->net);
  simhost_timed(&h->net);
}

/* From now on the clock goes on from `at_ns`. */
static void simhost_set_clock(struct simhost *h, int64_t at_ns) {
  h->set_ns = h->net.now_ns = at_ns;
  h->world_ns = h->world->now_ns;
}

void simhost_jump(struct simhost *h, int64_t by_ns) {
  simhost_set_clock(h, simhost_clock(&h->net) + by_ns);
  simhost_timed(&h->net);
}

void simhost_drift(struct simhost *h, uint32_t local, uint32_t real) {
  assert(local && real);
  simhost_set_clock(h, simhost_clock(&h->net));
  h->local = local;
  h->real = real;
  simhost_timed(&h->net);
}

void simhost_stop(struct simhost *h, bool stopped) {
  h->stopped = stopped;
  simhost_timed(&h->net);
  for (struct list_node *n = list_first(&h->parked); n && !stopped; n = list_first(&h->parked)) {
    list_remove(n);
    simworld_set(h->world, LIST_OWNER(n, struct simevent, parked), h->world->now_ns);
  }
}

bool simhost_is_name(const char *name) {
  size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
  return size && !name[size] && size <= SIMHOST_NAME_MAX;
}

struct simhost *simhost_named(const struct simworld *w, const char *name) {
  for (struct hash_node *n = hash_first(&w->host_table, hash_bytes(0, slice_text(name))); n; n = hash_next(n)) {
    struct simhost *h = LIST_OWNER(n, struct simhost, named);
    if (strcmp(h->name, name) == 0) return h;
  }
  return NULL;
}

static uint32_t simhost_v4(const struct address_brief *a) {
  uint32_t address;
  memcpy(&address, a->host, sizeof address);
  return ntohl(address);
}

bool simhost_is_loopback(const struct address_brief *a) {
  if (a->family == AF_INET) return simhost_v4(a) >> 24 == IN_LOOPBACKNET;
  return a->family == AF_INET6 && memcmp(a->host, &in6addr_loopback, sizeof a->host) == 0;
}

struct simhost *simhost_at(const struct simworld *w, const struct address_brief *a) {
  uint32_t place = simhost_v4(a) - SIMHOST_NETWORK - 1;
  return a->family == AF_INET && place < w->host_table.count ? w->hosts[place] : NULL;
}

struct simhost *simhost_new(struct simworld *w, const char *name, const struct net_ops *ops) {
  struct simhost *h = mem_zero(sizeof *h);
  net_init(&h->net, ops);
  h->world = w;
  h->key = hash_bytes(0, slice_text(name));
  h->address = SIMHOST_NETWORK + 1 + (uint32_t)w->host_table.count;
  h->local = h->real = 1;
  h->due = (struct simevent){ .run = simhost_due, .key = h->key };
  list_init(&h->parked);
  memcpy(h->name, name, strlen(name) + 1);
  h->net.name = h->name;
  hash_add(&w->host_table, &h->named, h->key);
  w->hosts = mem_resize(w->hosts, w->host_table.count * sizeof *w->hosts);
  w->hosts[w->host_table.count - 1] = h;
  simhost_set_clock(h, w->now_ns);
  if (w->main) h->net.turner = &w->main->net;
  return h;
}

void simhost_free(struct simhost *h) {
  simworld_clear(h->world, &h->due);
  net_fini(&h->net);
  free(h);
}
