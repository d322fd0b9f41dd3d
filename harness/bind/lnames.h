/* lnames: what the world tells of names instead of asking, in Lua. */
#ifndef MQRIG_LNAMES_H
#define MQRIG_LNAMES_H

#include <lua.h>

/* Adds name_answer, name_fail, name_delay and name_forget to the table on the stack. */
void lnames_open(lua_State *L);

#endif
