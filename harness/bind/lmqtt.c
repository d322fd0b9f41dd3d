#include "bind/lmqtt.h"

#include <stdlib.h>

#include "base/mem.h"
#include "bind/lclient.h"
#include "bind/lorder.h"
#include "bind/ltls.h"
#include "bind/lws.h"
#include "mqtt/outcome.h"
#include "mqtt/topic.h"
#include "base/utf8.h"
#include "net/tls.h"

#define LMQTT_MESSAGE           "mqrig.mqttmessage"
#define LMQTT_CLIENT_ID_MAX     255
#define LMQTT_IMP_KEEPALIVE_MIN 30
#define LMQTT_KEEPALIVE_DEFAULT 60
#define LMQTT_TIMEOUT_DEFAULT_S 10.0
#define LMQTT_TIMEOUT_MAX_S     86400.0
#define LMQTT_BUFFERED_MAX      100000000
#define LMQTT_RATE_MAX          1000000000

/* A message: user values are its client, its topic and its payload. */
struct lmqtt_message {
  uint8_t qos;
  bool retain;
};

/* Fields of option tables. Each leaves the stack as it was. */

static lua_Integer lmqtt_integer(lua_State *L, int table, const char *name, lua_Integer absent, lua_Integer least,
                                 lua_Integer most) {
  lua_Integer v = absent;
  if (!lua_istable(L, table)) return absent;
  if (lua_getfield(L, table, name) != LUA_TNIL) {
    int is_integer;
    v = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || v < least || v > most) {
      luaL_error(L, "%s is an integer from %I to %I, not %s", name, least, most, lworld_said(L, -1));
    }
  }
  lua_pop(L, 1);
  return v;
}

static bool lmqtt_boolean(lua_State *L, int table, const char *name, bool absent) {
  bool v = absent;
  if (!lua_istable(L, table)) return absent;
  int type = lua_getfield(L, table, name);
  if (type == LUA_TNUMBER) v = lua_tonumber(L, -1) != 0; /* 0 and 1 as the standard and imp write flags */
  else if (type == LUA_TBOOLEAN) v = lua_toboolean(L, -1);
  else if (type != LUA_TNIL) luaL_error(L, "%s is true or false, not a %s", name, luaL_typename(L, -1));
  lua_pop(L, 1);
  return v;
}

/* The slice is borrowed from the table. */
static bool lmqtt_text(lua_State *L, int table, const char *name, struct slice *out) {
  if (!lua_istable(L, table)) return false;
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING) luaL_error(L, "%s is a string, not a %s", name, luaL_typename(L, -1));
  if (type == LUA_TSTRING) *out = lworld_slice(L, -1);
  lua_pop(L, 1);
  return type == LUA_TSTRING;
}

static void lmqtt_check_text(lua_State *L, const char *name, struct slice text) {
  enum utf8_fault fault = utf8_check(text, NULL);
  if (fault != UTF8_GOOD) luaL_error(L, "%s holds %s", name, utf8_fault_text(fault));
  if (text.size > SPEC_STRING_MAX) luaL_error(L, "%s is longer than %d bytes", name, SPEC_STRING_MAX);
}

/* createclient */

/* {rate, burst} */
static void lmqtt_rate(lua_State *L, int table, const char *name, uint32_t *per_s, uint32_t *burst) {
  if (lua_getfield(L, table, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (!lua_istable(L, -1)) luaL_error(L, "%s is {rate, burst}, not a %s", name, luaL_typename(L, -1));
  for (int i = 1; i <= 2; i++) {
    lua_rawgeti(L, -1, i);
    lua_Integer v = lua_isnil(L, -1) && i == 2 ? *per_s : lua_tointeger(L, -1);
    if (v < 1 || v > LMQTT_RATE_MAX) luaL_error(L, "%s is {rate, burst}: two integers of at least 1", name);
    *(i == 1 ? per_s : burst) = (uint32_t)v;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void lmqtt_options(lua_State *L, int table, struct lclient *c, struct session_options *o) {
  static const char *const names[] = {
    "maxinflight", "maxbuffered", "maxmessage", "outrate", "inrate", "profile", NULL,
  };
  *o = (struct session_options){ .inflight_max = SESSION_INFLIGHT_DEFAULT,
                                 .buffered_max = SESSION_BUFFERED_DEFAULT,
                                 .message_max = SESSION_MESSAGE_DEFAULT };
  if (lua_isnoneornil(L, table)) return;
  luaL_checktype(L, table, LUA_TTABLE);
  lworld_check_keys(L, table, "createclient", names);
  o->inflight_max = (uint32_t)lmqtt_integer(L, table, "maxinflight", o->inflight_max, 1, SPEC_PACKET_ID_MAX);
  o->buffered_max = (uint32_t)lmqtt_integer(L, table, "maxbuffered", o->buffered_max, 1, LMQTT_BUFFERED_MAX);
  o->message_max = (uint32_t)lmqtt_integer(L, table, "maxmessage", o->message_max, 1, SPEC_REMAINING_LENGTH_MAX);
  lmqtt_rate(L, table, "outrate", &o->out_per_s, &o->out_burst);
  lmqtt_rate(L, table, "inrate", &o->in_per_s, &o->in_burst);
  struct slice profile;
  if (!lmqtt_text(L, table, "profile", &profile)) return;
  c->imp = slice_equal(profile, slice_text("imp"));
  if (!c->imp) luaL_error(L, "profile is \"imp\" or absent, not \"%s\"", (const char *)profile.data);
}

static void lmqtt_end(struct lworld_item *item) {
  struct lclient *c = (struct lclient *)item;
  if (!item->link) return;
  lworld_release(item);
  client_free(c->client);
  free(c->client_id);
  c->client_id = NULL;
  c->client = NULL;
  lclient_set_running(c, false);
  lscope_detach(c->link);
  c->link = NULL;
}

static int lmqtt_createclient(lua_State *L) {
  struct session_options options;
  struct lworld *w = lworld_enter(L);
  lua_settop(L, 1);
  struct lclient *c = lua_newuserdatauv(L, sizeof *c, LCLIENT_SLOTS);
  *c = (struct lclient){ .world = w };
  lmqtt_options(L, 1, c, &options);
  c->message_max = options.message_max;
  lworld_push_timeline(L);
  lua_setiuservalue(L, 2, LCLIENT_TIMELINE);
  c->client = client_new(w->host, w->timeline, "client", &options, lclient_event, c);
  lworld_keep(w, &c->item, lmqtt_end);
  luaL_setmetatable(L, LCLIENT);
  lworld_anchor(L, 2);
  return 1;
}

static int lmqtt_gc(lua_State *L) {
  struct lclient *c = luaL_checkudata(L, 1, LCLIENT);
  if (!c->client) return 0;
  lworld_peek(L);
  lworld_anchor(L, 1); /* a collected client has left the weak table, but its results are still to be told */
  lmqtt_end(&c->item);
  return 0;
}

static int lmqtt_close(lua_State *L) {
  struct lclient *c = luaL_checkudata(L, 1, LCLIENT);
  if (!c->client) return 0;
  lworld_enter(L);
  lclient_set_running(c, false); /* before: what its callbacks connect counts */
  client_close(c->client);
  return 0;
}

/* connect */

static void lmqtt_check_url(lua_State *L, const struct lclient *c, const char *text, struct url *u) {
  struct err err;
  if (!url_parse(text, u, &err)) luaL_error(L, "%s", err.text);
  if (c->imp && u->scheme != URL_TCP && u->scheme != URL_SSL) {
    luaL_error(L, "profile imp knows the schemes tcp and ssl, not %s", url_scheme_name(u->scheme));
  }
}

static void lmqtt_will(lua_State *L, int table, struct session_connect *o) {
  static const char *const rest[] = { "willmessage", "willqos", "willretain", NULL };
  o->has_will = lmqtt_text(L, table, "willtopic", &o->will.topic);
  for (size_t i = 0; !o->has_will && rest[i]; i++) {
    if (lua_getfield(L, table, rest[i]) != LUA_TNIL) luaL_error(L, "%s is given, but no willtopic", rest[i]);
    lua_pop(L, 1);
  }
  if (!o->has_will) return;
  enum topic_fault fault = topic_check_name(o->will.topic);
  if (fault != TOPIC_GOOD) luaL_error(L, "willtopic: %s", topic_fault_text(fault));
  lmqtt_text(L, table, "willmessage", &o->will.payload);
  if (o->will.payload.size > SPEC_STRING_MAX) luaL_error(L, "willmessage is longer than %d bytes", SPEC_STRING_MAX);
  o->will.qos = (uint8_t)lmqtt_integer(L, table, "willqos", 0, 0, 2);
  o->will.retain = lmqtt_boolean(L, table, "willretain", false);
}

static int64_t lmqtt_timeout(lua_State *L, int table) {
  lua_Number timeout_s = LMQTT_TIMEOUT_DEFAULT_S;
  if (lua_getfield(L, table, "timeout") != LUA_TNIL) {
    int is_number;
    timeout_s = lua_tonumberx(L, -1, &is_number);
    if (!is_number || !(timeout_s > 0) || timeout_s > LMQTT_TIMEOUT_MAX_S) {
      luaL_error(L, "timeout is a number of seconds over 0, not %s", lworld_said(L, -1));
    }
  }
  lua_pop(L, 1);
  return (int64_t)(timeout_s * 1e9);
}

static void lmqtt_keepalive(lua_State *L, int table, const struct lclient *c, struct session_connect *o) {
  lua_Integer least = c->imp ? LMQTT_IMP_KEEPALIVE_MIN : 1, keepalive_s = LMQTT_KEEPALIVE_DEFAULT;
  if (lua_getfield(L, table, "keepalive") != LUA_TNIL) {
    int is_integer;
    keepalive_s = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || (keepalive_s != 0 && (keepalive_s < least || keepalive_s > 65535))) {
      luaL_error(L, "keepalive is 0 or %I to 65535 seconds, not %s", least, lworld_said(L, -1));
    }
  }
  lua_pop(L, 1);
  o->keepalive_s = (uint16_t)keepalive_s;
}

static void lmqtt_version(lua_State *L, int table) {
  struct slice version;
  if (!lmqtt_text(L, table, "version", &version) || slice_equal(version, slice_text("3.1.1"))) return;
  if (slice_equal(version, slice_text("5")))
    luaL_error(L, "version \"5\": MQTT 5.0 is not in this version of mqrig yet");
  luaL_error(L, "version is \"3.1.1\" or \"5\", not \"%s\"", (const char *)version.data);
}

static void lmqtt_connect_options(lua_State *L, int table, const struct lclient *c, struct session_connect *o) {
  static const char *const names[] = {
    "username",     "password", "keepalive", "willtopic", "willmessage", "willqos", "willretain",
    "cleansession", "timeout",  "tls",       "version",   "ws",          NULL,
  };
  if (lua_isnoneornil(L, table)) {
    lua_settop(L, table - 1);
    lua_newtable(L);
  }
  luaL_checktype(L, table, LUA_TTABLE);
  lworld_check_keys(L, table, "connect", names);
  lmqtt_version(L, table);
  lmqtt_keepalive(L, table, c, o);
  lmqtt_will(L, table, o);
  o->has_username = lmqtt_text(L, table, "username", &o->username);
  o->has_password = lmqtt_text(L, table, "password", &o->password);
  if (o->has_username) lmqtt_check_text(L, "username", o->username);
  if (o->has_password && !o->has_username) luaL_error(L, "password is given, but no username [MQTT-3.1.2-22]");
  if (o->password.size > SPEC_STRING_MAX) luaL_error(L, "password is longer than %d bytes", SPEC_STRING_MAX);
  o->clean = lmqtt_boolean(L, table, "cleansession", true);
  o->timeout_ns = lmqtt_timeout(L, table);
}

/* What the options do not say, the URL may. */
static void lmqtt_url_user(lua_State *L, const struct url *u, struct session_connect *o) {
  if (!u->has_user || o->has_username) return;
  o->has_username = true;
  o->username = slice_text(u->user);
  o->has_password = u->has_password;
  o->password = slice_text(u->password);
  lmqtt_check_text(L, "the user name in the URL", o->username);
}

/* TLS where the URL or the options at `table` ask for it. */
static struct tlsconfig *lmqtt_tls(lua_State *L, int table, const char *url, const struct url *u) {
  struct err err;
  struct transport_options o = { .tls = ltls_config(L, table, TLSCONFIG_CLIENT, u->tls) };
  if (!transport_check(u, &o, false, &err)) luaL_error(L, "%s: %s", url, err.text);
  return o.tls;
}

static int lmqtt_connect(lua_State *L) {
  struct err err;
  struct url u;
  struct session_connect o = { .version = SPEC_3_1_1 };
  lworld_enter(L);
  struct lclient *c = lclient_check(L, 1);
  const char *url = lworld_text(L, 2, "the URL");
  o.client_id = lworld_slice(L, 3);
  if (client_state(c->client) != SESSION_IDLE) return luaL_error(L, "the client is not disconnected");
  if (o.client_id.size < 1 || o.client_id.size > LMQTT_CLIENT_ID_MAX) {
    return luaL_error(L, "clientid is 1 to %d bytes, not %I", LMQTT_CLIENT_ID_MAX, (lua_Integer)o.client_id.size);
  }
  lmqtt_check_text(L, "clientid", o.client_id);
  lmqtt_check_url(L, c, url, &u);
  lmqtt_connect_options(L, 4, c, &o);
  lmqtt_url_user(L, &u, &o);
  struct ws_options ws;
  struct transport_options transport = { .ws = lws_options(L, 4, false, &ws) ? &ws : NULL };
  transport.tls = lmqtt_tls(L, 4, url, &u);
  if (c->imp && lclient_other_imp(c)) return luaL_error(L, "profile imp allows one connected client at a time");
  free(c->client_id);
  c->client_id = mem_copy(o.client_id);
  struct tls_orders orders;
  const char *cert;
  if (u.tls && c->link && lscope_tls(c->link, client_who(c->client), &orders, &cert)) transport.orders = &orders;
  if (!client_connect(c->client, &u, &transport, &o, &err)) return luaL_error(L, "%s", err.text);
  lclient_set_running(c, true);
  return 0;
}

/* Handlers */

static int lmqtt_handler(lua_State *L, enum lclient_slot slot) {
  lclient_check(L, 1);
  if (!lua_isnoneornil(L, 2)) lworld_check_callable(L, 2);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, slot);
  return 0;
}

static int lmqtt_onconnect(lua_State *L) {
  return lmqtt_handler(L, LCLIENT_ON_CONNECT);
}

static int lmqtt_onconnectionlost(lua_State *L) {
  return lmqtt_handler(L, LCLIENT_ON_LOST);
}

static int lmqtt_onmessage(lua_State *L) {
  return lmqtt_handler(L, LCLIENT_ON_MESSAGE);
}

/* Messages */

static int lmqtt_createmessage(lua_State *L) {
  static const char *const names[] = { "qos", "retain", NULL };
  struct lclient *c = lclient_check(L, 1);
  lua_settop(L, 4);
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    lworld_check_keys(L, 4, "createmessage", names);
  }
  lua_Integer qos = lmqtt_integer(L, 4, "qos", 0, 0, 2);
  bool retain = lmqtt_boolean(L, 4, "retain", false);
  lclient_check_message(L, c, 2, 3, qos);
  struct lmqtt_message *m = lua_newuserdatauv(L, sizeof *m, 3);
  *m = (struct lmqtt_message){ .qos = (uint8_t)qos, .retain = retain };
  for (int i = 1; i <= 3; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
  luaL_setmetatable(L, LMQTT_MESSAGE);
  if (lworld_is_virtual(c->world)) lorder_number(L, -1);
  return 1;
}

static int lmqtt_sendasync(lua_State *L) {
  struct lmqtt_message *m = luaL_checkudata(L, 1, LMQTT_MESSAGE);
  lworld_enter(L);
  if (!lua_isnoneornil(L, 2)) lworld_check_callable(L, 2);
  lua_settop(L, 2);
  for (int i = 1; i <= 3; i++) lua_getiuservalue(L, 1, i);
  lclient_publish(L, 3, 4, 5, m->qos, m->retain, 2);
  return 0;
}

/* subscribe, unsubscribe: topics are a string, or 1 to 10 of them in an array */

static size_t lmqtt_filters(lua_State *L, int index, struct slice out[SESSION_TOPICS_MAX]) {
  size_t count = 1;
  if (lua_istable(L, index)) {
    count = lua_rawlen(L, index);
    luaL_argcheck(L, count >= 1 && count <= SESSION_TOPICS_MAX, index, "1 to 10 topics");
  }
  for (size_t i = 0; i < count; i++) {
    if (lua_istable(L, index)) lua_rawgeti(L, index, (lua_Integer)i + 1);
    else lua_pushvalue(L, index);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "a topic is a string, not a %s", luaL_typename(L, -1));
    out[i] = lworld_slice(L, -1); /* the argument keeps the string */
    lua_pop(L, 1);
    enum topic_fault fault = topic_check_filter(out[i]);
    if (fault != TOPIC_GOOD) luaL_error(L, "topic %I: %s", (lua_Integer)i + 1, topic_fault_text(fault));
  }
  return count;
}

static uint8_t lmqtt_qos(lua_State *L, int index, size_t i) {
  lua_Integer qos = 0;
  int is_integer = 1;
  if (lua_istable(L, index)) lua_rawgeti(L, index, (lua_Integer)i + 1);
  else lua_pushvalue(L, index);
  if (!lua_isnil(L, -1)) qos = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || qos < 0 || qos > 2) luaL_error(L, "qos is 0, 1 or 2, not %s", lworld_said(L, -1));
  lua_pop(L, 1);
  return (uint8_t)qos;
}

static int lmqtt_subscribe(lua_State *L) {
  struct slice filters[SESSION_TOPICS_MAX];
  struct packet_subscription topics[SESSION_TOPICS_MAX] = { 0 };
  lworld_enter(L);
  struct lclient *c = lclient_check(L, 1);
  lua_settop(L, 4);
  if (!lua_isnil(L, 4)) lworld_check_callable(L, 4);
  size_t count = lmqtt_filters(L, 2, filters);
  for (size_t i = 0; i < count; i++) {
    topics[i].filter = filters[i];
    topics[i].qos = topics[i].options = lmqtt_qos(L, 3, i);
  }
  uint64_t user = lclient_ref(L, 1, 4, !lua_istable(L, 2));
  int code = client_subscribe(c->client, topics, count, user);
  if (code != 0) lclient_unref(L, 1, user);
  lua_pushinteger(L, code);
  return 1;
}

static int lmqtt_unsubscribe(lua_State *L) {
  struct slice filters[SESSION_TOPICS_MAX];
  lworld_enter(L);
  struct lclient *c = lclient_check(L, 1);
  lua_settop(L, 3);
  if (!lua_isnil(L, 3)) lworld_check_callable(L, 3);
  size_t count = lmqtt_filters(L, 2, filters);
  uint64_t user = lclient_ref(L, 1, 3, false);
  int code = client_unsubscribe(c->client, filters, count, user);
  if (code != 0) lclient_unref(L, 1, user);
  lua_pushinteger(L, code);
  return 1;
}

/* The end */

static int lmqtt_disconnect(lua_State *L) {
  lworld_enter(L);
  struct lclient *c = lclient_check(L, 1);
  if (!lua_isnoneornil(L, 2)) lworld_check_callable(L, 2);
  lua_settop(L, 2);
  enum session_state state = client_state(c->client);
  if (state == SESSION_DISCONNECTING) return luaL_error(L, "the client is disconnecting already");
  if (state == SESSION_CONNECTED) {
    lmqtt_handler(L, LCLIENT_ON_DISCONNECTED);
    client_disconnect(c->client);
    return 0;
  }
  lclient_set_running(c, false);
  client_close(c->client); /* nothing was accepted yet, or nothing is there: there is nothing to say goodbye to */
  if (!lua_isnil(L, 2)) lworld_later(L);
  return 0;
}

static int lmqtt_isconnected(lua_State *L) {
  struct lclient *c = luaL_checkudata(L, 1, LCLIENT);
  lua_pushboolean(L, c->client && client_state(c->client) == SESSION_CONNECTED);
  return 1;
}

static int lmqtt_describe(lua_State *L) {
  lua_pushstring(L, outcome_text((int)luaL_checkinteger(L, 1)));
  return 1;
}

void lmqtt_open(lua_State *L) {
  static const luaL_Reg client_methods[] = {
    { "connect", lmqtt_connect },
    { "onconnect", lmqtt_onconnect },
    { "onconnectionlost", lmqtt_onconnectionlost },
    { "onmessage", lmqtt_onmessage },
    { "createmessage", lmqtt_createmessage },
    { "subscribe", lmqtt_subscribe },
    { "unsubscribe", lmqtt_unsubscribe },
    { "disconnect", lmqtt_disconnect },
    { "isconnected", lmqtt_isconnected },
    { "close", lmqtt_close },
    { NULL, NULL },
  };
  static const luaL_Reg message_methods[] = { { "sendasync", lmqtt_sendasync }, { NULL, NULL } };
  static const luaL_Reg functions[] = {
    { "createclient", lmqtt_createclient },
    { "describe", lmqtt_describe },
    { NULL, NULL },
  };
  static const struct {
    const char *name;
    int value;
  } constants[] = {
    { "AT_MOST_ONCE", 0 },
    { "AT_LEAST_ONCE", 1 },
    { "EXACTLY_ONCE", 2 },
    { "SUCCESS", SESSION_SUCCESS },
    { "FAILURE", SESSION_SOCKET_ERROR },
    { "ERROR_DISCONNECTED", SESSION_DISCONNECTED },
    { "ERROR_NO_MORE_MSGIDS", SESSION_NO_MORE_IDS },
    { "ERROR_OPERATION_INCOMPLETE", SESSION_INCOMPLETE },
    { "ERROR_MAX_BUFFERED_MESSAGES", SESSION_MAX_BUFFERED },
  };
  lworld_class(L, LCLIENT, client_methods, NULL, lmqtt_gc);
  luaL_getmetatable(L, LCLIENT);
  lua_pushcfunction(L, lmqtt_close); /* at the end of its block a client is closed, not freed: somebody may hold it */
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  lworld_class(L, LMQTT_MESSAGE, message_methods, NULL, NULL);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
    lua_pushinteger(L, constants[i].value);
    lua_setfield(L, -2, constants[i].name);
  }
  lua_setfield(L, -2, "mqtt");
}
