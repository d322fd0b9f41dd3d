/* invclock: what has its time while a connection is up: keepalives and pings. Invariants 29 and 30.
 *
 * Private to the invariants.
 */
#ifndef MQRIG_INVCLOCK_H
#define MQRIG_INVCLOCK_H

#include "host/invclient.h"

void invclock_init(struct invclient *c);
void invclock_connected(struct invariant *v, struct invclient *c);
void invclock_lost(struct invariant *v, struct invclient *c, int reason);
void invclock_stop(struct invariant *v, struct invclient *c);
/* EVENT_PING; `midway`: its code. */
void invclock_ping(struct invariant *v, struct invclient *c, bool midway);

void invclock_sent(struct invariant *v, struct invend *end, const struct packet *p);
void invclock_heard(struct invariant *v, struct invend *end, const struct packet *p);

/* A broker's side: from here on silence counts; until then it does not. */
void invclock_watch(struct invariant *v, struct invend *end);
void invclock_leave(struct invariant *v, struct invend *end);
void invclock_silent(struct invariant *v, struct invend *end); /* the broker ends it for silence */

#endif
