/* Invariants 1 to 12, which one end's packets show. */
#include "invrig.h"

static void history_01_client(struct invrig *r, bool plant) {
  begin(r);
  send(r, 0, 0, "m1");
  up(r, publish_packet(0, 0, "m1"));
  if (plant) at(r, r->c1, TIMELINE_UP, connect_packet("c1", false, 0));
}

static void history_01_broker(struct invrig *r, bool plant) {
  accepted(r, r->b1);
  at(r, r->b1, TIMELINE_UP, connect_packet("x", true, 0));
  if (plant) at(r, r->b1, TIMELINE_DOWN, publish_packet(0, 0, "early"));
  at(r, r->b1, TIMELINE_DOWN, connack_packet(false));
}

static void history_02(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_DISCONNECT, 0, 0, 0);
  up(r, ack(SPEC_DISCONNECT, 0));
  if (plant) at(r, r->c1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
}

static void history_03_flags(struct invrig *r, bool plant) {
  struct packet p = subscribe_packet(SPEC_SUBSCRIBE, 1, 1);
  begin(r);
  event(r, r->c1, EVENT_REQUEST, 0, 1, 0);
  if (plant) p.flags = 4;
  at(r, r->c1, TIMELINE_UP, p);
}

static void history_03_structure(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_REQUEST, 0, 1, 0);
  timeline_add(r->timeline, r->now_ns, r->c1, TIMELINE_UP,
               plant ? slice_of("\x82\x05\0\1\0\7a", 7) : slice_of("\x82\x06\0\1\0\1a\1", 8));
}

/* Connected, in version 5.0, with these properties of CONNACK. */
static void begin_5(struct invrig *r, struct slice properties) {
  struct packet connect = connect_packet("c1", true, 0);
  connect.version = connect.protocol_version = SPEC_5_0;
  dial(r, connect);
  at(r, r->c1, TIMELINE_DOWN, (struct packet){ .type = SPEC_CONNACK, .version = SPEC_5_0, .properties = properties });
  event(r, r->c1, EVENT_CONNECTED, 0, 0, 0);
}

static void history_03_largest(struct invrig *r, bool plant) {
  struct packet p = publish_packet(0, 0, plant ? "a payload too long by far" : "x");
  p.version = SPEC_5_0;
  begin_5(r, slice_of("\x27\0\0\0\x20", 5));
  send(r, 0, 0, plant ? "a payload too long by far" : "x");
  at(r, r->c1, TIMELINE_UP, p);
}

static void history_04_reused(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  if (!plant) down(r, ack(SPEC_PUBACK, 1));
  if (!plant) result(r, 1, 0);
  if (plant) at(r, r->b1, TIMELINE_UP, publish_packet(1, 2, "m2"));
  accepted(r, r->b2);
  at(r, r->b2, TIMELINE_UP, connect_packet("x", true, 0));
  at(r, r->b2, TIMELINE_DOWN, connack_packet(false));
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 2));
  at(r, r->b2, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 2));
  at(r, r->b1, TIMELINE_UP, publish_packet(1, 3, "m3"));
  at(r, r->b1, TIMELINE_UP, publish_packet(1, 4, "m4"));
  at(r, r->b2, TIMELINE_DOWN, publish_packet(1, 7, "m3"));
  at(r, r->b2, TIMELINE_DOWN, publish_packet(1, plant ? 7 : 8, "m4"));
}

static void history_04_zero(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_REQUEST, 0, 1, 0);
  up(r, subscribe_packet(SPEC_SUBSCRIBE, plant ? 0 : 1, 1));
}

/* A request and a message share the identifiers. */
static void history_04_shared(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_REQUEST, 0, 1, 0);
  at(r, r->c1, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 1));
  if (!plant) {
    at(r, r->c1, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 1));
    result(r, 1, 0);
  }
  send(r, 1, plant ? 2 : 1, "m1");
  if (plant) at(r, r->c1, TIMELINE_UP, subscribe_packet(SPEC_UNSUBSCRIBE, 1, 0));
  else at(r, r->c1, TIMELINE_UP, publish_packet(1, 1, "m1"));
}

static void history_05_nothing(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(1, 5, "m1"));
  given(r, 1, 5, "m1");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, plant ? 6 : 5));
}

/* Each QoS 1 PUBLISH gets exactly one. */
static void history_05_twice(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(1, 5, "m1"));
  given(r, 1, 5, "m1");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, 5));
  at(r, r->c1, TIMELINE_DOWN, again(publish_packet(1, 5, "m1")));
  given(r, 1, 5, "m1");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, 5));
  if (plant) at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, 5));
}

/* A broker that answers PINGREQ has answered what came before. */
static void history_05_never(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  if (!plant) down(r, ack(SPEC_PUBACK, 1));
  if (!plant) result(r, 1, 0);
  at(r, r->b1, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  at(r, r->b1, TIMELINE_DOWN, ack(SPEC_PINGRESP, 0));
}

static void history_05_settled(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(2, 5, "m1"));
  given(r, 2, 5, "m1");
  if (!plant) at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBREC, 5));
  r->settled = true;
}

static void history_06_first(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, plant ? again(publish_packet(1, 1, "m1")) : publish_packet(1, 1, "m1"));
}

static void history_06_again(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  lose(r);
  resume(r);
  at(r, r->c1, TIMELINE_UP, plant ? publish_packet(1, 1, "m1") : again(publish_packet(1, 1, "m1")));
}

static void history_06_qos0(struct invrig *r, bool plant) {
  begin(r);
  send(r, 0, 0, "m1");
  at(r, r->c1, TIMELINE_UP, plant ? again(publish_packet(0, 0, "m1")) : publish_packet(0, 0, "m1"));
}

/* A part of it went out before: nobody has seen it, and its next sending is a repetition. */
static void history_06_cut(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  if (!plant) event(r, r->c1, EVENT_CUT, 0x32, 1, 0);
  lose(r);
  resume(r);
  at(r, r->c1, TIMELINE_UP, again(publish_packet(1, 1, "m1")));
}

static void history_07(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  up(r, publish_packet(1, 1, "m1"));
  if (plant) at(r, r->c1, TIMELINE_UP, again(publish_packet(1, 1, "m1")));
}

static void history_08_order(struct invrig *r, bool plant) {
  begin(r);
  for (uint16_t i = 1; i <= 3; i++) {
    send(r, 1, i, "m");
    up(r, publish_packet(1, i, "m"));
  }
  lose(r);
  resume(r);
  at(r, r->c1, TIMELINE_UP, again(publish_packet(1, 1, "m")));
  at(r, r->c1, TIMELINE_UP, again(publish_packet(1, plant ? 3 : 2, "m")));
  if (!plant) at(r, r->c1, TIMELINE_UP, again(publish_packet(1, 3, "m")));
}

/* PUBREL is forgotten, and what is new goes out. */
static void history_08_release(struct invrig *r, bool plant) {
  begin(r);
  send(r, 2, 1, "m1");
  up(r, publish_packet(2, 1, "m1"));
  down(r, ack(SPEC_PUBREC, 1));
  up(r, ack(SPEC_PUBREL, 1));
  lose(r);
  resume(r);
  if (!plant) at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBREL, 1));
  send(r, 1, 2, "m2");
  at(r, r->c1, TIMELINE_UP, publish_packet(1, 2, "m2"));
}

/* A broker's: nothing new goes out, and nothing else. */
static void history_08_silence(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("x", false, 0), false);
  at(r, r->b1, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 1));
  at(r, r->b1, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 1));
  at(r, r->b1, TIMELINE_UP, publish_packet(0, 0, "m0"));
  at(r, r->b1, TIMELINE_DOWN, publish_packet(0, 0, "m0"));
  at(r, r->b1, TIMELINE_UP, publish_packet(1, 2, "m1"));
  at(r, r->b1, TIMELINE_DOWN, ack(SPEC_PUBACK, 2));
  at(r, r->b1, TIMELINE_DOWN, publish_packet(1, 9, "m1"));
  text(r, r->b1, TIMELINE_END, "reset by the other end");
  join(r, r->b2, connect_packet("x", false, 0), true);
  if (!plant) at(r, r->b2, TIMELINE_DOWN, again(publish_packet(1, 9, "m1")));
  r->settled = true;
}

static void history_09(struct invrig *r, bool plant) {
  begin(r);
  send(r, 2, 1, "m1");
  up(r, publish_packet(2, 1, "m1"));
  down(r, ack(SPEC_PUBREC, 1));
  at(r, r->c1, TIMELINE_UP, plant ? again(publish_packet(2, 1, "m1")) : ack(SPEC_PUBREL, 1));
}

static void history_10(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(1, 5, "m1"));
  given(r, 1, 5, "m1");
  at(r, r->c1, TIMELINE_DOWN, publish_packet(1, 6, "m2"));
  given(r, 1, 6, "m2");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, plant ? 6 : 5));
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, plant ? 5 : 6));
}

static void history_11(struct invrig *r, bool plant) {
  struct packet p = publish_packet(1, 1, "m1");
  p.version = SPEC_5_0;
  begin_5(r, slice_of("\x21\0\1", 3));
  send(r, 1, 1, "m1");
  at(r, r->c1, TIMELINE_UP, p);
  if (!plant) at(r, r->c1, TIMELINE_DOWN, (struct packet){ .type = SPEC_PUBACK, .version = SPEC_5_0, .packet_id = 1 });
  send(r, 1, 2, "m1");
  p.packet_id = 2;
  at(r, r->c1, TIMELINE_UP, p);
}

static void history_12(struct invrig *r, bool plant) {
  struct packet p = publish_packet(0, 0, "m1");
  p.version = SPEC_5_0;
  begin_5(r, slice_of("\x22\0\2", 3));
  send(r, 0, 0, "m1");
  p.properties = plant ? slice_of("\x23\0\3", 3) : slice_of("\x23\0\2", 3);
  at(r, r->c1, TIMELINE_UP, p);
}

/* What a script sends is not judged; the rest of the run is. */
static void history_01_scripted(struct invrig *r, bool plant) {
  begin(r);
  event(r, r->c1, EVENT_RAW, 0, 0, 0);
  at(r, r->c1, TIMELINE_UP, connect_packet("c1", false, 0));
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBREC, 77));
  at(r, r->c1, TIMELINE_UP, publish_packet(1, 5, "from nowhere"));
  text(r, r->c1, TIMELINE_END, "closed by the other end");
  event(r, r->c1, EVENT_LOST, -1, 0, 0);
  text(r, r->b1, TIMELINE_END, "second CONNECT");
  r->b1 = r->b2;
  resume(r);
  if (plant) at(r, r->c1, TIMELINE_UP, connect_packet("c1", false, 0));
}

static const struct invrig_history histories[] = {
  { 1, history_01_client },  { 1, history_01_broker },    { 1, history_01_scripted }, { 2, history_02 },
  { 3, history_03_flags },   { 3, history_03_structure }, { 3, history_03_largest },  { 4, history_04_reused },
  { 4, history_04_zero },    { 4, history_04_shared },    { 5, history_05_nothing },  { 5, history_05_twice },
  { 5, history_05_never },   { 5, history_05_settled },   { 6, history_06_first },    { 6, history_06_again },
  { 6, history_06_qos0 },    { 6, history_06_cut },       { 7, history_07 },          { 8, history_08_order },
  { 8, history_08_release }, { 8, history_08_silence },   { 9, history_09 },          { 10, history_10 },
  { 11, history_11 },        { 12, history_12 },
};

int main(void) {
  return invrig_run(histories, sizeof histories / sizeof histories[0]);
}
