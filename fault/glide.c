#include "fault/glide.h"

#include "fault/inject_fields.h"

static bool glide_is_open(const struct stage *g) {
  return g->kind != WORDS_BYTES && stage_is_open(g) && !g->rule->rule->hooks.where;
}

static bool glide_is_possible(const struct side *s) {
  if (s->frame != 0 || s->stages[0]->in.head || s->framer.have || s->framer.lost || s->track_mid) return false;
  for (size_t i = 1; i < s->count; i++)
    if (!glide_is_open(s->stages[i])) return false;
  return true;
}

static void glide_count(struct stage *g) {
  if (g->lulled) select_pass(g->rule, g->tally, g->lulled);
  g->lull = g->lulled = 0;
}

/* Whether the rule means the packet. Most rules mean one of many, and say how many they only count: `more` packets are
 * behind this one. */
static bool glide_meets(struct side *s, struct stage *g, const struct unit *u, bool more) {
  uint64_t at;
  if (g->kind != WORDS_PACKETS || !(g->types >> (u->first >> 4) & 1)) return false;
  if (g->lull > g->lulled) {
    g->lulled++;
    return false;
  }
  glide_count(g);
  bool means = stage_means(g, u, &at);
  if (!means && more) g->lull = select_lull(g->rule, g->tally);
  if (!means) return false;
  s->met = g;
  s->met_index = u->index;
  s->met_at = at;
  return true;
}

/* Whether no rule means the packet. Counts, as far as the first that does. */
static bool glide_lets(struct side *s, const struct unit *u, bool more) {
  for (size_t i = 1; i < s->count; i++)
    if (glide_meets(s, s->stages[i], u, more)) return false;
  return true;
}

/* The first packet of the bytes as a unit that borrows them; false if it is not there as a whole, or one that is kept
 * in mind. */
static bool glide_look(const struct side *s, struct slice bytes, struct unit *u) {
  struct frame f;
  if (frame_read(bytes, &f) != FRAME_OK || f.size > bytes.size || f.size > INJECT_PACKET_MAX) return false;
  if (s->up && f.first >> 4 == SPEC_CONNECT) return false;
  u->first = f.first;
  u->total = f.size;
  u->index = s->framer.index + 1;
  u->offset = s->framer.taken;
  u->bytes = (struct buffer){ .data = (uint8_t *)(uintptr_t)bytes.data, .end = f.size, .capacity = f.size };
  return true;
}

size_t glide_pass(struct side *s, struct slice bytes) {
  struct unit u = { .framed = true, .last = true };
  size_t n = 0;
  if (!glide_is_possible(s)) return 0;
  while (glide_look(s, slice_from(bytes, n), &u) && glide_lets(s, &u, bytes.size - n > u.total)) {
    n += u.total;
    s->framer.index++;
    s->framer.taken += u.total;
  }
  for (size_t i = 1; i < s->count; i++) glide_count(s->stages[i]);
  if (n) side_emit(s, slice_first(bytes, n));
  return n;
}
