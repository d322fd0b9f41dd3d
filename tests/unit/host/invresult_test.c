/* Invariants 24 to 36: what a client tells its scenario, what has its time, and what must be well in the end. */
#include "invrig.h"

static void later(struct invrig *r, double seconds) {
  r->now_ns += (int64_t)(seconds * INVRIG_S);
}

static void note(struct invrig *r) {
  text(r, 0, TIMELINE_NOTE, "something");
}

static void close_client(struct invrig *r) {
  event(r, r->c1, EVENT_CLOSE, 0, 0, 0);
  text(r, r->c1, TIMELINE_END, "closed by this end");
}

static void begin_alive(struct invrig *r, uint16_t keepalive_s) {
  event(r, r->c1, EVENT_DIAL, 0, 0, 0);
  text(r, r->c1, TIMELINE_OPEN, "127.0.0.1:5 to 127.0.0.1:9");
  at(r, r->c1, TIMELINE_UP, connect_packet("c1", false, keepalive_s));
  at(r, r->c1, TIMELINE_DOWN, connack_packet(false));
  event(r, r->c1, EVENT_CONNECTED, 0, 0, 0);
}

static void ping(struct invrig *r) {
  event(r, r->c1, EVENT_PING, 0, 0, 0);
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  at(r, r->c1, TIMELINE_DOWN, ack(SPEC_PINGRESP, 0));
}

static void history_24_twice(struct invrig *r, bool plant) {
  begin(r);
  send(r, 0, 0, "m1");
  up(r, publish_packet(0, 0, "m1"));
  result(r, 1, 0);
  if (plant) result(r, 1, 0);
}

static void history_24_none(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  send(r, 1, 2, "m2");
  close_client(r);
  result(r, 1, -3);
  if (!plant) result(r, 2, -3);
  event(r, r->c1, EVENT_CLOSED, 0, 0, 0);
}

static void history_24_order(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  send(r, 1, 2, "m2");
  close_client(r);
  result(r, plant ? 2 : 1, -3);
  result(r, plant ? 1 : 2, -3);
  event(r, r->c1, EVENT_CLOSED, 0, 0, 0);
}

static void history_24_code(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  close_client(r);
  result(r, 1, plant ? -7 : -11);
  event(r, r->c1, EVENT_CLOSED, 0, 0, 0);
}

/* A request does not outlive its connection, a message does. */
static void history_24_request(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  event(r, r->c1, EVENT_REQUEST, 0, 2, 0);
  text(r, r->c1, TIMELINE_END, "reset by the other end");
  if (!plant) result(r, 2, -3);
  event(r, r->c1, EVENT_LOST, -1, 0, 0);
}

static void history_25_ack(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  if (!plant) down(r, ack(SPEC_PUBACK, 1));
  result(r, 1, 0);
}

/* PUBREC is not the end of it. */
static void history_25_qos2(struct invrig *r, bool plant) {
  begin(r);
  send(r, 2, 1, "m1");
  up(r, publish_packet(2, 1, "m1"));
  down(r, ack(SPEC_PUBREC, 1));
  up(r, ack(SPEC_PUBREL, 1));
  if (!plant) down(r, ack(SPEC_PUBCOMP, 1));
  result(r, 1, 0);
}

static void history_25_qos0(struct invrig *r, bool plant) {
  begin(r);
  send(r, 0, 0, "m1");
  if (!plant) up(r, publish_packet(0, 0, "m1"));
  result(r, 1, 0);
}

/* All identifiers in use: one more is refused, and one acknowledgement makes room for one. */
static void history_26_full(struct invrig *r, bool plant) {
  begin(r);
  for (unsigned id = 1; id <= 65535; id++) {
    send(r, 1, (uint16_t)id, "m");
    at(r, r->c1, TIMELINE_UP, publish_packet(1, (uint16_t)id, "m"));
  }
  event(r, r->c1, EVENT_SEND, 1 | EVENT_REFUSED, 0, content("m"));
  result(r, 65536, -10);
  at(r, r->c1, TIMELINE_DOWN, ack(SPEC_PUBACK, 500));
  result(r, 500, 0);
  event(r, r->c1, EVENT_SEND, 1 | (plant ? EVENT_REFUSED : 0), plant ? 0 : 500, content("m"));
  if (plant) result(r, 65537, -10);
}

static void history_27_lost_twice(struct invrig *r, bool plant) {
  begin(r);
  lose(r);
  if (plant) event(r, r->c1, EVENT_LOST, -1, 0, 0);
}

static void history_27_untold(struct invrig *r, bool plant) {
  begin(r);
  text(r, r->c1, TIMELINE_END, "reset by the other end");
  if (!plant) event(r, r->c1, EVENT_LOST, -1, 0, 0);
  later(r, 1);
  note(r);
}

/* Told of one connect, and it connects again. */
static void history_27_refused(struct invrig *r, bool plant) {
  event(r, r->c1, EVENT_DIAL, 0, 0, 10 * (uint64_t)INVRIG_S);
  text(r, r->c1, TIMELINE_END, "connection refused");
  if (!plant) event(r, r->c1, EVENT_CONNECTED, -1, 0, 0);
  if (!plant) event(r, r->c1, EVENT_DIAL, 0, 0, 10 * (uint64_t)INVRIG_S);
  later(r, 1);
  note(r);
  event(r, r->c1, EVENT_CONNECTED, -1, 0, 0);
}

/* Somebody's clock has jumped: what was to come by the one before is not looked for. */
static void history_29_jumped(struct invrig *r, bool plant) {
  begin_alive(r, 10);
  later(r, 4);
  event(r, 0, EVENT_CLOCKS, 0, 0, 0);
  ping(r);
  later(r, plant ? 9 : 10);
  ping(r);
}

static void history_27_disconnected(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_DISCONNECT, 0, 0, 0);
  up(r, ack(SPEC_DISCONNECT, 0));
  text(r, r->c1, TIMELINE_END, "closed by this end");
  event(r, r->c1, plant ? EVENT_LOST : EVENT_DISCONNECTED, plant ? -1 : 0, 0, 0);
}

static void history_27_outcome(struct invrig *r, bool plant) {
  dial(r, connect_packet("c1", false, 0));
  if (!plant) down(r, connack_packet(false));
  event(r, r->c1, EVENT_CONNECTED, 0, 0, 0);
}

/* Ten may be buffered. */
static void history_28_over(struct invrig *r, bool plant) {
  begin(r);
  for (uint16_t id = 1; id <= 10; id++) send(r, 1, id, "m");
  if (plant) {
    send(r, 1, 11, "m");
  } else {
    event(r, r->c1, EVENT_SEND, 1 | EVENT_REFUSED, 0, content("m"));
    result(r, 11, -12);
    event(r, r->c1, EVENT_SEND, 1 | EVENT_MIDWAY, 11, content("m")); /* a part of the first had gone out */
  }
}

static void history_28_under(struct invrig *r, bool plant) {
  begin(r);
  for (uint16_t id = 1; id <= (plant ? 9 : 10); id++) send(r, 1, id, "m");
  event(r, r->c1, EVENT_SEND, 1 | EVENT_REFUSED, 0, content("m"));
  result(r, plant ? 10 : 11, -12);
}

static void history_29_silent(struct invrig *r, bool plant) {
  begin_alive(r, 10);
  later(r, 6);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(0, 0, "m1")); /* what comes in does not count */
  given(r, 0, 0, "m1");
  later(r, plant ? 6 : 4);
  ping(r);
}

/* CONNACK comes when a ping would have been due. */
static void history_29_welcomed_late(struct invrig *r, bool plant) {
  dial(r, connect_packet("c1", false, 5));
  later(r, 6);
  welcome(r, false);
  send(r, 0, 0, "m1");
  if (plant) later(r, 1);
  up(r, publish_packet(0, 0, "m1"));
}

static void history_29_early(struct invrig *r, bool plant) {
  begin_alive(r, 10);
  later(r, plant ? 9.9 : 10);
  ping(r);
}

/* No PINGRESP comes: the connection is given up `after_s` behind the ping, which went out at once, or just before that.
 */
static void give_up(struct invrig *r, double after_s, bool held_back) {
  begin_alive(r, 10);
  later(r, 10);
  event(r, r->c1, EVENT_PING, 0, 0, 0);
  if (!held_back) at(r, r->c1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  later(r, after_s);
  if (held_back) at(r, r->c1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  text(r, r->c1, TIMELINE_END, "closed by this end");
  event(r, r->c1, EVENT_LOST, -1, 0, 0);
}

static void history_29_unanswered(struct invrig *r, bool plant) {
  give_up(r, plant ? 10.1 : 10, false);
}

static void history_29_hasty(struct invrig *r, bool plant) {
  give_up(r, plant ? 9 : 10, false);
}

/* The transport takes nothing: the timeout counts all the same. */
static void history_29_behind(struct invrig *r, bool plant) {
  give_up(r, plant ? 9 : 10, true);
}

static void history_30_late(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("x", true, 10), false);
  later(r, 14);
  at(r, r->b1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  at(r, r->b1, TIMELINE_DOWN, ack(SPEC_PINGRESP, 0));
  later(r, plant ? 15.1 : 15);
  event(r, r->b1, EVENT_CLOSING, 1, 0, INVRIG_PEER);
}

static void history_30_early(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("x", true, 10), false);
  later(r, plant ? 10 : 15);
  event(r, r->b1, EVENT_CLOSING, 1, 0, INVRIG_PEER);
}

/* While it is stopped it closes nobody. */
static void history_30_paused(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("x", true, 10), false);
  event(r, 0, EVENT_PAUSED, 0, 0, INVRIG_PEER);
  later(r, 100);
  note(r);
  event(r, 0, EVENT_RESUMED, 0, 0, INVRIG_PEER);
  later(r, plant ? 16 : 1);
  note(r);
}

static void history_31(struct invrig *r, bool plant) {
  event(r, r->c1, EVENT_DIAL, 0, 0, 10 * (uint64_t)INVRIG_S);
  later(r, plant ? 10.1 : 10);
  event(r, r->c1, EVENT_CONNECTED, -1, 0, 0);
}

static void history_32(struct invrig *r, bool plant) {
  event(r, 0, EVENT_RESOURCE, EVENT_TIMERS, 0, 3);
  event(r, 0, EVENT_RESOURCE, EVENT_TIMERS, 1, plant ? 4 : 3);
}

static void history_32_listeners(struct invrig *r, bool plant) {
  event(r, 0, EVENT_RESOURCE, EVENT_STREAMS, 0, 3);
  event(r, 0, EVENT_RESOURCE, EVENT_STREAMS, 1, 2);
  event(r, 0, EVENT_RESOURCE, EVENT_LISTENERS, 0, 0);
  event(r, 0, EVENT_RESOURCE, EVENT_LISTENERS, 1, plant);
}

static void history_33(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  event(r, 0, EVENT_HEALED, 0, 0, 5 * (uint64_t)INVRIG_S);
  later(r, plant ? 5.1 : 5);
  down(r, ack(SPEC_PUBACK, 1));
  result(r, 1, 0);
  later(r, 1);
  note(r);
}

/* Everybody had the time: but who has heard nothing since all is well may not know that nobody is there any more. */
static void history_33_settled(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  at(r, r->c1, TIMELINE_UP, publish_packet(1, 1, "m1"));
  event(r, 0, EVENT_HEALED, 0, 0, 50 * (uint64_t)INVRIG_S);
  later(r, 1);
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  if (plant) at(r, r->c1, TIMELINE_DOWN, ack(SPEC_PINGRESP, 0));
  event(r, 0, EVENT_SETTLED, 0, 0, 0);
}

static void history_34(struct invrig *r, bool plant) {
  event(r, r->c1, EVENT_WANTED, 1, 0, 0);
  event(r, 0, EVENT_HEALED, 0, 0, 5 * (uint64_t)INVRIG_S);
  if (!plant) begin(r);
  later(r, 6);
  note(r);
}

static void history_35_livelock(struct invrig *r, bool plant) {
  begin_alive(r, 10);
  event(r, 0, EVENT_QUIET, 0, 0, 1);
  later(r, 10);
  ping(r);
  if (!plant) event(r, 0, EVENT_QUIET, 0, 0, 0);
  event(r, r->c1, EVENT_DISCONNECT, 0, 0, 0);
  at(r, r->c1, TIMELINE_UP, ack(SPEC_DISCONNECT, 0));
}

/* A connection whose other end is gone since before: it finds out by its ping. */
static void history_35_half_open(struct invrig *r, bool plant) {
  begin_alive(r, 10);
  later(r, 5);
  event(r, 0, EVENT_HEALED, 0, 0, 100 * (uint64_t)INVRIG_S);
  later(r, 1);
  if (plant) at(r, r->c1, TIMELINE_DOWN, publish_packet(0, 0, "m1"));
  if (plant) given(r, 0, 0, "m1");
  event(r, 0, EVENT_QUIET, 0, 0, 1);
  later(r, 4);
  event(r, r->c1, EVENT_PING, 0, 0, 0);
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  text(r, r->c1, TIMELINE_END, "reset by the other end");
  event(r, r->c1, EVENT_LOST, -1, 0, 0);
}

static void history_36(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_SHELTERED, 0, 0, 0);
  if (plant) lose(r);
  else close_client(r);
  if (!plant) event(r, r->c1, EVENT_CLOSED, 0, 0, 0);
}

static const struct invrig_history histories[] = {
  { 24, history_24_twice },     { 24, history_24_none },
  { 24, history_24_order },     { 24, history_24_code },
  { 24, history_24_request },   { 25, history_25_ack },
  { 25, history_25_qos2 },      { 25, history_25_qos0 },
  { 26, history_26_full },      { 27, history_27_lost_twice },
  { 27, history_27_untold },    { 27, history_27_disconnected },
  { 27, history_27_outcome },   { 27, history_27_refused },
  { 29, history_29_jumped },    { 28, history_28_over },
  { 28, history_28_under },     { 29, history_29_silent },
  { 29, history_29_early },     { 29, history_29_unanswered },
  { 29, history_29_hasty },     { 29, history_29_welcomed_late },
  { 29, history_29_behind },    { 30, history_30_late },
  { 30, history_30_early },     { 30, history_30_paused },
  { 31, history_31 },           { 32, history_32 },
  { 32, history_32_listeners }, { 33, history_33_settled },
  { 33, history_33 },           { 34, history_34 },
  { 35, history_35_livelock },  { 35, history_35_half_open },
  { 36, history_36 },
};

int main(void) {
  return invrig_run(histories, sizeof histories / sizeof histories[0]);
}
