/* lprocess: core.spawn and core.fork: child processes, workers and their channels, signals. */
#ifndef MQRIG_LPROCESS_H
#define MQRIG_LPROCESS_H

#include <lua.h>

void lprocess_open(lua_State *L);

#endif
