/* peer: a listening broker made of the built-in broker: a scripted peer, or the broker under test.
 *
 * Listens, gives each connection a chain with a tap, and drives broker.h. A script may take packets over
 * (peer_handler.packet, peer_conn_take), send packets of its own and break connections. Connections are numbered from 1
 * in the order in which they were accepted. A handler may call anything here, peer_free included.
 */
#ifndef MQRIG_PEER_H
#define MQRIG_PEER_H

#include "host/timeline.h"
#include "mqtt/broker.h"
#include "net/transport.h"

#define PEER_PACKET_MAX (1u << 20) /* a larger packet is the broker's: a script is not shown it */
#define PEER_DRAIN_NS   5000000000 /* a connection to be closed whose output is not taken is cut after this */

struct peer;
struct peer_conn;

/* What a script does with a packet that it was shown. */
enum peer_verdict {
  PEER_DEFAULT, /* the built-in broker gets it */
  PEER_HANDLED, /* the script answered; the broker keeps its books (broker_note) */
};

struct peer_handler {
  /* A connection is to begin: what its transport is to do can be changed. May be NULL. */
  void (*begins)(void *arg, struct peer_conn *c, struct transport_options *o);
  void (*accepted)(void *arg, struct peer_conn *c); /* before any byte; filters can be put into peer_conn_chain */
  /* Each whole packet that came in and can be taken apart. NULL: nothing is framed here, the broker gets the bytes. */
  enum peer_verdict (*packet)(void *arg, struct peer_conn *c, const struct packet *p);
  /* What comes in on a connection that was taken: a packet, or with NULL bytes that are none. */
  void (*taken)(void *arg, struct peer_conn *c, const struct packet *p, struct slice bytes);
  void (*ended)(void *arg, struct peer_conn *c, const char *why); /* freed after this */
  void (*trouble)(void *arg, const struct err *why);              /* cannot accept for want of descriptors */
};

/* Listens on `u` (port 0: a free one). NULL with a sentence. `transport` may be NULL; its `note` is the peer's own. */
struct peer *peer_new(struct net *n, struct timeline *timeline, const char *name, const struct url *u,
                      const struct broker_options *options, const struct net_listen_options *listen,
                      const struct transport_options *transport, const struct peer_handler *handler, void *arg,
                      struct err *err);
void peer_free(struct peer *p);
const struct url *peer_url(const struct peer *p);
struct broker *peer_broker(const struct peer *p);
struct net_listener *peer_listener(const struct peer *p); /* another one after each peer_start; NULL while stopped */
/* broker_forget. */
void peer_forget(struct peer *p);
void peer_kick(struct peer *p); /* after a call on the broker that may have given it output: broker_publish */

/* stop closes the listener and all connections; `reset` with RST instead of FIN. start listens again at the same
 * address. Sessions stay, unless broker_forget. */
void peer_stop(struct peer *p, bool reset);
bool peer_start(struct peer *p, struct err *err);
/* As a process ends that is killed: nobody says goodbye, the system closes the sockets. Sessions stay, as with stop. */
void peer_kill(struct peer *p);
/* Like a process that was stopped by SIGSTOP: connects and bytes are taken by the kernel, nothing comes back. */
void peer_pause(struct peer *p, bool paused);
/* Whoever wants to connect gets no answer, as net_listener_mute; also after stop and start. */
bool peer_mute(struct peer *p, bool muted, struct err *err);

size_t peer_count(const struct peer *p);                     /* connections accepted so far */
struct peer_conn *peer_conn(const struct peer *p, size_t n); /* n from 1; NULL if it has ended */
struct peer_conn *peer_newest(const struct peer *p);         /* newest that is up, or NULL */

size_t peer_conn_number(const struct peer_conn *c);
struct chain *peer_conn_chain(const struct peer_conn *c);
uint32_t peer_conn_who(const struct peer_conn *c);
/* From now on everything that comes in is shown by `taken`; unless `driven`, the connection goes on as before. Driven:
 * nothing is answered, timed or closed by the broker. Only with a `packet` handler. */
void peer_conn_take(struct peer_conn *c, bool driven);
struct slice peer_conn_client_id(const struct peer_conn *c);
/* At once, as far as the transport takes it: a reset that follows does not overtake it. */
bool peer_conn_send(struct peer_conn *c, struct slice bytes);
struct slice peer_conn_partial_out(const struct peer_conn *c);
struct slice peer_conn_partial_in(const struct peer_conn *c);

#endif
