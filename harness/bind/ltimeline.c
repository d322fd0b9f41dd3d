#include "bind/ltimeline.h"

#include "bind/lpacket.h"
#include "bind/lworld.h"
#include "mqtt/decode.h"

#define LTIMELINE          "mqrig.core.timeline"
#define LTIMELINE_LINE_MAX 320

static const char *const ltimeline_kinds[] = {
  [TIMELINE_UP] = "up",   [TIMELINE_DOWN] = "down",   [TIMELINE_OPEN] = "open",
  [TIMELINE_END] = "end", [TIMELINE_FAULT] = "fault", [TIMELINE_NOTE] = "note",
};

static struct timeline *ltimeline_check(lua_State *L) {
  return *(struct timeline **)luaL_checkudata(L, 1, LTIMELINE);
}

static int ltimeline_new(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  struct timeline **t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = timeline_new(net_now(w->net));
  luaL_setmetatable(L, LTIMELINE);
  return 1;
}

static int ltimeline_gc(lua_State *L) {
  timeline_free(ltimeline_check(L));
  return 0;
}

static int ltimeline_use(lua_State *L) {
  struct timeline *t = lua_isnoneornil(L, 1) ? NULL : ltimeline_check(L);
  lua_settop(L, 1);
  lworld_use_timeline(L, 1, t);
  return 0;
}

static int ltimeline_note(lua_State *L) {
  struct timeline *t = ltimeline_check(L);
  timeline_add(t, net_now(lworld_enter(L)->net), 0, TIMELINE_NOTE, lworld_slice(L, 2));
  return 0;
}

static int ltimeline_who(lua_State *L) {
  lua_pushinteger(L, timeline_who(ltimeline_check(L), luaL_checkstring(L, 2)));
  return 1;
}

static int ltimeline_last(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)timeline_last(ltimeline_check(L)));
  return 1;
}

static int ltimeline_dropped(lua_State *L) {
  uint64_t first = timeline_first(ltimeline_check(L));
  lua_pushinteger(L, first ? (lua_Integer)first - 1 : 0);
  return 1;
}

/* (after, who, direction, type, fields) */
static int ltimeline_find(lua_State *L) {
  static const char *const directions[] = { "up", "down", NULL };
  struct timeline *t = ltimeline_check(L);
  uint64_t after = (uint64_t)luaL_checkinteger(L, 2);
  uint32_t who = (uint32_t)luaL_optinteger(L, 3, 0);
  enum timeline_kind kind = luaL_checkoption(L, 4, NULL, directions) == 0 ? TIMELINE_UP : TIMELINE_DOWN;
  unsigned type = lua_isnoneornil(L, 5) ? 0 : spec_type_of(lworld_slice(L, 5));
  luaL_argcheck(L, type || lua_isnoneornil(L, 5), 5, "a packet type, such as \"PUBLISH\"");
  lua_settop(L, 6);
  struct timeline_entry e;
  while (timeline_find(t, after, who, kind, type, &e)) {
    struct packet p;
    after = e.number;
    if (decode_packet(e.bytes, SPEC_3_1_1, &p, NULL) != DECODE_OK) continue;
    if (lua_istable(L, 6) && !lpacket_has(L, &p, 6)) continue;
    lpacket_push(L, &p);
    lua_pushinteger(L, (lua_Integer)after);
    return 2;
  }
  lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)timeline_last(t));
  return 2;
}

static int ltimeline_lines(lua_State *L) {
  char line[LTIMELINE_LINE_MAX];
  struct timeline *t = ltimeline_check(L);
  uint64_t last = timeline_last(t), most = (uint64_t)luaL_checkinteger(L, 2);
  uint64_t first = last > most ? last - most + 1 : 1;
  if (first < timeline_first(t)) first = timeline_first(t);
  lua_newtable(L);
  struct timeline_entry e;
  for (lua_Integer i = 1; first && first <= last; first++, i++) {
    if (!timeline_get(t, first, &e)) continue;
    timeline_format(t, &e, line, sizeof line);
    lua_pushstring(L, line);
    lua_rawseti(L, -2, i);
  }
  return 1;
}

static int ltimeline_entry(lua_State *L) {
  struct timeline *t = ltimeline_check(L);
  struct timeline_entry e;
  if (!timeline_get(t, (uint64_t)luaL_checkinteger(L, 2), &e)) return 0;
  bool packet = e.kind == TIMELINE_UP || e.kind == TIMELINE_DOWN;
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)e.number);
  lua_setfield(L, -2, "number");
  lua_pushinteger(L, e.at_ns);
  lua_setfield(L, -2, "at_ns");
  lua_pushstring(L, e.who ? timeline_name(t, e.who) : "");
  lua_setfield(L, -2, "who");
  lua_pushstring(L, ltimeline_kinds[e.kind]);
  lua_setfield(L, -2, "kind");
  lua_pushlstring(L, e.bytes.size ? (const char *)e.bytes.data : "", e.bytes.size);
  lua_setfield(L, -2, packet ? "bytes" : "text");
  return 1;
}

void ltimeline_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "note", ltimeline_note },       { "who", ltimeline_who },
    { "last", ltimeline_last },       { "find", ltimeline_find },
    { "lines", ltimeline_lines },     { "entry", ltimeline_entry },
    { "dropped", ltimeline_dropped }, { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "timeline", ltimeline_new },
                                        { "use_timeline", ltimeline_use },
                                        { NULL, NULL } };
  lworld_class(L, LTIMELINE, methods, NULL, ltimeline_gc);
  luaL_setfuncs(L, functions, 0);
}
