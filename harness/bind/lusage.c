#include "bind/lusage.h"

#include "base/buffer.h"
#include "bind/lchannel.h"
#include "bind/lcount.h"
#include "bind/lworld.h"
#include "mqtt/message.h"
#include "net/evnet.h"
#include "net/usage.h"

/* usage() -> { streams=, listeners=, timers=, memory= } */
static int lusage_now(lua_State *L) {
  struct usage u = usage_of(lworld_enter(L)->net);
  const struct lcount rows[] = {
    { "streams", u.streams },
    { "listeners", u.listeners },
    { "timers", u.timers },
    { "memory", buffer_held() - lchannel_held() + message_held() }, /* channels are of the process, not of a world */
  };
  lua_createtable(L, 0, 4);
  lcount_set(L, rows, sizeof rows / sizeof *rows);
  return 1;
}

static void lusage_line(void *arg, const char *text) {
  lua_State *L = arg;
  lua_pushstring(L, text);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* usage_list() -> { line, ... } */
static int lusage_list(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  lua_newtable(L);
  usage_list(w->net, lusage_line, L);
  return 1;
}

static void lusage_descriptor(void *arg, int fd, const char *text) {
  lua_State *L = arg;
  lua_pushstring(L, text);
  lua_rawseti(L, -2, fd);
}

/* descriptors() -> { [fd] = text } */
static int lusage_descriptors(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  lua_newtable(L);
  evnet_descriptors(w->real, lusage_descriptor, L);
  return 1;
}

void lusage_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "usage", lusage_now },
    { "usage_list", lusage_list },
    { "descriptors", lusage_descriptors },
    { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
}
