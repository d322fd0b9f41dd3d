#include "mqtt/brokerconn.h"

#include <assert.h>

#include "mqtt/encode.h"
#include "mqtt/frame.h"

void brokerconn_touch(struct broker_conn *c) {
  if (!list_holds(&c->touched)) list_append(&c->broker->touched, &c->touched);
}

void brokerconn_put(struct broker_conn *c, size_t before) {
  c->appended += buffer_size(&c->out) - before;
  brokerconn_touch(c);
}

static void brokerconn_answered(struct broker_conn *c, size_t before, bool fits) {
  assert(fits);
  if (!brokerconn_room(c)) c->excess += (uint32_t)(buffer_size(&c->out) - before);
  brokerconn_put(c, before);
}

void brokerconn_ack(struct broker_conn *c, uint8_t type, uint16_t packet_id) {
  size_t before = buffer_size(&c->out);
  if (brokerconn_flooded(c)) return;
  brokerconn_answered(c, before, packet_id ? encode_ack(&c->out, type, packet_id) : encode_empty(&c->out, type));
}

void brokerconn_answer(struct broker_conn *c, const struct packet *p) {
  size_t before = buffer_size(&c->out);
  if (brokerconn_flooded(c)) return;
  brokerconn_answered(c, before, encode_packet(&c->out, p));
}

/* Drops the whole packets at the start that were handed over. */
static void brokerconn_cut(struct broker_conn *c) {
  struct frame f;
  while (c->handed > 0) {
    enum frame_result result = frame_read(buffer_slice(&c->out), &f);
    if (result == FRAME_BAD) {
      c->unframed = true;
      return;
    }
    if (result == FRAME_NEED_MORE || f.size > c->handed) return;
    buffer_consume(&c->out, f.size);
    c->handed -= f.size;
  }
}

void brokerconn_handed(struct broker_conn *c, size_t n) {
  assert(n <= brokerconn_waiting(c));
  c->handed += n;
  if (!c->unframed) brokerconn_cut(c);
  /* All is handed over in the middle of a packet: a script wrote a part of one. Its rest may never come. */
  if (c->handed == buffer_size(&c->out) && c->handed > BROKER_OUTPUT_MAX) c->unframed = true;
  if (c->unframed) {
    buffer_consume(&c->out, c->handed);
    c->handed = 0;
  }
  if (brokerconn_room(c)) c->excess = 0;
}

void brokerconn_shed(struct broker_conn *c) {
  struct buffer old = c->out;
  struct slice rest = buffer_slice(&old);
  struct frame f;
  if (c->unframed) return;
  buffer_init(&c->out, old.limit);
  for (bool begun = c->handed > 0; rest.size; begun = false) {
    enum frame_result result = frame_read(rest, &f);
    size_t n = result == FRAME_OK && f.size < rest.size ? f.size : rest.size;
    bool shed = !begun && result == FRAME_OK && f.first >> 4 == SPEC_PUBLISH && (f.first & 6);
    if (shed) c->appended -= n;
    else buffer_append(&c->out, slice_first(rest, n));
    rest = slice_from(rest, n);
  }
  buffer_fini(&old);
}

void brokerconn_discard(struct broker_conn *c) {
  c->appended -= brokerconn_waiting(c);
  buffer_fini(&c->out);
  c->handed = 0;
}
