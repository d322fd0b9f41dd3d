/* evconnect: getting connected: names, several addresses, one timeout for all of it.
 *
 * Addresses are tried in turn, of the two families by turns; one that has not answered within ADDRESS_NEXT_NS
 * goes on beside the next, and the first that is connected stays (RFC 8305).
 */
#ifndef MQRIG_EVCONNECT_H
#define MQRIG_EVCONNECT_H

#include "net/evstream.h"

#define EVCONNECT_AGAIN_NS 5000000 /* a Unix socket whose backlog is full is asked again */

struct stream *evconnect_start(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err);

/* The stream's source ran while it was connecting. The stream may be gone when it returns. */
void evconnect_run(struct evstream *s);

/* Of all sockets that are tried. */
void evconnect_set_buffers(struct evstream *s, size_t send, size_t receive);

/* Forgets the attempt, if there is one. */
void evconnect_free(struct evstream *s);

#endif
