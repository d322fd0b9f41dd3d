/* lguard: running code that is not trusted to end, and the memory that Lua may have.
 *
 * A guarded call has a deadline. Nothing is counted while it runs: a timer of the process's own CPU time looks at the
 * deadline ten times a second and, once it has passed, makes the running code raise, again and again until the call
 * is left: a pcall in a loop does not help it. The limit on memory holds in guarded calls only.
 */
#ifndef MQRIG_LGUARD_H
#define MQRIG_LGUARD_H

#include <lua.h>
#include <stdbool.h>

/* A state whose heap is counted and can be limited (core.memory_limit). NULL: out of memory. */
lua_State *lguard_newstate(void);

/* Whether what runs now is ours, through which no error for want of memory or time may go (the loop, a callback's
 * preparation, what takes notes of errors), or code of a scenario. Returns what was, to be set again. */
bool lguard_trust(bool trusted);

/* In a forked child: the timer of the deadline is not inherited. */
void lguard_forked(void);

void lguard_open(lua_State *L);

#endif
