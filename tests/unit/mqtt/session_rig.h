/* session_rig: drives a session bytes in, bytes out, for its tests: keeps the events, and what was handed over. */
#ifndef MQRIG_SESSION_RIG_H
#define MQRIG_SESSION_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "mqtt/session.h"

#define SESSION_RIG_EVENTS 64
#define SESSION_RIG_S      INT64_C(1000000000)

struct session_rig_event {
  enum session_event_type type;
  int code;
  bool session_present;
  uint64_t user;
  struct packet packet;
  uint8_t codes[16];
  size_t code_count;
};

struct session_rig {
  struct session *s;
  int64_t now_ns;
  struct session_rig_event events[SESSION_RIG_EVENTS]; /* not yet looked at */
  size_t first, count;
  struct buffer wire; /* handed over, not yet looked at */
};

static inline void session_rig_init(struct session_rig *r, const struct session_options *options) {
  static const struct session_options defaults;
  *r = (struct session_rig){ .s = session_new(options ? options : &defaults), .now_ns = 5 };
  buffer_init(&r->wire, 1u << 30);
}

static inline void session_rig_fini(struct session_rig *r) {
  session_free(r->s);
  buffer_fini(&r->wire);
}

static inline void session_rig_drain(struct session_rig *r) {
  struct session_event e;
  while (session_next(r->s, &e)) {
    assert_true(r->count < SESSION_RIG_EVENTS);
    struct session_rig_event *to = &r->events[r->count++];
    *to = (struct session_rig_event){ e.type, e.code, e.session_present, e.user, { 0 }, { 0 }, e.codes.size };
    if (e.packet) to->packet = *e.packet;
    if (e.codes.size) memcpy(to->codes, e.codes.data, e.codes.size);
  }
}

/* The transport takes `n` bytes, or all there are. */
static inline size_t session_rig_write(struct session_rig *r, size_t n) {
  size_t total = 0;
  for (struct slice out = session_output(r->s, r->now_ns); out.size && total < n;
       out = session_output(r->s, r->now_ns)) {
    out = slice_first(out, n - total);
    assert_true(buffer_append(&r->wire, out));
    total += out.size;
    session_wrote(r->s, out.size, r->now_ns);
  }
  session_rig_drain(r);
  return total;
}

#define session_rig_write_all(r) session_rig_write(r, SIZE_MAX)

/* Takes the next packet that was handed over completely; false if there is none. Valid until the next write. */
static inline bool session_rig_sent(struct session_rig *r, struct packet *p) {
  if (decode_packet(buffer_slice(&r->wire), SPEC_3_1_1, p, NULL) != DECODE_OK) return false;
  buffer_consume(&r->wire, p->raw.size);
  return true;
}

static inline void session_rig_expect_sent(struct session_rig *r, unsigned type, unsigned packet_id) {
  static uint8_t copy[1 << 20];
  struct packet p;
  struct slice held = buffer_slice(&r->wire);
  assert_true(held.size < sizeof copy);
  if (held.size) memcpy(copy, held.data, held.size);
  assert_true(session_rig_sent(r, &p));
  assert_int_equal(p.type, type);
  assert_int_equal(p.packet_id, packet_id);
}

static inline void session_rig_forget_sent(struct session_rig *r) {
  buffer_fini(&r->wire);
}

static inline void session_rig_feed(struct session_rig *r, const void *bytes, size_t size) {
  struct slice rest = slice_of(bytes, size);
  while (rest.size) {
    rest = slice_from(rest, session_feed(r->s, rest, r->now_ns));
    session_rig_drain(r);
  }
}

#define session_rig_feed_bytes(r, ...)                                                                                 \
  session_rig_feed(r, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static inline void session_rig_ack(struct session_rig *r, enum spec_type type, uint16_t id) {
  session_rig_feed_bytes(r, (uint8_t)(type << 4 | spec_packet(type)->flags), 2, (uint8_t)(id >> 8), (uint8_t)id);
}

static inline void session_rig_begin(struct session_rig *r, bool clean, uint16_t keepalive_s) {
  struct session_connect c = { .client_id = slice_text("c"), .clean = clean, .keepalive_s = keepalive_s };
  c.timeout_ns = 10 * SESSION_RIG_S;
  c.version = SPEC_3_1_1;
  session_connect(r->s, &c, r->now_ns);
}

static inline struct session_rig_event session_rig_event(struct session_rig *r, enum session_event_type type) {
  assert_true(r->first < r->count);
  struct session_rig_event e = r->events[r->first++];
  if (r->first == r->count) r->first = r->count = 0;
  assert_int_equal(e.type, type);
  return e;
}

static inline void session_rig_quiet(struct session_rig *r) {
  session_rig_drain(r);
  assert_int_equal(r->count, 0);
}

static inline void session_rig_result(struct session_rig *r, uint64_t user, int code) {
  struct session_rig_event e = session_rig_event(r, SESSION_EVENT_RESULT);
  assert_int_equal(e.user, user);
  assert_int_equal(e.code, code);
}

static inline void session_rig_code(struct session_rig *r, enum session_event_type type, int code) {
  assert_int_equal(session_rig_event(r, type).code, code);
}

static inline void session_rig_connect(struct session_rig *r, bool clean, bool present, uint16_t keepalive_s) {
  session_rig_begin(r, clean, keepalive_s);
  session_rig_write_all(r);
  session_rig_feed_bytes(r, 0x20, 2, present, 0);
  struct session_rig_event e = session_rig_event(r, SESSION_EVENT_CONNECTED);
  assert_int_equal(e.code, 0);
  assert_int_equal(e.session_present, present);
  session_rig_forget_sent(r);
}

static inline uint16_t session_rig_publish(struct session_rig *r, uint8_t qos, uint64_t user) {
  struct session_publish p = { slice_text("a/b"), slice_text("0123456789abcdef"), qos, false, user };
  uint16_t id;
  assert_int_equal(session_publish(r->s, &p, r->now_ns, &id), SESSION_ACCEPTED);
  return id;
}

static inline void session_rig_lose(struct session_rig *r, enum session_end end) {
  session_lost(r->s, end, r->now_ns);
  session_rig_drain(r);
}

static inline void session_rig_tick(struct session_rig *r, int64_t later_ns) {
  r->now_ns += later_ns;
  session_tick(r->s, r->now_ns);
}

#endif
