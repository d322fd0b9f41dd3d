#include "fault/proxy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "fault/rule_fields.h"
#include "fault/tlsrule.h"
#include "net/tlsconfig.h"

/* Connections are up, then gone: the memory of those is freed once no handler runs. */
struct proxy {
  struct net *net;
  char *name;
  struct proxy_options options;
  struct proxy_handler handler;
  void *arg;
  struct proxy_handler watch;
  void *watch_arg;
  struct scope *scope;
  struct net_listener *listener; /* NULL while disabled */
  struct list_node up, gone;
  struct proxy_counts past;    /* of what is gone */
  struct proxy_conn *entering; /* whom the rules on "accept" and "connect" are asked about */
  unsigned depth;
  bool muted, dead;
  bool blind; /* it has been told that rules on packets see none */
};

struct proxy_conn {
  struct list_node node;
  struct proxy *proxy;
  struct relay *relay; /* NULL once it is gone */
  uint64_t number;
  int64_t began_ns;
  void *tag;
  char client[64];
};

static struct proxy_conn *proxy_conn_of(struct list_node *n) {
  return LIST_OWNER(n, struct proxy_conn, node);
}

/* Around whatever may run handlers. */

static void proxy_enter(struct proxy *p) {
  p->depth++;
}

static void proxy_destroy(struct proxy *p) {
  if (!p->options.scope) scope_free(p->scope);
  tlsconfig_free(p->options.tls);
  tlsconfig_free(p->options.upstream_tls);
  free(p->name);
  free(p);
}

static void proxy_leave(struct proxy *p) {
  if (--p->depth) return;
  for (struct list_node *n; (n = list_first(&p->gone));) {
    list_remove(n);
    free(proxy_conn_of(n));
  }
  if (p->dead) proxy_destroy(p);
}

/* Connections. */

static void proxy_add_counts(struct proxy_counts *to, const struct relay *r) {
  struct relay_counts c = relay_counts(r);
  to->bytes_up += c.bytes_up;
  to->bytes_down += c.bytes_down;
  to->packets_up += c.packets_up;
  to->packets_down += c.packets_down;
}

static void proxy_end_conn(struct proxy_conn *c, const char *why) {
  struct proxy *p = c->proxy;
  struct relay *relay = c->relay;
  if (!relay) return;
  proxy_add_counts(&p->past, relay);
  p->past.unreached += !relay_is_open(relay);
  list_remove(&c->node);
  list_append(&p->gone, &c->node);
  if (p->handler.ended) p->handler.ended(p->arg, c, why);
  if (p->watch.ended) p->watch.ended(p->watch_arg, c, why);
  c->relay = NULL;
  relay_free(relay);
}

static void proxy_relay_opened(void *arg) {
  struct proxy_conn *c = arg;
  struct proxy *p = c->proxy;
  proxy_enter(p);
  if (p->handler.opened) p->handler.opened(p->arg, c);
  if (p->watch.opened && c->relay) p->watch.opened(p->watch_arg, c);
  proxy_leave(p);
}

static void proxy_relay_ended(void *arg, const char *why) {
  struct proxy_conn *c = arg;
  struct proxy *p = c->proxy;
  proxy_enter(p);
  proxy_end_conn(c, why);
  proxy_leave(p);
}

static void proxy_tell_trouble(struct proxy *p, const struct err *why) {
  struct err err;
  err_set(&err, "%s%s%s", p->name, p->name[0] ? ": " : "", why->text);
  proxy_enter(p);
  if (p->handler.trouble) p->handler.trouble(p->arg, &err);
  proxy_leave(p);
}

static void proxy_relay_trouble(void *arg, const struct err *why) {
  const struct proxy_conn *c = arg;
  struct err err;
  err_set(&err, "connection %llu: %s", (unsigned long long)c->number, why->text);
  proxy_tell_trouble(c->proxy, &err);
}

static void proxy_relay_blind(void *arg, const char *what) {
  const struct proxy_conn *c = arg;
  struct err err;
  if (c->proxy->blind) return;
  c->proxy->blind = true;
  err_set(
      &err,
      "connection %llu: what goes through is %s, in which rules on packets see none; they see them where the URL to "
      "listen at and the upstream's are %s://",
      (unsigned long long)c->number, what, strcmp(what, "TLS") == 0 ? "ssl" : "ws");
  proxy_tell_trouble(c->proxy, &err);
}

static const struct relay_handler proxy_relay = {
  .opened = proxy_relay_opened,
  .ended = proxy_relay_ended,
  .trouble = proxy_relay_trouble,
  .blind = proxy_relay_blind,
};

/* What firings of the proxy's rules carry for the connection, once it is known. */
static void *proxy_firing_tag(struct proxy_conn *c) {
  return c->proxy->options.scope ? c->tag : c;
}

static void proxy_join_conn(struct proxy_conn *c) {
  relay_join(c->relay, c->proxy->scope, proxy_firing_tag(c));
}

/* What rules say to a connection that is to be: first those on "accept", then those on "connect". */
static enum scope_entry proxy_ask(struct proxy *p, struct proxy_conn *c, int64_t *delay_ns) {
  int64_t accept_ns = 0, connect_ns = 0;
  p->entering = c;
  enum scope_entry entry = scope_enter(p->scope, true, net_now(p->net), &accept_ns);
  if (entry == SCOPE_ENTER) entry = scope_enter(p->scope, false, net_now(p->net), &connect_ns);
  p->entering = NULL;
  *delay_ns = accept_ns + connect_ns;
  return entry;
}

static void proxy_begin(struct proxy *p, struct proxy_conn *c) {
  const struct proxy_options *o = &p->options;
  int64_t delay_ns;
  enum scope_entry entry = proxy_ask(p, c, &delay_ns);
  if (p->dead || !c->relay) return;
  if (!scope_is_empty(p->scope)) proxy_join_conn(c);
  switch (entry) {
  case SCOPE_ENTER: relay_dial(c->relay, &o->upstream, delay_ns, o->connect_timeout_ns, o->closes); break;
  case SCOPE_REFUSE: relay_refuse(c->relay, false, "refused by a rule"); break;
  default: relay_ignore(c->relay, "not answered, by a rule"); break;
  }
}

static struct transport_options proxy_server(const struct proxy *p, const struct url *listen) {
  return (struct transport_options){ .tls = listen->tls ? p->options.tls : NULL };
}

/* What is to go wrong with the TLS of each end; NULL: nothing. */
struct proxy_wrong {
  struct tlsrule *client, *upstream;
};

static struct tlsrule *proxy_ask_tls(struct proxy *p, const struct url *u, unsigned end) {
  return u->tls ? tlsrule_new(p->scope, end, p->net, NULL) : NULL;
}

static struct proxy_wrong proxy_wrap(struct proxy *p, struct proxy_conn *c) {
  const struct proxy_options *o = &p->options;
  struct proxy_wrong wrong = { proxy_ask_tls(p, &o->listen, RULE_DOWN), proxy_ask_tls(p, &o->upstream, RULE_UP) };
  struct transport_options server = proxy_server(p, &o->listen),
                           client = { .tls = o->upstream.tls ? o->upstream_tls : NULL };
  struct tls_orders down, up;
  if (wrong.client) down = tlsrule_orders(wrong.client), server.orders = &down;
  if (wrong.upstream) up = tlsrule_orders(wrong.upstream), client.orders = &up;
  bool wrapped = relay_wrap(c->relay, &o->listen, &server, &o->upstream, &client, NULL);
  assert(wrapped); /* its URLs were looked at */
  return wrong;
}

static void proxy_tag_wrong(struct proxy_conn *c, struct proxy_wrong wrong) {
  if (wrong.client) wrong.client->conn = proxy_firing_tag(c);
  if (wrong.upstream) wrong.upstream->conn = proxy_firing_tag(c);
}

static void proxy_accepted(void *arg, struct stream *s) {
  struct proxy *p = arg;
  proxy_enter(p);
  struct proxy_conn *c = mem_zero(sizeof *c);
  c->proxy = p;
  c->number = ++p->past.connections;
  c->began_ns = net_now(p->net);
  snprintf(c->client, sizeof c->client, "%s", stream_peer(s));
  c->relay = relay_new(p->net, s, &proxy_relay, c);
  struct proxy_wrong wrong = proxy_wrap(p, c);
  list_append(&p->up, &c->node);
  if (p->handler.accepted) p->handler.accepted(p->arg, c);
  if (c->relay) proxy_tag_wrong(c, wrong);
  if (!p->dead && c->relay) proxy_begin(p, c);
  proxy_leave(p);
}

static void proxy_trouble(void *arg, const struct err *why) {
  proxy_tell_trouble(arg, why);
}

static const struct net_listener_handler proxy_listener = { .accepted = proxy_accepted, .trouble = proxy_trouble };

static void proxy_fired(void *arg, const struct scope_firing *f) {
  struct proxy *p = arg;
  struct proxy_conn *c = f->conn ? f->conn : p->entering;
  p->past.firings++;
  if (p->handler.fired) p->handler.fired(p->arg, c, f);
}

/* The owner's side. */

/* What the system trusts takes long to read: once, where it is wanted. */
static bool proxy_need_trust(struct proxy *p, const struct url *upstream, struct err *err) {
  static const struct tlsconfig_options system;
  if (!upstream->tls || p->options.upstream_tls) return true;
  p->options.upstream_tls = tlsconfig_new(p->net, TLSCONFIG_CLIENT, &system, err);
  return p->options.upstream_tls != NULL;
}

static bool proxy_check(struct proxy *p, const struct url *listen, const struct url *upstream, struct err *err) {
  struct err why;
  struct transport_options server = proxy_server(p, listen);
  if (!transport_check(listen, &server, true, &why)) return err_set(err, "the address to listen at: %s", why.text);
  if (!proxy_need_trust(p, upstream, &why)) return err_set(err, "the upstream: %s", why.text);
  return true;
}

/* It would connect to itself until there are no descriptors left. */
static bool proxy_is_same(const struct url *a, const struct url *b) {
  return (a->scheme == URL_UNIX) == (b->scheme == URL_UNIX) && a->port == b->port && strcmp(a->path, b->path) == 0 &&
         strcmp(a->host, b->host) == 0;
}

static bool proxy_mute(void *arg, bool muted, struct err *err) {
  struct proxy *p = arg;
  if (p->listener && !net_listener_mute(p->listener, muted, err)) return false;
  p->muted = muted;
  return true;
}

static void proxy_set_place(struct proxy *p) {
  unsigned tls = (p->options.listen.tls ? RULE_DOWN : 0) | (p->options.upstream.tls ? RULE_UP : 0);
  scope_set_place(
      p->scope, &(struct scope_place){ .name = "a proxy", .upstream = true, .tls = tls, .mute = proxy_mute, .arg = p });
}

struct proxy *proxy_new(struct net *n, const struct proxy_options *options, const struct proxy_handler *handler,
                        void *arg, struct err *err) {
  struct proxy *p = mem_zero(sizeof *p);
  p->net = n;
  p->options = *options;
  tlsconfig_ref(p->options.tls);
  tlsconfig_ref(p->options.upstream_tls);
  if (!p->options.connect_timeout_ns) p->options.connect_timeout_ns = PROXY_CONNECT_TIMEOUT_NS;
  p->name = mem_copy(slice_text(options->name ? options->name : ""));
  if (handler) p->handler = *handler;
  p->arg = arg;
  p->scope = options->scope ? options->scope : scope_new(options->seed, proxy_fired, p);
  proxy_set_place(p);
  list_init(&p->up);
  list_init(&p->gone);
  if (proxy_check(p, &options->listen, &options->upstream, err) && (options->disabled || proxy_enable(p, err)))
    return p;
  proxy_free(p);
  return NULL;
}

void proxy_free(struct proxy *p) {
  if (!p || p->dead) return;
  proxy_enter(p);
  scope_set_place(p->scope, &(struct scope_place){ 0 });
  proxy_disable(p, false);
  p->dead = true;
  proxy_leave(p);
}

void proxy_watch(struct proxy *p, const struct proxy_handler *h, void *arg) {
  p->watch = h ? *h : (struct proxy_handler){ 0 };
  p->watch_arg = arg;
}

const char *proxy_name(const struct proxy *p) {
  return p->name;
}

const struct url *proxy_url(const struct proxy *p) {
  return &p->options.listen;
}

const struct url *proxy_upstream(const struct proxy *p) {
  return &p->options.upstream;
}

bool proxy_set_upstream(struct proxy *p, const struct url *u, struct err *err) {
  if (!proxy_need_trust(p, u, err)) return false;
  if (proxy_is_same(&p->options.listen, u)) return err_set(err, "the upstream is the proxy itself");
  p->options.upstream = *u;
  proxy_set_place(p);
  return true;
}

struct scope *proxy_scope(const struct proxy *p) {
  return p->scope;
}

struct proxy_counts proxy_counts(const struct proxy *p) {
  struct proxy_counts counts = p->past;
  for (struct list_node *n = list_first(&p->up); n; n = list_next(&p->up, n)) {
    counts.open++;
    proxy_add_counts(&counts, proxy_conn_of(n)->relay);
  }
  return counts;
}

void proxy_join(struct proxy *p) {
  if (scope_is_empty(p->scope)) return;
  for (struct list_node *n = list_first(&p->up); n; n = list_next(&p->up, n)) proxy_join_conn(proxy_conn_of(n));
}

struct scope_rule *proxy_add_rule(struct proxy *p, const char *text, struct err *err) {
  struct rule *rule = rule_parse(text, err);
  struct scope_rule *r = rule ? scope_add(p->scope, rule, err) : NULL;
  if (r) proxy_join(p);
  return r;
}

void proxy_disable(struct proxy *p, bool reset) {
  static const char why[] = "the proxy was stopped";
  proxy_enter(p);
  net_listener_free(p->listener);
  p->listener = NULL;
  for (struct list_node *n = list_first(&p->up); reset && n; n = list_next(&p->up, n)) {
    relay_reset(proxy_conn_of(n)->relay, why);
  }
  for (struct list_node *n; !reset && (n = list_first(&p->up));) proxy_end_conn(proxy_conn_of(n), why);
  proxy_leave(p);
}

bool proxy_enable(struct proxy *p, struct err *err) {
  if (p->listener) return true;
  p->listener = net_listen(p->net, &p->options.listen, &p->options.accepting, &proxy_listener, p, err);
  if (!p->listener) return false;
  p->options.listen = *net_listener_url(p->listener);
  if (p->muted) net_listener_mute(p->listener, true, NULL);
  if (!proxy_is_same(&p->options.listen, &p->options.upstream)) return true;
  proxy_disable(p, false);
  return err_set(err, "the upstream is the proxy itself");
}

bool proxy_is_enabled(const struct proxy *p) {
  return p->listener != NULL;
}

bool proxy_move(struct proxy *p, const struct url *listen, const struct url *upstream, struct err *err) {
  struct url old_listen = p->options.listen, old_upstream = p->options.upstream;
  bool enabled = proxy_is_enabled(p);
  if (!proxy_check(p, listen, upstream, err)) return false;
  proxy_disable(p, false);
  p->options.listen = *listen;
  p->options.upstream = *upstream;
  proxy_set_place(p);
  if (!enabled || proxy_enable(p, err)) return true;
  p->options.listen = old_listen;
  p->options.upstream = old_upstream;
  proxy_set_place(p);
  proxy_enable(p, NULL);
  return false;
}

struct proxy_conn *proxy_newest(const struct proxy *p) {
  return list_empty(&p->up) ? NULL : proxy_conn_of(p->up.previous);
}

struct proxy_conn *proxy_conn(const struct proxy *p, uint64_t number) {
  struct proxy_conn *c = NULL;
  do c = proxy_next(p, c);
  while (c && c->number != number);
  return c;
}

struct proxy_conn *proxy_next(const struct proxy *p, const struct proxy_conn *c) {
  struct list_node *n = c ? list_next(&p->up, &c->node) : list_first(&p->up);
  return n ? proxy_conn_of(n) : NULL;
}

const struct proxy *proxy_conn_proxy(const struct proxy_conn *c) {
  return c->proxy;
}

uint64_t proxy_conn_number(const struct proxy_conn *c) {
  return c->number;
}

struct relay *proxy_conn_relay(const struct proxy_conn *c) {
  return c->relay;
}

const char *proxy_conn_client(const struct proxy_conn *c) {
  return c->client;
}

int64_t proxy_conn_began_ns(const struct proxy_conn *c) {
  return c->began_ns;
}

void proxy_conn_set_tag(struct proxy_conn *c, void *tag) {
  c->tag = tag;
}

void *proxy_conn_tag(const struct proxy_conn *c) {
  return c->tag;
}
