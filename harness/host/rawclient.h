/* rawclient: a connection with no session: bytes out, packets or bytes in. For sending what no client would.
 *
 * Bytes may be sent before it has opened. After STREAM_FIN it can still be written to; any other end closes it. What
 * came in can be taken until rawclient_free. A handler may call anything here, rawclient_free included.
 */
#ifndef MQRIG_RAWCLIENT_H
#define MQRIG_RAWCLIENT_H

#include "host/timeline.h"
#include "net/transport.h"

#define RAWCLIENT_IN_MAX (1u << 20) /* bytes received and not yet taken; then it stops reading */

struct rawclient;

struct rawclient_handler {
  void (*opened)(void *arg);
  void (*input)(void *arg); /* there is more in rawclient_input */
  void (*ended)(void *arg, enum stream_end end, const char *why);
};

/* `transport` may be NULL; its `note` is the client's own. */
struct rawclient *rawclient_new(struct net *n, struct timeline *timeline, const char *name, const struct url *u,
                                const struct transport_options *transport, int64_t timeout_ns,
                                const struct rawclient_handler *handler, void *arg, struct err *err);
void rawclient_free(struct rawclient *c);                     /* closes, behind what the transport takes at once */
bool rawclient_send(struct rawclient *c, struct slice bytes); /* false: it has ended, or too much waits */
struct slice rawclient_input(const struct rawclient *c);
void rawclient_take(struct rawclient *c, size_t n);
struct chain *rawclient_chain(const struct rawclient *c);
uint32_t rawclient_who(const struct rawclient *c);

#endif
