#include "fault/tlsrule.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/near.h"
#include "fault/scope_fields.h"
#include "fault/select.h"
#include "net/pki.h"
#include "net/tlsname.h"

static const char *tlsrule_text(const struct rule_term *action, size_t i) {
  return action->args[i].given ? (const char *)action->args[i].text.data : NULL;
}

/* What mbedTLS does not show as a server is none of the kinds for a rule. */
static bool tlsrule_check_cert(const char *kind, struct err *err) {
  const char *names[PKI_KINDS + 1] = { NULL };
  for (int i = 0; i < PKI_KINDS; i++) names[i] = pki_kind_name((enum pki_kind)i);
  if (strcmp(kind, pki_kind_name(PKI_WRONG_PURPOSE)) == 0)
    return err_set(err, "`cert %s` cannot be done: this end's TLS does not show such a certificate", kind);
  if (pki_kind_of(kind) != PKI_KINDS) return true;
  const char *near = near_name(kind, names);
  return err_set(err, "`cert %.64s`: there is no such kind of certificate%s%s%s", kind, near ? ", did you mean \"" : "",
                 near ? near : "", near ? "\"?" : "");
}

bool tlsrule_check(const struct rule_term *action, struct err *err) {
  const char *first = tlsrule_text(action, 0), *second = action->word == WORDS_ALERT ? tlsrule_text(action, 1) : NULL;
  switch (action->word) {
  case WORDS_CERT: return tlsrule_check_cert(first, err);
  case WORDS_STALL_AT: return tlsname_check_message(first, err);
  case WORDS_ALERT: return tlsname_check_alert(first, err) && (!second || tlsname_check_message(second, err));
  default: return true;
  }
}

static enum tlsrule_action tlsrule_obey(struct tlsrule *t, const struct rule_term *action) {
  switch (action->word) {
  case WORDS_CERT: t->cert = tlsrule_text(action, 0); return TLSRULE_CERT;
  case WORDS_ALERT:
    t->alert = tlsrule_text(action, 0);
    t->alert_at = tlsrule_text(action, 1);
    return TLSRULE_ALERT;
  case WORDS_STALL_AT:
    t->stall_at = tlsrule_text(action, 0);
    t->stall_ns = action->args[1].given ? action->args[1].number : NET_NEVER;
    return TLSRULE_STALL;
  case WORDS_CLOSE_WITHOUT_NOTIFY: t->close_without_notify = true; return TLSRULE_CLOSE;
  default: return TLSRULE_ACTIONS;
  }
}

static bool tlsrule_means(const struct scope *s, const struct rule *r, unsigned end) {
  unsigned ends = r->directions & s->place.tls;
  return r->place == WORDS_TLS && (!end || end == (ends & RULE_DOWN ? RULE_DOWN : ends));
}

static bool tlsrule_ask(struct tlsrule *t, unsigned end) {
  bool any = false;
  struct scope *s = t->scope;
  for (size_t i = 0; i < s->count; i++) {
    struct scope_rule *r = s->rules[i];
    if (r->removed || !tlsrule_means(s, r->rule, end)) continue;
    if (!select_counts(r, &r->all, &(struct select_moment){ 0 })) continue;
    enum tlsrule_action action = tlsrule_obey(t, rule_action(r->rule));
    if (action < TLSRULE_ACTIONS) t->rules[action] = r;
    any = true;
  }
  return any;
}

struct tlsrule *tlsrule_new(struct scope *s, unsigned end, const struct net *n, void *conn) {
  struct tlsrule *t = mem_zero(sizeof *t);
  t->scope = s;
  t->net = n;
  t->conn = conn;
  t->up = end != RULE_DOWN;
  scope_gain_hook(s);
  if (tlsrule_ask(t, end)) return t;
  tlsrule_free(t);
  return NULL;
}

void tlsrule_done(struct tlsrule *t, enum tlsrule_action action) {
  struct scope_firing f = { .conn = t->conn, .up = t->up, .at_ns = net_now(t->net) };
  scope_enter_call(t->scope);
  scope_fire(t->rules[action], &t->rules[action]->all, &f);
  scope_leave_call(t->scope);
}

void tlsrule_free(struct tlsrule *t) {
  if (!t) return;
  scope_lose_hook(t->scope);
  free(t);
}

static void tlsrule_order_done(void *arg, enum tls_order order) {
  static const enum tlsrule_action actions[TLS_ORDERS] = {
    [TLS_STALL] = TLSRULE_STALL,
    [TLS_ALERT] = TLSRULE_ALERT,
    [TLS_CLOSE] = TLSRULE_CLOSE,
  };
  tlsrule_done(arg, actions[order]);
}

static void tlsrule_order_free(void *arg) {
  tlsrule_free(arg);
}

struct tls_orders tlsrule_orders(struct tlsrule *t) {
  return (struct tls_orders){
    .stall_at = t->stall_at,
    .stall_ns = t->stall_ns,
    .alert = t->alert,
    .alert_at = t->alert_at,
    .close_without_notify = t->close_without_notify,
    .done = tlsrule_order_done,
    .free = tlsrule_order_free,
    .arg = t,
  };
}
