#include "net/transport.h"

#include <stdio.h>
#include <string.h>

#include "net/tls.h"

static const struct transport_options transport_default;

static bool transport_check_ws(const struct url *u, const struct ws_options *ws, bool listens, struct err *err) {
  if (u->websocket && listens && strchr(u->path, '?')) {
    return err_set(err, "the path of a WebSocket listener has no query, this one is %.100s", u->path);
  }
  if (!ws) return true;
  if (!u->websocket) return err_set(err, "the option ws is for ws:// and wss://, not %s", url_scheme_name(u->scheme));
  if (!listens && (ws->open.status || ws->open.accept)) {
    return err_set(err, "the option ws: only the end that listens answers with a status or an accept key");
  }
  return wsopen_check(&ws->open, err);
}

static bool transport_check_tls(const struct url *u, const struct tlsconfig *tls, bool listens, struct err *err) {
  const char *scheme = url_scheme_name(u->scheme);
  if (tls && !u->tls) {
    return err_set(err, "the option tls is for mqtts://, ssl:// and wss://, not for %s://", scheme);
  }
  if (!u->tls || !listens || tls) return true;
  return err_set(err,
                 "to listen at %s:// takes tls = { cert = ..., key = ... } or a psk; on a command line --tls-cert and "
                 "--tls-key",
                 scheme);
}

bool transport_check(const struct url *u, const struct transport_options *o, bool listens, struct err *err) {
  if (listens && u->has_user) return err_set(err, "the URL of an end that listens has no user name and password");
  if (!o) o = &transport_default;
  return transport_check_ws(u, o->ws, listens, err) && transport_check_tls(u, o->tls, listens, err);
}

/* As the Host of a request: a zone is nobody else's business. */
static void transport_host(const struct url *u, char *to, size_t size) {
  bool brackets = strchr(u->host, ':') != NULL, usual = u->port == (u->tls ? 443 : 80);
  int n = snprintf(to, size, "%s%.*s%s", brackets ? "[" : "", (int)strcspn(u->host, "%"), u->host, brackets ? "]" : "");
  if (!usual) snprintf(to + n, size - (size_t)n, ":%u", u->port);
}

static void transport_push_ws(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                              bool listens) {
  struct ws_options ws = o && o->ws ? *o->ws : (struct ws_options){ 0 };
  char host[URL_HOST_MAX + 16];
  transport_host(u, host, sizeof host);
  ws.open.host = host;
  ws.open.path = listens && strcmp(u->path, "/") == 0 ? NULL : u->path;
  ws.note = o ? o->note : NULL;
  ws.arg = o ? o->arg : NULL;
  net_random(n, &ws.seed, sizeof ws.seed);
  chain_push_inner(c, ws_new(listens, &ws));
}

static bool transport_push_tls(struct chain *c, struct net *n, const struct transport_options *o, const struct url *u,
                               bool listens, struct err *err) {
  const struct tlsconfig_options plain = { 0 };
  struct tlsconfig *config = o->tls ? tlsconfig_ref(o->tls) : tlsconfig_new(n, TLSCONFIG_CLIENT, &plain, err);
  if (!config) return false;
  chain_push_inner(c, tls_new(&(struct tls_options){ .config = config,
                                                     .host = listens ? "" : u->host,
                                                     .port = u->port,
                                                     .note = o->note,
                                                     .arg = o->arg,
                                                     .orders = o->orders }));
  tlsconfig_free(config);
  return true;
}

static bool transport_push(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                           bool listens, struct err *err) {
  if (!o) o = &transport_default;
  if (!transport_check(u, o, listens, err)) return false;
  if (u->tls && !transport_push_tls(c, n, o, u, listens, err)) return false;
  if (u->websocket) transport_push_ws(c, n, u, o, listens);
  return true;
}

bool transport_client(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                      struct err *err) {
  return transport_push(c, n, u, o, false, err);
}

bool transport_server(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                      struct err *err) {
  return transport_push(c, n, u, o, true, err);
}
