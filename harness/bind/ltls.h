/* ltls: TLS as Lua gives it: option tables `tls = { ... }`, and core.pki, certificates to throw away. */
#ifndef MQRIG_LTLS_H
#define MQRIG_LTLS_H

#include "bind/lworld.h"
#include "net/tlsconfig.h"

/* The configuration that the field `tls` of the table at `index` asks for; NULL: there is no such field, and none is
 * `needed`. It is made once for each table of options, and read again when one of them has changed; it lives until the
 * world ends, or the table is collected: who keeps it takes a reference. Raises. */
struct tlsconfig *ltls_config(lua_State *L, int index, enum tlsconfig_role role, bool needed);
/* The same of another field. */
struct tlsconfig *ltls_config_of(lua_State *L, int index, const char *field, enum tlsconfig_role role, bool needed);

/* What core.tls_server gave, or NULL. */
struct tlsconfig *ltls_given(lua_State *L, int index);

void ltls_open(lua_State *L);

#endif
