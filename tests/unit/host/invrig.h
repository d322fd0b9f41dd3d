/* invrig: histories for the tests of the invariants: a client and a broker, both ours, and what they do.
 *
 * Each history is played twice: as it should be, which breaks nothing, and with a breach planted in it.
 */
#ifndef MQRIG_INVRIG_H
#define MQRIG_INVRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "host/invariant.h"
#include "mqtt/encode.h"

#define INVRIG_S    1000000000
#define INVRIG_PEER 1

struct invrig {
  struct timeline *timeline;
  int64_t now_ns;
  uint32_t c1, c2, b1, b2, b3; /* two clients, and connections of one broker */
  bool settled;
};

struct invrig_history {
  unsigned number;
  void (*play)(struct invrig *r, bool plant);
};

static inline void event(struct invrig *r, uint32_t who, enum event_what what, int code, uint16_t id, uint64_t value) {
  timeline_add_event(r->timeline, r->now_ns, who, (struct event){ what, code, id, value });
}

static inline void at(struct invrig *r, uint32_t who, enum timeline_kind kind, struct packet p) {
  struct buffer b;
  buffer_init(&b, 1u << 20);
  if (!p.version) p.version = SPEC_3_1_1;
  if (!p.flags) p.flags = packet_flags(&p);
  assert_true(encode_packet(&b, &p));
  timeline_add(r->timeline, r->now_ns, who, kind, buffer_slice(&b));
  buffer_fini(&b);
}

static inline void text(struct invrig *r, uint32_t who, enum timeline_kind kind, const char *words) {
  timeline_add(r->timeline, r->now_ns, who, kind, slice_text(words));
}

static inline struct packet connect_packet(const char *id, bool clean, uint16_t keepalive_s) {
  return (struct packet){ .type = SPEC_CONNECT,
                          .protocol_name = slice_text("MQTT"),
                          .protocol_version = SPEC_3_1_1,
                          .client_id = slice_text(id),
                          .clean = clean,
                          .keepalive_s = keepalive_s };
}

static inline struct packet connack_packet(bool present) {
  return (struct packet){ .type = SPEC_CONNACK, .session_present = present, .connack_flags = present };
}

static inline struct packet publish_packet(uint8_t qos, uint16_t id, const char *payload) {
  return (struct packet){
    .type = SPEC_PUBLISH, .qos = qos, .packet_id = id, .topic = slice_text("a/b"), .payload = slice_text(payload)
  };
}

static inline struct packet again(struct packet p) {
  p.dup = true;
  return p;
}

static inline struct packet retained(struct packet p) {
  p.retain = true;
  return p;
}

static inline struct packet ack(uint8_t type, uint16_t id) {
  return (struct packet){ .type = type, .packet_id = id };
}

/* SUBSCRIBE to "a/#" or "a/b", or its UNSUBSCRIBE or SUBACK. */
static inline struct packet subscribe_packet(uint8_t type, uint16_t id, uint8_t qos) {
  static const uint8_t wild[] = { 0, 3, 'a', '/', '#', 0, 0, 3, 'a', '/', '#', 1, 0, 3, 'a', '/', '#', 2 };
  static const uint8_t granted[] = { 0, 1, 2 };
  struct packet p = ack(type, id);
  if (type == SPEC_SUBSCRIBE) p.items = slice_of(wild + qos * 6, 6);
  if (type == SPEC_UNSUBSCRIBE) p.items = slice_of(wild, 5);
  if (type == SPEC_SUBACK) p.items = slice_of(granted + qos, 1);
  return p;
}

/* What goes over a healthy wire. */
static inline void up(struct invrig *r, struct packet p) {
  at(r, r->c1, TIMELINE_UP, p);
  at(r, r->b1, TIMELINE_UP, p);
}

static inline void down(struct invrig *r, struct packet p) {
  at(r, r->b1, TIMELINE_DOWN, p);
  at(r, r->c1, TIMELINE_DOWN, p);
}

static inline uint64_t content(const char *payload) {
  return event_content(slice_text("a/b"), slice_text(payload));
}

/* The first client takes a message to be sent; it is given one. */
static inline void send(struct invrig *r, uint8_t qos, uint16_t id, const char *payload) {
  event(r, r->c1, EVENT_SEND, qos, id, content(payload));
}

static inline void given(struct invrig *r, uint8_t qos, uint16_t id, const char *payload) {
  event(r, r->c1, EVENT_MESSAGE, qos, id, content(payload));
}

static inline void result(struct invrig *r, uint64_t number, int code) {
  event(r, r->c1, EVENT_RESULT, code, 0, number);
}

static inline void accepted(struct invrig *r, uint32_t conn) {
  event(r, conn, EVENT_ACCEPTED, 0, 0, INVRIG_PEER);
  text(r, conn, TIMELINE_OPEN, "from 127.0.0.1:5 to 127.0.0.1:9");
}

/* The first client connects, as far as the CONNACK of the broker's connection r->b1. */
static inline void dial(struct invrig *r, struct packet connect) {
  event(r, r->c1, EVENT_DIAL, 0, 0, 10 * (uint64_t)INVRIG_S);
  text(r, r->c1, TIMELINE_OPEN, "127.0.0.1:5 to 127.0.0.1:9");
  accepted(r, r->b1);
  up(r, connect);
}

static inline void welcome(struct invrig *r, bool present) {
  down(r, connack_packet(present));
  event(r, r->c1, EVENT_CONNECTED, 0, present, 0);
}

static inline void begin(struct invrig *r) {
  dial(r, connect_packet("c1", false, 0));
  welcome(r, false);
}

/* The connection fails; the next one is the broker's connection r->b2. */
static inline void lose(struct invrig *r) {
  text(r, r->c1, TIMELINE_END, "reset by the other end");
  event(r, r->c1, EVENT_LOST, -1, 0, 0);
  text(r, r->b1, TIMELINE_END, "reset by the other end");
  r->b1 = r->b2;
  r->b2 = r->b3;
}

static inline void resume(struct invrig *r) {
  dial(r, connect_packet("c1", false, 0));
  welcome(r, true);
}

/* A broker's connection by itself, of somebody that is not ours. */
static inline void join(struct invrig *r, uint32_t conn, struct packet connect, bool present) {
  accepted(r, conn);
  at(r, conn, TIMELINE_UP, connect);
  at(r, conn, TIMELINE_DOWN, connack_packet(present));
}

static inline void invrig_open(struct invrig *r) {
  *r = (struct invrig){ .timeline = timeline_new(0) };
  r->c1 = timeline_who(r->timeline, "c1");
  r->c2 = timeline_who(r->timeline, "c2");
  r->b1 = timeline_who(r->timeline, "b#1");
  r->b2 = timeline_who(r->timeline, "b#2");
  r->b3 = timeline_who(r->timeline, "b#3");
  event(r, r->c1, EVENT_CLIENT, 0, 0, (uint64_t)10 << 16 | 65535);
  event(r, 0, EVENT_PEER, 0, 65535, (uint64_t)2 << 32 | INVRIG_PEER);
}

/* The numbers of what was broken: "4 8", in the order in which it showed. */
static inline void invrig_judge(struct invrig *r, char *to, size_t size) {
  struct invariant *v = invariant_new(&(struct invariant_options){ 0 });
  size_t used = 0;
  if (r->settled) event(r, 0, EVENT_SETTLED, 0, 0, 0);
  invariant_follow(v, r->timeline);
  invariant_finish(v, r->now_ns);
  to[0] = '\0';
  for (size_t i = 0; i < invariant_violations(v) && used < size; i++) {
    const struct invariant_violation *b = invariant_violation(v, i);
    used += (size_t)snprintf(to + used, size - used, "%s%u", i ? " " : "", b->number);
    print_message("%s: %s\n", invariant_row(b->number)->id, b->text);
  }
  invariant_free(v);
  timeline_free(r->timeline);
}

static inline void invrig_play(const struct invrig_history *h, bool plant) {
  struct invrig r;
  char got[256], want[16] = "";
  invrig_open(&r);
  h->play(&r, plant);
  invrig_judge(&r, got, sizeof got);
  if (plant) snprintf(want, sizeof want, "%u", h->number);
  assert_string_equal(got, want);
}

static void test_accepts_what_is_right(void **state) {
  invrig_play(*state, false);
}

static void test_catches_what_is_planted(void **state) {
  invrig_play(*state, true);
}

/* Two tests of each history. */
static inline int invrig_run(const struct invrig_history *histories, size_t count) {
  struct CMUnitTest *tests = mem_zero(2 * count * sizeof *tests);
  char(*names)[2][64] = mem_zero(count * sizeof *names);
  for (size_t i = 0; i < count; i++) {
    const char *id = invariant_row(histories[i].number)->id;
    for (int planted = 0; planted < 2; planted++) {
      snprintf(names[i][planted], sizeof names[i][planted], "%s, %s", id, planted ? "planted" : "kept");
      tests[2 * i + (size_t)planted] = (struct CMUnitTest){
        .name = names[i][planted],
        .test_func = planted ? test_catches_what_is_planted : test_accepts_what_is_right,
        .initial_state = (void *)&histories[i],
      };
    }
  }
  int failed = _cmocka_run_group_tests("invariants", tests, 2 * count, NULL, NULL);
  free(tests);
  free(names);
  return failed;
}

#endif
