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

/* Whether no rule means the packet. Counts, as far as the first that does. */
static bool glide_lets(struct side *s, const struct unit *u) {
  uint64_t at;
  for (size_t i = 1; i < s->count; i++) {
    struct stage *g = s->stages[i];
    if (g->kind != WORDS_PACKETS || !(g->types >> (u->first >> 4) & 1) || !stage_means(g, u, &at)) continue;
    s->met = g;
    s->met_index = u->index;
    s->met_at = at;
    return false;
  }
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
  while (glide_look(s, slice_from(bytes, n), &u) && glide_lets(s, &u)) {
    n += u.total;
    s->framer.index++;
    s->framer.taken += u.total;
  }
  if (n) side_emit(s, slice_first(bytes, n));
  return n;
}
