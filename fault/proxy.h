/* proxy: a listener in front of an upstream, with rules for all its connections.
 *
 * Each connection that is accepted is relayed (relay.h) to a connection of its own to the upstream. Connections are
 * numbered from 1 in the order in which they were accepted. Rules can come and go while connections are up. A handler
 * may call anything here, proxy_free included, but for `fired`, which runs while bytes are on their way: it looks and
 * tells.
 */
#ifndef MQRIG_PROXY_H
#define MQRIG_PROXY_H

#include "fault/relay.h"

#define PROXY_CONNECT_TIMEOUT_NS 10000000000

struct proxy;
struct proxy_conn;

struct proxy_options {
  struct url listen, upstream; /* port 0 of `listen`: a free one */
  /* Where the URL's scheme is of TLS: a server's, towards clients; and a client's, NULL: the system says whom to trust.
   * A reference each is taken. */
  struct tlsconfig *tls, *upstream_tls;
  int64_t connect_timeout_ns; /* to the upstream; 0: PROXY_CONNECT_TIMEOUT_NS */
  bool closes;                /* a client for whom there is no upstream sees an end of file, not a reset */
  bool disabled;              /* does not listen before proxy_enable */
  struct net_listen_options accepting;
  const char *name;    /* for logs; NULL: it needs none */
  struct scope *scope; /* its rules; borrowed, whoever made it is told of firings. NULL: one of the proxy's own */
  uint64_t seed;       /* of that */
};

/* What happens, for logs and scripts. Each may be NULL. */
struct proxy_handler {
  void (*accepted)(void *arg, struct proxy_conn *c); /* before anything is asked of the upstream */
  void (*opened)(void *arg, struct proxy_conn *c);   /* the upstream is connected */
  /* Rules of the proxy's own scope. `c`: NULL only where no connection has been accepted. */
  void (*fired)(void *arg, struct proxy_conn *c, const struct scope_firing *f);
  void (*ended)(void *arg, struct proxy_conn *c, const char *why); /* once; freed after this */
  void (*trouble)(void *arg, const struct err *why);               /* no descriptors; a fault that cannot be done */
};

struct proxy_counts {
  uint64_t connections, open, unreached; /* accepted; that are up; whose upstream could not be reached */
  uint64_t bytes_up, bytes_down, packets_up, packets_down; /* as the clients see them */
  uint64_t firings;                                        /* of the proxy's own scope */
};

/* Listens. NULL with a sentence. */
struct proxy *proxy_new(struct net *n, const struct proxy_options *options, const struct proxy_handler *handler,
                        void *arg, struct err *err);
void proxy_free(struct proxy *p); /* closes all; not while a rule's function runs */

/* One more who is told, each time after the owner's handler: of connections opened and ended only. It looks at the
 * connections and acts on them, and frees no proxy. `h` NULL: nobody. */
void proxy_watch(struct proxy *p, const struct proxy_handler *h, void *arg);

const char *proxy_name(const struct proxy *p); /* "" without one */
const struct url *proxy_url(const struct proxy *p);
const struct url *proxy_upstream(const struct proxy *p);
bool proxy_set_upstream(struct proxy *p, const struct url *u, struct err *err); /* for connections to come */
struct scope *proxy_scope(const struct proxy *p);
struct proxy_counts proxy_counts(const struct proxy *p);

/* To be called after scope_add on the proxy's scope: its rules are for the connections that are up, too. */
void proxy_join(struct proxy *p);
/* Parses the rule, adds it and joins. NULL with a sentence. */
struct scope_rule *proxy_add_rule(struct proxy *p, const char *text, struct err *err);

/* Disabled: the listener is closed and all connections are ended, by RST if `reset`. Enabled again it listens at the
 * same address. */
void proxy_disable(struct proxy *p, bool reset);
bool proxy_enable(struct proxy *p, struct err *err);
bool proxy_is_enabled(const struct proxy *p);
/* Listens there from now on, if it is enabled, and goes on to that upstream; its connections are ended. False: nothing
 * was changed but that. */
bool proxy_move(struct proxy *p, const struct url *listen, const struct url *upstream, struct err *err);

struct proxy_conn *proxy_conn(const struct proxy *p, uint64_t number); /* NULL if it has ended, or never was */
struct proxy_conn *proxy_newest(const struct proxy *p);                /* that is up, or NULL */
/* From one to the next in the order of their numbers; `c` NULL: the first. NULL: there are no more. */
struct proxy_conn *proxy_next(const struct proxy *p, const struct proxy_conn *c);

const struct proxy *proxy_conn_proxy(const struct proxy_conn *c);
uint64_t proxy_conn_number(const struct proxy_conn *c);
struct relay *proxy_conn_relay(const struct proxy_conn *c);
const char *proxy_conn_client(const struct proxy_conn *c); /* address */
int64_t proxy_conn_began_ns(const struct proxy_conn *c);
/* The handler's own: set in `accepted`. What firings of a borrowed scope carry as `conn`. */
void proxy_conn_set_tag(struct proxy_conn *c, void *tag);
void *proxy_conn_tag(const struct proxy_conn *c);

#endif
