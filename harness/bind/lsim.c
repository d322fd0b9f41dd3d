#include "bind/lsim.h"

#include "bind/lcount.h"
#include "bind/lworld.h"
#include "fault/value.h"
#include "net/simnet.h"

/* Address as a registry key: the distributions that links of this world draw from. */
static const char lsim_latencies_key;

static struct lworld *lsim_enter(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  if (!lworld_is_virtual(w)) luaL_error(L, "this exists in simulation only, and this is a real network");
  return w;
}

/* A host by its name at `index`; nil: NULL. */
static struct net *lsim_host(lua_State *L, const struct lworld *w, int index) {
  struct err err;
  if (lua_isnoneornil(L, index)) return NULL;
  struct net *host = simnet_host(w->net, luaL_checkstring(L, index), &err);
  if (!host) luaL_error(L, "%s", err.text);
  return host;
}

static bool lsim_flag(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

/* sim.enter{ seed=, events_max=, in_order=, whole= } */
static int lsim_begin(lua_State *L) {
  static const char *const names[] = { "seed", "events_max", "in_order", "whole", NULL };
  struct lworld *w = lworld_enter(L);
  if (lworld_is_virtual(w)) return luaL_error(L, "there is a virtual world already");
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lworld_check_keys(L, 1, "sim.enter", names);
  struct simnet_options o = { .in_order = lsim_flag(L, 1, "in_order"), .whole = lsim_flag(L, 1, "whole") };
  lua_getfield(L, 1, "seed");
  lua_getfield(L, 1, "events_max");
  o.seed = (uint64_t)luaL_optinteger(L, 2, 0);
  o.events_max = (uint64_t)luaL_optinteger(L, 3, 0);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lsim_latencies_key);
  lworld_enter_virtual(w, simnet_new(&o));
  return 0;
}

/* sim.leave() */
static int lsim_end(lua_State *L) {
  lworld_leave_virtual(lworld_enter(L));
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lsim_latencies_key);
  return 0;
}

static int lsim_is_on(lua_State *L) {
  const struct lworld *w = lworld_peek(L);
  lua_pushboolean(L, w->net && lworld_is_virtual(w));
  return 1;
}

/* sim.at(name): what is made from now on is at home on that host; nil: on the main one, where scenarios run. Without a
 * virtual world nothing happens. */
static int lsim_at(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  struct net *host = lworld_is_virtual(w) ? lsim_host(L, w, 1) : NULL;
  w->host = host ? host : w->net;
  return 0;
}

/* Links. Each takes the field on the top of the stack into the link. */

static int64_t lsim_draw(const void *distribution, uint64_t bits) {
  return distribution_draw(distribution, bits);
}

static void lsim_take_latency(lua_State *L, struct simnet_link *link) {
  struct distribution d;
  if (lua_isboolean(L, -1)) {
    link->latency = NULL;
    return;
  }
  if (!distribution_parse(lworld_slice(L, -1), &value_durations, &d)) {
    luaL_error(L, "%s is no distribution", lua_tostring(L, -1));
  }
  struct distribution *kept = lua_newuserdatauv(L, sizeof *kept, 0);
  *kept = d;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lsim_latencies_key);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
  link->latency = lsim_draw;
  link->latency_arg = kept;
}

/* { part, of } */
static struct simnet_ratio lsim_ratio(lua_State *L) {
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  struct simnet_ratio r = { (uint32_t)luaL_checkinteger(L, -2), (uint32_t)luaL_checkinteger(L, -1) };
  lua_pop(L, 2);
  return r;
}

static void lsim_take_rate(lua_State *L, struct simnet_link *link) {
  link->bytes_per_s = (uint64_t)luaL_checkinteger(L, -1);
}

static void lsim_take_loss(lua_State *L, struct simnet_link *link) {
  link->loss = lsim_ratio(L);
}

static void lsim_take_refuse(lua_State *L, struct simnet_link *link) {
  link->refuse = lsim_ratio(L);
}

static void lsim_take_no_answer(lua_State *L, struct simnet_link *link) {
  link->no_answer = lsim_ratio(L);
}

static void lsim_take_cut(lua_State *L, struct simnet_link *link) {
  link->cut = lua_toboolean(L, -1);
}

static const struct {
  const char *name;
  void (*take)(lua_State *L, struct simnet_link *link);
} lsim_fields[] = {
  { "latency", lsim_take_latency }, { "rate", lsim_take_rate },           { "loss", lsim_take_loss },
  { "refuse", lsim_take_refuse },   { "no_answer", lsim_take_no_answer }, { "cut", lsim_take_cut },
};

/* sim.link(from, to, { latency="uniform(1ms,2ms)"|false, rate=, loss={part, of}, refuse=, no_answer=, cut= }): the
 * fields that are given change, the others stay. */
static int lsim_link(lua_State *L) {
  struct lworld *w = lsim_enter(L);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  struct net *from = lsim_host(L, w, 1), *to = lsim_host(L, w, 2);
  struct simnet_link link = simnet_link(w->net, from, to);
  for (size_t i = 0; i < sizeof lsim_fields / sizeof *lsim_fields; i++) {
    if (lua_getfield(L, 3, lsim_fields[i].name) != LUA_TNIL) lsim_fields[i].take(L, &link);
    lua_settop(L, 3);
  }
  simnet_set_link(w->net, from, to, &link);
  return 0;
}

/* Clocks. */

static struct net *lsim_check_host(lua_State *L) {
  struct net *host = lsim_host(L, lsim_enter(L), 1);
  luaL_argcheck(L, host, 1, "a host's name");
  return host;
}

/* For who checks the run by its time. */
static void lsim_tell_clocks(lua_State *L, int code) {
  struct lworld *w = lsim_enter(L);
  if (w->timeline)
    timeline_add_event(w->timeline, net_now(w->net), 0, (struct event){ .what = EVENT_CLOCKS, .code = code });
}

/* sim.jump(host, by_ns) */
static int lsim_jump(lua_State *L) {
  simnet_jump(lsim_check_host(L), luaL_checkinteger(L, 2));
  lsim_tell_clocks(L, 0);
  return 0;
}

/* sim.drift(host, local, real) */
static int lsim_drift(lua_State *L) {
  lua_Integer local = luaL_checkinteger(L, 2), real = luaL_checkinteger(L, 3);
  luaL_argcheck(L, local >= 0 && local <= UINT32_MAX, 2, "a part of a ratio");
  luaL_argcheck(L, real >= 1 && real <= UINT32_MAX, 3, "a part of a ratio");
  simnet_drift(lsim_check_host(L), (uint32_t)local, (uint32_t)real);
  lsim_tell_clocks(L, local == real ? 0 : 1);
  return 0;
}

/* sim.stop(host, stopped) */
static int lsim_stop(lua_State *L) {
  simnet_stop(lsim_check_host(L), lua_toboolean(L, 2));
  lsim_tell_clocks(L, lua_toboolean(L, 2) ? 1 : 2);
  return 0;
}

/* What the world says of itself. */

/* sim.next() -> ns | nil: nothing will happen by itself */
static int lsim_next(lua_State *L) {
  int64_t next_ns = simnet_next_ns(lsim_enter(L)->net);
  if (next_ns == NET_NEVER) lua_pushnil(L);
  else lua_pushinteger(L, next_ns);
  return 1;
}

static void lsim_line(void *arg, const char *text) {
  lua_State *L = arg;
  lua_pushstring(L, text);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* sim.waiting() -> { line, ... } */
static int lsim_waiting(lua_State *L) {
  struct lworld *w = lsim_enter(L);
  lua_newtable(L);
  simnet_waiting(w->net, lsim_line, L);
  return 1;
}

/* sim.hash() */
static int lsim_hash(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)simnet_hash(lsim_enter(L)->net));
  return 1;
}

/* sim.count() -> { events=, connections=, bytes=, lost=, open= } */
static int lsim_count(lua_State *L) {
  struct simnet_count c = simnet_count(lsim_enter(L)->net);
  const struct lcount fields[] = {
    { "events", c.events }, { "connections", c.connections }, { "bytes", c.bytes }, { "lost", c.lost },
    { "open", c.open },
  };
  lua_newtable(L);
  lcount_set(L, fields, sizeof fields / sizeof *fields);
  return 1;
}

void lsim_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "enter", lsim_begin }, { "leave", lsim_end }, { "is_on", lsim_is_on },     { "at", lsim_at },
    { "link", lsim_link },   { "jump", lsim_jump }, { "drift", lsim_drift },     { "stop", lsim_stop },
    { "next", lsim_next },   { "hash", lsim_hash }, { "waiting", lsim_waiting }, { "count", lsim_count },
    { NULL, NULL },
  };
  luaL_newlib(L, functions);
  lua_pushinteger(L, LWORLD_EPOCH_S);
  lua_setfield(L, -2, "epoch_s");
  lua_setfield(L, -2, "sim");
}
