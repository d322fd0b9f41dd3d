/* lchannel: messages between the runner and a worker: strings over a stream socket, each behind its length. */
#ifndef MQRIG_LCHANNEL_H
#define MQRIG_LCHANNEL_H

#include <lua.h>

#include "base/slice.h"

#define LCHANNEL_MESSAGE_MAX (64u << 20)

struct lchannel;

/* Pushes a channel on this descriptor, which it owns. Raises nothing. */
struct lchannel *lchannel_push(lua_State *L, int fd);

/* The function on the top of the stack (popped; nil: none) gets each message that comes to the channel at `index`, and
 * nil at the end. */
void lchannel_on(lua_State *L, int index);

/* Waits until all is written; false if the other end is gone. */
bool lchannel_send(struct lchannel *c, struct slice message);

/* Takes in what has arrived, now. */
void lchannel_drain(struct lchannel *c);

/* The memory of what has come in to all channels, in bytes. */
size_t lchannel_held(void);

void lchannel_open(lua_State *L);

#endif
