/* evweb: serves HTTP, on libevent's evhttp.
 *
 * A request is answered in a turn of the net, like everything else, once all of it is there. What is cut off in the
 * middle, comes too slowly or is too large never reaches the one who answers.
 */
#ifndef MQRIG_EVWEB_H
#define MQRIG_EVWEB_H

#include "net/http.h"
#include "net/net.h"

#define EVWEB_HEADERS_MAX     16384
#define EVWEB_HEADER_LINES    100
#define EVWEB_CONNECTIONS_MAX 64          /* at once; more wait in the backlog */
#define EVWEB_REQUEST_NS      60000000000 /* for a whole request, from the connection's begin or the answer before */
#define EVWEB_SWEEP_NS        100000000   /* between looks for connections that have gone */

struct evweb;

/* Listens at a TCP address (no name but localhost); port 0 takes a free one. NULL with a sentence. `answer` is called
 * once for each request and fills in the response. */
struct evweb *evweb_new(struct net *n, const struct url *u, http_answer *answer, void *arg, struct err *err);
const struct url *evweb_url(const struct evweb *w);
void evweb_free(struct evweb *w); /* before its net; not inside `answer` */

#endif
