/* lcontrol: core.control: the HTTP interface to proxies, and the proxies that are made by it. */
#ifndef MQRIG_LCONTROL_H
#define MQRIG_LCONTROL_H

#include <lua.h>

void lcontrol_open(lua_State *L);

#endif
