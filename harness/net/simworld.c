#include "net/simworld.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/simend.h"

void simworld_init(struct simworld *w, const struct simnet_options *options) {
  if (options) w->options = *options;
  if (!w->options.events_max) w->options.events_max = SIMNET_EVENTS_MAX;
  w->now_ns = w->options.start_ns;
  heap_init(&w->events);
  list_init(&w->conns);
  list_init(&w->owing);
  list_init(&w->arriving);
  list_init(&w->links);
  hash_init(&w->host_table);
  hash_init(&w->link_table);
  hash_init(&w->listener_table);
  w->buffer = mem_resize(NULL, NET_READ_MAX);
}

void simworld_fini(struct simworld *w) {
  simpipe_free_spare(w);
  heap_fini(&w->events);
  hash_fini(&w->host_table);
  hash_fini(&w->link_table);
  hash_fini(&w->listener_table);
  free(w->hosts);
  free(w->buffer);
}

uint64_t simworld_draw(const struct simworld *w, enum simworld_site site, uint64_t key, uint64_t occurrence) {
  return rng_hash(w->options.seed, site, key, occurrence);
}

bool simworld_happens(const struct simworld *w, struct simnet_ratio r, enum simworld_site site, uint64_t key,
                      uint64_t occurrence) {
  return r.part && simworld_draw(w, site, key, occurrence) % r.of < r.part;
}

void simworld_set(struct simworld *w, struct simevent *e, int64_t at_ns) {
  if (at_ns < w->now_ns) at_ns = w->now_ns;
  if (heap_holds(&e->node) && e->node.at_ns == at_ns) return;
  e->turn = w->turn;
  if (w->options.in_order) heap_set(&w->events, &e->node, at_ns);
  else heap_rank(&w->events, &e->node, at_ns, simworld_draw(w, SIMWORLD_ORDER, e->key, e->count++));
}

void simworld_clear(struct simworld *w, struct simevent *e) {
  heap_clear(&w->events, &e->node);
}

void simworld_enter(struct simworld *w) {
  w->depth++;
}

void simworld_leave(struct simworld *w) {
  if (--w->depth) return;
  while (w->buried) simend_free_buried(w);
}

static bool simworld_within(const struct simworld *w, struct err *err) {
  if (w->instant > SIMNET_INSTANT_MAX) {
    return err_set(err, "time stands still: %u events of the virtual network at one instant", SIMNET_INSTANT_MAX);
  }
  if (w->count.events <= w->options.events_max) return true;
  return err_set(err, "the virtual network has had %" PRIu64 " events, its limit", w->options.events_max);
}

/* What is set meanwhile for this very instant comes in the next turn, and, where it is first among its equals, so does
 * what comes behind it. */
static bool simworld_run(struct simworld *w, struct err *err) {
  bool within = true;
  w->turn++;
  simworld_enter(w);
  for (struct heap_node *n = heap_first(&w->events); n && within; n = heap_first(&w->events)) {
    struct simevent *e = (struct simevent *)n;
    if (n->at_ns > w->now_ns || e->turn == w->turn) break;
    heap_clear(&w->events, n);
    w->count.events++;
    w->instant++;
    simworld_note(w, e->key, 0);
    e->run(e);
    within = simworld_within(w, err);
  }
  simworld_leave(w);
  return within;
}

bool simworld_wait(struct simworld *w, int64_t until_ns, struct err *err) {
  const struct heap_node *first = heap_first(&w->events);
  bool woken = w->woken;
  w->woken = false;
  int64_t at_ns = first && first->at_ns < until_ns ? first->at_ns : until_ns;
  if (at_ns == NET_NEVER && !woken) {
    return err_set(err, "nothing will ever happen again: the virtual world has no event left and no timer is set");
  }
  if (at_ns > w->now_ns && !woken) {
    w->now_ns = at_ns;
    w->instant = 0;
    w->main->net.now_ns = simhost_clock(&w->main->net);
  }
  return simworld_run(w, err);
}
