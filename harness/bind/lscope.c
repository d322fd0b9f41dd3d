#include "bind/lscope.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bind/lguard.h"
#include "bind/lpacket.h"
#include "fault/inject.h"
#include "fault/relay.h"
#include "fault/syscall.h"
#include "fault/tlsrule.h"
#include "net/tls.h"

#define LSCOPE      "mqrig.core.scope"
#define LSCOPE_RULE "mqrig.core.rule"
#define LSCOPE_SEED 0x6d71726967 /* a place of its own in the space of seeds; core.seed replaces it */

struct lscope {
  struct lworld *world;
  struct scope *scope;
  void *owner; /* NULL once it is gone */
  lscope_each *each;
  uint32_t (*fired)(void *owner, const struct scope_firing *f);
  void (*added)(void *owner);
  int holders;
};

struct lscope_rule_box {
  struct lscope *place;
  struct scope_rule *rule;
};

static uint64_t lscope_seed = LSCOPE_SEED;

const struct scope_place lscope_of_connection = {
  .name = "a single connection",
  .never_connects = true,
  .never_accepts = true,
};

struct scope *lscope_engine(const struct lscope *s) {
  return s->scope;
}

static const enum timeline_fate lscope_fates[] = {
  [SCOPE_PASSES] = TIMELINE_PASSES,
  [SCOPE_TAKEN] = TIMELINE_TAKEN,
  [SCOPE_CUT] = TIMELINE_CUT,
};

/* Without the privilege for it, a connection is only not read any more: said where it happens. */
static void lscope_note_vanish(struct lworld *w, uint32_t who, const char *verb) {
  struct err why;
  if (strcmp(verb, "vanish") != 0 || !w->timeline || net_can_vanish(w->net, &why)) return;
  timeline_note(w->timeline, net_now(w->net), who, TIMELINE_NOTE, "%s; it is not read any more instead", why.text);
}

static void lscope_fired(void *arg, const struct scope_firing *f) {
  struct lscope *s = arg;
  struct timeline *t = s->world->timeline;
  uint32_t who = s->fired && s->owner ? s->fired(s->owner, f) : (uint32_t)(uintptr_t)f->conn;
  char text[RULE_TEXT_MAX];
  if (!t) return;
  rule_print(scope_rule_of(f->rule), text, sizeof text);
  if (!f->packet.size) {
    char where[112] = "";
    if (f->call) snprintf(where, sizeof where, " (%s)", f->call);
    if (f->stream_offset) snprintf(where, sizeof where, " (at byte %llu)", (unsigned long long)f->stream_offset);
    timeline_note(t, f->at_ns, who, TIMELINE_FAULT, "%s%s", text, where);
    lscope_note_vanish(s->world, who, f->text);
    return;
  }
  timeline_add_hit(t, f->at_ns, who, text,
                   &(struct timeline_hit){ .up = f->up,
                                           .fate = lscope_fates[f->fate],
                                           .at = (uint32_t)f->packet_at,
                                           .index = f->packet_index,
                                           .offset = f->stream_offset - f->packet_at,
                                           .packet = f->packet });
  lscope_note_vanish(s->world, who, f->text);
}

struct lscope *lscope_new(lua_State *L, void *owner, lscope_each *each) {
  struct lscope *s = mem_zero(sizeof *s);
  *s = (struct lscope){ .world = lworld_enter(L), .owner = owner, .each = each, .holders = 1 };
  s->scope = scope_new(lscope_seed, lscope_fired, s);
  return s;
}

void lscope_watch(struct lscope *s, uint32_t (*fired)(void *owner, const struct scope_firing *f)) {
  s->fired = fired;
}

void lscope_on_rule(struct lscope *s, void (*added)(void *owner)) {
  s->added = added;
}

static void lscope_drop(struct lscope *s) {
  if (--s->holders > 0) return;
  scope_free(s->scope);
  free(s);
}

void lscope_detach(struct lscope *s) {
  if (!s) return;
  s->owner = NULL;
  scope_set_place(s->scope, &(struct scope_place){ 0 });
  lscope_drop(s);
}

void lscope_push(lua_State *L, struct lscope *s, int anchor) {
  anchor = lua_absindex(L, anchor);
  struct lscope **box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = s;
  s->holders++;
  luaL_setmetatable(L, LSCOPE);
  lua_pushvalue(L, anchor);
  lua_setiuservalue(L, -2, 1);
}

static struct lscope *lscope_check(lua_State *L) {
  return *(struct lscope **)luaL_checkudata(L, 1, LSCOPE);
}

static int lscope_gc(lua_State *L) {
  struct lscope **box = luaL_checkudata(L, 1, LSCOPE);
  lworld_peek(L); /* who called in last may be collected already */
  if (*box) lscope_drop(*box);
  *box = NULL;
  return 0;
}

struct oscall_hook *lscope_hook(struct lscope *s, uint32_t who) {
  if (!scope_has_calls(s->scope)) return NULL;
  return syscall_new(s->scope, s->world->net, (void *)(uintptr_t)who);
}

/* A stream that is there already, and has no hook. */
static void lscope_put_hook(struct lscope *s, const struct lscope_conn *conn) {
  struct stream *stream = conn->relay ? NULL : chain_stream(conn->chain);
  if (stream && scope_has_calls(s->scope) && !oscall_hooks_stream(stream))
    oscall_on_stream(stream, lscope_hook(s, conn->who));
}

static void lscope_put_filter(void *arg, const struct lscope_conn *conn) {
  struct lscope *s = arg;
  lscope_put_hook(s, conn);
  if (scope_is_empty(s->scope)) return;
  if (conn->relay) {
    relay_join(conn->relay, s->scope, conn->relay_tag);
    return;
  }
  if (*conn->joined) return;
  *conn->joined = true;
  void *who = (void *)(uintptr_t)conn->who;
  if (s->world->timeline) timeline_join(s->world->timeline, conn->who);
  struct filter *filter = inject_new(s->scope, who, conn->out_is_up, conn->partial_out, conn->partial_in);
  if (conn->client_id.data) inject_meet(filter, conn->client_id);
  inject_push(conn->chain, filter);
}

void lscope_join(struct lscope *s, const struct lscope_conn *conn) {
  lscope_put_filter(s, conn);
}

enum scope_entry lscope_enter(struct lscope *s, bool accept, int64_t *delay_ns) {
  return scope_enter(s->scope, accept, net_now(s->world->net), delay_ns);
}

bool lscope_tls(struct lscope *s, uint32_t who, struct tls_orders *to, const char **cert) {
  struct tlsrule *t = tlsrule_new(s->scope, 0, s->world->net, (void *)(uintptr_t)who);
  *cert = NULL;
  if (!t) return false;
  if (t->cert) tlsrule_done(t, TLSRULE_CERT);
  *cert = t->cert;
  *to = tlsrule_orders(t);
  return true;
}

/* What a script adds to a rule: functions, kept in the registry. */

struct lscope_script {
  struct lworld *world;
  int where, rewrite; /* references, or LUA_NOREF */
};

static bool lscope_ask(struct lscope_script *s, const struct packet *p) {
  lua_State *L = s->world->L;
  luaL_checkstack(L, 8, "rule");
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->where);
  lpacket_push(L, p);
  if (!lworld_call(s->world, 1, 1)) return false;
  bool answer = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return answer;
}

static bool lscope_where(void *arg, const struct packet *p) {
  bool trusted = lguard_trust(true), answer = lscope_ask(arg, p);
  lguard_trust(trusted);
  return answer;
}

/* Protected: lpacket_build raises for a table that is no packet. */
static int lscope_build(lua_State *L) {
  struct buffer *out = lua_touserdata(L, 2);
  lpacket_build(L, 1, SPEC_3_1_1, out);
  return 0;
}

static bool lscope_change(struct lscope_script *s, const struct packet *p, struct buffer *out) {
  lua_State *L = s->world->L;
  luaL_checkstack(L, 8, "rule");
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->rewrite);
  lpacket_push(L, p);
  lua_pushvalue(L, -1);
  lua_insert(L, -3); /* the packet stays below: a function may change it and return nothing */
  bool good = lworld_call(s->world, 1, 1);
  if (good && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "raw");
    lua_pushnil(L);
    lua_setfield(L, -2, "flags");
    lua_pushvalue(L, -1);
  }
  bool dropped = good && lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  if (good && !dropped) {
    lua_pushcfunction(L, lscope_build);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, out);
    good = lworld_call(s->world, 2, 0);
  } else if (good) {
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return good;
}

static bool lscope_rewrite(void *arg, const struct packet *p, struct buffer *out) {
  bool trusted = lguard_trust(true), good = lscope_change(arg, p, out);
  lguard_trust(trusted);
  return good;
}

static void lscope_script_free(void *arg) {
  struct lscope_script *s = arg;
  luaL_unref(s->world->L, LUA_REGISTRYINDEX, s->where);
  luaL_unref(s->world->L, LUA_REGISTRYINDEX, s->rewrite);
  free(s);
}

static int lscope_function_ref(lua_State *L, int table, const char *name) {
  if (lua_getfield(L, table, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return LUA_NOREF;
  }
  luaL_checktype(L, -1, LUA_TFUNCTION);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void lscope_add_script(lua_State *L, struct lscope *s, struct rule *rule) {
  static const char *const names[] = { "where", "rewrite", NULL };
  if (lua_isnoneornil(L, 3)) return;
  lworld_check_keys(L, 3, "rule", names);
  struct lscope_script *script = mem_zero(sizeof *script);
  script->world = s->world;
  script->where = lscope_function_ref(L, 3, "where");
  script->rewrite = lscope_function_ref(L, 3, "rewrite");
  rule_set_hooks(rule, &(struct rule_hooks){ .where = script->where != LUA_NOREF ? lscope_where : NULL,
                                             .rewrite = script->rewrite != LUA_NOREF ? lscope_rewrite : NULL,
                                             .free = lscope_script_free,
                                             .arg = script });
}

static int lscope_rule(lua_State *L) {
  struct err err;
  struct lscope *s = lscope_check(L);
  lworld_enter(L);
  struct rule *rule = rule_parse(luaL_checkstring(L, 2), &err);
  if (!rule) return luaL_error(L, "%s", err.text);
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  lscope_add_script(L, s, rule);
  struct lscope_rule_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = (struct lscope_rule_box){ 0 };
  luaL_setmetatable(L, LSCOPE_RULE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  box->rule = scope_add(s->scope, rule, &err);
  if (!box->rule) return luaL_error(L, "%s", err.text);
  box->place = s;
  s->holders++;
  if (s->owner) s->each(s->owner, lscope_put_filter, s);
  if (s->owner && s->added) s->added(s->owner);
  return 1;
}

/* Actions now. */

static void lscope_do_rst(lua_State *L, struct chain *c) {
  (void)L;
  chain_reset(c);
}

static void lscope_do_fin(lua_State *L, struct chain *c) {
  (void)L;
  chain_fin(c, CHAIN_OUT);
}

/* Where it cannot, that is on the timeline, and core.can_vanish says it. */
static void lscope_do_vanish(lua_State *L, struct chain *c) {
  (void)L;
  chain_vanish(c, NULL);
}

static void lscope_do_stall(lua_State *L, struct chain *c) {
  (void)L;
  chain_stall(c, CHAIN_STALL_NOW, true);
}

static void lscope_do_resume(lua_State *L, struct chain *c) {
  (void)L;
  chain_stall(c, CHAIN_STALL_NOW, false);
}

static void lscope_do_close(lua_State *L, struct chain *c) {
  (void)L;
  chain_close(c);
}

/* Its name stands behind the verb. */
static void lscope_do_alert(lua_State *L, struct chain *c) {
  struct err err;
  if (!tls_alert(c, luaL_checkstring(L, 3), net_now(lworld_peek(L)->net), &err)) luaL_error(L, "%s", err.text);
}

static void lscope_relay_rst(lua_State *L, struct relay *r) {
  (void)L;
  relay_reset(r, "reset by the scenario");
}

static void lscope_relay_fin(lua_State *L, struct relay *r) {
  (void)L;
  relay_fin(r, true, true);
}

static void lscope_relay_vanish(lua_State *L, struct relay *r) {
  (void)L;
  relay_vanish(r, NULL);
}

static void lscope_relay_stall(lua_State *L, struct relay *r) {
  (void)L;
  relay_stall(r, true);
}

static void lscope_relay_resume(lua_State *L, struct relay *r) {
  (void)L;
  relay_stall(r, false);
}

static void lscope_relay_close(lua_State *L, struct relay *r) {
  (void)L;
  relay_close(r, "closed by the scenario");
}

static void lscope_relay_alert(lua_State *L, struct relay *r) {
  (void)r;
  luaL_error(L, "a proxy does not send alerts: an end of the connection does");
}

static const struct lscope_verb {
  const char *name;
  void (*on_chain)(lua_State *L, struct chain *c);
  void (*on_relay)(lua_State *L, struct relay *r);
} lscope_verbs[] = {
  { "rst", lscope_do_rst, lscope_relay_rst },          { "fin", lscope_do_fin, lscope_relay_fin },
  { "vanish", lscope_do_vanish, lscope_relay_vanish }, { "stall", lscope_do_stall, lscope_relay_stall },
  { "resume", lscope_do_resume, lscope_relay_resume }, { "close", lscope_do_close, lscope_relay_close },
  { "alert", lscope_do_alert, lscope_relay_alert },
};
#define LSCOPE_VERBS (sizeof lscope_verbs / sizeof *lscope_verbs)

/* The verb by its name, which goes on the timeline. */
static const struct lscope_verb *lscope_begin_act(lua_State *L, int index, uint32_t who) {
  struct lworld *w = lworld_peek(L);
  const char *name = luaL_checkstring(L, index);
  size_t i = 0;
  while (i < LSCOPE_VERBS && strcmp(lscope_verbs[i].name, name) != 0) i++;
  if (i == LSCOPE_VERBS) luaL_argerror(L, index, lua_pushfstring(L, "invalid option '%s'", name));
  const char *more = luaL_optstring(L, index + 1, "");
  if (w->timeline) {
    timeline_note(w->timeline, net_now(w->net), who, TIMELINE_FAULT, "%s%s%s now", name, *more ? " " : "", more);
  }
  lscope_note_vanish(w, who, name);
  return &lscope_verbs[i];
}

void lscope_act(lua_State *L, int index, uint32_t who, struct chain *chain) {
  lscope_begin_act(L, index, who)->on_chain(L, chain);
}

void lscope_act_relay(lua_State *L, int index, uint32_t who, struct relay *relay) {
  lscope_begin_act(L, index, who)->on_relay(L, relay);
}

static void lscope_act_on(void *arg, const struct lscope_conn *conn) {
  if (conn->relay) lscope_act_relay(arg, 2, conn->who, conn->relay);
  else lscope_act(arg, 2, conn->who, conn->chain);
}

static void lscope_count(void *arg, const struct lscope_conn *conn) {
  (void)conn;
  ++*(int *)arg;
}

/* Returns on how many connections. */
static int lscope_act_all(lua_State *L) {
  int count = 0;
  struct lscope *s = lscope_check(L);
  lworld_enter(L);
  if (s->owner) s->each(s->owner, lscope_count, &count);
  if (s->owner) s->each(s->owner, lscope_act_on, L);
  lua_pushinteger(L, count);
  return 1;
}

/* Rule handles. */

static struct lscope_rule_box *lscope_check_rule(lua_State *L) {
  struct lscope_rule_box *box = luaL_checkudata(L, 1, LSCOPE_RULE);
  luaL_argcheck(L, box->rule, 1, "a rule that was installed");
  return box;
}

static int lscope_rule_gc(lua_State *L) {
  struct lscope_rule_box *box = luaL_checkudata(L, 1, LSCOPE_RULE);
  lworld_peek(L);
  if (box->place) lscope_drop(box->place);
  *box = (struct lscope_rule_box){ 0 };
  return 0;
}

static int lscope_rule_off(lua_State *L) {
  lworld_enter(L);
  scope_remove(lscope_check_rule(L)->rule);
  return 0;
}

static int lscope_rule_release(lua_State *L) {
  lworld_enter(L);
  lua_Integer n = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, n >= 0 && (n > 0 || lua_isnoneornil(L, 2)), 2, "at least one packet");
  lua_pushinteger(L, (lua_Integer)scope_release(lscope_check_rule(L)->rule, (size_t)n));
  return 1;
}

static int lscope_rule_text(lua_State *L) {
  char text[RULE_TEXT_MAX];
  rule_print(scope_rule_of(lscope_check_rule(L)->rule), text, sizeof text);
  lua_pushstring(L, text);
  return 1;
}

static int lscope_rule_met(lua_State *L) {
  struct err why = { "" };
  bool met = scope_met(lscope_check_rule(L)->rule, &why);
  lua_pushboolean(L, met);
  if (met) return 1;
  lua_pushstring(L, why.text);
  return 2;
}

static int lscope_rule_index(lua_State *L) {
  const char *key = luaL_checkstring(L, 2);
  struct lscope_rule_box *box = lscope_check_rule(L);
  if (strcmp(key, "seen") == 0) lua_pushinteger(L, (lua_Integer)scope_seen(box->rule));
  else if (strcmp(key, "number") == 0) lua_pushinteger(L, (lua_Integer)scope_number(box->rule));
  else if (strcmp(key, "fired") == 0) lua_pushinteger(L, (lua_Integer)scope_fired(box->rule));
  else lua_getfield(L, lua_upvalueindex(1), key);
  return 1;
}

/* core.can_vanish() -> true | false, sentence */
static int lscope_can_vanish(lua_State *L) {
  struct err why = { "" };
  bool can = net_can_vanish(lworld_enter(L)->net, &why);
  lua_pushboolean(L, can);
  if (can) return 1;
  lua_pushfstring(L, "%s; it is not read any more instead", why.text);
  return 2;
}

/* core.rule_check(text) -> canonical text | nil, sentence */
static int lscope_rule_check(lua_State *L) {
  struct err err;
  char text[RULE_TEXT_MAX];
  struct rule *rule = rule_parse(luaL_checkstring(L, 1), &err);
  if (!rule) {
    lua_pushnil(L);
    lua_pushstring(L, err.text);
    return 2;
  }
  rule_print(rule, text, sizeof text);
  rule_free(rule);
  lua_pushstring(L, text);
  return 1;
}

/* core.seed(n): what the draws of scopes made from now on begin with. */
static int lscope_set_seed(lua_State *L) {
  lscope_seed = (uint64_t)luaL_checkinteger(L, 1);
  return 0;
}

void lscope_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "rule", lscope_rule }, { "act", lscope_act_all }, { NULL, NULL } };
  static const luaL_Reg rule_methods[] = {
    { "off", lscope_rule_off },
    { "release", lscope_rule_release },
    { "text", lscope_rule_text },
    { "met", lscope_rule_met },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "rule_check", lscope_rule_check },
                                        { "can_vanish", lscope_can_vanish },
                                        { "seed", lscope_set_seed },
                                        { NULL, NULL } };
  lworld_class(L, LSCOPE, methods, NULL, lscope_gc);
  lworld_class(L, LSCOPE_RULE, rule_methods, lscope_rule_index, lscope_rule_gc);
  luaL_setfuncs(L, functions, 0);
}
