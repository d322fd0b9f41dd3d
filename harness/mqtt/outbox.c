#include "mqtt/outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/defect.h"
#include "mqtt/encode.h"
#include "mqtt/handshake.h"
#include "mqtt/settings.h"

#define OUTBOX_DUP 0x08 /* in the first byte of a PUBLISH */

void outbox_init(struct outbox *o, struct outflow *flow, struct packetid *ids, struct eventq *events) {
  *o = (struct outbox){ .flow = flow, .ids = ids, .events = events };
}

static void outbox_free(struct outbox_message *m) {
  free(m->bytes);
  free(m);
}

void outbox_fini(struct outbox *o) {
  for (struct outbox_message *m = o->first, *after; m; m = after) {
    after = m->after;
    outbox_free(m);
  }
}

static void outbox_append(struct outbox *o, struct outbox_message *m) {
  m->before = o->last;
  if (o->last) o->last->after = m;
  else o->first = m;
  o->last = m;
}

static struct outbox_message *outbox_behind(const struct outbox *o, const struct outbox_message *m) {
  return m->after == o->next ? NULL : m->after;
}

static void outbox_wait(struct outbox *o, struct outbox_message *m) {
  m->waits = true;
  if (!o->next) o->next = m;
  o->waiting++;
}

static void outbox_wait_no_more(struct outbox *o, struct outbox_message *m) {
  m->waits = false;
  if (m == o->next) o->next = m->after;
  o->waiting--;
  o->encoded++;
}

static void outbox_unlink(struct outbox *o, struct outbox_message *m) {
  if (m == o->writing) o->writing = outbox_behind(o, m);
  if (m->waits) outbox_wait_no_more(o, m);
  if (m->before) m->before->after = m->after;
  else o->first = m->after;
  if (m->after) m->after->before = m->before;
  else o->last = m->before;
}

/* Gives the message its result and forgets it. */
static void outbox_settle(struct outbox *o, struct outbox_message *m, int code) {
  outbox_unlink(o, m);
  if (m->begun) o->inflight--;
  else o->buffered--;
  if (m->windowed) o->window--;
  if (m->packet_id) packetid_release(o->ids, m->packet_id);
  if (!defect_is(DEFECT_RESULT_MISSING) || code != SESSION_DISCONNECTED)
    eventq_put_result(o->events, SESSION_EVENT_RESULT, code, m->user, m->number);
  if (defect_is(DEFECT_RESULT_TWICE)) eventq_put_result(o->events, SESSION_EVENT_RESULT, code, m->user, m->number);
  outbox_free(m);
}

static void outbox_hold_bytes(struct outbox_message *m, struct slice bytes) {
  m->bytes = mem_resize(NULL, bytes.size);
  memcpy(m->bytes, bytes.data, bytes.size);
  m->held = (uint32_t)bytes.size;
}

static void outbox_drop_bytes(struct outbox_message *m) {
  free(m->bytes);
  m->bytes = NULL;
}

/* The message's packet stands in the outflow from `begin` to its end. */
static void outbox_encoded(struct outbox *o, struct outbox_message *m, uint64_t begin) {
  m->begin = begin;
  m->size = (uint32_t)(outflow_end(o->flow) - begin);
  if (m->qos && !m->windowed) {
    m->windowed = true;
    o->window++;
  }
  if (!o->writing) o->writing = m;
}

static bool outbox_has_room(const struct outbox *o) {
  return outflow_waiting(o->flow) < SESSION_OUTPUT_MAX;
}

static struct packet outbox_packet(const struct outbox_message *m, const struct session_publish *p) {
  struct packet packet = { .type = SPEC_PUBLISH, .version = SPEC_3_1_1, .qos = p->qos, .retain = p->retain };
  packet.packet_id = m->packet_id;
  packet.topic = p->topic;
  packet.payload = p->payload;
  packet.dup = p->qos && defect_is(DEFECT_DUP_AT_ONCE);
  packet.flags = packet_flags(&packet);
  return packet;
}

/* Encodes at once where nothing is in the way, so that no copy is made; else into the message's own bytes. */
static void outbox_place(struct outbox *o, struct outbox_message *m, const struct packet *packet, bool at_once) {
  uint64_t begin = outflow_end(o->flow);
  if (at_once && !o->next && outbox_has_room(o) && (!m->qos || o->window < o->inflight_max)) {
    bool fits = encode_packet(&o->flow->bytes, packet);
    assert(fits);
    outbox_encoded(o, m, begin);
    if (o->keep && m->qos) outbox_hold_bytes(m, outflow_at(o->flow, begin, m->size));
    return;
  }
  struct buffer bytes;
  buffer_init(&bytes, encode_size(packet));
  bool fits = encode_packet(&bytes, packet);
  assert(fits);
  m->held = (uint32_t)buffer_size(&bytes);
  m->bytes = mem_resize(buffer_give_away(&bytes), m->held); /* the buffer's memory, cut to size */
  outbox_wait(o, m);
}

static int outbox_refusal(const struct outbox *o, const struct session_publish *p) {
  if (p->qos && o->ids->count >= PACKETID_MAX - (uint32_t)defect_is(DEFECT_PACKET_IDS_OFF_BY_ONE))
    return SESSION_NO_MORE_IDS;
  if (o->buffered >= o->buffered_max + (uint32_t)defect_is(DEFECT_BUFFERED_OFF_BY_ONE)) return SESSION_MAX_BUFFERED;
  /* What has no encoding: only a caller with a limit beyond the standard's gets here. */
  if (p->topic.size > SPEC_STRING_MAX || p->payload.size > SPEC_REMAINING_LENGTH_MAX - 4 - p->topic.size)
    return SESSION_SOCKET_ERROR;
  return SESSION_SUCCESS;
}

static uint16_t outbox_take_id(const struct outbox *o, struct outbox_message *m) {
  bool again = defect_is(DEFECT_PACKET_ID_REUSED) && o->last && o->last->packet_id;
  return again ? o->last->packet_id : packetid_take(o->ids, m);
}

bool outbox_accept(struct outbox *o, const struct session_publish *p, bool at_once, uint16_t *packet_id) {
  assert(p->qos <= 2);
  *packet_id = 0;
  int refusal = outbox_refusal(o, p);
  uint32_t number = ++o->events->operations;
  if (refusal) {
    eventq_put_result(o->events, SESSION_EVENT_RESULT, refusal, p->user, number);
    return false;
  }
  struct outbox_message *m = mem_zero(sizeof *m);
  m->type = SPEC_PUBLISH;
  m->state = HANDSHAKE_WAITING;
  m->qos = p->qos;
  m->user = p->user;
  m->number = number;
  if (m->qos) *packet_id = m->packet_id = outbox_take_id(o, m);
  struct packet packet = outbox_packet(m, p);
  outbox_append(o, m);
  o->buffered++;
  outbox_place(o, m, &packet, at_once);
  return true;
}

static bool outbox_window_open(const struct outbox *o, const struct outbox_message *m) {
  return !m->qos || m->windowed || o->window < o->inflight_max;
}

bool outbox_blocked(const struct outbox *o) {
  return o->next && !outbox_window_open(o, o->next);
}

/* What of a handshake is to be sent next: a PUBLISH, as a repetition if any of it went out before [MQTT-3.3.1-1], or
 * PUBREL. */
static void outbox_append_packet(struct outbox *o, struct outbox_message *m) {
  bool fits;
  bool released = handshake_resend(m->state) == SPEC_PUBREL;
  if (m->begun && defect_is(DEFECT_RESEND_FORGOTTEN)) return;
  if (released && defect_is(DEFECT_PUBREL_FORGOTTEN)) return;
  if (released && !(m->bytes && defect_is(DEFECT_PUBLISH_AFTER_PUBREC))) {
    fits = encode_ack(&o->flow->bytes, SPEC_PUBREL, m->packet_id);
  } else {
    if (m->begun && !defect_is(DEFECT_RESEND_WITHOUT_DUP)) m->bytes[0] |= OUTBOX_DUP;
    fits = buffer_append(&o->flow->bytes, slice_of(m->bytes, m->held));
  }
  assert(fits);
}

bool outbox_encode_next(struct outbox *o) {
  struct outbox_message *m = o->next;
  if (!m || !outbox_has_room(o) || !outbox_window_open(o, m)) return false;
  uint64_t begin = outflow_end(o->flow);
  outbox_append_packet(o, m);
  outbox_wait_no_more(o, m);
  outbox_encoded(o, m, begin);
  if (!o->keep || !m->qos) outbox_drop_bytes(m);
  return true;
}

static void outbox_begin(struct outbox *o, struct outbox_message *m) {
  if (m->begun) return;
  m->begun = true;
  o->buffered--;
  o->inflight++;
}

/* All of the message's packet was handed over. */
static void outbox_complete(struct outbox *o, struct outbox_message *m) {
  o->writing = outbox_behind(o, m);
  if (m->state == HANDSHAKE_WAITING) m->state = (uint8_t)handshake_sent(m->qos);
  if (m->qos == 1 && defect_is(DEFECT_SUCCESS_TOO_EARLY)) m->state = HANDSHAKE_DONE;
  if (m->state == HANDSHAKE_DONE) outbox_settle(o, m, SESSION_SUCCESS);
}

void outbox_wrote(struct outbox *o) {
  uint64_t written = o->flow->written;
  for (struct outbox_message *m = o->writing; m && written > m->begin; m = o->writing) {
    outbox_begin(o, m);
    if (written < m->begin + m->size) return;
    outbox_complete(o, m);
  }
}

/* The defect of the same name. */
static void outbox_repeat_first(const struct outbox *o) {
  const struct outbox_message *m = o->first;
  if (m && m->bytes && m->begun && !m->waits && handshake_resend(m->state) == SPEC_PUBLISH)
    buffer_append(&o->flow->bytes, slice_of(m->bytes, m->held));
}

bool outbox_acknowledged(struct outbox *o, struct outbox_message *m, uint8_t type, uint8_t *reply) {
  struct handshake_step step = handshake_acknowledged(m->state, type);
  *reply = step.reply;
  if (!step.fits) return false;
  m->state = (uint8_t)step.next;
  if (m->state == HANDSHAKE_DONE) outbox_settle(o, m, SESSION_SUCCESS);
  else if (!defect_is(DEFECT_PUBLISH_AFTER_PUBREC)) outbox_drop_bytes(m);
  if (defect_is(DEFECT_RESEND_WITHIN_CONNECTION)) outbox_repeat_first(o);
  return true;
}

uint64_t outbox_unwritten(const struct outbox *o) {
  return o->writing ? o->writing->begin : UINT64_MAX;
}

/* What a message gets that has no packet in the outflow which is not completely written. */
static int outbox_code_apart(const struct outbox_message *m) {
  return m->begun || m->cut ? SESSION_INCOMPLETE : SESSION_DISCONNECTED;
}

static int outbox_code_in_flow(const struct outbox *o, const struct outbox_message *m, enum session_end end,
                               uint64_t victim) {
  int code = outcome_of_end(end, m->begin, m->begin + m->size, o->flow->written, m->begin == victim);
  return code == SESSION_DISCONNECTED ? outbox_code_apart(m) : code;
}

static void outbox_fail_all(struct outbox *o, enum session_end end, uint64_t victim) {
  const struct outbox_message *writing = o->writing, *next = o->next;
  bool in_flow = false;
  for (struct outbox_message *m = o->first, *after; m; m = after) {
    after = m->after;
    if (m == writing) in_flow = true;
    if (m == next) in_flow = false;
    int code = in_flow ? outbox_code_in_flow(o, m, end, victim) : outbox_code_apart(m);
    if (code == SESSION_INCOMPLETE && defect_is(DEFECT_FAILED_AS_NOT_SENT)) code = SESSION_DISCONNECTED;
    outbox_settle(o, m, code);
  }
}

/* A packet that is not completely written goes back to where it was: what was begun stays in flight, but for QoS 0,
 * which waits again, since a part of it can never have been delivered. */
static void outbox_take_back(struct outbox *o, struct outbox_message *m) {
  if (!m->bytes && m->state != HANDSHAKE_PUBCOMP_DUE) outbox_hold_bytes(m, outflow_at(o->flow, m->begin, m->size));
  if (m->begun && !m->qos) {
    m->begun = false;
    m->cut = true;
    o->inflight--;
    o->buffered++;
  }
}

static void outbox_keep_all(struct outbox *o) {
  for (struct outbox_message *m = o->writing; m && m != o->next; m = m->after) outbox_take_back(o, m);
  while (o->next) outbox_wait_no_more(o, o->next);
}

void outbox_ended(struct outbox *o, enum session_end end, uint64_t victim) {
  if (o->keep) outbox_keep_all(o);
  else outbox_fail_all(o, end, victim);
  o->writing = NULL;
  assert(!o->next && o->waiting == 0);
}

/* The defect of the same name. */
static void outbox_move_first(struct outbox *o) {
  struct outbox_message *m = o->first;
  if (!m || !m->begun) return;
  outbox_unlink(o, m);
  m->after = NULL;
  outbox_append(o, m);
}

void outbox_resume(struct outbox *o, bool present, bool keep) {
  o->keep = keep;
  for (struct outbox_message *m = o->first, *after; !present && m && m->begun; m = after) {
    after = m->after;
    outbox_settle(o, m, SESSION_INCOMPLETE);
  }
  if (defect_is(DEFECT_RESEND_OUT_OF_ORDER)) outbox_move_first(o);
  for (struct outbox_message *m = o->first; m; m = m->after) outbox_wait(o, m);
}

void outbox_drop(struct outbox *o) {
  assert(!o->writing && !o->next);
  while (o->first) outbox_settle(o, o->first, outbox_code_apart(o->first));
}
