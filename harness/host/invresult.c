#include "host/invresult.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/outcome.h"

/* A message of which the scenario was told that it was certainly not sent. */
struct invresult_unsent {
  struct hash_node by_content;
  struct list_node row;
  uint64_t entry;
};

static void invresult_forget_unsent(struct invclient *c) {
  struct invresult_unsent *u = LIST_OWNER(list_first(&c->unsent_row), struct invresult_unsent, row);
  hash_remove(&c->unsent, &u->by_content);
  list_remove(&u->row);
  free(u);
}

static void invresult_remember_unsent(struct invclient *c, const struct invclient_operation *o) {
  if (hash_first(&c->unsent, o->content)) return;
  struct invresult_unsent *u = mem_zero(sizeof *u);
  u->entry = o->entry;
  hash_add(&c->unsent, &u->by_content, o->content);
  list_append(&c->unsent_row, &u->row);
  if (c->unsent.count > INVRESULT_UNSENT_MAX) invresult_forget_unsent(c);
}

void invresult_fini(struct invclient *c) {
  struct invclient_operation *o;
  while ((o = invclient_first(c))) invresult_end(c, o);
  while (!list_empty(&c->unsent_row)) invresult_forget_unsent(c);
}

void invresult_end(struct invclient *c, struct invclient_operation *o) {
  hash_remove(&c->by_number, &o->by_number);
  list_remove(&o->pending);
  if (o->packet_id) {
    hash_remove(&c->by_id, &o->by_id);
    c->identifiers--;
  }
  if (o->request) c->requests--;
  else if (!o->refused) c->messages--;
  if (!o->request && !o->refused && !o->begun) c->buffered--;
  if (o->begun && o->qos) c->inflight--;
  list_remove(&o->unwritten);
  free(o);
}

static struct invclient_operation *invresult_find(const struct invclient *c, uint64_t number) {
  struct hash_node *n = hash_first(&c->by_number, number);
  return n ? LIST_OWNER(n, struct invclient_operation, by_number) : NULL;
}

static struct invclient_operation *invresult_of(const struct invclient *c, uint16_t packet_id) {
  struct hash_node *n = hash_first(&c->by_id, packet_id);
  return n ? LIST_OWNER(n, struct invclient_operation, by_id) : NULL;
}

/* 26 and 28: was there room for what was taken? The packet in progress may be one of those that count as buffered. */
static void invresult_check_room(struct invariant *v, const struct invclient *c, const struct event *e) {
  uint32_t unsure = e->code & EVENT_MIDWAY ? 1 : 0;
  if ((e->code & EVENT_QOS) && c->identifiers >= SPEC_PACKET_ID_MAX)
    invariant_breach(v, 26, c->end->who, 0, "a message was taken with %u identifiers in use", c->identifiers);
  if (c->buffered >= c->buffered_max + unsure)
    invariant_breach(v, 28, c->end->who, 0, "a message was taken with %u buffered, and %u is the limit", c->buffered,
                     c->buffered_max);
}

void invresult_begin(struct invariant *v, struct invclient *c, const struct event *e) {
  bool request = e->what == EVENT_REQUEST, refused = !request && e->code & EVENT_REFUSED;
  struct invclient_operation *o = mem_zero(sizeof *o);
  if (c->state != INVCLIENT_CONNECTED)
    invariant_breach(v, 27, c->end->who, 0, "it took %s while it was not connected",
                     request ? "a request" : "a message");
  if (!request && !refused) invresult_check_room(v, c, e);
  o->number = ++c->numbers;
  o->entry = v->number;
  o->content = e->value;
  o->packet_id = e->packet_id;
  o->qos = request ? 0 : e->code & EVENT_QOS;
  o->request = request;
  o->refused = refused;
  o->full = c->identifiers >= SPEC_PACKET_ID_MAX;
  o->crowded = c->buffered >= c->buffered_max;
  hash_add(&c->by_number, &o->by_number, o->number);
  list_append(&c->pending, &o->pending);
  if (o->packet_id) {
    if (invresult_of(c, o->packet_id))
      invariant_breach(v, 4, c->end->who, 0, "identifier %u was given to two operations", o->packet_id);
    hash_add(&c->by_id, &o->by_id, o->packet_id);
    c->identifiers++;
  }
  if (request) {
    c->requests++;
  } else if (!refused) {
    list_append(&c->unwritten, &o->unwritten);
    c->messages++;
    c->buffered++;
  }
}

/* A message that the scenario was told, or will be told, was certainly not sent. */
static void invresult_nobody_sent(struct invariant *v, const struct invclient *c, const struct packet *p,
                                  uint64_t content) {
  for (struct list_node *n = list_first(&c->pending); n; n = list_next(&c->pending, n)) {
    const struct invclient_operation *o = LIST_OWNER(n, struct invclient_operation, pending);
    if (o->content != content || !o->refused) continue;
    invariant_breach(v, 18, c->end->who, o->entry, "a message that was refused went out");
    return;
  }
  struct hash_node *n = hash_first(&c->unsent, content);
  if (n) {
    invariant_breach(v, 18, c->end->who, LIST_OWNER(n, struct invresult_unsent, by_content)->entry,
                     "a message went out of which the scenario had been told that it was not sent");
    return;
  }
  invariant_breach(v, 13, c->end->who, 0, "PUBLISH q%u id %u went out, which nobody has sent, or not so", p->qos,
                   p->packet_id);
}

static bool invresult_fits(const struct invclient_operation *o, const struct packet *p, uint64_t content) {
  return o->content == content && o->qos == p->qos && o->packet_id == p->packet_id;
}

/* The first that waits, or, which is a breach or a scenario's own bytes, another one. */
static struct invclient_operation *invresult_waiting(const struct invclient *c, const struct packet *p,
                                                     uint64_t content) {
  for (struct list_node *n = list_first(&c->unwritten); n; n = list_next(&c->unwritten, n)) {
    struct invclient_operation *o = LIST_OWNER(n, struct invclient_operation, unwritten);
    if (invresult_fits(o, p, content)) return o;
  }
  return NULL;
}

static void invresult_begun(struct invclient *c, struct invclient_operation *o) {
  if (o->begun) return;
  o->begun = true;
  c->buffered--;
  if (o->qos) c->inflight++;
}

void invresult_written(struct invariant *v, struct invclient *c, const struct packet *p, uint64_t content) {
  struct invclient_operation *o = p->packet_id ? invresult_of(c, p->packet_id) : NULL;
  if (o && o->written) return; /* whether it may go again is for others to say */
  o = invresult_waiting(c, p, content);
  if (!o) {
    if (c->end->judged) invresult_nobody_sent(v, c, p, content);
    return;
  }
  if (o->unwritten.previous != &c->unwritten && c->end->judged)
    invariant_breach(v, 17, c->end->who, o->entry, "a message went out before one that was sent earlier");
  list_remove(&o->unwritten);
  o->written = true;
  invresult_begun(c, o);
  if (c->inflight > c->inflight_max)
    invariant_breach(v, 28, c->end->who, 0, "%u messages are in flight, and %u is the limit", c->inflight,
                     c->inflight_max);
}

void invresult_cut(struct invclient *c, uint16_t packet_id) {
  struct list_node *n = list_first(&c->unwritten);
  struct invclient_operation *o = n ? LIST_OWNER(n, struct invclient_operation, unwritten) : NULL;
  if (packet_id) o = invresult_of(c, packet_id);
  if (o && o->qos) invresult_begun(c, o);
}

void invresult_acknowledged(struct invclient *c, const struct packet *p) {
  struct invclient_operation *o = invresult_of(c, p->packet_id);
  if (o && o->written && o->qos == (p->type == SPEC_PUBACK ? 1 : 2)) o->acknowledged = true;
}

/* 18, 25, 26, 28: is the code what is known of the message? */
static void invresult_check_code(struct invariant *v, const struct invclient *c, const struct invclient_operation *o,
                                 int code) {
  uint32_t who = c->end->who;
  bool known = c->end->judged && !c->end->deaf;
  switch (code) {
  case SESSION_SUCCESS:
    if (known && (o->refused || !(o->qos ? o->acknowledged : o->written)))
      invariant_breach(v, 25, who, o->entry, "told 0 for a message (q%u id %u) that %s", o->qos, o->packet_id,
                       o->qos ? "was not acknowledged" : "was not handed over");
    break;
  case SESSION_DISCONNECTED:
    if (o->written || (o->begun && o->qos))
      invariant_breach(v, 18, who, o->entry, "told -3 for a message (q%u id %u) that was sent", o->qos, o->packet_id);
    break;
  case SESSION_NO_MORE_IDS:
    if (!o->full || !o->qos)
      invariant_breach(v, 26, who, o->entry, "told -10, and not all identifiers were in use when it was sent");
    break;
  case SESSION_MAX_BUFFERED:
    if (!o->crowded)
      invariant_breach(v, 28, who, o->entry, "told -12, and less than %u messages were buffered when it was sent",
                       c->buffered_max);
    break;
  case SESSION_SOCKET_ERROR:
  case SESSION_INCOMPLETE:
    if (o->refused) invariant_breach(v, 24, who, o->entry, "told %d for a message that was refused", code);
    break;
  default: invariant_breach(v, 24, who, o->entry, "told %d, which is no code of a message", code);
  }
}

/* 24: what ends without success does so in the order in which it was sent. */
static void invresult_check_order(struct invariant *v, const struct invclient *c, const struct invclient_operation *o) {
  for (struct list_node *n = list_first(&c->pending); n; n = list_next(&c->pending, n)) {
    const struct invclient_operation *first = LIST_OWNER(n, struct invclient_operation, pending);
    if (first->request || first->refused) continue;
    if (first != o)
      invariant_breach(v, 24, c->end->who, first->entry, "told the end of a message before that of one sent earlier");
    return;
  }
}

void invresult_told(struct invariant *v, struct invclient *c, const struct event *e) {
  struct invclient_operation *o = invresult_find(c, e->value);
  if (!o) {
    invariant_breach(v, 24, c->end->who, 0, "told a result (%d) of operation %llu, which has none due", e->code,
                     (unsigned long long)e->value);
    return;
  }
  if (c->sheltered && e->code) invariant_breach(v, 36, c->end->who, o->entry, "an operation ended with %d", e->code);
  if (!o->request) invresult_check_code(v, c, o, e->code);
  if (!o->request && !o->refused && e->code) invresult_check_order(v, c, o);
  bool unsent = e->code == SESSION_DISCONNECTED || e->code == SESSION_NO_MORE_IDS || e->code == SESSION_MAX_BUFFERED;
  if (unsent && !o->request) invresult_remember_unsent(c, o);
  invresult_end(c, o);
}

void invresult_over(struct invariant *v, struct invclient *c) {
  if (!c->clean && !c->requests) return;
  for (struct list_node *n = c->pending.next, *next; n != &c->pending; n = next) {
    struct invclient_operation *o = LIST_OWNER(n, struct invclient_operation, pending);
    next = n->next;
    if (!o->request && !c->clean) continue;
    invariant_breach(v, 24, c->end->who, o->entry, "%s had no result when its connection was told to be over",
                     o->request ? "a request" : "a message");
    invresult_end(c, o);
  }
}
