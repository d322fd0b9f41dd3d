#include "bind/lpacket.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "base/near.h"
#include "bind/lworld.h"
#include "mqtt/decode.h"
#include "mqtt/describe.h"
#include "mqtt/encode.h"
#include "mqtt/strict.h"

#define LPACKET_SIZE_MAX     (SPEC_REMAINING_LENGTH_MAX + 5)
#define LPACKET_BIT(type)    (1u << (type))
#define LPACKET_SUBSCRIPTION "mqrig.subscription"

enum lpacket_kind { LPACKET_TEXT, LPACKET_BYTE, LPACKET_SHORT, LPACKET_BOOL };

/* One row a field: which types have it, where it stands in `struct packet`, and the flag that tells that it is there.
 */
struct lpacket_field {
  const char *name;
  uint32_t types;
  enum lpacket_kind kind;
  size_t offset;
  size_t present; /* offset of a bool in struct packet, or 0 */
};

#define LPACKET_ACKS                                                                                                   \
  (LPACKET_BIT(SPEC_PUBACK) | LPACKET_BIT(SPEC_PUBREC) | LPACKET_BIT(SPEC_PUBREL) | LPACKET_BIT(SPEC_PUBCOMP))
#define LPACKET_LISTS                                                                                                  \
  (LPACKET_BIT(SPEC_SUBSCRIBE) | LPACKET_BIT(SPEC_SUBACK) | LPACKET_BIT(SPEC_UNSUBSCRIBE) | LPACKET_BIT(SPEC_UNSUBACK))
#define LPACKET_IDS       (LPACKET_BIT(SPEC_PUBLISH) | LPACKET_ACKS | LPACKET_LISTS)
#define LPACKET_AT(field) offsetof(struct packet, field)

static const struct lpacket_field lpacket_fields[] = {
  { "dup", LPACKET_BIT(SPEC_PUBLISH), LPACKET_BOOL, LPACKET_AT(dup), 0 },
  { "qos", LPACKET_BIT(SPEC_PUBLISH), LPACKET_BYTE, LPACKET_AT(qos), 0 },
  { "retain", LPACKET_BIT(SPEC_PUBLISH), LPACKET_BOOL, LPACKET_AT(retain), 0 },
  { "packet_id", LPACKET_IDS, LPACKET_SHORT, LPACKET_AT(packet_id), 0 },
  { "topic", LPACKET_BIT(SPEC_PUBLISH), LPACKET_TEXT, LPACKET_AT(topic), 0 },
  { "payload", LPACKET_BIT(SPEC_PUBLISH), LPACKET_TEXT, LPACKET_AT(payload), 0 },
  { "protocol_name", LPACKET_BIT(SPEC_CONNECT), LPACKET_TEXT, LPACKET_AT(protocol_name), 0 },
  { "protocol_version", LPACKET_BIT(SPEC_CONNECT), LPACKET_BYTE, LPACKET_AT(protocol_version), 0 },
  { "client_id", LPACKET_BIT(SPEC_CONNECT), LPACKET_TEXT, LPACKET_AT(client_id), 0 },
  { "clean", LPACKET_BIT(SPEC_CONNECT), LPACKET_BOOL, LPACKET_AT(clean), 0 },
  { "keepalive", LPACKET_BIT(SPEC_CONNECT), LPACKET_SHORT, LPACKET_AT(keepalive_s), 0 },
  { "username", LPACKET_BIT(SPEC_CONNECT), LPACKET_TEXT, LPACKET_AT(username), LPACKET_AT(has_username) },
  { "password", LPACKET_BIT(SPEC_CONNECT), LPACKET_TEXT, LPACKET_AT(password), LPACKET_AT(has_password) },
  { "session_present", LPACKET_BIT(SPEC_CONNACK), LPACKET_BOOL, LPACKET_AT(session_present), 0 },
  { "reason_code", LPACKET_BIT(SPEC_CONNACK), LPACKET_BYTE, LPACKET_AT(reason_code), 0 },
};
#define LPACKET_FIELDS (sizeof lpacket_fields / sizeof *lpacket_fields)

/* Fields that are tables themselves, or belong to every type. */
static const struct {
  const char *name;
  uint32_t types;
} lpacket_others[] = {
  { "type", ~0u },
  { "flags", ~0u },
  { "raw", ~0u },
  { "will", LPACKET_BIT(SPEC_CONNECT) },
  { "subscriptions", LPACKET_BIT(SPEC_SUBSCRIBE) },
  { "filters", LPACKET_BIT(SPEC_UNSUBSCRIBE) },
  { "reason_codes", LPACKET_BIT(SPEC_SUBACK) | LPACKET_BIT(SPEC_UNSUBACK) },
};
#define LPACKET_OTHERS (sizeof lpacket_others / sizeof *lpacket_others)

static const void *lpacket_at(const struct packet *p, size_t offset) {
  return (const char *)p + offset;
}

static bool lpacket_present(const struct packet *p, const struct lpacket_field *f) {
  return (f->types & LPACKET_BIT(p->type)) && (!f->present || *(const bool *)lpacket_at(p, f->present));
}

static void lpacket_push_slice(lua_State *L, struct slice s) {
  lua_pushlstring(L, s.size ? (const char *)s.data : "", s.size);
}

static void lpacket_push_value(lua_State *L, const struct packet *p, const struct lpacket_field *f) {
  const void *at = lpacket_at(p, f->offset);
  switch (f->kind) {
  case LPACKET_TEXT: lpacket_push_slice(L, *(const struct slice *)at); break;
  case LPACKET_BYTE: lua_pushinteger(L, *(const uint8_t *)at); break;
  case LPACKET_SHORT: lua_pushinteger(L, *(const uint16_t *)at); break;
  case LPACKET_BOOL: lua_pushboolean(L, *(const bool *)at); break;
  }
}

/* Lists, in both directions. */

static void lpacket_push_will(lua_State *L, const struct packet *p) {
  if (!p->has_will) return;
  lua_createtable(L, 0, 4);
  lpacket_push_slice(L, p->will.topic);
  lua_setfield(L, -2, "topic");
  lpacket_push_slice(L, p->will.payload);
  lua_setfield(L, -2, "payload");
  lua_pushinteger(L, p->will.qos);
  lua_setfield(L, -2, "qos");
  lua_pushboolean(L, p->will.retain);
  lua_setfield(L, -2, "retain");
  lua_setfield(L, -2, "will");
}

/* The places of a subscription have names, too: item.filter is item[1]. */
static const char *const lpacket_subscription_names[] = { "filter", "qos", NULL };

static int lpacket_subscription_index(lua_State *L) {
  for (int i = 0; lpacket_subscription_names[i] && lua_type(L, 2) == LUA_TSTRING; i++) {
    if (strcmp(lua_tostring(L, 2), lpacket_subscription_names[i]) == 0) return lua_rawgeti(L, 1, i + 1), 1;
  }
  return 0;
}

static void lpacket_push_subscriptions(lua_State *L, const struct packet *p) {
  struct slice items = p->items;
  struct packet_subscription s;
  lua_newtable(L);
  for (lua_Integer i = 1; packet_next_subscription(&items, &s); i++) {
    lua_createtable(L, 2, 0);
    lpacket_push_slice(L, s.filter);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, s.options);
    lua_rawseti(L, -2, 2);
    luaL_setmetatable(L, LPACKET_SUBSCRIPTION);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, -2, "subscriptions");
}

static void lpacket_push_filters(lua_State *L, const struct packet *p) {
  struct slice items = p->items, filter;
  lua_newtable(L);
  for (lua_Integer i = 1; packet_next_filter(&items, &filter); i++) {
    lpacket_push_slice(L, filter);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, -2, "filters");
}

static void lpacket_push_codes(lua_State *L, const struct packet *p) {
  lua_createtable(L, (int)p->items.size, 0);
  for (size_t i = 0; i < p->items.size; i++) {
    lua_pushinteger(L, p->items.data[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "reason_codes");
}

static void (*const lpacket_push_list[SPEC_TYPES])(lua_State *, const struct packet *) = {
  [SPEC_CONNECT] = lpacket_push_will,
  [SPEC_SUBSCRIBE] = lpacket_push_subscriptions,
  [SPEC_SUBACK] = lpacket_push_codes,
  [SPEC_UNSUBSCRIBE] = lpacket_push_filters,
};

void lpacket_push(lua_State *L, const struct packet *p) {
  const struct spec_packet *spec = spec_packet(p->type);
  luaL_checkstack(L, 8, "packet");
  lua_createtable(L, 0, 8);
  lua_pushstring(L, spec ? spec->name : "RESERVED");
  lua_setfield(L, -2, "type");
  lua_pushinteger(L, p->flags);
  lua_setfield(L, -2, "flags");
  for (size_t i = 0; i < LPACKET_FIELDS; i++) {
    if (!lpacket_present(p, &lpacket_fields[i])) continue;
    if (lpacket_fields[i].offset == LPACKET_AT(packet_id) && p->type == SPEC_PUBLISH && p->qos == 0) continue;
    lpacket_push_value(L, p, &lpacket_fields[i]);
    lua_setfield(L, -2, lpacket_fields[i].name);
  }
  if (spec && lpacket_push_list[p->type]) lpacket_push_list[p->type](L, p);
  lpacket_push_slice(L, p->raw);
  lua_setfield(L, -2, "raw");
}

/* Deep comparison of two values on the stack: tables by what the first has. */
static bool lpacket_alike(lua_State *L, int want, int got) {
  if (lua_type(L, want) != LUA_TTABLE || lua_type(L, got) != LUA_TTABLE) return lua_compare(L, want, got, LUA_OPEQ);
  luaL_checkstack(L, 4, "packet");
  for (lua_pushnil(L); lua_next(L, want); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_gettable(L, got);
    bool alike = lpacket_alike(L, lua_absindex(L, -2), lua_absindex(L, -1));
    lua_pop(L, 1);
    if (alike) continue;
    lua_pop(L, 2);
    return false;
  }
  return true;
}

bool lpacket_has(lua_State *L, const struct packet *p, int index) {
  index = lua_absindex(L, index);
  lpacket_push(L, p);
  bool has = lpacket_alike(L, index, lua_absindex(L, -1));
  lua_pop(L, 1);
  return has;
}

/* Building. */

static unsigned lpacket_type(lua_State *L, int table) {
  if (lua_getfield(L, table, "type") != LUA_TSTRING) luaL_error(L, "a packet table needs a type, such as \"PUBLISH\"");
  unsigned type = spec_type_of(lworld_slice(L, -1));
  if (type) {
    lua_pop(L, 1);
    return type;
  }
  const char *names[SPEC_TYPES] = { 0 };
  for (unsigned i = 1; i < SPEC_TYPES; i++) names[i - 1] = spec_packet(i)->name;
  const char *near = near_name(lua_tostring(L, -1), names);
  luaL_error(L, near ? "'%s' is no packet type (did you mean %s?)" : "'%s' is no packet type", lua_tostring(L, -1),
             near);
  return 0;
}

static void lpacket_check_keys(lua_State *L, int table, unsigned type) {
  const char *names[LPACKET_FIELDS + LPACKET_OTHERS + 1];
  size_t count = 0;
  for (size_t i = 0; i < LPACKET_FIELDS; i++) {
    if (lpacket_fields[i].types & LPACKET_BIT(type)) names[count++] = lpacket_fields[i].name;
  }
  for (size_t i = 0; i < LPACKET_OTHERS; i++) {
    if (lpacket_others[i].types & LPACKET_BIT(type)) names[count++] = lpacket_others[i].name;
  }
  names[count] = NULL;
  lworld_check_keys(L, table, spec_packet(type)->name, names);
}

static lua_Integer lpacket_integer(lua_State *L, int index, const char *name, lua_Integer most) {
  int is_integer;
  lua_Integer v = lua_isboolean(L, index) ? lua_toboolean(L, index) : lua_tointegerx(L, index, &is_integer);
  if (!lua_isboolean(L, index) && !is_integer)
    luaL_error(L, "%s is an integer, not a %s", name, luaL_typename(L, index));
  if (v < 0 || v > most) luaL_error(L, "%s is %I, but has room for 0 to %I only", name, v, most);
  return v;
}

/* The value on the top of the stack into the field. It stays there: slices borrow from it. */
static void lpacket_set(lua_State *L, struct packet *p, const struct lpacket_field *f) {
  void *at = (char *)p + f->offset;
  switch (f->kind) {
  case LPACKET_TEXT:
    if (!lua_isstring(L, -1)) luaL_error(L, "%s is a string, not a %s", f->name, luaL_typename(L, -1));
    *(struct slice *)at = lworld_slice(L, -1);
    break;
  case LPACKET_BYTE: *(uint8_t *)at = (uint8_t)lpacket_integer(L, -1, f->name, 255); break;
  case LPACKET_SHORT: *(uint16_t *)at = (uint16_t)lpacket_integer(L, -1, f->name, 65535); break;
  case LPACKET_BOOL: *(bool *)at = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : lpacket_integer(L, -1, f->name, 1);
  }
  if (f->present) *(bool *)((char *)p + f->present) = true;
}

static void lpacket_read_will(lua_State *L, int table, struct packet *p) {
  static const char *const keys[] = { "topic", "payload", "qos", "retain", NULL };
  if (lua_getfield(L, table, "will") == LUA_TNIL) return;
  luaL_checktype(L, -1, LUA_TTABLE);
  lworld_check_keys(L, -1, "will", keys);
  int will = lua_absindex(L, -1);
  p->has_will = true;
  if (lua_getfield(L, will, "topic") == LUA_TSTRING) p->will.topic = lworld_slice(L, -1);
  if (lua_getfield(L, will, "payload") == LUA_TSTRING) p->will.payload = lworld_slice(L, -1);
  if (lua_getfield(L, will, "qos") != LUA_TNIL) p->will.qos = (uint8_t)lpacket_integer(L, -1, "will.qos", 3);
  lua_getfield(L, will, "retain");
  p->will.retain = lua_isinteger(L, -1) ? lua_tointeger(L, -1) != 0 : lua_toboolean(L, -1);
}

/* Pushes one place of a subscription, given by its number or its name. */
static void lpacket_subscription_place(lua_State *L, int item, int place) {
  item = lua_absindex(L, item);
  if (lua_rawgeti(L, item, place) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_getfield(L, item, lpacket_subscription_names[place - 1]);
}

static void lpacket_read_subscriptions(lua_State *L, int table, struct buffer *items) {
  int list = table + 1;
  if (lua_getfield(L, table, "subscriptions") == LUA_TNIL) return;
  luaL_checktype(L, list, LUA_TTABLE);
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
    if (!lua_istable(L, -1)) luaL_error(L, "subscriptions[%I] is a {filter, qos}, not a %s", i, luaL_typename(L, -1));
    lpacket_subscription_place(L, -1, 1);
    struct slice filter = lworld_slice(L, -1);
    lpacket_subscription_place(L, -2, 2);
    uint8_t options = lua_isnil(L, -1) ? 0 : (uint8_t)lpacket_integer(L, -1, "a subscription's qos", 255);
    if (!encode_subscription(items, filter, options))
      luaL_error(L, "subscriptions[%I] has a filter over 65535 bytes", i);
    lua_pop(L, 3);
  }
}

static void lpacket_read_filters(lua_State *L, int table, struct buffer *items) {
  int list = table + 1;
  if (lua_getfield(L, table, "filters") == LUA_TNIL) return;
  luaL_checktype(L, list, LUA_TTABLE);
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
    if (!encode_filter(items, lworld_slice(L, -1))) luaL_error(L, "filters[%I] is over 65535 bytes", i);
    lua_pop(L, 1);
  }
}

static void lpacket_read_codes(lua_State *L, int table, struct buffer *items) {
  int list = table + 1;
  if (lua_getfield(L, table, "reason_codes") == LUA_TNIL) return;
  luaL_checktype(L, list, LUA_TTABLE);
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
    uint8_t code = (uint8_t)lpacket_integer(L, -1, "a reason code", 255);
    buffer_append(items, slice_of(&code, 1));
    lua_pop(L, 1);
  }
}

static void (*const lpacket_read_list[SPEC_TYPES])(lua_State *, int table, struct buffer *items) = {
  [SPEC_SUBSCRIBE] = lpacket_read_subscriptions,
  [SPEC_SUBACK] = lpacket_read_codes,
  [SPEC_UNSUBSCRIBE] = lpacket_read_filters,
  [SPEC_UNSUBACK] = lpacket_read_codes,
};

/* Reads the table at `table` into a packet, list entries into `items`. Everything stays on the stack above it. */
static void lpacket_read(lua_State *L, int table, struct packet *p, struct buffer *items) {
  lpacket_check_keys(L, table, p->type);
  if (lpacket_read_list[p->type]) lpacket_read_list[p->type](L, table, items);
  lua_settop(L, table);
  luaL_checkstack(L, (int)LPACKET_FIELDS + 8, "packet");
  for (size_t i = 0; i < LPACKET_FIELDS; i++) {
    if (!(lpacket_fields[i].types & LPACKET_BIT(p->type))) continue;
    if (lua_getfield(L, table, lpacket_fields[i].name) != LUA_TNIL) lpacket_set(L, p, &lpacket_fields[i]);
  }
  if (p->type == SPEC_CONNECT) lpacket_read_will(L, table, p);
  p->flags = packet_flags(p);
  if (lua_getfield(L, table, "flags") != LUA_TNIL) p->flags = (uint8_t)lpacket_integer(L, -1, "flags", 15);
}

/* Protected, so that an error in the table releases the items: arguments are the table and the two borrowed pointers.
 */
static int lpacket_read_protected(lua_State *L) {
  struct packet *p = lua_touserdata(L, 2);
  struct buffer *items = lua_touserdata(L, 3), *out = lua_touserdata(L, 4);
  lua_settop(L, 1);
  lpacket_read(L, 1, p, items);
  p->items = buffer_slice(items);
  if (!encode_packet(out, p)) {
    luaL_error(L, "this %s has no encoding: a string is over 65535 bytes or the packet over 268435455",
               spec_packet(p->type)->name);
  }
  return 0;
}

void lpacket_build(lua_State *L, int index, enum spec_version version, struct buffer *out) {
  if (lua_type(L, index) == LUA_TSTRING) {
    if (!buffer_append(out, lworld_slice(L, index))) luaL_error(L, "more bytes than a packet can have");
    return;
  }
  luaL_checktype(L, index, LUA_TTABLE);
  index = lua_absindex(L, index);
  struct packet p = { .version = (uint8_t)version, .type = (uint8_t)lpacket_type(L, index) };
  struct buffer items;
  buffer_init(&items, LPACKET_SIZE_MAX);
  if (p.type == SPEC_CONNECT) {
    p.protocol_name = slice_text("MQTT");
    p.protocol_version = (uint8_t)version;
    p.clean = true;
  }
  lua_pushcfunction(L, lpacket_read_protected);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, &p);
  lua_pushlightuserdata(L, &items);
  lua_pushlightuserdata(L, out);
  int status = lua_pcall(L, 4, 0, 0);
  buffer_fini(&items);
  if (status != LUA_OK) {
    buffer_fini(out);
    lua_error(L);
  }
}

static enum spec_version lpacket_version(lua_State *L, int index) {
  lua_Integer version = luaL_optinteger(L, index, SPEC_3_1_1);
  luaL_argcheck(L, version == SPEC_3_1_1, index, "only protocol level 4 (3.1.1) is in this version");
  return SPEC_3_1_1;
}

static int lpacket_encode(lua_State *L) {
  struct buffer out;
  luaL_checktype(L, 1, LUA_TTABLE);
  enum spec_version version = lpacket_version(L, 2);
  buffer_init(&out, LPACKET_SIZE_MAX);
  lpacket_build(L, 1, version, &out);
  lpacket_push_slice(L, buffer_slice(&out));
  buffer_fini(&out);
  return 1;
}

static int lpacket_decode(lua_State *L) {
  struct packet p;
  struct decode_fault fault = { 0 };
  struct slice bytes = lworld_slice(L, 1);
  lua_Integer offset = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, offset >= 0 && (size_t)offset <= bytes.size, 2, "an offset within the bytes");
  switch (decode_packet(slice_from(bytes, (size_t)offset), lpacket_version(L, 3), &p, &fault)) {
  case DECODE_OK:
    lpacket_push(L, &p);
    lua_pushinteger(L, (lua_Integer)p.raw.size);
    return 2;
  case DECODE_NEED_MORE:
    lua_pushnil(L);
    lua_pushliteral(L, "more");
    return 2;
  case DECODE_BAD: break;
  }
  lua_pushnil(L);
  lua_pushstring(L, fault.text);
  lua_pushinteger(L, (lua_Integer)fault.offset);
  lua_pushstring(L, fault.clause);
  return 4;
}

static int lpacket_describe(lua_State *L) {
  char line[DESCRIBE_LINE_MAX];
  struct packet p;
  if (decode_packet(lworld_slice(L, 1), lpacket_version(L, 2), &p, NULL) != DECODE_OK) {
    describe_text(lworld_slice(L, 1), 32, line, sizeof line);
    lua_pushfstring(L, "no packet: %s", line);
  } else {
    describe_packet(&p, line, sizeof line);
    lua_pushstring(L, line);
  }
  return 1;
}

static int lpacket_strict(lua_State *L) {
  static const char *const roles[] = { "client", "broker", NULL };
  struct strict_violation violations[STRICT_VIOLATIONS_MAX];
  struct packet p;
  enum spec_role role = luaL_checkoption(L, 2, NULL, roles) == 0 ? SPEC_CLIENT : SPEC_BROKER;
  lua_newtable(L);
  if (decode_packet(lworld_slice(L, 1), lpacket_version(L, 3), &p, NULL) != DECODE_OK) return 1;
  size_t count = strict_check(&p, role, violations);
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, violations[i].clause);
    lua_setfield(L, -2, "clause");
    lua_pushstring(L, violations[i].text);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int lpacket_show(lua_State *L) {
  size_t most = (size_t)luaL_optinteger(L, 2, 200);
  luaL_Buffer b;
  size_t room = 4 * most + 8;
  struct slice text = lworld_slice(L, 1);
  char *to = luaL_buffinitsize(L, &b, room);
  luaL_pushresultsize(&b, describe_text(text, most, to, room));
  return 1;
}

void lpacket_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "encode", lpacket_encode }, { "decode", lpacket_decode }, { "describe", lpacket_describe },
    { "strict", lpacket_strict }, { "show", lpacket_show },     { NULL, NULL },
  };
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, LPACKET_SUBSCRIPTION);
  lua_pushcfunction(L, lpacket_subscription_index);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
