/* tlsrule: what the rules on `tls` of a scope have one TLS connection do wrong.
 *
 * Asked when the connection begins; of several rules with one action the last that means it counts. A rule fires when
 * it is done. Between two ends, those of a proxy, a rule for both directions means the one towards the client, if that
 * is TLS.
 */
#ifndef MQRIG_TLSRULE_H
#define MQRIG_TLSRULE_H

#include "fault/scope.h"
#include "net/net.h"
#include "net/tls.h"

struct rule_term;

enum tlsrule_action { TLSRULE_CERT, TLSRULE_ALERT, TLSRULE_STALL, TLSRULE_CLOSE, TLSRULE_ACTIONS };

/* Open values, to be read; texts live as long as the scope. */
struct tlsrule {
  const char *cert;             /* a kind of certificate (pki.h) to be shown */
  const char *alert, *alert_at; /* alert_at NULL: once the handshake is over */
  const char *stall_at;
  int64_t stall_ns;              /* NET_NEVER: for good */
  bool close_without_notify, up; /* up: for firings */
  struct scope *scope;
  const struct net *net;
  void *conn;
  struct scope_rule *rules[TLSRULE_ACTIONS];
};

/* Whether an action's words name something that there is. */
bool tlsrule_check(const struct rule_term *action, struct err *err);

/* NULL: nothing is to go wrong. `end`: RULE_DOWN and RULE_UP, the proxy's towards the client and towards the upstream;
 * 0: there is only one. `conn` comes back in firings. The scope stays until it is freed. */
struct tlsrule *tlsrule_new(struct scope *s, unsigned end, const struct net *n, void *conn);
void tlsrule_done(struct tlsrule *t, enum tlsrule_action action);
void tlsrule_free(struct tlsrule *t); /* NULL is fine */

/* As the filter takes them, which frees the rule from then on. */
struct tls_orders tlsrule_orders(struct tlsrule *t);

#endif
