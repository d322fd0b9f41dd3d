/* session_drive: turns bytes into a life of a session (commands, inbound bytes, partial writes, time) and checks what
 * must hold whatever happens. Shared by the fuzz target and the property test; a broken invariant is an assert. */
#ifndef MQRIG_SESSION_DRIVE_H
#define MQRIG_SESSION_DRIVE_H

#include <assert.h>

#include "base/buffer.h"
#include "mqtt/decode.h"
#include "mqtt/session.h"
#include "mqtt/strict.h"

#define SESSION_DRIVE_SENDS 4096

enum session_drive_fate { SESSION_DRIVE_UNUSED, SESSION_DRIVE_PENDING, SESSION_DRIVE_REFUSED, SESSION_DRIVE_OVER };

struct session_drive_send {
  uint8_t fate, qos;
  bool touched; /* some of it was handed over, on any connection */
  bool whole;   /* all of it was */
  uint16_t packet_id;
};

struct session_drive {
  struct session *s;
  struct slice input;
  int64_t now_ns;
  struct session_drive_send sends[SESSION_DRIVE_SENDS]; /* by user, from 1 */
  uint32_t next_user, pending;
  uint16_t acks[64]; /* identifiers and types lately handed over, to be acknowledged */
  uint8_t ack_types[64];
  uint32_t ack_count;
  struct buffer wire;   /* of this connection: the packet in progress */
  uint64_t newest_user; /* of a PUBLISH on this connection */
  bool raw;             /* raw bytes went in: the wire may be anything from here */
  bool connecting, up, ending;
  uint64_t last_failed;
};

static inline uint8_t session_drive_byte(struct session_drive *d) {
  if (d->input.size == 0) return 0;
  uint8_t byte = d->input.data[0];
  d->input = slice_from(d->input, 1);
  return byte;
}

static inline uint64_t session_drive_user(struct slice payload) {
  uint64_t user = 0;
  assert(payload.size >= 4);
  memcpy(&user, payload.data, 4);
  return user;
}

static inline void session_drive_result(struct session_drive *d, const struct session_event *e) {
  assert(e->user > 0 && e->user < d->next_user);
  struct session_drive_send *m = &d->sends[e->user];
  assert(m->fate == SESSION_DRIVE_PENDING);
  m->fate = SESSION_DRIVE_OVER;
  d->pending--;
  switch (e->code) {
  case SESSION_SUCCESS: assert(m->whole || d->raw); break;
  case SESSION_DISCONNECTED: assert(!m->touched); break;
  case SESSION_NO_MORE_IDS:
  case SESSION_MAX_BUFFERED: assert(!m->touched && m->packet_id == 0); break;
  case SESSION_SOCKET_ERROR: assert(!m->whole); break;
  default: assert(e->code == SESSION_INCOMPLETE && (m->touched || d->raw)); break;
  }
  if (d->ending && e->code < 0) {
    assert(e->user > d->last_failed || e->code == SESSION_MAX_BUFFERED);
    if (e->code != SESSION_MAX_BUFFERED) d->last_failed = e->user;
  }
}

static inline void session_drive_event(struct session_drive *d, const struct session_event *e) {
  switch (e->type) {
  case SESSION_EVENT_RESULT: session_drive_result(d, e); break;
  case SESSION_EVENT_CONNECTED:
    assert(d->connecting);
    d->connecting = false;
    d->up = e->code == 0;
    break;
  case SESSION_EVENT_LOST:
  case SESSION_EVENT_DISCONNECTED:
    assert(d->up);
    d->up = false;
    break;
  case SESSION_EVENT_MESSAGE: {
    struct strict_violation violations[STRICT_VIOLATIONS_MAX];
    assert(strict_check(e->packet, SPEC_BROKER, violations) == 0);
    break;
  }
  case SESSION_EVENT_SUBSCRIBED: assert(e->code != 0 || (e->codes.size > 0 && e->codes.data)); break;
  case SESSION_EVENT_UNSUBSCRIBED: break;
  }
}

static inline void session_drive_drain(struct session_drive *d) {
  struct session_event e;
  while (session_next(d->s, &e)) session_drive_event(d, &e);
}

/* The transport is gone: what was on its way is of no interest any more. */
static inline void session_drive_over(struct session_drive *d) {
  d->ending = true;
  d->last_failed = 0;
  session_drive_drain(d);
  d->ending = false;
  assert(!d->up && !d->connecting);
  assert(session_state(d->s) == SESSION_IDLE);
  assert(session_output(d->s, d->now_ns).size == 0);
  assert(session_deadline(d->s) == INT64_MAX);
  buffer_fini(&d->wire);
  d->ack_count = 0;
}

static inline void session_drive_settle(struct session_drive *d) {
  if (session_wants_close(d->s)) {
    session_lost(d->s, SESSION_END_LOCAL, d->now_ns);
    session_drive_over(d);
  } else {
    session_drive_drain(d);
  }
}

/* A whole packet was handed over. */
static inline void session_drive_sent(struct session_drive *d, const struct packet *p) {
  struct strict_violation violations[STRICT_VIOLATIONS_MAX];
  assert(strict_check(p, SPEC_CLIENT, violations) == 0);
  if (p->packet_id && p->type != SPEC_PUBACK && p->type != SPEC_PUBREC && p->type != SPEC_PUBCOMP) {
    d->acks[d->ack_count % 64] = p->packet_id;
    d->ack_types[d->ack_count++ % 64] = (uint8_t)(p->type << 4 | p->qos);
  }
  if (p->type != SPEC_PUBLISH) return;
  uint64_t user = session_drive_user(p->payload);
  struct session_drive_send *m = &d->sends[user];
  assert(user > d->newest_user); /* first in, first out */
  d->newest_user = user;
  assert(p->packet_id == m->packet_id && p->qos == m->qos);
  if (p->dup) assert(m->touched);
  m->whole = m->touched = true;
}

/* The packet in progress belongs to somebody if its payload has begun; before that it is found when it is whole. */
static inline void session_drive_touch(struct session_drive *d) {
  struct slice held = buffer_slice(&d->wire);
  if (d->raw) return;
  struct slice partial = session_partial_out(d->s);
  assert(slice_equal(partial, held));
  if (held.size == 0 || held.data[0] >> 4 != SPEC_PUBLISH) return;
  /* Messages go in order: it is the first pending one that is newer than all on this connection. */
  for (uint64_t user = d->newest_user + 1; user < d->next_user; user++) {
    struct session_drive_send *m = &d->sends[user];
    if (m->fate != SESSION_DRIVE_PENDING) continue;
    m->touched = true;
    return;
  }
}

static inline void session_drive_write(struct session_drive *d, size_t n) {
  struct slice out = slice_first(session_output(d->s, d->now_ns), n);
  struct packet p;
  if (out.size == 0) return;
  if (!d->raw) assert(buffer_append(&d->wire, out));
  session_wrote(d->s, out.size, d->now_ns);
  while (!d->raw) {
    enum decode_result result = decode_packet(buffer_slice(&d->wire), SPEC_3_1_1, &p, NULL);
    assert(result != DECODE_BAD);
    if (result == DECODE_NEED_MORE) break;
    session_drive_sent(d, &p);
    buffer_consume(&d->wire, p.raw.size);
  }
  session_drive_touch(d);
  session_drive_settle(d);
}

static inline void session_drive_feed(struct session_drive *d, struct slice bytes) {
  while (bytes.size) {
    size_t n = session_feed(d->s, bytes, d->now_ns);
    assert(n > 0 && n <= bytes.size);
    bytes = slice_from(bytes, n);
    session_drive_settle(d);
  }
}

static inline void session_drive_connect(struct session_drive *d) {
  uint8_t how = session_drive_byte(d);
  struct session_connect c = { .client_id = slice_text("c"), .clean = how & 1, .keepalive_s = how >> 4 };
  if (session_state(d->s) != SESSION_IDLE) return;
  c.version = SPEC_3_1_1;
  c.timeout_ns = 1000000000 * (int64_t)(how >> 3 & 7);
  session_connect(d->s, &c, d->now_ns);
  d->connecting = true;
  d->newest_user = 0;
  if (how & 2) return;
  uint8_t connack[] = { 0x20, 2, !(how & 1) && how & 4, 0 };
  session_drive_write(d, SIZE_MAX);
  session_drive_feed(d, slice_of(connack, sizeof connack));
  assert(d->up && session_state(d->s) == SESSION_CONNECTED);
}

static inline void session_drive_publish(struct session_drive *d) {
  uint8_t how = session_drive_byte(d);
  static uint8_t payload[70000];
  uint32_t user = d->next_user;
  size_t size = 4 + (how & 0x80 ? (size_t)(how >> 2) * 1000 : how >> 3);
  struct session_publish p = { slice_text("t/x"), slice_of(payload, size), how % 3, how & 4, user };
  if (user == SESSION_DRIVE_SENDS) return;
  memcpy(payload, &user, 4);
  struct session_drive_send *m = &d->sends[user];
  enum session_accept accept = session_publish(d->s, &p, d->now_ns, &m->packet_id);
  assert((accept == SESSION_NOT_CONNECTED) == (session_state(d->s) != SESSION_CONNECTED));
  if (accept != SESSION_ACCEPTED) return;
  for (uint32_t other = 1; other < user; other++)
    assert(!m->packet_id || d->sends[other].fate != SESSION_DRIVE_PENDING || d->sends[other].packet_id != m->packet_id);
  m->fate = SESSION_DRIVE_PENDING;
  m->qos = p.qos;
  d->pending++;
  d->next_user++;
}

static inline void session_drive_request(struct session_drive *d) {
  uint8_t how = session_drive_byte(d);
  struct packet_subscription topics[3] = { { slice_text("a/#"), 0, 0 },
                                           { slice_text("+"), 1, 1 },
                                           { slice_text("x"), 2, 2 } };
  struct slice filters[3] = { topics[0].filter, topics[1].filter, topics[2].filter };
  int code = how & 4 ? session_subscribe(d->s, topics, 1 + how % 3, how, d->now_ns)
                     : session_unsubscribe(d->s, filters, 1 + how % 3, how, d->now_ns);
  assert((code == SESSION_DISCONNECTED) == (session_state(d->s) != SESSION_CONNECTED));
}

/* Acknowledges something that was sent, mostly as it should be. */
static inline void session_drive_acknowledge(struct session_drive *d) {
  uint8_t how = session_drive_byte(d);
  if (d->ack_count == 0) return;
  uint32_t known = d->ack_count < 64 ? d->ack_count : 64, which = (d->ack_count - 1 - how % known) % 64;
  uint8_t sent = d->ack_types[which], type = SPEC_PUBACK;
  if ((sent & 15) == 2) type = SPEC_PUBREC;
  if (sent >> 4 == SPEC_PUBREL) type = SPEC_PUBCOMP;
  if (sent >> 4 == SPEC_UNSUBSCRIBE) type = SPEC_UNSUBACK;
  uint8_t bytes[] = { (uint8_t)(type << 4), 2, (uint8_t)(d->acks[which] >> 8), (uint8_t)d->acks[which], 0 };
  size_t size = 4;
  if (sent >> 4 == SPEC_SUBSCRIBE) {
    bytes[0] = SPEC_SUBACK << 4;
    bytes[1] = 3;
    size = 5;
  }
  if (how & 0x80) bytes[3]++;
  for (size_t i = 0; i < size; i += how & 0x40 ? 1 : size)
    session_drive_feed(d, slice_of(bytes + i, how & 0x40 ? 1 : size));
}

/* A good PUBLISH to the client. */
static inline void session_drive_deliver(struct session_drive *d) {
  uint8_t how = session_drive_byte(d), qos = how % 3;
  uint8_t bytes[] = { (uint8_t)(0x30 | qos << 1), (uint8_t)(qos ? 7 : 5), 0, 1, 'a', 0, how, 'x', 'y' };
  if (!qos) memcpy(bytes + 5, "xy", 2);
  size_t size = 2u + bytes[1];
  if (qos && how & 0x80) bytes[6] = 1;
  if (qos && bytes[6] == 0) bytes[6] = 1;
  session_drive_feed(d, slice_of(bytes, size));
}

static inline void session_drive_bytes(struct session_drive *d, bool raw) {
  size_t n = session_drive_byte(d) % 24;
  if (n > d->input.size) n = d->input.size;
  struct slice bytes = slice_first(d->input, n);
  d->input = slice_from(d->input, n);
  if (raw && session_raw(d->s, bytes)) d->raw |= n > 0;
  else if (!raw) session_drive_feed(d, bytes);
}

static inline void session_drive_tick(struct session_drive *d) {
  int64_t due_ns = session_deadline(d->s);
  uint8_t how = session_drive_byte(d);
  if (how & 1 && due_ns != INT64_MAX && due_ns > d->now_ns) d->now_ns = due_ns;
  else d->now_ns += (int64_t)how * 10000000;
  session_tick(d->s, d->now_ns);
  assert(session_deadline(d->s) > d->now_ns || session_deadline(d->s) == INT64_MAX);
  session_drive_settle(d);
}

static inline void session_drive_close(struct session_drive *d) {
  session_close(d->s, d->now_ns);
  d->up = d->up && false;
  struct session_event e;
  d->ending = true;
  d->last_failed = 0;
  while (session_next(d->s, &e)) {
    if (e.type == SESSION_EVENT_DISCONNECTED) continue;
    session_drive_event(d, &e);
  }
  d->ending = false;
  assert(d->pending == 0 && !d->connecting);
  struct session_stats stats = session_stats(d->s);
  assert(stats.inflight == 0 && stats.buffered == 0 && stats.ids_used == 0);
  buffer_fini(&d->wire);
  d->ack_count = 0;
}

static inline void session_drive_step(struct session_drive *d) {
  uint8_t op = session_drive_byte(d);
  switch (op & 31) {
  case 0:
  case 1: session_drive_connect(d); break;
  case 2: session_drive_request(d); break;
  case 3: session_drive_bytes(d, false); break;
  case 4: session_drive_tick(d); break;
  case 5:
    if (session_state(d->s) == SESSION_IDLE || op & 0x80) break;
    session_drive_drain(d);
    session_lost(d->s, (enum session_end)(op >> 5 & 3), d->now_ns);
    session_drive_over(d);
    break;
  case 6:
    if (op & 0xc0) break;
    session_disconnect(d->s, d->now_ns);
    break;
  case 7:
    if (op == 7) session_drive_close(d);
    break;
  case 8:
    if (op == 8) session_drive_bytes(d, true);
    break;
  case 9: session_drive_deliver(d); break;
  case 10:
  case 11:
  case 12: session_drive_write(d, SIZE_MAX); break;
  case 13:
  case 14:
  case 15:
  case 16: session_drive_write(d, session_drive_byte(d)); break;
  case 17:
  case 18:
  case 19:
  case 20:
  case 21: session_drive_acknowledge(d); break;
  default: session_drive_publish(d); break;
  }
  struct session_stats stats = session_stats(d->s);
  assert(session_output(d->s, d->now_ns).size < SESSION_REPLIES_MAX);
  assert(stats.buffered <= 40 + 3 && stats.ids_used <= 65535);
}

static inline void session_drive(const uint8_t *bytes, size_t size) {
  static struct session_drive d;
  d = (struct session_drive){ .input = slice_of(bytes, size), .now_ns = 1, .next_user = 1 };
  struct session_options options = { .buffered_max = 40, .message_max = 300, .inflight_max = 7 };
  uint8_t how = session_drive_byte(&d);
  if (how & 1) options.inflight_max = 100;
  if (how & 2) options.in_per_s = 100, options.in_burst = 20;
  if (how & 4) options.out_per_s = 1000, options.out_burst = 20;
  d.s = session_new(&options);
  buffer_init(&d.wire, 1u << 24);
  while (d.input.size) session_drive_step(&d);
  session_drive_close(&d);
  session_free(d.s);
  buffer_fini(&d.wire);
}

#endif
