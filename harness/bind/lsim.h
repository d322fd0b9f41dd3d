/* lsim: core.sim: the virtual world in front of the real one, its hosts, links and clocks. */
#ifndef MQRIG_LSIM_H
#define MQRIG_LSIM_H

#include <lua.h>

void lsim_open(lua_State *L);

#endif
