#include "bind/lcheck.h"

#include "bind/ltimeline.h"
#include "bind/lworld.h"
#include "host/invariant.h"

#define LCHECK          "mqrig.core.checker"
#define LCHECK_LINE_MAX 320

/* The timeline is its first user value: it is there for as long as the checker is. */
struct lcheck {
  struct invariant *checker;
  struct timeline *timeline;
  bool observes;
};

static struct lcheck *lcheck_check(lua_State *L) {
  return luaL_checkudata(L, 1, LCHECK);
}

static void lcheck_feed(void *arg, const struct timeline_entry *e) {
  invariant_feed(arg, e);
}

/* (timeline, slack_ns, observe) */
static int lcheck_new(lua_State *L) {
  struct timeline *t = ltimeline_check(L);
  struct invariant_options options = { .slack_ns = luaL_optinteger(L, 2, 0) };
  bool observes = lua_toboolean(L, 3);
  struct lcheck *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct lcheck){ invariant_new(&options), t, observes };
  luaL_setmetatable(L, LCHECK);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (observes) {
    invariant_follow(c->checker, t);
    timeline_observe(t, lcheck_feed, c->checker);
  }
  return 1;
}

static void lcheck_let_go(struct lcheck *c) {
  if (c->observes) timeline_observe(c->timeline, NULL, NULL);
  c->observes = false;
}

static int lcheck_gc(lua_State *L) {
  struct lcheck *c = lcheck_check(L);
  lcheck_let_go(c);
  invariant_free(c->checker);
  c->checker = NULL;
  return 0;
}

static void lcheck_push_entry(lua_State *L, const struct timeline *t, uint64_t number, const char *field) {
  char line[LCHECK_LINE_MAX];
  struct timeline_entry e;
  if (!number || !timeline_get(t, number, &e) || e.kind == TIMELINE_EVENT) return;
  timeline_format(t, &e, line, sizeof line);
  lua_pushstring(L, line);
  lua_setfield(L, -2, field);
}

static void lcheck_push(lua_State *L, const struct timeline *t, const struct invariant_violation *b) {
  const struct invariant_row *row = invariant_row(b->number);
  lua_createtable(L, 0, 9);
  lua_pushinteger(L, b->number);
  lua_setfield(L, -2, "number");
  lua_pushstring(L, row->id);
  lua_setfield(L, -2, "id");
  lua_pushstring(L, row->sentence);
  lua_setfield(L, -2, "promise");
  lua_pushstring(L, b->who ? timeline_name(t, b->who) : "");
  lua_setfield(L, -2, "who");
  lua_pushstring(L, b->text);
  lua_setfield(L, -2, "text");
  lua_pushinteger(L, b->at_ns);
  lua_setfield(L, -2, "at_ns");
  lua_pushinteger(L, (lua_Integer)b->entry);
  lua_setfield(L, -2, "entry");
  lcheck_push_entry(L, t, b->cause, "cause_line");
  lcheck_push_entry(L, t, b->entry, "line");
}

/* () -> integer: how many there are so far; without observing only what was judged counts */
static int lcheck_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)invariant_violations(lcheck_check(L)->checker));
  return 1;
}

/* () -> { violation, ... }: the run is over */
static int lcheck_judge(lua_State *L) {
  struct lcheck *c = lcheck_check(L);
  int64_t now_ns = net_now(lworld_enter(L)->net) - timeline_begin(c->timeline);
  lcheck_let_go(c);
  invariant_follow(c->checker, c->timeline);
  invariant_finish(c->checker, now_ns);
  lua_newtable(L);
  for (size_t i = 0; i < invariant_violations(c->checker); i++) {
    lcheck_push(L, c->timeline, invariant_violation(c->checker, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* () -> { { id=, promise= }, ... } */
static int lcheck_invariants(lua_State *L) {
  lua_createtable(L, INVARIANT_COUNT, 0);
  for (unsigned i = 1; i <= INVARIANT_COUNT; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, invariant_row(i)->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, invariant_row(i)->sentence);
    lua_setfield(L, -2, "promise");
    lua_rawseti(L, -2, i);
  }
  return 1;
}

void lcheck_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "count", lcheck_count }, { "judge", lcheck_judge }, { NULL, NULL } };
  static const luaL_Reg functions[] = { { "checker", lcheck_new },
                                        { "invariants", lcheck_invariants },
                                        { NULL, NULL } };
  lworld_class(L, LCHECK, methods, NULL, lcheck_gc);
  luaL_setfuncs(L, functions, 0);
}
