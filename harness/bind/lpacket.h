/* lpacket: packets as Lua tables, everywhere the same: `type` and the standard's field names in snake_case. */
#ifndef MQRIG_LPACKET_H
#define MQRIG_LPACKET_H

#include <lua.h>

#include "base/buffer.h"
#include "mqtt/packet.h"

/* Pushes the packet as a table, `raw` with the bytes included. */
void lpacket_push(lua_State *L, const struct packet *p);

/* Whether the packet has these values: each key of the table at `index` compared with what lpacket_push would give. */
bool lpacket_has(lua_State *L, const struct packet *p, int index);

/* Appends the bytes of what stands at `index`: a string as it is, or a packet table. Raises for what has no encoding.
 */
void lpacket_build(lua_State *L, int index, enum spec_version version, struct buffer *out);

void lpacket_open(lua_State *L);

#endif
