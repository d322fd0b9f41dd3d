#include "bind/lproxy.h"

#include <stdio.h>

#include "bind/lcount.h"
#include "bind/lproxytls.h"
#include "bind/lrecord.h"
#include "bind/lscope.h"
#include "bind/ltls.h"
#include "fault/framer.h"
#include "fault/proxylog.h"
#include "fault/record.h"
#include "fault/scope_fields.h"
#include "host/tap.h"

#define LPROXY             "mqrig.core.proxy"
#define LPROXY_CONN        "mqrig.core.proxy_conn"
#define LPROXY_DEFAULT_URL "tcp://127.0.0.1:0"

/* User value of a proxy: a table with the handlers by name and the connections by number under `conns`. */
struct lproxy {
  struct lworld_item item;
  struct lworld *world;
  struct proxy *proxy; /* NULL once it is closed */
  struct lscope *scope;
  struct proxylog log;
  bool logs;
  struct record *record; /* or NULL */
  void (*gone)(void *arg);
  void *gone_arg;
  struct proxy_conn *entering; /* the newest, for rules on "accept" and "connect" */
  char name[TIMELINE_NAME_MAX];
};

/* User value: its proxy. The tag of the proxy's connection. */
struct lproxy_conn {
  struct lproxy *proxy;
  struct proxy_conn *conn; /* NULL once it has ended */
  struct lscope *scope;    /* its own, or NULL */
  struct record_link *record;
  struct tap *tap;       /* what comes in, for the timeline */
  bool began[2], opaque; /* down, up; it is no MQTT */
  uint64_t number;
  uint32_t who;
};

struct lproxy *lproxy_of(lua_State *L, int index) {
  struct lproxy *p = luaL_checkudata(L, index, LPROXY);
  lworld_enter(L);
  luaL_argcheck(L, p->proxy, index, "a proxy that still is");
  return p;
}

static struct lproxy *lproxy_check(lua_State *L) {
  return lproxy_of(L, 1);
}

struct proxy *lproxy_engine(const struct lproxy *p) {
  return p->proxy;
}

void lproxy_lend(struct lproxy *p, void (*gone)(void *arg), void *arg) {
  p->gone = gone;
  p->gone_arg = arg;
}

/* Pushes the proxy's userdata and its table; false, with nothing pushed, while it is being made or finalized. */
static bool lproxy_push(struct lproxy *p) {
  if (!lworld_push_anchored(p->world->L, p)) return false;
  lua_getiuservalue(p->world->L, -1, 1);
  return true;
}

/* With the proxy's table on the top: pushes the connection's userdata, or nil. */
static struct lproxy_conn *lproxy_push_conn(lua_State *L, uint64_t number) {
  lua_getfield(L, -1, "conns");
  lua_rawgeti(L, -1, (lua_Integer)number);
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

static void lproxy_note(const struct lproxy *p, uint32_t who, const char *text) {
  struct timeline *t = p->world->timeline;
  if (t) timeline_note(t, net_now(p->world->net), who, TIMELINE_NOTE, "%s", text);
}

/* What happens. */

static uint32_t lproxy_new_who(const struct lproxy *p, const struct proxy_conn *c) {
  char name[2 * TIMELINE_NAME_MAX], text[ERR_TEXT_MAX], url[URL_HOST_MAX + URL_PATH_MAX + 32];
  if (!p->world->timeline) return 0;
  snprintf(name, sizeof name, "%.*s#%llu", TIMELINE_NAME_MAX - 22, p->name, (unsigned long long)proxy_conn_number(c));
  uint32_t who = timeline_who(p->world->timeline, name);
  url_format(proxy_upstream(p->proxy), url, sizeof url);
  snprintf(text, sizeof text, "from %s, on to %.300s", proxy_conn_client(c), url);
  lproxy_note(p, who, text);
  return who;
}

/* From the first byte on. */
static void lproxy_look(struct lproxy_conn *c, bool upstream, struct slice bytes) {
  char text[64];
  const char *what = framer_foreign(bytes);
  c->began[!upstream] = true;
  if (!what || c->opaque) return;
  snprintf(text, sizeof text, "%s from %s, not looked into", what, upstream ? "the upstream" : "the client");
  lproxy_note(c->proxy, c->who, text);
  c->opaque = true;
}

/* What comes in from either end. */
static void lproxy_passed(void *arg, bool upstream, enum chain_direction d, struct slice bytes) {
  struct lproxy_conn *c = arg;
  if (d == CHAIN_OUT) return;
  if (!c->began[!upstream]) lproxy_look(c, upstream, bytes);
  if (!c->opaque) tap_pass(c->tap, upstream ? TIMELINE_DOWN : TIMELINE_UP, bytes, net_now(c->proxy->world->net));
}

static void lproxy_shut(void *arg, bool upstream, enum chain_direction d, enum chain_end end) {
  (void)arg, (void)upstream, (void)d, (void)end;
}

static void lproxy_watch(struct lproxy_conn *c) {
  static const struct relay_tap tap = { lproxy_passed, lproxy_shut };
  struct lproxy *p = c->proxy;
  struct relay *relay = proxy_conn_relay(c->conn);
  c->tap = tap_new(p->world->timeline, c->who);
  if (p->record) c->record = record_begin(p->record, c->conn);
  else if (c->tap) relay_tap(relay, &tap, c);
}

static void lproxy_accepted(void *arg, struct proxy_conn *conn) {
  struct lproxy *p = arg;
  lua_State *L = p->world->L;
  p->entering = conn;
  if (p->logs) proxylog_accepted(&p->log, conn);
  if (!lproxy_push(p)) return;
  struct lproxy_conn *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct lproxy_conn){ .proxy = p, .conn = conn, .number = proxy_conn_number(conn) };
  c->who = lproxy_new_who(p, conn);
  lproxy_watch(c);
  luaL_setmetatable(L, LPROXY_CONN);
  proxy_conn_set_tag(conn, c);
  lua_pushvalue(L, -3);
  lua_setiuservalue(L, -2, 1);
  lua_getfield(L, -2, "conns");
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)c->number);
  lua_pop(L, 1);
  if (lua_getfield(L, -2, "accept") != LUA_TNIL) {
    lua_pushvalue(L, -2);
    lworld_call(p->world, 1, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

static void lproxy_opened(void *arg, struct proxy_conn *conn) {
  const struct lproxy *p = arg;
  const struct lproxy_conn *tag = proxy_conn_tag(conn);
  struct timeline *t = p->world->timeline;
  if (tag && tag->record) record_opened(tag->record);
  if (!tag || !t) return;
  timeline_note(t, net_now(p->world->net), tag->who, TIMELINE_OPEN, "from %s through %s", proxy_conn_client(conn),
                relay_local(proxy_conn_relay(conn)));
}

static void lproxy_ended(void *arg, struct proxy_conn *conn, const char *why) {
  struct lproxy *p = arg;
  lua_State *L = p->world->L;
  struct lproxy_conn *tag = proxy_conn_tag(conn);
  if (p->entering == conn) p->entering = NULL;
  if (p->logs) proxylog_ended(&p->log, conn, net_now(p->world->net), why);
  if (!tag) return;
  record_end(tag->record, why);
  tag->record = NULL;
  relay_tap(proxy_conn_relay(conn), NULL, NULL);
  tap_free(tag->tap);
  tag->tap = NULL;
  lproxy_note(p, tag->who, why);
  tag->conn = NULL;
  if (!lproxy_push(p)) return;
  lproxy_push_conn(L, tag->number);
  lua_getfield(L, -2, "conns");
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)tag->number);
  lua_pop(L, 1);
  if (lua_getfield(L, -2, "end") != LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_pushstring(L, why);
    lworld_call(p->world, 2, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

static void lproxy_trouble(void *arg, const struct err *why) {
  struct lproxy *p = arg;
  lua_State *L = p->world->L;
  if (p->logs) proxylog_trouble(&p->log, net_now(p->world->net), why);
  if (!lproxy_push(p)) return;
  if (lua_getfield(L, -1, "trouble") != LUA_TNIL) {
    lua_pushstring(L, why->text);
    lworld_call(p->world, 1, 0);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

static const struct proxy_handler lproxy_handler = {
  .accepted = lproxy_accepted,
  .opened = lproxy_opened,
  .ended = lproxy_ended,
  .trouble = lproxy_trouble,
};

void lproxy_tell_fired(struct lproxy *p, struct proxy_conn *conn, const struct scope_firing *f) {
  const struct lproxy_conn *tag = conn ? proxy_conn_tag(conn) : NULL;
  if (p->logs) proxylog_fired(&p->log, conn, f);
  if (tag && tag->record) record_fired(tag->record, f);
}

/* Firings of the proxy's scope; those on "accept" and "connect" have no `conn`. */
static uint32_t lproxy_fired(void *owner, const struct scope_firing *f) {
  const struct lproxy_conn *tag = f->conn;
  struct lproxy *p = owner;
  struct proxy_conn *conn = tag ? tag->conn : p->entering;
  lproxy_tell_fired(p, conn, f);
  if (!tag && conn) tag = proxy_conn_tag(conn);
  return tag ? tag->who : 0;
}

static uint32_t lproxy_conn_fired(void *owner, const struct scope_firing *f) {
  const struct lproxy_conn *c = owner;
  lproxy_tell_fired(c->proxy, c->conn, f);
  return c->who;
}

static void lproxy_each(void *owner, lscope_visit *visit, void *arg) {
  struct lproxy *p = owner;
  for (struct proxy_conn *c = proxy_next(p->proxy, NULL); c; c = proxy_next(p->proxy, c)) {
    struct lproxy_conn *tag = proxy_conn_tag(c);
    if (tag) visit(arg, &(struct lscope_conn){ .who = tag->who, .relay = proxy_conn_relay(c), .relay_tag = tag });
  }
}

static void lproxy_conn_each(void *owner, lscope_visit *visit, void *arg) {
  struct lproxy_conn *c = owner;
  if (c->conn) visit(arg, &(struct lscope_conn){ .who = c->who, .relay = proxy_conn_relay(c->conn), .relay_tag = c });
}

static void lproxy_line(void *arg, const char *text) {
  struct lproxy *p = arg;
  lua_State *L = p->world->L;
  if (!lproxy_push(p)) return;
  lua_getfield(L, -1, "line");
  lua_pushstring(L, text);
  lworld_call(p->world, 1, 0);
  lua_pop(L, 2);
}

/* Making one. */

static bool lproxy_is_busy(const struct lproxy *p) {
  return p->scope && lscope_engine(p->scope)->busy > 0;
}

static void lproxy_end(struct lworld_item *item) {
  struct lproxy *p = (struct lproxy *)item;
  if (!item->link) return;
  lworld_release(item);
  if (p->gone) p->gone(p->gone_arg);
  proxy_free(p->proxy);
  p->proxy = NULL;
  lscope_detach(p->scope);
  p->scope = NULL;
  proxylog_fini(&p->log);
  record_drop(p->record);
  p->record = NULL;
}

static int lproxy_gc(lua_State *L) {
  struct lproxy *p = luaL_checkudata(L, 1, LPROXY);
  if (lworld_peek(L)) lproxy_end(&p->item);
  return 0;
}

static int lproxy_close(lua_State *L) {
  struct lproxy *p = luaL_checkudata(L, 1, LPROXY);
  if (lproxy_is_busy(p)) return luaL_error(L, "a function of a rule cannot close the proxy that called it");
  return lproxy_gc(L);
}

static void lproxy_url_field(lua_State *L, const char *name, const char *absent, struct url *to) {
  struct err err;
  lua_getfield(L, 1, name);
  const char *text = absent && lua_isnil(L, -1) ? absent : lworld_text(L, -1, name);
  if (!url_parse(text, to, &err)) luaL_error(L, "%s: %s", name, err.text);
  lua_pop(L, 1);
}

static lua_Integer lproxy_number(lua_State *L, const char *name, lua_Integer most) {
  lua_getfield(L, 1, name);
  lua_Integer v = luaL_optinteger(L, -1, 0);
  if (v < 0 || v > most) luaL_error(L, "%s is 0 to %I, not %I", name, most, v);
  lua_pop(L, 1);
  return v;
}

static void lproxy_options(lua_State *L, struct proxy_options *o) {
  static const char *const names[] = { "url",    "upstream",     "name",        "connect_timeout_ns",
                                       "closes", "accept_max",   "send_buffer", "receive_buffer",
                                       "tls",    "upstream_tls", "tls_made",    NULL };
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lworld_check_keys(L, 1, "proxy", names);
  *o = (struct proxy_options){ .connect_timeout_ns = lproxy_number(L, "connect_timeout_ns", INT64_MAX / 4) };
  lproxy_url_field(L, "url", LPROXY_DEFAULT_URL, &o->listen);
  lproxy_url_field(L, "upstream", NULL, &o->upstream);
  o->accepting.accept_max = (uint32_t)lproxy_number(L, "accept_max", INT32_MAX);
  o->accepting.send_buffer = (size_t)lproxy_number(L, "send_buffer", INT32_MAX);
  o->accepting.receive_buffer = (size_t)lproxy_number(L, "receive_buffer", INT32_MAX);
  lua_getfield(L, 1, "closes");
  o->closes = lua_toboolean(L, -1);
  lua_pop(L, 1);
}

/* Options that nothing would come of are a mistake. */
static void lproxy_check_tls(lua_State *L, const char *field, const struct url *u, struct tlsconfig *tls,
                             bool listens) {
  struct err err;
  const struct transport_options o = { .tls = tls };
  if (!transport_check(u, &o, listens, &err)) luaL_error(L, "%s: %s", field, err.text);
}

static void lproxy_take_tls(lua_State *L, struct proxy_options *o) {
  o->tls = ltls_config(L, 1, TLSCONFIG_SERVER, false);
  o->upstream_tls = ltls_config_of(L, 1, "upstream_tls", TLSCONFIG_CLIENT, o->upstream.tls);
  lproxy_check_tls(L, "url", &o->listen, o->tls, true);
  lproxy_check_tls(L, "upstream", &o->upstream, o->upstream_tls, false);
}

static int lproxy_new(lua_State *L) {
  struct err err;
  struct proxy_options o;
  struct lworld *w = lworld_enter(L);
  lproxy_options(L, &o);
  if (!lproxytls_give(L, 1, &o)) lproxy_take_tls(L, &o);
  struct lproxy *p = lua_newuserdatauv(L, sizeof *p, 1);
  *p = (struct lproxy){ .world = w };
  lua_getfield(L, 1, "name");
  snprintf(p->name, sizeof p->name, "%s", luaL_optstring(L, -1, "proxy"));
  lua_pop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_setfield(L, -2, "conns");
  lworld_push_timeline(L);
  lua_setfield(L, -2, "timeline");
  lua_setiuservalue(L, -2, 1);
  p->scope = lscope_new(L, p, lproxy_each);
  lscope_watch(p->scope, lproxy_fired);
  o.scope = lscope_engine(p->scope);
  p->proxy = proxy_new(w->host, &o, &lproxy_handler, p, &err);
  if (!p->proxy) {
    lscope_detach(p->scope);
    return luaL_error(L, "%s", err.text);
  }
  proxylog_init(&p->log, net_now(w->net), lproxy_line, p);
  lworld_keep(w, &p->item, lproxy_end);
  luaL_setmetatable(L, LPROXY);
  lworld_anchor(L, -1);
  return 1;
}

/* Methods. */

static void lproxy_push_url(lua_State *L, const struct url *u) {
  char text[URL_PATH_MAX + URL_HOST_MAX + 32];
  url_format(u, text, sizeof text);
  lua_pushstring(L, text);
}

static int lproxy_url(lua_State *L) {
  lproxy_push_url(L, proxy_url(lproxy_check(L)->proxy));
  return 1;
}

static int lproxy_upstream(lua_State *L) {
  struct lproxy *p = lproxy_check(L);
  struct url u;
  struct err err;
  if (lua_gettop(L) > 1) {
    if (!url_parse(luaL_checkstring(L, 2), &u, &err)) return luaL_error(L, "%s", err.text);
    if (!proxy_set_upstream(p->proxy, &u, &err)) return luaL_error(L, "%s", err.text);
  }
  lproxy_push_url(L, proxy_upstream(p->proxy));
  return 1;
}

static int lproxy_scope(lua_State *L) {
  lscope_push(L, lproxy_check(L)->scope, 1);
  return 1;
}

static int lproxy_stop(lua_State *L) {
  proxy_disable(lproxy_check(L)->proxy, lua_toboolean(L, 2));
  return 0;
}

static int lproxy_start(lua_State *L) {
  struct err err;
  if (!proxy_enable(lproxy_check(L)->proxy, &err)) return luaL_error(L, "%s", err.text);
  return 0;
}

static void lproxy_set_counts(lua_State *L, const struct relay_counts *c) {
  const struct lcount rows[] = {
    { "bytes_up", c->bytes_up },
    { "bytes_down", c->bytes_down },
    { "packets_up", c->packets_up },
    { "packets_down", c->packets_down },
  };
  lcount_set(L, rows, sizeof rows / sizeof *rows);
}

static int lproxy_stats(lua_State *L) {
  struct proxy_counts c = proxy_counts(lproxy_check(L)->proxy);
  const struct lcount rows[] = {
    { "connections", c.connections },
    { "open", c.open },
    { "unreached", c.unreached },
  };
  lua_newtable(L);
  lproxy_set_counts(L, &(struct relay_counts){ c.bytes_up, c.bytes_down, c.packets_up, c.packets_down });
  lcount_set(L, rows, sizeof rows / sizeof *rows);
  return 1;
}

static int lproxy_set(lua_State *L, const char *name) {
  lproxy_check(L);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  lua_setfield(L, 2, name);
  return 0;
}

static int lproxy_on_accept(lua_State *L) {
  return lproxy_set(L, "accept");
}

static int lproxy_on_end(lua_State *L) {
  return lproxy_set(L, "end");
}

static int lproxy_on_trouble(lua_State *L) {
  return lproxy_set(L, "trouble");
}

/* proxy:log(fn, { json = true, quiet = true }): fn(line) for what happens. */
static int lproxy_log(lua_State *L) {
  static const char *const names[] = { "json", "quiet", "seed", NULL };
  struct lproxy *p = lproxy_check(L);
  lworld_check_callable(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lworld_check_keys(L, 3, "log", names);
  lua_getfield(L, 3, "json");
  p->log.json = lua_toboolean(L, -1);
  lua_getfield(L, 3, "quiet");
  p->log.quiet = lua_toboolean(L, -1);
  lua_getfield(L, 3, "seed");
  lua_Integer seed = luaL_optinteger(L, -1, 0);
  lua_settop(L, 2);
  lproxy_set(L, "line");
  p->logs = true;
  proxylog_listening(&p->log, p->proxy, net_now(p->world->net), (uint64_t)seed);
  return 0;
}

/* proxy:record(core.record): what goes through from now on is recorded there. */
static int lproxy_record(lua_State *L) {
  struct lproxy *p = lproxy_check(L);
  struct record *r = record_hold(lrecord_check(L, 2));
  record_drop(p->record);
  p->record = r;
  return 0;
}

/* The log's summary so far. */
static int lproxy_summary(lua_State *L) {
  struct lproxy *p = lproxy_check(L);
  if (p->logs) proxylog_summary(&p->log, p->proxy, 0, net_now(p->world->net));
  return 0;
}

static int lproxy_conn_of(lua_State *L) {
  struct lproxy *p = lproxy_check(L);
  struct proxy_conn *newest = proxy_newest(p->proxy);
  lua_Integer n = luaL_optinteger(L, 2, newest ? (lua_Integer)proxy_conn_number(newest) : 0);
  lua_getiuservalue(L, 1, 1);
  lproxy_push_conn(L, (uint64_t)n);
  return 1;
}

/* Methods of a connection. */

static struct lproxy_conn *lproxy_check_conn(lua_State *L) {
  lworld_enter(L);
  return luaL_checkudata(L, 1, LPROXY_CONN);
}

static struct lproxy_conn *lproxy_check_open(lua_State *L) {
  struct lproxy_conn *c = lproxy_check_conn(L);
  if (!c->conn) luaL_error(L, "connection %I has ended", (lua_Integer)c->number);
  return c;
}

/* Its proxy holds it while it is up; if that is collected, too, the filters must go before their scope. */
static int lproxy_conn_gc(lua_State *L) {
  struct lproxy_conn *c = luaL_checkudata(L, 1, LPROXY_CONN);
  if (c->conn && lworld_peek(L)) {
    lua_getiuservalue(L, 1, 1);
    lproxy_end(lua_touserdata(L, -1));
  }
  lscope_detach(c->scope);
  c->scope = NULL;
  return 0;
}

static int lproxy_conn_number(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lproxy_check_conn(L)->number);
  return 1;
}

static int lproxy_conn_who(lua_State *L) {
  lua_pushinteger(L, lproxy_check_conn(L)->who);
  return 1;
}

static int lproxy_conn_client_id(lua_State *L) {
  struct slice id = relay_client_id(proxy_conn_relay(lproxy_check_open(L)->conn));
  lua_pushlstring(L, id.size ? (const char *)id.data : "", id.size);
  return 1;
}

static int lproxy_conn_act(lua_State *L) {
  const struct lproxy_conn *c = lproxy_check_open(L);
  lscope_act_relay(L, 2, c->who, proxy_conn_relay(c->conn));
  return 0;
}

static int lproxy_conn_is_open(lua_State *L) {
  lua_pushboolean(L, lproxy_check_conn(L)->conn != NULL);
  return 1;
}

static int lproxy_conn_stats(lua_State *L) {
  struct relay_counts c = relay_counts(proxy_conn_relay(lproxy_check_open(L)->conn));
  lua_newtable(L);
  lproxy_set_counts(L, &c);
  return 1;
}

static int lproxy_conn_scope(lua_State *L) {
  struct lproxy_conn *c = lproxy_check_open(L);
  if (!c->scope) {
    c->scope = lscope_new(L, c, lproxy_conn_each);
    scope_set_place(lscope_engine(c->scope), &lscope_of_connection);
    lscope_watch(c->scope, lproxy_conn_fired);
  }
  lscope_push(L, c->scope, 1);
  return 1;
}

void lproxy_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "url", lproxy_url },
    { "upstream", lproxy_upstream },
    { "scope", lproxy_scope },
    { "stop", lproxy_stop },
    { "start", lproxy_start },
    { "stats", lproxy_stats },
    { "conn", lproxy_conn_of },
    { "on_accept", lproxy_on_accept },
    { "on_end", lproxy_on_end },
    { "on_trouble", lproxy_on_trouble },
    { "log", lproxy_log },
    { "summary", lproxy_summary },
    { "close", lproxy_close },
    { "record", lproxy_record },
    { NULL, NULL },
  };
  static const luaL_Reg conn_methods[] = {
    { "number", lproxy_conn_number },       { "who", lproxy_conn_who },
    { "client_id", lproxy_conn_client_id }, { "act", lproxy_conn_act },
    { "is_open", lproxy_conn_is_open },     { "stats", lproxy_conn_stats },
    { "scope", lproxy_conn_scope },         { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "proxy", lproxy_new }, { NULL, NULL } };
  lworld_class(L, LPROXY, methods, NULL, lproxy_gc);
  lworld_class(L, LPROXY_CONN, conn_methods, NULL, lproxy_conn_gc);
  luaL_setfuncs(L, functions, 0);
}
