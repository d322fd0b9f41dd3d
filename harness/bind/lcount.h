/* lcount: counts by their names, for Lua. */
#ifndef MQRIG_LCOUNT_H
#define MQRIG_LCOUNT_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

struct lcount {
  const char *name;
  uint64_t value;
};

/* Sets them as fields of the table on top. */
void lcount_set(lua_State *L, const struct lcount *rows, size_t count);

#endif
