#include "host/invbroker.h"

#include <stdlib.h>

#include "base/mem.h"
#include "host/invclock.h"
#include "host/invdeliver.h"
#include "host/invflow.h"
#include "host/invheal.h"
#include "mqtt/broker.h"

#define INVBROKER_WINDOW_MIN 1000  /* a smaller one may have been full at any time */
#define INVBROKER_DEBTS_MAX  10000 /* a client that leaves more answers unread may be closed for it */

static struct invbroker *invbroker_find(const struct invariant *v, uint64_t number) {
  for (struct list_node *n = list_first(&v->brokers); n; n = list_next(&v->brokers, n)) {
    struct invbroker *b = LIST_OWNER(n, struct invbroker, all);
    if (b->number == number) return b;
  }
  return NULL;
}

static void invbroker_new(struct invariant *v, const struct event *e) {
  struct invbroker *b = mem_zero(sizeof *b);
  b->number = (uint32_t)e->value;
  b->queued_max = (uint32_t)(e->value >> 32);
  b->inflight_max = e->packet_id;
  b->judged = e->code == 0;
  hash_init(&b->by_id);
  list_init(&b->sessions);
  list_init(&b->conns);
  invdeliver_init(b);
  list_append(&v->brokers, &b->all);
}

/* Sessions. */

static struct invsession *invbroker_session(const struct invbroker *b, struct slice client_id) {
  for (struct hash_node *n = hash_first(&b->by_id, hash_bytes(0, client_id)); n; n = hash_next(n)) {
    struct invsession *s = LIST_OWNER(n, struct invsession, by_id);
    if (slice_equal(slice_of(s->client_id, s->client_id_size), client_id)) return s;
  }
  return NULL;
}

/* The broker makes up an identifier for who has none: nobody else has it. */
static struct invsession *invbroker_session_new(struct invbroker *b, struct slice client_id) {
  struct invsession *s = mem_zero(sizeof *s);
  s->broker = b;
  s->client_id = mem_copy(client_id);
  s->client_id_size = client_id.size;
  s->number = ++b->sessions_made;
  s->named = client_id.size > 0;
  s->trusted = true;
  s->flow = invflow_new();
  invdeliver_begin(s);
  if (s->named) hash_add(&b->by_id, &s->by_id, hash_bytes(0, client_id));
  list_append(&b->sessions, &s->all);
  return s;
}

static void invbroker_session_free(struct invsession *s) {
  if (s->end) s->end->flow = NULL;
  if (s->end) s->end->conn->session = NULL;
  invdeliver_end(s);
  invflow_free(s->flow);
  if (s->named) hash_remove(&s->broker->by_id, &s->by_id);
  list_remove(&s->all);
  free(s->client_id);
  free(s);
}

static void invbroker_forget(struct invbroker *b) {
  for (struct list_node *n; (n = list_first(&b->sessions));)
    invbroker_session_free(LIST_OWNER(n, struct invsession, all));
  invdeliver_forget(b);
}

/* Wills. */

static void invbroker_drop_will(struct invconn *c) {
  free((void *)c->will.topic.data);
  free((void *)c->will.payload.data);
  c->will = (struct packet){ 0 };
  c->has_will = false;
}

static void invbroker_keep_will(struct invariant *v, struct invconn *c, const struct packet *connect) {
  const struct packet_will *w = &connect->will;
  if (!connect->has_will) return;
  c->has_will = true;
  c->will = (struct packet){ .type = SPEC_PUBLISH, .qos = w->qos, .retain = w->retain };
  c->will.topic = slice_of(mem_copy(w->topic), w->topic.size);
  c->will.payload = slice_of(mem_copy(w->payload), w->payload.size);
  invdeliver_know(v, c->broker, &c->will, event_content(w->topic, w->payload), INVDELIVER_WILL);
}

/* The broker is done with it: its session lets it go, and then its will is due, but for a clean end. */
static void invbroker_gone(struct invariant *v, struct invconn *c, bool clean) {
  struct invsession *s = c->session;
  if (c->gone) return;
  c->gone = true;
  c->end->deaf = true;
  c->end->flow = NULL;
  c->session = NULL;
  invclock_leave(v, c->end);
  if (s) s->end = NULL;
  if (s && s->clean) invbroker_session_free(s);
  else if (s) invdeliver_leave(s);
  if (c->has_will && !clean)
    invdeliver_publish(v, c->broker, &c->will, event_content(c->will.topic, c->will.payload), INVDELIVER_WILL, 0);
  invbroker_drop_will(c);
}

/* 23: whose client identifier another connection has now. */
static void invbroker_takeover_late(struct invariant *v, struct invclock *k) {
  const struct invconn *c = k->owner;
  if (!c->end->open || c->closing || !c->broker->judged) return;
  invariant_breach(v, 23, c->end->who, k->cause,
                   "it stayed open when another connection came with its client identifier");
}

static void invbroker_take_over(struct invariant *v, struct invsession *s) {
  struct invconn *old = s->end->conn;
  s->flow->cut = true; /* a PUBLISH that the old connection had begun may still be completed there */
  invbroker_gone(v, old, false);
  old->takeover = (struct invclock){ .late = invbroker_takeover_late, .owner = old, .cause = v->number };
  invariant_set(v, &old->takeover, v->now_ns);
}

static bool invbroker_refuses(const struct packet *connect) {
  return connect->protocol_version != SPEC_3_1_1 || (connect->client_id.size == 0 && !connect->clean);
}

static void invbroker_connect(struct invariant *v, struct invconn *c, const struct packet *p) {
  struct invbroker *b = c->broker;
  struct invsession *s = p->client_id.size ? invbroker_session(b, p->client_id) : NULL, *former = NULL;
  c->connected = true;
  c->connect = v->number;
  if (s && s->end) invbroker_take_over(v, s);
  s = p->client_id.size ? invbroker_session(b, p->client_id) : NULL; /* a clean one is gone */
  c->present = s && !p->clean;
  if (s && p->clean) {
    former = s;
    hash_remove(&b->by_id, &s->by_id);
    s->named = false;
    s = NULL;
  }
  if (!s) s = invbroker_session_new(b, p->client_id);
  if (former) {
    invdeliver_inherit(s, former);
    invbroker_session_free(former);
  }
  s->clean = p->clean;
  s->end = c->end;
  s->away = 0;
  c->session = s;
  c->end->flow = s->flow;
  c->keepalive_s = p->keepalive_s;
  invflow_begin(s->flow);
  if (c->present) invflow_resume(s->flow);
  invbroker_keep_will(v, c, p);
  if (!b->paused) invclock_watch(v, c->end);
}

/* Packets that come. */

void invbroker_received(struct invariant *v, struct invend *end, const struct packet *p) {
  struct invconn *c = end->conn;
  bool connect = p->type == SPEC_CONNECT;
  if (c->gone || connect == c->connected || (connect && invbroker_refuses(p))) {
    end->deaf = true;
    return;
  }
  switch (p->type) {
  case SPEC_CONNECT: invbroker_connect(v, c, p); break;
  case SPEC_PUBLISH:
    if (c->session && (p->qos < 2 || !invflow_has_received(end->flow, p->packet_id)))
      invdeliver_publish(v, c->broker, p, event_content(p->topic, p->payload), INVDELIVER_FORWARD, c->session->number);
    break;
  case SPEC_SUBSCRIBE:
    if (c->session) invdeliver_subscribe(v, c->session, p);
    break;
  case SPEC_UNSUBSCRIBE:
    if (c->session) invdeliver_unsubscribe(c->session, p);
    break;
  case SPEC_DISCONNECT: invbroker_gone(v, c, true); break;
  default: break;
  }
}

/* Packets that go. */

static void invbroker_connack(struct invariant *v, const struct invconn *c, const struct packet *p) {
  if (!c->end->judged || !c->broker->judged || c->gone || !c->connected) return;
  if (p->reason_code) c->broker->judged = false; /* for a reason that nobody here knows */
  else if (p->session_present != c->present)
    invariant_breach(v, 21, c->end->who, c->connect, "CONNACK says session present %d, and there was %s session",
                     p->session_present, c->present ? "a" : "no such");
}

void invbroker_sent(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content, bool begins) {
  struct invconn *c = end->conn;
  if (p->type == SPEC_CONNACK) invbroker_connack(v, c, p);
  if (!begins || !c->session) return;
  invdeliver_sent(v, c->session, p, content);
  if (end->judged && end->flow->trusted && end->flow->count > c->broker->inflight_max)
    invariant_breach(v, 28, end->who, 0, "%u messages are in flight, and %u is the limit", end->flow->count,
                     c->broker->inflight_max);
}

/* A broker puts out what comes for a client at once, unless the window is full or its output: then what it answers
 * meanwhile tells nothing. The window may have been full and have emptied since. */
void invbroker_answered(struct invariant *v, struct invend *end, uint64_t entry) {
  struct invsession *s = end->conn->session;
  if (!s || !end->conn->broker->judged || !s->trusted) return;
  if (s->expected_bytes >= BROKER_OUTPUT_MAX / 2 || end->conn->broker->inflight_max < INVBROKER_WINDOW_MIN) return;
  if (s->flow->count < end->conn->broker->inflight_max / 2) invdeliver_expect_sent(v, s, entry);
}

/* Ends and events. */

/* 36: has the client given a reason? What was begun and did not come whole may be one, and answers that are not read.
 */
static void invbroker_check_closing(struct invariant *v, const struct invconn *c, bool midway) {
  bool known = c->connected && c->session && c->session->trusted && c->broker->judged && c->end->judged;
  if (!known || c->end->deaf || midway || c->session->flow->debts > INVBROKER_DEBTS_MAX) return;
  invariant_breach(v, 36, c->end->who, c->connect, "closed by the broker, and the client had given no reason for that");
}

static void invbroker_closing(struct invariant *v, struct invconn *c) {
  c->closing = true;
  invariant_stop(v, &c->takeover);
  invbroker_gone(v, c, false);
}

void invbroker_ended(struct invariant *v, struct invend *end) {
  invbroker_closing(v, end->conn);
}

void invbroker_distrust(struct invend *end) {
  if (end->conn->session) end->conn->session->trusted = false;
}

static void invbroker_accepted(struct invariant *v, uint32_t who, struct invbroker *b) {
  struct invend *end = invariant_end(v, who);
  if (end->role || !b) return;
  struct invconn *c = mem_zero(sizeof *c);
  end->role = SPEC_BROKER;
  end->conn = c;
  c->broker = b;
  c->end = end;
  list_append(&b->conns, &c->all);
}

static void invbroker_pause(struct invariant *v, struct invbroker *b, bool paused) {
  b->paused = paused;
  for (struct list_node *n = list_first(&b->conns); n; n = list_next(&b->conns, n)) {
    struct invconn *c = LIST_OWNER(n, struct invconn, all);
    if (c->gone || !c->connected) continue;
    if (paused) invclock_leave(v, c->end);
    else invclock_watch(v, c->end);
  }
}

/* The peer of the event; those of a connection have another way to it. */
static struct invbroker *invbroker_of(const struct invariant *v, uint32_t who, const struct event *e) {
  struct invend *end = who && who < v->ends_capacity ? v->ends[who] : NULL;
  return end && end->conn ? end->conn->broker : invbroker_find(v, e->value);
}

void invbroker_event(struct invariant *v, uint32_t who, const struct event *e) {
  struct invbroker *b = invbroker_of(v, who, e);
  struct invend *end = who && who < v->ends_capacity ? v->ends[who] : NULL;
  struct invconn *c = end ? end->conn : NULL;
  switch (e->what) {
  case EVENT_PEER: invbroker_new(v, e); break;
  case EVENT_ACCEPTED: invbroker_accepted(v, who, b); break;
  case EVENT_SCRIPTED:
    if (b) b->judged = false;
    if (c) invclock_leave(v, end);
    break;
  case EVENT_CLOSING:
    if (!c) break;
    if (!c->gone && e->code) invclock_silent(v, end);
    else if (!c->gone) invbroker_check_closing(v, c, e->packet_id);
    invbroker_closing(v, c);
    break;
  case EVENT_FORGET:
    if (b) invbroker_forget(b);
    break;
  case EVENT_PAUSED:
  case EVENT_RESUMED:
    if (b) invbroker_pause(v, b, e->what == EVENT_PAUSED);
    break;
  default: break;
  }
}

static void invbroker_conn_free(struct invariant *v, struct invconn *c) {
  invariant_stop(v, &c->silence);
  invariant_stop(v, &c->takeover);
  invbroker_drop_will(c);
  list_remove(&c->all);
  c->end->conn = NULL;
  c->end->role = 0;
  free(c);
}

void invbroker_free(struct invariant *v, struct invbroker *b) {
  invbroker_forget(b);
  for (struct list_node *n; (n = list_first(&b->conns));) invbroker_conn_free(v, LIST_OWNER(n, struct invconn, all));
  invdeliver_fini(b);
  list_remove(&b->all);
  free(b);
}

void invbroker_settle(struct invariant *v, struct invbroker *b) {
  for (struct list_node *n = list_first(&b->sessions); n; n = list_next(&b->sessions, n)) {
    struct invsession *s = LIST_OWNER(n, struct invsession, all);
    if (!s->end || !s->end->open || !s->end->judged || s->end->deaf || invheal_is_half_open(v, s->end)) continue;
    if (s->flow->trusted) invflow_settle(v, s->end);
    if (b->judged && s->trusted && s->flow->count < b->inflight_max) invdeliver_settle(v, s);
  }
}
