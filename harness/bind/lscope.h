/* lscope: core.scope and core.rule: the rules of one place, and actions on its connections now.
 *
 * A `struct lscope` is counted: its owner (a client, a peer, a connection) holds it once, and so does each userdata.
 * The engine's scope lives until the last of them lets go, which is after the owner's connections, and the filters in
 * them, have gone.
 */
#ifndef MQRIG_LSCOPE_H
#define MQRIG_LSCOPE_H

#include "bind/lworld.h"
#include "fault/scope.h"
#include "net/chain.h"
#include "net/oscall.h"

struct relay;

/* A connection of the place, for the call: a chain, or a proxied connection. */
struct lscope_conn {
  uint32_t who;
  struct relay *relay; /* not NULL: then what follows `relay_tag` is not used */
  void *relay_tag;     /* `conn` of its firings */
  struct chain *chain;
  bool out_is_up;
  bool *joined; /* whether the scope's filter is in this chain; kept by the owner, false for a new chain */
  struct slice partial_out, partial_in;
  struct slice client_id; /* data NULL: its CONNECT is still to come */
};

typedef void lscope_visit(void *arg, const struct lscope_conn *conn);
typedef void lscope_each(void *owner, lscope_visit *visit, void *arg);

struct lscope;

/* For scope_place: what every connection calls. */
#define LSCOPE_CALLS (1u << OSCALL_SEND | 1u << OSCALL_RECV)

/* Held by the owner. `each` visits its connections that are up. */
struct lscope *lscope_new(lua_State *L, void *owner, lscope_each *each);
void lscope_detach(struct lscope *s); /* the owner goes, and lets go; NULL is fine */

/* Firings are told to `fired` first, which says whose they are on the timeline; else `conn` is that. */
void lscope_watch(struct lscope *s, uint32_t (*fired)(void *owner, const struct scope_firing *f));

/* Told after each rule that was put in. */
void lscope_on_rule(struct lscope *s, void (*added)(void *owner));

/* Pushes the userdata; `anchor` is what it keeps alive. */
void lscope_push(lua_State *L, struct lscope *s, int anchor);

/* A new connection came up: the filter goes in if there are rules. */
void lscope_join(struct lscope *s, const struct lscope_conn *conn);

/* For the calls of a connection or a listener that is to be: a hook if there are rules on them, else NULL. */
struct oscall_hook *lscope_hook(struct lscope *s, uint32_t who);

/* What the place's rules on "connect" (or "accept") say to a connection that is to be. */
enum scope_entry lscope_enter(struct lscope *s, bool accept, int64_t *delay_ns);

/* What the place's rules on "tls" have a connection that is to begin do wrong, as its filter takes it; `cert` is a kind
 * of certificate to be shown, or NULL. False: nothing. */
struct tls_orders;
bool lscope_tls(struct lscope *s, uint32_t who, struct tls_orders *to, const char **cert);

/* An action on one chain, by name at `index` ("rst", "fin", "vanish", "stall", "resume", "close"); raises for another
 * name, or where it cannot be done. It goes on the timeline as done to `who`. */
void lscope_act(lua_State *L, int index, uint32_t who, struct chain *chain);

/* The same for a proxied connection. */
void lscope_act_relay(lua_State *L, int index, uint32_t who, struct relay *relay);

struct scope *lscope_engine(const struct lscope *s);

/* For scope_set_place: one connection, which is up already. */
extern const struct scope_place lscope_of_connection;

void lscope_open(lua_State *L);

#endif
