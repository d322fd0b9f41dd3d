#include "bind/lcore.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lchannel.h"
#include "bind/lcheck.h"
#include "bind/lclient.h"
#include "bind/lcontrol.h"
#include "bind/ldefect.h"
#include "bind/lguard.h"
#include "bind/lmqtt.h"
#include "bind/lnames.h"
#include "bind/lorder.h"
#include "bind/lpacket.h"
#include "bind/lpeer.h"
#include "bind/lprocess.h"
#include "bind/lproxy.h"
#include "bind/lproxytls.h"
#include "bind/lrawclient.h"
#include "bind/lrecord.h"
#include "bind/lscope.h"
#include "bind/lsim.h"
#include "bind/lsystem.h"
#include "bind/ltimeline.h"
#include "bind/ltls.h"
#include "bind/lusage.h"
#include "bind/lworld.h"

static int lcore_open(lua_State *L) {
  static void (*const parts[])(lua_State *) = {
    lworld_open, lpacket_open,    ltimeline_open, lscope_open,    lclient_open, lmqtt_open,
    lpeer_open,  lrawclient_open, lchannel_open,  lprocess_open,  lguard_open,  lsystem_open,
    lproxy_open, lrecord_open,    lcontrol_open,  lproxytls_open, ldefect_open, lorder_open,
    lsim_open,   lcheck_open,     ltls_open,      lnames_open,    lusage_open,
  };
  lua_newtable(L);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) parts[i](L);
  lua_pushliteral(L, MQRIG_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}

/* A searcher for package.searchers: the embedded module of that name. */
static int lcore_search(lua_State *L) {
  const struct embed_module *m = lua_touserdata(L, lua_upvalueindex(1));
  const char *name = luaL_checkstring(L, 1);
  while (m->name && strcmp(m->name, name) != 0) m++;
  if (!m->name) {
    lua_pushfstring(L, "no module '%s' in the program", name);
    return 1;
  }
  if (luaL_loadbufferx(L, m->begin, (size_t)(m->end - m->begin), name, "b") != LUA_OK) return lua_error(L);
  lua_pushliteral(L, "embedded");
  return 2;
}

static void lcore_set_path(lua_State *L, const char *root) {
  lua_getfield(L, -1, "path");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", root, root, lua_tostring(L, -1));
  lua_setfield(L, -3, "path");
  lua_pop(L, 1);
}

void lcore_install(lua_State *L, const struct embed_module *modules) {
  const char *root = getenv("MQRIG_LUA_ROOT");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, lcore_open);
  lua_setfield(L, -2, "mqrig.core");
  lua_pop(L, 1);
  if (root) lcore_set_path(L, root);
  lua_getfield(L, -1, "searchers");
  lua_Integer place = root ? (lua_Integer)lua_rawlen(L, -1) + 1 : 2; /* right behind preload, unless files come first */
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= place; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushlightuserdata(L, (void *)modules);
  lua_pushcclosure(L, lcore_search, 1);
  lua_rawseti(L, -2, place);
  lua_pop(L, 2);
}
