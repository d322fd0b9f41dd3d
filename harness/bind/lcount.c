#include "bind/lcount.h"

void lcount_set(lua_State *L, const struct lcount *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, (lua_Integer)rows[i].value);
    lua_setfield(L, -2, rows[i].name);
  }
}
