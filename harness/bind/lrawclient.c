#include "bind/lrawclient.h"

#include "bind/lpacket.h"
#include "bind/lscope.h"
#include "bind/ltls.h"
#include "bind/lws.h"
#include "host/rawclient.h"

#define LRAWCLIENT          "mqrig.core.rawclient"
#define LRAWCLIENT_SEND_MAX (SPEC_REMAINING_LENGTH_MAX + 5)

/* User value: a table with the handlers and the timeline. */
struct lrawclient {
  struct lworld_item item;
  struct lworld *world;
  struct rawclient *raw; /* NULL once closed */
  struct lscope *scope;
  bool joined, ended;
};

static struct lrawclient *lrawclient_check(lua_State *L) {
  lworld_enter(L);
  return luaL_checkudata(L, 1, LRAWCLIENT);
}

/* Pushes the handler of that name and returns true, if the client can still be found and there is one. */
static bool lrawclient_push_handler(struct lrawclient *c, const char *name) {
  lua_State *L = c->world->L;
  if (!lworld_push_anchored(L, c)) return false;
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  int type = lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (type != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

static void lrawclient_opened(void *arg) {
  struct lrawclient *c = arg;
  if (lrawclient_push_handler(c, "opened")) lworld_call(c->world, 0, 0);
}

static void lrawclient_input(void *arg) {
  struct lrawclient *c = arg;
  if (lrawclient_push_handler(c, "input")) lworld_call(c->world, 0, 0);
}

static void lrawclient_ended(void *arg, enum stream_end end, const char *why) {
  static const char *const names[] = {
    [STREAM_FIN] = "fin",         [STREAM_RESET] = "reset",
    [STREAM_REFUSED] = "refused", [STREAM_UNREACHABLE] = "unreachable",
    [STREAM_TIMEOUT] = "timeout", [STREAM_FAILED] = "failed",
  };
  struct lrawclient *c = arg;
  if (!lrawclient_push_handler(c, "ended")) return;
  lua_pushstring(c->world->L, names[end]);
  lua_pushstring(c->world->L, why);
  lworld_call(c->world, 2, 0);
}

static void lrawclient_end(struct lworld_item *item) {
  struct lrawclient *c = (struct lrawclient *)item;
  if (!item->link) return;
  lworld_release(item);
  rawclient_free(c->raw);
  c->raw = NULL;
  lscope_detach(c->scope);
  c->scope = NULL;
}

static int lrawclient_close(lua_State *L) {
  struct lrawclient *c = luaL_checkudata(L, 1, LRAWCLIENT);
  if (lworld_peek(L)) lrawclient_end(&c->item);
  return 0;
}

/* core.rawclient(url, timeout_ns, handlers, options) */
static int lrawclient_new(lua_State *L) {
  static const struct rawclient_handler handler = { lrawclient_opened, lrawclient_input, lrawclient_ended };
  struct err err;
  struct url u;
  struct lworld *w = lworld_enter(L);
  if (!url_parse(lworld_text(L, 1, "the URL"), &u, &err)) return luaL_error(L, "%s", err.text);
  int64_t timeout_ns = luaL_checkinteger(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 4);
  struct ws_options ws;
  struct transport_options transport = { .tls = ltls_config(L, 4, TLSCONFIG_CLIENT, u.tls) };
  if (!lua_isnil(L, 4) && lws_options(L, 4, false, &ws)) transport.ws = &ws;
  lworld_push_timeline(L);
  lua_setfield(L, 3, "timeline");
  struct lrawclient *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct lrawclient){ .world = w };
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 1);
  c->raw = rawclient_new(w->host, w->timeline, "raw", &u, &transport, timeout_ns, &handler, c, &err);
  if (!c->raw) return luaL_error(L, "%s", err.text);
  lworld_keep(w, &c->item, lrawclient_end);
  luaL_setmetatable(L, LRAWCLIENT);
  lworld_anchor(L, -1);
  return 1;
}

static int lrawclient_send(lua_State *L) {
  struct lrawclient *c = lrawclient_check(L);
  struct buffer bytes;
  buffer_init(&bytes, LRAWCLIENT_SEND_MAX);
  lpacket_build(L, 2, SPEC_3_1_1, &bytes);
  lua_pushboolean(L, c->raw && rawclient_send(c->raw, buffer_slice(&bytes)));
  buffer_fini(&bytes);
  return 1;
}

static int lrawclient_frame(lua_State *L) {
  struct lrawclient *c = lrawclient_check(L);
  lws_frame(L, c->raw ? rawclient_chain(c->raw) : NULL, 2);
  return 0;
}

static int lrawclient_peek(lua_State *L) {
  struct lrawclient *c = lrawclient_check(L);
  struct slice in = c->raw ? rawclient_input(c->raw) : slice_of("", 0);
  lua_pushlstring(L, in.size ? (const char *)in.data : "", in.size);
  return 1;
}

static int lrawclient_take(lua_State *L) {
  struct lrawclient *c = lrawclient_check(L);
  struct slice in = c->raw ? rawclient_input(c->raw) : slice_of("", 0);
  lua_Integer n = luaL_optinteger(L, 2, (lua_Integer)in.size);
  luaL_argcheck(L, n >= 0 && (size_t)n <= in.size, 2, "at most as many bytes as there are");
  lua_pushlstring(L, n ? (const char *)in.data : "", (size_t)n);
  if (n) rawclient_take(c->raw, (size_t)n);
  return 1;
}

static int lrawclient_who(lua_State *L) {
  struct lrawclient *c = lrawclient_check(L);
  lua_pushinteger(L, c->raw ? rawclient_who(c->raw) : 0);
  return 1;
}

static void lrawclient_each(void *owner, lscope_visit *visit, void *arg) {
  struct lrawclient *c = owner;
  if (!c->raw || !rawclient_chain(c->raw)) return;
  visit(arg,
        &(struct lscope_conn){
            .chain = rawclient_chain(c->raw), .who = rawclient_who(c->raw), .out_is_up = true, .joined = &c->joined });
}

static const struct scope_place lrawclient_place = {
  .name = "a raw client",
  .never_connects = true,
  .never_accepts = true,
  .calls = LSCOPE_CALLS,
};

static int lrawclient_scope(lua_State *L) {
  struct lrawclient *c = lrawclient_check(L);
  luaL_argcheck(L, c->raw, 1, "a raw client that still is");
  if (!c->scope) {
    c->scope = lscope_new(L, c, lrawclient_each);
    scope_set_place(lscope_engine(c->scope), &lrawclient_place);
  }
  lscope_push(L, c->scope, 1);
  return 1;
}

void lrawclient_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "send", lrawclient_send },   { "frame", lrawclient_frame },
    { "peek", lrawclient_peek },   { "take", lrawclient_take },
    { "who", lrawclient_who },     { "scope", lrawclient_scope },
    { "close", lrawclient_close }, { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "rawclient", lrawclient_new }, { NULL, NULL } };
  lworld_class(L, LRAWCLIENT, methods, NULL, lrawclient_close);
  luaL_setfuncs(L, functions, 0);
}
