#include "fault/syscall.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fault/errname.h"
#include "fault/scope_fields.h"
#include "fault/select.h"

struct syscall {
  struct oscall_hook hook;
  struct scope *scope;
  const struct net *net;
  void *conn;
  uint64_t number;             /* of the connection in its scope: names its draws */
  struct scope_tally *tallies; /* of the scope's rules, as far as there are */
  size_t count;
};

/* What a call may be meant by, and what it fails with if nothing else is said. */
static const struct {
  uint32_t calls;
  int error;
} syscall_rows[OSCALLS] = {
  [OSCALL_SOCKET] = { RULE_CALL(OSCALL_SOCKET) | RULE_CALL(WORDS_ALLOC), EMFILE },
  [OSCALL_CONNECT] = { RULE_CALL(OSCALL_CONNECT), ECONNREFUSED },
  [OSCALL_ACCEPT] = { RULE_CALL(OSCALL_ACCEPT) | RULE_CALL(WORDS_ALLOC), EMFILE },
  [OSCALL_SEND] = { RULE_CALL(OSCALL_SEND) | RULE_CALL(WORDS_ALLOC), ECONNRESET },
  [OSCALL_RECV] = { RULE_CALL(OSCALL_RECV) | RULE_CALL(WORDS_ALLOC), ECONNRESET },
};

static struct scope_tally *syscall_tally(struct syscall *c, size_t rule) {
  size_t count = c->scope->count;
  if (rule >= c->count) {
    c->tallies = mem_resize(c->tallies, count * sizeof *c->tallies);
    memset(c->tallies + c->count, 0, (count - c->count) * sizeof *c->tallies);
    c->count = count;
  }
  return &c->tallies[rule];
}

/* What the rule makes of the call. False: nothing, it asks for less than it might get already. */
static bool syscall_judge(const struct rule *r, enum oscall call, struct oscall_verdict *v) {
  const struct rule_term *action = rule_action(r);
  size_t most = (size_t)action->args[0].number;
  switch (action->word) {
  case WORDS_SHORT:
    if (most >= v->most) return false;
    v->most = most;
    return true;
  case WORDS_ERRNO: v->error = (int)action->args[0].number; return true;
  default: v->error = r->calls & syscall_rows[call].calls & RULE_CALL(WORDS_ALLOC) ? ENOMEM : syscall_rows[call].error;
  }
  return true;
}

static void syscall_describe(char *to, size_t size, enum oscall call, size_t asked, const struct oscall_verdict *v) {
  char bytes[32] = "", came[40];
  if (call == OSCALL_SEND) snprintf(bytes, sizeof bytes, " of %zu bytes", asked);
  if (v->error) snprintf(came, sizeof came, "%s", errname_text(v->error));
  else snprintf(came, sizeof came, call == OSCALL_SEND ? "%zu" : "at most %zu bytes", v->most);
  snprintf(to, size, "%s%s: %s", oscall_name(call), bytes, came);
}

static void syscall_fire(struct syscall *c, struct scope_rule *r, struct scope_tally *tally, const char *call) {
  struct scope_firing f = { .conn = c->conn, .up = true, .at_ns = net_now(c->net), .call = call };
  scope_fire(r, tally, &f);
}

/* In order, until one has made the call fail. */
static bool syscall_ask(struct oscall_hook *h, enum oscall call, size_t size, struct oscall_verdict *v) {
  struct syscall *c = (struct syscall *)(void *)h;
  struct scope *s = c->scope;
  char text[96];
  bool told = false;
  *v = (struct oscall_verdict){ 0, size };
  scope_enter_call(s);
  for (size_t i = 0; i < s->count && !v->error; i++) {
    struct scope_rule *r = s->rules[i];
    if (r->removed || r->rule->place != WORDS_CALLS || !(r->rule->calls & syscall_rows[call].calls)) continue;
    struct scope_tally *tally = syscall_tally(c, i);
    size_t asked = v->most;
    if (!select_counts(r, tally, &(struct select_moment){ .conn = c->number })) continue;
    if (!syscall_judge(r->rule, call, v)) continue;
    told = true;
    syscall_describe(text, sizeof text, call, asked, v);
    syscall_fire(c, r, tally, text);
  }
  scope_leave_call(s);
  return told;
}

static void syscall_gone(struct oscall_hook *h) {
  struct syscall *c = (struct syscall *)(void *)h;
  scope_lose_hook(c->scope);
  free(c->tallies);
  free(c);
}

struct oscall_hook *syscall_new(struct scope *s, const struct net *n, void *conn) {
  struct syscall *c = mem_zero(sizeof *c);
  c->hook.ask = syscall_ask;
  c->hook.gone = syscall_gone;
  c->scope = s;
  c->net = n;
  c->conn = conn;
  c->number = scope_gain_hook(s);
  return &c->hook;
}
