/* lrecord: core.record: a file for packet analysers, of what goes through proxies. */
#ifndef MQRIG_LRECORD_H
#define MQRIG_LRECORD_H

#include <lua.h>

struct record;

/* The one of the userdata at the index; raises if it is none, or is closed. What begins to be recorded goes on in
 * record.h. */
struct record *lrecord_check(lua_State *L, int index);

void lrecord_open(lua_State *L);

#endif
