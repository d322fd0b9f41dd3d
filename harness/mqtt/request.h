/* request: SUBSCRIBE and UNSUBSCRIBE operations of a session, until each is answered.
 *
 * They share the packet identifiers with the messages and keep their place among them: one goes out behind the messages
 * accepted before it, unless those wait for the window. They never outlive their connection.
 */
#ifndef MQRIG_REQUEST_H
#define MQRIG_REQUEST_H

#include "mqtt/outbox.h"

struct request {
  uint8_t type; /* SPEC_SUBSCRIBE or SPEC_UNSUBSCRIBE: all that owns a packet identifier begins with its type */
  uint8_t count;
  uint16_t packet_id;
  uint32_t size;
  uint32_t number; /* of the operation, eventq.operations */
  struct request *before, *after;
  uint64_t user;
  uint64_t turn;  /* goes out once the outbox has encoded that many */
  uint64_t begin; /* offset in the outflow once encoded */
  uint8_t *bytes; /* while it waits to be encoded, else NULL */
};

struct request_list {
  struct outbox *box;
  struct request *first, *last;
  struct request *next; /* the first that waits to be encoded */
};

void request_init(struct request_list *r, struct outbox *box);
void request_fini(struct request_list *r); /* no events */

/* 0, or -10, or -1 if it has no encoding; then nothing follows. */
int request_subscribe(struct request_list *r, const struct packet_subscription *topics, size_t count, uint64_t user);
int request_unsubscribe(struct request_list *r, const struct slice *filters, size_t count, uint64_t user);

/* Puts out those whose turn it is. */
void request_encode(struct request_list *r);

/* Whether all of it was handed over: only then is there something to answer. */
bool request_is_written(const struct request_list *r, const struct request *q);

/* The operation is over: puts its event. A subscription's granted codes are the caller's to add. */
void request_done(struct request_list *r, struct request *q, int code);

/* The offset of the first that is not completely written; UINT64_MAX if there is none. */
uint64_t request_unwritten(const struct request_list *r);

/* The connection has ended; the outflow is as it was then. `victim` is the offset of what the failed write was for. */
void request_ended(struct request_list *r, enum session_end end, uint64_t victim);

#endif
