/* invheal: what must hold at the end of a run and after all faults have ended: 32 to 36.
 *
 * Private to the invariants.
 */
#ifndef MQRIG_INVHEAL_H
#define MQRIG_INVHEAL_H

#include "host/invstate.h"

/* The run's events; before anything else looks at an entry. */
void invheal_entry(struct invariant *v, const struct timeline_entry *e);
void invheal_finish(struct invariant *v, bool settled);

#endif
