/* ltimeline: core.timeline. */
#ifndef MQRIG_LTIMELINE_H
#define MQRIG_LTIMELINE_H

#include <lua.h>

struct timeline *ltimeline_check(lua_State *L); /* the first argument */

void ltimeline_open(lua_State *L);

#endif
