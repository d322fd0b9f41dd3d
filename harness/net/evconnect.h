/* evconnect: getting connected: names, several addresses, one timeout for all of it. */
#ifndef MQRIG_EVCONNECT_H
#define MQRIG_EVCONNECT_H

#include "net/evstream.h"

#define EVCONNECT_AGAIN_NS 5000000 /* a Unix socket whose backlog is full is asked again */

struct stream *evconnect_start(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err);

/* The stream's source ran while it was connecting. The stream may be gone when it returns. */
void evconnect_run(struct evstream *s, short what);

/* Forgets the attempt, if there is one. */
void evconnect_free(struct evstream *s);

#endif
