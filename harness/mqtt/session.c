#include "mqtt/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/defect.h"
#include "mqtt/encode.h"
#include "mqtt/handshake.h"
#include "mqtt/inbox.h"
#include "mqtt/rate.h"
#include "mqtt/request.h"

#define SESSION_SECOND_NS INT64_C(1000000000)
#define SESSION_NEVER     INT64_MAX

struct session {
  enum session_state state;
  bool ended;             /* what became of everything is among the events */
  bool told;              /* and the last of these was taken */
  bool wants_close, gone; /* the transport is to be closed; is closed */
  bool clean, pinged;
  uint8_t version;
  int64_t keepalive_ns;
  int64_t moved_ns; /* when the transport last took a byte */
  int64_t due_ns;   /* CONNACK while connecting, PINGRESP if pinged; else not used */
  uint64_t unknown_acks;
  uint8_t unknown_type; /* of the last of them */
  uint16_t unknown_id;
  struct outflow flow;
  struct packetid ids;
  struct eventq events;
  struct outbox box;
  struct request_list requests;
  struct inbox in;
  struct rate *in_rate, *out_rate; /* NULL: no limit */
  bool borrowed;                   /* an event among `events` borrows one of the next two */
  struct packet *message;          /* while there is one */
  struct slice codes;
};

static uint32_t session_or(uint32_t value, uint32_t otherwise, uint32_t most) {
  if (value == 0) value = otherwise;
  return value < most ? value : most;
}

static struct rate *session_rate(uint32_t per_s, uint32_t burst) {
  if (per_s == 0) return NULL;
  struct rate *r = mem_zero(sizeof *r);
  rate_init(r, per_s < RATE_MAX ? per_s : RATE_MAX, burst);
  return r;
}

struct session *session_new(const struct session_options *options) {
  struct session *s = mem_zero(sizeof *s);
  s->gone = s->told = true;
  outflow_init(&s->flow);
  packetid_init(&s->ids);
  eventq_init(&s->events);
  outbox_init(&s->box, &s->flow, &s->ids, &s->events);
  s->box.inflight_max = session_or(options->inflight_max, SESSION_INFLIGHT_DEFAULT, SPEC_PACKET_ID_MAX);
  s->box.buffered_max = session_or(options->buffered_max, SESSION_BUFFERED_DEFAULT, SESSION_BUFFERED_MAX);
  request_init(&s->requests, &s->box);
  inbox_init(&s->in, session_or(options->message_max, SESSION_MESSAGE_DEFAULT, SPEC_REMAINING_LENGTH_MAX));
  s->in_rate = session_rate(options->in_per_s, options->in_burst);
  s->out_rate = session_rate(options->out_per_s, options->out_burst);
  return s;
}

void session_free(struct session *s) {
  if (!s) return;
  request_fini(&s->requests);
  outbox_fini(&s->box);
  inbox_fini(&s->in);
  eventq_fini(&s->events);
  packetid_fini(&s->ids);
  outflow_fini(&s->flow);
  free(s->in_rate);
  free(s->out_rate);
  free(s->message);
  free(s);
}

struct session_limits session_limits(const struct session *s) {
  return (struct session_limits){ s->box.inflight_max, s->box.buffered_max };
}

enum session_state session_state(const struct session *s) {
  if (!s->ended) return s->state;
  return s->told && s->gone ? SESSION_IDLE : SESSION_DISCONNECTING;
}

struct session_stats session_stats(const struct session *s) {
  return (struct session_stats){ .inflight = s->box.inflight,
                                 .buffered = s->box.buffered,
                                 .ids_used = s->ids.count,
                                 .unknown_acks = s->unknown_acks,
                                 .unknown_type = s->unknown_type,
                                 .unknown_id = s->unknown_id,
                                 .last_id = s->ids.last };
}

/* The life of a connection. */

static struct packet session_connect_packet(const struct session_connect *c) {
  struct packet p = { .type = SPEC_CONNECT, .version = (uint8_t)c->version, .protocol_version = (uint8_t)c->version };
  p.protocol_name = slice_text("MQTT");
  p.client_id = c->client_id;
  p.clean = c->clean;
  p.keepalive_s = c->keepalive_s;
  p.username = c->username;
  p.has_username = c->has_username;
  p.password = c->password;
  p.has_password = c->has_password;
  p.will = c->will;
  p.has_will = c->has_will;
  return p;
}

static int64_t session_after(int64_t now_ns, int64_t wait_ns) {
  return wait_ns > SESSION_NEVER - now_ns ? SESSION_NEVER : now_ns + wait_ns;
}

void session_connect(struct session *s, const struct session_connect *c, int64_t now_ns) {
  assert(session_state(s) == SESSION_IDLE);
  struct packet p = session_connect_packet(c);
  bool fits = encode_packet(&s->flow.bytes, &p);
  assert(fits);
  s->state = SESSION_CONNECTING;
  s->ended = s->told = s->gone = s->wants_close = s->pinged = false;
  s->clean = c->clean;
  s->version = (uint8_t)c->version;
  s->keepalive_ns = c->keepalive_s * SESSION_SECOND_NS;
  s->moved_ns = now_ns;
  s->due_ns = c->timeout_ns > 0 ? session_after(now_ns, c->timeout_ns) : SESSION_NEVER;
  if (defect_is(DEFECT_CONNECT_TIMEOUT_IGNORED)) s->due_ns = SESSION_NEVER;
}

/* Every message and operation of this connection gets its code, or is kept. */
static void session_settle(struct session *s, enum session_end end) {
  uint64_t message = outbox_unwritten(&s->box), request = request_unwritten(&s->requests);
  uint64_t victim = message < request ? message : request;
  outbox_ended(&s->box, end, victim);
  request_ended(&s->requests, end, victim);
}

/* The connection is over; `type` and `code` tell it. An end that this side finds necessary is SESSION_END_LOCAL. */
static void session_finish(struct session *s, enum session_end end, enum session_event_type type, int code) {
  session_settle(s, end);
  eventq_put(&s->events, type, code, 0);
  if (type == SESSION_EVENT_LOST && defect_is(DEFECT_LOSS_TOLD_TWICE)) eventq_put(&s->events, type, code, 0);
  outflow_fini(&s->flow);
  inbox_ended(&s->in);
  if (s->clean && s->state != SESSION_CONNECTING) packetid_fini(&s->in.received);
  s->ended = true;
  s->pinged = false;
}

/* As the state has it: `reason` is for a connection that was up. */
static void session_end_now(struct session *s, enum session_end end, int reason) {
  switch (s->state) {
  case SESSION_CONNECTING: session_finish(s, end, SESSION_EVENT_CONNECTED, SESSION_SOCKET_ERROR); break;
  case SESSION_CONNECTED: session_finish(s, end, SESSION_EVENT_LOST, reason); break;
  case SESSION_DISCONNECTING: session_finish(s, end, SESSION_EVENT_DISCONNECTED, 0); break;
  case SESSION_IDLE: break;
  }
}

/* For what this side noticed. */
static void session_give_up(struct session *s, int reason) {
  s->wants_close = true;
  session_end_now(s, SESSION_END_LOCAL, reason);
}

void session_lost(struct session *s, enum session_end end, int64_t now_ns) {
  (void)now_ns;
  if (s->gone) return;
  s->gone = true;
  s->wants_close = false;
  if (!s->ended) session_end_now(s, end, SESSION_LOST_SOCKET);
}

void session_close(struct session *s, int64_t now_ns) {
  s->box.keep = false;
  if (!s->gone && !s->ended) {
    if (s->state == SESSION_CONNECTED) session_settle(s, SESSION_END_LOCAL);
    else session_lost(s, SESSION_END_LOCAL, now_ns);
  }
  outbox_drop(&s->box);
  outflow_fini(&s->flow);
  inbox_ended(&s->in);
  packetid_fini(&s->in.received);
  s->ended = false;
  s->gone = s->told = true;
  s->wants_close = false;
  s->state = SESSION_IDLE;
}

bool session_wants_close(const struct session *s) {
  return s->wants_close;
}

bool session_gave_up(const struct session *s) {
  return s->wants_close && s->ended;
}

bool session_disconnect(struct session *s, int64_t now_ns) {
  if (session_state(s) != SESSION_CONNECTED) return false;
  s->state = SESSION_DISCONNECTING;
  s->moved_ns = now_ns;
  bool fits = encode_empty(&s->flow.bytes, SPEC_DISCONNECT);
  assert(fits);
  if (defect_is(DEFECT_SENT_AFTER_DISCONNECT)) encode_empty(&s->flow.bytes, SPEC_PINGREQ);
  return true;
}

/* Events. */

/* All events were taken: nobody borrows from the last packet any more. */
static void session_release(struct session *s) {
  s->borrowed = false;
  inbox_release(&s->in);
  free(s->message);
  s->message = NULL;
}

bool session_next(struct session *s, struct session_event *out) {
  struct eventq_entry e;
  if (!eventq_take(&s->events, &e)) {
    session_release(s);
    return false;
  }
  *out = (struct session_event){
    .type = e.type, .code = e.code, .session_present = e.session_present, .number = e.number, .user = e.user
  };
  if (e.type == SESSION_EVENT_MESSAGE) out->packet = s->message;
  if (e.type == SESSION_EVENT_SUBSCRIBED && e.code == 0) out->codes = s->codes;
  if (e.type == SESSION_EVENT_RESULT) return true;
  if (e.type == SESSION_EVENT_LOST || e.type == SESSION_EVENT_DISCONNECTED ||
      (e.type == SESSION_EVENT_CONNECTED && e.code != 0))
    s->told = s->ended;
  return true;
}

bool session_has_event(const struct session *s) {
  return buffer_size(&s->events.entries) > 0;
}

/* What arrives. Each returns false if it has no place here: then the connection is given up. */

static bool session_reply(struct session *s, enum spec_type type, uint16_t packet_id) {
  /* Nothing may follow DISCONNECT [MQTT-3.14.4-2]. */
  if (s->state != SESSION_CONNECTED) return true;
  if (outflow_waiting(&s->flow) > SESSION_REPLIES_MAX + SESSION_OUTPUT_MAX + s->in.message_max) return false;
  return encode_ack(&s->flow.bytes, type, packet_id);
}

static void session_accepted(struct session *s, bool present) {
  s->state = SESSION_CONNECTED;
  s->due_ns = SESSION_NEVER;
  eventq_put_connected(&s->events, SESSION_SUCCESS, present);
  if (!present || defect_is(DEFECT_CLIENT_DEDUP_LOST)) packetid_fini(&s->in.received);
  outbox_resume(&s->box, present, !s->clean);
}

static bool session_connack(struct session *s, struct slice body) {
  uint8_t flags = body.data[0], code = body.data[1];
  if (s->state != SESSION_CONNECTING) return false;
  /* Reserved bits [MQTT-3.2.2-1]; a session where there can be none [MQTT-3.2.2-1], [MQTT-3.2.2-4]. */
  if (flags & ~1 || (flags && (s->clean || code))) return false;
  if (code == 0) {
    session_accepted(s, flags);
  } else {
    s->wants_close = true;
    session_finish(s, SESSION_END_LOCAL, SESSION_EVENT_CONNECTED, code);
  }
  return true;
}

static struct packet *session_message(struct session *s) {
  if (!s->message) s->message = mem_resize(NULL, sizeof *s->message);
  return s->message;
}

static bool session_publish_in(struct session *s, struct slice bytes, int64_t now_ns, int *reason) {
  /* What is not acknowledged before DISCONNECT comes again on a kept session. */
  if (s->state != SESSION_CONNECTED) return true;
  struct packet *p = session_message(s);
  if (!inbox_read_publish(bytes, s->version, p)) return false;
  if (s->in_rate && !rate_take(s->in_rate, now_ns)) {
    *reason = SESSION_LOST_RATE;
    return false;
  }
  if (p->qos < 2 || inbox_first_time(&s->in, p->packet_id)) {
    eventq_put(&s->events, SESSION_EVENT_MESSAGE, 0, 0);
    s->borrowed = true;
  }
  uint8_t answer = handshake_answer(p->qos);
  if (answer == SPEC_PUBACK && p->packet_id % 3 == 0 && defect_is(DEFECT_PUBACK_FORGOTTEN)) return true;
  uint16_t wrong = answer == SPEC_PUBACK && defect_is(DEFECT_PUBACK_WRONG_ID);
  return !answer || session_reply(s, answer, (uint16_t)(p->packet_id + wrong));
}

/* What fits nothing completes nothing. */
static void session_count_unknown(struct session *s, uint8_t type, uint16_t packet_id) {
  s->unknown_acks++;
  s->unknown_type = type;
  s->unknown_id = packet_id;
}

/* PUBACK, PUBREC, PUBCOMP. */
static bool session_acknowledgement(struct session *s, uint8_t type, uint16_t packet_id) {
  uint8_t *owner = packetid_find(&s->ids, packet_id), reply;
  if (!owner || *owner != SPEC_PUBLISH || !outbox_acknowledged(&s->box, (struct outbox_message *)owner, type, &reply)) {
    session_count_unknown(s, type, packet_id);
    return true;
  }
  return !reply || session_reply(s, reply, packet_id);
}

static bool session_codes_fit(struct slice codes) {
  for (size_t i = 0; i < codes.size; i++)
    if (codes.data[i] > 2 && codes.data[i] != 0x80) return false; /* [MQTT-3.9.3-2] */
  return true;
}

/* SUBACK and UNSUBACK. */
static bool session_answer(struct session *s, uint8_t type, uint16_t packet_id, struct slice codes) {
  uint8_t *owner = packetid_find(&s->ids, packet_id);
  bool suback = type == SPEC_SUBACK;
  if (suback && !session_codes_fit(codes)) return false;
  if (!owner || *owner != (suback ? SPEC_SUBSCRIBE : SPEC_UNSUBSCRIBE) ||
      !request_is_written(&s->requests, (struct request *)owner)) {
    session_count_unknown(s, type, packet_id);
    return true;
  }
  struct request *q = (struct request *)owner;
  if (suback && codes.size != q->count) return false; /* [MQTT-3.8.4-5] */
  s->codes = codes;
  s->borrowed = suback;
  request_done(&s->requests, q, SESSION_SUCCESS);
  return true;
}

static bool session_take_packet(struct session *s, struct slice bytes, int64_t now_ns, int *reason) {
  uint8_t type = bytes.data[0] >> 4;
  if (s->state == SESSION_CONNECTING && type != SPEC_CONNACK) return false;
  if (type == SPEC_PUBLISH) return session_publish_in(s, bytes, now_ns, reason);
  size_t header = 2;
  while (bytes.data[header - 1] & 0x80) header++; /* inbox has seen that the length is good */
  struct slice body = slice_from(bytes, header);
  if (type == SPEC_CONNACK) return session_connack(s, body);
  if (type == SPEC_PINGRESP) {
    s->pinged = false;
    return true;
  }
  uint16_t packet_id = (uint16_t)(body.data[0] << 8 | body.data[1]);
  if (packet_id == 0) return false; /* [MQTT-2.3.1-1] */
  switch (type) {
  case SPEC_PUBREL: packetid_release(&s->in.received, packet_id); return session_reply(s, SPEC_PUBCOMP, packet_id);
  case SPEC_SUBACK:
  case SPEC_UNSUBACK: return session_answer(s, type, packet_id, slice_from(body, 2));
  default: return session_acknowledgement(s, type, packet_id);
  }
}

size_t session_feed(struct session *s, struct slice bytes, int64_t now_ns) {
  if (s->ended || s->wants_close || s->gone || bytes.size == 0) return bytes.size;
  if (defect_is(DEFECT_KEEPALIVE_FROM_RECEIVING)) s->moved_ns = now_ns;
  assert(!s->borrowed); /* the events of the packet before were not taken */
  inbox_release(&s->in);
  struct slice packet;
  size_t taken;
  int reason = SESSION_LOST_PROTOCOL;
  switch (inbox_take(&s->in, bytes, &taken, &packet)) {
  case INBOX_MORE: return taken;
  case INBOX_WHOLE:
    if (session_take_packet(s, packet, now_ns, &reason)) return taken;
    break;
  case INBOX_TOO_LARGE: reason = SESSION_LOST_TOO_LARGE; break;
  case INBOX_MALFORMED: break;
  }
  session_give_up(s, reason);
  return bytes.size;
}

/* What goes out. */

static void session_fill(struct session *s) {
  do request_encode(&s->requests);
  while (outbox_encode_next(&s->box));
  request_encode(&s->requests);
}

struct slice session_output(struct session *s, int64_t now_ns) {
  (void)now_ns;
  if (session_state(s) == SESSION_CONNECTED) session_fill(s);
  return outflow_unwritten(&s->flow);
}

void session_wrote(struct session *s, size_t n, int64_t now_ns) {
  if (n == 0 || s->ended || s->gone) return;
  outflow_wrote(&s->flow, n);
  outbox_wrote(&s->box);
  if (!defect_is(DEFECT_KEEPALIVE_FROM_RECEIVING)) s->moved_ns = now_ns;
  if (s->state == SESSION_DISCONNECTING && outflow_waiting(&s->flow) == 0) s->wants_close = true;
}

bool session_full(const struct session *s) {
  return s->box.buffered >= s->box.buffered_max;
}

enum session_accept session_publish(struct session *s, const struct session_publish *p, int64_t now_ns,
                                    uint16_t *packet_id) {
  if (packet_id) *packet_id = 0;
  if (session_state(s) != SESSION_CONNECTED) return SESSION_NOT_CONNECTED;
  if (eventq_full(&s->events)) return SESSION_RATE_LIMITED;
  if (s->out_rate && rate_ready(s->out_rate, now_ns) > now_ns) return SESSION_RATE_LIMITED;
  uint16_t id;
  if (outbox_accept(&s->box, p, !s->requests.next, &id) && s->out_rate) rate_take(s->out_rate, now_ns);
  if (packet_id) *packet_id = id;
  return SESSION_ACCEPTED;
}

int session_subscribe(struct session *s, const struct packet_subscription *topics, size_t count, uint64_t user,
                      int64_t now_ns) {
  (void)now_ns;
  assert(count > 0 && count <= SESSION_TOPICS_MAX);
  if (session_state(s) != SESSION_CONNECTED) return SESSION_DISCONNECTED;
  return request_subscribe(&s->requests, topics, count, user);
}

int session_unsubscribe(struct session *s, const struct slice *filters, size_t count, uint64_t user, int64_t now_ns) {
  (void)now_ns;
  assert(count > 0 && count <= SESSION_TOPICS_MAX);
  if (session_state(s) != SESSION_CONNECTED) return SESSION_DISCONNECTED;
  return request_unsubscribe(&s->requests, filters, count, user);
}

bool session_raw(struct session *s, struct slice bytes) {
  if (s->ended || (s->state != SESSION_CONNECTING && s->state != SESSION_CONNECTED)) return false;
  return outflow_raw(&s->flow, bytes);
}

struct slice session_partial_in(const struct session *s) {
  return inbox_partial(&s->in);
}

struct slice session_partial_out(const struct session *s) {
  return outflow_partial(&s->flow);
}

/* Time. */

static int64_t session_ping_timeout_ns(const struct session *s) {
  int64_t most_ns = SESSION_PING_TIMEOUT_MAX_S * SESSION_SECOND_NS;
  return s->keepalive_ns < most_ns ? s->keepalive_ns : most_ns;
}

static int64_t session_next_ping_ns(const struct session *s) {
  if (s->pinged) return defect_is(DEFECT_PING_TIMEOUT_IGNORED) ? SESSION_NEVER : s->due_ns;
  if (!s->keepalive_ns) return SESSION_NEVER;
  return session_after(s->moved_ns, s->keepalive_ns / (defect_is(DEFECT_PING_TOO_OFTEN) ? 100 : 1));
}

int64_t session_deadline(const struct session *s) {
  if (s->ended || s->wants_close) return SESSION_NEVER;
  switch (s->state) {
  case SESSION_CONNECTING: return s->due_ns;
  case SESSION_CONNECTED: return session_next_ping_ns(s);
  case SESSION_DISCONNECTING: return session_after(s->moved_ns, SESSION_DISCONNECT_TIMEOUT_NS);
  case SESSION_IDLE: break;
  }
  return SESSION_NEVER;
}

/* The timeout counts from here also if the transport does not take the PINGREQ: it is as silent then. */
static void session_ping(struct session *s, int64_t now_ns) {
  bool fits = encode_empty(&s->flow.bytes, SPEC_PINGREQ);
  assert(fits);
  s->pinged = true;
  s->due_ns = session_after(now_ns, session_ping_timeout_ns(s));
}

void session_tick(struct session *s, int64_t now_ns) {
  if (now_ns < session_deadline(s)) return;
  if (s->state == SESSION_CONNECTED && !s->pinged) session_ping(s, now_ns);
  else session_give_up(s, SESSION_LOST_SOCKET);
}
