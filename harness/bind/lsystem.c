#include "bind/lsystem.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bind/lworld.h"
#include "net/evnet.h"

#define LSYSTEM_TREE_DESCRIPTORS 16

static int lsystem_fail(lua_State *L, const char *what) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", what, strerror(errno));
  return 2;
}

static int lsystem_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int lsystem_not_dots(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int lsystem_by_bytes(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name); /* not by locale: the order is the same everywhere */
}

static bool lsystem_is_directory(const char *folder, const char *name) {
  char path[PATH_MAX];
  struct stat s;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static int lsystem_directory(lua_State *L) {
  struct dirent **entries;
  const char *path = luaL_checkstring(L, 1);
  int count = scandir(path, &entries, lsystem_not_dots, lsystem_by_bytes);
  if (count < 0) return lsystem_fail(L, path);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, entries[i]->d_name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, lsystem_is_directory(path, entries[i]->d_name));
    lua_setfield(L, -2, "is_directory");
    lua_rawseti(L, -2, i + 1);
    free(entries[i]);
  }
  free(entries);
  return 1;
}

static int lsystem_make_directory(lua_State *L) {
  char path[PATH_MAX];
  struct stat s;
  snprintf(path, sizeof path, "%s", luaL_checkstring(L, 1));
  for (char *slash = path; slash;) {
    slash = strchr(slash + 1, '/');
    if (slash) *slash = 0;
    if (mkdir(path, 0777) < 0 && errno != EEXIST) return lsystem_fail(L, path);
    if (slash) *slash = '/';
  }
  if (stat(path, &s) < 0) return lsystem_fail(L, path);
  errno = ENOTDIR;
  if (!S_ISDIR(s.st_mode)) return lsystem_fail(L, path);
  lua_pushboolean(L, 1);
  return 1;
}

static int lsystem_temporary_directory(lua_State *L) {
  char path[PATH_MAX];
  const char *root = getenv("TMPDIR");
  /* With the process's number in the name it can be told when nobody needs it any more. */
  snprintf(path, sizeof path, "%s/mqrig-%ld-XXXXXX", root && *root ? root : "/tmp", (long)getpid());
  if (!mkdtemp(path)) return luaL_error(L, "no temporary folder %s: %s", path, strerror(errno));
  lua_pushstring(L, path);
  return 1;
}

static int lsystem_remove_one(const char *path, const struct stat *s, int type, struct FTW *walk) {
  (void)s;
  (void)type;
  (void)walk;
  return remove(path);
}

/* Only what temporary_directory made: the name tells. */
static int lsystem_remove_tree(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  const char *name = strrchr(path, '/');
  luaL_argcheck(L, name && strncmp(name, "/mqrig-", 7) == 0, 1, "a folder that core.temporary_directory made");
  nftw(path, lsystem_remove_one, LSYSTEM_TREE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
  return 0;
}

static int lsystem_realpath(lua_State *L) {
  char path[PATH_MAX];
  if (!realpath(luaL_checkstring(L, 1), path)) return lsystem_fail(L, lua_tostring(L, 1));
  lua_pushstring(L, path);
  return 1;
}

static int lsystem_executable(lua_State *L) {
  char path[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  if (n < 0) return lsystem_fail(L, "/proc/self/exe");
  lua_pushlstring(L, path, (size_t)n);
  return 1;
}

static int lsystem_cores(lua_State *L) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  lua_pushinteger(L, n > 0 ? n : 1);
  return 1;
}

static int lsystem_wall_clock(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
  return 1;
}

static int lsystem_free_port(lua_State *L) {
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &size) == 0;
  int saved = errno;
  if (fd >= 0) close(fd);
  if (!good) return luaL_error(L, "no free port on 127.0.0.1: %s", strerror(saved));
  lua_pushinteger(L, ntohs(address.sin_port));
  return 1;
}

static int lsystem_url_check(lua_State *L) {
  struct err err;
  struct url u;
  if (!url_parse(luaL_checkstring(L, 1), &u, &err)) {
    lua_pushnil(L);
    lua_pushstring(L, err.text);
    return 2;
  }
  lua_createtable(L, 0, 4);
  lua_pushstring(L, url_scheme_name(u.scheme));
  lua_setfield(L, -2, "scheme");
  lua_pushstring(L, u.host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, u.port);
  lua_setfield(L, -2, "port");
  lua_pushstring(L, u.path);
  lua_setfield(L, -2, "path");
  return 1;
}

static int lsystem_descriptors_left(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)evnet_descriptors_left());
  return 1;
}

void lsystem_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "is_terminal", lsystem_is_terminal },
    { "directory", lsystem_directory },
    { "make_directory", lsystem_make_directory },
    { "temporary_directory", lsystem_temporary_directory },
    { "remove_tree", lsystem_remove_tree },
    { "realpath", lsystem_realpath },
    { "executable", lsystem_executable },
    { "cores", lsystem_cores },
    { "wall_clock", lsystem_wall_clock },
    { "free_port", lsystem_free_port },
    { "url_check", lsystem_url_check },
    { "descriptors_left", lsystem_descriptors_left },
    { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
}
