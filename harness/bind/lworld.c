#include "bind/lworld.h"

#include <assert.h>
#include <time.h>

#include "base/near.h"
#include "bind/lguard.h"
#include "bind/lorder.h"
#include "net/evnet.h"

#define LWORLD_TIMER        "mqrig.core.timer"
#define LWORLD_TURNS_BEHIND 64       /* turns of a virtual world between looks at the clock behind it */
#define LWORLD_QUIET_MAX    1000     /* turns of a virtual world in one call */
#define LWORLD_LOOK_NS      20000000 /* between turns of the real world behind it */

/* Addresses as registry keys. */
static const char lworld_key, lworld_error_key, lworld_timeline_key, lworld_anchors_key;

/* Each coroutine of a state begins with a copy of the main one's extra space: the shortest way to the world. */
static struct lworld **lworld_place(lua_State *L) {
  return lua_getextraspace(L);
}

struct ltimer {
  struct lworld_item item;
  struct net_timer timer;
  struct lworld *world;
  struct net *net;
};

struct lworld *lworld_peek(lua_State *L) {
  struct lworld *w = *lworld_place(L);
  w->L = L;
  return w;
}

struct lworld *lworld_enter(lua_State *L) {
  struct lworld *w = lworld_peek(L);
  if (!w->net) luaL_error(L, "the world is not open");
  return w;
}

static int lworld_traceback(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING) return 1; /* an error object knows its own story */
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* The error value is on the top of the stack; takes it off. */
static void lworld_report(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &lworld_error_key) != LUA_TNIL) {
    bool trusted = lguard_trust(true);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
    lguard_trust(trusted);
    return;
  }
  lua_pop(L, 1);
  lua_warning(L, luaL_tolstring(L, -1, NULL), 0);
  lua_pop(L, 2);
}

bool lworld_call(struct lworld *w, int arguments, int results) {
  lua_State *L = w->L;
  int base = lua_gettop(L) - arguments;
  w->calls++;
  lua_pushcfunction(L, lworld_traceback);
  lua_insert(L, base);
  bool trusted = lguard_trust(false);
  bool good = lua_pcall(L, arguments, results, base) == LUA_OK;
  lguard_trust(trusted);
  w->L = L; /* what ran may have entered on another coroutine */
  lua_remove(L, base);
  if (!good) lworld_report(L);
  return good;
}

void lworld_keep(struct lworld *w, struct lworld_item *item, void (*end)(struct lworld_item *item)) {
  item->end = end;
  item->next = w->items;
  item->link = &w->items;
  if (w->items) w->items->link = &item->next;
  w->items = item;
}

void lworld_release(struct lworld_item *item) {
  if (!item->link) return;
  *item->link = item->next;
  if (item->next) item->next->link = item->link;
  item->link = NULL;
}

void lworld_anchor(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lworld_anchors_key);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, lua_touserdata(L, index));
  lua_pop(L, 1);
  if (lworld_is_virtual(*lworld_place(L))) lorder_number(L, index);
}

bool lworld_push_anchored(lua_State *L, const void *userdata) {
  luaL_checkstack(L, 16, "callback");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lworld_anchors_key);
  lua_rawgetp(L, -1, userdata);
  lua_remove(L, -2);
  if (lua_isuserdata(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

void lworld_check_callable(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return;
  if (luaL_getmetafield(L, index, "__call") == LUA_TNIL) luaL_typeerror(L, index, "function");
  lua_pop(L, 1);
}

/* Timers. A set timer is anchored in the registry under its own address. */

static void lworld_timer_end(struct lworld_item *item) {
  struct ltimer *t = (struct ltimer *)item;
  lua_State *L = t->world->L;
  if (!item->link) return;
  lworld_release(item);
  net_timer_clear(t->net, &t->timer);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, t);
}

static void lworld_timer_fire(void *arg) {
  struct ltimer *t = arg;
  lua_State *L = t->world->L;
  luaL_checkstack(L, 8, "timer");
  lua_rawgetp(L, LUA_REGISTRYINDEX, t);
  lworld_timer_end(&t->item);
  lua_getiuservalue(L, -1, 1);
  lworld_call(t->world, 0, 0);
  lua_pop(L, 1);
}

static int lworld_timer_cancel(lua_State *L) {
  struct ltimer *t = luaL_checkudata(L, 1, LWORLD_TIMER);
  lworld_peek(L);
  lworld_timer_end(&t->item);
  return 0;
}

/* Pushes a timer that calls the function on the top of the stack, which it replaces. */
static void lworld_push_timer(lua_State *L, int64_t at_ns) {
  struct lworld *w = lworld_enter(L);
  struct ltimer *t = lua_newuserdatauv(L, sizeof *t, 1);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, LWORLD_TIMER);
  net_timer_init(&t->timer, lworld_timer_fire, t);
  t->world = w;
  t->net = w->net;
  lworld_keep(w, &t->item, lworld_timer_end);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, t);
  net_timer_set(w->net, &t->timer, at_ns);
}

static int lworld_timer(lua_State *L) {
  int64_t at_ns = luaL_checkinteger(L, 1);
  lworld_check_callable(L, 2);
  lua_settop(L, 2);
  lworld_push_timer(L, at_ns);
  return 1;
}

void lworld_later(lua_State *L) {
  lworld_push_timer(L, net_now(lworld_enter(L)->net));
  lua_pop(L, 1);
}

void lworld_push_timeline(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lworld_timeline_key);
}

void lworld_use_timeline(lua_State *L, int index, struct timeline *t) {
  lworld_peek(L)->timeline = t;
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lworld_timeline_key);
}

static int lworld_make(lua_State *L) {
  struct lworld *w = lworld_peek(L);
  struct err err;
  if (w->net) return luaL_error(L, "the world is open already");
  w->net = w->real = w->host = evnet_new(&err);
  if (!w->net) return luaL_error(L, "%s", err.text);
  return 0;
}

/* What somebody still holds ends before its world does. */
static void lworld_end_items(struct lworld *w) {
  while (w->items) w->items->end(w->items);
}

static void lworld_move_items(struct lworld_item **from, struct lworld_item **to) {
  *to = *from;
  *from = NULL;
  if (*to) (*to)->link = to;
}

void lworld_enter_virtual(struct lworld *w, struct net *net) {
  assert(!lworld_is_virtual(w));
  lworld_move_items(&w->items, &w->behind);
  w->net = w->host = net;
  w->turns = 0;
}

void lworld_leave_virtual(struct lworld *w) {
  if (!lworld_is_virtual(w)) return;
  lworld_end_items(w);
  if (w->timeline) timeline_use_clock(w->timeline, NULL, NULL);
  net_free(w->net);
  w->net = w->host = w->real;
  lworld_move_items(&w->behind, &w->items);
}

static int lworld_unmake(lua_State *L) {
  struct lworld *w = lworld_peek(L);
  if (!w->net) return 0;
  lworld_leave_virtual(w);
  lworld_end_items(w);
  net_free(w->net);
  w->net = w->real = w->host = NULL;
  return 0;
}

void lworld_abandon(lua_State *L) {
  struct lworld *w = lworld_peek(L);
  assert(!lworld_is_virtual(w));
  while (w->items) lworld_release(w->items);
  if (w->net) evnet_abandon(w->net);
  w->net = w->real = w->host = NULL;
}

static int64_t lworld_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The world's time; before it is open the real clock. */
static int lworld_now(lua_State *L) {
  struct lworld *w = lworld_peek(L);
  lua_pushinteger(L, w->net ? net_now(w->net) : lworld_clock());
  return 1;
}

/* The clock of the real world: what has to end within real time goes by it. */
static int lworld_real_now(lua_State *L) {
  lua_pushinteger(L, lworld_clock());
  return 1;
}

/* Whoever runs a virtual world is still told to stop, and the like. */
static bool lworld_look_behind(struct lworld *w, struct err *err) {
  if (!lworld_is_virtual(w) || w->turns++ % LWORLD_TURNS_BEHIND != 0) return true;
  int64_t now_ns = lworld_clock();
  if (now_ns < w->looked_ns + LWORLD_LOOK_NS) return true;
  w->looked_ns = now_ns;
  return net_turn(w->real, now_ns, err);
}

/* Where only functions of Lua are waited for, turns in which none was called stay here. */
static bool lworld_turn_quietly(struct lworld *w, int64_t until_ns, bool quiet, struct err *err) {
  uint64_t calls = w->calls;
  int left = quiet && lworld_is_virtual(w) ? LWORLD_QUIET_MAX : 1;
  do {
    if (!net_turn(w->net, until_ns, err) || !lworld_look_behind(w, err)) return false;
  } while (--left && w->calls == calls && net_now(w->net) < until_ns);
  return true;
}

static int lworld_turn(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  struct err err;
  int64_t until_ns = luaL_optinteger(L, 1, NET_NEVER);
  bool trusted = lguard_trust(true);
  bool good = lworld_turn_quietly(w, until_ns, lua_toboolean(L, 2), &err);
  lguard_trust(trusted);
  if (!good) return luaL_error(L, "%s", err.text);
  return 0;
}

static int lworld_wake(lua_State *L) {
  net_wake(lworld_enter(L)->net);
  return 0;
}

static int lworld_on_error(lua_State *L) {
  lworld_check_callable(L, 1);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lworld_error_key);
  return 0;
}

int64_t lworld_epoch_ns(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - net_now(lworld_enter(L)->net);
}

void lworld_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction index, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  if (methods) luaL_setfuncs(L, methods, 0);
  if (index) {
    lua_pushcclosure(L, index, 1); /* the methods are its upvalue */
  }
  lua_setfield(L, -2, "__index");
  if (gc) {
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__close");
  }
  lua_pushliteral(L, "mqrig");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

const char *lworld_text(lua_State *L, int index, const char *what) {
  size_t size;
  const char *text = luaL_checklstring(L, index, &size), *zero = memchr(text, 0, size);
  if (zero) luaL_error(L, "%s has a zero byte, at column %d", what, (int)(zero - text) + 1);
  return text;
}

/* ", known: a, b": pushed. */
static const char *lworld_list(lua_State *L, const char *const *names) {
  lua_pushliteral(L, ", known: ");
  for (size_t i = 0; names[i]; i++) {
    lua_pushfstring(L, i ? ", %s" : "%s", names[i]);
    lua_concat(L, 2);
  }
  return lua_tostring(L, -1);
}

static bool lworld_is_among(const char *key, const char *const *names) {
  while (*names && strcmp(*names, key) != 0) names++;
  return *names != NULL;
}

void lworld_check_keys(lua_State *L, int table, const char *what, const char *const *names) {
  const char *unknown = NULL; /* the first by letters: tables have no order to go by */
  table = lua_absindex(L, table);
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      luaL_error(L, "%s: options are named, but there is a %s as a key", what, luaL_typename(L, -2));
    }
    const char *key = lua_tostring(L, -2);
    if (!lworld_is_among(key, names) && (!unknown || strcmp(key, unknown) < 0)) unknown = key;
  }
  if (!unknown) return;
  const char *near = near_name(unknown, names);
  if (near) luaL_error(L, "%s: no option \"%s\", did you mean \"%s\"?", what, unknown, near);
  luaL_error(L, "%s: no option \"%s\"%s", what, unknown, lworld_list(L, names));
}

const char *lworld_said(lua_State *L, int index) {
  int type = lua_type(L, index);
  bool plain = type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING;
  return plain ? luaL_tolstring(L, index, NULL) : lua_pushfstring(L, "a %s", lua_typename(L, type));
}

struct slice lworld_slice(lua_State *L, int index) {
  size_t size;
  const char *text = luaL_checklstring(L, index, &size);
  return slice_of(text, size);
}

void lworld_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "open", lworld_make },   { "close", lworld_unmake },      { "now", lworld_now },
    { "turn", lworld_turn },   { "real_now", lworld_real_now }, { "wake", lworld_wake },
    { "timer", lworld_timer }, { "on_error", lworld_on_error }, { NULL, NULL },
  };
  static const luaL_Reg timer_methods[] = { { "cancel", lworld_timer_cancel }, { NULL, NULL } };
  struct lworld *w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = (struct lworld){ .L = L };
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lworld_key); /* keeps it */
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  *lworld_place(lua_tothread(L, -1)) = *lworld_place(L) = w;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lworld_anchors_key);
  lworld_class(L, LWORLD_TIMER, timer_methods, NULL, lworld_timer_cancel);
  luaL_setfuncs(L, functions, 0);
}
