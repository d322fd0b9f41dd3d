/* transport: the filters that the scheme of a URL asks for, on a chain.
 *
 *   tcp mqtt unix: none.  ssl mqtts: TLS.  ws: WebSocket.  wss: WebSocket in TLS.
 *
 * The one place where schemes become filters, for clients, peers and the proxy. They are pushed before any other filter
 * of the chain, and before it is attached: faults of packets come between them and the owner.
 */
#ifndef MQRIG_TRANSPORT_H
#define MQRIG_TRANSPORT_H

#include "net/ws.h"

struct tlsconfig;
struct tls_orders;

/* What a connection needs besides its URL. Open; all zero is the default. Borrowed for the call. */
struct transport_options {
  struct tlsconfig *tls;           /* NULL: a client trusts whom the system trusts; who listens has to have one */
  const struct tls_orders *orders; /* what the handshake is to do wrong; may be NULL */
  /* Is told in a sentence what happens below the packets: a handshake that was done, an alert. May be NULL. */
  void (*note)(void *arg, const char *what);
  void *arg;                   /* of `note` */
  const struct ws_options *ws; /* of ws and wss; may be NULL. Path, host, seed and note are the transport's */
};

/* Whether the options fit the scheme, for the end that `listens` or for the other: false with a sentence that names the
 * option. */
bool transport_check(const struct url *u, const struct transport_options *o, bool listens, struct err *err);

/* Pushes the filters of this end on a chain of that world that has none yet: of the end that connects to the URL, and
 * of the end that listens there. `o` may be NULL. False with a sentence, and nothing pushed. */
bool transport_client(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                      struct err *err);
bool transport_server(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                      struct err *err);

#endif
