/* invclient: a client of ours: what its scenario asked for, what it was told, and what went over its wire.
 *
 * Private to the invariants: 13 to 18 as far as they are the client's, 21, 24 to 28.
 */
#ifndef MQRIG_INVCLIENT_H
#define MQRIG_INVCLIENT_H

#include "host/invstate.h"

enum invclient_state { INVCLIENT_IDLE, INVCLIENT_CONNECTING, INVCLIENT_CONNECTED, INVCLIENT_DISCONNECTING };

/* Something asked for, until its result. */
struct invclient_operation {
  struct hash_node by_number, by_id;
  struct list_node pending;   /* in order of asking */
  struct list_node unwritten; /* a message of which the packet has not gone out */
  uint64_t number, entry, content;
  uint16_t packet_id;
  uint8_t qos;
  bool request; /* a subscribe or unsubscribe */
  bool refused, written, begun, acknowledged;
  bool full, crowded; /* when it was asked for: all identifiers were in use; the buffer was full */
};

/* The PUBLISH that came last. */
struct invclient_arrival {
  uint64_t entry, content;
  uint16_t packet_id;
  uint8_t qos;
  bool due;   /* it is to be given to the scenario */
  bool known; /* there is one */
};

struct invclient {
  struct list_node all;
  struct invend *end;
  uint8_t state; /* enum invclient_state */
  bool closing, clean, accepted, present;
  bool wanted, sheltered;
  bool cut; /* the connection ended within a packet: it may have been busy with that */
  uint8_t connack;
  uint32_t inflight_max, buffered_max;
  uint64_t numbers; /* operations so far */
  struct hash by_number, by_id;
  struct list_node pending, unwritten;
  struct hash unsent; /* contents of those that were certainly not sent */
  struct list_node unsent_row;
  uint32_t requests, messages; /* of those pending, without those refused */
  uint32_t identifiers;        /* in use */
  uint32_t buffered, inflight;
  struct invclient_arrival arrival;
  uint64_t dialed;
  int64_t idle_late_ns, pinged_ns; /* -1: not */
  bool gave_up;                    /* the connection was ended by this end */
  struct invclock dial, told, idle, pong;
};

struct invclient *invclient_new(struct invariant *v, struct invend *end, const struct event *e);
void invclient_free(struct invariant *v, struct invclient *c);

void invclient_event(struct invariant *v, struct invend *end, const struct event *e);
/* `begins`: a PUBLISH that is no repetition. */
void invclient_sent(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content, bool begins);
void invclient_received(struct invariant *v, struct invend *end, const struct packet *p);
/* Its connection is over: the scenario is to be told at once. */
void invclient_ended(struct invariant *v, struct invend *end, bool by_this_end);
/* When everybody had the time to finish. */
void invclient_settle(struct invariant *v, struct invclient *c);

static inline struct invclient_operation *invclient_first(const struct invclient *c) {
  struct list_node *n = list_first(&c->pending);
  return n ? LIST_OWNER(n, struct invclient_operation, pending) : NULL;
}

#endif
