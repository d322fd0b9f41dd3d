#include "bind/lorder.h"

#include <lauxlib.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Addresses as registry keys: the numbers of userdata, the names of objects (both weak), where `next` is. */
static const char lorder_numbers_key, lorder_names_key, lorder_cursor_key;

static uint64_t lorder_made; /* objects so far */

bool lorder_counts(size_t tag) {
  return tag == LUA_TTABLE || tag == LUA_TFUNCTION || tag == LUA_TTHREAD;
}

/* A block may be larger than it was asked for: the number stands at its very end, where it is found without knowing the
 * size. Behind a pointer to the function, so that no compiler checks that against the size that was asked for. */
static size_t (*const volatile lorder_size)(void *block) = malloc_usable_size;

static void *lorder_trailer(void *block) {
  return (char *)block + lorder_size(block) - LORDER_TRAILER;
}

void lorder_stamp(void *block) {
  uint64_t number = ++lorder_made;
  memcpy(lorder_trailer(block), &number, sizeof number);
}

static void lorder_new_weak(lua_State *L, const char *key) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void lorder_number(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lorder_numbers_key);
  lua_pushvalue(L, index);
  lua_pushinteger(L, (lua_Integer)++lorder_made);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* What has no memory of its own: a C function without upvalues. It is its address. */
static bool lorder_is_light(lua_State *L, int index) {
  if (lua_islightuserdata(L, index)) return true;
  if (!lua_iscfunction(L, index)) return false;
  if (!lua_getupvalue(L, index, 1)) return true;
  lua_pop(L, 1);
  return false;
}

static uint64_t lorder_number_of(lua_State *L, int index) {
  uint64_t number;
  if (lua_type(L, index) == LUA_TUSERDATA) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lorder_numbers_key);
    lua_pushvalue(L, index < 0 ? index - 1 : index);
    lua_rawget(L, -2);
    number = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return number;
  }
  char *block = (char *)lua_topointer(L, index);
  if (lua_type(L, index) == LUA_TTHREAD) block -= LUA_EXTRASPACE;
  memcpy(&number, lorder_trailer(block), sizeof number);
  return number;
}

/* Keys in order. */

enum lorder_rank { LORDER_NUMBER, LORDER_TEXT, LORDER_BOOLEAN, LORDER_LIGHT, LORDER_OBJECT };

struct lorder_key {
  enum lorder_rank rank;
  lua_Integer place;  /* among the keys as they came */
  long double number; /* exact for integers, too */
  const char *text;
  size_t size; /* of the text; of others what orders them */
};

static struct lorder_key lorder_key_at(lua_State *L, int index) {
  struct lorder_key k = { .rank = LORDER_OBJECT };
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
    k.rank = LORDER_NUMBER;
    k.number = lua_isinteger(L, index) ? (long double)lua_tointeger(L, index) : (long double)lua_tonumber(L, index);
    break;
  case LUA_TSTRING:
    k.rank = LORDER_TEXT;
    k.text = lua_tolstring(L, index, &k.size);
    break;
  case LUA_TBOOLEAN:
    k.rank = LORDER_BOOLEAN;
    k.size = (size_t)lua_toboolean(L, index);
    break;
  default:
    if (lorder_is_light(L, index)) k.rank = LORDER_LIGHT;
    k.size = k.rank == LORDER_LIGHT ? (size_t)lua_topointer(L, index) : lorder_number_of(L, index);
  }
  return k;
}

static int lorder_compare(const void *left, const void *right) {
  const struct lorder_key *a = left, *b = right;
  if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
  if (a->rank == LORDER_NUMBER) return (a->number > b->number) - (a->number < b->number);
  if (a->rank == LORDER_TEXT) {
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    if (order) return order;
  }
  return (a->size > b->size) - (a->size < b->size);
}

/* Pushes a list of the keys of the table as they come; true if that is an order to keep: 1, 2, 3, or one key only. */
static bool lorder_push_keys(lua_State *L, int table, lua_Integer *count) {
  bool ordered = true;
  lua_Integer n = 0;
  table = lua_absindex(L, table);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, table); n++) {
    lua_pop(L, 1);
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) != n + 1) ordered = false;
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, n + 1);
  }
  *count = n;
  return ordered || n < 2;
}

/* The list on the top of the stack gives way to one in order. A userdata is the memory, so that an error loses none. */
static void lorder_sort_keys(lua_State *L, lua_Integer count) {
  struct lorder_key *keys = lua_newuserdatauv(L, (size_t)count * sizeof *keys, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    keys[i] = lorder_key_at(L, -1);
    keys[i].place = i + 1;
    lua_pop(L, 1);
  }
  qsort(keys, (size_t)count, sizeof *keys, lorder_compare);
  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, -3, keys[i].place);
    lua_rawseti(L, -2, i + 1);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* What `pairs` returns. Upvalues: the keys, how far it is. The table is its first argument. */
static int lorder_step(lua_State *L) {
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  for (;; lua_settop(L, 1)) {
    if (lua_rawgeti(L, lua_upvalueindex(1), ++at) == LUA_TNIL) return 1;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 1) != LUA_TNIL) break; /* taken out on the way */
  }
  lua_pushinteger(L, at);
  lua_replace(L, lua_upvalueindex(2));
  return 2;
}

/* The successor of the key at 2 in the table at 1: the next one in the list on the top of the stack. A key that was
 * taken out meanwhile still has its place in the order. */
static lua_Integer lorder_find(lua_State *L) {
  lua_Integer low = 1, high = (lua_Integer)lua_rawlen(L, -1) + 1;
  struct lorder_key key = lorder_key_at(L, 2);
  while (low < high) {
    lua_Integer middle = low + (high - low) / 2;
    lua_rawgeti(L, -1, middle);
    struct lorder_key other = lorder_key_at(L, -1);
    lua_pop(L, 1);
    if (lorder_compare(&other, &key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* Pushes the keys of the table at 1, those of the last call if they are still its. Returns where to look on. */
static lua_Integer lorder_resume(lua_State *L) {
  lua_Integer count;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lorder_cursor_key); /* { table, keys, place of the key returned last } */
  lua_rawgeti(L, 3, 1);
  lua_rawgeti(L, 3, 2);
  if (lua_rawequal(L, 4, 1) && lua_istable(L, 5)) { /* the collector may have taken either */
    lua_rawgeti(L, 3, 3);
    lua_Integer at = lua_tointeger(L, -1);
    lua_rawgeti(L, 5, at);
    bool same = lua_rawequal(L, -1, 2);
    lua_settop(L, 5);
    if (same) return at + 1;
  }
  lua_settop(L, 3);
  if (!lorder_push_keys(L, 1, &count)) lorder_sort_keys(L, count);
  lua_pushvalue(L, 1);
  lua_rawseti(L, 3, 1);
  lua_pushvalue(L, 4);
  lua_rawseti(L, 3, 2);
  lua_pushvalue(L, 4);
  return lua_isnil(L, 2) ? 1 : lorder_find(L);
}

/* core.next(table [, key]) */
static int lorder_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  lua_Integer at = lorder_resume(L);
  while (lua_rawgeti(L, -1, at) != LUA_TNIL) {
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) != LUA_TNIL) {
      lua_pushinteger(L, at);
      lua_rawseti(L, 3, 3);
      return 2;
    }
    lua_pop(L, 2);
    at++;
  }
  return 1;
}

/* core.pairs(value) */
static int lorder_pairs(lua_State *L) {
  lua_Integer count;
  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 3);
    return 3;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (!lorder_push_keys(L, 1, &count)) lorder_sort_keys(L, count);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, lorder_step, 2);
  lua_insert(L, 1);
  lua_pushnil(L);
  return 3;
}

/* Sorting. */

/* Whether the first of the two values on the top of the stack comes behind the second; takes both off. */
static bool lorder_is_behind(lua_State *L) {
  bool behind;
  if (lua_isnil(L, 2)) {
    behind = lua_compare(L, -1, -2, LUA_OPLT);
    lua_pop(L, 2);
    return behind;
  }
  lua_pushvalue(L, 2);
  lua_insert(L, -3);
  lua_insert(L, -2);
  lua_call(L, 2, 1);
  behind = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return behind;
}

/* Merges [low, middle) and [middle, high) of the list at 3 into that at 4. */
static void lorder_merge(lua_State *L, lua_Integer low, lua_Integer middle, lua_Integer high) {
  lua_Integer left = low, right = middle;
  for (lua_Integer to = low; to < high; to++) {
    bool take_right = left == middle;
    if (!take_right && right < high) {
      lua_rawgeti(L, 3, left);
      lua_rawgeti(L, 3, right);
      take_right = lorder_is_behind(L);
    }
    lua_rawgeti(L, 3, take_right ? right++ : left++);
    lua_rawseti(L, 4, to);
  }
}

/* core.sort(list [, is_less]): as table.sort, but what is equal keeps its order. */
static int lorder_sort(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_Integer count = luaL_len(L, 1);
  luaL_argcheck(L, count < INT32_MAX, 1, "array too big");
  lua_settop(L, 2);
  lua_createtable(L, (int)count, 0);
  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, 1, i);
    lua_rawseti(L, 3, i);
  }
  for (lua_Integer width = 1; width < count; width *= 2) {
    for (lua_Integer low = 1; low <= count; low += 2 * width) {
      lua_Integer middle = low + width <= count ? low + width : count + 1;
      lua_Integer high = middle + width <= count ? middle + width : count + 1;
      lorder_merge(L, low, middle, high);
    }
    lua_insert(L, 3); /* what was merged is what is merged next */
  }
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 3, i);
    lua_seti(L, 1, i);
  }
  return 0;
}

/* Names. */

/* core.text(value): as tostring, but objects are numbered in the order in which they are asked for. */
static int lorder_text(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  int type = lua_type(L, 1);
  bool is_object = type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TTHREAD ||
                   type == LUA_TLIGHTUSERDATA;
  if (!is_object || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
    luaL_tolstring(L, 1, NULL);
    return 1;
  }
  const char *kind = luaL_typename(L, 1);
  if (luaL_getmetafield(L, 1, "__name") == LUA_TSTRING) kind = lua_tostring(L, -1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lorder_names_key);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 0); /* how many there are */
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_replace(L, -2);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, 0);
  }
  lua_pushfstring(L, "%s: %I", kind, lua_tointeger(L, -1));
  return 1;
}

/* core.forget_names(): naming begins anew. */
static int lorder_forget_names(lua_State *L) {
  lorder_new_weak(L, &lorder_names_key);
  return 0;
}

void lorder_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "next", lorder_next },
    { "pairs", lorder_pairs },
    { "sort", lorder_sort },
    { "text", lorder_text },
    { "forget_names", lorder_forget_names },
    { NULL, NULL },
  };
  lorder_new_weak(L, &lorder_numbers_key);
  lorder_new_weak(L, &lorder_names_key);
  lua_createtable(L, 3, 0);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v"); /* a table that was walked lives no longer for that */
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lorder_cursor_key);
  luaL_setfuncs(L, functions, 0);
}
