#include "fault/scope_fields.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fault/inject_fields.h"
#include "fault/tlsrule.h"

struct scope *scope_new(uint64_t seed, void (*fired)(void *arg, const struct scope_firing *f), void *arg) {
  struct scope *s = mem_zero(sizeof *s);
  s->seed = seed;
  s->fired = fired;
  s->arg = arg;
  list_init(&s->filters);
  return s;
}

static void scope_destroy(struct scope *s) {
  for (size_t i = 0; i < s->count; i++) {
    rule_free(s->rules[i]->rule);
    free(s->rules[i]);
  }
  free(s->rules);
  free(s);
}

static bool scope_is_gone(const struct scope *s) {
  return s->orphan && !s->busy && !s->hooks && list_empty(&s->filters);
}

void scope_free(struct scope *s) {
  if (!s) return;
  s->orphan = true;
  s->fired = NULL;
  if (scope_is_gone(s)) scope_destroy(s);
}

void scope_join(struct scope *s, struct list_node *filter) {
  list_append(&s->filters, filter);
}

void scope_leave(struct scope *s, struct list_node *filter) {
  list_remove(filter);
  if (scope_is_gone(s)) scope_destroy(s);
}

uint64_t scope_gain_hook(struct scope *s) {
  s->hooks++;
  return ++s->hooked;
}

void scope_lose_hook(struct scope *s) {
  s->hooks--;
  if (scope_is_gone(s)) scope_destroy(s);
}

/* A kick only sets a timer of the chain: nothing is called back from here. */
static void scope_settle(struct scope *s) {
  if (s->busy || !s->kick) return;
  s->kick = false;
  for (struct list_node *n = list_first(&s->filters); n; n = list_next(&s->filters, n)) {
    struct inject *f = inject_of(n);
    if (f->kick && f->filter.chain) chain_kick(f->filter.chain);
    f->kick = false;
  }
}

void scope_kick(struct scope *s, struct inject *filter) {
  filter->kick = s->kick = true;
  scope_settle(s);
}

void scope_enter_call(struct scope *s) {
  s->busy++;
}

void scope_leave_call(struct scope *s) {
  s->busy--;
  if (scope_is_gone(s)) scope_destroy(s);
  else scope_settle(s);
}

bool scope_is_empty(const struct scope *s) {
  return s->live == s->calls;
}

bool scope_has_calls(const struct scope *s) {
  return s->calls > 0;
}

void scope_set_place(struct scope *s, const struct scope_place *place) {
  s->place = *place;
}

/* What a word needs that this version does not have. */
static bool scope_has_words(const struct rule *r, struct err *err) {
  for (size_t i = 0; i < r->term_count; i++) {
    const struct words_row *row = words_row(r->terms[i].word);
    if (row->needs) return err_set(err, "`%s` cannot be done: %s", row->name, row->needs);
  }
  return true;
}

/* Nobody knows how often a connect went unanswered, nor by whom it was tried. */
static bool scope_accepts_mute(const struct scope *s, const struct rule *r, struct err *err) {
  const char *name = s->place.name ? s->place.name : "this place";
  if (!s->place.mute)
    return err_set(err, "`no_answer` on accept cannot be done: %s has no listener that could be silent", name);
  for (size_t i = 0; i < r->term_count; i++) {
    const struct words_row *row = words_row(r->terms[i].word);
    if (row->part & (WORDS_OCCURRENCE | WORDS_COUNTING) || r->terms[i].word == WORDS_MUST_FIRE)
      return err_set(err,
                     "`no_answer` on accept and `%s` do not go together: a connect that the system does not answer is "
                     "not seen, and cannot be counted; take the rule out when it has lasted long enough",
                     row->name);
  }
  return true;
}

/* Rules on getting in that nobody would ever ask, or that the place cannot do. */
static bool scope_accepts_entry(const struct scope *s, const struct rule *r, struct err *err) {
  enum words_id action = rule_action(r)->word;
  const char *name = s->place.name ? s->place.name : "this place";
  if (r->place == WORDS_CONNECT && s->place.never_connects) return err_set(err, "%s never connects: say accept", name);
  if (r->place == WORDS_ACCEPT && s->place.never_accepts)
    return err_set(err, "%s never accepts a connection%s", name, s->place.never_connects ? "" : ": say connect");
  if (action == WORDS_DEAD_UPSTREAM && !s->place.upstream)
    return err_set(err, "`dead_upstream` cannot be done: only a proxy has an upstream, and %s is none", name);
  if (action == WORDS_NO_ANSWER && r->place == WORDS_ACCEPT) return scope_accepts_mute(s, r, err);
  return true;
}

static bool scope_accepts_calls(const struct scope *s, const struct rule *r, struct err *err) {
  const char *name = s->place.name ? s->place.name : "this place";
  if (r->place != WORDS_CALLS) return true;
  if (!s->place.calls)
    return err_set(err, "`sys` cannot be done: %s has no system calls to fail; clients, raw clients and peers have",
                   name);
  for (unsigned call = 0; call < OSCALLS; call++) {
    if (!(r->calls & ~s->place.calls & RULE_CALL(call))) continue;
    return err_set(err, "`sys %s` would never fire: %s does not call that here", words_call(call), name);
  }
  return true;
}

/* "#3" */
static const struct scope_rule *scope_numbered(const struct scope *s, struct slice name) {
  size_t n = 0;
  if (name.size < 2 || name.size > 6 || name.data[0] != '#') return NULL;
  for (size_t i = 1; i < name.size; i++) {
    if (name.data[i] < '0' || name.data[i] > '9') return NULL;
    n = n * 10 + (size_t)(name.data[i] - '0');
  }
  return n >= 1 && n <= s->count ? s->rules[n - 1] : NULL;
}

/* The newest rule of that name, or the one of that number. */
static const struct scope_rule *scope_find(const struct scope *s, struct slice name) {
  for (size_t i = s->count; i > 0; i--) {
    const struct rule_term *own = rule_term(s->rules[i - 1]->rule, WORDS_NAME);
    if (own && slice_equal(own->args[0].text, name)) return s->rules[i - 1];
  }
  return scope_numbered(s, name);
}

static bool scope_knows_after(const struct scope *s, const struct rule *r, struct err *err) {
  const struct rule_term *after = rule_term(r, WORDS_AFTER);
  if (!after || scope_find(s, after->args[0].text)) return true;
  return err_set(err, "`after %.*s`: no rule that was installed here before has that name",
                 (int)after->args[0].text.size, (const char *)after->args[0].text.data);
}

static bool scope_accepts_tls(const struct scope *s, const struct rule *r, struct err *err) {
  const struct rule_term *action = rule_action(r);
  const char *name = s->place.name ? s->place.name : "this place";
  if (r->place != WORDS_TLS) return true;
  if (!s->place.tls) return err_set(err, "`tls` cannot be done: %s has no TLS of its own", name);
  if (!(s->place.tls & r->directions))
    return err_set(err, "`tls` cannot be done: %s has no TLS of its own %s", name,
                   r->directions == RULE_UP ? "towards the upstream" : "towards clients");
  if (action->word == WORDS_CERT && !s->place.shows_cert)
    return err_set(err,
                   "`cert` cannot be done: %s shows the certificate of its option tls, as in tls = "
                   "pki:faulty(\"expired\", \"client\")",
                   name);
  return tlsrule_check(action, err);
}

static bool scope_accepts(const struct scope *s, const struct rule *r, struct err *err) {
  if (s->live >= SCOPE_RULES_MAX)
    return err_set(err, "%d rules are installed here, and that is the most", SCOPE_RULES_MAX);
  if (rule_term(r, WORDS_WHERE) && !r->hooks.where)
    return err_set(err, "`where` needs a function, which only a script can give");
  if (rule_term(r, WORDS_REWRITE) && !r->hooks.rewrite)
    return err_set(err, "`rewrite` needs a function, which only a script can give");
  return scope_has_words(r, err) && scope_accepts_entry(s, r, err) && scope_accepts_calls(s, r, err) &&
         scope_accepts_tls(s, r, err) && scope_knows_after(s, r, err);
}

static bool scope_is_muting(const struct rule *r) {
  return r->place == WORDS_ACCEPT && rule_action(r)->word == WORDS_NO_ANSWER;
}

static bool scope_is_muted(const struct scope *s) {
  for (size_t i = 0; i < s->count; i++)
    if (!s->rules[i]->removed && scope_is_muting(s->rules[i]->rule)) return true;
  return false;
}

struct scope_rule *scope_add(struct scope *s, struct rule *rule, struct err *err) {
  if (!scope_accepts(s, rule, err) || (scope_is_muting(rule) && !s->place.mute(s->place.arg, true, err))) {
    rule_free(rule);
    return NULL;
  }
  if (s->count == s->capacity) {
    s->capacity = s->capacity ? 2 * s->capacity : 8;
    s->rules = mem_resize(s->rules, s->capacity * sizeof *s->rules);
  }
  struct scope_rule *r = mem_zero(sizeof *r);
  const struct rule_term *after = rule_term(rule, WORDS_AFTER);
  *r = (struct scope_rule){ .scope = s, .rule = rule, .site = s->count + 1 };
  if (after) r->after = scope_find(s, after->args[0].text);
  list_init(&r->stages);
  s->rules[s->count++] = r;
  s->live++;
  if (rule->place == WORDS_CALLS) s->calls++;
  for (struct list_node *n = list_first(&s->filters); n; n = list_next(&s->filters, n))
    inject_of(n)->stale = inject_of(n)->disturbed = true;
  return r;
}

void scope_remove(struct scope_rule *r) {
  struct scope *s = r->scope;
  if (r->removed) return;
  r->removed = true;
  s->live--;
  if (r->rule->place == WORDS_CALLS) s->calls--;
  if (s->place.mute && scope_is_muting(r->rule) && !scope_is_muted(s)) s->place.mute(s->place.arg, false, NULL);
  for (struct list_node *n = list_first(&s->filters); n; n = list_next(&s->filters, n)) {
    struct inject *f = inject_of(n);
    f->stale = f->disturbed = f->again = f->kick = s->kick = true;
  }
  scope_settle(s);
}

const struct rule *scope_rule_of(const struct scope_rule *r) {
  return r->rule;
}

uint64_t scope_seen(const struct scope_rule *r) {
  return r->all.seen;
}

uint64_t scope_fired(const struct scope_rule *r) {
  return r->all.fired;
}

uint64_t scope_number(const struct scope_rule *r) {
  return r->site;
}

static struct stage *scope_stage(struct list_node *of_rule) {
  return LIST_OWNER(of_rule, struct stage, of_rule);
}

/* The stage that holds the oldest of the rule's packets, or NULL. */
static struct stage *scope_oldest(const struct scope_rule *r) {
  struct stage *oldest = NULL;
  for (struct list_node *n = list_first(&r->stages); n; n = list_next(&r->stages, n)) {
    struct stage *g = scope_stage(n);
    if (g->held.head && (!oldest || g->held.head->turn < oldest->held.head->turn)) oldest = g;
  }
  return oldest;
}

static size_t scope_count_held(const struct scope_rule *r) {
  size_t count = 0;
  for (struct list_node *n = list_first(&r->stages); n; n = list_next(&r->stages, n))
    for (const struct unit *u = scope_stage(n)->held.head; u; u = u->next) count++;
  return count;
}

size_t scope_release(struct scope_rule *r, size_t n) {
  size_t count = 0;
  if (n == 0) {
    count = scope_count_held(r);
    scope_remove(r);
    return count;
  }
  for (struct stage *g = scope_oldest(r); g && count < n; g = scope_oldest(r), count++) {
    struct inject *f = g->side->inject;
    unit_push(&g->released, unit_pop(&g->held));
    f->again = f->disturbed = f->kick = r->scope->kick = true;
  }
  scope_settle(r->scope);
  return count;
}

bool scope_met(const struct scope_rule *r, struct err *why) {
  uint64_t owes = rule_owes(r->rule);
  char text[256];
  if (r->all.fired >= owes) return true;
  rule_print(r->rule, text, sizeof text);
  return err_set(why,
                 "the rule \"%s\" was to fire%s and did so %llu times of %llu: what it is about was seen %llu times",
                 text, owes > 1 ? " more often" : "", (unsigned long long)r->all.fired, (unsigned long long)owes,
                 (unsigned long long)r->all.seen);
}

uint64_t scope_draw(const struct scope_rule *r, enum scope_use use, uint64_t conn, uint64_t occurrence) {
  return rng_hash(r->scope->seed, r->site * SCOPE_USES + use, conn, occurrence);
}

void scope_fire(struct scope_rule *r, struct scope_tally *tally, struct scope_firing *f) {
  r->all.fired++;
  if (tally != &r->all) tally->fired++;
  f->rule = r;
  f->text = words_row(rule_action(r->rule)->word)->name;
  if (r->scope->fired) r->scope->fired(r->scope->arg, f);
}

/* Getting in. */

struct scope_entering {
  enum scope_entry entry;
  int64_t delay_ns;
};

static void scope_enter_refuse(const struct scope_rule *r, struct scope_entering *e) {
  (void)r;
  e->entry = SCOPE_REFUSE;
}

static void scope_enter_no_answer(const struct scope_rule *r, struct scope_entering *e) {
  (void)r;
  e->entry = SCOPE_NO_ANSWER;
}

static void scope_enter_dead_upstream(const struct scope_rule *r, struct scope_entering *e) {
  (void)r;
  e->entry = SCOPE_DEAD_UPSTREAM;
}

static void scope_enter_delay(const struct scope_rule *r, struct scope_entering *e) {
  uint64_t bits = scope_draw(r, SCOPE_USE_DELAY, 0, r->all.seen);
  e->delay_ns += distribution_draw(&rule_action(r->rule)->args[0].distribution, bits);
}

static void (*const scope_entries[WORDS_IDS])(const struct scope_rule *r, struct scope_entering *e) = {
  [WORDS_REFUSE] = scope_enter_refuse,
  [WORDS_NO_ANSWER] = scope_enter_no_answer,
  [WORDS_DEAD_UPSTREAM] = scope_enter_dead_upstream,
  [WORDS_DELAY] = scope_enter_delay,
};

enum scope_entry scope_enter(struct scope *s, bool accept, int64_t now_ns, int64_t *delay_ns) {
  enum words_place place = accept ? WORDS_ACCEPT : WORDS_CONNECT;
  struct scope_entering e = { SCOPE_ENTER, 0 };
  scope_enter_call(s);
  for (size_t i = 0; i < s->count && e.entry == SCOPE_ENTER; i++) {
    struct scope_rule *r = s->rules[i];
    struct scope_firing f = { .up = true, .at_ns = now_ns };
    if (r->removed || r->rule->place != place || scope_is_muting(r->rule)) continue;
    if (!select_counts(r, &r->all, &(struct select_moment){ 0 })) continue;
    scope_fire(r, &r->all, &f);
    scope_entries[rule_action(r->rule)->word](r, &e);
  }
  *delay_ns = e.delay_ns;
  scope_leave_call(s);
  return e.entry;
}
