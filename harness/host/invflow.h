/* invflow: what is in flight in one session, as one end of it sees it, and what it owes to the other end.
 *
 * Private to the invariants. Outlives connections as the session does: what was sent and not acknowledged stands in the
 * order of first sending, and on a resumed session a cursor goes over it as it is sent again. What is owed is of one
 * connection. Invariants 4 to 11.
 */
#ifndef MQRIG_INVFLOW_H
#define MQRIG_INVFLOW_H

#include "host/invstate.h"

enum invflow_debt {
  INVFLOW_PUBACK,
  INVFLOW_PUBREC,
  INVFLOW_PUBREL,
  INVFLOW_PUBCOMP,
  INVFLOW_SUBACK,
  INVFLOW_UNSUBACK,
  INVFLOW_PINGRESP,
  INVFLOW_DEBTS
};

struct invflow {
  struct hash by_id;
  struct list_node row;   /* in flight, in order of first sending */
  struct list_node *next; /* the first to be sent again; &row: none is left */
  uint32_t count;         /* PUBLISH in flight */
  bool cut;               /* the last connection ended within a PUBLISH of which nothing else is known */
  bool trusted;           /* nothing but the end itself has sent in it */
  struct hash received;   /* QoS 2 identifiers that came, and are not released */
  struct list_node owed[INVFLOW_DEBTS];
  uint32_t debts; /* all that is owed */
  uint64_t turn;
};

struct invflow *invflow_new(void);
void invflow_free(struct invflow *f);

/* A new connection: nothing is owed, requests are forgotten; what was in flight waits to be told whether it goes on. */
void invflow_begin(struct invflow *f);
/* It goes on: all of it is to be sent again. */
void invflow_resume(struct invflow *f);
/* The session is a new one. */
void invflow_forget(struct invflow *f);

/* A packet that the end has sent, and one that came to it. `content` of a PUBLISH: event_content. Returns the entry
 * that it answers, or 0. */
uint64_t invflow_sent(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content);
void invflow_received(struct invariant *v, struct invend *end, const struct packet *p);

/* Whether a PUBLISH that the end is about to send is the repetition of one in flight. */
bool invflow_repeats(const struct invflow *f, const struct packet *p, uint64_t content);
/* Whether a QoS 2 message of that identifier has come and was not released. */
bool invflow_has_received(const struct invflow *f, uint16_t packet_id);
void invflow_unreceive(struct invflow *f, uint16_t packet_id);

/* When everybody had the time to finish: what is still owed or was not sent again, while the connection is up. */
void invflow_settle(struct invariant *v, const struct invend *end);

#endif
