/* ldefect: core.defects and core.defect: mistakes switched on by name. */
#ifndef MQRIG_LDEFECT_H
#define MQRIG_LDEFECT_H

#include <lua.h>

void ldefect_open(lua_State *L);

#endif
