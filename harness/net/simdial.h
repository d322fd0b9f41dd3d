/* simdial: connecting in a virtual world: one address of a name after the other, and what comes of it. */
#ifndef MQRIG_SIMDIAL_H
#define MQRIG_SIMDIAL_H

#include "net/simend.h"

struct simdial;

/* The operation of net_ops. */
struct stream *simdial_start(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err);
void simdial_free(struct simend *e); /* if there is one */

/* For the event of its end. */
int64_t simdial_due_ns(const struct simdial *d);
void simdial_look(struct simend *e);
bool simdial_is_ready(const struct simdial *d); /* its owner is to be told */
void simdial_tell(struct simend *e);

/* The address that is being called, or NULL. */
const struct address *simdial_called(const struct simend *e);

/* What came back: an errno. */
void simdial_answered(struct simend *e);
void simdial_refused(struct simend *e, int why);

#endif
