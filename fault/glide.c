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

/* Whether the rule means the packet, which begins `bytes`. */
static bool glide_asks(struct side *s, struct stage *g, const struct frame *f, struct slice bytes) {
  struct unit u = { .framed = true,
                    .last = true,
                    .first = f->first,
                    .total = f->size,
                    .index = s->framer.index + 1,
                    .offset = s->framer.taken,
                    .bytes = { .data = (uint8_t *)(uintptr_t)bytes.data, .end = f->size, .capacity = f->size } };
  glide_count(g);
  bool means = stage_means(g, &u, &s->met_at);
  s->met = means ? g : NULL;
  s->met_index = u.index;
  if (!means && bytes.size > f->size) g->lull = select_lull(g->rule, g->tally);
  return means;
}

/* Whether no rule means the packet. Counts, as far as the first that does. Most rules mean one of many, and say how
 * many of the next they only count. */
static bool glide_lets(struct side *s, const struct frame *f, struct slice bytes) {
  for (size_t i = 1; i < s->count; i++) {
    struct stage *g = s->stages[i];
    if (g->kind != WORDS_PACKETS || !(g->types >> (f->first >> 4) & 1)) continue;
    if (g->lull > g->lulled) g->lulled++;
    else if (glide_asks(s, g, f, bytes)) return false;
  }
  return true;
}

/* The first packet of the bytes; false if it is not there as a whole, or one that is kept in mind. */
static bool glide_look(const struct side *s, struct slice bytes, struct frame *f) {
  if (!s->framer.taken && framer_foreign(bytes)) return false;
  if (bytes.size >= 2 && bytes.data[1] < 0x80) *f = (struct frame){ bytes.data[0], 2, 2u + bytes.data[1] };
  else if (frame_read(bytes, f) != FRAME_OK) return false;
  return f->size <= bytes.size && f->size <= INJECT_PACKET_MAX && !(s->up && f->first >> 4 == SPEC_CONNECT);
}

size_t glide_pass(struct side *s, struct slice bytes) {
  struct frame f;
  struct slice rest = bytes;
  if (!glide_is_possible(s)) return 0;
  while (glide_look(s, rest, &f) && glide_lets(s, &f, rest)) {
    rest = slice_from(rest, f.size);
    s->framer.index++;
    s->framer.taken += f.size;
  }
  for (size_t i = 1; i < s->count; i++) glide_count(s->stages[i]);
  size_t n = bytes.size - rest.size;
  if (n) side_emit(s, slice_first(bytes, n));
  return n;
}
