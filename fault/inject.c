#include "fault/inject.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fault/inject_fields.h"

static struct inject *inject_self(struct filter *filter) {
  return (struct inject *)(void *)filter;
}

static bool inject_applies(const struct rule *r, const struct side *s) {
  return (r->directions & (s->up ? RULE_UP : RULE_DOWN)) != 0;
}

static void inject_add_rule(struct inject *f, struct scope_rule *r) {
  if (r->removed || !(r->rule->place & f->places)) return;
  if (f->count == f->capacity) {
    f->capacity = f->capacity ? 2 * f->capacity : 4;
    f->rules = mem_resize(f->rules, f->capacity * sizeof *f->rules);
  }
  struct inject_rule *own = &f->rules[f->count++];
  *own = (struct inject_rule){ .rule = r, .tally = mem_zero(sizeof *own->tally) };
  for (int d = CHAIN_OUT; d <= CHAIN_IN; d++)
    if (inject_applies(r->rule, &f->sides[d])) own->stages[d] = side_add(&f->sides[d], r, own->tally);
}

static void inject_retire_rule(struct inject_rule *own) {
  for (int d = CHAIN_OUT; d <= CHAIN_IN; d++)
    if (own->stages[d]) stage_retire(own->stages[d]);
  free(own->tally);
}

/* Takes out what was removed from the scope, puts in what was added. */
static void inject_sync(struct inject *f) {
  size_t kept = 0;
  f->stale = false;
  for (size_t i = 0; i < f->count; i++) {
    if (f->rules[i].rule->removed) inject_retire_rule(&f->rules[i]);
    else f->rules[kept++] = f->rules[i];
  }
  f->count = kept;
  while (f->synced < f->scope->count) inject_add_rule(f, f->scope->rules[f->synced++]);
}

int64_t inject_began_ns(const struct inject *f) {
  return f->filter.chain ? chain_began_ns(f->filter.chain) : f->first_ns;
}

int64_t inject_since(const struct inject *f) {
  int64_t began_ns = inject_began_ns(f);
  return began_ns == NET_NEVER ? -1 : f->now_ns - began_ns;
}

bool inject_follow(struct inject *f) {
  bool disturbed = f->disturbed;
  f->disturbed = false;
  if (f->stale && !f->dead) inject_sync(f);
  return disturbed;
}

static void inject_pump(struct inject *f) {
  f->again = false;
  for (int d = CHAIN_OUT; d <= CHAIN_IN; d++) side_pump(&f->sides[d]);
}

static void inject_sweep(struct inject *f) {
  for (int d = CHAIN_OUT; d <= CHAIN_IN; d++)
    if (f->sides[d].retired) {
      side_sweep(&f->sides[d]);
      side_pump(&f->sides[d]);
    }
}

/* Does what changes of the rules, and releases, have made possible. */
static void inject_settle(struct inject *f) {
  while (!f->dead && (f->stale || f->again)) {
    if (f->stale) inject_sync(f);
    inject_pump(f);
  }
  inject_sweep(f);
}

static void inject_destroy(struct inject *f) {
  struct scope *scope = f->scope;
  for (int d = CHAIN_OUT; d <= CHAIN_IN; d++) side_fini(&f->sides[d]);
  for (size_t i = 0; i < f->count; i++) free(f->rules[i].tally);
  free(f->rules);
  buffer_fini(&f->client.id);
  scope_leave(scope, &f->of_scope);
  free(f);
}

/* Every call of the chain stands between these two. A function of a script that runs inside may change the rules: that
 * shows at the end of the call. It may also make the chain call again from inside: false, nothing can be done then. */
static bool inject_enter(struct inject *f, int64_t now_ns) {
  if (f->busy) {
    scope_kick(f->scope, f);
    return false;
  }
  f->busy++;
  scope_enter_call(f->scope);
  if (now_ns > f->now_ns) f->now_ns = now_ns;
  if (now_ns < f->first_ns) f->first_ns = now_ns;
  inject_settle(f);
  return true;
}

static void inject_leave(struct inject *f) {
  struct scope *scope = f->scope;
  inject_settle(f);
  f->busy--;
  if (f->dead) inject_destroy(f);
  scope_leave_call(scope);
}

static bool inject_is_scripted(const struct inject *f) {
  for (size_t i = 0; i < f->count; i++) {
    const struct rule_hooks *hooks = &f->rules[i].rule->rule->hooks;
    if (hooks->where || hooks->rewrite) return true;
  }
  return false;
}

/* A function of a script may put more behind the bytes in their owner's buffer, which moves them: it gets a copy. */
static size_t inject_take_copy(struct inject *f, enum chain_direction d, struct slice bytes) {
  bytes = slice_first(bytes, NET_READ_MAX);
  char *own = mem_copy(bytes);
  size_t n = side_take(&f->sides[d], slice_of(own, bytes.size));
  free(own);
  return n;
}

static size_t inject_take(struct filter *filter, enum chain_direction d, struct slice bytes, int64_t now_ns) {
  struct inject *f = inject_self(filter);
  if (!inject_enter(f, now_ns)) return 0;
  size_t n = inject_is_scripted(f) ? inject_take_copy(f, d, bytes) : side_take(&f->sides[d], bytes);
  inject_leave(f);
  return n;
}

static void inject_end(struct filter *filter, enum chain_direction d, enum chain_end end, int64_t now_ns) {
  struct inject *f = inject_self(filter);
  bool entered = inject_enter(f, now_ns);
  side_end(&f->sides[d], end);
  f->again = true;
  if (entered) inject_leave(f);
}

static struct slice inject_give(struct filter *filter, enum chain_direction d, int64_t now_ns) {
  struct inject *f = inject_self(filter);
  if (f->busy) return slice_of(NULL, 0);
  if ((f->stale || f->again) && inject_enter(f, now_ns)) inject_leave(f);
  return side_give(&f->sides[d]);
}

static void inject_gave(struct filter *filter, enum chain_direction d, size_t n, int64_t now_ns) {
  (void)now_ns;
  side_gave(&inject_self(filter)->sides[d], n);
}

static enum chain_end inject_ends(struct filter *filter, enum chain_direction d) {
  const struct side *s = &inject_self(filter)->sides[d];
  return s->out.head ? CHAIN_NONE : s->end;
}

static int64_t inject_deadline(struct filter *filter) {
  const struct inject *f = inject_self(filter);
  int64_t out_ns = side_deadline(&f->sides[CHAIN_OUT]), in_ns = side_deadline(&f->sides[CHAIN_IN]);
  return out_ns < in_ns ? out_ns : in_ns;
}

static void inject_tick(struct filter *filter, int64_t now_ns) {
  struct inject *f = inject_self(filter);
  if (!inject_enter(f, now_ns)) return;
  f->again = true;
  inject_leave(f);
}

static void inject_free(struct filter *filter) {
  struct inject *f = inject_self(filter);
  f->filter.chain = NULL;
  if (f->busy) f->dead = true;
  else inject_destroy(f);
}

static const struct filter_ops inject_ops = {
  .name = "inject",
  .take = inject_take,
  .end = inject_end,
  .give = inject_give,
  .gave = inject_gave,
  .ends = inject_ends,
  .deadline = inject_deadline,
  .tick = inject_tick,
  .free = inject_free,
};

void inject_meet(struct filter *filter, struct slice client_id) {
  struct select_client *c = &inject_self(filter)->client;
  c->known = true;
  buffer_fini(&c->id);
  buffer_append(&c->id, client_id);
}

static struct inject *inject_make(struct scope *s, void *conn, bool out_is_up) {
  struct inject *f = mem_zero(sizeof *f);
  f->filter.ops = &inject_ops;
  f->scope = s;
  f->conn = conn;
  f->number = ++s->conns;
  f->places = WORDS_PACKETS | WORDS_BYTES | WORDS_END;
  f->client.version = SPEC_3_1_1;
  f->now_ns = INT64_MIN;
  f->first_ns = NET_NEVER;
  buffer_init(&f->client.id, SPEC_STRING_MAX);
  side_init(&f->sides[CHAIN_OUT], f, CHAIN_OUT, out_is_up);
  side_init(&f->sides[CHAIN_IN], f, CHAIN_IN, !out_is_up);
  return f;
}

static struct filter *inject_ready(struct inject *f) {
  scope_join(f->scope, &f->of_scope);
  inject_sync(f);
  return &f->filter;
}

struct filter *inject_new(struct scope *s, void *conn, bool out_is_up, struct slice partial_out,
                          struct slice partial_in) {
  struct inject *f = inject_make(s, conn, out_is_up);
  side_skip(&f->sides[CHAIN_OUT], partial_out);
  side_skip(&f->sides[CHAIN_IN], partial_in);
  return inject_ready(f);
}

struct filter *inject_join(struct scope *s, void *conn, bool out_is_up, const struct inject_past *out,
                           const struct inject_past *in, struct slice connect) {
  struct inject *f = inject_make(s, conn, out_is_up);
  side_resume(&f->sides[CHAIN_OUT], out->framer, out->start);
  side_resume(&f->sides[CHAIN_IN], in->framer, in->start);
  side_meet_client(&f->sides[out_is_up ? CHAIN_OUT : CHAIN_IN], connect);
  return inject_ready(f);
}

/* Lets go of the rules on other places. Nothing has gone through it yet. */
static void inject_narrow(struct inject *f, unsigned places) {
  size_t kept = 0;
  f->places = places;
  for (size_t i = 0; i < f->count; i++) {
    if (f->rules[i].rule->rule->place & places) f->rules[kept++] = f->rules[i];
    else inject_retire_rule(&f->rules[i]);
  }
  f->count = kept;
  inject_sweep(f);
}

void inject_push(struct chain *c, struct filter *filter) {
  struct inject *f = inject_self(filter);
  chain_push_inner(c, filter);
  if (!chain_is_wrapped(c)) return;
  struct inject *outside = inject_make(f->scope, f->conn, f->sides[CHAIN_OUT].up);
  outside->number = f->number;
  f->scope->conns--;
  inject_narrow(f, f->places & ~(unsigned)WORDS_BYTES);
  inject_ready(outside);
  inject_narrow(outside, WORDS_BYTES);
  chain_push_outer(c, &outside->filter);
}
