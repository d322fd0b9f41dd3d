/* invdeliver: what a broker must deliver to whom, and what it does deliver.
 *
 * Private to the invariants: 13 to 17, 19, and what of 20 and 22 is a message. Each message that comes is expected at
 * each session that subscribes to it; each that goes out must be one of those expected.
 */
#ifndef MQRIG_INVDELIVER_H
#define MQRIG_INVDELIVER_H

#include "host/invbroker.h"

#define INVDELIVER_KNOWN_MAX  65536 /* messages of a broker that are remembered, to name what comes twice */
#define INVDELIVER_ORDERS_MAX 65536 /* publishers and topics of which a session's last message is remembered */
#define INVDELIVER_OVER_MAX   16    /* messages that found a queue full, of a session, that are remembered */

enum invdeliver_kind { INVDELIVER_FORWARD, INVDELIVER_RETAINED, INVDELIVER_WILL };

void invdeliver_init(struct invbroker *b);
void invdeliver_fini(struct invbroker *b);
void invdeliver_forget(struct invbroker *b); /* what is retained */

/* A session is new, ends, and is left by its connection. */
void invdeliver_begin(struct invsession *s);
void invdeliver_end(struct invsession *s);
void invdeliver_leave(struct invsession *s);
/* The new session is a clean start in the place of another, whose subscriptions are not in force any more. */
void invdeliver_inherit(struct invsession *s, struct invsession *former);

void invdeliver_subscribe(struct invariant *v, struct invsession *s, const struct packet *p);
void invdeliver_unsubscribe(struct invsession *s, const struct packet *p);

/* A message has come to the broker, or is a will that is due. `publisher` tells senders apart. */
void invdeliver_publish(struct invariant *v, struct invbroker *b, const struct packet *p, uint64_t content,
                        enum invdeliver_kind kind, uint64_t publisher);
/* It may come some time: what it is called if it comes and must not. */
void invdeliver_know(struct invariant *v, struct invbroker *b, const struct packet *p, uint64_t content,
                     enum invdeliver_kind kind);

/* A PUBLISH to that session that is no repetition. */
void invdeliver_sent(struct invariant *v, struct invsession *s, const struct packet *p, uint64_t content);
/* What came before that entry has been sent by now. */
void invdeliver_expect_sent(struct invariant *v, struct invsession *s, uint64_t entry);
void invdeliver_settle(struct invariant *v, struct invsession *s);

#endif
