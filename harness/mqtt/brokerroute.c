#include "mqtt/brokerroute.h"

#include <assert.h>

#include "mqtt/defect.h"
#include "mqtt/encode.h"

/* What is being routed. The message is made when the first queue wants it. */
struct brokerroute_source {
  const struct packet *packet;
  struct message *message;
};

static struct message *brokerroute_message(struct brokerroute_source *from) {
  const struct packet *p = from->packet;
  if (!from->message) from->message = message_new(p->topic, p->payload, p->qos, p->retain);
  return from->message;
}

void brokerroute_pump(struct broker *b, struct brokersession *s) {
  struct broker_conn *c = s->conn;
  while (c && brokersession_pending(s) && brokerconn_room(c)) {
    size_t before = buffer_size(&c->out);
    enum brokersession_sent sent = brokersession_send(s, &c->out, c->appended, b->options.inflight_max);
    if (sent == BROKERSESSION_NOTHING) return;
    if (sent == BROKERSESSION_NEW) b->stats.messages_out++;
    brokerconn_put(c, before);
  }
}

/* QoS 0, straight into the output: nothing to remember, nothing to copy but the bytes. */
static void brokerroute_direct(struct broker *b, struct broker_conn *c, const struct packet *from, bool retain) {
  size_t before = buffer_size(&c->out);
  struct packet p = { .type = SPEC_PUBLISH,
                      .version = SPEC_3_1_1,
                      .retain = retain,
                      .flags = retain ? 1 : 0,
                      .topic = from->topic,
                      .payload = from->payload };
  bool fits = encode_packet(&c->out, &p);
  assert(fits);
  b->stats.messages_out++;
  brokerconn_put(c, before);
}

static bool brokerroute_deliver(struct broker *b, struct brokersession *s, struct brokerroute_source *from, uint8_t qos,
                                bool retain) {
  if (qos == 0 && !s->conn) return true; /* QoS 0 is not kept for who is away */
  brokerroute_pump(b, s);
  /* One that waits for the window above QoS 0 does not hold up QoS 0. */
  if (qos == 0 && s->waiting_at_0 == 0 && brokerconn_room(s->conn)) {
    brokerroute_direct(b, s->conn, from->packet, retain);
    if (defect_is(DEFECT_QOS_0_TWICE)) brokerroute_direct(b, s->conn, from->packet, retain);
    return true;
  }
  if (qos && b->stats.messages_in % 7 == 0 && defect_is(DEFECT_MESSAGE_LOST)) return true;
  bool queued = brokersession_push(s, brokerroute_message(from), qos, retain, b->options.queued_max);
  if (!queued) b->stats.dropped++;
  brokerroute_pump(b, s);
  return queued;
}

/* RETAIN is 0 towards established subscriptions [MQTT-3.3.1-9]. */
static void brokerroute_fan_out(struct broker *b, struct brokerroute_source *from) {
  size_t count;
  const struct subtree_match *matches = subtree_matches(&b->sessions.subtree, from->packet->topic, &count);
  for (size_t i = 0; i < count; i++) {
    uint8_t qos = matches[i].qos < from->packet->qos ? matches[i].qos : from->packet->qos; /* [MQTT-3.8.4-6] */
    brokerroute_deliver(b, brokersession_of(matches[i].subscriber), from, qos, false);
  }
}

static void brokerroute_retain(struct broker *b, struct brokerroute_source *from) {
  if (from->packet->payload.size == 0) retained_clear(&b->retained, from->packet->topic);
  else if (!retained_set(&b->retained, brokerroute_message(from))) b->stats.dropped++;
}

static void brokerroute_source(struct broker *b, struct brokerroute_source *from) {
  if (from->packet->retain) brokerroute_retain(b, from);
  brokerroute_fan_out(b, from);
}

void brokerroute_publish(struct broker *b, const struct packet *publish) {
  struct brokerroute_source from = { publish, NULL };
  brokerroute_source(b, &from);
  message_drop(from.message);
}

static bool brokerroute_reserved(struct slice topic) {
  struct slice name = slice_text("$SYS");
  return slice_equal(slice_first(topic, name.size), name) && (topic.size == name.size || topic.data[name.size] == '/');
}

void brokerroute_from_client(struct broker *b, const struct packet *publish) {
  b->stats.messages_in++;
  if (!brokerroute_reserved(publish->topic)) brokerroute_publish(b, publish);
}

void brokerroute_will(struct broker *b, struct message *will) {
  struct packet p = { .type = SPEC_PUBLISH,
                      .qos = will->qos,
                      .retain = will->retain,
                      .topic = message_topic(will),
                      .payload = message_payload(will) };
  struct brokerroute_source from = { &p, will };
  if (!brokerroute_reserved(p.topic)) brokerroute_source(b, &from);
}

bool brokerroute_retained(struct broker *b, struct brokersession *s, struct slice filter, uint8_t qos) {
  size_t count;
  bool room = true;
  struct message *const *found = retained_matches(&b->retained, filter, &count);
  for (size_t i = 0; i < count; i++) {
    struct message *m = found[i];
    struct packet p = { .type = SPEC_PUBLISH, .topic = message_topic(m), .payload = message_payload(m) };
    struct brokerroute_source from = { &p, m };
    room = brokerroute_deliver(b, s, &from, m->qos < qos ? m->qos : qos, true);
  }
  return room;
}
