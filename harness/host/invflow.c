#include "host/invflow.h"

#include <stdlib.h>

#include "base/mem.h"

struct invflow_flight {
  struct hash_node by_id;
  struct list_node row;
  uint64_t content, entry, connection;
  uint16_t packet_id;
  uint8_t type, qos;
  bool released; /* PUBREC came */
  bool spare;    /* its PUBREL was an answer and the repetition at once: one more may come */
};

struct invflow_owed {
  struct list_node row;
  uint64_t turn, entry;
  int64_t at_ns;
  uint16_t packet_id;
};

struct invflow_seen {
  struct hash_node by_id;
};

static const uint8_t invflow_types[INVFLOW_DEBTS] = {
  [INVFLOW_PUBACK] = SPEC_PUBACK,     [INVFLOW_PUBREC] = SPEC_PUBREC, [INVFLOW_PUBREL] = SPEC_PUBREL,
  [INVFLOW_PUBCOMP] = SPEC_PUBCOMP,   [INVFLOW_SUBACK] = SPEC_SUBACK, [INVFLOW_UNSUBACK] = SPEC_UNSUBACK,
  [INVFLOW_PINGRESP] = SPEC_PINGRESP,
};

static const char *invflow_name(unsigned type) {
  return spec_packet(type)->name;
}

struct invflow *invflow_new(void) {
  struct invflow *f = mem_zero(sizeof *f);
  hash_init(&f->by_id);
  hash_init(&f->received);
  list_init(&f->row);
  f->next = &f->row;
  f->trusted = true;
  for (int i = 0; i < INVFLOW_DEBTS; i++) list_init(&f->owed[i]);
  return f;
}

static struct invflow_flight *invflow_of(struct list_node *n) {
  return LIST_OWNER(n, struct invflow_flight, row);
}

static struct invflow_flight *invflow_find(const struct invflow *f, uint16_t packet_id) {
  struct hash_node *n = hash_first(&f->by_id, packet_id);
  return n ? LIST_OWNER(n, struct invflow_flight, by_id) : NULL;
}

static void invflow_end(struct invflow *f, struct invflow_flight *g) {
  if (f->next == &g->row) f->next = g->row.next;
  if (g->type == SPEC_PUBLISH) f->count--;
  hash_remove(&f->by_id, &g->by_id);
  list_remove(&g->row);
  free(g);
}

/* Returns the entry for which it was owed. */
static uint64_t invflow_pay(struct invflow *f, struct invflow_owed *o) {
  uint64_t entry = o->entry;
  list_remove(&o->row);
  f->debts--;
  free(o);
  return entry;
}

static void invflow_owe_nothing(struct invflow *f) {
  for (int i = 0; i < INVFLOW_DEBTS; i++)
    for (struct list_node *n; (n = list_first(&f->owed[i]));) invflow_pay(f, LIST_OWNER(n, struct invflow_owed, row));
}

void invflow_begin(struct invflow *f) {
  invflow_owe_nothing(f);
  f->next = &f->row;
  for (struct list_node *n = f->row.next, *next; n != &f->row; n = next) {
    next = n->next;
    if (invflow_of(n)->type != SPEC_PUBLISH) invflow_end(f, invflow_of(n));
  }
}

void invflow_resume(struct invflow *f) {
  f->next = f->row.next;
}

void invflow_unreceive(struct invflow *f, uint16_t packet_id) {
  struct hash_node *n = hash_first(&f->received, packet_id);
  if (!n) return;
  hash_remove(&f->received, n);
  free(LIST_OWNER(n, struct invflow_seen, by_id));
}

/* There is no way to walk a table: what came stands in it under 65,535 values at most. */
static void invflow_forget_received(struct invflow *f) {
  for (unsigned id = 1; f->received.count && id <= SPEC_PACKET_ID_MAX; id++) invflow_unreceive(f, (uint16_t)id);
}

void invflow_forget(struct invflow *f) {
  invflow_owe_nothing(f);
  for (struct list_node *n; (n = list_first(&f->row));) invflow_end(f, invflow_of(n));
  invflow_forget_received(f);
  f->cut = false;
  f->trusted = true;
}

void invflow_free(struct invflow *f) {
  if (!f) return;
  invflow_forget(f);
  free(f);
}

/* What is sent. */

static void invflow_add(struct invariant *v, const struct invend *end, const struct packet *p, uint64_t content) {
  struct invflow *f = end->flow;
  struct invflow_flight *g = mem_zero(sizeof *g);
  g->content = content;
  g->entry = v->number;
  g->connection = end->connection;
  g->packet_id = p->packet_id;
  g->type = p->type;
  g->qos = p->qos;
  hash_add(&f->by_id, &g->by_id, p->packet_id);
  list_append(&f->row, &g->row);
  if (p->type == SPEC_PUBLISH) f->count++;
  if (p->type == SPEC_PUBLISH && end->limits.receive_max && f->count > end->limits.receive_max)
    invariant_breach(v, 11, end->who, 0, "%u messages are in flight, and the other end takes %u", f->count,
                     end->limits.receive_max);
}

/* Something new goes out, or this end has nothing more to send: all that was in flight must have gone before. */
static void invflow_expect_resent(struct invariant *v, const struct invend *end, const char *what) {
  struct invflow *f = end->flow;
  if (f->next == &f->row) return;
  const struct invflow_flight *g = invflow_of(f->next);
  invariant_breach(v, 8, end->who, g->entry, "%s went out before %s id %u, in flight since before, was sent again",
                   what, invflow_name(g->released ? SPEC_PUBREL : SPEC_PUBLISH), g->packet_id);
  f->next = &f->row;
}

/* A flight goes out again, on a resumed session. */
static void invflow_again(struct invariant *v, const struct invend *end, struct invflow_flight *g) {
  struct invflow *f = end->flow;
  g->connection = end->connection;
  if (f->next == &g->row) {
    f->next = g->row.next;
    return;
  }
  const struct invflow_flight *due = f->next == &f->row ? NULL : invflow_of(f->next);
  if (due)
    invariant_breach(v, 8, end->who, due->entry, "id %u was sent again before id %u, which went out first",
                     g->packet_id, due->packet_id);
  else
    invariant_breach(v, 8, end->who, g->entry, "id %u was sent again behind what is new, or on a session that is new",
                     g->packet_id);
  f->next = g->row.next;
}

static void invflow_publish_new(struct invariant *v, const struct invend *end, const struct packet *p,
                                uint64_t content) {
  struct invflow *f = end->flow;
  if (p->qos > 0 && p->packet_id == 0) {
    invariant_breach(v, 4, end->who, 0, "PUBLISH at QoS %u with identifier 0", p->qos);
    return;
  }
  if (p->dup && !f->cut) {
    invariant_breach(v, 6, end->who, 0, "PUBLISH q%u id %u has DUP at its first sending", p->qos, p->packet_id);
    return;
  }
  invflow_expect_resent(v, end, "a new PUBLISH");
  if (p->dup) f->cut = false;
  if (p->qos) invflow_add(v, end, p, content);
}

bool invflow_repeats(const struct invflow *f, const struct packet *p, uint64_t content) {
  const struct invflow_flight *g = p->qos ? invflow_find(f, p->packet_id) : NULL;
  return g && g->type == SPEC_PUBLISH && g->content == content;
}

static void invflow_publish(struct invariant *v, const struct invend *end, const struct packet *p, uint64_t content) {
  struct invflow_flight *g = p->qos ? invflow_find(end->flow, p->packet_id) : NULL;
  if (!g) {
    invflow_publish_new(v, end, p, content);
  } else if (g->type != SPEC_PUBLISH || g->content != content) {
    invariant_breach(v, 4, end->who, g->entry, "PUBLISH id %u: the identifier is in use by another %s", p->packet_id,
                     invflow_name(g->type));
  } else if (g->released) {
    invariant_breach(v, 9, end->who, g->entry, "PUBLISH id %u was sent after PUBREC had come for it", p->packet_id);
  } else if (g->connection == end->connection) {
    invariant_breach(v, 7, end->who, g->entry, "PUBLISH id %u was sent twice on one connection", p->packet_id);
  } else {
    if (!p->dup) invariant_breach(v, 6, end->who, g->entry, "PUBLISH id %u was sent again without DUP", p->packet_id);
    invflow_again(v, end, g);
  }
}

static void invflow_request(struct invariant *v, const struct invend *end, const struct packet *p) {
  const struct invflow_flight *g = invflow_find(end->flow, p->packet_id);
  if (!g && p->packet_id) {
    invflow_add(v, end, p, 0);
    return;
  }
  invariant_breach(v, 4, end->who, g ? g->entry : 0, "%s has identifier %u, which is %s", invflow_name(p->type),
                   p->packet_id, g ? "in flight" : "none");
}

static struct invflow_owed *invflow_owes(const struct invflow *f, enum invflow_debt debt, uint16_t packet_id) {
  for (struct list_node *n = list_first(&f->owed[debt]); n; n = list_next(&f->owed[debt], n)) {
    struct invflow_owed *o = LIST_OWNER(n, struct invflow_owed, row);
    if (o->packet_id == packet_id) return o;
  }
  return NULL;
}

/* An acknowledgement: in order it is for the first that is owed, which costs no search. */
static struct invflow_owed *invflow_answer(struct invariant *v, const struct invend *end, enum invflow_debt debt,
                                           uint16_t packet_id) {
  struct invflow_owed *o = invflow_owes(end->flow, debt, packet_id);
  const char *name = invflow_name(invflow_types[debt]);
  if (!o) {
    invariant_breach(v, 5, end->who, 0, "%s id %u answers nothing that came on this connection", name, packet_id);
  } else if (o->row.previous != &end->flow->owed[debt]) {
    const struct invflow_owed *first = LIST_OWNER(list_first(&end->flow->owed[debt]), struct invflow_owed, row);
    invariant_breach(v, 10, end->who, first->entry, "%s id %u was sent before that for id %u, which came first", name,
                     packet_id, first->packet_id);
  }
  return o;
}

static void invflow_release(struct invariant *v, const struct invend *end, const struct packet *p) {
  struct invflow *f = end->flow;
  struct invflow_flight *g = invflow_find(f, p->packet_id);
  struct invflow_owed *o = invflow_owes(f, INVFLOW_PUBREL, p->packet_id);
  bool again = g && g->released && g->connection != end->connection;
  if (again) invflow_again(v, end, g);
  if (again && o) g->spare = true;
  if (o) {
    invflow_answer(v, end, INVFLOW_PUBREL, p->packet_id);
    invflow_pay(f, o);
  } else if (!again) {
    if (g && g->spare) g->spare = false;
    else invflow_answer(v, end, INVFLOW_PUBREL, p->packet_id);
  }
}

static void invflow_expect_paid(struct invariant *v, const struct invend *end, enum invflow_debt debt, uint64_t turn,
                                int64_t before_ns) {
  struct list_node *n = list_first(&end->flow->owed[debt]);
  if (!n) return;
  struct invflow_owed *o = LIST_OWNER(n, struct invflow_owed, row);
  if (o->turn >= turn || o->at_ns >= before_ns) return;
  invariant_breach(v, 5, end->who, o->entry, "%s id %u was never sent", invflow_name(invflow_types[debt]),
                   o->packet_id);
  invflow_pay(end->flow, o);
}

static void invflow_expect_all_paid(struct invariant *v, const struct invend *end, uint64_t turn, int64_t before_ns) {
  for (int debt = 0; debt < INVFLOW_PINGRESP; debt++)
    invflow_expect_paid(v, end, (enum invflow_debt)debt, turn, before_ns);
}

/* Whoever pings has had nothing to send for a whole keepalive. */
static void invflow_ping(struct invariant *v, const struct invend *end) {
  invflow_expect_resent(v, end, "PINGREQ");
  invflow_expect_all_paid(v, end, UINT64_MAX, v->now_ns - (int64_t)end->keepalive_s * 1000000000);
}

/* A broker answers in the order in which it was asked: what is owed from before the PINGREQ was left out. */
static uint64_t invflow_pong(struct invariant *v, const struct invend *end) {
  struct invflow_owed *o = invflow_answer(v, end, INVFLOW_PINGRESP, 0);
  if (!o) return 0;
  invflow_expect_all_paid(v, end, o->turn, INT64_MAX);
  return invflow_pay(end->flow, o);
}

static enum invflow_debt invflow_debt_of(uint8_t type) {
  for (int i = 0; i < INVFLOW_DEBTS; i++)
    if (invflow_types[i] == type) return (enum invflow_debt)i;
  return INVFLOW_DEBTS;
}

uint64_t invflow_sent(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content) {
  struct invflow_owed *o;
  switch (p->type) {
  case SPEC_PUBLISH: invflow_publish(v, end, p, content); return 0;
  case SPEC_SUBSCRIBE:
  case SPEC_UNSUBSCRIBE: invflow_request(v, end, p); return 0;
  case SPEC_PUBREL: invflow_release(v, end, p); return 0;
  case SPEC_PINGREQ: invflow_ping(v, end); return 0;
  case SPEC_PINGRESP: return invflow_pong(v, end);
  default:
    if (invflow_debt_of(p->type) == INVFLOW_DEBTS) return 0;
    o = invflow_answer(v, end, invflow_debt_of(p->type), p->packet_id);
    return o ? invflow_pay(end->flow, o) : 0;
  }
}

/* What comes in. */

static void invflow_owe(struct invariant *v, struct invflow *f, enum invflow_debt debt, uint16_t packet_id) {
  struct invflow_owed *o = mem_zero(sizeof *o);
  o->turn = ++f->turn;
  o->entry = v->number;
  o->at_ns = v->now_ns;
  o->packet_id = packet_id;
  list_append(&f->owed[debt], &o->row);
  f->debts++;
}

bool invflow_has_received(const struct invflow *f, uint16_t packet_id) {
  return hash_first(&f->received, packet_id) != NULL;
}

static void invflow_take_publish(struct invariant *v, struct invflow *f, const struct packet *p) {
  if (p->qos == 1) invflow_owe(v, f, INVFLOW_PUBACK, p->packet_id);
  if (p->qos != 2) return;
  invflow_owe(v, f, INVFLOW_PUBREC, p->packet_id);
  if (invflow_has_received(f, p->packet_id)) return;
  struct invflow_seen *s = mem_zero(sizeof *s);
  hash_add(&f->received, &s->by_id, p->packet_id);
}

static void invflow_take_ack(struct invariant *v, struct invflow *f, const struct packet *p) {
  struct invflow_flight *g = invflow_find(f, p->packet_id);
  if (!g) return;
  bool publish = g->type == SPEC_PUBLISH;
  switch (p->type) {
  case SPEC_PUBACK:
    if (publish && g->qos == 1) invflow_end(f, g);
    break;
  case SPEC_PUBREC:
    if (!publish || g->qos != 2) break;
    g->released = true;
    invflow_owe(v, f, INVFLOW_PUBREL, p->packet_id);
    break;
  case SPEC_PUBCOMP:
    if (publish && g->released) invflow_end(f, g);
    break;
  default:
    if (!publish && spec_packet(p->type)->answers == g->type) invflow_end(f, g);
  }
}

void invflow_received(struct invariant *v, struct invend *end, const struct packet *p) {
  struct invflow *f = end->flow;
  switch (p->type) {
  case SPEC_PUBLISH: invflow_take_publish(v, f, p); break;
  case SPEC_PUBREL:
    invflow_owe(v, f, INVFLOW_PUBCOMP, p->packet_id);
    invflow_unreceive(f, p->packet_id);
    break;
  case SPEC_SUBSCRIBE: invflow_owe(v, f, INVFLOW_SUBACK, p->packet_id); break;
  case SPEC_UNSUBSCRIBE: invflow_owe(v, f, INVFLOW_UNSUBACK, p->packet_id); break;
  case SPEC_PINGREQ: invflow_owe(v, f, INVFLOW_PINGRESP, 0); break;
  case SPEC_PUBACK:
  case SPEC_PUBREC:
  case SPEC_PUBCOMP:
  case SPEC_SUBACK:
  case SPEC_UNSUBACK: invflow_take_ack(v, f, p); break;
  default: break;
  }
}

void invflow_settle(struct invariant *v, const struct invend *end) {
  invflow_expect_resent(v, end, "the end of the run");
  invflow_expect_all_paid(v, end, UINT64_MAX, INT64_MAX);
}
