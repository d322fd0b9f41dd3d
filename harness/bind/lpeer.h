/* lpeer: core.peer and its connections: listening brokers. */
#ifndef MQRIG_LPEER_H
#define MQRIG_LPEER_H

#include <lua.h>

void lpeer_open(lua_State *L);

#endif
