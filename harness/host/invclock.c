#include "host/invclock.h"

#include "host/invbroker.h"
#include "mqtt/outcome.h"
#include "mqtt/settings.h"

#define INVCLOCK_SECOND_NS 1000000000
/* A larger packet may have been on its way for the whole of a silence. */
#define INVCLOCK_LARGE 4096

static int64_t invclock_keepalive_ns(const struct invend *end) {
  return (int64_t)end->keepalive_s * INVCLOCK_SECOND_NS;
}

static int64_t invclock_ping_timeout_ns(const struct invend *end) {
  uint16_t most = SESSION_PING_TIMEOUT_MAX_S;
  return (int64_t)(end->keepalive_s < most ? end->keepalive_s : most) * INVCLOCK_SECOND_NS;
}

/* Whether what is measured from that entry cannot be told. */
static bool invclock_is_skewed(const struct invariant *v, uint64_t from) {
  return v->unclocked || from < v->skewed;
}

/* A client. */

/* It may be in the middle of a large packet: what comes next tells. */
static void invclock_idle_late(struct invariant *v, struct invclock *k) {
  struct invclient *c = k->owner;
  c->idle_late_ns = v->now_ns;
}

static void invclock_pong_late(struct invariant *v, struct invclock *k) {
  struct invclient *c = k->owner;
  invariant_breach(v, 29, c->end->who, k->cause,
                   "no PINGRESP came for %u s after PINGREQ, and the connection is still up",
                   (unsigned)(invclock_ping_timeout_ns(c->end) / INVCLOCK_SECOND_NS));
}

void invclock_init(struct invclient *c) {
  c->idle = (struct invclock){ .late = invclock_idle_late, .owner = c };
  c->pong = (struct invclock){ .late = invclock_pong_late, .owner = c };
  c->idle_late_ns = c->pinged_ns = -1;
}

static void invclock_rest(struct invariant *v, struct invclient *c) {
  c->idle.cause = v->number;
  c->idle_late_ns = -1;
  if (c->end->keepalive_s) invariant_set(v, &c->idle, v->now_ns + invclock_keepalive_ns(c->end));
}

void invclock_connected(struct invariant *v, struct invclient *c) {
  c->cut = c->gave_up = false;
  c->pinged_ns = -1;
  /* CONNECT was the last that went out; before CONNACK there is no ping. */
  int64_t due_ns = c->end->sent_ns + invclock_keepalive_ns(c->end);
  c->idle.cause = c->end->last_sent;
  c->idle_late_ns = -1;
  if (c->end->keepalive_s) invariant_set(v, &c->idle, due_ns > v->now_ns ? due_ns : v->now_ns);
}

static void invclock_expect_ping(struct invariant *v, const struct invclient *c, const char *instead) {
  if (c->idle_late_ns < 0 || c->pinged_ns >= 0 || c->cut || invclock_is_skewed(v, c->idle.cause) || !c->end->judged)
    return;
  invariant_breach(v, 29, c->end->who, c->idle.cause, "nothing was sent for longer than the keepalive of %u s, then %s",
                   c->end->keepalive_s, instead);
}

/* From here the timeout counts, whenever the transport takes it. */
void invclock_ping(struct invariant *v, struct invclient *c, bool midway) {
  const struct invend *end = c->end;
  if (c->state != INVCLIENT_CONNECTED || !end->keepalive_s) return;
  if (!midway) invclock_expect_ping(v, c, "PINGREQ");
  if (end->judged && !invclock_is_skewed(v, end->last_sent) && v->now_ns - end->sent_ns < invclock_keepalive_ns(end))
    invariant_breach(v, 29, end->who, end->last_sent, "it pings %.3f s after another packet, at a keepalive of %u s",
                     (double)(v->now_ns - end->sent_ns) / INVCLOCK_SECOND_NS, end->keepalive_s);
  invariant_stop(v, &c->idle);
  c->pong.cause = v->number;
  c->pinged_ns = v->now_ns;
  invariant_set(v, &c->pong, v->now_ns + invclock_ping_timeout_ns(end));
}

static void invclock_client_sent(struct invariant *v, struct invclient *c, const struct packet *p) {
  if (c->state != INVCLIENT_CONNECTED) return;
  if (p->raw.size < INVCLOCK_LARGE) invclock_expect_ping(v, c, spec_packet(p->type)->name);
  invclock_rest(v, c);
}

/* Ended by this end without a word, for a socket that had failed: then a PINGRESP was overdue. */
void invclock_lost(struct invariant *v, struct invclient *c, int reason) {
  const struct invend *end = c->end;
  bool judged = end->judged && !end->deaf && end->keepalive_s;
  if (judged) invclock_expect_ping(v, c, "the connection was lost");
  if (!judged || reason != SESSION_LOST_SOCKET || !c->gave_up) return;
  if (c->pinged_ns < 0) invariant_breach(v, 29, end->who, 0, "it gave the connection up, and no PINGRESP was due");
  else if (!invclock_is_skewed(v, c->pong.cause) && v->now_ns - c->pinged_ns < invclock_ping_timeout_ns(end))
    invariant_breach(v, 29, end->who, c->pong.cause, "it gave the connection up %.3f s after PINGREQ",
                     (double)(v->now_ns - c->pinged_ns) / INVCLOCK_SECOND_NS);
}

void invclock_stop(struct invariant *v, struct invclient *c) {
  invariant_stop(v, &c->idle);
  invariant_stop(v, &c->pong);
  c->idle_late_ns = c->pinged_ns = -1;
  c->cut = false;
}

/* A broker. */

static void invclock_silence_late(struct invariant *v, struct invclock *k) {
  const struct invend *end = k->owner;
  invariant_breach(
      v, 30, end->who, end->conn->heard,
      "the client was silent for longer than one and a half times its keepalive of %u s, and is still connected",
      end->conn->keepalive_s);
}

void invclock_watch(struct invariant *v, struct invend *end) {
  struct invconn *c = end->conn;
  c->silence.late = invclock_silence_late;
  c->silence.owner = end;
  c->heard = v->number;
  if (c->keepalive_s) invariant_set(v, &c->silence, v->now_ns + (int64_t)c->keepalive_s * (INVCLOCK_SECOND_NS / 2 * 3));
}

void invclock_leave(struct invariant *v, struct invend *end) {
  invariant_stop(v, &end->conn->silence);
}

void invclock_silent(struct invariant *v, struct invend *end) {
  const struct invconn *c = end->conn;
  if (c->keepalive_s && !invclock_is_skewed(v, c->heard) &&
      v->now_ns - end->heard_ns < (int64_t)c->keepalive_s * (INVCLOCK_SECOND_NS / 2 * 3))
    invariant_breach(v, 30, end->who, c->heard,
                     "closed for silence %.3f s after the last packet, at a keepalive of %u s",
                     (double)(v->now_ns - end->heard_ns) / INVCLOCK_SECOND_NS, c->keepalive_s);
}

/* Packets. */

void invclock_sent(struct invariant *v, struct invend *end, const struct packet *p) {
  if (end->client) invclock_client_sent(v, end->client, p);
}

void invclock_heard(struct invariant *v, struct invend *end, const struct packet *p) {
  struct invclient *c = end->client;
  if (c && p->type == SPEC_PINGRESP) {
    c->pinged_ns = -1;
    invariant_stop(v, &c->pong);
  }
  if (end->conn && heap_holds(&end->conn->silence.node)) invclock_watch(v, end);
}
