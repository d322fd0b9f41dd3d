/* lproxy: core.proxy and its connections: fault proxies. */
#ifndef MQRIG_LPROXY_H
#define MQRIG_LPROXY_H

#include <lua.h>

struct lproxy;
struct proxy;
struct proxy_conn;
struct scope_firing;

/* The one of the userdata at the index; raises if it is none, or is closed. */
struct lproxy *lproxy_of(lua_State *L, int index);
struct proxy *lproxy_engine(const struct lproxy *p);

/* Whoever works on the engine is told by `gone`, before it ends. NULL: nobody does any more. */
void lproxy_lend(struct lproxy *p, void (*gone)(void *arg), void *arg);

/* Somebody else's rule has acted on one of its connections: for its log, and what it records. */
void lproxy_tell_fired(struct lproxy *p, struct proxy_conn *conn, const struct scope_firing *f);

void lproxy_open(lua_State *L);

#endif
