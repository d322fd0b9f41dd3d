#include "fault/action.h"

#include "fault/inject_fields.h"

#define ACTION_GATHER_NS 200000000 /* bytes that are to be put together wait for others no longer than this */

static int64_t action_later(const struct stage *g, int64_t ns) {
  return stage_now(g) + ns;
}

/* The moment that many nanoseconds from now, or never where no duration is given. */
static int64_t action_until(const struct stage *g, const struct value *duration) {
  return duration->given ? action_later(g, duration->number) : NET_NEVER;
}

/* Something that waits in line where no byte is left to. */
static struct unit *action_marker(const struct stage *g, struct unit *u) {
  return u ? u : unit_new(&g->side->held);
}

/* What names a draw: the packet by its number, bytes by where they are. */
static uint64_t action_occurrence(const struct stage *g) {
  return g->kind == WORDS_BYTES ? 2 * g->passed + g->side->up : g->tally->seen;
}

static void action_delay(struct stage *g, struct unit *u, size_t at) {
  uint64_t bits = scope_draw(g->rule, SCOPE_USE_DELAY, g->side->inject->number, action_occurrence(g));
  int64_t ns = distribution_draw(&g->args[0].distribution, bits);
  u = action_marker(g, stage_pass_before(g, u, at));
  stage_wait(g, u, action_later(g, ns));
}

static void action_rate(struct stage *g, struct unit *u, size_t at) {
  u = stage_pass_before(g, u, at);
  if (u) stage_wait_paced(g, u);
}

static void action_coalesce(struct stage *g, struct unit *u, size_t at) {
  int64_t wait_ns = g->args[1].given ? g->args[1].number : ACTION_GATHER_NS;
  (void)at;
  stage_gather(g, u, (size_t)g->args[0].number, action_later(g, wait_ns));
}

/* How many bytes the next piece has. */
static uint64_t action_piece(struct stage *g) {
  uint64_t number = 2 * g->pieces++ + g->side->up;
  uint64_t bits = scope_draw(g->rule, SCOPE_USE_SPLIT, g->side->inject->number, number);
  int64_t size = distribution_draw(&g->args[0].distribution, bits);
  return size > 0 ? (uint64_t)size : 1;
}

/* When bytes may go that begin a piece, or continue one: the gap is between pieces. */
static int64_t action_piece_ns(const struct stage *g) {
  int64_t gap_ns = g->args[1].given && !g->piece ? g->args[1].number : 0;
  return g->line_ns + gap_ns > stage_now(g) ? g->line_ns + gap_ns : stage_now(g);
}

/* Every packet begins a piece; pieces of bytes go on however they come in. */
static void action_split(struct stage *g, struct unit *u, size_t at) {
  struct unit *rest = stage_pass_before(g, u, at);
  if (g->kind != WORDS_BYTES) g->piece = 0;
  while (rest) {
    int64_t ready_ns = action_piece_ns(g);
    if (!g->piece) g->piece = action_piece(g);
    bool cut = g->piece < buffer_size(&rest->bytes);
    u = cut ? unit_take(rest, (size_t)g->piece) : rest;
    if (!cut) rest = NULL;
    g->piece -= buffer_size(&u->bytes);
    u->alone = true;
    stage_wait(g, u, ready_ns);
  }
}

static void action_stall(struct stage *g, struct unit *u, size_t at) {
  side_cut(g->side, u, at, CHAIN_NONE);
  u = stage_pass_before(g, u, at);
  stage_stall(g, action_until(g, &g->args[0]));
  if (u) stage_pass(g, u);
}

static void action_blackhole(struct stage *g, struct unit *u, size_t at) {
  unit_free(stage_pass_before(g, u, at));
  stage_discard(g, action_until(g, &g->args[0]));
}

static struct rng action_spot_draw(const struct stage *g, uint64_t occurrence) {
  return (struct rng){ scope_draw(g->rule, SCOPE_USE_CORRUPT, g->side->inject->number, occurrence) };
}

static bool action_corrupt_place(struct stage *g, const struct unit *u, uint64_t *at) {
  const struct spot *spot = &g->args[0].spot;
  struct rng draw = action_spot_draw(g, u ? g->tally->seen + 1 : 0);
  struct packet p;
  struct buffer scratch;
  size_t byte = 0;
  if (!u) {
    *at = (uint64_t)spot->byte;
    g->mask = spot_mask(spot, &draw);
    return spot->has_byte;
  }
  buffer_init(&scratch, 0);
  bool good = select_decode(u, &g->side->inject->client, &scratch, &p);
  bool found = spot_find(spot, unit_slice(u), good ? &p : NULL, &draw, &byte);
  g->mask = spot_mask(spot, &draw);
  *at = byte;
  return found;
}

/* A packet whose fixed header is no longer the one that it had is looked at anew. */
static void action_corrupt(struct stage *g, struct unit *u, size_t at) {
  struct frame frame;
  bool header = g->kind == WORDS_PACKETS && frame_read(unit_slice(u), &frame) == FRAME_OK && at < frame.header_size;
  u->bytes.data[u->bytes.start + at] ^= g->mask;
  if (!header) {
    stage_pass(g, u);
    return;
  }
  stage_pass_bytes(g, unit_slice(u), u, true);
  unit_free(u);
}

static bool action_truncate_place(struct stage *g, const struct unit *u, uint64_t *at) {
  int64_t n = g->args[0].number, total = u ? (int64_t)u->total : INT64_MAX;
  *at = (uint64_t)(n < 0 ? total + n : n);
  return n < 0 ? -n <= total : n < total;
}

/* The packet is none any more, and what follows it is no part of it. */
static void action_truncate(struct stage *g, struct unit *u, size_t at) {
  if (g->kind == WORDS_BYTES) {
    unit_free(u);
    stage_discard(g, NET_NEVER);
    return;
  }
  u->framed = false;
  if (at) unit_free(unit_split(u, at));
  if (at) stage_pass(g, u);
  else unit_free(u);
}

static void action_end(struct stage *g, struct unit *u, size_t at, enum chain_end end) {
  side_cut(g->side, u, at, end);
  unit_free(stage_pass_before(g, u, at));
  stage_pass_end(g, end);
}

/* Who is not reset is closed in order. */
static void action_rst(struct stage *g, struct unit *u, size_t at) {
  struct inject *f = g->side->inject;
  enum value_who owner = f->sides[CHAIN_OUT].up ? VALUE_CLIENT : VALUE_BROKER, who = (enum value_who)g->args[0].number;
  f->filter.spares_stream = who == owner;
  f->filter.spares_owner = who != owner && who != VALUE_BOTH;
  action_end(g, u, at, CHAIN_RESET);
}

static void action_vanish(struct stage *g, struct unit *u, size_t at) {
  action_end(g, u, at, CHAIN_VANISH);
}

/* Nothing passes until then; an end that is on its way only takes longer. */
static void action_slow_close(struct stage *g, struct unit *u, size_t at) {
  int64_t at_ns = action_later(g, g->args[0].number);
  if (u->end) {
    stage_wait(g, u, at_ns);
    return;
  }
  side_cut(g->side, u, at, CHAIN_NONE);
  u = stage_pass_before(g, u, at);
  stage_stall_then(g, at_ns, CHAIN_CLOSE);
  if (u) stage_pass(g, u);
}

static void action_close(struct stage *g, struct unit *u, size_t at) {
  action_end(g, u, at, CHAIN_CLOSE);
}

/* A half-close of the direction that the packet goes. */
static bool action_fin_is_own(const struct stage *g) {
  return !g->args[0].given || (g->args[0].number != 0) == g->side->up;
}

static void action_fin(struct stage *g, struct unit *u, size_t at) {
  struct side *s = g->side;
  if (action_fin_is_own(g)) {
    action_end(g, u, at, CHAIN_FIN);
    return;
  }
  side_end_now(&s->inject->sides[s->direction == CHAIN_OUT ? CHAIN_IN : CHAIN_OUT], CHAIN_FIN);
  s->inject->again = true;
  scope_kick(s->inject->scope, s->inject);
  stage_pass(g, u);
}

static void action_drop(struct stage *g, struct unit *u, size_t at) {
  (void)g;
  (void)at;
  unit_free(u);
}

static void action_copy(struct stage *g, struct unit *u, size_t at) {
  (void)at;
  stage_copy(g, u, (uint64_t)g->args[0].number);
}

static void action_overtake(struct stage *g, struct unit *u, size_t at) {
  (void)at;
  stage_put_behind(g, u, g->args[0].given ? (uint64_t)g->args[0].number : 1);
}

static void action_hold(struct stage *g, struct unit *u, size_t at) {
  (void)at;
  u->turn = g->rule->scope->turns++;
  unit_push(&g->held, u);
}

static void action_rewrite(struct stage *g, struct unit *u, size_t at) {
  const struct rule_hooks *hooks = &g->rule->rule->hooks;
  struct packet p;
  struct buffer out, scratch;
  (void)at;
  buffer_init(&out, INJECT_PACKET_MAX);
  buffer_init(&scratch, 0);
  select_decode(u, &g->side->inject->client, &scratch, &p);
  if (hooks->rewrite(hooks->arg, &p, &out)) {
    stage_pass_bytes(g, buffer_slice(&out), u, true);
    unit_free(u);
  } else {
    stage_pass(g, u);
  }
  buffer_fini(&out);
}

static void action_inject(struct stage *g, struct unit *u, size_t at) {
  size_t size = buffer_size(&u->bytes);
  bool between = (at == 0 && u->from == 0) || (at == size && u->last) || u->end;
  struct unit cause = { .index = u->index, .offset = u->offset };
  struct unit *rest = stage_pass_before(g, u, u->end ? 0 : at);
  stage_pass_bytes(g, g->args[0].text, &cause, between && g->kind != WORDS_BYTES);
  if (rest) stage_pass(g, rest);
}

static const struct action action_rows[WORDS_IDS] = {
  [WORDS_DELAY] = { .act = action_delay, .goes_on = true, .once_placed = true },
  [WORDS_RATE] = { .act = action_rate, .goes_on = true, .flows = true, .needs_bytes = true },
  [WORDS_COALESCE] = { .act = action_coalesce, .goes_on = true },
  [WORDS_SPLIT] = { .act = action_split, .whole = true, .goes_on = true },
  [WORDS_STALL] = { .act = action_stall },
  [WORDS_BLACKHOLE] = { .act = action_blackhole, .fate = SCOPE_CUT },
  [WORDS_CORRUPT] = { .act = action_corrupt,
                      .place = action_corrupt_place,
                      .whole = true,
                      .needs_bytes = true,
                      .fate = SCOPE_TAKEN },
  [WORDS_TRUNCATE] = { .act = action_truncate,
                       .place = action_truncate_place,
                       .whole = true,
                       .needs_bytes = true,
                       .fate = SCOPE_CUT },
  [WORDS_RST] = { .act = action_rst, .fate = SCOPE_CUT },
  [WORDS_FIN] = { .act = action_fin, .fate = SCOPE_CUT },
  [WORDS_CLOSE] = { .act = action_close, .fate = SCOPE_CUT },
  [WORDS_SLOW_CLOSE] = { .act = action_slow_close, .fate = SCOPE_CUT },
  [WORDS_VANISH] = { .act = action_vanish, .fate = SCOPE_CUT },
  [WORDS_DROP] = { .act = action_drop, .whole = true, .fate = SCOPE_TAKEN },
  [WORDS_COPY] = { .act = action_copy, .whole = true },
  [WORDS_OVERTAKE] = { .act = action_overtake, .whole = true },
  [WORDS_HOLD] = { .act = action_hold, .whole = true },
  [WORDS_REWRITE] = { .act = action_rewrite, .whole = true, .fate = SCOPE_TAKEN },
  [WORDS_INJECT] = { .act = action_inject, .after = true },
};

const struct action *action_row(enum words_id word) {
  return &action_rows[word];
}

enum scope_fate action_fate(const struct stage *g) {
  return g->action->act == action_fin && !action_fin_is_own(g) ? SCOPE_PASSES : g->action->fate;
}
