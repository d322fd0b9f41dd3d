/* lsystem: files, folders, the terminal and the machine, as far as Lua's own io does not do it. */
#ifndef MQRIG_LSYSTEM_H
#define MQRIG_LSYSTEM_H

#include <lua.h>

void lsystem_open(lua_State *L);

#endif
