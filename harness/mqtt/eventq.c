#include "mqtt/eventq.h"

#include <assert.h>

/* Room for the results of all that was accepted, behind EVENTQ_MAX: more than SESSION_BUFFERED_MAX messages. */
#define EVENTQ_BYTES_MAX BUFFER_MAX

void eventq_init(struct eventq *q) {
  buffer_init(&q->entries, EVENTQ_BYTES_MAX);
}

void eventq_fini(struct eventq *q) {
  buffer_fini(&q->entries);
}

static void eventq_append(struct eventq *q, const struct eventq_entry *e) {
  bool fits = buffer_append(&q->entries, slice_of(e, sizeof *e));
  assert(fits);
}

void eventq_put_result(struct eventq *q, enum session_event_type type, int code, uint64_t user, uint32_t number) {
  struct eventq_entry e = { user, (int16_t)code, (uint8_t)type, false, number };
  eventq_append(q, &e);
}

void eventq_put(struct eventq *q, enum session_event_type type, int code, uint64_t user) {
  eventq_put_result(q, type, code, user, 0);
}

void eventq_put_connected(struct eventq *q, int code, bool session_present) {
  struct eventq_entry e = { 0, (int16_t)code, SESSION_EVENT_CONNECTED, session_present, 0 };
  eventq_append(q, &e);
}

bool eventq_take(struct eventq *q, struct eventq_entry *out) {
  struct slice held = buffer_slice(&q->entries);
  if (held.size == 0) return false;
  memcpy(out, held.data, sizeof *out);
  buffer_consume(&q->entries, sizeof *out);
  return true;
}
