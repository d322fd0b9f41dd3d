#include "bind/lprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "bind/lchannel.h"
#include "bind/lguard.h"
#include "bind/lworld.h"
#include "host/process.h"

#define LPROCESS          "mqrig.core.process"
#define LPROCESS_ARGS_MAX 1024

/* User value: a table with the handlers. */
struct lprocess {
  struct lworld_item item;
  struct lworld *world;
  struct process *process;  /* NULL once closed */
  struct lchannel *channel; /* of a worker; its userdata is in the user value */
};

static const struct {
  const char *name;
  int number;
} lprocess_signals[] = {
  { "KILL", SIGKILL }, { "TERM", SIGTERM }, { "STOP", SIGSTOP }, { "CONT", SIGCONT }, { "HUP", SIGHUP },
  { "INT", SIGINT },   { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "ABRT", SIGABRT }, { "SEGV", SIGSEGV },
  { "PIPE", SIGPIPE }, { "BUS", SIGBUS },   { "FPE", SIGFPE },   { "ILL", SIGILL },   { "ALRM", SIGALRM },
};
#define LPROCESS_SIGNALS (sizeof lprocess_signals / sizeof *lprocess_signals)

static void lprocess_push_signal(lua_State *L, int number) {
  for (size_t i = 0; i < LPROCESS_SIGNALS; i++) {
    if (lprocess_signals[i].number != number) continue;
    lua_pushstring(L, lprocess_signals[i].name);
    return;
  }
  lua_pushfstring(L, "%d", number);
}

static bool lprocess_push_handler(struct lprocess *p, const char *name) {
  lua_State *L = p->world->L;
  if (!lworld_push_anchored(L, p)) return false;
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  int type = lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (type != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

static void lprocess_output(void *arg, enum process_output which, struct slice text) {
  struct lprocess *p = arg;
  if (!lprocess_push_handler(p, "output")) return;
  lua_pushstring(p->world->L, which == PROCESS_STDOUT ? "stdout" : "stderr");
  lua_pushlstring(p->world->L, (const char *)text.data, text.size);
  lworld_call(p->world, 2, 0);
}

static void lprocess_exited(void *arg, int status, int number) {
  struct lprocess *p = arg;
  lua_State *L = p->world->L;
  if (p->channel) lchannel_drain(p->channel); /* what the worker said before it ended comes first */
  if (!lprocess_push_handler(p, "exited")) return;
  lua_pushinteger(L, status);
  if (number) lprocess_push_signal(L, number);
  else lua_pushnil(L);
  lworld_call(p->world, 2, 0);
}

static const struct process_handler lprocess_handler = { lprocess_output, lprocess_exited };

static void lprocess_end(struct lworld_item *item) {
  struct lprocess *p = (struct lprocess *)item;
  if (!item->link) return;
  lworld_release(item);
  process_free(p->process);
  p->process = NULL;
}

static int lprocess_close(lua_State *L) {
  struct lprocess *p = luaL_checkudata(L, 1, LPROCESS);
  if (lworld_peek(L)) lprocess_end(&p->item);
  return 0;
}

/* Pushes a new userdata whose handlers are the table at `handlers`. */
static struct lprocess *lprocess_push(lua_State *L, int handlers) {
  struct lworld *w = lworld_enter(L);
  struct lprocess *p = lua_newuserdatauv(L, sizeof *p, 1);
  *p = (struct lprocess){ .world = w };
  lua_pushvalue(L, handlers);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, LPROCESS);
  lworld_anchor(L, -1);
  return p;
}

/* Environment as "K=V" strings, which stay on the stack; NULL if there is none. */
static const char **lprocess_environment(lua_State *L, int options) {
  if (lua_getfield(L, options, "env") == LUA_TNIL) return NULL;
  luaL_checktype(L, -1, LUA_TTABLE);
  int table = lua_absindex(L, -1);
  const char **list = lua_newuserdatauv(L, (LPROCESS_ARGS_MAX + 1) * sizeof *list, 0);
  size_t count = 0;
  lua_newtable(L); /* holds the strings */
  int strings = lua_absindex(L, -1);
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || count == LPROCESS_ARGS_MAX)
      luaL_error(L, "env is a table of names and values");
    const char *value = luaL_tolstring(L, -1, NULL);
    list[count] = lua_pushfstring(L, "%s=%s", lua_tostring(L, -3), value);
    lua_rawseti(L, strings, (lua_Integer)++count);
    lua_pop(L, 1);
  }
  list[count] = NULL;
  return list;
}

/* core.spawn(argv, options) */
static int lprocess_spawn(lua_State *L) {
  struct err err;
  const char *argv[LPROCESS_ARGS_MAX + 1];
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_newtable(L);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  size_t count = lua_rawlen(L, 1);
  luaL_argcheck(L, count >= 1 && count <= LPROCESS_ARGS_MAX, 1, "a program and its arguments");
  lua_newtable(L); /* holds the strings */
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    argv[i] = luaL_tolstring(L, -1, NULL);
    lua_rawseti(L, 3, (lua_Integer)i + 1);
    lua_pop(L, 1);
  }
  argv[count] = NULL;
  const char **environment = lprocess_environment(L, 2);
  struct lprocess *p = lprocess_push(L, 2);
  p->process = process_spawn(p->world->real, argv, environment, &lprocess_handler, p, &err);
  if (!p->process) return luaL_error(L, "%s", err.text);
  lworld_keep(p->world, &p->item, lprocess_end);
  return 1;
}

/* Signals of this process: a handler writes the number into a pipe that the world watches. */

static struct {
  int pipe[2];
  struct lworld *world;
  struct evnet_watch *watch;
  int function;
} lprocess_own = { { -1, -1 }, NULL, NULL, LUA_NOREF };

/* Workers */

struct lprocess_body {
  lua_State *L;
};

static int lprocess_child(void *arg, int fd) {
  struct lprocess_body *body = arg;
  lua_State *L = body->L;
  lworld_abandon(L);
  lguard_forked();
  lprocess_own.watch = NULL;
  lua_pushvalue(L, 1);
  lchannel_push(L, fd);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    fprintf(stderr, "mqrig: worker: %s\n", luaL_tolstring(L, -1, NULL));
    return 70;
  }
  return (int)lua_tointeger(L, -1);
}

/* core.fork(body, handlers) */
static int lprocess_fork(lua_State *L) {
  struct err err;
  int fd;
  lworld_check_callable(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  struct lprocess *p = lprocess_push(L, 2);
  struct lprocess_body body = { L };
  p->process = process_fork(p->world->real, lprocess_child, &body, &fd, &lprocess_handler, p, &err);
  if (!p->process) return luaL_error(L, "%s", err.text);
  lworld_keep(p->world, &p->item, lprocess_end);
  p->channel = lchannel_push(L, fd);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, "channel");
  lua_getfield(L, 2, "message");
  lchannel_on(L, -2);
  lua_settop(L, 3);
  return 1;
}

/* Methods */

static struct lprocess *lprocess_check(lua_State *L) {
  lworld_enter(L);
  return luaL_checkudata(L, 1, LPROCESS);
}

static int lprocess_pid(lua_State *L) {
  struct lprocess *p = lprocess_check(L);
  if (p->process) lua_pushinteger(L, process_pid(p->process));
  else lua_pushnil(L);
  return 1;
}

static int lprocess_signal(lua_State *L) {
  struct lprocess *p = lprocess_check(L);
  const char *name = luaL_checkstring(L, 2);
  for (size_t i = 0; i < LPROCESS_SIGNALS; i++) {
    if (strcmp(name, lprocess_signals[i].name) != 0) continue;
    lua_pushboolean(L, p->process && process_signal(p->process, lprocess_signals[i].number));
    return 1;
  }
  return luaL_argerror(L, 2, "a signal name such as \"KILL\"");
}

static int lprocess_take_output(lua_State *L) {
  struct lprocess *p = lprocess_check(L);
  bool trusted = lguard_trust(true);
  if (p->process) process_take_output(p->process);
  lguard_trust(trusted);
  return 0;
}

static int lprocess_is_running(lua_State *L) {
  struct lprocess *p = lprocess_check(L);
  lua_pushboolean(L, p->process && process_running(p->process));
  return 1;
}

static int lprocess_send(lua_State *L) {
  struct lprocess *p = lprocess_check(L);
  lua_pushboolean(L, p->channel && lchannel_send(p->channel, lworld_slice(L, 2)));
  return 1;
}

static void lprocess_caught(int number) {
  int saved = errno;
  unsigned char byte = (unsigned char)number;
  if (write(lprocess_own.pipe[1], &byte, 1) < 0) errno = saved; /* full: there are enough of them in it */
  errno = saved;
}

static void lprocess_signalled(void *arg, int fd) {
  unsigned char byte;
  (void)arg;
  if (read(fd, &byte, 1) != 1) return;
  lua_State *L = lprocess_own.world->L;
  luaL_checkstack(L, 4, "signal");
  lua_rawgeti(L, LUA_REGISTRYINDEX, lprocess_own.function);
  lprocess_push_signal(L, byte);
  lworld_call(lprocess_own.world, 1, 0);
}

static void lprocess_catch(void (*handler)(int)) {
  struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
}

static void lprocess_ignore_signals(lua_State *L) {
  if (!lprocess_own.watch) return;
  lprocess_catch(SIG_DFL);
  evnet_unwatch(lprocess_own.watch);
  lguard_forked();
  lprocess_own.watch = NULL;
  close(lprocess_own.pipe[0]);
  close(lprocess_own.pipe[1]);
  luaL_unref(L, LUA_REGISTRYINDEX, lprocess_own.function);
}

/* core.on_signal(fn) */
static int lprocess_on_signal(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  lprocess_ignore_signals(L);
  if (lua_isnoneornil(L, 1)) return 0;
  lworld_check_callable(L, 1);
  lua_settop(L, 1);
  if (pipe2(lprocess_own.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
    return luaL_error(L, "no pipe for signals: %s", strerror(errno));
  lprocess_own.function = luaL_ref(L, LUA_REGISTRYINDEX);
  lprocess_own.world = w;
  lprocess_own.watch = evnet_watch(w->real, lprocess_own.pipe[0], lprocess_signalled, NULL);
  lprocess_catch(lprocess_caught);
  return 0;
}

static int lprocess_end_orphans(lua_State *L) {
  (void)L;
  process_end_orphans();
  return 0;
}

void lprocess_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "pid", lprocess_pid },
    { "signal", lprocess_signal },
    { "is_running", lprocess_is_running },
    { "close", lprocess_close },
    { "send", lprocess_send },
    { "take_output", lprocess_take_output },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = {
    { "spawn", lprocess_spawn },
    { "fork", lprocess_fork },
    { "on_signal", lprocess_on_signal },
    { "end_orphans", lprocess_end_orphans },
    { NULL, NULL },
  };
  lworld_class(L, LPROCESS, methods, NULL, lprocess_close);
  luaL_setfuncs(L, functions, 0);
}
