#include "mqtt/brokerin.h"

#include "mqtt/brokerlife.h"
#include "mqtt/brokerroute.h"
#include "mqtt/decode.h"
#include "mqtt/defect.h"
#include "mqtt/encode.h"
#include "mqtt/frame.h"
#include "mqtt/strict.h"

enum brokerin_connack { BROKERIN_ACCEPTED = 0, BROKERIN_BAD_LEVEL = 1, BROKERIN_BAD_ID = 2, BROKERIN_NOT_ALLOWED = 5 };

/* Bytes that a packet has besides the payload of a PUBLISH: fixed header, topic, identifier. */
#define BROKERIN_PUBLISH_REST (5 + 2 + SPEC_STRING_MAX + 2)
#define BROKERIN_CONNECT_MAX  (5 + 10 + 5 * (2 + SPEC_STRING_MAX))

/* One packet from a client. `quiet`: a script answers it; only the books are kept. */
struct brokerin {
  struct broker_conn *conn;
  struct broker *broker;
  const struct packet *packet;
  int64_t now_ns;
  bool quiet;
};

static void brokerin_reply(const struct brokerin *in, uint8_t type, uint16_t packet_id) {
  if (!in->quiet) brokerconn_ack(in->conn, type, packet_id);
}

static void brokerin_connack(struct broker_conn *c, uint8_t code, bool present) {
  brokerconn_answer(c, &(struct packet){ .type = SPEC_CONNACK,
                                         .version = SPEC_3_1_1,
                                         .session_present = present,
                                         .connack_flags = present,
                                         .reason_code = code });
}

static void brokerin_refuse(struct broker_conn *c, uint8_t code, const char *why, const char *clause, int64_t now_ns) {
  brokerin_connack(c, code, false); /* [MQTT-3.2.2-4] */
  brokerlife_close(c, why, clause, now_ns);
}

static void brokerin_connect(const struct brokerin *in) {
  struct broker *b = in->broker;
  const struct packet *p = in->packet;
  if (p->has_will && p->will.payload.size > b->options.message_max) {
    if (!in->quiet) brokerlife_close(in->conn, "the will is larger than a message may be", NULL, in->now_ns);
  } else if (in->quiet) {
    brokerlife_begin(in->conn, p, in->now_ns);
  } else if (p->client_id.size == 0 && !p->clean) {
    brokerin_refuse(in->conn, BROKERIN_BAD_ID, "no client identifier with clean session 0", "MQTT-3.1.3-8", in->now_ns);
  } else if (b->options.authenticate && !b->options.authenticate(b->options.authenticate_arg, p)) {
    brokerin_refuse(in->conn, BROKERIN_NOT_ALLOWED, "not authorized", "MQTT-3.2.2-5", in->now_ns);
  } else {
    bool present = brokerlife_begin(in->conn, p, in->now_ns);
    if (defect_is(DEFECT_BEFORE_CONNACK)) brokerroute_pump(b, in->conn->session);
    brokerin_connack(in->conn, BROKERIN_ACCEPTED, present);
    brokerroute_pump(b, in->conn->session);
  }
}

/* QoS 2 is routed when the PUBLISH comes; its identifier keeps repeats out until PUBREL [MQTT-4.3.3-2]. What a script
 * answers is not routed, and so not remembered: if it comes again, it is new. */
static void brokerin_publish(const struct brokerin *in) {
  const struct packet *p = in->packet;
  if (in->quiet) return;
  if (p->payload.size > in->broker->options.message_max) {
    brokerlife_close(in->conn, "a message larger than the broker takes", NULL, in->now_ns);
    return;
  }
  bool fresh = p->qos < 2 || idset_add(&in->conn->session->received, p->packet_id);
  if (fresh || defect_is(DEFECT_BROKER_DEDUP_LOST)) brokerroute_from_client(in->broker, p);
  uint8_t answer = handshake_answer(p->qos);
  if (answer) brokerin_reply(in, answer, p->packet_id);
}

static void brokerin_acknowledgement(const struct brokerin *in) {
  struct brokersession *s = in->conn->session;
  struct handshake_step step = brokersession_acknowledged(s, in->packet->type, in->packet->packet_id);
  if (step.reply) brokerin_reply(in, step.reply, in->packet->packet_id);
  brokerroute_pump(in->broker, s);
}

/* Answered also where the identifier is not known: PUBCOMP was lost then. */
static void brokerin_pubrel(const struct brokerin *in) {
  idset_remove(&in->conn->session->received, in->packet->packet_id);
  if (in->packet->packet_id % 3 == 0 && defect_is(DEFECT_PUBCOMP_FORGOTTEN)) return;
  brokerin_reply(in, SPEC_PUBCOMP, in->packet->packet_id);
}

#define BROKERIN_FAILURE 0x80

static void brokerin_subscribe(const struct brokerin *in) {
  struct brokersession *s = in->conn->session;
  struct slice items = in->packet->items;
  struct packet_subscription entry;
  struct buffer codes;
  buffer_init(&codes, BROKER_REQUEST_MAX);
  while (packet_next_subscription(&items, &entry)) {
    bool added = subtree_add(&in->broker->sessions.subtree, &s->subscriber, entry.filter, entry.qos);
    uint8_t code = added ? entry.qos : BROKERIN_FAILURE;
    buffer_append(&codes, slice_of(&code, 1)); /* in the order of the filters [MQTT-3.9.3-1] */
  }
  if (!in->quiet) {
    struct slice granted = buffer_slice(&codes);
    brokerconn_answer(in->conn, &(struct packet){ .type = SPEC_SUBACK,
                                                  .version = SPEC_3_1_1,
                                                  .packet_id = in->packet->packet_id,
                                                  .items = granted });
    items = in->packet->items;
    bool room = true;
    for (size_t i = 0; room && packet_next_subscription(&items, &entry); i++)
      if (granted.data[i] != BROKERIN_FAILURE)
        room = brokerroute_retained(in->broker, s, entry.filter, granted.data[i]);
  }
  buffer_fini(&codes);
}

static void brokerin_unsubscribe(const struct brokerin *in) {
  struct slice items = in->packet->items, filter;
  while (packet_next_filter(&items, &filter))
    subtree_remove(&in->broker->sessions.subtree, &in->conn->session->subscriber, filter);
  brokerin_reply(in, SPEC_UNSUBACK, in->packet->packet_id);
}

static void brokerin_pingreq(const struct brokerin *in) {
  brokerin_reply(in, SPEC_PINGRESP, 0);
}

static void brokerin_disconnect(const struct brokerin *in) {
  brokerlife_disconnect(in->conn);
  if (!in->quiet) brokerlife_close(in->conn, "the client sent DISCONNECT", "MQTT-3.14.4-1", in->now_ns);
}

static void (*const brokerin_handlers[SPEC_TYPES])(const struct brokerin *in) = {
  [SPEC_CONNECT] = brokerin_connect,         [SPEC_PUBLISH] = brokerin_publish,
  [SPEC_PUBACK] = brokerin_acknowledgement,  [SPEC_PUBREC] = brokerin_acknowledgement,
  [SPEC_PUBCOMP] = brokerin_acknowledgement, [SPEC_PUBREL] = brokerin_pubrel,
  [SPEC_SUBSCRIBE] = brokerin_subscribe,     [SPEC_UNSUBSCRIBE] = brokerin_unsubscribe,
  [SPEC_PINGREQ] = brokerin_pingreq,         [SPEC_DISCONNECT] = brokerin_disconnect,
};

/* A packet by its first byte: may it come now, and are its flags right? */
static bool brokerin_admits(struct broker_conn *c, uint8_t first, int64_t now_ns) {
  unsigned type = first >> 4, flags = first & 15;
  const struct spec_packet *row = spec_packet(type);
  const char *text = NULL, *clause = NULL;
  if (c->state == BROKERCONN_NEW && type != SPEC_CONNECT) {
    text = "the first packet is not CONNECT", clause = "MQTT-3.1.0-1";
  } else if (!row || !(row->senders & SPEC_CLIENT)) {
    text = "a packet that no client sends", clause = "MQTT-4.8.0-1";
  } else if (c->state == BROKERCONN_OPEN && type == SPEC_CONNECT) {
    text = "second CONNECT", clause = "MQTT-3.1.0-2";
  } else if (type != SPEC_PUBLISH && flags != row->flags) {
    text = row->flags ? "reserved flags are not 0010" : "reserved flags are not 0000", clause = row->clause;
  } else if (type == SPEC_PUBLISH && (flags >> 1 & 3) == 3) {
    text = "QoS is 3", clause = "MQTT-3.3.1-4";
  }
  if (text) brokerlife_close(c, text, clause, now_ns);
  return !text;
}

/* The largest that a packet of that type can sensibly be: more is not waited for. */
static size_t brokerin_size_max(const struct broker *b, unsigned type) {
  switch (type) {
  case SPEC_CONNECT: return BROKERIN_CONNECT_MAX;
  case SPEC_PUBLISH: return (size_t)b->options.message_max + BROKERIN_PUBLISH_REST;
  case SPEC_SUBSCRIBE:
  case SPEC_UNSUBSCRIBE: return BROKER_REQUEST_MAX;
  case SPEC_PINGREQ:
  case SPEC_DISCONNECT: return 2;
  default: return 4;
  }
}

static bool brokerin_fits(struct broker_conn *c, const struct frame *f, int64_t now_ns) {
  unsigned type = f->first >> 4;
  size_t body_max = brokerin_size_max(c->broker, type);
  /* A remaining length may be written with more bytes than it needs. */
  if (f->size - f->header_size + 2 <= body_max) return true;
  if (type == SPEC_PUBLISH) brokerlife_close(c, "a message larger than the broker takes", NULL, now_ns);
  else brokerlife_close(c, "a packet larger than its type can be", "MQTT-4.8.0-1", now_ns);
  return false;
}

/* Only level 4 is spoken here. What follows the level in others may look different, so it is looked at first. */
static bool brokerin_speaks(struct broker_conn *c, struct slice raw, int64_t now_ns) {
  static const uint8_t name[] = { 0, 4, 'M', 'Q', 'T', 'T' };
  struct frame f;
  frame_read(raw, &f);
  struct slice body = slice_from(raw, f.header_size);
  if (body.size <= sizeof name || !slice_equal(slice_first(body, sizeof name), slice_of(name, sizeof name)))
    return true;
  if (body.data[sizeof name] == SPEC_3_1_1) return true;
  brokerin_refuse(c, BROKERIN_BAD_LEVEL, "unacceptable protocol level", "MQTT-3.1.2-2", now_ns);
  return false;
}

/* Not a reason to close in silence: it gets a CONNACK of its own. */
static bool brokerin_is_refusable(const struct packet *p, const struct strict_violation *v) {
  return p->type == SPEC_CONNECT && strcmp(v->clause, "3.1.1:3.1.3-7") == 0;
}

static bool brokerin_is_good(struct broker_conn *c, const struct packet *p, int64_t now_ns) {
  struct strict_violation violations[STRICT_VIOLATIONS_MAX];
  size_t count = strict_check(p, SPEC_CLIENT, violations);
  for (size_t i = 0; i < count; i++) {
    if (brokerin_is_refusable(p, &violations[i])) continue;
    brokerlife_close(c, violations[i].text, violations[i].clause, now_ns);
    return false;
  }
  return true;
}

static void brokerin_packet(struct broker_conn *c, struct slice raw, int64_t now_ns) {
  struct packet p;
  struct decode_fault fault;
  if (raw.data[0] >> 4 == SPEC_CONNECT && !brokerin_speaks(c, raw, now_ns)) return;
  if (decode_packet(raw, SPEC_3_1_1, &p, &fault) != DECODE_OK) {
    brokerlife_close(c, fault.text, fault.clause ? fault.clause : "MQTT-4.8.0-1", now_ns);
    return;
  }
  if (!brokerin_is_good(c, &p, now_ns)) return;
  c->heard_ns = now_ns;
  brokerin_handlers[p.type](&(struct brokerin){ c, c->broker, &p, now_ns, false });
  if (brokerconn_flooded(c)) brokerlife_close(c, "the client does not read the answers to what it sends", NULL, now_ns);
}

/* The packet at the start of `bytes`: false if not all of it is there, or if the connection ends with it. */
static bool brokerin_framed(struct broker_conn *c, struct slice bytes, struct frame *f, int64_t now_ns) {
  if (!brokerin_admits(c, bytes.data[0], now_ns)) return false;
  switch (frame_read(bytes, f)) {
  case FRAME_OK: return brokerin_fits(c, f, now_ns);
  case FRAME_BAD: brokerlife_close(c, "the remaining length has more than four bytes", "MQTT-2.2.3", now_ns); break;
  case FRAME_NEED_MORE: break;
  }
  return false;
}

/* Adds to a packet that began earlier: its header a byte at a time, then all that it lacks. */
static struct slice brokerin_continue(struct broker_conn *c, struct slice bytes, int64_t now_ns) {
  struct frame f;
  size_t have = buffer_size(&c->in), n = 1;
  if (frame_read(buffer_slice(&c->in), &f) == FRAME_OK) n = f.size - have;
  struct slice part = slice_first(bytes, n);
  buffer_append(&c->in, part);
  if (brokerin_framed(c, buffer_slice(&c->in), &f, now_ns) && f.size == have + part.size) {
    brokerin_packet(c, buffer_slice(&c->in), now_ns);
    buffer_fini(&c->in);
  }
  return slice_from(bytes, part.size);
}

static struct slice brokerin_begin(struct broker_conn *c, struct slice bytes, int64_t now_ns) {
  struct frame f;
  bool framed = brokerin_framed(c, bytes, &f, now_ns);
  if (framed && f.size <= bytes.size) {
    brokerin_packet(c, slice_first(bytes, f.size), now_ns);
    return slice_from(bytes, f.size);
  }
  if (c->state < BROKERCONN_DONE) buffer_append(&c->in, bytes);
  return slice_from(bytes, bytes.size);
}

void brokerin_feed(struct broker_conn *c, struct slice bytes, int64_t now_ns) {
  while (bytes.size && c->state < BROKERCONN_DONE)
    bytes = buffer_size(&c->in) ? brokerin_continue(c, bytes, now_ns) : brokerin_begin(c, bytes, now_ns);
  if (c->state >= BROKERCONN_DONE) buffer_fini(&c->in);
}

void brokerin_note(struct broker_conn *c, struct slice packet, int64_t now_ns) {
  struct packet p;
  struct strict_violation violations[STRICT_VIOLATIONS_MAX];
  if (decode_packet(packet, SPEC_3_1_1, &p, NULL) != DECODE_OK || p.version != SPEC_3_1_1) return;
  if (c->state != (p.type == SPEC_CONNECT ? BROKERCONN_NEW : BROKERCONN_OPEN)) return;
  c->heard_ns = now_ns;
  if (strict_check(&p, SPEC_CLIENT, violations) == 0)
    brokerin_handlers[p.type](&(struct brokerin){ c, c->broker, &p, now_ns, true });
}
