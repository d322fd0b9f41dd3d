/* The program: a Lua state, the library in it, and the command line, which is written in Lua. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lcore.h"
#include "bind/lguard.h"

enum { MAIN_ENVIRONMENT = 5, MAIN_INTERNAL = 70 };

static int main_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* MQRIG_GC=aggressive: a collector that never rests, so that what is not anchored shows at once. */
static void main_set_collector(lua_State *L) {
  const char *wish = getenv("MQRIG_GC");
  if (wish && strcmp(wish, "aggressive") == 0) lua_gc(L, LUA_GCINC, 1, 1000, 1);
}

/* require("mqrig.cli").main(argv) */
static int main_run(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  main_set_collector(L);
  lcore_install(L, embed_modules);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mqrig.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* A standard stream that was closed would become the next file that is opened, and a report be written into that: what
 * is missing is opened, the wrong way round, so that using it is an error still. */
static void main_open_standard(void) {
  static const int modes[] = { O_WRONLY, O_RDONLY, O_RDONLY };
  for (int fd = 0; fd < 3; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) exit(MAIN_ENVIRONMENT);
  }
}

/* Writing to a reader that has gone is an error as others, which loses no other report. And output that is no terminal
 * is collected, so that what goes wrong with it shows where it is written out: at a report's end, or ours. */
static void main_prepare_output(void) {
  static char collected[1 << 16];
  signal(SIGPIPE, SIG_IGN);
  if (!isatty(1)) setvbuf(stdout, collected, _IOFBF, sizeof collected);
}

/* What was printed has arrived. A status that names the environment was given with a sentence already. */
static int main_flush(int status) {
  errno = 0;
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  if (status == MAIN_ENVIRONMENT) return status;
  if (errno == EPIPE) return status ? status : 128 + SIGPIPE; /* as a shell says it of who was ended by it */
  fprintf(stderr, "mqrig: standard output cannot be written%s%s\n", errno ? ": " : "", errno ? strerror(errno) : "");
  return status ? status : MAIN_ENVIRONMENT;
}

int main(int argc, char **argv) {
  int status = MAIN_INTERNAL;
  main_open_standard();
  main_prepare_output();
  lua_State *L = lguard_newstate();
  if (!L) {
    fputs("mqrig: out of memory\n", stderr);
    return MAIN_INTERNAL;
  }
  lua_pushcfunction(L, main_traceback);
  lua_pushcfunction(L, main_run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  if (lua_pcall(L, 2, 1, 1) == LUA_OK) status = (int)lua_tointeger(L, -1);
  else fprintf(stderr, "mqrig: internal error: %s\n", lua_tostring(L, -1));
  lua_close(L);
  return main_flush(status);
}
