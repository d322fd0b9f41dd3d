/* lorder: an order for everything: what Lua leaves to chance (the order of `pairs`, ties in `table.sort`, addresses as
 * names) made the same in every process.
 *
 * Keys go numbers, texts, booleans, then objects in the order in which they were made. Every table, function and
 * coroutine carries the number of its making behind its memory (lguard's allocator puts it there), a userdata has it
 * from lorder_number.
 */
#ifndef MQRIG_LORDER_H
#define MQRIG_LORDER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that the allocator adds to an object for its number. */
#define LORDER_TRAILER sizeof(uint64_t)

/* Whether what Lua asks memory for (the tag that comes instead of an old size) is an object that gets a number. */
bool lorder_counts(size_t tag);
/* Numbers a block that was made LORDER_TRAILER larger than Lua asked. */
void lorder_stamp(void *block);

/* Numbers the userdata at that index. */
void lorder_number(lua_State *L, int index);

void lorder_open(lua_State *L);

#endif
