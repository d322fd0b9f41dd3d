/* lrawclient: core.rawclient: a connection with no session. */
#ifndef MQRIG_LRAWCLIENT_H
#define MQRIG_LRAWCLIENT_H

#include <lua.h>

void lrawclient_open(lua_State *L);

#endif
