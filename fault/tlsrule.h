/* tlsrule: what the rules on `tls` of a scope have one TLS connection do wrong.
 *
 * Asked when the connection begins; of several rules with one action the last that means it counts. A rule fires when
 * it is done: tlsrule_done.
 */
#ifndef MQRIG_TLSRULE_H
#define MQRIG_TLSRULE_H

#include "fault/scope.h"
#include "net/net.h"

struct rule_term;

enum tlsrule_action { TLSRULE_CERT, TLSRULE_ALERT, TLSRULE_STALL, TLSRULE_CLOSE, TLSRULE_ACTIONS };

/* Open values, to be read; texts live as long as the scope. */
struct tlsrule {
  const char *cert;             /* a kind of certificate (pki.h) to be shown */
  const char *alert, *alert_at; /* alert_at NULL: once the handshake is over */
  const char *stall_at;
  int64_t stall_ns; /* NET_NEVER: for good */
  bool close_without_notify;
  struct scope *scope;
  const struct net *net;
  void *conn;
  struct scope_rule *rules[TLSRULE_ACTIONS];
};

/* Whether an action's words name something that there is. */
bool tlsrule_check(const struct rule_term *action, struct err *err);

/* NULL: nothing is to go wrong. `conn` comes back in firings. The scope stays until it is freed. */
struct tlsrule *tlsrule_new(struct scope *s, const struct net *n, void *conn);
void tlsrule_done(struct tlsrule *t, enum tlsrule_action action);
void tlsrule_free(struct tlsrule *t); /* NULL is fine */

#endif
