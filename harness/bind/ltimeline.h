/* ltimeline: core.timeline. */
#ifndef MQRIG_LTIMELINE_H
#define MQRIG_LTIMELINE_H

#include <lua.h>

void ltimeline_open(lua_State *L);

#endif
