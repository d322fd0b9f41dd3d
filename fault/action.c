#include "fault/action.h"

#include "fault/inject_fields.h"

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

static void action_delay(struct stage *g, struct unit *u, size_t at) {
  uint64_t bits = scope_draw(g->rule, SCOPE_USE_DELAY, g->side->inject->number, g->tally->seen);
  int64_t ns = distribution_draw(&g->args[0].distribution, bits);
  u = action_marker(g, stage_pass_before(g, u, at));
  stage_wait(g, u, action_later(g, ns));
}

/* The size of the next piece: of bytes, pieces are counted from where the rule began, however they came in. */
static size_t action_piece(const struct stage *g, const struct unit *u) {
  size_t most = (size_t)g->args[0].number, size = buffer_size(&u->bytes);
  if (g->kind == WORDS_BYTES) most -= (size_t)((g->passed - size - g->aim) % most);
  return most < size ? most : size;
}

/* When the next piece may go: the gap is between pieces. */
static int64_t action_piece_ns(const struct stage *g, const struct unit *u) {
  int64_t gap_ns = g->args[1].given ? g->args[1].number : 0;
  size_t into = (size_t)((g->passed - buffer_size(&u->bytes) - g->aim) % (uint64_t)g->args[0].number);
  bool continues = g->kind == WORDS_BYTES && into > 0;
  int64_t after_ns = g->line_ns + (continues ? 0 : gap_ns);
  return after_ns > stage_now(g) ? after_ns : stage_now(g);
}

static void action_split(struct stage *g, struct unit *u, size_t at) {
  u = stage_pass_before(g, u, at);
  while (u) {
    size_t size = action_piece(g, u);
    int64_t ready_ns = action_piece_ns(g, u);
    struct unit *rest = size < buffer_size(&u->bytes) ? unit_split(u, size) : NULL;
    u->alone = true;
    stage_wait(g, u, ready_ns);
    u = rest;
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

static void action_end(struct stage *g, struct unit *u, size_t at, enum chain_end end) {
  side_cut(g->side, u, at, end);
  unit_free(stage_pass_before(g, u, at));
  stage_pass_end(g, end);
}

static void action_rst(struct stage *g, struct unit *u, size_t at) {
  action_end(g, u, at, CHAIN_RESET);
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
  [WORDS_SPLIT] = { .act = action_split, .whole = true, .goes_on = true },
  [WORDS_STALL] = { .act = action_stall },
  [WORDS_BLACKHOLE] = { .act = action_blackhole, .fate = SCOPE_CUT },
  [WORDS_RST] = { .act = action_rst, .fate = SCOPE_CUT },
  [WORDS_FIN] = { .act = action_fin, .fate = SCOPE_CUT },
  [WORDS_CLOSE] = { .act = action_close, .fate = SCOPE_CUT },
  [WORDS_DROP] = { .act = action_drop, .whole = true, .fate = SCOPE_TAKEN },
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
