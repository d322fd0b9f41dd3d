/* lusage: what is in use: core.usage, core.usage_list, core.descriptors. */
#ifndef MQRIG_LUSAGE_H
#define MQRIG_LUSAGE_H

#include <lua.h>

void lusage_open(lua_State *L);

#endif
