/* lworld: the world that Lua drives, and how C calls back into Lua.
 *
 * One real world a process, and at times a virtual one in front of it, in which everything is that is made then but
 * processes, channels and signals. Every Lua-visible type of this folder has one file of the same shape: its methods,
 * then `x_open`, which puts the type's functions into the `mqrig.core` table on the top of the stack.
 *
 * Callbacks run on the state that called in last (`lworld_enter`); their errors never unwind through C: they go to the
 * function given to core.on_error.
 */
#ifndef MQRIG_LWORLD_H
#define MQRIG_LWORLD_H

#include <lauxlib.h>
#include <lua.h>

#include "host/timeline.h"
#include "net/net.h"

#define LWORLD_EPOCH_S INT64_C(1767225600) /* 2026-01-01: when virtual worlds begin */

/* What lives in the world and must end before it, whoever still holds it: first member of each userdata that has a
 * socket, a process or a timer. `end` closes it, if it is still on the list (a forked child's copies are not); it is
 * called at core.close and from the finalizer. */
struct lworld_item {
  struct lworld_item *next, **link;
  void (*end)(struct lworld_item *item);
};

struct lworld {
  struct lworld_item *items;  /* of `net` */
  struct lworld_item *behind; /* of the real world while there is another */
  lua_State *L;               /* who called in last */
  struct net *net;            /* where time passes; NULL: not open */
  struct net *real;           /* the same, or what waits behind a virtual one */
  struct net *host;           /* what is made now is at home there: `net`, or another host of its virtual world */
  struct timeline *timeline;  /* the one in use, or NULL */
  uint64_t calls;             /* of Lua functions */
  uint64_t turns;             /* of the virtual world */
  int64_t looked_ns;          /* when the real one had its turn */
};

/* The world of this state; raises if it is not open. */
struct lworld *lworld_enter(lua_State *L);

/* The same, open or not. For finalizers. */
struct lworld *lworld_peek(lua_State *L);

/* Calls the function below `arguments` values on w->L. False if it raised; then nothing is left on the stack. */
bool lworld_call(struct lworld *w, int arguments, int results);

/* Puts the item on the world's list, and takes it off (also when it is not on it). */
void lworld_keep(struct lworld *w, struct lworld_item *item, void (*end)(struct lworld_item *item));
void lworld_release(struct lworld_item *item);

/* Userdata by address, weakly: how an event of C finds its Lua object. anchor: the one at that index. push: true with
 * it on the stack; false, and nothing pushed, while it is being finalized. */
void lworld_anchor(lua_State *L, int index);
bool lworld_push_anchored(lua_State *L, const void *userdata);

/* Raises unless the argument can be called: a function, or a value with __call. */
void lworld_check_callable(lua_State *L, int index);

/* Calls the function on the top of L (popped) in the next turn. */
void lworld_later(lua_State *L);

/* Pushes the timeline in use, or nil: what is made now keeps it alive. */
void lworld_push_timeline(lua_State *L);
void lworld_use_timeline(lua_State *L, int index, struct timeline *t);

/* What the time is since 1970 where the net's clock is 0: for captures only. */
int64_t lworld_epoch_ns(lua_State *L);

/* A class: a metatable of that name whose __index is `methods`, with `meta` merged into it. Its finalizer is `gc`,
 * which is also
 * __close. Each may be NULL. */
void lworld_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction index, lua_CFunction gc);

/* Raises for a key of the table that is not among `names` (NULL ends); the sentence has the near name. */
void lworld_check_keys(lua_State *L, int table, const char *what, const char *const *names);

/* Pushes a value as a sentence has it: of what is no plain value its kind, for an address is another in each run. */
const char *lworld_said(lua_State *L, int index);

/* A string argument for what takes no zero byte: raises where it has one. `what`: "the URL". */
const char *lworld_text(lua_State *L, int index, const char *what);

/* A string argument or field as a borrowed slice. */
struct slice lworld_slice(lua_State *L, int index);

/* Puts a virtual world in front, and takes it away again, with all that was made in it. */
void lworld_enter_virtual(struct lworld *w, struct net *net);
void lworld_leave_virtual(struct lworld *w);
static inline bool lworld_is_virtual(const struct lworld *w) {
  return w->net != w->real;
}

/* In a forked child: gives the parent's world up; nothing in it is ended. */
void lworld_abandon(lua_State *L);

void lworld_open(lua_State *L);

#endif
