#include "bind/ltls.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/pki.h"

#define LTLS_CONFIG "mqrig.core.tlsconfig"
#define LTLS_PKI    "mqrig.core.pki"
#define LTLS_MADE   "mqrig.tlsconfigs" /* in the registry: what was made, by table of options, weakly */

/* User value 1: the options as one text. */
struct ltls_config {
  struct lworld_item item;
  struct tlsconfig *config;
};

static void ltls_end(struct lworld_item *item) {
  struct ltls_config *c = (struct ltls_config *)item;
  if (!item->link) return;
  lworld_release(item);
  tlsconfig_free(c->config);
  c->config = NULL;
}

static int ltls_gc(lua_State *L) {
  struct ltls_config *c = luaL_checkudata(L, 1, LTLS_CONFIG);
  if (lworld_peek(L)) ltls_end(&c->item);
  return 0;
}

/* Options. Texts are borrowed from the table. */

static const char *ltls_whole_text(lua_State *L, const char *name) {
  char what[32];
  snprintf(what, sizeof what, "tls.%s", name);
  return lworld_text(L, -1, what);
}

static const char *const ltls_names[] = {
  "ca",      "crl",         "cert",        "key",    "passphrase",   "psk",    "psk_identity", "server_name", "alpn",
  "ciphers", "min_version", "max_version", "keylog", "fragment_max", "resume", "insecure",     NULL,
};

static const char *ltls_text(lua_State *L, int table, const char *name) {
  const char *text = NULL;
  int type = lua_getfield(L, table, name);
  if (type == LUA_TSTRING) text = ltls_whole_text(L, name);
  else if (type != LUA_TNIL) luaL_error(L, "tls.%s is a text, not a %s", name, luaL_typename(L, -1));
  lua_pop(L, 1);
  return text;
}

/* A text, or a list of up to `most`. */
static void ltls_list(lua_State *L, int table, const char *name, const char **to, int most) {
  int type = lua_getfield(L, table, name);
  if (type == LUA_TSTRING) {
    to[0] = ltls_whole_text(L, name);
  } else if (type == LUA_TTABLE) {
    lua_Integer count = luaL_len(L, -1);
    if (count > most) luaL_error(L, "tls.%s has at most %d entries, not %I", name, most, count);
    for (lua_Integer i = 1; i <= count; i++) {
      if (lua_rawgeti(L, -1, i) != LUA_TSTRING) luaL_error(L, "tls.%s is a list of texts", name);
      to[i - 1] = ltls_whole_text(L, name);
      lua_pop(L, 1);
    }
  } else if (type != LUA_TNIL) {
    luaL_error(L, "tls.%s is a text or a list of texts, not a %s", name, luaL_typename(L, -1));
  }
  lua_pop(L, 1);
}

static bool ltls_boolean(lua_State *L, int table, const char *name) {
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) {
    luaL_error(L, "tls.%s is true or false, not a %s", name, luaL_typename(L, -1));
  }
  bool v = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return v;
}

/* A server takes clients back that ask for it; a client asks only when told to. */
static enum tlsconfig_resume ltls_resume(lua_State *L, int table, enum tlsconfig_role role) {
  enum tlsconfig_resume v = role == TLSCONFIG_SERVER ? TLSCONFIG_RESUME_ANY : TLSCONFIG_RESUME_NO;
  int type = lua_getfield(L, table, "resume");
  struct slice text = type == LUA_TSTRING ? lworld_slice(L, -1) : slice_of(NULL, 0);
  if (type == LUA_TBOOLEAN) v = lua_toboolean(L, -1) ? TLSCONFIG_RESUME_ANY : TLSCONFIG_RESUME_NO;
  else if (slice_equal(text, slice_text("tickets"))) v = TLSCONFIG_RESUME_TICKETS;
  else if (slice_equal(text, slice_text("ids"))) v = TLSCONFIG_RESUME_IDS;
  else if (type != LUA_TNIL) luaL_error(L, "tls.resume is true, false, \"tickets\" or \"ids\"");
  lua_pop(L, 1);
  return v;
}

static size_t ltls_fragment(lua_State *L, int table) {
  int is_integer = 1;
  lua_Integer v = 0;
  if (lua_getfield(L, table, "fragment_max") != LUA_TNIL) v = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || v < 0) luaL_error(L, "tls.fragment_max is a number of bytes");
  lua_pop(L, 1);
  return (size_t)v;
}

/* Captures of anything that a program does can be read with the keys that SSLKEYLOGFILE asks for. */
static void ltls_options(lua_State *L, int table, enum tlsconfig_role role, struct tlsconfig_options *o) {
  lworld_check_keys(L, table, "tls", ltls_names);
  *o = (struct tlsconfig_options){
    .ca = ltls_text(L, table, "ca"),
    .crl = ltls_text(L, table, "crl"),
    .cert = ltls_text(L, table, "cert"),
    .key = ltls_text(L, table, "key"),
    .passphrase = ltls_text(L, table, "passphrase"),
    .psk = ltls_text(L, table, "psk"),
    .psk_identity = ltls_text(L, table, "psk_identity"),
    .server_name = ltls_text(L, table, "server_name"),
    .min_version = ltls_text(L, table, "min_version"),
    .max_version = ltls_text(L, table, "max_version"),
    .keylog = ltls_text(L, table, "keylog"),
    .fragment_max = ltls_fragment(L, table),
    .resume = ltls_resume(L, table, role),
    .insecure = ltls_boolean(L, table, "insecure"),
  };
  ltls_list(L, table, "alpn", o->alpn, TLSCONFIG_ALPN_MAX);
  ltls_list(L, table, "ciphers", o->ciphers, TLSCONFIG_CIPHERS_MAX);
  if (!o->keylog) o->keylog = getenv("SSLKEYLOGFILE");
  if (role == TLSCONFIG_SERVER && o->insecure)
    luaL_error(L, "tls.insecure is for clients: a server asks for a "
                  "client's certificate only where tls.ca is given");
  if (role == TLSCONFIG_SERVER && o->server_name) luaL_error(L, "tls.server_name is for clients");
}

/* All values as one text, so that a change of any shows. */
static void ltls_push_print(lua_State *L, int table, enum tlsconfig_role role) {
  luaL_Buffer b;
  int values = lua_gettop(L) + 1;
  lua_newtable(L);
  for (int i = 0; ltls_names[i]; i++) {
    lua_getfield(L, table, ltls_names[i]);
    if (lua_istable(L, -1)) {
      lua_Integer count = luaL_len(L, -1);
      for (lua_Integer k = 1; k <= count; k++) {
        lua_rawgeti(L, values + 1, k);
        lua_rawseti(L, values, luaL_len(L, values) + 1);
      }
    } else {
      luaL_tolstring(L, -1, NULL);
      lua_rawseti(L, values, luaL_len(L, values) + 1);
    }
    lua_settop(L, values);
  }
  luaL_buffinit(L, &b);
  luaL_addstring(&b, role == TLSCONFIG_SERVER ? "server" : "client");
  for (lua_Integer i = 1, count = luaL_len(L, values); i <= count; i++) {
    luaL_addchar(&b, '\n');
    lua_rawgeti(L, values, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_remove(L, values);
}

/* With the print on the top, which it takes: pushes a new one. */
static struct ltls_config *ltls_new(lua_State *L, int table, const char *field, enum tlsconfig_role role) {
  struct err err;
  struct tlsconfig_options o;
  struct lworld *w = lworld_enter(L);
  ltls_options(L, table, role, &o);
  if (strcmp(field, "upstream_tls") == 0) o.called = "upstream_tls.";
  struct ltls_config *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct ltls_config){ .config = tlsconfig_new(w->net, role, &o, &err) };
  if (!c->config) luaL_error(L, "%s", err.text);
  lworld_keep(w, &c->item, ltls_end);
  luaL_setmetatable(L, LTLS_CONFIG);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  return c;
}

/* The userdata made for this table before, if nothing has changed in it. On top: the print, then what was made. */
static struct ltls_config *ltls_made(lua_State *L, int table) {
  lua_pushvalue(L, table);
  lua_rawget(L, -2);
  struct ltls_config *c = luaL_testudata(L, -1, LTLS_CONFIG);
  if (!c || !c->config) {
    lua_pop(L, 1);
    return NULL;
  }
  lua_getiuservalue(L, -1, 1);
  bool same = lua_rawequal(L, -1, -4);
  lua_pop(L, 2);
  return same ? c : NULL;
}

/* For a URL that needs TLS where nothing is said of it: one table for all of them. */
static void ltls_push_plain(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LTLS_MADE);
  if (lua_getfield(L, -1, "plain") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "plain");
  }
  lua_remove(L, -2);
}

struct tlsconfig *ltls_config_of(lua_State *L, int index, const char *field, enum tlsconfig_role role, bool needed) {
  int top = lua_gettop(L), table = top + 1;
  int type = lua_istable(L, index) ? lua_getfield(L, index, field) : (lua_pushnil(L), LUA_TNIL);
  if (type == LUA_TNIL && needed) ltls_push_plain(L), lua_replace(L, table);
  else if (type != LUA_TNIL && type != LUA_TTABLE)
    luaL_error(L, "tls is a table of options, not a %s", luaL_typename(L, -1));
  if (lua_isnil(L, table)) {
    lua_settop(L, top);
    return NULL;
  }
  ltls_push_print(L, table, role);
  lua_getfield(L, LUA_REGISTRYINDEX, LTLS_MADE);
  struct ltls_config *c = ltls_made(L, table);
  if (!c) {
    lua_pushvalue(L, table);
    lua_pushvalue(L, -3);
    c = ltls_new(L, table, field, role);
    lua_rawset(L, -3);
  }
  lua_settop(L, top);
  return c->config;
}

struct tlsconfig *ltls_config(lua_State *L, int index, enum tlsconfig_role role, bool needed) {
  return ltls_config_of(L, index, "tls", role, needed);
}

/* core.tls_server { tls = options }: the same as a value, for a peer that shows another certificate. */
static int ltls_server(lua_State *L) {
  ltls_config(L, 1, TLSCONFIG_SERVER, false);
  lua_getfield(L, LUA_REGISTRYINDEX, LTLS_MADE);
  lua_getfield(L, 1, "tls");
  lua_rawget(L, -2);
  return 1;
}

struct tlsconfig *ltls_given(lua_State *L, int index) {
  struct ltls_config *c = luaL_testudata(L, index, LTLS_CONFIG);
  return c ? c->config : NULL;
}

/* core.trust(ca): whom clients trust that say nothing of TLS; nil: whom the system trusts. */
static int ltls_trust(lua_State *L) {
  lua_settop(L, 1);
  ltls_push_plain(L);
  lua_insert(L, 1);
  lua_setfield(L, 1, "ca");
  return 0;
}

/* core.pki */

struct ltls_pki {
  struct lworld_item item;
  struct pki *pki;
};

static void ltls_pki_end(struct lworld_item *item) {
  struct ltls_pki *p = (struct ltls_pki *)item;
  if (!item->link) return;
  lworld_release(item);
  pki_free(p->pki);
  p->pki = NULL;
}

static int ltls_pki_gc(lua_State *L) {
  struct ltls_pki *p = luaL_checkudata(L, 1, LTLS_PKI);
  if (lworld_peek(L)) ltls_pki_end(&p->item);
  return 0;
}

static struct ltls_pki *ltls_pki_check(lua_State *L) {
  struct ltls_pki *p = luaL_checkudata(L, 1, LTLS_PKI);
  luaL_argcheck(L, p->pki, 1, "a PKI that still is");
  return p;
}

static int ltls_pki_new(lua_State *L) {
  const char *names[PKI_NAMES_MAX + 2] = { NULL };
  struct err err;
  struct lworld *w = lworld_enter(L);
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) {
    luaL_checktype(L, 1, LUA_TTABLE);
    for (lua_Integer i = 1, count = luaL_len(L, 1); i <= count && i <= PKI_NAMES_MAX + 1; i++) {
      if (lua_rawgeti(L, 1, i) != LUA_TSTRING) return luaL_error(L, "hosts is a list of names and addresses");
      names[i - 1] = lua_tostring(L, -1);
      lua_pop(L, 1);
    }
  }
  struct ltls_pki *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (struct ltls_pki){ .pki = pki_new(w->net, names, &err) };
  if (!p->pki) return luaL_error(L, "%s", err.text);
  lworld_keep(w, &p->item, ltls_pki_end);
  luaL_setmetatable(L, LTLS_PKI);
  return 1;
}

static int ltls_pki_ca(lua_State *L) {
  lua_pushstring(L, pki_ca(ltls_pki_check(L)->pki));
  return 1;
}

static int ltls_pki_crl(lua_State *L) {
  lua_pushstring(L, pki_crl(ltls_pki_check(L)->pki));
  return 1;
}

static int ltls_pki_stranger(lua_State *L) {
  lua_pushstring(L, pki_stranger(ltls_pki_check(L)->pki));
  return 1;
}

/* pki:pair("server" | "client", kind) */
static int ltls_pki_pair(lua_State *L) {
  static const char *const roles[] = { "server", "client", NULL };
  struct ltls_pki *p = ltls_pki_check(L);
  enum pki_role role = (enum pki_role)luaL_checkoption(L, 2, NULL, roles);
  enum pki_kind kind = pki_kind_of(luaL_checkstring(L, 3));
  luaL_argcheck(L, kind < PKI_KINDS, 3, "a kind of certificate");
  struct pki_pair pair = pki_pair(p->pki, role, kind);
  lua_pushstring(L, pair.certificate);
  lua_pushstring(L, pair.key);
  return 2;
}

static int ltls_kinds(lua_State *L) {
  lua_newtable(L);
  for (int kind = 0; kind < PKI_KINDS; kind++) {
    lua_pushstring(L, pki_kind_name((enum pki_kind)kind));
    lua_rawseti(L, -2, kind + 1);
  }
  return 1;
}

static void ltls_open_made(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, LTLS_MADE);
}

void ltls_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "ca", ltls_pki_ca },     { "crl", ltls_pki_crl },  { "stranger", ltls_pki_stranger },
    { "pair", ltls_pki_pair }, { "close", ltls_pki_gc }, { NULL, NULL },
  };
  static const luaL_Reg functions[] = { { "pki", ltls_pki_new },
                                        { "pki_kinds", ltls_kinds },
                                        { "trust", ltls_trust },
                                        { "tls_server", ltls_server },
                                        { NULL, NULL } };
  ltls_open_made(L);
  lworld_class(L, LTLS_CONFIG, NULL, NULL, ltls_gc);
  lworld_class(L, LTLS_PKI, methods, NULL, ltls_pki_gc);
  luaL_setfuncs(L, functions, 0);
}
