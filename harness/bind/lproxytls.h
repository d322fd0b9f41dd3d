/* lproxytls: the TLS options of `mqrig proxy`, for core.proxy and core.control. */
#ifndef MQRIG_LPROXYTLS_H
#define MQRIG_LPROXYTLS_H

#include "bind/lworld.h"
#include "fault/proxy.h"

/* Where the table at `index` has what core.proxy_tls gave as `tls_made`: fills in the configurations, which stay its
 * own. False: it has not. */
bool lproxytls_give(lua_State *L, int index, struct proxy_options *o);

void lproxytls_open(lua_State *L);

#endif
