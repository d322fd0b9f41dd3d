#include "fault/fleet.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

struct fleet {
  struct net *net;
  struct proxy_options options;
  struct proxy_handler handler;
  void *arg;
  struct fleet_member **members;
  size_t count, capacity;
  uint64_t made;
};

/* Addresses. */

static bool fleet_address(const char *text, struct url *out, struct err *err) {
  char url[URL_PATH_MAX + 16];
  struct err why;
  if (strstr(text, "://")) return url_parse(text, out, err);
  const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
  if (!colon || (bracket && colon < bracket) || !colon[1])
    return err_set(err, "\"%.100s\" has no port: write host:port", text);
  snprintf(url, sizeof url, "tcp://%s%s", colon == text ? "0.0.0.0" : "", text);
  if (url_parse(url, out, &why)) return true;
  return err_set(err, "\"%.100s\" is no address: %s", text, why.text);
}

static bool fleet_addresses(const struct fleet_order *o, struct url *listen, struct url *upstream, struct err *err) {
  struct err why;
  const char *at = o->listen && o->listen[0] ? o->listen : "127.0.0.1:0";
  if (!fleet_address(at, listen, &why)) return err_set(err, "listen: %s", why.text);
  if (!fleet_address(o->upstream, upstream, &why)) return err_set(err, "upstream: %s", why.text);
  return true;
}

static bool fleet_is_same(const struct url *a, const struct url *b) {
  bool same_kind =
      (a->scheme == URL_UNIX) == (b->scheme == URL_UNIX) && a->tls == b->tls && a->websocket == b->websocket;
  return same_kind && a->port == b->port && !strcmp(a->host, b->host) && !strcmp(a->path, b->path);
}

/* As Toxiproxy's clients know addresses, where it is one that they could know. */
static int fleet_print(const struct url *u, char *to, size_t size) {
  bool v6 = strchr(u->host, ':') != NULL;
  if (u->scheme == URL_UNIX || u->tls || u->websocket) return url_format(u, to, (unsigned)size);
  return snprintf(to, size, "%s%s%s:%u", v6 ? "[" : "", u->host, v6 ? "]" : "", u->port);
}

int fleet_listen(const struct fleet_member *m, char *to, size_t size) {
  return fleet_print(proxy_url(m->proxy), to, size);
}

/* Orders. */

static bool fleet_check_name(const char *name, struct err *err) {
  size_t size = strlen(name);
  if (size == 0 || size > FLEET_NAME_MAX) return err_set(err, "a name has 1 to %d bytes", FLEET_NAME_MAX);
  for (const char *c = name; *c; c++) {
    if ((unsigned char)*c < ' ' || *c == '/') return err_set(err, "a name has no control characters and no '/'");
  }
  return true;
}

static bool fleet_check_toxics(const struct fleet_order *o, struct err *err) {
  if (o->toxic_count > INFECT_TOXICS_MAX)
    return err_set(err, "%zu toxics are too many, %d at most", o->toxic_count, INFECT_TOXICS_MAX);
  for (size_t i = 0; i < o->toxic_count; i++) {
    if (!toxic_check(&o->toxics[i], err)) return false;
    for (size_t k = 0; k < i; k++) {
      if (strcmp(o->toxics[i].name, o->toxics[k].name) == 0)
        return err_set(err, "two toxics have the name \"%.60s\"", o->toxics[i].name);
    }
  }
  return true;
}

bool fleet_check(const struct fleet_order *o, struct err *err) {
  struct url listen, upstream;
  struct err why;
  if (!fleet_check_name(o->name, err)) return false;
  if (fleet_addresses(o, &listen, &upstream, &why) && fleet_check_toxics(o, &why)) return true;
  return err_set(err, "proxy \"%.60s\": %s", o->name, why.text);
}

void fleet_order_fini(struct fleet_order *o) {
  for (size_t i = 0; i < o->toxic_count; i++) toxic_fini(&o->toxics[i]);
  free(o->toxics);
  free(o->name);
  free(o->listen);
  free(o->upstream);
  *o = (struct fleet_order){ 0 };
}

/* Members. */

static void fleet_member_free(struct fleet_member *m) {
  infect_free(m->infect);
  if (m->adopted) proxy_disable(m->proxy, false);
  else proxy_free(m->proxy);
  free(m->name);
  free(m->upstream);
  free(m);
}

static void fleet_insert(struct fleet *f, struct fleet_member *m) {
  if (f->count == f->capacity) {
    f->capacity = f->capacity ? 2 * f->capacity : 4;
    f->members = mem_resize(f->members, f->capacity * sizeof *f->members);
  }
  f->members[f->count++] = m;
}

static struct fleet_member *fleet_make(struct fleet *f, const char *name, const char *upstream, struct proxy *p) {
  struct fleet_member *m = mem_zero(sizeof *m);
  m->name = mem_copy(slice_text(name));
  m->upstream = mem_copy(slice_text(upstream));
  m->proxy = p;
  m->infect = infect_new(f->net, rng_hash(f->options.seed, ++f->made, 0, 0), f->handler.fired, f->arg);
  infect_attach(m->infect, p);
  return m;
}

static struct proxy *fleet_open(struct fleet *f, const struct fleet_order *o, struct err *err) {
  struct proxy_options options = f->options;
  if (!fleet_addresses(o, &options.listen, &options.upstream, err)) return NULL;
  options.name = o->name;
  options.disabled = !o->enabled;
  options.scope = NULL;
  options.seed = rng_hash(f->options.seed, f->made + 1, 0, 1);
  return proxy_new(f->net, &options, &f->handler, f->arg, err);
}

static void fleet_put_toxics(struct fleet_member *m, const struct fleet_order *o) {
  for (size_t i = 0; i < o->toxic_count; i++) {
    struct toxic t;
    toxic_copy(&t, &o->toxics[i]);
    infect_add(m->infect, &t);
  }
}

/* The toxics are there before the first connection: nothing is accepted but in a turn. */
static struct fleet_member *fleet_build(struct fleet *f, const struct fleet_order *o, struct err *err) {
  struct err why;
  struct proxy *p = fleet_open(f, o, &why);
  if (!p) {
    err_set(err, "proxy \"%.60s\": %s", o->name, why.text);
    return NULL;
  }
  struct fleet_member *m = fleet_make(f, o->name, o->upstream, p);
  fleet_put_toxics(m, o);
  return m;
}

static enum fleet_problem fleet_full(struct err *err) {
  err_set(err, "there are %d proxies, and that is the most", FLEET_PROXIES_MAX);
  return FLEET_WRONG;
}

enum fleet_problem fleet_create(struct fleet *f, const struct fleet_order *o, struct fleet_member **out,
                                struct err *err) {
  if (fleet_find(f, o->name)) {
    err_set(err, "proxy already exists");
    return FLEET_TAKEN;
  }
  if (f->count >= FLEET_PROXIES_MAX) return fleet_full(err);
  struct fleet_member *m = fleet_build(f, o, err);
  if (!m) return FLEET_FAILED;
  fleet_insert(f, m);
  *out = m;
  return FLEET_OK;
}

static size_t fleet_place(const struct fleet *f, const char *name) {
  size_t at = 0;
  while (at < f->count && strcmp(f->members[at]->name, name) != 0) at++;
  return at;
}

void fleet_delete(struct fleet *f, struct fleet_member *m) {
  size_t at = fleet_place(f, m->name);
  for (f->count--; at < f->count; at++) f->members[at] = f->members[at + 1];
  fleet_member_free(m);
}

/* Populate: members are put together beside the old ones, and take their places at once. Those that give way are
 * silent meanwhile, for their addresses may be wanted. */

struct fleet_change {
  struct fleet_member *old, *new; /* new NULL: the old one stays */
  bool enabled;                   /* the old one was */
};

static bool fleet_stays(const struct fleet_member *m, const struct fleet_order *o) {
  struct url listen, upstream;
  const struct url *at = proxy_url(m->proxy);
  if (!fleet_addresses(o, &listen, &upstream, NULL)) return false;
  if (!o->listen || !o->listen[0] || listen.port == 0) listen.port = at->port;
  bool local = !strcmp(listen.host, "localhost") && !strcmp(at->host, "127.0.0.1");
  if (local) listen = *at;
  return fleet_is_same(&listen, at) && fleet_is_same(&upstream, proxy_upstream(m->proxy));
}

static void fleet_undo(struct fleet_change *changes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (changes[i].new) fleet_member_free(changes[i].new);
    if (!changes[i].old) continue;
    if (changes[i].enabled) proxy_enable(changes[i].old->proxy, NULL);
    else proxy_disable(changes[i].old->proxy, false);
  }
}

static enum fleet_problem fleet_prepare(struct fleet *f, const struct fleet_order *o, struct fleet_change *c,
                                        struct err *err) {
  c->old = fleet_find(f, o->name);
  c->enabled = c->old && proxy_is_enabled(c->old->proxy);
  if (c->old && fleet_stays(c->old, o)) return FLEET_OK;
  if (c->old) proxy_disable(c->old->proxy, false);
  c->new = fleet_build(f, o, err);
  return c->new ? FLEET_OK : FLEET_FAILED;
}

/* Of one that stays. */
static void fleet_renew_toxics(struct fleet_member *m, const struct fleet_order *o) {
  if (!o->has_toxics) return;
  infect_clear(m->infect);
  fleet_put_toxics(m, o);
}

static void fleet_commit(struct fleet *f, const struct fleet_order *o, struct fleet_change *c) {
  if (!c->new) {
    fleet_renew_toxics(c->old, o);
    if (!o->enabled) proxy_disable(c->old->proxy, false);
  } else if (c->old) {
    f->members[fleet_place(f, o->name)] = c->new;
    fleet_member_free(c->old);
  } else {
    fleet_insert(f, c->new);
  }
}

static enum fleet_problem fleet_enable(struct fleet_member *m, bool enabled, struct err *err) {
  if (!enabled) {
    proxy_disable(m->proxy, false);
    return FLEET_OK;
  }
  return proxy_enable(m->proxy, err) ? FLEET_OK : FLEET_FAILED;
}

static bool fleet_named_twice(const struct fleet_order *orders, size_t count, struct err *err) {
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < i; k++) {
      if (strcmp(orders[i].name, orders[k].name) != 0) continue;
      err_set(err, "two proxies have the name \"%.60s\"", orders[i].name);
      return true;
    }
  }
  return false;
}

enum fleet_problem fleet_populate(struct fleet *f, const struct fleet_order *orders, size_t count, struct err *err) {
  if (fleet_named_twice(orders, count, err)) return FLEET_WRONG;
  if (f->count + count > FLEET_PROXIES_MAX) return fleet_full(err);
  struct fleet_change *changes = mem_zero((count + 1) * sizeof *changes);
  enum fleet_problem problem = FLEET_OK;
  size_t i;
  for (i = 0; i < count && !problem; i++) {
    problem = fleet_prepare(f, &orders[i], &changes[i], err);
    bool stays = !problem && !changes[i].new;
    if (stays && orders[i].enabled) problem = fleet_enable(changes[i].old, true, err);
  }
  if (problem) fleet_undo(changes, i);
  for (i = 0; i < count && !problem; i++) fleet_commit(f, &orders[i], &changes[i]);
  free(changes);
  return problem;
}

/* Changes. */

enum fleet_problem fleet_update(struct fleet_member *m, const char *listen, const char *upstream, bool enabled,
                                struct err *err) {
  struct url new_listen = *proxy_url(m->proxy), new_upstream = *proxy_upstream(m->proxy);
  struct err why;
  if (listen && !fleet_address(listen, &new_listen, &why)) {
    err_set(err, "listen: %s", why.text);
    return FLEET_WRONG;
  }
  if (upstream && !fleet_address(upstream, &new_upstream, &why)) {
    err_set(err, "upstream: %s", why.text);
    return FLEET_WRONG;
  }
  bool same = fleet_is_same(&new_listen, proxy_url(m->proxy)) && fleet_is_same(&new_upstream, proxy_upstream(m->proxy));
  if (!enabled) proxy_disable(m->proxy, false);
  if (!same && !proxy_move(m->proxy, &new_listen, &new_upstream, err)) return FLEET_FAILED;
  if (upstream) {
    char *copy = mem_copy(slice_text(upstream));
    free(m->upstream);
    m->upstream = copy;
  }
  return fleet_enable(m, enabled, err);
}

enum fleet_problem fleet_reset(struct fleet *f, struct err *err) {
  enum fleet_problem problem = FLEET_OK;
  for (size_t i = 0; i < f->count; i++) {
    struct err why;
    infect_clear(f->members[i]->infect);
    if (proxy_enable(f->members[i]->proxy, &why)) continue;
    problem = FLEET_FAILED;
    err_set(err, "proxy \"%.60s\": %s", f->members[i]->name, why.text);
  }
  return problem;
}

/* The fleet. */

struct fleet *fleet_new(struct net *n, const struct proxy_options *options, const struct proxy_handler *handler,
                        void *arg) {
  struct fleet *f = mem_zero(sizeof *f);
  *f = (struct fleet){ .net = n, .options = *options, .arg = arg };
  if (handler) f->handler = *handler;
  return f;
}

void fleet_free(struct fleet *f) {
  if (!f) return;
  for (size_t i = 0; i < f->count; i++) fleet_member_free(f->members[i]);
  free(f->members);
  free(f);
}

void fleet_adopt(struct fleet *f, const char *name, struct proxy *p) {
  char upstream[URL_PATH_MAX + 300];
  fleet_print(proxy_upstream(p), upstream, sizeof upstream);
  struct fleet_member *m = fleet_make(f, name, upstream, p);
  m->adopted = true;
  fleet_insert(f, m);
}

bool fleet_holds(const struct fleet *f, const struct proxy *p) {
  for (size_t i = 0; i < f->count; i++) {
    if (f->members[i]->proxy == p) return true;
  }
  return false;
}

void fleet_summary(const struct fleet *f, struct proxylog *l, int64_t now_ns) {
  for (size_t i = 0; i < f->count; i++) {
    const struct fleet_member *m = f->members[i];
    proxylog_summary(l, m->proxy, infect_fired(m->infect), now_ns);
  }
}

size_t fleet_count(const struct fleet *f) {
  return f->count;
}

struct fleet_member *fleet_member(const struct fleet *f, size_t index) {
  return f->members[index];
}

struct fleet_member *fleet_find(const struct fleet *f, const char *name) {
  size_t at = fleet_place(f, name);
  return at < f->count ? f->members[at] : NULL;
}
