/* Invariants 13 to 23: what a broker delivers, and what it keeps. */
#include "invrig.h"

/* Somebody who subscribes to "a/#" on r->b2, and who publishes, on r->b1. */
static void subscribed(struct invrig *r, uint8_t qos) {
  join(r, r->b1, connect_packet("p", true, 0), false);
  join(r, r->b2, connect_packet("s", false, 0), false);
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, qos));
  at(r, r->b2, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, qos));
}

static void published(struct invrig *r, struct packet p) {
  at(r, r->b1, TIMELINE_UP, p);
  if (p.qos == 1) at(r, r->b1, TIMELINE_DOWN, ack(SPEC_PUBACK, p.packet_id));
  if (p.qos == 2) at(r, r->b1, TIMELINE_DOWN, ack(SPEC_PUBREC, p.packet_id));
}

static void delivered(struct invrig *r, struct packet p) {
  at(r, r->b2, TIMELINE_DOWN, p);
}

static void history_13_nowhere(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, publish_packet(1, 1, "m1"));
  delivered(r, publish_packet(1, 9, "m1"));
  if (plant) delivered(r, publish_packet(1, 10, "m?"));
}

static void history_13_qos(struct invrig *r, bool plant) {
  subscribed(r, 0);
  published(r, publish_packet(1, 1, "m1"));
  delivered(r, publish_packet(plant ? 1 : 0, plant ? 1 : 0, "m1"));
}

static void history_13_unsubscribed(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, publish_packet(1, 1, "m1"));
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_UNSUBSCRIBE, 2, 0));
  delivered(r, publish_packet(1, 9, "m1")); /* it was on its way */
  at(r, r->b2, TIMELINE_DOWN, ack(SPEC_UNSUBACK, 2));
  published(r, publish_packet(1, 2, "m2"));
  if (plant) delivered(r, publish_packet(1, 10, "m2"));
}

/* A client: what it sends was sent, and what it is given came. */
static void history_13_client(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  at(r, r->c1, TIMELINE_UP, publish_packet(1, 1, plant ? "m?" : "m1"));
}

static void history_13_given(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(0, 0, "m1"));
  given(r, 0, 0, plant ? "m?" : "m1");
}

static void history_14(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, publish_packet(0, 0, "m1"));
  delivered(r, publish_packet(0, 0, "m1"));
  if (plant) delivered(r, publish_packet(0, 0, "m1"));
}

static void history_14_given(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(0, 0, "m1"));
  given(r, 0, 0, "m1");
  if (plant) given(r, 0, 0, "m1");
}

static void history_15(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, publish_packet(1, 1, "m1"));
  if (!plant) delivered(r, publish_packet(1, 9, "m1"));
  r->settled = true;
}

/* What is answered later was sent before. */
static void history_15_overtaken(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, publish_packet(1, 1, "m1"));
  if (!plant) delivered(r, publish_packet(1, 9, "m1"));
  at(r, r->b2, TIMELINE_UP, ack(SPEC_PINGREQ, 0));
  published(r, publish_packet(1, 2, "m2")); /* may still be on its way */
  at(r, r->b2, TIMELINE_DOWN, ack(SPEC_PINGRESP, 0));
}

/* A broker closes for a reason. */
static void history_36_closed(struct invrig *r, bool plant) {
  subscribed(r, 1);
  if (!plant) at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBACK, 5, 0));
  event(r, r->b2, EVENT_CLOSING, 0, 0, INVRIG_PEER);
}

/* Acknowledged, and not given to the scenario. */
static void history_15_given(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(1, 5, "m1"));
  if (!plant) given(r, 1, 5, "m1");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBACK, 5));
  at(r, r->c1, TIMELINE_DOWN, publish_packet(1, 6, "m2"));
  given(r, 1, 6, "m2");
}

/* The identifier keeps the repetition out, also on a resumed session. */
static void history_16(struct invrig *r, bool plant) {
  join(r, r->b2, connect_packet("s", false, 0), false);
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 2));
  at(r, r->b2, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 2));
  join(r, r->b1, connect_packet("p", false, 0), false);
  published(r, publish_packet(2, 1, "m1"));
  delivered(r, publish_packet(2, 9, "m1"));
  text(r, r->b1, TIMELINE_END, "reset by the other end");
  join(r, r->b3, connect_packet("p", false, 0), true);
  at(r, r->b3, TIMELINE_UP, again(publish_packet(2, 1, "m1")));
  at(r, r->b3, TIMELINE_DOWN, ack(SPEC_PUBREC, 1));
  if (plant) delivered(r, publish_packet(2, 10, "m1"));
}

static void history_16_given(struct invrig *r, bool plant) {
  begin(r);
  at(r, r->c1, TIMELINE_DOWN, publish_packet(2, 5, "m1"));
  given(r, 2, 5, "m1");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBREC, 5));
  lose(r);
  resume(r);
  at(r, r->c1, TIMELINE_DOWN, again(publish_packet(2, 5, "m1")));
  if (plant) given(r, 2, 5, "m1");
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBREC, 5));
  at(r, r->c1, TIMELINE_DOWN, ack(SPEC_PUBREL, 5));
  at(r, r->c1, TIMELINE_UP, ack(SPEC_PUBCOMP, 5));
  at(r, r->c1, TIMELINE_DOWN, publish_packet(2, 5, "m2")); /* a new one */
  given(r, 2, 5, "m2");
}

static void history_16_missing(struct invrig *r, bool plant) {
  subscribed(r, 2);
  published(r, publish_packet(2, 1, "m1"));
  if (!plant) delivered(r, publish_packet(2, 9, "m1"));
  r->settled = true;
}

static void history_17(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, publish_packet(1, 1, "m1"));
  published(r, publish_packet(0, 0, "m0"));
  published(r, publish_packet(1, 2, "m2"));
  delivered(r, publish_packet(0, 0, "m0")); /* another QoS has an order of its own */
  delivered(r, publish_packet(1, 9, plant ? "m2" : "m1"));
  delivered(r, publish_packet(1, 10, plant ? "m1" : "m2"));
}

static void history_17_client(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  send(r, 0, 0, "m2");
  if (!plant) at(r, r->c1, TIMELINE_UP, publish_packet(1, 1, "m1"));
  at(r, r->c1, TIMELINE_UP, publish_packet(0, 0, "m2"));
}

static void history_18_told(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  if (plant) up(r, publish_packet(1, 1, "m1"));
  event(r, r->c1, EVENT_CLOSE, 0, 0, 0);
  text(r, r->c1, TIMELINE_END, "closed by this end");
  result(r, 1, -3);
  event(r, r->c1, EVENT_CLOSED, 0, 0, 0);
}

static void history_18_later(struct invrig *r, bool plant) {
  begin(r);
  send(r, 1, 1, "m1");
  result(r, 1, -3);
  if (plant) up(r, publish_packet(1, 1, "m1"));
}

static void history_19_older(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("p", true, 0), false);
  published(r, retained(publish_packet(1, 1, "old")));
  published(r, retained(publish_packet(1, 2, "new")));
  join(r, r->b2, connect_packet("s", true, 0), false);
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 1));
  at(r, r->b2, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 1));
  delivered(r, retained(publish_packet(1, 9, plant ? "old" : "new")));
}

static void history_19_cleared(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("p", true, 0), false);
  published(r, retained(publish_packet(1, 1, "old")));
  published(r, retained(publish_packet(1, 2, "")));
  join(r, r->b2, connect_packet("s", true, 0), false);
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 1));
  at(r, r->b2, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 1));
  if (plant) delivered(r, retained(publish_packet(1, 9, "old")));
}

static void history_19_flag(struct invrig *r, bool plant) {
  subscribed(r, 1);
  published(r, retained(publish_packet(1, 1, "m1")));
  delivered(r, plant ? retained(publish_packet(1, 9, "m1")) : publish_packet(1, 9, "m1"));
}

static void history_19_missing(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("p", true, 0), false);
  published(r, retained(publish_packet(1, 1, "m1")));
  join(r, r->b2, connect_packet("s", true, 0), false);
  at(r, r->b2, TIMELINE_UP, subscribe_packet(SPEC_SUBSCRIBE, 1, 1));
  at(r, r->b2, TIMELINE_DOWN, subscribe_packet(SPEC_SUBACK, 1, 1));
  if (!plant) delivered(r, retained(publish_packet(1, 9, "m1")));
  r->settled = true;
}

static struct packet connect_with_will(void) {
  struct packet p = connect_packet("w", true, 0);
  p.has_will = true;
  p.will = (struct packet_will){ .topic = slice_text("a/b"), .payload = slice_text("gone"), .qos = 1 };
  return p;
}

static void history_20_clean(struct invrig *r, bool plant) {
  subscribed(r, 1);
  join(r, r->b3, connect_with_will(), false);
  at(r, r->b3, TIMELINE_UP, ack(SPEC_DISCONNECT, 0));
  event(r, r->b3, EVENT_CLOSING, 0, 0, INVRIG_PEER);
  text(r, r->b3, TIMELINE_END, "the client sent DISCONNECT");
  if (plant) delivered(r, publish_packet(1, 9, "gone"));
}

static void history_20_twice(struct invrig *r, bool plant) {
  subscribed(r, 1);
  join(r, r->b3, connect_with_will(), false);
  at(r, r->b3, TIMELINE_UP, connect_with_will());
  event(r, r->b3, EVENT_CLOSING, 0, 0, INVRIG_PEER);
  delivered(r, publish_packet(1, 9, "gone"));
  text(r, r->b3, TIMELINE_END, "second CONNECT");
  if (plant) delivered(r, publish_packet(1, 10, "gone"));
}

static void history_20_missing(struct invrig *r, bool plant) {
  subscribed(r, 1);
  join(r, r->b3, connect_with_will(), false);
  text(r, r->b3, TIMELINE_END, "reset by the other end");
  if (!plant) delivered(r, publish_packet(1, 9, "gone"));
  r->settled = true;
}

static void history_21_broker(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("s", false, 0), false);
  at(r, r->b1, TIMELINE_UP, ack(SPEC_DISCONNECT, 0));
  text(r, r->b1, TIMELINE_END, "closed by this end");
  join(r, r->b2, connect_packet("s", false, 0), !plant);
}

static void history_21_client(struct invrig *r, bool plant) {
  dial(r, connect_packet("c1", false, 0));
  down(r, connack_packet(false));
  event(r, r->c1, EVENT_CONNECTED, 0, plant, 0);
}

/* The subscriber is away and comes back, on r->b3. */
static void history_22_queued(struct invrig *r, bool plant) {
  subscribed(r, 1);
  text(r, r->b2, TIMELINE_END, "reset by the other end");
  published(r, publish_packet(1, 1, "m1"));
  published(r, publish_packet(0, 0, "m0"));
  join(r, r->b3, connect_packet("s", false, 0), true);
  if (!plant) at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 9, "m1"));
  r->settled = true;
}

static void history_22_clean(struct invrig *r, bool plant) {
  subscribed(r, 1);
  text(r, r->b2, TIMELINE_END, "reset by the other end");
  published(r, publish_packet(1, 1, "m1"));
  join(r, r->b3, connect_packet("s", true, 0), false);
  published(r, publish_packet(1, 2, "m2"));
  if (plant) at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 9, "m2"));
}

static void history_23(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("s", false, 0), false);
  accepted(r, r->b2);
  at(r, r->b2, TIMELINE_UP, connect_packet("s", false, 0));
  if (!plant) event(r, r->b1, EVENT_CLOSING, 0, 0, INVRIG_PEER);
  at(r, r->b2, TIMELINE_DOWN, connack_packet(true));
  r->now_ns += INVRIG_S;
  text(r, 0, TIMELINE_NOTE, "later");
}

/* A script that answers a CONNECT takes nothing over. */
static void history_23_scripted(struct invrig *r, bool plant) {
  join(r, r->b1, connect_packet("s", false, 0), false);
  accepted(r, r->b2);
  if (!plant) event(r, r->b2, EVENT_SCRIPTED, 0, 0, INVRIG_PEER);
  at(r, r->b2, TIMELINE_UP, connect_packet("s", false, 0));
  at(r, r->b2, TIMELINE_DOWN, connack_packet(true));
  r->now_ns += INVRIG_S;
  text(r, 0, TIMELINE_NOTE, "later");
}

/* 28: two may wait. */
static void history_28_queue(struct invrig *r, bool plant) {
  subscribed(r, 1);
  text(r, r->b2, TIMELINE_END, "reset by the other end");
  published(r, publish_packet(1, 1, "m1"));
  published(r, publish_packet(1, 2, "m2"));
  published(r, publish_packet(1, 3, "m3"));
  join(r, r->b3, connect_packet("s", false, 0), true);
  at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 9, "m1"));
  at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 10, "m2"));
  if (plant) at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 11, "m3"));
  r->settled = true;
}

/* What did not fit comes once more, and now fits: of two that look alike the one is sent. */
static void history_28_again(struct invrig *r, bool plant) {
  history_28_queue(r, false);
  published(r, publish_packet(1, 4, "m3"));
  at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 11, "m3"));
  if (plant) at(r, r->b3, TIMELINE_DOWN, publish_packet(1, 12, "m3"));
}

/* A script answers for the broker: what it delivers is not judged any more, and its connections' packets are. */
static void history_05_scripted(struct invrig *r, bool plant) {
  subscribed(r, 1);
  event(r, r->b1, EVENT_SCRIPTED, 0, 0, INVRIG_PEER);
  at(r, r->b1, TIMELINE_UP, publish_packet(1, 1, "m1"));
  delivered(r, publish_packet(1, 9, "another"));
  if (plant) at(r, r->b2, TIMELINE_DOWN, ack(SPEC_PUBACK, 3));
}

static const struct invrig_history histories[] = {
  { 13, history_13_nowhere },   { 13, history_13_qos },     { 13, history_13_unsubscribed }, { 13, history_13_client },
  { 13, history_13_given },     { 14, history_14 },         { 14, history_14_given },        { 15, history_15 },
  { 15, history_15_given },     { 16, history_16 },         { 16, history_16_given },        { 16, history_16_missing },
  { 17, history_17 },           { 17, history_17_client },  { 18, history_18_told },         { 18, history_18_later },
  { 19, history_19_older },     { 19, history_19_cleared }, { 19, history_19_flag },         { 19, history_19_missing },
  { 20, history_20_clean },     { 20, history_20_twice },   { 20, history_20_missing },      { 21, history_21_broker },
  { 21, history_21_client },    { 22, history_22_queued },  { 22, history_22_clean },        { 23, history_23 },
  { 23, history_23_scripted },  { 28, history_28_queue },   { 28, history_28_again },        { 5, history_05_scripted },
  { 15, history_15_overtaken }, { 36, history_36_closed },
};

int main(void) {
  return invrig_run(histories, sizeof histories / sizeof histories[0]);
}
