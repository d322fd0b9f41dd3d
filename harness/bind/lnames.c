#include "bind/lnames.h"

#include <lauxlib.h>

#include "bind/lworld.h"
#include "net/names.h"

static struct names *lnames_of(lua_State *L) {
  return net_names(lworld_enter(L)->net);
}

static int lnames_done(lua_State *L, bool good, const struct err *err) {
  return good ? 0 : luaL_error(L, "%s", err->text);
}

static int lnames_answer(lua_State *L) {
  struct err err;
  return lnames_done(L, names_answer(lnames_of(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2), &err), &err);
}

static int lnames_fail(lua_State *L) {
  struct err err;
  return lnames_done(L, names_fail(lnames_of(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2), &err), &err);
}

static int lnames_delay(lua_State *L) {
  struct err err;
  return lnames_done(L, names_delay(lnames_of(L), luaL_checkstring(L, 1), luaL_checkinteger(L, 2), &err), &err);
}

static int lnames_forget(lua_State *L) {
  names_forget(lnames_of(L), luaL_checkstring(L, 1));
  return 0;
}

void lnames_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "name_answer", lnames_answer },
    { "name_fail", lnames_fail },
    { "name_delay", lnames_delay },
    { "name_forget", lnames_forget },
    { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
}
