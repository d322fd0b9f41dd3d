#include "bind/lguard.h"

#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "bind/lorder.h"

#define LGUARD_TICK_US 100000
#define LGUARD_NEVER   INT64_MAX
#define LGUARD_STOPPED "stopped: it never yields (its time is over, and it neither returned nor waited)"

/* One state a process, and signal handlers can only see statics. */
static struct {
  size_t used, limit;
  bool trusted;                /* C of ours runs, through which no error may go: the limit on memory is not looked at */
  lua_State *volatile running; /* what a deadline would interrupt, or NULL */
  volatile int64_t deadline_ns;
  volatile sig_atomic_t ticking;
} lguard = { .deadline_ns = LGUARD_NEVER };

/* The limit is for what scenarios do. What reports their failures must work also when they have taken all. */
static bool lguard_is_limited(void) {
  return lguard.limit && lguard.running && !lguard.trusted;
}

bool lguard_trust(bool trusted) {
  bool before = lguard.trusted;
  lguard.trusted = trusted;
  return before;
}

static void *lguard_alloc(void *unused, void *old, size_t old_size, size_t size) {
  (void)unused;
  size_t before = old ? old_size : 0; /* without a block, old_size is a type tag */
  if (size == 0) {
    free(old);
    lguard.used -= before;
    return NULL;
  }
  if (size > before && lguard_is_limited() && lguard.used - before + size > lguard.limit) return NULL;
  bool numbered = !old && lorder_counts(old_size);
  void *p = realloc(old, numbered ? size + LORDER_TRAILER : size);
  if (p) lguard.used += size - before;
  if (p && numbered) lorder_stamp(p);
  return p;
}

lua_State *lguard_newstate(void) {
  return lua_newstate(lguard_alloc, NULL);
}

static int64_t lguard_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Pushes the place in the scenario's own code. In a hook, level 0 is what runs. */
static void lguard_where(lua_State *L) {
  lua_Debug at;
  for (int level = 0; lua_getstack(L, level, &at); level++) {
    lua_getinfo(L, "Sl", &at);
    bool ours = strncmp(at.source, "@mqrig/", 7) == 0 || strstr(at.source, "lua/mqrig/");
    if (at.currentline <= 0 || ours) continue;
    lua_pushfstring(L, "%s:%d: ", at.short_src, at.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

/* Stays set until lguard_leave: a loop around a pcall is stopped where the pcall returns. */
static void lguard_raise(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (lguard.trusted) return;
  if (lguard_clock() < lguard.deadline_ns) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  lguard_where(L);
  lua_pushliteral(L, LGUARD_STOPPED);
  lua_concat(L, 2);
  lua_error(L);
}

/* In a signal handler: lua_sethook is made for that. */
static void lguard_tick(int signal) {
  (void)signal;
  lua_State *L = lguard.running;
  if (L && lguard_clock() >= lguard.deadline_ns) {
    lua_sethook(L, lguard_raise, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  }
}

static void lguard_start_ticking(void) {
  if (lguard.ticking) return;
  lguard.ticking = 1;
  struct sigaction action = { .sa_handler = lguard_tick, .sa_flags = SA_RESTART };
  sigaction(SIGVTALRM, &action, NULL);
  struct itimerval every = { { 0, LGUARD_TICK_US }, { 0, LGUARD_TICK_US } };
  setitimer(ITIMER_VIRTUAL, &every, NULL);
}

void lguard_forked(void) {
  lguard.ticking = 0;
  lguard.running = NULL;
  lguard.trusted = false;
  lguard.deadline_ns = LGUARD_NEVER;
}

struct lguard_outer {
  lua_State *running;
  int64_t deadline_ns;
  bool trusted;
};

/* The nearer deadline holds: a task inside a turn inside a run. */
static struct lguard_outer lguard_enter(lua_State *L, int64_t deadline_ns) {
  struct lguard_outer outer = { lguard.running, lguard.deadline_ns, lguard.trusted };
  lguard_start_ticking();
  if (deadline_ns < lguard.deadline_ns) lguard.deadline_ns = deadline_ns;
  lguard.running = L;
  lguard.trusted = false;
  return outer;
}

static void lguard_leave(lua_State *L, struct lguard_outer outer) {
  lua_sethook(L, NULL, 0, 0);
  lguard.running = outer.running;
  lguard.deadline_ns = outer.deadline_ns;
  lguard.trusted = outer.trusted;
}

static int lguard_traceback(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* core.guarded(deadline_ns, fn, ...) */
static int lguard_guarded(lua_State *L) {
  int64_t deadline_ns = luaL_optinteger(L, 1, LGUARD_NEVER);
  luaL_checkany(L, 2);
  lua_pushcfunction(L, lguard_traceback);
  lua_replace(L, 1);
  struct lguard_outer outer = lguard_enter(L, deadline_ns);
  int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1);
  lguard_leave(L, outer);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* Time is over for who wants to resume: it would begin one coroutine after the other, and be stopped in each. */
static int lguard_refuse(lua_State *L) {
  lguard_tick(0);
  lua_pushboolean(L, 0);
  lua_pushliteral(L, LGUARD_STOPPED);
  return 2;
}

/* Why a coroutine cannot be resumed, in the words of the standard library, or NULL. */
static const char *lguard_why_not(lua_State *L, lua_State *co, int arguments) {
  lua_Debug at;
  int status = lua_status(co);
  if (co == L || (status == LUA_OK && lua_getstack(co, 0, &at))) return "cannot resume non-suspended coroutine";
  if (status != LUA_OK && status != LUA_YIELD) return "cannot resume dead coroutine";
  if (status == LUA_OK && lua_gettop(co) == 0) return "cannot resume dead coroutine";
  return lua_checkstack(co, arguments) ? NULL : "too many arguments to resume";
}

/* core.guarded_resume(deadline_ns, co, ...): as coroutine.resume */
static int lguard_resume(lua_State *L) {
  int64_t deadline_ns = luaL_optinteger(L, 1, LGUARD_NEVER);
  lua_State *co = lua_tothread(L, 2);
  luaL_argexpected(L, co, 2, "coroutine");
  int arguments = lua_gettop(L) - 2, results = 0;
  const char *why = lguard_why_not(L, co, arguments);
  if (why) {
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return 2;
  }
  if (lguard.running && lguard_clock() >= lguard.deadline_ns) return lguard_refuse(L);
  lua_xmove(L, co, arguments);
  struct lguard_outer outer = lguard_enter(co, deadline_ns);
  int status = lua_resume(co, L, arguments, &results);
  lguard_leave(co, outer);
  bool good = status == LUA_OK || status == LUA_YIELD;
  luaL_checkstack(L, results + 2, "results");
  lua_pushboolean(L, good);
  lua_xmove(co, L, good ? results : 1);
  return 1 + (good ? results : 1);
}

static int lguard_memory_limit(lua_State *L) {
  lua_Integer limit = luaL_checkinteger(L, 1);
  luaL_argcheck(L, limit >= 0, 1, "bytes, 0 for no limit");
  lguard.limit = limit ? lguard.used + (size_t)limit : 0;
  return 0;
}

static int lguard_memory_used(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lguard.used);
  return 1;
}

void lguard_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "guarded", lguard_guarded },
    { "guarded_resume", lguard_resume },
    { "memory_limit", lguard_memory_limit },
    { "memory_used", lguard_memory_used },
    { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
}
