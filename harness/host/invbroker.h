/* invbroker: a built-in broker, as its connections show it: who is connected, which sessions there are, whose wills.
 *
 * Private to the invariants: 20 to 23 and 28 here; what it must deliver is invdeliver.h. A model, made from what came
 * to the broker, against which what it sends is held.
 */
#ifndef MQRIG_INVBROKER_H
#define MQRIG_INVBROKER_H

#include "host/invstate.h"

struct invbroker {
  struct list_node all;
  uint64_t number;
  uint32_t inflight_max, queued_max;
  bool judged, paused;
  struct hash by_id; /* sessions */
  struct list_node sessions, conns;
  uint64_t sessions_made;
  /* invdeliver.h: */
  struct hash exact; /* subscriptions without wildcards, by filter */
  struct list_node wild;
  struct hash retained; /* by topic */
  struct list_node retained_all;
  struct hash known; /* messages that came, by content */
  struct list_node known_all;
  struct invsession **matched;
  size_t matched_capacity;
  uint64_t sequence;
};

struct invsession {
  struct hash_node by_id;
  struct list_node all;
  struct invbroker *broker;
  struct invend *end; /* NULL: not connected */
  struct invflow *flow;
  char *client_id;
  size_t client_id_size;
  uint64_t number;
  bool clean, named, trusted;
  /* invdeliver.h: */
  struct list_node subscriptions, former; /* former: of the session that a clean start has ended */
  struct hash groups;                     /* what is to be delivered, by content */
  struct list_node expected;              /* in the order in which it came */
  size_t expected_bytes;
  uint32_t expected_count, away, over; /* away: what came while it was not connected; over: and found the queue full */
  struct hash orders;
  struct list_node orders_all;
  uint64_t matched; /* the message that was last found to match */
  uint8_t matched_qos;
};

/* One connection of a broker. */
struct invconn {
  struct list_node all;
  struct invbroker *broker;
  struct invend *end;
  struct invsession *session;
  bool connected, gone, closing, present;
  uint16_t keepalive_s;
  uint64_t heard, connect; /* entries */
  struct invclock silence, takeover;
  struct packet will; /* topic and payload are owned */
  bool has_will;
};

/* An event of a peer, or of a connection of one. */
void invbroker_event(struct invariant *v, uint32_t who, const struct event *e);
void invbroker_free(struct invariant *v, struct invbroker *b);

void invbroker_sent(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content, bool begins);
/* What it has sent answers that entry: of all that came before that, nothing is left to be sent. */
void invbroker_answered(struct invariant *v, struct invend *end, uint64_t entry);
void invbroker_received(struct invariant *v, struct invend *end, const struct packet *p);
void invbroker_ended(struct invariant *v, struct invend *end);
void invbroker_settle(struct invariant *v, struct invbroker *b);

/* Its session is told apart from what the broker was told by a script. */
void invbroker_distrust(struct invend *end);

#endif
