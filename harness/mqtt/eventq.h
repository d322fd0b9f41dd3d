/* eventq: what a session has to tell, in order. Sixteen bytes an event, memory only while there are some. */
#ifndef MQRIG_EVENTQ_H
#define MQRIG_EVENTQ_H

#include "base/buffer.h"
#include "mqtt/outcome.h"

/* Beyond this many, sends are refused outright until the owner has taken some. */
#define EVENTQ_MAX (1u << 24)

struct eventq_entry {
  uint64_t user;
  int16_t code;
  uint8_t type; /* enum session_event_type */
  bool session_present;
  uint32_t number; /* of the operation */
};

struct eventq {
  struct buffer entries;
  uint32_t operations; /* begun so far: each has a result among the entries, some time */
};

void eventq_init(struct eventq *q);
void eventq_fini(struct eventq *q);
void eventq_put(struct eventq *q, enum session_event_type type, int code, uint64_t user);
/* What became of an operation. */
void eventq_put_result(struct eventq *q, enum session_event_type type, int code, uint64_t user, uint32_t number);
void eventq_put_connected(struct eventq *q, int code, bool session_present);
bool eventq_take(struct eventq *q, struct eventq_entry *out);

static inline bool eventq_full(const struct eventq *q) {
  return buffer_size(&q->entries) / sizeof(struct eventq_entry) >= EVENTQ_MAX;
}

#endif
