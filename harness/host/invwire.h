/* invwire: the packets of one end: what it may send when, and that each is well-formed.
 *
 * Private to the invariants: 1, 2, 3, 11 and 12 here, 4 to 10 in invflow.h; then each packet goes on to what is known
 * of its client (invclient.h) or broker (invbroker.h).
 */
#ifndef MQRIG_INVWIRE_H
#define MQRIG_INVWIRE_H

#include "host/invstate.h"

/* A connection opens, and is over. */
void invwire_open(struct invariant *v, struct invend *end);
void invwire_end(struct invend *end);

void invwire_packet(struct invariant *v, struct invend *end, const struct timeline_entry *e);

/* What stands where a packet should begin is none. */
void invwire_unframed(struct invariant *v, struct invend *end, enum timeline_kind direction);

/* What an end sends is not its own any more, on this connection; and what hangs on it in the session is not known. */
void invwire_distrust(struct invend *end);

#endif
