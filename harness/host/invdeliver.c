#include "host/invdeliver.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/topic.h"

struct invdeliver_subscription {
  struct list_node of_session, wild;
  struct hash_node exact;
  struct invsession *session;
  uint8_t qos;
  bool is_wild;
  size_t size;
  char filter[];
};

struct invdeliver_retained {
  struct hash_node by_topic;
  struct list_node all;
  uint64_t content, entry;
  uint32_t bytes; /* of topic and payload */
  uint8_t qos;
  size_t size;
  char topic[];
};

struct invdeliver_known {
  struct hash_node by_content;
  struct list_node all;
  uint64_t entry;
  uint8_t qos, kind;
};

/* All that is expected of one content. */
struct invdeliver_group {
  struct hash_node by_content;
  struct list_node row;
};

struct invdeliver_expected {
  struct list_node row, all;
  struct invdeliver_group *group;
  uint64_t entry, order, sequence;
  uint64_t since; /* the entry at which it was to be sent, if the session was connected */
  uint32_t size;
  uint8_t qos, kind;
  bool required, away;
  bool over; /* the queue was full: it must not come */
};

struct invdeliver_order {
  struct hash_node by_key;
  struct list_node all;
  uint64_t sequence, entry;
};

/* What came, to be told apart when it is delivered. */
struct invdeliver_source {
  uint64_t content, entry, order;
  uint32_t size;
  uint8_t qos, kind;
};

void invdeliver_init(struct invbroker *b) {
  hash_init(&b->exact);
  hash_init(&b->retained);
  hash_init(&b->known);
  list_init(&b->wild);
  list_init(&b->retained_all);
  list_init(&b->known_all);
}

/* What is known. */

static struct invdeliver_known *invdeliver_find_known(const struct invbroker *b, uint64_t content) {
  struct hash_node *n = hash_first(&b->known, content);
  return n ? LIST_OWNER(n, struct invdeliver_known, by_content) : NULL;
}

static void invdeliver_drop_known(struct invbroker *b) {
  struct invdeliver_known *k = LIST_OWNER(list_first(&b->known_all), struct invdeliver_known, all);
  hash_remove(&b->known, &k->by_content);
  list_remove(&k->all);
  free(k);
}

void invdeliver_know(struct invariant *v, struct invbroker *b, const struct packet *p, uint64_t content,
                     enum invdeliver_kind kind) {
  struct invdeliver_known *k = invdeliver_find_known(b, content);
  if (!k) {
    k = mem_zero(sizeof *k);
    hash_add(&b->known, &k->by_content, content);
    list_append(&b->known_all, &k->all);
  }
  k->entry = v->number;
  k->qos = p->qos;
  k->kind = (uint8_t)kind;
  if (b->known.count > INVDELIVER_KNOWN_MAX) invdeliver_drop_known(b);
}

/* What is expected. */

static void invdeliver_drop(struct invsession *s, struct invdeliver_expected *x) {
  struct invdeliver_group *g = x->group;
  list_remove(&x->row);
  list_remove(&x->all);
  if (x->over) s->over--;
  else s->expected_count--;
  s->expected_bytes -= x->size;
  free(x);
  if (!list_empty(&g->row)) return;
  hash_remove(&s->groups, &g->by_content);
  free(g);
}

static struct invdeliver_group *invdeliver_group(struct invsession *s, uint64_t content, bool make) {
  struct hash_node *n = hash_first(&s->groups, content);
  if (n || !make) return n ? LIST_OWNER(n, struct invdeliver_group, by_content) : NULL;
  struct invdeliver_group *g = mem_zero(sizeof *g);
  list_init(&g->row);
  hash_add(&s->groups, &g->by_content, content);
  return g;
}

/* QoS 0 is not kept for who is away; above it the queue has a limit. How much waits in the broker is known only in so
 * far as it cannot be less than what came while the client was away, nor more than all that was not seen to go out. */
static void invdeliver_expect(const struct invariant *v, struct invsession *s, const struct invdeliver_source *from,
                              uint8_t qos) {
  const struct invbroker *b = s->broker;
  bool over = !s->end && s->away >= b->queued_max;
  if (!s->end && (qos == 0 || (over && s->over >= INVDELIVER_OVER_MAX))) return;
  struct invdeliver_expected *x = mem_zero(sizeof *x);
  x->group = invdeliver_group(s, from->content, true);
  x->entry = from->entry;
  x->order = from->order;
  x->since = v->number;
  x->size = from->size;
  s->expected_bytes += x->size;
  x->sequence = b->sequence;
  x->qos = qos;
  x->kind = from->kind;
  x->away = !s->end;
  x->over = over;
  x->required = qos > 0 && !over && s->expected_count < b->queued_max;
  list_append(&x->group->row, &x->row);
  list_append(&s->expected, &x->all);
  if (over) s->over++;
  else s->expected_count++;
  if (x->away) s->away++;
}

/* Subscriptions. */

static struct slice invdeliver_filter(const struct invdeliver_subscription *u) {
  return slice_of(u->filter, u->size);
}

static void invdeliver_unlink(struct invdeliver_subscription *u) {
  if (u->is_wild) list_remove(&u->wild);
  else hash_remove(&u->session->broker->exact, &u->exact);
  list_remove(&u->of_session);
}

static bool invdeliver_filter_is_wild(struct slice filter) {
  return memchr(filter.data, '+', filter.size) || memchr(filter.data, '#', filter.size);
}

static struct invdeliver_subscription *invdeliver_find(const struct invsession *s, struct slice filter) {
  bool wild = invdeliver_filter_is_wild(filter);
  struct hash_node *e = wild ? NULL : hash_first(&s->broker->exact, hash_bytes(0, filter));
  for (; e; e = hash_next(e)) {
    struct invdeliver_subscription *u = LIST_OWNER(e, struct invdeliver_subscription, exact);
    if (u->session == s && slice_equal(invdeliver_filter(u), filter)) return u;
  }
  for (struct list_node *n = wild ? list_first(&s->subscriptions) : NULL; n; n = list_next(&s->subscriptions, n)) {
    struct invdeliver_subscription *u = LIST_OWNER(n, struct invdeliver_subscription, of_session);
    if (slice_equal(invdeliver_filter(u), filter)) return u;
  }
  return NULL;
}

static void invdeliver_add(struct invsession *s, struct slice filter, uint8_t qos) {
  struct invbroker *b = s->broker;
  struct invdeliver_subscription *u = invdeliver_find(s, filter);
  if (!u) {
    u = mem_zero(sizeof *u + filter.size);
    u->session = s;
    u->size = filter.size;
    memcpy(u->filter, filter.data, filter.size);
    u->is_wild = invdeliver_filter_is_wild(filter);
    if (u->is_wild) list_append(&b->wild, &u->wild);
    else hash_add(&b->exact, &u->exact, hash_bytes(0, filter));
    list_append(&s->subscriptions, &u->of_session);
  }
  u->qos = qos;
}

static void invdeliver_expect_retained(const struct invariant *v, struct invsession *s,
                                       const struct invdeliver_retained *r, uint8_t qos) {
  struct invdeliver_source from = { r->content, r->entry, 0, r->bytes, r->qos, INVDELIVER_RETAINED };
  invdeliver_expect(v, s, &from, r->qos < qos ? r->qos : qos);
}

void invdeliver_subscribe(struct invariant *v, struct invsession *s, const struct packet *p) {
  struct slice items = p->items;
  struct packet_subscription entry;
  while (packet_next_subscription(&items, &entry)) invdeliver_add(s, entry.filter, entry.qos);
  items = p->items;
  while (packet_next_subscription(&items, &entry)) {
    struct list_node *all = &s->broker->retained_all;
    for (struct list_node *n = list_first(all); n; n = list_next(all, n)) {
      struct invdeliver_retained *r = LIST_OWNER(n, struct invdeliver_retained, all);
      if (topic_matches(entry.filter, slice_of(r->topic, r->size))) invdeliver_expect_retained(v, s, r, entry.qos);
    }
  }
}

void invdeliver_unsubscribe(struct invsession *s, const struct packet *p) {
  struct slice items = p->items, filter;
  while (packet_next_filter(&items, &filter)) {
    struct invdeliver_subscription *u = invdeliver_find(s, filter);
    if (!u) continue;
    invdeliver_unlink(u);
    free(u);
  }
}

/* What is retained. */

static struct invdeliver_retained *invdeliver_find_retained(const struct invbroker *b, struct slice topic) {
  for (struct hash_node *n = hash_first(&b->retained, hash_bytes(0, topic)); n; n = hash_next(n)) {
    struct invdeliver_retained *r = LIST_OWNER(n, struct invdeliver_retained, by_topic);
    if (slice_equal(slice_of(r->topic, r->size), topic)) return r;
  }
  return NULL;
}

static void invdeliver_drop_retained(struct invbroker *b, struct invdeliver_retained *r) {
  hash_remove(&b->retained, &r->by_topic);
  list_remove(&r->all);
  free(r);
}

static void invdeliver_retain(struct invariant *v, struct invbroker *b, const struct packet *p, uint64_t content) {
  struct invdeliver_retained *r = invdeliver_find_retained(b, p->topic);
  if (p->payload.size == 0) {
    if (r) invdeliver_drop_retained(b, r);
    return;
  }
  if (!r) {
    r = mem_zero(sizeof *r + p->topic.size);
    r->size = p->topic.size;
    memcpy(r->topic, p->topic.data, p->topic.size);
    hash_add(&b->retained, &r->by_topic, hash_bytes(0, p->topic));
    list_append(&b->retained_all, &r->all);
  }
  r->content = content;
  r->entry = v->number;
  r->qos = p->qos;
  r->bytes = (uint32_t)(p->topic.size + p->payload.size);
}

void invdeliver_forget(struct invbroker *b) {
  for (struct list_node *n; (n = list_first(&b->retained_all));)
    invdeliver_drop_retained(b, LIST_OWNER(n, struct invdeliver_retained, all));
}

void invdeliver_fini(struct invbroker *b) {
  invdeliver_forget(b);
  while (!list_empty(&b->known_all)) invdeliver_drop_known(b);
  free(b->matched);
}

/* Routes. */

static void invdeliver_match(struct invbroker *b, const struct invdeliver_subscription *u, size_t *count) {
  struct invsession *s = u->session;
  if (s->matched == b->sequence) {
    if (u->qos > s->matched_qos) s->matched_qos = u->qos;
    return;
  }
  s->matched = b->sequence;
  s->matched_qos = u->qos;
  if (*count == b->matched_capacity) {
    b->matched_capacity = b->matched_capacity ? 2 * b->matched_capacity : 16;
    b->matched = mem_resize(b->matched, b->matched_capacity * sizeof(struct invsession *));
  }
  b->matched[(*count)++] = s;
}

static size_t invdeliver_matches(struct invbroker *b, struct slice topic) {
  size_t count = 0;
  for (struct hash_node *n = hash_first(&b->exact, hash_bytes(0, topic)); n; n = hash_next(n)) {
    struct invdeliver_subscription *u = LIST_OWNER(n, struct invdeliver_subscription, exact);
    if (slice_equal(invdeliver_filter(u), topic)) invdeliver_match(b, u, &count);
  }
  for (struct list_node *n = list_first(&b->wild); n; n = list_next(&b->wild, n)) {
    struct invdeliver_subscription *u = LIST_OWNER(n, struct invdeliver_subscription, wild);
    if (topic_matches(invdeliver_filter(u), topic)) invdeliver_match(b, u, &count);
  }
  return count;
}

/* $SYS is the broker's own. */
static bool invdeliver_is_reserved(struct slice topic) {
  struct slice name = slice_text("$SYS");
  return slice_equal(slice_first(topic, name.size), name) && (topic.size == name.size || topic.data[name.size] == '/');
}

void invdeliver_publish(struct invariant *v, struct invbroker *b, const struct packet *p, uint64_t content,
                        enum invdeliver_kind kind, uint64_t publisher) {
  if (!b->judged || invdeliver_is_reserved(p->topic)) return;
  b->sequence++;
  invdeliver_know(v, b, p, content, kind);
  if (p->retain) invdeliver_retain(v, b, p, content);
  size_t count = invdeliver_matches(b, p->topic);
  uint64_t order = kind == INVDELIVER_FORWARD ? hash_bytes(publisher * 4 + p->qos, p->topic) : 0;
  uint32_t size = (uint32_t)(p->topic.size + p->payload.size);
  struct invdeliver_source from = { content, v->number, order, size, p->qos, (uint8_t)kind };
  for (size_t i = 0; i < count; i++) {
    struct invsession *s = b->matched[i];
    invdeliver_expect(v, s, &from, s->matched_qos < p->qos ? s->matched_qos : p->qos);
  }
}

/* Deliveries. */

static void invdeliver_drop_orders(struct invsession *s) {
  for (struct list_node *n; (n = list_first(&s->orders_all));) {
    struct invdeliver_order *o = LIST_OWNER(n, struct invdeliver_order, all);
    hash_remove(&s->orders, &o->by_key);
    list_remove(&o->all);
    free(o);
  }
}

/* 17. At each QoS that it is delivered with, messages have an order of their own. */
static void invdeliver_check_order(struct invariant *v, struct invsession *s, const struct invdeliver_expected *x) {
  uint64_t key = x->order * 4 + x->qos;
  struct hash_node *n = hash_first(&s->orders, key);
  struct invdeliver_order *o = n ? LIST_OWNER(n, struct invdeliver_order, by_key) : NULL;
  if (o && x->sequence < o->sequence) {
    invariant_breach(v, 17, s->end->who, x->entry, "a message was sent after one that came later on the same topic");
    return;
  }
  if (!o) {
    if (s->orders.count >= INVDELIVER_ORDERS_MAX) invdeliver_drop_orders(s);
    o = mem_zero(sizeof *o);
    hash_add(&s->orders, &o->by_key, key);
    list_append(&s->orders_all, &o->all);
  }
  o->sequence = x->sequence;
}

static bool invdeliver_is_among(const struct list_node *subscriptions, struct slice topic) {
  for (struct list_node *n = list_first(subscriptions); n; n = list_next(subscriptions, n))
    if (topic_matches(invdeliver_filter(LIST_OWNER(n, struct invdeliver_subscription, of_session)), topic)) return true;
  return false;
}

/* What is not expected: which promise does it break? A message at QoS 1 may come again.
 * `otherwise`: it is expected, at another QoS. */
static void invdeliver_unexpected(struct invariant *v, const struct invsession *s, const struct packet *p,
                                  uint64_t content, bool otherwise) {
  const struct invdeliver_known *k = invdeliver_find_known(s->broker, content);
  uint64_t cause = k ? k->entry : 0;
  uint32_t who = s->end->who;
  if (p->retain)
    invariant_breach(v, 19, who, cause, "PUBLISH with RETAIN, of a message that is %s",
                     k ? "not retained now, or not asked for" : "not known");
  else if (!k)
    invariant_breach(v, 13, who, 0, "PUBLISH q%u id %u is of no message that came to the broker", p->qos, p->packet_id);
  else if (k->kind == INVDELIVER_WILL)
    invariant_breach(v, 20, who, cause, "a will was published that was not due, or once more");
  else if (invdeliver_is_among(&s->former, p->topic))
    invariant_breach(v, 22, who, cause, "a message came by a subscription that a clean start has ended");
  else if (!invdeliver_is_among(&s->subscriptions, p->topic))
    invariant_breach(v, 13, who, cause, "a message was sent to who does not subscribe to it");
  else if (p->qos == 1 && k->qos > 0 && !otherwise) return;
  else if (p->qos == k->qos && !otherwise)
    invariant_breach(v, p->qos == 2 ? 16 : 14, who, cause, "a message at QoS %u was sent twice", p->qos);
  else invariant_breach(v, 13, who, cause, "a message was sent at QoS %u that it should not have here", p->qos);
}

static bool invdeliver_fits(const struct invdeliver_expected *x, const struct packet *p) {
  return x->qos == p->qos && p->retain == (x->kind == INVDELIVER_RETAINED);
}

/* The one that it can be: rather one that must come than one, of the same content, that must not. */
static struct invdeliver_expected *invdeliver_meant(const struct invdeliver_group *g, const struct packet *p) {
  struct invdeliver_expected *over = NULL;
  for (struct list_node *n = g ? list_first(&g->row) : NULL; n; n = list_next(&g->row, n)) {
    struct invdeliver_expected *x = LIST_OWNER(n, struct invdeliver_expected, row);
    if (!invdeliver_fits(x, p)) continue;
    if (!x->over) return x;
    if (!over) over = x;
  }
  return over;
}

void invdeliver_sent(struct invariant *v, struct invsession *s, const struct packet *p, uint64_t content) {
  struct invdeliver_group *g = invdeliver_group(s, content, false);
  bool judged = s->broker->judged && s->trusted && s->end->judged;
  struct invdeliver_expected *x = invdeliver_meant(g, p);
  if (!x) {
    if (judged) invdeliver_unexpected(v, s, p, content, g != NULL);
    return;
  }
  if (judged && x->over)
    invariant_breach(v, 28, s->end->who, x->entry,
                     "a message was sent that came when %u were waiting, which is the limit", s->broker->queued_max);
  else if (judged && x->kind == INVDELIVER_FORWARD) invdeliver_check_order(v, s, x);
  invdeliver_drop(s, x);
}

/* Sessions. */

void invdeliver_begin(struct invsession *s) {
  list_init(&s->subscriptions);
  list_init(&s->former);
  list_init(&s->expected);
  list_init(&s->orders_all);
  hash_init(&s->groups);
  hash_init(&s->orders);
}

static void invdeliver_drop_former(struct invsession *s) {
  for (struct list_node *n; (n = list_first(&s->former));) {
    list_remove(n);
    free(LIST_OWNER(n, struct invdeliver_subscription, of_session));
  }
}

void invdeliver_end(struct invsession *s) {
  for (struct list_node *n; (n = list_first(&s->expected));)
    invdeliver_drop(s, LIST_OWNER(n, struct invdeliver_expected, all));
  for (struct list_node *n; (n = list_first(&s->subscriptions));) {
    struct invdeliver_subscription *u = LIST_OWNER(n, struct invdeliver_subscription, of_session);
    invdeliver_unlink(u);
    free(u);
  }
  invdeliver_drop_former(s);
  invdeliver_drop_orders(s);
}

void invdeliver_leave(struct invsession *s) {
  for (struct list_node *n = s->expected.next, *next; n != &s->expected; n = next) {
    struct invdeliver_expected *x = LIST_OWNER(n, struct invdeliver_expected, all);
    next = n->next;
    if (x->qos == 0) invdeliver_drop(s, x);
  }
  s->away = 0;
}

void invdeliver_inherit(struct invsession *s, struct invsession *former) {
  for (struct list_node *n; (n = list_first(&former->subscriptions));) {
    struct invdeliver_subscription *u = LIST_OWNER(n, struct invdeliver_subscription, of_session);
    invdeliver_unlink(u);
    list_append(&s->former, &u->of_session);
  }
}

static void invdeliver_missing(struct invariant *v, const struct invsession *s, const struct invdeliver_expected *x) {
  static const uint8_t numbers[] = { [INVDELIVER_RETAINED] = 19, [INVDELIVER_WILL] = 20 };
  unsigned number = x->kind != INVDELIVER_FORWARD ? numbers[x->kind] : x->away ? 22 : x->qos == 2 ? 16 : 15;
  invariant_breach(v, number, s->end->who, x->entry, "%s at QoS %u was not sent to who subscribes to it",
                   x->kind == INVDELIVER_WILL ? "a will" : "a message", x->qos);
}

void invdeliver_expect_sent(struct invariant *v, struct invsession *s, uint64_t entry) {
  for (struct list_node *n = s->expected.next, *next; n != &s->expected; n = next) {
    struct invdeliver_expected *x = LIST_OWNER(n, struct invdeliver_expected, all);
    next = n->next;
    if (x->since >= entry) return;
    if (x->over) continue;
    if (x->required) invdeliver_missing(v, s, x);
    invdeliver_drop(s, x);
  }
}

void invdeliver_settle(struct invariant *v, struct invsession *s) {
  for (struct list_node *n = list_first(&s->expected); n; n = list_next(&s->expected, n)) {
    const struct invdeliver_expected *x = LIST_OWNER(n, struct invdeliver_expected, all);
    if (!x->required) continue;
    invdeliver_missing(v, s, x);
    return;
  }
}
