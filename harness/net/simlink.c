#include "net/simlink.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/simend.h"

static uint64_t simlink_key(const struct simhost *from, const struct simhost *to) {
  return rng_mix(from->key) + to->key;
}

struct simlink *simlink_new(struct simworld *w, const struct simhost *from, const struct simhost *to) {
  struct simlink *l = mem_zero(sizeof *l);
  l->from = from;
  l->to = to;
  list_init(&l->held);
  list_append(&w->links, &l->listed);
  return l;
}

void simlink_free(struct simlink *l) {
  list_remove(&l->listed);
  free(l);
}

struct simlink *simlink_between(struct simworld *w, const struct simhost *from, const struct simhost *to) {
  uint64_t key = simlink_key(from, to);
  for (struct hash_node *n = hash_first(&w->link_table, key); n; n = hash_next(n)) {
    struct simlink *l = LIST_OWNER(n, struct simlink, found);
    if (l->from == from && l->to == to) return l;
  }
  struct simlink *l = simlink_new(w, from, to);
  hash_add(&w->link_table, &l->found, key);
  return l;
}

const struct simnet_link *simlink_settings(const struct simworld *w, const struct simlink *l) {
  return l->set ? &l->own : &w->link;
}

static bool simlink_loses_alike(const struct simnet_link *a, const struct simnet_link *b) {
  return a->cut == b->cut && a->loss.part == b->loss.part && a->loss.of == b->loss.of;
}

/* Those that lose something again are held again. */
static void simlink_retry(struct simlink *l) {
  struct list_node held;
  list_init(&held);
  for (struct list_node *n = list_first(&l->held); n; n = list_first(&l->held)) {
    list_remove(n);
    list_append(&held, n);
  }
  for (struct list_node *n = list_first(&held); n; n = list_first(&held)) {
    simend_retry(LIST_OWNER(n, struct simend, held));
  }
}

static void simlink_changed(struct simworld *w, struct simlink *l, const struct simnet_link *before) {
  const struct simnet_link *now = simlink_settings(w, l);
  if (!now->cut && !simlink_loses_alike(before, now)) simlink_retry(l);
}

void simlink_set(struct simworld *w, struct simlink *l, const struct simnet_link *settings) {
  struct simnet_link before = l ? *simlink_settings(w, l) : w->link;
  if (l) {
    l->own = *settings;
    l->set = true;
    simlink_changed(w, l, &before);
    return;
  }
  w->link = *settings;
  for (struct list_node *n = list_first(&w->links); n; n = list_next(&w->links, n)) {
    l = LIST_OWNER(n, struct simlink, listed);
    if (!l->set) simlink_changed(w, l, &before);
  }
}

bool simlink_is_instant(const struct simworld *w, const struct simlink *l) {
  const struct simnet_link *s = simlink_settings(w, l);
  return !s->latency && !s->bytes_per_s;
}

static int64_t simlink_latency(const struct simnet_link *s, uint64_t bits) {
  int64_t ns = s->latency ? s->latency(s->latency_arg, bits) : 0;
  return ns > 0 ? ns : 0;
}

int64_t simlink_noticed(const struct simworld *w, const struct simlink *l, uint64_t key, uint64_t occurrence) {
  if (!simlink_is_instant(w, l)) return w->now_ns;
  uint64_t bits = simworld_draw(w, SIMWORLD_WAKE, key, occurrence);
  return w->now_ns + SIMNET_WAKE_NS + (int64_t)(bits % SIMNET_WAKE_NS);
}

int64_t simlink_arrival(struct simworld *w, struct simlink *l, size_t size, uint64_t key, uint64_t occurrence) {
  const struct simnet_link *s = simlink_settings(w, l);
  int64_t leaves_ns = w->now_ns;
  if (s->bytes_per_s) {
    if (l->free_ns > leaves_ns) leaves_ns = l->free_ns;
    leaves_ns += (int64_t)((unsigned __int128)size * 1000000000 / s->bytes_per_s);
    l->free_ns = leaves_ns;
  }
  return leaves_ns + simlink_latency(s, simworld_draw(w, SIMWORLD_LATENCY, key, occurrence));
}
