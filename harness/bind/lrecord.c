#include "bind/lrecord.h"

#include "bind/lworld.h"
#include "fault/record.h"

#define LRECORD "mqrig.core.record"

struct lrecord {
  struct lworld_item item;
  struct record *record; /* NULL once it is closed */
};

struct record *lrecord_check(lua_State *L, int index) {
  const struct lrecord *r = luaL_checkudata(L, index, LRECORD);
  luaL_argcheck(L, r->record, index, "a capture that is open");
  return r->record;
}

static void lrecord_end(struct lworld_item *item) {
  struct lrecord *r = (struct lrecord *)item;
  if (!item->link) return;
  lworld_release(item);
  record_drop(r->record);
  r->record = NULL;
}

static int lrecord_gc(lua_State *L) {
  struct lrecord *r = luaL_checkudata(L, 1, LRECORD);
  if (lworld_peek(L)) lrecord_end(&r->item);
  return 0;
}

/* -> true | nil, sentence */
static int lrecord_close(lua_State *L) {
  struct err err;
  struct lrecord *r = luaL_checkudata(L, 1, LRECORD);
  lworld_enter(L);
  bool good = !r->record || record_close(r->record, &err);
  lrecord_end(&r->item);
  if (good) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, err.text);
  return 2;
}

/* core.record(path, comment); raises with a sentence */
static int lrecord_new(lua_State *L) {
  struct err err;
  struct lworld *w = lworld_enter(L);
  const char *path = luaL_checkstring(L, 1), *comment = luaL_checkstring(L, 2);
  struct lrecord *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = (struct lrecord){ 0 };
  r->record = record_new(w->net, path, lworld_epoch_ns(L), comment, &err);
  if (!r->record) return luaL_error(L, "%s", err.text);
  lworld_keep(w, &r->item, lrecord_end);
  luaL_setmetatable(L, LRECORD);
  return 1;
}

void lrecord_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "close", lrecord_close }, { NULL, NULL } };
  static const luaL_Reg functions[] = { { "record", lrecord_new }, { NULL, NULL } };
  lworld_class(L, LRECORD, methods, NULL, lrecord_gc);
  luaL_setfuncs(L, functions, 0);
}
