#include "bind/lproxytls.h"

#include "fault/proxylog.h"
#include "fault/proxytls.h"

#define LPROXYTLS "mqrig.core.proxy_tls"

/* User value: the table that it was made of, which has the texts. */
struct lproxytls {
  struct lworld_item item;
  struct lworld *world;
  struct proxytls tls;
  struct proxy_options made;
};

static void lproxytls_end(struct lworld_item *item) {
  struct lproxytls *t = (struct lproxytls *)item;
  if (!item->link) return;
  lworld_release(item);
  proxytls_drop(&t->made);
  proxytls_fini(&t->tls);
}

static int lproxytls_close(lua_State *L) {
  struct lproxytls *t = luaL_checkudata(L, 1, LPROXYTLS);
  if (lworld_peek(L)) lproxytls_end(&t->item);
  return 0;
}

static struct lproxytls *lproxytls_check(lua_State *L, int index) {
  struct lproxytls *t = luaL_checkudata(L, index, LPROXYTLS);
  lworld_enter(L);
  luaL_argcheck(L, t->item.link, index, "TLS options that are open");
  return t;
}

bool lproxytls_give(lua_State *L, int index, struct proxy_options *o) {
  bool given = lua_getfield(L, index, "tls_made") != LUA_TNIL;
  if (given) {
    const struct lproxytls *t = lproxytls_check(L, lua_gettop(L));
    o->tls = t->made.tls;
    o->upstream_tls = t->made.upstream_tls;
  }
  lua_pop(L, 1);
  return given;
}

/* Making one. The table of arguments is at 1. */

static void lproxytls_url(lua_State *L, const char *field, struct url *to) {
  struct err err;
  lua_getfield(L, 1, field);
  const char *text = luaL_optstring(L, -1, NULL);
  if (text && !url_parse(text, to, &err)) luaL_error(L, "%s: %s", field, err.text);
  lua_pop(L, 1);
}

/* The option on the top, { name, value }. */
static void lproxytls_set(lua_State *L, struct lproxytls *t) {
  struct err err;
  size_t size;
  enum proxytls_side side;
  lua_geti(L, -1, 1);
  const char *name = luaL_checklstring(L, -1, &size);
  lua_geti(L, -2, 2);
  const struct proxytls_option *o = proxytls_find(name, size, &side);
  if (!o) luaL_error(L, "there is no option --%s", name);
  if (!proxytls_set(&t->tls, o, side, o->argument ? luaL_checkstring(L, -1) : NULL, &err))
    luaL_error(L, "%s", err.text);
  lua_pop(L, 2);
}

static void lproxytls_set_all(lua_State *L, struct lproxytls *t) {
  lua_getfield(L, 1, "options");
  luaL_checktype(L, -1, LUA_TTABLE);
  for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++) {
    lproxytls_set(L, t);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

static int lproxytls_new(lua_State *L) {
  static const char *const names[] = { "listen", "upstream", "fixed", "options", NULL };
  struct err err;
  struct lworld *w = lworld_enter(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lworld_check_keys(L, 1, "proxy_tls", names);
  struct lproxytls *t = lua_newuserdatauv(L, sizeof *t, 1);
  *t = (struct lproxytls){ .world = w };
  proxytls_init(&t->tls);
  lworld_keep(w, &t->item, lproxytls_end);
  luaL_setmetatable(L, LPROXYTLS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  lproxytls_url(L, "listen", &t->made.listen);
  lproxytls_url(L, "upstream", &t->made.upstream);
  lproxytls_set_all(L, t);
  lua_getfield(L, 1, "fixed");
  if (!proxytls_make(&t->tls, w->net, &t->made, lua_toboolean(L, -1), &err)) return luaL_error(L, "%s", err.text);
  lua_settop(L, 2);
  return 1;
}

/* Methods. */

/* made:publish() -> the file of the CA that was made, or nil */
static int lproxytls_publish(lua_State *L) {
  struct err err;
  struct lproxytls *t = lproxytls_check(L, 1);
  if (!proxytls_publish(&t->tls, &err)) return luaL_error(L, "%s", err.text);
  lua_pushstring(L, t->tls.path[0] ? t->tls.path : NULL);
  return 1;
}

/* The function is at 2. */
static void lproxytls_line(void *arg, const char *text) {
  lua_State *L = arg;
  lua_pushvalue(L, 2);
  lua_pushstring(L, text);
  lua_call(L, 1, 0);
}

/* made:tell(fn(line), json): names that file, if there is one */
static int lproxytls_tell(lua_State *L) {
  struct lproxytls *t = lproxytls_check(L, 1);
  struct proxylog log;
  lworld_check_callable(L, 2);
  if (!t->tls.path[0]) return 0;
  proxylog_init(&log, net_now(t->world->net), lproxytls_line, L);
  log.json = lua_toboolean(L, 3);
  proxylog_ca(&log, t->tls.path, net_now(t->world->net));
  proxylog_fini(&log);
  return 0;
}

/* core.proxy_tls_options() -> { { name=, clients=, upstream=, argument=, help= }, ... } */
static int lproxytls_options(lua_State *L) {
  const struct proxytls_option *o;
  lua_newtable(L);
  for (size_t i = 0; (o = proxytls_option(i)); i++) {
    const struct {
      const char *name, *value;
    } rows[] = { { "name", o->name },
                 { "clients", o->clients },
                 { "upstream", o->upstream },
                 { "argument", o->argument },
                 { "help", o->help } };
    lua_newtable(L);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
      lua_pushstring(L, rows[k].value);
      lua_setfield(L, -2, rows[k].name);
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void lproxytls_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "publish", lproxytls_publish }, { "tell", lproxytls_tell }, { "close", lproxytls_close }, { NULL, NULL }
  };
  static const luaL_Reg functions[] = { { "proxy_tls", lproxytls_new },
                                        { "proxy_tls_options", lproxytls_options },
                                        { NULL, NULL } };
  lworld_class(L, LPROXYTLS, methods, NULL, lproxytls_close);
  luaL_setfuncs(L, functions, 0);
}
