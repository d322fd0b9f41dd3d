#include "mqtt/request.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/encode.h"

#define REQUEST_ITEMS_MAX (SPEC_REMAINING_LENGTH_MAX / 2) /* bytes: many times what the largest call has */

void request_init(struct request_list *r, struct outbox *box) {
  *r = (struct request_list){ .box = box };
}

static void request_remove(struct request_list *r, struct request *q) {
  if (q == r->next) r->next = q->after;
  if (q->before) q->before->after = q->after;
  else r->first = q->after;
  if (q->after) q->after->before = q->before;
  else r->last = q->before;
  packetid_release(r->box->ids, q->packet_id);
  free(q->bytes);
  free(q);
}

void request_fini(struct request_list *r) {
  while (r->first) request_remove(r, r->first);
}

static void request_append(struct request_list *r, struct request *q) {
  q->before = r->last;
  if (r->last) r->last->after = q;
  else r->first = q;
  r->last = q;
  if (!r->next) r->next = q;
}

static bool request_has_turn(const struct request_list *r, const struct request *q) {
  return r->box->encoded >= q->turn || outbox_blocked(r->box);
}

void request_encode(struct request_list *r) {
  struct outflow *flow = r->box->flow;
  while (r->next && outflow_waiting(flow) < SESSION_OUTPUT_MAX && request_has_turn(r, r->next)) {
    struct request *q = r->next;
    q->begin = outflow_end(flow);
    bool fits = buffer_append(&flow->bytes, slice_of(q->bytes, q->size));
    assert(fits);
    free(q->bytes);
    q->bytes = NULL;
    r->next = q->after;
  }
}

static int request_begin(struct request_list *r, enum spec_type type, const struct buffer *items, size_t count,
                         uint64_t user) {
  struct packet packet = { .type = (uint8_t)type, .version = SPEC_3_1_1, .items = buffer_slice(items) };
  packet.flags = packet_flags(&packet);
  struct request *q = mem_zero(sizeof *q);
  q->type = (uint8_t)type;
  q->count = (uint8_t)count;
  q->user = user;
  q->number = ++r->box->events->operations;
  q->packet_id = packet.packet_id = packetid_take(r->box->ids, q);
  struct buffer bytes;
  buffer_init(&bytes, encode_size(&packet));
  bool fits = encode_packet(&bytes, &packet);
  assert(fits);
  q->size = (uint32_t)buffer_size(&bytes);
  q->bytes = buffer_give_away(&bytes);
  q->turn = r->box->encoded + r->box->waiting;
  request_append(r, q);
  request_encode(r);
  return 0;
}

int request_subscribe(struct request_list *r, const struct packet_subscription *topics, size_t count, uint64_t user) {
  struct buffer items;
  int code = SESSION_SOCKET_ERROR;
  bool fits = true;
  if (packetid_full(r->box->ids)) return SESSION_NO_MORE_IDS;
  buffer_init(&items, REQUEST_ITEMS_MAX);
  for (size_t i = 0; i < count && fits; i++)
    fits = encode_subscription(&items, topics[i].filter, topics[i].options | topics[i].qos);
  if (fits) code = request_begin(r, SPEC_SUBSCRIBE, &items, count, user);
  buffer_fini(&items);
  return code;
}

int request_unsubscribe(struct request_list *r, const struct slice *filters, size_t count, uint64_t user) {
  struct buffer items;
  int code = SESSION_SOCKET_ERROR;
  bool fits = true;
  if (packetid_full(r->box->ids)) return SESSION_NO_MORE_IDS;
  buffer_init(&items, REQUEST_ITEMS_MAX);
  for (size_t i = 0; i < count && fits; i++) fits = encode_filter(&items, filters[i]);
  if (fits) code = request_begin(r, SPEC_UNSUBSCRIBE, &items, count, user);
  buffer_fini(&items);
  return code;
}

bool request_is_written(const struct request_list *r, const struct request *q) {
  return !q->bytes && r->box->flow->written >= q->begin + q->size;
}

void request_done(struct request_list *r, struct request *q, int code) {
  bool subscribe = q->type == SPEC_SUBSCRIBE;
  eventq_put_result(r->box->events, subscribe ? SESSION_EVENT_SUBSCRIBED : SESSION_EVENT_UNSUBSCRIBED, code, q->user,
                    q->number);
  request_remove(r, q);
}

uint64_t request_unwritten(const struct request_list *r) {
  for (const struct request *q = r->first; q && q != r->next; q = q->after)
    if (q->begin + q->size > r->box->flow->written) return q->begin;
  return UINT64_MAX;
}

static int request_code(const struct request_list *r, const struct request *q, enum session_end end, uint64_t victim) {
  if (q->type == SPEC_UNSUBSCRIBE) return SESSION_SOCKET_ERROR;
  if (q->bytes) return SESSION_DISCONNECTED;
  return outcome_of_end(end, q->begin, q->begin + q->size, r->box->flow->written, q->begin == victim);
}

void request_ended(struct request_list *r, enum session_end end, uint64_t victim) {
  while (r->first) request_done(r, r->first, request_code(r, r->first, end, victim));
}
