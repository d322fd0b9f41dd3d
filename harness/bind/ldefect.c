#include "bind/ldefect.h"

#include <lauxlib.h>

#include "mqtt/defect.h"

/* All, in their order: { { name=, text= }, ... }. */
static int ldefect_list(lua_State *L) {
  lua_createtable(L, DEFECT_COUNT - 1, 0);
  for (int d = DEFECT_NONE + 1; d < DEFECT_COUNT; d++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, defect_name((enum defect)d));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, defect_text((enum defect)d));
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, d);
  }
  return 1;
}

static int ldefect_switch(lua_State *L) {
  struct err err;
  enum defect d;
  if (!defect_find(luaL_checkstring(L, 1), &d, &err)) return luaL_error(L, "%s", err.text);
  defect_switch(d);
  return 0;
}

void ldefect_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "defects", ldefect_list },
    { "defect", ldefect_switch },
    { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
}
