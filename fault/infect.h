/* infect: the toxics of one proxy, at work on its connections.
 *
 * A toxic is a rule (toxic.h) in a scope of each connection that it strikes, and perhaps a clock. Which connections
 * are struck is drawn from the seed, the toxic and the connection's number: the same toxics on the same connections in
 * another run, and a higher toxicity only adds to them. A toxic taken out lets go all that it held.
 */
#ifndef MQRIG_INFECT_H
#define MQRIG_INFECT_H

#include "fault/proxy.h"
#include "fault/toxic.h"

#define INFECT_TOXICS_MAX 1000

struct infect;

/* `fired` (may be NULL): a toxic's rule has acted on a connection. */
struct infect *infect_new(struct net *n, uint64_t seed,
                          void (*fired)(void *arg, struct proxy_conn *c, const struct scope_firing *f), void *arg);
void infect_free(struct infect *i);

/* From now on that proxy's connections; NULL: none. It is to be told before the proxy is freed. */
void infect_attach(struct infect *i, struct proxy *p);

size_t infect_count(const struct infect *i);
/* Upstream ones first, each in the order in which they came. Borrowed until the next change. */
const struct toxic *infect_toxic(const struct infect *i, size_t index);
const struct toxic *infect_find(const struct infect *i, const char *name); /* or NULL */
uint64_t infect_fired(const struct infect *i);                             /* how often rules have acted, in all */

/* Takes over what the toxic holds. The name is new here, toxic_check has said that it is fine, and there are fewer than
 * INFECT_TOXICS_MAX. */
void infect_add(struct infect *i, struct toxic *t);
/* The toxic of the same name gives way to this one, of the same kind and direction. It strikes the same connections. */
void infect_update(struct infect *i, struct toxic *t);
void infect_remove(struct infect *i, const char *name);
void infect_clear(struct infect *i);

#endif
