#include "host/invclient.h"

#include <stdlib.h>

#include "base/mem.h"
#include "host/invclock.h"
#include "host/invflow.h"
#include "host/invresult.h"

static const char *const invclient_states[] = { "idle", "connecting", "connected", "disconnecting" };

/* The scenario was not told of an end. */
static void invclient_untold(struct invariant *v, struct invclock *k) {
  struct invclient *c = k->owner;
  if (c->state != INVCLIENT_IDLE)
    invariant_breach(v, 27, c->end->who, k->cause, "its connection was over, and it stayed %s: nobody was told",
                     invclient_states[c->state]);
}

static void invclient_dial_late(struct invariant *v, struct invclock *k) {
  struct invclient *c = k->owner;
  invariant_breach(v, 31, c->end->who, k->cause, "a connect had no outcome when its timeout was over");
}

struct invclient *invclient_new(struct invariant *v, struct invend *end, const struct event *e) {
  struct invclient *c = mem_zero(sizeof *c);
  c->end = end;
  c->inflight_max = e->value & UINT16_MAX;
  c->buffered_max = (uint32_t)(e->value >> 16);
  hash_init(&c->by_number);
  hash_init(&c->by_id);
  list_init(&c->pending);
  list_init(&c->unwritten);
  hash_init(&c->unsent);
  list_init(&c->unsent_row);
  c->dial = (struct invclock){ .late = invclient_dial_late, .owner = c };
  c->told = (struct invclock){ .late = invclient_untold, .owner = c };
  invclock_init(c);
  list_append(&v->clients, &c->all);
  end->flow = invflow_new();
  return c;
}

void invclient_free(struct invariant *v, struct invclient *c) {
  invresult_fini(c);
  invariant_stop(v, &c->dial);
  invariant_stop(v, &c->told);
  invclock_stop(v, c);
  invflow_free(c->end->flow);
  c->end->flow = NULL;
  list_remove(&c->all);
  free(c);
}

/* 27: the automaton. */

static void invclient_go(struct invariant *v, struct invclient *c, const char *what, unsigned from,
                         enum invclient_state to) {
  if (!(from >> c->state & 1))
    invariant_breach(v, 27, c->end->who, 0, "%s while it was %s", what, invclient_states[c->state]);
  c->state = (uint8_t)to;
}

static void invclient_connected(struct invariant *v, struct invclient *c, const struct event *e) {
  struct invend *end = c->end;
  bool present = e->packet_id;
  invariant_stop(v, &c->dial);
  invariant_stop(v, &c->told);
  invclient_go(v, c, "told the outcome of a connect", 1u << INVCLIENT_CONNECTING,
               e->code == 0 ? INVCLIENT_CONNECTED : INVCLIENT_IDLE);
  if (c->sheltered && e->code) invariant_breach(v, 36, end->who, 0, "its connect had the outcome %d", e->code);
  if (!end->open || end->deaf) return;
  if (e->code >= 0 && (!c->accepted || c->connack != e->code))
    invariant_breach(v, 27, end->who, 0, "told the outcome %d, which no CONNACK has said", e->code);
  else if (e->code == 0 && present != c->present)
    invariant_breach(v, 21, end->who, 0, "told session present %d, and CONNACK said %d", present, c->present);
  if (e->code == 0) invclock_connected(v, c);
}

static void invclient_over(struct invariant *v, struct invclient *c, const struct event *e) {
  bool lost = e->what == EVENT_LOST;
  invariant_stop(v, &c->told);
  if (lost && c->sheltered) invariant_breach(v, 36, c->end->who, 0, "its connection was lost (%d)", e->code);
  if (lost && (e->code > -1 || e->code < -4))
    invariant_breach(v, 27, c->end->who, 0, "told the loss of its connection with the reason %d", e->code);
  if (lost) invclock_lost(v, c, e->code);
  invclient_go(v, c, lost ? "told the loss of its connection" : "told that it is disconnected",
               lost ? 1u << INVCLIENT_CONNECTED : 1u << INVCLIENT_DISCONNECTING, INVCLIENT_IDLE);
  invclock_stop(v, c);
  invresult_over(v, c);
}

static void invclient_closed(struct invariant *v, struct invclient *c) {
  if (c->state == INVCLIENT_CONNECTING || c->state == INVCLIENT_DISCONNECTING)
    invariant_breach(v, 27, c->end->who, 0, "closed while it was %s, of which nobody was told the end",
                     invclient_states[c->state]);
  c->state = INVCLIENT_IDLE;
  c->closing = false;
  c->clean = true;
  invariant_stop(v, &c->dial);
  invariant_stop(v, &c->told);
  invclock_stop(v, c);
  invresult_over(v, c);
  invflow_forget(c->end->flow);
}

/* What was given to the scenario, against what came. */
static void invclient_message(struct invariant *v, struct invclient *c, const struct event *e) {
  struct invclient_arrival *a = &c->arrival;
  uint32_t who = c->end->who;
  if (c->end->deaf) return;
  if (c->state != INVCLIENT_CONNECTED)
    invariant_breach(v, 27, who, 0, "given a message while it was %s", invclient_states[c->state]);
  if (!a->known || a->content != e->value || a->qos != e->code || a->packet_id != e->packet_id)
    invariant_breach(v, 13, who, a->entry, "given a message that is not the one that came");
  else if (!a->due)
    invariant_breach(v, a->qos == 2 ? 16 : 14, who, a->entry, "given a message at QoS %u (id %u) twice", a->qos,
                     a->packet_id);
  a->due = false;
}

static void invclient_fate(struct invclient *c, const struct event *e) {
  if (e->what == EVENT_WANTED) c->wanted = e->code;
  else c->sheltered = true;
}

void invclient_event(struct invariant *v, struct invend *end, const struct event *e) {
  struct invclient *c = end->client;
  switch (e->what) {
  case EVENT_DIAL:
    invclient_go(v, c, "a connect was begun", 1u << INVCLIENT_IDLE, INVCLIENT_CONNECTING);
    c->accepted = false;
    c->dialed = v->number;
    if (e->value) invariant_set(v, &c->dial, v->now_ns + (int64_t)e->value);
    break;
  case EVENT_CONNECTED: invclient_connected(v, c, e); break;
  case EVENT_LOST:
  case EVENT_DISCONNECTED: invclient_over(v, c, e); break;
  case EVENT_DISCONNECT:
    invclient_go(v, c, "a disconnect was begun", 1u << INVCLIENT_CONNECTED, INVCLIENT_DISCONNECTING);
    invclock_stop(v, c);
    break;
  case EVENT_CLOSE: c->closing = true; break;
  case EVENT_CLOSED: invclient_closed(v, c); break;
  case EVENT_SEND:
  case EVENT_REQUEST: invresult_begin(v, c, e); break;
  case EVENT_RESULT: invresult_told(v, c, e); break;
  case EVENT_MESSAGE: invclient_message(v, c, e); break;
  case EVENT_PING: invclock_ping(v, c, e->code); break;
  case EVENT_WANTED:
  case EVENT_SHELTERED: invclient_fate(c, e); break;
  default: break;
  }
}

/* Packets. */

void invclient_sent(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content, bool begins) {
  struct invclient *c = end->client;
  if (p->type == SPEC_CONNECT) {
    c->clean = p->clean;
    invflow_begin(end->flow);
  }
  if (begins) invresult_written(v, c, p, content);
}

/* The one before was to be given away before this packet was looked at. */
static void invclient_expect_given(struct invariant *v, struct invclient *c) {
  struct invclient_arrival *a = &c->arrival;
  if (a->due && a->qos && c->state == INVCLIENT_CONNECTED && !c->end->deaf)
    invariant_breach(v, a->qos == 2 ? 16 : 15, c->end->who, a->entry,
                     "a message at QoS %u (id %u) came and was never given to the scenario", a->qos, a->packet_id);
  a->due = false;
}

static void invclient_accepted(struct invclient *c, const struct packet *p) {
  struct invflow *f = c->end->flow;
  c->accepted = true;
  c->connack = p->reason_code;
  c->present = p->session_present;
  if (p->reason_code) return;
  if (p->session_present) invflow_resume(f);
  else invflow_forget(f);
}

void invclient_received(struct invariant *v, struct invend *end, const struct packet *p) {
  struct invclient *c = end->client;
  invclient_expect_given(v, c);
  switch (p->type) {
  case SPEC_CONNACK: invclient_accepted(c, p); break;
  case SPEC_PUBLISH:
    if (c->state != INVCLIENT_CONNECTED) break;
    c->arrival = (struct invclient_arrival){ v->number, event_content(p->topic, p->payload), p->packet_id, p->qos };
    c->arrival.due = p->qos < 2 || !invflow_has_received(end->flow, p->packet_id);
    c->arrival.known = true;
    break;
  case SPEC_PUBACK:
  case SPEC_PUBCOMP: invresult_acknowledged(c, p); break;
  default: break;
  }
}

void invclient_ended(struct invariant *v, struct invend *end, bool by_this_end) {
  struct invclient *c = end->client;
  if (!by_this_end) invclient_expect_given(v, c);
  else if (c->arrival.due) invflow_unreceive(end->flow, c->arrival.packet_id); /* for which it may have given up */
  c->arrival = (struct invclient_arrival){ 0 };
  c->gave_up = by_this_end && !c->closing;
  invariant_stop(v, &c->idle);
  invariant_stop(v, &c->pong);
  if (c->state == INVCLIENT_IDLE || c->closing) return;
  c->told.cause = v->number;
  invariant_set(v, &c->told, v->now_ns);
}

void invclient_settle(struct invariant *v, struct invclient *c) {
  const struct invclient_operation *o = invclient_first(c);
  if (c->state == INVCLIENT_CONNECTED && c->end->open && c->end->judged && !c->end->deaf && c->end->flow->trusted)
    invflow_settle(v, c->end);
  if (!o) return;
  invariant_breach(v, 33, c->end->who, o->entry, "%s was still without a result at the end of the run",
                   o->request ? "a request" : "a message");
}
