/* lcheck: the invariants, for the runner. */
#ifndef MQRIG_LCHECK_H
#define MQRIG_LCHECK_H

#include <lua.h>

void lcheck_open(lua_State *L);

#endif
