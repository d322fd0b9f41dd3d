#include "bind/lchannel.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "bind/lworld.h"
#include "net/evnet.h"

#define LCHANNEL      "mqrig.core.channel"
#define LCHANNEL_READ 65536

/* User value 1: what gets the messages. */
struct lchannel {
  struct lworld_item item;
  struct lworld *world;
  int fd; /* -1: closed, or ended */
  struct evnet_watch *watch;
  struct buffer in;
  size_t counted; /* of its memory, in lchannel_total */
};

static size_t lchannel_total;

size_t lchannel_held(void) {
  return lchannel_total;
}

static void lchannel_count(struct lchannel *c) {
  lchannel_total += c->in.capacity - c->counted;
  c->counted = c->in.capacity;
}

static void lchannel_close_fd(struct lchannel *c) {
  if (c->watch && c->item.link) evnet_unwatch(c->watch); /* else its world was given up */
  c->watch = NULL;
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}

static void lchannel_end(struct lworld_item *item) {
  struct lchannel *c = (struct lchannel *)item;
  lchannel_close_fd(c);
  lworld_release(item);
  buffer_fini(&c->in);
  lchannel_count(c);
}

struct lchannel *lchannel_push(lua_State *L, int fd) {
  struct lchannel *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct lchannel){ .world = lworld_peek(L), .fd = fd };
  buffer_init(&c->in, LCHANNEL_MESSAGE_MAX + sizeof(uint32_t));
  luaL_setmetatable(L, LCHANNEL);
  lworld_anchor(L, -1);
  return c;
}

static bool lchannel_write(int fd, struct slice bytes) {
  while (bytes.size) {
    ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
    else if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes = slice_from(bytes, (size_t)n);
  }
  return true;
}

bool lchannel_send(struct lchannel *c, struct slice message) {
  uint32_t size = (uint32_t)message.size;
  if (c->fd < 0 || message.size > LCHANNEL_MESSAGE_MAX) return false;
  return lchannel_write(c->fd, slice_of(&size, sizeof size)) && lchannel_write(c->fd, message);
}

/* Reads once. False at the end, and when there is nothing (`*ended` tells which). */
static bool lchannel_read(struct lchannel *c, int flags, bool *ended) {
  ssize_t n;
  uint8_t *to = buffer_reserve(&c->in, LCHANNEL_READ);
  do n = to ? recv(c->fd, to, LCHANNEL_READ, flags) : 0;
  while (n < 0 && errno == EINTR);
  *ended = n == 0 || (n < 0 && errno != EAGAIN);
  if (n > 0) buffer_commit(&c->in, (size_t)n);
  else buffer_consume(&c->in, 0); /* empty, it keeps no memory */
  lchannel_count(c);
  return n > 0;
}

/* Pushes the oldest whole message, if there is one. */
static bool lchannel_pop(lua_State *L, struct lchannel *c) {
  uint32_t size;
  struct slice in = buffer_slice(&c->in);
  if (in.size < sizeof size) return false;
  memcpy(&size, in.data, sizeof size);
  if (in.size - sizeof size < size) return false;
  lua_pushlstring(L, (const char *)in.data + sizeof size, size);
  buffer_consume(&c->in, sizeof size + size);
  lchannel_count(c);
  return true;
}

/* Gives the message on the top of the stack (popped) to the function. */
static void lchannel_give(struct lchannel *c) {
  lua_State *L = c->world->L;
  if (lworld_push_anchored(L, c)) {
    int type = lua_getiuservalue(L, -1, 1);
    lua_remove(L, -2);
    lua_insert(L, -2);
    if (type != LUA_TNIL) {
      lworld_call(c->world, 1, 0);
      return;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void lchannel_drain(struct lchannel *c) {
  bool ended = false;
  while (c->fd >= 0 && lchannel_read(c, MSG_DONTWAIT, &ended)) {
    while (lchannel_pop(c->world->L, c)) lchannel_give(c);
  }
  if (c->fd < 0 || !ended) return;
  lchannel_close_fd(c);
  lua_pushnil(c->world->L);
  lchannel_give(c);
}

static void lchannel_ready(void *arg, int fd) {
  (void)fd;
  lchannel_drain(arg);
}

void lchannel_on(lua_State *L, int index) {
  struct lchannel *c = luaL_checkudata(L, index, LCHANNEL);
  lua_pushvalue(L, index);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_pop(L, 1);
  if (c->watch || c->fd < 0) return;
  struct lworld *w = lworld_enter(L);
  c->watch = evnet_watch(w->real, c->fd, lchannel_ready, c);
  lworld_keep(w, &c->item, lchannel_end);
}

static struct lchannel *lchannel_check(lua_State *L) {
  lworld_peek(L);
  return luaL_checkudata(L, 1, LCHANNEL);
}

static int lchannel_send_method(lua_State *L) {
  lua_pushboolean(L, lchannel_send(lchannel_check(L), lworld_slice(L, 2)));
  return 1;
}

static int lchannel_on_method(lua_State *L) {
  lchannel_check(L);
  if (!lua_isnoneornil(L, 2)) lworld_check_callable(L, 2);
  lua_settop(L, 2);
  lchannel_on(L, 1);
  return 0;
}

/* Waits for the next message; nil at the end. */
static int lchannel_receive(lua_State *L) {
  bool ended = false;
  struct lchannel *c = lchannel_check(L);
  while (!lchannel_pop(L, c)) {
    if (c->fd >= 0 && lchannel_read(c, 0, &ended)) continue;
    lua_pushnil(L);
    break;
  }
  return 1;
}

static int lchannel_close(lua_State *L) {
  lchannel_end(&lchannel_check(L)->item);
  return 0;
}

void lchannel_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "send", lchannel_send_method },
    { "on", lchannel_on_method },
    { "receive", lchannel_receive },
    { "close", lchannel_close },
    { NULL, NULL },
  };
  lworld_class(L, LCHANNEL, methods, NULL, lchannel_close);
}
