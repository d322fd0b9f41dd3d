/* outbox: the messages that a session has accepted, in send order, until each has its result.
 *
 * One list, first in, first out. On a connection it is cut by two cursors:
 *
 *   first ... | writing ...                      | next ...
 *   written     encoded, not completely written    waiting to be encoded
 *
 * A message holds its packet's bytes only while it waits, and, where the session is kept, until its PUBACK or PUBREC.
 * Every operation is O(1) a message. Results go to the session's events.
 */
#ifndef MQRIG_OUTBOX_H
#define MQRIG_OUTBOX_H

#include "mqtt/eventq.h"
#include "mqtt/outflow.h"
#include "mqtt/packetid.h"
#include "mqtt/settings.h"

struct outbox_message {
  uint8_t type;  /* SPEC_PUBLISH: all that owns a packet identifier begins with its type */
  uint8_t state; /* enum handshake_state; WAITING until all of its PUBLISH was handed over once */
  uint8_t qos;
  bool begun;         /* its first byte was handed over: it is in flight */
  bool cut;           /* QoS 0 that was cut mid-write on a kept session, and waits again */
  bool windowed;      /* it counts for inflight_max */
  bool waits;         /* it is at or behind `next` */
  uint16_t packet_id; /* 0 for QoS 0 */
  uint32_t size;      /* of the packet encoded last */
  uint32_t held;      /* size of `bytes` */
  uint32_t number;    /* of the operation, eventq.operations */
  struct outbox_message *before, *after;
  uint64_t user;
  uint64_t begin; /* offset of that packet in the outflow */
  uint8_t *bytes; /* the PUBLISH, or NULL */
};

struct outbox {
  struct outflow *flow;
  struct packetid *ids;
  struct eventq *events;
  uint32_t inflight_max, buffered_max;
  struct outbox_message *first, *last, *writing, *next;
  bool keep;         /* this connection's session outlives it */
  uint32_t window;   /* QoS 1 and 2 messages that were encoded once, on any connection */
  uint32_t inflight; /* begun, not complete */
  uint32_t buffered; /* not begun */
  uint64_t encoded;  /* how many were taken from `next` so far */
  uint32_t waiting;  /* how many are at or behind `next` */
};

void outbox_init(struct outbox *o, struct outflow *flow, struct packetid *ids, struct eventq *events);
void outbox_fini(struct outbox *o); /* no results */

/* Accepts a message, or gives it -10 or -12 and returns false. `at_once`: nothing else waits to be encoded before it.
 * `*packet_id` is 0 if it has none. */
bool outbox_accept(struct outbox *o, const struct session_publish *p, bool at_once, uint16_t *packet_id);

/* Whether the next message waits for the window only. */
bool outbox_blocked(const struct outbox *o);

/* Encodes the next waiting message; false if there is none, the outflow is full, or the window is. */
bool outbox_encode_next(struct outbox *o);

/* After the outflow's `written` has moved: what is completely handed over goes on. */
void outbox_wrote(struct outbox *o);

/* PUBACK, PUBREC or PUBCOMP for that message. False if it does not fit: nothing changes. `*reply` is what to send. */
bool outbox_acknowledged(struct outbox *o, struct outbox_message *m, uint8_t type, uint8_t *reply);

/* The offset of the first message that is not completely written; UINT64_MAX if there is none. */
uint64_t outbox_unwritten(const struct outbox *o);

/* The connection has ended; the outflow is as it was then. Not kept: every message gets its result. `victim` is the
 * offset of what the failed write was for. */
void outbox_ended(struct outbox *o, enum session_end end, uint64_t victim);

/* A connection was accepted. Present: what was in flight goes again; not present: it gets -11. */
void outbox_resume(struct outbox *o, bool present, bool keep);

/* Without a connection: ends what was kept. */
void outbox_drop(struct outbox *o);

#endif
