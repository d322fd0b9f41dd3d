/* fleet: all proxies of a process by name, each with its toxics.
 *
 * What is asked for is done whole or not at all. Addresses are written host:port, [host]:port, :port (every address) or
 * as URLs; port 0 takes a free one. TLS is with the configurations of the options that fleet_new is given.
 */
#ifndef MQRIG_FLEET_H
#define MQRIG_FLEET_H

#include "fault/infect.h"
#include "fault/proxylog.h"

#define FLEET_PROXIES_MAX 1000
#define FLEET_NAME_MAX    128

struct fleet;

/* A proxy of the fleet. Its name does not change. */
struct fleet_member {
  char *name;
  char *upstream; /* as it was written */
  struct proxy *proxy;
  struct infect *infect;
  bool adopted;
};

/* What a proxy is to be. */
struct fleet_order {
  char *name, *listen, *upstream; /* listen NULL: a free port of 127.0.0.1 */
  bool enabled;
  bool has_toxics; /* else those of a proxy that is there already stay */
  struct toxic *toxics;
  size_t toxic_count;
};

/* Why not. */
enum fleet_problem { FLEET_OK, FLEET_WRONG, FLEET_UNKNOWN, FLEET_TAKEN, FLEET_FAILED };

/* `options` are for the proxies made here, but for the addresses, the name and the scope; `handler` is told of what
 * happens at them, and of what toxics do, also at those taken in. */
struct fleet *fleet_new(struct net *n, const struct proxy_options *options, const struct proxy_handler *handler,
                        void *arg);
void fleet_free(struct fleet *f);

/* Takes in a proxy of somebody else's, who goes on owning it and frees it after the fleet. Deleted here, it is
 * disabled.
 */
void fleet_adopt(struct fleet *f, const char *name, struct proxy *p);

size_t fleet_count(const struct fleet *f);
struct fleet_member *fleet_member(const struct fleet *f, size_t index); /* in the order of their coming */
struct fleet_member *fleet_find(const struct fleet *f, const char *name);

/* Names, addresses and toxics are looked at; nothing is opened. */
bool fleet_check(const struct fleet_order *o, struct err *err);

/* The orders are checked. What they hold stays the caller's. */
enum fleet_problem fleet_create(struct fleet *f, const struct fleet_order *o, struct fleet_member **out,
                                struct err *err);
/* Those that are there already with the same addresses stay as they are, but for toxics that the order has. */
enum fleet_problem fleet_populate(struct fleet *f, const struct fleet_order *orders, size_t count, struct err *err);
/* NULL: as it is. */
enum fleet_problem fleet_update(struct fleet_member *m, const char *listen, const char *upstream, bool enabled,
                                struct err *err);
void fleet_delete(struct fleet *f, struct fleet_member *m);
/* All proxies enabled, all toxics gone. */
enum fleet_problem fleet_reset(struct fleet *f, struct err *err);

bool fleet_holds(const struct fleet *f, const struct proxy *p); /* false: deleted, or never there */

/* The summary of each proxy. */
void fleet_summary(const struct fleet *f, struct proxylog *l, int64_t now_ns);

/* The address that it listens at, or will, as host:port or a URL; as snprintf. */
int fleet_listen(const struct fleet_member *m, char *to, size_t size);

void fleet_order_fini(struct fleet_order *o);

#endif
