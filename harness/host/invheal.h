/* invheal: what must hold at the end of a run and after all faults have ended: 32 to 36.
 *
 * Private to the invariants.
 */
#ifndef MQRIG_INVHEAL_H
#define MQRIG_INVHEAL_H

#include "host/invstate.h"

/* Whether this end has heard nothing since all is well: the other end may be long gone. That it finds out is no breach,
 * and what its scenario does then is asked for. */
bool invheal_is_half_open(const struct invariant *v, const struct invend *end);

/* The run's events; before anything else looks at an entry. */
void invheal_entry(struct invariant *v, const struct timeline_entry *e);
void invheal_finish(struct invariant *v);

#endif
