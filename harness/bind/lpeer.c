#include "bind/lpeer.h"

#include "bind/lcount.h"
#include "bind/lguard.h"
#include "bind/lpacket.h"
#include "bind/lscope.h"
#include "bind/ltls.h"
#include "bind/lws.h"
#include "host/peer.h"
#include "net/tls.h"

#define LPEER             "mqrig.core.peer"
#define LPEER_CONN        "mqrig.core.conn"
#define LPEER_DEFAULT_URL "mqtt://127.0.0.1:0"
#define LPEER_SEND_MAX    (SPEC_REMAINING_LENGTH_MAX + 5)

/* User value of a peer: a table with the handlers by packet type number or name, and the connections by number under
 * `conns`. */
struct lpeer {
  struct lworld_item item;
  struct tls_orders orders; /* of the connection that begins */
  struct lworld *world;
  struct net *net; /* of its host */
  struct peer *peer;
  struct peer_handler handler;
  struct lscope *scope;
  uint32_t handled; /* packet types with a handler, a bit each */
  struct ws_options ws;
};

/* User value: its peer. */
struct lpeer_conn {
  struct lworld *world;
  struct peer_conn *conn; /* NULL once it has ended */
  struct lscope *scope;
  bool joined, joined_own; /* the peer's filter, and that of the connection's own scope */
  struct net_timer gate;   /* set while a rule on "accept" holds the connection back */
  struct net *net;
  size_t number;
  uint32_t who;
};

static struct lpeer *lpeer_check(lua_State *L) {
  struct lpeer *p = luaL_checkudata(L, 1, LPEER);
  lworld_enter(L);
  luaL_argcheck(L, p->peer, 1, "a peer that still is");
  return p;
}

/* Pushes the peer's userdata and its table; false, with nothing pushed, while it is being made or finalized. */
static bool lpeer_push(struct lpeer *p) {
  if (!lworld_push_anchored(p->world->L, p)) return false;
  lua_getiuservalue(p->world->L, -1, 1);
  return true;
}

/* Connections */

/* With the peer's table on the top: pushes the connection's userdata, or nil. */
static struct lpeer_conn *lpeer_push_conn(lua_State *L, size_t number) {
  lua_getfield(L, -1, "conns");
  lua_rawgeti(L, -1, (lua_Integer)number);
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

static void lpeer_conn_visit(struct lpeer_conn *c, bool *joined, lscope_visit *visit, void *arg) {
  if (!c->conn || !peer_conn_chain(c->conn)) return;
  visit(arg, &(struct lscope_conn){ .chain = peer_conn_chain(c->conn),
                                    .who = c->who,
                                    .out_is_up = false,
                                    .joined = joined,
                                    .partial_out = peer_conn_partial_out(c->conn),
                                    .partial_in = peer_conn_partial_in(c->conn),
                                    .client_id = peer_conn_client_id(c->conn) });
}

static void lpeer_conn_each(void *owner, lscope_visit *visit, void *arg) {
  struct lpeer_conn *c = owner;
  lpeer_conn_visit(c, &c->joined_own, visit, arg);
}

static void lpeer_each(void *owner, lscope_visit *visit, void *arg) {
  struct lpeer *p = owner;
  lua_State *L = p->world->L;
  if (!lpeer_push(p)) return;
  for (size_t n = 1; n <= peer_count(p->peer); n++) {
    struct lpeer_conn *c = peer_conn(p->peer, n) ? lpeer_push_conn(L, n) : NULL;
    if (!c) continue;
    lpeer_conn_visit(c, &c->joined, visit, arg);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

static void lpeer_open_gate(void *arg) {
  struct lpeer_conn *c = arg;
  if (c->conn) chain_stall(peer_conn_chain(c->conn), CHAIN_STALL_ENTRY, false);
}

/* What the peer's rules on "accept" say. A refusal after the fact is a reset before any byte. */
static void lpeer_enter(struct lpeer *p, struct lpeer_conn *c) {
  int64_t delay_ns = 0;
  struct chain *chain = peer_conn_chain(c->conn);
  if (lscope_enter(p->scope, true, &delay_ns) == SCOPE_REFUSE) {
    chain_reset(chain);
  } else if (delay_ns > 0) {
    chain_stall(chain, CHAIN_STALL_ENTRY, true);
    net_timer_set(c->net, &c->gate, net_now(c->net) + delay_ns);
  }
}

/* Asks the script's library for a certificate of that kind; without an answer it has raised, and nothing changes. */
static void lpeer_show(struct lpeer *p, const char *kind, struct transport_options *o) {
  lua_State *L = p->world->L;
  if (!lpeer_push(p)) return;
  if (lua_getfield(L, -1, "cert") != LUA_TNIL) {
    lua_pushstring(L, kind);
    if (lworld_call(p->world, 1, 1)) {
      struct tlsconfig *config = ltls_given(L, -1);
      if (config) o->tls = config;
      lua_pop(L, 1);
    }
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

static void lpeer_begins(void *arg, struct peer_conn *conn, struct transport_options *o) {
  struct lpeer *p = arg;
  const char *cert;
  if (!o->tls || !lscope_tls(p->scope, peer_conn_who(conn), &p->orders, &cert)) return;
  o->orders = &p->orders;
  if (cert) lpeer_show(p, cert, o);
}

static void lpeer_accepted(void *arg, struct peer_conn *conn) {
  struct lpeer *p = arg;
  lua_State *L = p->world->L;
  if (!lpeer_push(p)) return;
  struct lpeer_conn *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct lpeer_conn){
    .world = p->world,
    .net = p->net,
    .conn = conn,
    .number = peer_conn_number(conn),
    .who = peer_conn_who(conn),
  };
  net_timer_init(&c->gate, lpeer_open_gate, c);
  luaL_setmetatable(L, LPEER_CONN);
  lua_pushvalue(L, -3);
  lua_setiuservalue(L, -2, 1);
  lua_getfield(L, -2, "conns");
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)c->number);
  lua_pop(L, 1);
  lscope_join(p->scope, &(struct lscope_conn){ .chain = peer_conn_chain(conn), .who = c->who, .joined = &c->joined });
  lpeer_enter(p, c);
  if (lua_getfield(L, -2, "accept") != LUA_TNIL) {
    lua_pushvalue(L, -2);
    lworld_call(p->world, 1, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

static void lpeer_tell_end(struct lpeer *p, struct peer_conn *conn, const char *why) {
  lua_State *L = p->world->L;
  if (!lpeer_push(p)) return;
  struct lpeer_conn *c = lpeer_push_conn(L, peer_conn_number(conn));
  if (c) {
    c->conn = NULL;
    net_timer_clear(c->net, &c->gate);
    c->net = NULL;
    lua_getfield(L, -2, "conns");
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)c->number);
    lua_pop(L, 1);
  }
  if (lua_getfield(L, -2, "end") != LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_pushstring(L, why);
    lworld_call(p->world, 2, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

/* Also inside a call of a scenario's, where there may be no memory left for it. */
static void lpeer_ended(void *arg, struct peer_conn *conn, const char *why) {
  bool trusted = lguard_trust(true);
  lpeer_tell_end(arg, conn, why);
  lguard_trust(trusted);
}

static void lpeer_trouble(void *arg, const struct err *why) {
  struct lpeer *p = arg;
  lua_State *L = p->world->L;
  if (!lpeer_push(p)) return;
  if (lua_getfield(L, -1, "trouble") != LUA_TNIL) {
    lua_pushstring(L, why->text);
    lworld_call(p->world, 1, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

static enum peer_verdict lpeer_packet(void *arg, struct peer_conn *conn, const struct packet *packet) {
  struct lpeer *p = arg;
  lua_State *L = p->world->L;
  enum peer_verdict verdict = PEER_DEFAULT;
  if (!(p->handled & (1u << packet->type)) || !lpeer_push(p)) return PEER_DEFAULT;
  lua_rawgeti(L, -1, packet->type);
  lua_pushvalue(L, -2);
  lpeer_push_conn(L, peer_conn_number(conn));
  lua_remove(L, -2);
  lpacket_push(L, packet);
  if (lworld_call(p->world, 2, 1)) {
    if (!lua_toboolean(L, -1)) verdict = PEER_HANDLED;
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return verdict;
}

static void lpeer_taken(void *arg, struct peer_conn *conn, const struct packet *packet, struct slice bytes) {
  struct lpeer *p = arg;
  lua_State *L = p->world->L;
  if (!lpeer_push(p)) return;
  if (lua_getfield(L, -1, "taken") != LUA_TNIL) {
    lua_pushvalue(L, -2);
    lpeer_push_conn(L, peer_conn_number(conn));
    lua_remove(L, -2);
    if (packet) lpacket_push(L, packet);
    else lua_pushlstring(L, (const char *)bytes.data, bytes.size);
    lworld_call(p->world, 2, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* Making one */

static uint32_t lpeer_number(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  lua_Integer v = luaL_optinteger(L, -1, 0);
  if (v < 0 || v > INT32_MAX) luaL_error(L, "%s is 0 to 2147483647, not %I", name, v);
  lua_pop(L, 1);
  return (uint32_t)v;
}

/* n: n + 1 connects are answered while none is accepted. */
static int lpeer_backlog(lua_State *L) {
  bool given = lua_getfield(L, 1, "backlog") != LUA_TNIL;
  int n = (int)lpeer_number(L, "backlog");
  lua_pop(L, 1);
  return given && n == 0 ? NET_BACKLOG_NONE : n;
}

static const char *lpeer_text(lua_State *L, const char *name, const char *absent) {
  bool given = lua_getfield(L, 1, name) != LUA_TNIL; /* stays on the stack */
  return given ? lworld_text(L, -1, name) : absent;
}

static void lpeer_end(struct lworld_item *item) {
  struct lpeer *p = (struct lpeer *)item;
  if (!item->link) return;
  lworld_release(item);
  peer_free(p->peer);
  p->peer = NULL;
  lscope_detach(p->scope);
  p->scope = NULL;
}

static int lpeer_gc(lua_State *L) {
  struct lpeer *p = luaL_checkudata(L, 1, LPEER);
  if (lworld_peek(L)) lpeer_end(&p->item);
  return 0;
}

/* Rules on `accept` are asked by the listener. */
static void lpeer_hook(void *owner) {
  const struct lpeer *p = owner;
  struct net_listener *l = peer_listener(p->peer);
  struct oscall_hook *hook = l && !oscall_hooks_listener(l) ? lscope_hook(p->scope, 0) : NULL;
  if (hook) oscall_on_listener(l, hook);
}

static bool lpeer_mute(void *arg, bool muted, struct err *err) {
  const struct lpeer *p = arg;
  return peer_mute(p->peer, muted, err);
}

static int lpeer_new(lua_State *L) {
  static const char *const names[] = { "url",     "name",       "queued_max", "message_max", "inflight_max",
                                       "backlog", "accept_max", "scripted",   "send_buffer", "receive_buffer",
                                       "ws",      "tls",        NULL };
  struct err err;
  struct url u;
  struct lworld *w = lworld_enter(L);
  if (lua_isnoneornil(L, 1)) lua_newtable(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lworld_check_keys(L, 1, "peer", names);
  struct broker_options broker = { .queued_max = lpeer_number(L, "queued_max"),
                                   .message_max = lpeer_number(L, "message_max"),
                                   .inflight_max = lpeer_number(L, "inflight_max") };
  struct net_listen_options listen = { .backlog = lpeer_backlog(L),
                                       .accept_max = lpeer_number(L, "accept_max"),
                                       .send_buffer = lpeer_number(L, "send_buffer"),
                                       .receive_buffer = lpeer_number(L, "receive_buffer") };
  if (!url_parse(lpeer_text(L, "url", LPEER_DEFAULT_URL), &u, &err)) return luaL_error(L, "%s", err.text);
  const char *name = lpeer_text(L, "name", "peer");
  bool scripted = lua_getfield(L, 1, "scripted") == LUA_TNIL || lua_toboolean(L, -1);
  struct lpeer *p = lua_newuserdatauv(L, sizeof *p, 1);
  *p = (struct lpeer){ .world = w, .net = w->host };
  p->handler = (struct peer_handler){
    .begins = lpeer_begins,
    .accepted = lpeer_accepted,
    .packet = scripted ? lpeer_packet : NULL,
    .taken = lpeer_taken,
    .ended = lpeer_ended,
    .trouble = lpeer_trouble,
  };
  lua_newtable(L);
  lua_newtable(L);
  lua_setfield(L, -2, "conns");
  lworld_push_timeline(L);
  lua_setfield(L, -2, "timeline");
  struct transport_options transport = { .tls = ltls_config(L, 1, TLSCONFIG_SERVER, false) };
  if (lws_options(L, 1, true, &p->ws)) transport.ws = &p->ws;
  lua_setfield(L, -2, "ws");
  lua_setiuservalue(L, -2, 1);
  p->peer = peer_new(w->host, w->timeline, name, &u, &broker, &listen, &transport, &p->handler, p, &err);
  if (!p->peer) return luaL_error(L, "%s", err.text);
  lworld_keep(w, &p->item, lpeer_end);
  luaL_setmetatable(L, LPEER);
  p->scope = lscope_new(L, p, lpeer_each);
  scope_set_place(lscope_engine(p->scope), &(struct scope_place){ .name = "a peer",
                                                                  .tls = u.tls ? RULE_BOTH : 0,
                                                                  .shows_cert = true,
                                                                  .never_connects = true,
                                                                  .calls = 1u << OSCALL_ACCEPT | LSCOPE_CALLS,
                                                                  .mute = lpeer_mute,
                                                                  .arg = p });
  lscope_on_rule(p->scope, lpeer_hook);
  lworld_anchor(L, -1);
  return 1;
}

/* Methods */

static int lpeer_url(lua_State *L) {
  char text[URL_PATH_MAX + URL_HOST_MAX];
  url_format(peer_url(lpeer_check(L)->peer), text, sizeof text);
  lua_pushstring(L, text);
  return 1;
}

static int lpeer_scope(lua_State *L) {
  lscope_push(L, lpeer_check(L)->scope, 1);
  return 1;
}

static int lpeer_stop(lua_State *L) {
  peer_stop(lpeer_check(L)->peer, lua_toboolean(L, 2));
  return 0;
}

static int lpeer_kill(lua_State *L) {
  peer_kill(lpeer_check(L)->peer);
  return 0;
}

static int lpeer_start(lua_State *L) {
  struct err err;
  struct lpeer *p = lpeer_check(L);
  if (!peer_start(p->peer, &err)) return luaL_error(L, "%s", err.text);
  lpeer_hook(p);
  return 0;
}

static int lpeer_pause(lua_State *L) {
  peer_pause(lpeer_check(L)->peer, lua_toboolean(L, 2));
  return 0;
}

static int lpeer_forget(lua_State *L) {
  peer_forget(lpeer_check(L)->peer);
  return 0;
}

static int lpeer_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)peer_count(lpeer_check(L)->peer));
  return 1;
}

static int lpeer_stats(lua_State *L) {
  struct broker_stats s = broker_stats(peer_broker(lpeer_check(L)->peer));
  const struct lcount rows[] = {
    { "connections", s.connections }, { "sessions", s.sessions },
    { "retained", s.retained },       { "subscriptions", s.subscriptions },
    { "messages_in", s.messages_in }, { "messages_out", s.messages_out },
    { "dropped", s.dropped },
  };
  lua_newtable(L);
  lcount_set(L, rows, sizeof rows / sizeof *rows);
  return 1;
}

static int lpeer_handler(lua_State *L) {
  struct lpeer *p = lpeer_check(L);
  unsigned type = spec_type_of(lworld_slice(L, 2));
  luaL_argcheck(L, type, 2, "a packet type, such as \"PUBLISH\"");
  luaL_argcheck(L, p->handler.packet, 1, "a scripted peer");
  if (lua_isnoneornil(L, 3)) p->handled &= ~(1u << type);
  else p->handled |= 1u << type;
  lua_settop(L, 3);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 3);
  lua_rawseti(L, 3, type);
  return 0;
}

static int lpeer_set(lua_State *L, const char *name) {
  lpeer_check(L);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  lua_setfield(L, 2, name);
  return 0;
}

static int lpeer_on_accept(lua_State *L) {
  return lpeer_set(L, "accept");
}

static int lpeer_on_end(lua_State *L) {
  return lpeer_set(L, "end");
}

static int lpeer_on_cert(lua_State *L) {
  return lpeer_set(L, "cert");
}

static int lpeer_on_trouble(lua_State *L) {
  return lpeer_set(L, "trouble");
}

static int lpeer_on_taken(lua_State *L) {
  return lpeer_set(L, "taken");
}

static int lpeer_conn_of(lua_State *L) {
  struct lpeer *p = lpeer_check(L);
  struct peer_conn *newest = peer_newest(p->peer);
  lua_Integer n = luaL_optinteger(L, 2, newest ? (lua_Integer)peer_conn_number(newest) : 0);
  lua_getiuservalue(L, 1, 1);
  lpeer_push_conn(L, (size_t)n);
  return 1;
}

/* Methods of a connection */

static struct lpeer_conn *lpeer_check_conn(lua_State *L) {
  lworld_enter(L);
  return luaL_checkudata(L, 1, LPEER_CONN);
}

static struct lpeer_conn *lpeer_check_open(lua_State *L) {
  struct lpeer_conn *c = lpeer_check_conn(L);
  if (!c->conn) luaL_error(L, "connection %I has ended", (lua_Integer)c->number);
  return c;
}

static int lpeer_conn_gc(lua_State *L) {
  struct lpeer_conn *c = luaL_checkudata(L, 1, LPEER_CONN);
  lworld_peek(L);
  if (c->conn && c->scope) {
    /* Its peer holds it while it is up, so the peer is being collected, too: the filters must go before their scope. */
    lua_getiuservalue(L, 1, 1);
    lpeer_end(lua_touserdata(L, -1));
  }
  lscope_detach(c->scope);
  c->scope = NULL;
  if (c->world->net && c->net) net_timer_clear(c->net, &c->gate);
  return 0;
}

static int lpeer_conn_send(lua_State *L) {
  struct lpeer_conn *c = lpeer_check_conn(L);
  struct buffer bytes;
  buffer_init(&bytes, LPEER_SEND_MAX);
  lpacket_build(L, 2, SPEC_3_1_1, &bytes);
  lua_pushboolean(L, c->conn && peer_conn_send(c->conn, buffer_slice(&bytes)));
  buffer_fini(&bytes);
  return 1;
}

static int lpeer_conn_frame(lua_State *L) {
  struct lpeer_conn *c = lpeer_check_conn(L);
  lws_frame(L, c->conn ? peer_conn_chain(c->conn) : NULL, 2);
  return 0;
}

static int lpeer_conn_take(lua_State *L) {
  struct lpeer_conn *c = lpeer_check_open(L);
  peer_conn_take(c->conn, lua_toboolean(L, 2));
  return 0;
}

static int lpeer_conn_number(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lpeer_check_conn(L)->number);
  return 1;
}

static int lpeer_conn_who(lua_State *L) {
  lua_pushinteger(L, lpeer_check_conn(L)->who);
  return 1;
}

static int lpeer_conn_client_id(lua_State *L) {
  struct slice id = peer_conn_client_id(lpeer_check_open(L)->conn);
  lua_pushlstring(L, id.size ? (const char *)id.data : "", id.size);
  return 1;
}

static int lpeer_conn_act(lua_State *L) {
  struct lpeer_conn *c = lpeer_check_open(L);
  lscope_act(L, 2, peer_conn_who(c->conn), peer_conn_chain(c->conn));
  return 0;
}

static int lpeer_conn_is_open(lua_State *L) {
  lua_pushboolean(L, lpeer_check_conn(L)->conn != NULL);
  return 1;
}

static int lpeer_conn_scope(lua_State *L) {
  struct lpeer_conn *c = lpeer_check_open(L);
  if (!c->scope) {
    c->scope = lscope_new(L, c, lpeer_conn_each);
    scope_set_place(lscope_engine(c->scope), &lscope_of_connection);
  }
  lscope_push(L, c->scope, 1);
  return 1;
}

void lpeer_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "url", lpeer_url },         { "scope", lpeer_scope },
    { "stop", lpeer_stop },       { "kill", lpeer_kill },
    { "start", lpeer_start },     { "pause", lpeer_pause },
    { "forget", lpeer_forget },   { "count", lpeer_count },
    { "stats", lpeer_stats },     { "conn", lpeer_conn_of },
    { "handler", lpeer_handler }, { "on_accept", lpeer_on_accept },
    { "on_end", lpeer_on_end },   { "on_trouble", lpeer_on_trouble },
    { "on_cert", lpeer_on_cert }, { "on_taken", lpeer_on_taken },
    { "close", lpeer_gc },        { NULL, NULL },
  };
  static const luaL_Reg conn_methods[] = {
    { "send", lpeer_conn_send },   { "number", lpeer_conn_number },
    { "who", lpeer_conn_who },     { "client_id", lpeer_conn_client_id },
    { "act", lpeer_conn_act },     { "is_open", lpeer_conn_is_open },
    { "scope", lpeer_conn_scope }, { "take", lpeer_conn_take },
    { "frame", lpeer_conn_frame }, { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "peer", lpeer_new }, { NULL, NULL } };
  lworld_class(L, LPEER, methods, NULL, lpeer_gc);
  lworld_class(L, LPEER_CONN, conn_methods, NULL, lpeer_conn_gc);
  luaL_setfuncs(L, functions, 0);
}
