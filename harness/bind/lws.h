/* lws: WebSockets in Lua: the option `ws`, and frames as a script wants them. */
#ifndef MQRIG_LWS_H
#define MQRIG_LWS_H

#include <lua.h>

#include "net/ws.h"

/* Reads the field `ws` of a table. True if it is there: then its texts belong to the value that is pushed, and live as
 * long. Pushes one value in any case. Raises what is wrong. */
bool lws_options(lua_State *L, int table, bool listens, struct ws_options *to);

/* Sends the frame that the table describes on the WebSocket of the chain (may be NULL), or raises why not:
 * { opcode = "text" or a number, payload =, fin =, rsv =, mask =, code =, reason = } or { bytes = }. */
void lws_frame(lua_State *L, struct chain *c, int table);

#endif
