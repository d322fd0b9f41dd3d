#include "bind/lclient.h"

#include "bind/lguard.h"
#include "bind/lws.h"
#include "mqtt/topic.h"

/* A reference as the client carries it: the number of its callback, and whether one mode is wanted instead of a list.
 */
#define LCLIENT_SINGLE ((uint64_t)1 << 32)

static const struct lclient *lclient_imp; /* the one that runs */

struct lclient *lclient_check(lua_State *L, int index) {
  struct lclient *c = luaL_checkudata(L, index, LCLIENT);
  luaL_argcheck(L, c->client, index, "a client that still is");
  return c;
}

bool lclient_other_imp(const struct lclient *c) {
  return lclient_imp && lclient_imp != c;
}

static void lclient_push_callbacks(lua_State *L, int client) {
  if (lua_getiuservalue(L, client, LCLIENT_CALLBACKS) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, client, LCLIENT_CALLBACKS);
}

/* The callbacks are on the top of the stack, the function at `index`. */
static int lclient_keep(lua_State *L, struct lclient *c, int index) {
  int ref = c->free_ref;
  if (ref) {
    lua_rawgeti(L, -1, ref);
    c->free_ref = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    ref = ++c->refs;
  }
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, ref);
  return ref;
}

/* The callbacks are at `index`. */
static void lclient_forget(lua_State *L, struct lclient *c, int index, int ref) {
  lua_pushinteger(L, c->free_ref);
  lua_rawseti(L, index < 0 ? index - 1 : index, ref);
  c->free_ref = ref;
}

uint64_t lclient_ref(lua_State *L, int client, int index, bool single) {
  if (lua_isnoneornil(L, index)) return 0;
  lclient_push_callbacks(L, client);
  uint64_t ref = (uint64_t)lclient_keep(L, lua_touserdata(L, client), index);
  lua_pop(L, 1);
  return single ? ref | LCLIENT_SINGLE : ref;
}

void lclient_unref(lua_State *L, int client, uint64_t user) {
  if (!user) return;
  lua_getiuservalue(L, client, LCLIENT_CALLBACKS);
  lclient_forget(L, lua_touserdata(L, client), -1, (int)(user & 0xffffffffu));
  lua_pop(L, 1);
}

/* Events. The client is on the top of the stack when one is handled. */

static bool lclient_push_handler(lua_State *L, enum lclient_slot slot) {
  if (lua_getiuservalue(L, -1, slot) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* Pushes the function kept for this operation, and forgets it. */
static bool lclient_push_callback(struct lclient *c, lua_State *L, uint64_t user) {
  int ref = (int)(user & 0xffffffffu);
  if (!ref) return false;
  lua_getiuservalue(L, -1, LCLIENT_CALLBACKS);
  int kind = lua_rawgeti(L, -1, ref);
  if (kind == LUA_TNIL || kind == LUA_TNUMBER) return false; /* forgotten: told a second time, by a defect */
  lclient_forget(L, c, -2, ref);
  return true;
}

static void lclient_call_code(struct lclient *c, int code) {
  lua_pushinteger(c->world->L, code);
  lworld_call(c->world, 1, 0);
}

static void lclient_connected(struct lclient *c, lua_State *L, const struct session_event *e) {
  if (e->code != 0) lclient_set_running(c, false);
  if (lclient_push_handler(L, LCLIENT_ON_CONNECT)) lclient_call_code(c, e->code);
}

static void lclient_lost(struct lclient *c, lua_State *L, const struct session_event *e) {
  lclient_set_running(c, false);
  if (lclient_push_handler(L, LCLIENT_ON_LOST)) lclient_call_code(c, e->code);
}

static void lclient_disconnected(struct lclient *c, lua_State *L, const struct session_event *e) {
  (void)e;
  lclient_set_running(c, false);
  if (!lclient_push_handler(L, LCLIENT_ON_DISCONNECTED)) return;
  lua_pushnil(L);
  lua_setiuservalue(L, -3, LCLIENT_ON_DISCONNECTED);
  lworld_call(c->world, 0, 0);
}

static void lclient_result(struct lclient *c, lua_State *L, const struct session_event *e) {
  if (lclient_push_callback(c, L, e->user)) lclient_call_code(c, e->code);
}

static void lclient_subscribed(struct lclient *c, lua_State *L, const struct session_event *e) {
  if (!lclient_push_callback(c, L, e->user)) return;
  if (e->code != 0 || (e->user & LCLIENT_SINGLE)) {
    lclient_call_code(c, e->code != 0 || e->codes.size == 0 ? e->code : e->codes.data[0]);
    return;
  }
  lua_createtable(L, (int)e->codes.size, 0);
  for (size_t i = 0; i < e->codes.size; i++) {
    lua_pushinteger(L, e->codes.data[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lworld_call(c->world, 1, 0);
}

static void lclient_set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void lclient_message(struct lclient *c, lua_State *L, const struct session_event *e) {
  const struct packet *p = e->packet;
  if (!lclient_push_handler(L, LCLIENT_ON_MESSAGE)) return;
  lua_createtable(L, 0, 6);
  lua_pushlstring(L, (const char *)p->topic.data, p->topic.size);
  lua_setfield(L, -2, "topic");
  lua_pushlstring(L, p->payload.size ? (const char *)p->payload.data : "", p->payload.size);
  lua_setfield(L, -2, "message");
  lclient_set_integer(L, "qos", p->qos);
  lclient_set_integer(L, "retain", p->retain);
  lclient_set_integer(L, "dup", p->dup);
  if (p->qos) lclient_set_integer(L, "packet_id", p->packet_id);
  lworld_call(c->world, 1, 0);
}

static void (*const lclient_events[])(struct lclient *, lua_State *, const struct session_event *) = {
  [SESSION_EVENT_CONNECTED] = lclient_connected,       [SESSION_EVENT_LOST] = lclient_lost,
  [SESSION_EVENT_DISCONNECTED] = lclient_disconnected, [SESSION_EVENT_RESULT] = lclient_result,
  [SESSION_EVENT_SUBSCRIBED] = lclient_subscribed,     [SESSION_EVENT_UNSUBSCRIBED] = lclient_result,
  [SESSION_EVENT_MESSAGE] = lclient_message,
};

void lclient_event(void *arg, const struct session_event *e) {
  struct lclient *c = arg;
  lua_State *L = c->world->L;
  int top = lua_gettop(L);
  bool trusted = lguard_trust(true);
  /* On the stack it is held for as long as its handlers run. */
  if (lworld_push_anchored(L, c)) lclient_events[e->type](c, L, e);
  lua_settop(L, top);
  lguard_trust(trusted);
}

void lclient_set_running(struct lclient *c, bool running) {
  if (!c->imp) return;
  if (running) lclient_imp = c;
  else if (lclient_imp == c) lclient_imp = NULL;
}

/* Publishing. */

void lclient_check_message(lua_State *L, const struct lclient *c, int topic, int payload, lua_Integer qos) {
  enum topic_fault fault = topic_check_name(lworld_slice(L, topic));
  size_t size = lworld_slice(L, payload).size;
  if (fault != TOPIC_GOOD) luaL_error(L, "topic: %s", topic_fault_text(fault));
  if (qos < 0 || qos > 2) luaL_error(L, "qos is 0, 1 or 2, not %I", qos);
  if (size > c->message_max) {
    luaL_error(L, "a message of %I bytes is over the limit of %I (createclient's maxmessage)", (lua_Integer)size,
               (lua_Integer)c->message_max);
  }
}

uint16_t lclient_publish(lua_State *L, int client, int topic, int payload, uint8_t qos, bool retain, int callback) {
  struct lclient *c = lua_touserdata(L, client);
  uint16_t packet_id = 0;
  struct session_publish p = {
    .topic = lworld_slice(L, topic),
    .payload = lworld_slice(L, payload),
    .qos = qos,
    .retain = retain,
  };
  if (!c->client || client_state(c->client) != SESSION_CONNECTED) luaL_error(L, "the client is not connected");
  p.user = lclient_ref(L, client, callback, false);
  enum session_accept accepted = client_publish(c->client, &p, &packet_id);
  if (accepted == SESSION_ACCEPTED) return packet_id;
  lclient_unref(L, client, p.user);
  luaL_error(L, accepted == SESSION_RATE_LIMITED ? "rate limited" : "the client is not connected");
  return 0;
}

/* core.client_*: what the scenario library needs beyond the mqtt API. */

static int lclient_core_publish(lua_State *L) {
  lworld_enter(L);
  struct lclient *c = lclient_check(L, 1);
  lua_Integer qos = luaL_optinteger(L, 4, 0);
  lua_settop(L, 6);
  lclient_check_message(L, c, 2, 3, qos);
  uint16_t id = lclient_publish(L, 1, 2, 3, (uint8_t)qos, lua_toboolean(L, 5), 6);
  if (id) lua_pushinteger(L, id);
  else lua_pushnil(L);
  return 1;
}

static int lclient_core_raw(lua_State *L) {
  lworld_enter(L);
  lua_pushboolean(L, client_raw(lclient_check(L, 1)->client, lworld_slice(L, 2)));
  return 1;
}

static int lclient_core_frame(lua_State *L) {
  lworld_enter(L);
  lws_frame(L, client_chain(lclient_check(L, 1)->client), 2);
  return 0;
}

static int lclient_core_stats(lua_State *L) {
  static const char *const states[] = {
    [SESSION_IDLE] = "disconnected",
    [SESSION_CONNECTING] = "connecting",
    [SESSION_CONNECTED] = "connected",
    [SESSION_DISCONNECTING] = "disconnecting",
  };
  struct lclient *c = lclient_check(L, 1);
  struct session_stats s = client_stats(c->client);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, states[client_state(c->client)]);
  lua_setfield(L, -2, "state");
  lclient_set_integer(L, "inflight", s.inflight);
  lclient_set_integer(L, "buffered", s.buffered);
  lclient_set_integer(L, "ids_used", s.ids_used);
  lclient_set_integer(L, "unknown_acks", (lua_Integer)s.unknown_acks);
  return 1;
}

static int lclient_core_who(lua_State *L) {
  lua_pushinteger(L, client_who(lclient_check(L, 1)->client));
  return 1;
}

static int lclient_core_name(lua_State *L) {
  client_rename(lclient_check(L, 1)->client, luaL_checkstring(L, 2));
  return 0;
}

/* The link as a fault scope: its only connection is the client's, while it has one. */

static void lclient_each(void *owner, lscope_visit *visit, void *arg) {
  struct lclient *c = owner;
  struct chain *chain = client_chain(c->client);
  if (!chain) return;
  visit(arg, &(struct lscope_conn){ .chain = chain,
                                    .who = client_who(c->client),
                                    .out_is_up = true,
                                    .joined = &c->joined,
                                    .partial_out = client_partial_out(c->client),
                                    .partial_in = client_partial_in(c->client),
                                    .client_id = slice_text(c->client_id) });
}

static void lclient_chain(void *arg, struct chain *chain) {
  struct lclient *c = arg;
  c->joined = false;
  lscope_join(c->link, &(struct lscope_conn){
                           .chain = chain, .who = client_who(c->client), .out_is_up = true, .joined = &c->joined });
}

/* What the link's rules on "connect" say. */
static struct client_gate lclient_dial(void *arg) {
  struct lclient *c = arg;
  struct client_gate gate = { 0 };
  enum scope_entry entry = lscope_enter(c->link, false, &gate.delay_ns);
  gate.refused = entry == SCOPE_REFUSE;
  gate.silent = entry == SCOPE_NO_ANSWER;
  return gate;
}

static struct oscall_hook *lclient_calls(void *arg) {
  struct lclient *c = arg;
  return lscope_hook(c->link, client_who(c->client));
}

static const struct scope_place lclient_place = {
  .tls = RULE_BOTH,
  .name = "a client's link",
  .never_accepts = true,
  .calls = 1u << OSCALL_SOCKET | 1u << OSCALL_CONNECT | LSCOPE_CALLS,
};

static int lclient_core_scope(lua_State *L) {
  lworld_enter(L);
  struct lclient *c = lclient_check(L, 1);
  if (!c->link) {
    c->link = lscope_new(L, c, lclient_each);
    scope_set_place(lscope_engine(c->link), &lclient_place);
    client_on_chain(c->client, lclient_chain, c);
    client_on_dial(c->client, lclient_dial, c);
    client_on_calls(c->client, lclient_calls, c);
  }
  lscope_push(L, c->link, 1);
  return 1;
}

void lclient_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "client_publish", lclient_core_publish }, { "client_raw", lclient_core_raw },
    { "client_frame", lclient_core_frame },     { "client_stats", lclient_core_stats },
    { "client_who", lclient_core_who },         { "client_name", lclient_core_name },
    { "client_scope", lclient_core_scope },     { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
}
