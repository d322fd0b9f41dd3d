#include "bind/lws.h"

#include <lauxlib.h>

#include "bind/lworld.h"

static const char *lws_text(lua_State *L, int table, const char *name, int anchor) {
  const char *text = NULL;
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL) {
    size_t size;
    if (type != LUA_TSTRING) luaL_error(L, "ws: %s is a text, not a %s", name, lua_typename(L, type));
    text = lua_tolstring(L, -1, &size);
    if (strlen(text) != size) luaL_error(L, "ws: %s has a zero byte", name);
  }
  lua_setfield(L, anchor, name);
  return text;
}

static lua_Integer lws_number(lua_State *L, int table, const char *name) {
  int is_integer = 1;
  lua_Integer n = 0;
  if (lua_getfield(L, table, name) != LUA_TNIL) n = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || n < 0) luaL_error(L, "ws: %s is a whole number, not %s", name, lworld_said(L, -1));
  lua_pop(L, 1);
  return n;
}

/* What a line of HTTP has to be, so that it stays one. [RFC 9110, 5.1, 5.5] */
static void lws_check_header(lua_State *L, struct slice name, struct slice value) {
  bool good = name.size > 0;
  for (size_t i = 0; i < name.size; i++) good &= name.data[i] > ' ' && name.data[i] < 0x7f && name.data[i] != ':';
  if (!good) luaL_error(L, "ws: headers: %s is no name of a header", lworld_said(L, -2));
  for (size_t i = 0; i < value.size; i++) good &= value.data[i] >= ' ' && value.data[i] != 0x7f;
  if (!good) luaL_error(L, "ws: headers: the value of %s has a control character", lworld_said(L, -2));
}

/* { ["X-Name"] = "value" } in the order of their names, so that the same table is always the same bytes. */
static const char *lws_headers(lua_State *L, int table, int anchor) {
  int type = lua_getfield(L, table, "headers"), headers = lua_gettop(L), count = 0;
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  if (type != LUA_TTABLE) luaL_error(L, "ws: headers is a table { Name = \"value\" }, not a %s", lua_typename(L, type));
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, headers); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
      luaL_error(L, "ws: headers is a table { Name = \"value\" }");
    }
    lws_check_header(L, lworld_slice(L, -2), lworld_slice(L, -1));
    lua_pushfstring(L, "%s: %s\r\n", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_rawseti(L, headers + 1, ++count);
  }
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_pushvalue(L, headers + 1);
  lua_call(L, 1, 0);
  lua_getfield(L, -1, "concat");
  lua_pushvalue(L, headers + 1);
  lua_call(L, 1, 1);
  const char *text = lua_tostring(L, -1);
  lua_setfield(L, anchor, "headers");
  lua_settop(L, headers - 1);
  return text;
}

bool lws_options(lua_State *L, int table, bool listens, struct ws_options *to) {
  static const char *const client[] = { "headers", "protocol", "frame_max", NULL };
  static const char *const server[] = { "headers", "protocol", "frame_max", "status", "accept", NULL };
  int type = lua_getfield(L, table, "ws"), given = lua_gettop(L);
  struct err err;
  *to = (struct ws_options){ 0 };
  if (type == LUA_TNIL) return false;
  if (type != LUA_TTABLE) luaL_error(L, "ws is a table of options, not a %s", lua_typename(L, type));
  lworld_check_keys(L, given, "ws", listens ? server : client);
  lua_newtable(L);
  int anchor = lua_gettop(L);
  to->open.headers = lws_headers(L, given, anchor);
  to->open.protocol = lws_text(L, given, "protocol", anchor);
  to->open.accept = listens ? lws_text(L, given, "accept", anchor) : NULL;
  to->open.status = listens ? (int)lws_number(L, given, "status") : 0;
  to->frame_in_max = (uint64_t)lws_number(L, given, "frame_max");
  if (!wsopen_check(&to->open, &err)) luaL_error(L, "ws: %s", err.text);
  lua_replace(L, given);
  return true;
}

/* Frames. */

static uint8_t lws_opcode(lua_State *L, int table) {
  static const char *const names[] = { "continuation", "text", "binary", "close", "ping", "pong", NULL };
  static const uint8_t codes[] = { WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE, WS_PING, WS_PONG };
  int is_integer, type = lua_getfield(L, table, "opcode");
  lua_Integer n = lua_tointegerx(L, -1, &is_integer);
  if (type == LUA_TNIL) n = WS_BINARY;
  else if (type == LUA_TSTRING) n = codes[luaL_checkoption(L, -1, NULL, names)];
  else if (!is_integer || n < 0 || n > 15) luaL_error(L, "frame: opcode is a name or a number from 0 to 15");
  lua_pop(L, 1);
  return (uint8_t)n;
}

static bool lws_boolean(lua_State *L, int table, const char *name, bool otherwise) {
  bool value = lua_getfield(L, table, name) == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* Borrowed from the table; empty if it is not there. */
static struct slice lws_bytes(lua_State *L, int table, const char *name) {
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    luaL_error(L, "frame: %s is a string, not a %s", name, lua_typename(L, type));
  struct slice bytes = type == LUA_TNIL ? slice_of("", 0) : lworld_slice(L, -1);
  lua_pop(L, 1);
  return bytes;
}

static void lws_describe(lua_State *L, int table, struct ws_frame *f, uint8_t close[WS_CONTROL_MAX]) {
  lua_Integer code = lws_number(L, table, "code"), rsv = lws_number(L, table, "rsv");
  struct slice reason = lws_bytes(L, table, "reason");
  f->opcode = lws_opcode(L, table);
  f->fin = lws_boolean(L, table, "fin", true);
  f->payload = lws_bytes(L, table, "payload");
  if (rsv > 7) luaL_error(L, "frame: rsv is a number from 0 to 7");
  f->rsv = (uint8_t)rsv;
  if (!code) return;
  if (f->opcode != WS_CLOSE || f->payload.size) luaL_error(L, "frame: code is of a close without a payload");
  if (code > 65535) luaL_error(L, "frame: code is a number up to 65535");
  if (reason.size > WS_CONTROL_MAX - 2) luaL_error(L, "frame: reason has at most %d bytes", WS_CONTROL_MAX - 2);
  close[0] = (uint8_t)(code >> 8);
  close[1] = (uint8_t)code;
  memcpy(close + 2, reason.data, reason.size);
  f->payload = slice_of(close, 2 + reason.size);
}

void lws_frame(lua_State *L, struct chain *c, int table) {
  static const char *const names[] = { "opcode", "payload", "fin", "rsv", "mask", "code", "reason", "bytes", NULL };
  struct filter *ws = c ? ws_of(c) : NULL;
  struct ws_frame frame = { 0 };
  uint8_t close[WS_CONTROL_MAX];
  struct err err;
  luaL_checktype(L, table, LUA_TTABLE);
  lworld_check_keys(L, table, "frame", names);
  if (!c || !chain_stream(c)) luaL_error(L, "frame: there is no connection");
  if (!ws) luaL_error(L, "frame: this connection is no WebSocket: its URL is not ws:// or wss://");
  struct slice bytes = lws_bytes(L, table, "bytes");
  lws_describe(L, table, &frame, close);
  bool usual = ws_masks(ws);
  frame.unusual_mask = lws_boolean(L, table, "mask", usual) != usual;
  bool sent = bytes.size ? ws_send_bytes(ws, bytes, &err) : ws_send(ws, &frame, &err);
  if (!sent) luaL_error(L, "frame: %s", err.text);
}
