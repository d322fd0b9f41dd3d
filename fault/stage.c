#include "fault/stage.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fault/inject_fields.h"

int64_t stage_now(const struct stage *g) {
  return g->side->inject->now_ns;
}

/* What has gone by of the packet in progress, so that the rule can know it when the rest comes. */
static void stage_begin_join(struct stage *g) {
  const struct side *s = g->side;
  struct slice gone = buffer_slice(&s->track);
  if (!gone.size || !(g->types >> (gone.data[0] >> 4) & 1)) return;
  g->join = unit_new(&g->side->held);
  g->join->framed = true;
  g->join->first = gone.data[0];
  unit_append(g->join, gone);
  g->join->gone = (uint32_t)gone.size;
}

struct stage *stage_new(struct side *side, struct scope_rule *rule, struct scope_tally *tally) {
  struct stage *g = mem_zero(sizeof *g);
  g->side = side;
  if (!rule) return g;
  g->rule = rule;
  g->tally = tally;
  g->kind = rule->rule->place;
  g->types = rule->rule->types;
  g->action = action_row(rule_action(rule->rule)->word);
  g->args = rule_action(rule->rule)->args;
  g->mid = side->track_mid;
  g->line_ns = INT64_MIN / 2;
  g->passed = side->direction == CHAIN_OUT ? side->emitted : side->framer.taken;
  if (g->kind == WORDS_PACKETS) stage_begin_join(g);
  list_append(&rule->stages, &g->of_rule);
  return g;
}

static void stage_unstall(struct stage *g) {
  if (g->stalled) g->side->stalls--;
  g->stalled = false;
  g->then = CHAIN_NONE;
}

void stage_stall(struct stage *g, int64_t until_ns) {
  if (!g->stalled) g->side->stalls++;
  g->stalled = true;
  g->stalled_until_ns = until_ns;
}

void stage_stall_then(struct stage *g, int64_t until_ns, enum chain_end end) {
  stage_stall(g, until_ns);
  g->then = end;
}

void stage_discard(struct stage *g, int64_t until_ns) {
  g->discards = true;
  g->discards_until_ns = until_ns;
}

/* All in line may go on now. */
static void stage_hurry(struct stage *g) {
  for (struct unit *u = g->line.head; u; u = u->next) {
    if (u->paced) g->side->paced -= buffer_size(&u->bytes);
    u->paced = false;
    u->ready_ns = INT64_MIN;
  }
  g->gathered = 0;
}

void stage_shut(struct stage *g) {
  g->closed = true;
  stage_unstall(g);
  stage_hurry(g);
  unit_clear(&g->in);
  unit_clear(&g->line);
  unit_clear(&g->held);
  unit_clear(&g->released);
  unit_free(g->join);
  unit_free(g->copied);
  unit_free(g->behind);
  g->join = g->copied = g->behind = NULL;
}

void stage_free(struct stage *g) {
  stage_shut(g);
  list_remove(&g->of_rule);
  free(g);
}

static void stage_send(struct stage *g, struct unit *u) {
  if (!u->end && buffer_size(&u->bytes) == 0) {
    unit_free(u);
    return;
  }
  bool packet = u->framed && u->last;
  if (u->framed) g->mid = !u->last;
  side_forward(g->side, g, u);
  if (!packet || !g->behind || --g->ahead) return;
  side_forward(g->side, g, g->behind);
  g->behind = NULL;
}

void stage_wait(struct stage *g, struct unit *u, int64_t ready_ns) {
  u->ready_ns = g->line_ns = ready_ns;
  unit_push(&g->line, u);
}

void stage_wait_paced(struct stage *g, struct unit *u) {
  u->paced = true;
  g->side->paced += buffer_size(&u->bytes);
  stage_wait(g, u, stage_now(g));
}

void stage_gather(struct stage *g, struct unit *u, size_t size, int64_t until_ns) {
  if (!g->line.head) g->gathered = 0;
  g->gathered += buffer_size(&u->bytes);
  stage_wait(g, u, g->line.head ? g->line.head->ready_ns : until_ns);
  if (g->gathered >= size) stage_hurry(g);
}

void stage_pass(struct stage *g, struct unit *u) {
  if (g->line.head || g->stalled) stage_wait(g, u, stage_now(g));
  else stage_send(g, u);
}

static struct unit *stage_injected(const struct stage *g, struct slice bytes, const struct unit *cause) {
  struct unit *u = unit_new(&g->side->held);
  u->injected = true;
  u->index = cause->index;
  u->offset = cause->offset;
  unit_append(u, bytes);
  return u;
}

void stage_copy(struct stage *g, struct unit *u, uint64_t copies) {
  g->copied = stage_injected(g, unit_slice(u), u);
  g->copied->framed = g->copied->last = true;
  g->copied->first = u->first;
  g->copied->total = u->total;
  g->copies = copies;
  stage_pass(g, u);
}

/* One more, if there is room: nothing else goes on before the last. */
static bool stage_repeat(struct stage *g) {
  struct unit *u = g->copied;
  if (g->side->held >= SIDE_FULL) return false;
  g->copied = NULL;
  if (--g->copies) stage_copy(g, u, g->copies);
  else stage_pass(g, u);
  return true;
}

void stage_put_behind(struct stage *g, struct unit *u, uint64_t ahead) {
  g->behind = u;
  g->ahead = ahead;
}

void stage_pass_bytes(struct stage *g, struct slice bytes, const struct unit *cause, bool framed) {
  struct frame frame;
  while (framed && bytes.size && frame_read(bytes, &frame) == FRAME_OK && frame.size <= bytes.size) {
    struct unit *u = stage_injected(g, slice_first(bytes, frame.size), cause);
    u->framed = u->last = true;
    u->first = frame.first;
    u->total = frame.size;
    stage_pass(g, u);
    bytes = slice_from(bytes, frame.size);
  }
  if (bytes.size) stage_pass(g, stage_injected(g, bytes, cause));
}

struct unit *stage_pass_before(struct stage *g, struct unit *u, size_t at) {
  if (at == 0) return u;
  if (at >= buffer_size(&u->bytes)) {
    stage_pass(g, u);
    return NULL;
  }
  struct unit *rest = unit_split(u, at);
  stage_pass(g, u);
  return rest;
}

void stage_pass_end(struct stage *g, enum chain_end end) {
  stage_send(g, unit_new_end(&g->side->held, end));
  side_shut(g->side, g->place);
}

/* What waits for others to come goes on, since none will. */
static void stage_flush(struct stage *g) {
  struct unit *behind = g->behind;
  g->behind = NULL;
  if (behind) stage_pass(g, behind);
  if (g->gathered) stage_hurry(g);
}

/* The packet that was being put together is not going to be whole: what there is goes on as it is. */
static void stage_break(struct stage *g) {
  struct unit *u = g->join;
  if (!u) return;
  g->join = NULL;
  unit_strip(u);
  stage_pass(g, u);
}

/* `u`: the packet, or NULL; `at`: where in it, or in the stream. */
static void stage_fire(struct stage *g, const struct unit *u, uint64_t at) {
  const struct inject *f = g->side->inject;
  struct scope_firing firing = { .conn = f->conn, .up = g->side->up, .stream_offset = at, .at_ns = f->now_ns };
  if (u) {
    firing.packet_index = u->index;
    firing.stream_offset += u->offset;
    firing.packet_at = (size_t)at;
    firing.fate = action_fate(g);
    if (firing.fate == SCOPE_CUT && at >= u->total) firing.fate = SCOPE_PASSES;
    if (unit_is_whole(u)) firing.packet = unit_slice(u);
  }
  scope_fire(g->rule, g->tally, &firing);
}

static bool stage_counts(struct stage *g) {
  const struct inject *f = g->side->inject;
  return select_counts(g->rule, g->tally, &(struct select_moment){ f->number, inject_since(f) });
}

static bool stage_place(struct stage *g, const struct unit *u, uint64_t *at) {
  if (g->action->place) return g->action->place(g, u, at);
  return select_position(g->rule->rule, u->total, g->action->after, at);
}

/* What overtakes a packet is not overtaken itself. */
bool stage_means(struct stage *g, const struct unit *u, uint64_t *at) {
  bool partial = u->gone || u->total > INJECT_PACKET_MAX;
  if ((partial && g->action->whole) || !select_matches(g->rule->rule, u, &g->side->inject->client)) return false;
  bool possible = stage_place(g, u, at);
  if (possible && *at < u->gone) return false;
  return stage_counts(g) && possible && !g->behind;
}

/* The same for a packet that the rules up to some stage may have been asked about already. */
static bool stage_means_still(struct stage *g, const struct unit *u, uint64_t *at) {
  const struct stage *met = side_met(g->side, u);
  if (!met || g->place > met->place) return stage_means(g, u, at);
  *at = g->side->met_at;
  return g == met;
}

static void stage_meet(struct stage *g, struct unit *u) {
  uint64_t at;
  bool means = stage_means_still(g, u, &at);
  uint32_t gone = u->gone;
  if (means) stage_fire(g, u, at);
  unit_strip(u);
  if (means) g->action->act(g, u, (size_t)at - gone);
  else stage_pass(g, u);
}

/* Whether the unit goes on where the packet that is being put together stops. */
static bool stage_continues(const struct stage *g, const struct unit *u) {
  return g->join && u->from > 0 && buffer_size(&g->join->bytes) == u->from;
}

/* Puts a piece to those before it. False: it has no beginning here, and was passed on. */
static bool stage_join(struct stage *g, struct unit *u) {
  if (!stage_continues(g, u)) {
    bool begins = u->from == 0;
    stage_break(g);
    if (begins) g->join = u;
    else stage_pass(g, u);
    return begins;
  }
  struct unit *j = g->join;
  unit_append(j, unit_slice(u));
  j->last = u->last;
  j->total = u->total;
  j->index = u->index;
  j->offset = u->offset;
  unit_free(u);
  return true;
}

static struct unit *stage_take_join(struct stage *g) {
  struct unit *u = g->join;
  g->join = NULL;
  return u;
}

/* What stands before byte `at` goes on, as far as it can, before the rule looks at the rest. */
static void stage_pass_first(struct stage *g, struct unit *u, size_t at) {
  bool all = at == buffer_size(&u->bytes);
  unit_push_front(&g->in, all ? unit_new(&g->side->held) : unit_split(u, at));
  stage_pass(g, u);
}

/* A piece of a large packet that the rule means: acts once the position is in it. */
static void stage_aim(struct stage *g, struct unit *u) {
  uint64_t from = u->from, end = from + buffer_size(&u->bytes);
  if (g->aim > from && g->aim < end) {
    stage_pass_first(g, u, (size_t)(g->aim - from));
  } else if (g->aim == from || (g->aim == end && u->last)) {
    g->aims = g->action->flows;
    stage_fire(g, u, g->aim);
    g->action->act(g, u, (size_t)(g->aim - from));
  } else if (g->aim < from) {
    g->action->act(g, u, 0);
  } else {
    stage_pass(g, u);
  }
}

/* Too large to be kept: known by its start, and passed on in pieces. */
static void stage_arrive_large(struct stage *g, struct unit *u) {
  if (u->from == 0) g->aims = false;
  if (g->aims) {
    stage_aim(g, u);
    return;
  }
  if (g->join && g->join->gone) stage_break(g);
  if (!stage_join(g, u) || buffer_size(&g->join->bytes) < SELECT_START_MAX) return;
  struct unit *start = stage_take_join(g);
  g->aims = stage_means(g, start, &g->aim);
  if (g->aims) stage_aim(g, start);
  else stage_pass(g, start);
}

static void stage_meet_end(struct stage *g, struct unit *u) {
  bool means = select_matches(g->rule->rule, u, &g->side->inject->client) && stage_counts(g);
  if (means) stage_fire(g, NULL, g->side->framer.taken);
  if (means) g->action->act(g, u, 0);
  else stage_pass(g, u);
}

static void stage_arrive_packets(struct stage *g, struct unit *u) {
  if (!u->framed || !(g->types >> (u->first >> 4) & 1)) {
    stage_break(g);
    stage_pass(g, u);
  } else if (u->total > INJECT_PACKET_MAX) {
    stage_arrive_large(g, u);
  } else if (unit_is_whole(u)) {
    stage_break(g);
    stage_meet(g, u);
  } else if (stage_join(g, u) && g->join->last) {
    stage_meet(g, stage_take_join(g));
  }
}

/* Where in the stream a rule on bytes is to act. */
static uint64_t stage_bytes_aim(struct stage *g, const struct rule_term *placed) {
  uint64_t at;
  if (placed) return (uint64_t)placed->args[0].number;
  return g->action->place && g->action->place(g, NULL, &at) ? at : g->passed;
}

/* A rule on bytes begins to act. */
static void stage_begin(struct stage *g) {
  const struct rule_term *placed = rule_term(g->rule->rule, WORDS_AT_BYTE);
  g->aims = g->action->goes_on && !(placed && g->action->once_placed);
  g->done = true;
  stage_counts(g);
  stage_fire(g, NULL, g->aim);
}

/* `aims`: the rule has begun to act; `aim`: where. */
static void stage_arrive_bytes(struct stage *g, struct unit *u) {
  const struct rule_term *placed = rule_term(g->rule->rule, WORDS_AT_BYTE);
  uint64_t from = g->passed, size = buffer_size(&u->bytes);
  if (!select_in_time(g->rule, inject_since(g->side->inject))) {
    g->passed += size;
    stage_pass(g, u);
    return;
  }
  if (!g->aims) {
    g->aim = stage_bytes_aim(g, placed);
    uint64_t last = from + size - g->action->needs_bytes;
    bool here = !g->done && g->aim == from, soon = !g->done && g->aim > from && g->aim <= last;
    if (!here) {
      g->passed += soon ? g->aim - from : size;
      if (soon) stage_pass_first(g, u, (size_t)(g->aim - from));
      else stage_pass(g, u);
      return;
    }
    stage_begin(g);
  }
  g->passed += size;
  g->action->act(g, u, 0);
}

/* Whether it is a rule on bytes that acts by the clock, with or without bytes, and has not. */
static bool stage_is_clocked(const struct stage *g) {
  if (g->kind != WORDS_BYTES || !g->rule || g->done || g->closed || g->action->needs_bytes) return false;
  return rule_term(g->rule->rule, WORDS_AT) && !rule_term(g->rule->rule, WORDS_AT_BYTE) &&
         (!g->rule->after || g->rule->after->all.fired);
}

static int64_t stage_strike_ns(const struct stage *g) {
  int64_t began_ns = stage_is_clocked(g) ? inject_began_ns(g->side->inject) : NET_NEVER;
  return began_ns == NET_NEVER ? NET_NEVER : began_ns + rule_term(g->rule->rule, WORDS_AT)->args[0].number;
}

static bool stage_strike(struct stage *g) {
  if (stage_strike_ns(g) > stage_now(g)) return false;
  g->aim = g->passed;
  stage_begin(g);
  g->action->act(g, unit_new(&g->side->held), 0);
  return true;
}

/* Whether the unit vanishes in a black hole. One that closes lets the rest of a packet go by first. */
static bool stage_swallows(struct stage *g, const struct unit *u) {
  if (!g->discards || u->end) return false;
  bool boundary = g->kind == WORDS_BYTES || !u->framed || u->from == 0;
  if (boundary && stage_now(g) >= g->discards_until_ns) g->discards = false;
  return g->discards;
}

static void stage_arrive(struct stage *g, struct unit *u) {
  if (stage_swallows(g, u)) {
    unit_free(u);
  } else if (g->retired || g->rule->removed) {
    stage_break(g);
    stage_pass(g, u);
  } else if (u->end) {
    stage_break(g);
    stage_flush(g);
    if (g->kind == WORDS_END) stage_meet_end(g, u);
    else stage_pass(g, u);
  } else if (g->kind == WORDS_BYTES) {
    stage_arrive_bytes(g, u);
  } else if (g->kind == WORDS_PACKETS) {
    stage_arrive_packets(g, u);
  } else {
    stage_pass(g, u);
  }
}

/* As much of the first in line as is through by now. */
static bool stage_send_paced(struct stage *g) {
  struct unit *u = g->line.head;
  uint64_t rate = (uint64_t)g->args[0].number;
  pace_begin(&g->pace, rate, u->ready_ns);
  size_t size = buffer_size(&u->bytes), n = pace_due(&g->pace, rate, size, stage_now(g));
  if (n == 0) return false;
  g->pace.passed += n;
  g->side->paced -= n;
  u = n == size ? unit_pop(&g->line) : unit_take(u, n);
  u->paced = false;
  stage_send(g, u);
  return true;
}

/* True: the stall was to end with something else, and has. */
static bool stage_end_stall(struct stage *g) {
  enum chain_end then = g->then;
  if (!g->stalled || stage_now(g) < g->stalled_until_ns) return false;
  stage_unstall(g);
  if (then) stage_pass_end(g, then);
  return then != CHAIN_NONE;
}

bool stage_step(struct stage *g) {
  if (!g->kind) return side_frame(g->side, &g->in);
  if (g->copied) return stage_repeat(g);
  if (stage_strike(g)) return true;
  struct unit *u = side_is_full(g->side) ? NULL : unit_pop(&g->in);
  if (u) {
    stage_arrive(g, u);
    return true;
  }
  if (g->released.head && (!g->mid || g->released.head->end)) {
    stage_send(g, unit_pop(&g->released));
    return true;
  }
  if (stage_end_stall(g)) return true;
  if (g->stalled || !g->line.head || g->line.head->ready_ns > stage_now(g)) return false;
  if (g->line.head->paced) return stage_send_paced(g);
  stage_send(g, unit_pop(&g->line));
  return true;
}

static int64_t stage_line_ns(const struct stage *g) {
  const struct unit *u = g->line.head;
  struct pace pace = g->pace;
  if (!u || !u->paced) return u ? u->ready_ns : NET_NEVER;
  pace_begin(&pace, (uint64_t)g->args[0].number, u->ready_ns);
  return pace_next_ns(&pace, (uint64_t)g->args[0].number, buffer_size(&u->bytes));
}

int64_t stage_deadline(const struct stage *g) {
  int64_t strike_ns = stage_strike_ns(g), line_ns = g->stalled ? g->stalled_until_ns : stage_line_ns(g);
  return strike_ns < line_ns ? strike_ns : line_ns;
}

void stage_retire(struct stage *g) {
  list_remove(&g->of_rule);
  stage_break(g);
  stage_unstall(g);
  g->discards_until_ns = INT64_MIN;
  if (g->kind == WORDS_BYTES) g->discards = false;
  unit_move(&g->released, &g->held);
  if (g->behind) unit_push(&g->released, g->behind);
  unit_free(g->copied);
  g->behind = g->copied = NULL;
  stage_hurry(g);
  g->retired = true;
  g->rule = NULL;
  g->tally = NULL;
  g->side->retired++;
}

bool stage_is_open(const struct stage *g) {
  bool waits = g->in.head || g->line.head || g->released.head || g->join || g->copied || g->behind || g->gathered;
  bool busy = g->mid || g->stalled || g->discards || g->aims || g->then || g->closed || g->retired;
  return !waits && !busy && !g->rule->removed;
}

bool stage_is_idle(const struct stage *g) {
  return !g->in.head && !g->line.head && !g->released.head && !g->join && !g->discards;
}
