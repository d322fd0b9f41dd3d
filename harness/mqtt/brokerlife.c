#include "mqtt/brokerlife.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/brokerroute.h"
#include "mqtt/defect.h"

#define BROKERLIFE_WHY_MAX 160

static int64_t brokerlife_keepalive_ns(const struct broker_conn *c) {
  int64_t each_ns = 1500000000; /* one and a half times [MQTT-3.1.2-24] */
  if (defect_is(DEFECT_KEEPALIVE_EARLY)) each_ns = 1000000000;
  if (defect_is(DEFECT_KEEPALIVE_LATE)) each_ns = 3000000000;
  return (int64_t)c->keepalive_s * each_ns;
}

static struct brokersession *brokerlife_generated(struct broker *b) {
  char id[40];
  do snprintf(id, sizeof id, "auto-%" PRIu64, ++b->generated);
  while (brokersession_find(&b->sessions, slice_text(id)));
  return brokersession_new(&b->sessions, slice_text(id));
}

static struct brokersession *brokerlife_session(struct broker *b, const struct packet *connect, bool *present,
                                                int64_t now_ns) {
  *present = false;
  if (connect->client_id.size == 0) return brokerlife_generated(b);
  struct brokersession *s = brokersession_find(&b->sessions, connect->client_id);
  if (s && s->conn) {
    if (defect_is(DEFECT_TAKEOVER_KEEPS_BOTH)) brokerlife_disconnect(s->conn);
    else brokerlife_close(s->conn, "another connection has this client identifier now", "MQTT-3.1.4-2", now_ns);
    s = brokersession_find(&b->sessions, connect->client_id); /* a clean one is gone */
  }
  if (s && connect->clean) {
    brokersession_free(&b->sessions, s);
    s = NULL;
  }
  *present = s != NULL;
  return s ? s : brokersession_new(&b->sessions, connect->client_id);
}

bool brokerlife_begin(struct broker_conn *c, const struct packet *connect, int64_t now_ns) {
  bool present;
  assert(c->state == BROKERCONN_NEW);
  struct brokersession *s = brokerlife_session(c->broker, connect, &present, now_ns);
  s->clean = connect->clean;
  s->conn = c;
  c->session = s;
  c->state = BROKERCONN_OPEN;
  c->keepalive_s = connect->keepalive_s;
  const struct packet_will *will = &connect->will;
  if (connect->has_will) c->will = message_new(will->topic, will->payload, will->qos, will->retain);
  if (c->keepalive_s) heap_set(&c->broker->timers, &c->timer, now_ns + brokerlife_keepalive_ns(c));
  else heap_clear(&c->broker->timers, &c->timer);
  return present && !defect_is(DEFECT_SESSION_PRESENT_LIES);
}

static void brokerlife_let_go(struct broker_conn *c) {
  struct brokersession *s = c->session;
  if (!s) return;
  c->client_id = mem_copy(brokersession_client_id(s));
  c->session = NULL;
  s->conn = NULL;
  if (s->clean) {
    brokersession_free(&c->broker->sessions, s);
    return;
  }
  brokersession_detach(s, brokerconn_offset(c));
  if (defect_is(DEFECT_SUBSCRIPTIONS_LOST)) subtree_remove_all(&c->broker->sessions.subtree, &s->subscriber);
}

void brokerlife_end(struct broker_conn *c) {
  struct message *will = c->will;
  c->will = NULL;
  brokerlife_let_go(c);
  if (!will) return;
  if (!defect_is(DEFECT_WILL_FORGOTTEN)) brokerroute_will(c->broker, will);
  if (defect_is(DEFECT_WILL_TWICE)) brokerroute_will(c->broker, will);
  message_drop(will);
}

void brokerlife_disconnect(struct broker_conn *c) {
  if (c->will && defect_is(DEFECT_WILL_AFTER_DISCONNECT)) brokerroute_will(c->broker, c->will);
  message_drop(c->will);
  c->will = NULL;
  brokerlife_let_go(c);
  heap_clear(&c->broker->timers, &c->timer);
  c->state = BROKERCONN_DONE;
}

/* "3.1.1:3.1.0-2" is the strict check's way of writing MQTT-3.1.0-2. */
static char *brokerlife_why(const char *text, const char *clause) {
  char why[BROKERLIFE_WHY_MAX];
  const char *behind = clause ? strchr(clause, ':') : NULL;
  if (!clause) snprintf(why, sizeof why, "%s", text);
  else if (behind && behind[1] != 'x') snprintf(why, sizeof why, "%s [MQTT-%s]", text, behind + 1);
  else snprintf(why, sizeof why, "%s [%s]", text, behind ? behind + 1 : clause);
  return mem_copy(slice_text(why));
}

/* The defect of the same name. */
static void brokerlife_close_neighbour(struct broker_conn *c, int64_t now_ns) {
  struct list_node *conns = &c->broker->conns;
  for (struct list_node *n = list_first(conns); n; n = list_next(conns, n)) {
    struct broker_conn *other = LIST_OWNER(n, struct broker_conn, all);
    if (other == c || other->state != BROKERCONN_OPEN) continue;
    brokerlife_close(other, "a neighbour broke a rule", NULL, now_ns);
    return;
  }
}

void brokerlife_close(struct broker_conn *c, const char *text, const char *clause, int64_t now_ns) {
  if (c->state == BROKERCONN_CLOSING) return;
  c->why = brokerlife_why(text, clause);
  c->state = BROKERCONN_CLOSING;
  heap_set(&c->broker->timers, &c->timer, now_ns + BROKER_CLOSE_TIMEOUT_NS);
  brokerconn_touch(c);
  if (c->session && !c->session->clean) brokerconn_shed(c);
  brokerlife_end(c);
  if (clause && defect_is(DEFECT_NEIGHBOUR_CLOSED)) brokerlife_close_neighbour(c, now_ns);
}

/* As if the network had failed: what is in the output is not waited for. */
static void brokerlife_cut(struct broker_conn *c, const char *text, const char *clause, int64_t now_ns) {
  brokerlife_close(c, text, clause, now_ns);
  heap_clear(&c->broker->timers, &c->timer);
  brokerconn_discard(c);
  brokerconn_touch(c);
}

void brokerlife_due(struct broker_conn *c, int64_t now_ns) {
  int64_t silent_ns = c->heard_ns + brokerlife_keepalive_ns(c);
  if (c->state == BROKERCONN_OPEN && silent_ns > now_ns) {
    heap_set(&c->broker->timers, &c->timer, silent_ns);
    return;
  }
  brokerlife_cut(c,
                 c->state == BROKERCONN_NEW ? "no CONNECT in time" : "silent for one and a half times the keep alive",
                 c->state == BROKERCONN_NEW ? NULL : "MQTT-3.1.2-24", now_ns);
}
