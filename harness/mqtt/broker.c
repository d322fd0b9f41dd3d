#include "mqtt/broker.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/brokerconn.h"
#include "mqtt/brokerin.h"
#include "mqtt/brokerlife.h"
#include "mqtt/brokerroute.h"
#include "mqtt/encode.h"
#include "mqtt/topic.h"

static uint32_t broker_or(uint32_t given, uint32_t preset) {
  return given ? given : preset;
}

struct broker *broker_new(const struct broker_options *options) {
  struct broker *b = mem_zero(sizeof *b);
  if (options) b->options = *options;
  b->options.queued_max = broker_or(b->options.queued_max, BROKER_QUEUED_DEFAULT);
  b->options.message_max = broker_or(b->options.message_max, BROKER_MESSAGE_DEFAULT);
  b->options.inflight_max = broker_or(b->options.inflight_max, BROKER_INFLIGHT_DEFAULT);
  brokersession_table_init(&b->sessions);
  retained_init(&b->retained);
  list_init(&b->conns);
  list_init(&b->touched);
  heap_init(&b->timers);
  return b;
}

static void broker_free_conn(struct broker_conn *c) {
  list_remove(&c->touched);
  list_remove(&c->all);
  heap_clear(&c->broker->timers, &c->timer);
  message_drop(c->will);
  buffer_fini(&c->in);
  buffer_fini(&c->out);
  free(c->client_id);
  free(c->why);
  free(c);
}

void broker_free(struct broker *b) {
  struct list_node *n;
  if (!b) return;
  while ((n = list_first(&b->conns))) {
    struct broker_conn *c = LIST_OWNER(n, struct broker_conn, all);
    if (c->session) c->session->conn = NULL;
    broker_free_conn(c);
  }
  brokersession_table_fini(&b->sessions);
  retained_fini(&b->retained);
  heap_fini(&b->timers);
  free(b);
}

void broker_forget(struct broker *b) {
  assert(list_empty(&b->conns));
  brokersession_clear(&b->sessions);
  retained_fini(&b->retained);
  retained_init(&b->retained);
}

struct broker_conn *broker_accept(struct broker *b, void *user, int64_t now_ns) {
  struct broker_conn *c = mem_zero(sizeof *c);
  c->broker = b;
  c->user = user;
  c->heard_ns = now_ns;
  buffer_init(&c->in, BROKERCONN_PACKET_MAX);
  buffer_init(&c->out, BROKERCONN_OUT_MAX);
  list_append(&b->conns, &c->all);
  heap_set(&b->timers, &c->timer, now_ns + BROKER_CONNECT_TIMEOUT_NS);
  b->stats.connections++;
  return c;
}

void *broker_conn_user(const struct broker_conn *c) {
  return c->user;
}

struct slice broker_conn_client_id(const struct broker_conn *c) {
  if (c->session) return brokersession_client_id(c->session);
  return c->client_id ? slice_text(c->client_id) : slice_of(NULL, 0);
}

void broker_gone(struct broker_conn *c, int64_t now_ns) {
  (void)now_ns;
  c->broker->stats.connections--;
  brokerlife_end(c);
  broker_free_conn(c);
}

void broker_feed(struct broker_conn *c, struct slice bytes, int64_t now_ns) {
  brokerin_feed(c, bytes, now_ns);
}

void broker_note(struct broker_conn *c, struct slice packet, int64_t now_ns) {
  brokerin_note(c, packet, now_ns);
}

void broker_leave(struct broker_conn *c) {
  if (c->state != BROKERCONN_CLOSING) brokerlife_disconnect(c);
}

struct broker_conn *broker_next_output(struct broker *b) {
  struct list_node *n = list_first(&b->touched);
  if (!n) return NULL;
  list_remove(n);
  return LIST_OWNER(n, struct broker_conn, touched);
}

struct slice broker_output(struct broker_conn *c, int64_t now_ns) {
  (void)now_ns;
  return c->handed ? slice_from(buffer_slice(&c->out), c->handed) : buffer_slice(&c->out);
}

void broker_wrote(struct broker_conn *c, size_t n, int64_t now_ns) {
  (void)now_ns;
  brokerconn_handed(c, n);
  if (c->session) brokerroute_pump(c->broker, c->session);
}

bool broker_wants_close(const struct broker_conn *c, const char **why) {
  if (c->state != BROKERCONN_CLOSING) return false;
  if (why) *why = c->why;
  return true;
}

int64_t broker_deadline(const struct broker *b) {
  const struct heap_node *first = heap_first(&b->timers);
  return first ? first->at_ns : INT64_MAX;
}

void broker_tick(struct broker *b, int64_t now_ns) {
  struct heap_node *n;
  while ((n = heap_first(&b->timers)) && n->at_ns <= now_ns)
    brokerlife_due(LIST_OWNER(n, struct broker_conn, timer), now_ns);
}

void broker_publish(struct broker *b, const struct packet *publish, int64_t now_ns) {
  (void)now_ns;
  struct packet p = { .type = SPEC_PUBLISH,
                      .version = SPEC_3_1_1,
                      .qos = publish->qos,
                      .retain = publish->retain,
                      .topic = publish->topic,
                      .payload = publish->payload };
  if (topic_check_name(p.topic) != TOPIC_GOOD || p.qos > 2) return;
  if (p.payload.size > b->options.message_max || encode_size(&p) == 0) return;
  b->stats.messages_in++;
  brokerroute_publish(b, &p);
}

bool broker_raw(struct broker_conn *c, struct slice bytes) {
  size_t before = buffer_size(&c->out);
  if (!bytes.size) return true;
  if (!brokerconn_room(c) || c->state == BROKERCONN_CLOSING || !buffer_append(&c->out, bytes)) return false;
  brokerconn_put(c, before);
  return true;
}

struct slice broker_partial_in(const struct broker_conn *c) {
  return buffer_slice(&c->in);
}

struct slice broker_partial_out(const struct broker_conn *c) {
  return slice_first(buffer_slice(&c->out), c->handed);
}

struct broker_stats broker_stats(const struct broker *b) {
  struct broker_stats stats = b->stats;
  stats.sessions = b->sessions.count;
  stats.subscriptions = b->sessions.subtree.count;
  stats.retained = b->retained.count;
  return stats;
}
