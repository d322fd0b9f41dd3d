/* lcore: the module mqrig.core, made of all files of this folder, and the embedded library. */
#ifndef MQRIG_LCORE_H
#define MQRIG_LCORE_H

#include <lua.h>

#include "bind/embed.h"

/* Makes `require` find mqrig.core, and the modules of the table. MQRIG_LUA_ROOT, where set, names a folder whose files
 * come before the embedded ones. */
void lcore_install(lua_State *L, const struct embed_module *modules);

#endif
