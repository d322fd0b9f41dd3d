#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "fault/syscall.h"
#include "net/driver.h"

/* A scope whose place makes every call, and the hook of one connection of it. */
struct rig {
  struct net net;
  struct scope *scope;
  struct oscall_hook *hook;
  char log[1024];
};

static int64_t rig_clock(const struct net *n) {
  (void)n;
  return 7;
}

static const struct net_ops rig_ops = { .clock = rig_clock };

static void rig_fired(void *arg, const struct scope_firing *f) {
  struct rig *r = arg;
  size_t used = strlen(r->log);
  assert_int_equal(f->at_ns, 7);
  assert_ptr_equal(f->conn, r);
  snprintf(r->log + used, sizeof r->log - used, "%s (%s); ", f->text, f->call);
}

static void rig_init(struct rig *r) {
  memset(r, 0, sizeof *r);
  net_init(&r->net, &rig_ops);
  r->scope = scope_new(3, rig_fired, r);
  scope_set_place(r->scope, &(struct scope_place){ .name = "a place", .calls = (1u << OSCALLS) - 1 });
  r->hook = syscall_new(r->scope, &r->net, r);
}

static void rig_fini(struct rig *r) {
  if (r->hook) r->hook->gone(r->hook);
  scope_free(r->scope);
  net_fini(&r->net);
}

static struct scope_rule *rig_rule(struct rig *r, const char *text) {
  struct err err;
  struct rule *rule = rule_parse(text, &err);
  if (!rule) fail_msg("%s: %s", text, err.text);
  struct scope_rule *installed = scope_add(r->scope, rule, &err);
  if (!installed) fail_msg("%s: %s", text, err.text);
  return installed;
}

/* The errno, or minus the bytes that it was cut to; 0: nothing was said. */
static int ask(struct oscall_hook *h, enum oscall call, size_t size) {
  struct oscall_verdict v;
  if (!oscall_ask(h, call, size, &v)) return 0;
  return v.error ? v.error : -(int)v.most;
}

static void test_effects(void **state) {
  (void)state;
  static const struct {
    const char *rule;
    enum oscall call;
    int comes_to;
    const char *log;
  } rows[] = {
    { "sys send short 4", OSCALL_SEND, -4, "short (send of 19 bytes: 4); " },
    { "sys send short 19", OSCALL_SEND, 0, "" },
    { "sys recv short 4", OSCALL_RECV, -4, "short (recv: at most 4 bytes); " },
    { "sys send errno EINTR", OSCALL_SEND, EINTR, "errno (send of 19 bytes: EINTR); " },
    { "sys recv errno ETIMEDOUT", OSCALL_RECV, ETIMEDOUT, "errno (recv: ETIMEDOUT); " },
    { "sys recv errno ETIMEDOUT", OSCALL_SEND, 0, "" },
    { "sys send fail", OSCALL_SEND, ECONNRESET, "fail (send of 19 bytes: ECONNRESET); " },
    { "sys recv fail", OSCALL_RECV, ECONNRESET, "fail (recv: ECONNRESET); " },
    { "sys socket fail", OSCALL_SOCKET, EMFILE, "fail (socket: EMFILE); " },
    { "sys connect fail", OSCALL_CONNECT, ECONNREFUSED, "fail (connect: ECONNREFUSED); " },
    { "sys accept fail", OSCALL_ACCEPT, EMFILE, "fail (accept: EMFILE); " },
    { "sys alloc fail", OSCALL_SEND, ENOMEM, "fail (send of 19 bytes: ENOMEM); " },
    { "sys alloc fail", OSCALL_RECV, ENOMEM, "fail (recv: ENOMEM); " },
    { "sys alloc fail", OSCALL_SOCKET, ENOMEM, "fail (socket: ENOMEM); " },
    { "sys alloc fail", OSCALL_ACCEPT, ENOMEM, "fail (accept: ENOMEM); " },
    { "sys alloc fail", OSCALL_CONNECT, 0, "" },
    { "sys alloc errno ENOBUFS", OSCALL_SEND, ENOBUFS, "errno (send of 19 bytes: ENOBUFS); " },
    { "sys send,connect fail", OSCALL_CONNECT, ECONNREFUSED, "fail (connect: ECONNREFUSED); " },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rig r;
    rig_init(&r);
    rig_rule(&r, rows[i].rule);
    if (ask(r.hook, rows[i].call, 19) != rows[i].comes_to) fail_msg("%s: %s", rows[i].rule, r.log);
    assert_string_equal(r.log, rows[i].log);
    rig_fini(&r);
  }
}

/* Which of twelve calls a rule means: "..x" the third. */
static void check_which(const char *rule, const char *which) {
  struct rig r;
  char got[16] = "";
  rig_init(&r);
  rig_rule(&r, rule);
  for (size_t i = 0; i < strlen(which); i++) got[i] = ask(r.hook, OSCALL_SEND, 19) ? 'x' : '.';
  assert_string_equal(got, which);
  rig_fini(&r);
}

static void test_occurrences(void **state) {
  (void)state;
  check_which("sys send fail", "xxxxxxxxxxxx");
  check_which("sys send first fail", "x...........");
  check_which("sys send nth 3 fail", "..x.........");
  check_which("sys send range 2 4 fail", ".xxx........");
  check_which("sys send every 3 fail", "..x..x..x..x");
  check_which("sys send every 3 times 2 fail", "..x..x......");
  check_which("sys send prob 0 fail", "............");
  check_which("sys send prob 1 times 3 fail", "xxx.........");
  check_which("sys recv fail", "............");
}

/* A pipeline: what has failed is not asked about any more, what was cut goes on. */
static void test_pipeline(void **state) {
  (void)state;
  struct rig r;
  rig_init(&r);
  struct scope_rule *cut = rig_rule(&r, "sys send short 9 name cut");
  rig_rule(&r, "sys send short 5");
  struct scope_rule *fail = rig_rule(&r, "sys send after cut nth 2 fail");
  struct scope_rule *last = rig_rule(&r, "sys send short 1");
  assert_int_equal(ask(r.hook, OSCALL_SEND, 19), -1);
  assert_int_equal(ask(r.hook, OSCALL_SEND, 19), ECONNRESET);
  assert_int_equal(scope_fired(cut), 2);
  assert_int_equal(scope_fired(fail), 1);
  assert_int_equal(scope_seen(last), 1);
  scope_remove(fail);
  scope_remove(cut);
  assert_int_equal(ask(r.hook, OSCALL_SEND, 4), -1);
  assert_int_equal(scope_fired(cut), 2);
  rig_fini(&r);
}

/* Sends and receives are counted for each connection, or across them; what comes before a connection always across. */
static void test_counting(void **state) {
  (void)state;
  struct rig r;
  rig_init(&r);
  struct oscall_hook *other = syscall_new(r.scope, &r.net, &r);
  rig_rule(&r, "sys send nth 2 fail");
  rig_rule(&r, "sys recv nth 2 across fail");
  rig_rule(&r, "sys connect nth 2 fail");
  assert_int_equal(ask(r.hook, OSCALL_SEND, 9), 0);
  assert_int_equal(ask(other, OSCALL_SEND, 9), 0);
  assert_int_equal(ask(other, OSCALL_SEND, 9), ECONNRESET);
  assert_int_equal(ask(r.hook, OSCALL_SEND, 9), ECONNRESET);
  assert_int_equal(ask(r.hook, OSCALL_RECV, 9), 0);
  assert_int_equal(ask(other, OSCALL_RECV, 9), ECONNRESET);
  assert_int_equal(ask(r.hook, OSCALL_RECV, 9), 0);
  assert_int_equal(ask(r.hook, OSCALL_CONNECT, 0), 0);
  assert_int_equal(ask(other, OSCALL_CONNECT, 0), ECONNREFUSED);
  other->gone(other);
  rig_fini(&r);
}

/* The same seed, the same calls. */
static void test_seed(void **state) {
  (void)state;
  char runs[2][65] = { "", "" };
  for (int run = 0; run < 2; run++) {
    struct rig r;
    rig_init(&r);
    rig_rule(&r, "sys send prob 0.5 fail");
    for (int i = 0; i < 64; i++) runs[run][i] = ask(r.hook, OSCALL_SEND, 9) ? 'x' : '.';
    rig_fini(&r);
  }
  assert_string_equal(runs[0], runs[1]);
  assert_non_null(strchr(runs[0], 'x'));
  assert_non_null(strchr(runs[0], '.'));
}

static void test_obligations(void **state) {
  (void)state;
  struct rig r;
  struct err why;
  rig_init(&r);
  struct scope_rule *owing = rig_rule(&r, "sys send nth 3 short 4");
  struct scope_rule *waived = rig_rule(&r, "sys send nth 3 short 4 may_fire");
  assert_false(scope_met(owing, &why));
  assert_non_null(strstr(why.text, "\"sys send nth 3 short 4\" was to fire"));
  assert_true(scope_met(waived, &why));
  rig_fini(&r);
}

/* Where a rule would never be asked it is refused; a filter is not needed for it. */
static void test_places(void **state) {
  (void)state;
  struct err err;
  struct scope *s = scope_new(1, NULL, NULL);
  assert_null(scope_add(s, rule_parse("sys send fail", &err), &err));
  assert_non_null(strstr(err.text, "`sys` cannot be done: this place has no system calls to fail"));
  scope_set_place(s, &(struct scope_place){ .name = "a peer", .calls = 1u << OSCALL_ACCEPT | 1u << OSCALL_SEND });
  assert_null(scope_add(s, rule_parse("sys send,connect fail", &err), &err));
  assert_non_null(strstr(err.text, "`sys connect` would never fire: a peer does not call that"));
  struct scope_rule *rule = scope_add(s, rule_parse("sys send,alloc fail", &err), &err);
  assert_non_null(rule);
  assert_true(scope_is_empty(s));
  assert_true(scope_has_calls(s));
  scope_remove(rule);
  assert_false(scope_has_calls(s));
  scope_free(s);
}

/* A stream may outlive the scope's owner: nothing is told any more. */
static void test_outlives(void **state) {
  (void)state;
  struct rig r;
  rig_init(&r);
  rig_rule(&r, "sys send fail");
  scope_free(r.scope);
  r.scope = NULL;
  assert_int_equal(ask(r.hook, OSCALL_SEND, 9), ECONNRESET);
  assert_string_equal(r.log, "");
  rig_fini(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_effects),  cmocka_unit_test(test_occurrences), cmocka_unit_test(test_pipeline),
    cmocka_unit_test(test_counting), cmocka_unit_test(test_seed),        cmocka_unit_test(test_obligations),
    cmocka_unit_test(test_places),   cmocka_unit_test(test_outlives),
  };
  return cmocka_run_group_tests_name("syscall", tests, NULL, NULL);
}
