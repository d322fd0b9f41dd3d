#include "bind/lcontrol.h"

#include <stdio.h>

#include "bind/lproxy.h"
#include "bind/lproxytls.h"
#include "bind/lrecord.h"
#include "bind/lworld.h"
#include "fault/control.h"
#include "fault/record.h"
#include "net/evweb.h"

#define LCONTROL "mqrig.core.control"

/* User value: the table that it was made of. */
struct lcontrol {
  struct lworld_item item;
  struct lworld *world;
  struct lproxy *adopted; /* or NULL */
  struct fleet *fleet;
  struct control *control;
  struct evweb *web;
  struct record *record; /* of its own proxies, or NULL */
  struct proxylog log;
};

/* What happens at its own proxies. */

static void lcontrol_line(void *arg, const char *text) {
  const struct lcontrol *c = arg;
  lua_State *L = c->world->L;
  if (!lworld_push_anchored(L, c)) return;
  lua_getiuservalue(L, -1, 1);
  lua_getfield(L, -1, "line");
  lua_pushstring(L, text);
  lworld_call(c->world, 1, 0);
  lua_pop(L, 2);
}

static void lcontrol_accepted(void *arg, struct proxy_conn *conn) {
  struct lcontrol *c = arg;
  proxylog_accepted(&c->log, conn);
  if (c->record) proxy_conn_set_tag(conn, record_begin(c->record, conn));
}

static void lcontrol_opened(void *arg, struct proxy_conn *conn) {
  (void)arg;
  if (proxy_conn_tag(conn)) record_opened(proxy_conn_tag(conn));
}

/* Toxics act on the adopted proxy's connections, too. */
static void lcontrol_fired(void *arg, struct proxy_conn *conn, const struct scope_firing *f) {
  struct lcontrol *c = arg;
  if (c->adopted && conn && proxy_conn_proxy(conn) == lproxy_engine(c->adopted)) {
    lproxy_tell_fired(c->adopted, conn, f);
    return;
  }
  proxylog_fired(&c->log, conn, f);
  if (conn && proxy_conn_tag(conn)) record_fired(proxy_conn_tag(conn), f);
}

static void lcontrol_ended(void *arg, struct proxy_conn *conn, const char *why) {
  struct lcontrol *c = arg;
  proxylog_ended(&c->log, conn, net_now(c->world->net), why);
  record_end(proxy_conn_tag(conn), why);
}

static void lcontrol_trouble(void *arg, const struct err *why) {
  struct lcontrol *c = arg;
  proxylog_trouble(&c->log, net_now(c->world->net), why);
}

static const struct proxy_handler lcontrol_handler = {
  .accepted = lcontrol_accepted,
  .opened = lcontrol_opened,
  .fired = lcontrol_fired,
  .ended = lcontrol_ended,
  .trouble = lcontrol_trouble,
};

/* Life. */

static void lcontrol_end(struct lworld_item *item) {
  struct lcontrol *c = (struct lcontrol *)item;
  if (!item->link) return;
  lworld_release(item);
  evweb_free(c->web);
  control_free(c->control);
  fleet_free(c->fleet);
  if (c->adopted) lproxy_lend(c->adopted, NULL, NULL);
  c->adopted = NULL;
  proxylog_fini(&c->log);
  record_drop(c->record);
  c->record = NULL;
}

static void lcontrol_lost(void *arg) {
  struct lcontrol *c = arg;
  lcontrol_end(&c->item);
}

static int lcontrol_close(lua_State *L) {
  struct lcontrol *c = luaL_checkudata(L, 1, LCONTROL);
  if (lworld_peek(L)) lcontrol_end(&c->item);
  return 0;
}

static void lcontrol_hosts(lua_State *L, struct lcontrol *c) {
  lua_getfield(L, 1, "hosts");
  for (lua_Integer i = 1; !lua_isnil(L, -1) && lua_geti(L, -1, i) != LUA_TNIL; i++) {
    if (!control_allow_host(c->control, luaL_checkstring(L, -1)))
      luaL_error(L, "--control-host can be given %d times", CONTROL_HOSTS_MAX);
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
}

static bool lcontrol_flag(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static void lcontrol_adopt(lua_State *L, struct lcontrol *c) {
  if (lua_getfield(L, 1, "proxy") != LUA_TNIL) {
    c->adopted = lproxy_of(L, -1);
    lproxy_lend(c->adopted, lcontrol_lost, c);
    fleet_adopt(c->fleet, "mqtt", lproxy_engine(c->adopted));
  }
  lua_pop(L, 1);
}

static void lcontrol_options(lua_State *L, struct lcontrol *c, struct url *at, struct proxy_options *o) {
  struct err err;
  lua_getfield(L, 1, "at");
  if (!control_address(luaL_checkstring(L, -1), at, &err)) luaL_error(L, "%s", err.text);
  lua_getfield(L, 1, "seed");
  *o = (struct proxy_options){ .seed = (uint64_t)luaL_optinteger(L, -1, 0), .closes = lcontrol_flag(L, "closes") };
  lua_getfield(L, 1, "accept_max");
  o->accepting.accept_max = (uint32_t)luaL_optinteger(L, -1, 0);
  lua_getfield(L, 1, "connect_timeout_ns");
  o->connect_timeout_ns = luaL_optinteger(L, -1, 0);
  lproxytls_give(L, 1, o);
  if (lua_getfield(L, 1, "record") != LUA_TNIL) c->record = record_hold(lrecord_check(L, -1));
  lua_pop(L, 5);
}

/* core.control{ at=, proxy=, hosts=, seed=, record=, json=, quiet=, line=, tls_made=, and options of proxies } */
static int lcontrol_new(lua_State *L) {
  static const char *const names[] = { "at",
                                       "proxy",
                                       "hosts",
                                       "seed",
                                       "record",
                                       "json",
                                       "quiet",
                                       "line",
                                       "closes",
                                       "accept_max",
                                       "connect_timeout_ns",
                                       "tls_made",
                                       NULL };
  struct err err;
  struct url at;
  struct proxy_options o;
  struct lworld *w = lworld_enter(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lworld_check_keys(L, 1, "control", names);
  struct lcontrol *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct lcontrol){ .world = w };
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lcontrol_options(L, c, &at, &o);
  proxylog_init(&c->log, net_now(w->net), lcontrol_line, c);
  c->log.json = lcontrol_flag(L, "json");
  c->log.quiet = lcontrol_flag(L, "quiet");
  c->fleet = fleet_new(w->net, &o, &lcontrol_handler, c);
  c->control = control_new(c->fleet, &at);
  lworld_keep(w, &c->item, lcontrol_end);
  luaL_setmetatable(L, LCONTROL);
  lworld_anchor(L, -1);
  lcontrol_hosts(L, c);
  lcontrol_adopt(L, c);
  c->web = evweb_new(w->net, &at, control_answer, c->control, &err);
  if (!c->web) return luaL_error(L, "%s", err.text);
  return 1;
}

/* Methods. */

static struct lcontrol *lcontrol_check(lua_State *L) {
  struct lcontrol *c = luaL_checkudata(L, 1, LCONTROL);
  lworld_enter(L);
  luaL_argcheck(L, c->item.link, 1, "a control interface that is open");
  return c;
}

/* http://127.0.0.1:8474 */
static int lcontrol_url(lua_State *L) {
  const struct url *u = evweb_url(lcontrol_check(L)->web);
  bool ipv6 = strchr(u->host, ':') != NULL;
  lua_pushfstring(L, "http://%s%s%s:%d", ipv6 ? "[" : "", u->host, ipv6 ? "]" : "", (int)u->port);
  return 1;
}

/* Of all its proxies. True if the adopted one is among them: it has not been deleted. */
static int lcontrol_summary(lua_State *L) {
  struct lcontrol *c = lcontrol_check(L);
  fleet_summary(c->fleet, &c->log, net_now(c->world->net));
  lua_pushboolean(L, c->adopted && fleet_holds(c->fleet, lproxy_engine(c->adopted)));
  return 1;
}

/* core.control_check(address) -> true | nil, sentence */
static int lcontrol_check_address(lua_State *L) {
  struct err err;
  struct url at;
  bool good = control_address(luaL_checkstring(L, 1), &at, &err);
  lua_pushboolean(L, good);
  if (good) return 1;
  lua_pushnil(L);
  lua_pushstring(L, err.text);
  return 2;
}

void lcontrol_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "url", lcontrol_url }, { "summary", lcontrol_summary }, { "close", lcontrol_close }, { NULL, NULL }
  };
  static const luaL_Reg functions[] = { { "control", lcontrol_new },
                                        { "control_check", lcontrol_check_address },
                                        { NULL, NULL } };
  lworld_class(L, LCONTROL, methods, NULL, lcontrol_close);
  luaL_setfuncs(L, functions, 0);
}
