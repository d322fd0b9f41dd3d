#include "net/transport.h"

bool transport_check(const struct url *u, const struct transport_options *o, bool listens, struct err *err) {
  (void)o, (void)listens;
  if (!u->tls && !u->websocket) return true;
  return err_set(err, "this version of mqrig has tcp, mqtt and unix, but not %s yet", url_scheme_name(u->scheme));
}

bool transport_client(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                      struct err *err) {
  (void)c, (void)n;
  return transport_check(u, o, false, err);
}

bool transport_server(struct chain *c, struct net *n, const struct url *u, const struct transport_options *o,
                      struct err *err) {
  (void)c, (void)n;
  return transport_check(u, o, true, err);
}
