#include "fault/infect.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/rng.h"
#include "fault/rule_fields.h"

/* A toxic, here. */
struct infect_toxic {
  struct toxic toxic;
  uint64_t serial; /* names its draws */
  struct infect *infect;
  struct scope_rule *shared; /* of the proxy's own scope, where toxic_is_shared */
  struct list_node doses;
};

/* A connection, with a scope of its own once a toxic strikes it. */
struct infect_link {
  struct list_node node;
  struct infect *infect;
  struct proxy_conn *conn;
  struct scope *scope;
  struct list_node doses;
};

/* One toxic on one connection. */
struct infect_dose {
  struct list_node of_link, of_toxic;
  struct infect_link *link;
  struct infect_toxic *toxic;
  struct scope_rule *rule; /* NULL: it has none */
  struct net_timer clock;
};

struct infect {
  struct net *net;
  uint64_t seed, serials, fired;
  void (*on_fired)(void *arg, struct proxy_conn *c, const struct scope_firing *f);
  void *arg;
  struct proxy *proxy;
  struct infect_toxic **toxics; /* in order: upstream, then downstream */
  size_t count, capacity;
  struct list_node links;
};

static struct infect_link *infect_link_of(struct list_node *n) {
  return LIST_OWNER(n, struct infect_link, node);
}

/* Doses. */

static const char *infect_name(const struct infect_link *l, const struct scope_rule *r) {
  for (struct list_node *n = list_first(&l->doses); n; n = list_next(&l->doses, n)) {
    const struct infect_dose *d = LIST_OWNER(n, struct infect_dose, of_link);
    if (d->rule == r) return d->toxic->toxic.name;
  }
  return NULL;
}

static void infect_fire(void *arg, const struct scope_firing *f) {
  struct infect_link *l = arg;
  struct scope_firing told = *f;
  l->infect->fired++;
  told.toxic = infect_name(l, f->rule);
  if (l->infect->on_fired) l->infect->on_fired(l->infect->arg, l->conn, &told);
}

static struct scope *infect_scope(struct infect_link *l) {
  if (l->scope) return l->scope;
  uint64_t number = proxy_conn_number(l->conn);
  l->scope = scope_new(rng_hash(l->infect->seed, 0, number, 0), infect_fire, l);
  return l->scope;
}

static void infect_drop_dose(struct infect_dose *d) {
  list_remove(&d->of_link);
  list_remove(&d->of_toxic);
  net_timer_clear(d->link->infect->net, &d->clock);
  free(d);
}

/* Ends the connection: the dose is gone after it, with the link. */
static void infect_end(struct infect_dose *d, enum toxic_end end, const char *why) {
  struct relay *r = proxy_conn_relay(d->link->conn);
  if (!r) return;
  if (end == TOXIC_RESETS) relay_reset(r, why);
  else relay_close(r, why);
}

static void infect_clock(void *arg) {
  struct infect_dose *d = arg;
  char why[TOXIC_NAME_MAX + 64];
  enum toxic_end end = d->toxic->toxic.row->end;
  snprintf(why, sizeof why, "%s by the toxic %s", end == TOXIC_RESETS ? "reset" : "closed", d->toxic->toxic.name);
  infect_end(d, end, why);
}

static struct scope_rule *infect_put_rule(struct infect_toxic *t, struct scope *s, uint64_t passed) {
  char text[RULE_TEXT_MAX];
  struct printer p;
  printer_init(&p, text, sizeof text);
  toxic_rule(&t->toxic, passed, &p);
  struct rule *rule = p.length ? rule_parse(text, NULL) : NULL;
  return rule ? scope_add(s, rule, NULL) : NULL;
}

static bool infect_strikes(const struct infect_toxic *t, const struct infect_link *l) {
  uint64_t bits = rng_hash(t->infect->seed, t->serial, proxy_conn_number(l->conn), 1);
  return (int64_t)(((unsigned __int128)bits * VALUE_RATIO_ONE) >> 64) < t->toxic.toxicity;
}

static void infect_dose(struct infect_link *l, struct infect_toxic *t) {
  struct net *net = l->infect->net;
  int64_t clock_ns = toxic_clock_ns(&t->toxic);
  if (toxic_is_shared(&t->toxic) || !infect_strikes(t, l)) return;
  struct infect_dose *d = mem_zero(sizeof *d);
  d->link = l;
  d->toxic = t;
  net_timer_init(&d->clock, infect_clock, d);
  list_append(&l->doses, &d->of_link);
  list_append(&t->doses, &d->of_toxic);
  if (clock_ns != NET_NEVER) net_timer_set(net, &d->clock, net_now(net) + clock_ns);
  struct relay_counts counts = relay_counts(proxy_conn_relay(l->conn));
  d->rule = infect_put_rule(t, infect_scope(l), t->toxic.up ? counts.bytes_up : counts.bytes_down);
  relay_join(proxy_conn_relay(l->conn), l->scope, l);
}

/* Bytes are missing: what came next would be taken for something else. */
static void infect_withdraw(struct infect_dose *d) {
  bool lost = d->toxic->toxic.row->loses && d->rule && scope_fired(d->rule);
  struct relay *r = proxy_conn_relay(d->link->conn);
  if (d->rule) scope_remove(d->rule);
  infect_drop_dose(d);
  if (lost && r) relay_close(r, "closed: the toxic that has swallowed its bytes was removed");
}

/* Connections. */

static void infect_drop_link(struct infect_link *l) {
  for (struct list_node *n; (n = list_first(&l->doses));) infect_drop_dose(LIST_OWNER(n, struct infect_dose, of_link));
  list_remove(&l->node);
  scope_free(l->scope);
  free(l);
}

static struct infect_link *infect_find_link(struct infect *i, const struct proxy_conn *c) {
  for (struct list_node *n = list_first(&i->links); n; n = list_next(&i->links, n)) {
    if (infect_link_of(n)->conn == c) return infect_link_of(n);
  }
  return NULL;
}

static void infect_meet(struct infect *i, struct proxy_conn *c) {
  struct infect_link *l = mem_zero(sizeof *l);
  l->infect = i;
  l->conn = c;
  list_init(&l->doses);
  list_append(&i->links, &l->node);
  for (size_t k = 0; k < i->count; k++) infect_dose(l, i->toxics[k]);
}

static void infect_opened(void *arg, struct proxy_conn *c) {
  infect_meet(arg, c);
}

static void infect_ended(void *arg, struct proxy_conn *c, const char *why) {
  struct infect_link *l = infect_find_link(arg, c);
  (void)why;
  if (l) infect_drop_link(l);
}

static const struct proxy_handler infect_handler = { .opened = infect_opened, .ended = infect_ended };

/* Toxics. */

static void infect_share(struct infect_toxic *t) {
  struct proxy *p = t->infect->proxy;
  t->shared = NULL;
  if (!p || t->toxic.toxicity == 0 || !toxic_is_shared(&t->toxic)) return;
  t->shared = infect_put_rule(t, proxy_scope(p), 0);
  if (t->shared) proxy_join(p);
}

static void infect_begin(struct infect_toxic *t) {
  struct infect *i = t->infect;
  infect_share(t);
  for (struct list_node *n = list_first(&i->links), *next; n; n = next) {
    next = list_next(&i->links, n);
    infect_dose(infect_link_of(n), t);
  }
}

static void infect_stop(struct infect_toxic *t) {
  if (t->shared && t->infect->proxy) scope_remove(t->shared);
  t->shared = NULL;
  for (struct list_node *n; (n = list_first(&t->doses));) infect_withdraw(LIST_OWNER(n, struct infect_dose, of_toxic));
}

/* Those that go on, without closing what another of the same name will go on with. */
static void infect_replace(struct infect_toxic *t) {
  if (t->shared && t->infect->proxy) scope_remove(t->shared);
  t->shared = NULL;
  for (struct list_node *n; (n = list_first(&t->doses));) {
    struct infect_dose *d = LIST_OWNER(n, struct infect_dose, of_toxic);
    if (d->rule) scope_remove(d->rule);
    infect_drop_dose(d);
  }
}

static struct infect_toxic *infect_named(const struct infect *i, const char *name, size_t *at) {
  for (*at = 0; *at < i->count; ++*at) {
    if (strcmp(i->toxics[*at]->toxic.name, name) == 0) return i->toxics[*at];
  }
  return NULL;
}

static void infect_insert(struct infect *i, struct infect_toxic *t) {
  size_t at = i->count;
  if (i->count == i->capacity) {
    i->capacity = i->capacity ? 2 * i->capacity : 4;
    i->toxics = mem_resize(i->toxics, i->capacity * sizeof *i->toxics);
  }
  for (; t->toxic.up && at > 0 && !i->toxics[at - 1]->toxic.up; at--) i->toxics[at] = i->toxics[at - 1];
  i->toxics[at] = t;
  i->count++;
}

void infect_add(struct infect *i, struct toxic *t) {
  struct infect_toxic *own = mem_zero(sizeof *own);
  assert(i->count < INFECT_TOXICS_MAX);
  *own = (struct infect_toxic){ .toxic = *t, .serial = ++i->serials, .infect = i };
  list_init(&own->doses);
  infect_insert(i, own);
  infect_begin(own);
}

void infect_update(struct infect *i, struct toxic *t) {
  size_t at;
  struct infect_toxic *own = infect_named(i, t->name, &at);
  assert(own);
  infect_replace(own);
  toxic_fini(&own->toxic);
  own->toxic = *t;
  infect_begin(own);
}

void infect_remove(struct infect *i, const char *name) {
  size_t at;
  struct infect_toxic *t = infect_named(i, name, &at);
  if (!t) return;
  for (i->count--; at < i->count; at++) i->toxics[at] = i->toxics[at + 1];
  infect_stop(t);
  toxic_fini(&t->toxic);
  free(t);
}

void infect_clear(struct infect *i) {
  while (i->count) infect_remove(i, i->toxics[0]->toxic.name);
}

size_t infect_count(const struct infect *i) {
  return i->count;
}

const struct toxic *infect_toxic(const struct infect *i, size_t index) {
  return &i->toxics[index]->toxic;
}

const struct toxic *infect_find(const struct infect *i, const char *name) {
  size_t at;
  const struct infect_toxic *t = infect_named(i, name, &at);
  return t ? &t->toxic : NULL;
}

uint64_t infect_fired(const struct infect *i) {
  return i->fired;
}

/* Life. */

struct infect *infect_new(struct net *n, uint64_t seed,
                          void (*fired)(void *arg, struct proxy_conn *c, const struct scope_firing *f), void *arg) {
  struct infect *i = mem_zero(sizeof *i);
  *i = (struct infect){ .net = n, .seed = seed, .on_fired = fired, .arg = arg };
  list_init(&i->links);
  return i;
}

void infect_attach(struct infect *i, struct proxy *p) {
  if (i->proxy) proxy_watch(i->proxy, NULL, NULL);
  for (size_t k = 0; k < i->count; k++) infect_replace(i->toxics[k]);
  for (struct list_node *n; (n = list_first(&i->links));) infect_drop_link(infect_link_of(n));
  i->proxy = p;
  if (!p) return;
  proxy_watch(p, &infect_handler, i);
  for (size_t k = 0; k < i->count; k++) infect_share(i->toxics[k]);
  for (struct proxy_conn *c = proxy_next(p, NULL); c; c = proxy_next(p, c)) {
    if (relay_is_open(proxy_conn_relay(c))) infect_meet(i, c);
  }
}

void infect_free(struct infect *i) {
  if (!i) return;
  infect_attach(i, NULL);
  infect_clear(i);
  free(i->toxics);
  free(i);
}
