/* lproxy: core.proxy and its connections: fault proxies. */
#ifndef MQRIG_LPROXY_H
#define MQRIG_LPROXY_H

#include <lua.h>

void lproxy_open(lua_State *L);

#endif
