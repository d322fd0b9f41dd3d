#include "bind/ltimeline.h"

#include "bind/lpacket.h"
#include "bind/lworld.h"
#include "host/capture.h"
#include "host/story.h"
#include "mqtt/decode.h"

#define LTIMELINE            "mqrig.core.timeline"
#define LTIMELINE_LINE_MAX   320
#define LTIMELINE_FAULTS_MAX 1024

static const char *const ltimeline_kinds[] = {
  [TIMELINE_UP] = "up",       [TIMELINE_DOWN] = "down", [TIMELINE_OPEN] = "open", [TIMELINE_END] = "end",
  [TIMELINE_FAULT] = "fault", [TIMELINE_NOTE] = "note", [TIMELINE_HIT] = "fault", [TIMELINE_EVENT] = "event",
};

struct timeline *ltimeline_check(lua_State *L) {
  return *(struct timeline **)luaL_checkudata(L, 1, LTIMELINE);
}

/* Of the world, not of a host whose clock goes otherwise. */
static int64_t ltimeline_clock(const void *net) {
  return net_now(net);
}

static int ltimeline_new(lua_State *L) {
  struct lworld *w = lworld_enter(L);
  struct timeline **t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = timeline_new(net_now(w->net));
  if (lworld_is_virtual(w)) {
    timeline_use_clock(*t, ltimeline_clock, w->net);
    timeline_use_rolling(*t);
  }
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

/* (what, who, code, value): what only a checker of the run wants to know, see event.h */
static int ltimeline_tell(lua_State *L) {
  static const char *const names[] = { "healed", "quiet", "wanted", "sheltered", "resource", "settled", NULL };
  static const enum event_what events[] = { EVENT_HEALED,    EVENT_QUIET,    EVENT_WANTED,
                                            EVENT_SHELTERED, EVENT_RESOURCE, EVENT_SETTLED };
  struct timeline *t = ltimeline_check(L);
  struct event e = { .what = events[luaL_checkoption(L, 2, NULL, names)], .code = (int)luaL_optinteger(L, 4, 0) };
  lua_Integer value = luaL_optinteger(L, 5, 0);
  luaL_argcheck(L, e.code >= -512 && e.code <= 511, 4, "-512 to 511");
  luaL_argcheck(L, value >= 0, 5, "not negative");
  e.value = (uint64_t)value;
  e.packet_id = (uint16_t)luaL_optinteger(L, 6, 0);
  timeline_add_event(t, net_now(lworld_enter(L)->net), (uint32_t)luaL_optinteger(L, 3, 0), e);
  return 0;
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
  lua_Integer most = luaL_checkinteger(L, 2), found = 0;
  struct timeline_entry e;
  uint64_t first = timeline_last(t) + 1;
  while (found < most && timeline_get(t, first - 1, &e)) {
    found += e.kind != TIMELINE_EVENT;
    first--;
  }
  lua_createtable(L, (int)found, 0);
  for (lua_Integer i = 1; i <= found; first++) {
    if (!timeline_get(t, first, &e) || e.kind == TIMELINE_EVENT) continue;
    timeline_format(t, &e, line, sizeof line);
    lua_pushstring(L, line);
    lua_rawseti(L, -2, i++);
  }
  return 1;
}

/* tl:line(number) -> text of that entry, of whatever kind | nil: it is not there */
static int ltimeline_line(lua_State *L) {
  char line[LTIMELINE_LINE_MAX];
  struct timeline *t = ltimeline_check(L);
  struct timeline_entry e;
  if (!timeline_get(t, (uint64_t)luaL_checkinteger(L, 2), &e)) return 0;
  timeline_format(t, &e, line, sizeof line);
  lua_pushstring(L, line);
  return 1;
}

static void ltimeline_push_told(lua_State *L, const struct story *s, const struct story_line *line) {
  char text[LTIMELINE_LINE_MAX], faults[LTIMELINE_FAULTS_MAX];
  story_format(s, line, text, sizeof text);
  story_format_faults(s, line, faults, sizeof faults);
  lua_createtable(L, 2, 0);
  lua_pushstring(L, text);
  lua_rawseti(L, -2, 1);
  lua_pushstring(L, faults);
  lua_rawseti(L, -2, 2);
}

/* (most, whole, to) -> { { line, faults }, ... }: up to the entry of that number */
static int ltimeline_story(lua_State *L) {
  struct timeline *t = ltimeline_check(L);
  lua_Integer most = luaL_checkinteger(L, 2), shown = 0;
  bool whole = lua_toboolean(L, 3);
  uint64_t to = (uint64_t)luaL_optinteger(L, 4, INT64_MAX);
  lua_newtable(L);
  struct story *s = story_new(t, !whole);
  size_t first = story_count(s), last;
  while (first > 0 && story_line(s, first - 1)->number > to) first--;
  last = first;
  while (first > 0 && shown < most) shown += !story_line(s, --first)->hidden;
  lua_Integer n = 0;
  for (; first < last; first++) {
    if (story_line(s, first)->hidden) continue;
    ltimeline_push_told(L, s, story_line(s, first));
    lua_rawseti(L, -2, ++n);
  }
  story_free(s);
  return 1;
}

static const struct rolling *ltimeline_rolling(lua_State *L) {
  const struct rolling *r = timeline_rolling(ltimeline_check(L));
  luaL_argcheck(L, r, 1, "a timeline of a simulation");
  return r;
}

/* tl:hash() */
static int ltimeline_hash(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)rolling_hash(ltimeline_rolling(L)));
  return 1;
}

/* tl:hashes([from]) -> bytes: 8 for each entry */
static int ltimeline_hashes(lua_State *L) {
  size_t count, from = (size_t)luaL_optinteger(L, 2, 1) - 1;
  const uint64_t *steps = rolling_steps(ltimeline_rolling(L), &count);
  if (from >= count) lua_pushliteral(L, "");
  else lua_pushlstring(L, (const char *)(steps + from), (count - from) * sizeof *steps);
  return 1;
}

static int64_t ltimeline_epoch_ns(lua_State *L) {
  bool is_virtual = timeline_rolling(ltimeline_check(L));
  return is_virtual ? LWORLD_EPOCH_S * 1000000000 : lworld_epoch_ns(L);
}

/* (path, comment) -> true | nil, sentence */
static int ltimeline_capture(lua_State *L) {
  struct err err;
  struct timeline *t = ltimeline_check(L);
  int64_t begin_ns = timeline_begin(t) + ltimeline_epoch_ns(L);
  bool written = capture_write(t, luaL_checkstring(L, 2), begin_ns, luaL_checkstring(L, 3), &err);
  lua_pushboolean(L, written);
  if (written) return 1;
  lua_pushnil(L);
  lua_pushstring(L, err.text);
  return 2;
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
  if (e.kind != TIMELINE_HIT) return 1;
  lua_pushstring(L, ltimeline_kinds[e.hit.up ? TIMELINE_UP : TIMELINE_DOWN]);
  lua_setfield(L, -2, "direction");
  lua_pushinteger(L, (lua_Integer)e.hit.index);
  lua_setfield(L, -2, "packet_index");
  lua_pushinteger(L, (lua_Integer)e.hit.offset);
  lua_setfield(L, -2, "offset");
  lua_pushlstring(L, (const char *)e.hit.packet.data, e.hit.packet.size);
  lua_setfield(L, -2, "bytes");
  return 1;
}

void ltimeline_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "note", ltimeline_note },       { "who", ltimeline_who },
    { "last", ltimeline_last },       { "tell", ltimeline_tell },
    { "find", ltimeline_find },       { "lines", ltimeline_lines },
    { "entry", ltimeline_entry },     { "story", ltimeline_story },
    { "capture", ltimeline_capture }, { "dropped", ltimeline_dropped },
    { "hash", ltimeline_hash },       { "hashes", ltimeline_hashes },
    { "line", ltimeline_line },       { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "timeline", ltimeline_new },
                                        { "use_timeline", ltimeline_use },
                                        { NULL, NULL } };
  lworld_class(L, LTIMELINE, methods, NULL, ltimeline_gc);
  luaL_setfuncs(L, functions, 0);
}
