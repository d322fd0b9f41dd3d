#include "injectrig.h"

static void ignore_fired(void *arg, const struct scope_firing *f) {
  unsigned *fired = arg;
  (void)f;
  ++*fired;
}

/* Connecting and accepting: refused, delayed, counted in the whole scope. */
static void test_enter(void **state) {
  (void)state;
  struct err err;
  unsigned fired = 0;
  int64_t delay_ns = 1;
  struct scope *s = scope_new(1, ignore_fired, &fired);
  assert_true(scope_is_empty(s));
  assert_int_equal(scope_enter(s, true, 0, &delay_ns), SCOPE_ENTER);
  assert_int_equal(delay_ns, 0);
  struct scope_rule *refuse = scope_add(s, rule_parse("accept nth 2 refuse", &err), &err);
  scope_add(s, rule_parse("accept delay 3s", &err), &err);
  scope_add(s, rule_parse("connect range 1 2 delay 1s", &err), &err);
  scope_add(s, rule_parse("connect delay 1s", &err), &err);
  assert_false(scope_is_empty(s));
  assert_int_equal(scope_enter(s, true, 0, &delay_ns), SCOPE_ENTER);
  assert_int_equal(delay_ns, 3000000000);
  assert_int_equal(scope_enter(s, true, 0, &delay_ns), SCOPE_REFUSE);
  assert_int_equal(scope_enter(s, true, 0, &delay_ns), SCOPE_ENTER);
  assert_int_equal(scope_enter(s, false, 0, &delay_ns), SCOPE_ENTER);
  assert_int_equal(delay_ns, 2000000000);
  assert_int_equal(fired, 5);
  assert_int_equal(scope_seen(refuse), 3);
  assert_int_equal(scope_fired(refuse), 1);
  scope_free(s);
}

static void check_met(const char *text, int sent, const char *why) {
  struct injectrig rig;
  struct err err = { "" };
  injectrig_init(&rig, true);
  struct scope_rule *r = injectrig_rule(&rig, text);
  for (int i = 0; i < sent; i++) injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00", 2));
  assert_int_equal(scope_met(r, &err), why == NULL);
  if (why && !strstr(err.text, why)) fail_msg("%s", err.text);
  injectrig_fini(&rig);
}

static void test_obligations(void **state) {
  (void)state;
  check_met("up PINGREQ drop", 0, NULL);
  check_met("up PINGREQ drop must_fire", 0, "\"up PINGREQ drop must_fire\" was to fire");
  check_met("up PINGREQ drop must_fire 3", 2, "2 times of 3");
  check_met("up PINGREQ drop must_fire 3", 3, NULL);
  check_met("up PINGREQ nth 3 drop", 2, "seen 2 times");
  check_met("up PINGREQ nth 3 drop", 3, NULL);
  check_met("up PINGREQ nth 3 drop may_fire", 0, NULL);
  check_met("up PINGREQ at_byte 100 rst must_fire", 1, "seen 1 times");
}

static void test_what_it_cannot_do(void **state) {
  (void)state;
  struct err err;
  struct scope *s = scope_new(1, NULL, NULL);
  assert_null(scope_add(s, rule_parse("up any where drop", &err), &err));
  assert_non_null(strstr(err.text, "`where` needs a function"));
  assert_null(scope_add(s, rule_parse("up any rewrite", &err), &err));
  assert_non_null(strstr(err.text, "`rewrite` needs a function"));
  for (int i = 0; i < SCOPE_RULES_MAX; i++) assert_non_null(scope_add(s, rule_parse("up any drop", &err), &err));
  assert_null(scope_add(s, rule_parse("up any drop", &err), &err));
  assert_non_null(strstr(err.text, "10000"));
  scope_free(s);
}

/* The oldest go first, whichever connection holds them. */
static void test_release_over_connections(void **state) {
  (void)state;
  struct injectrig rig;
  struct slice none = { 0 };
  injectrig_init(&rig, true);
  struct scope_rule *hold = injectrig_rule(&rig, "up PINGREQ hold");
  struct filter *f[2] = { rig.filter, inject_new(rig.scope, NULL, true, none, none) };
  for (int i = 0; i < 6; i++) f[i % 2]->ops->take(f[i % 2], CHAIN_OUT, slice_of("\xc0\x00", 2), 0);
  assert_int_equal(scope_release(hold, 3), 3);
  assert_int_equal(f[0]->ops->give(f[0], CHAIN_OUT, 0).size, 4);
  assert_int_equal(f[1]->ops->give(f[1], CHAIN_OUT, 0).size, 2);
  f[1]->ops->free(f[1]);
  assert_int_equal(scope_release(hold, 5), 1);
  assert_int_equal(scope_release(hold, 0), 0);
  assert_true(scope_is_empty(rig.scope));
  injectrig_fini(&rig);
}

/* A filter may outlive its scope's owner: it goes on with the rules that there are, and tells nobody. */
static void test_filter_outlives(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PINGREQ drop");
  scope_free(rig.scope);
  rig.scope = NULL;
  injectrig_feed(&rig, CHAIN_OUT, slice_of("\xc0\x00\xe0\x00", 4));
  injectrig_expect(&rig, CHAIN_OUT, slice_of("\xe0\x00", 2));
  assert_int_equal(rig.fired, 0);
  injectrig_fini(&rig);
}

static void count_freed(void *arg) {
  ++*(int *)arg;
}

static bool never(void *arg, const struct packet *p) {
  (void)arg;
  (void)p;
  return false;
}

/* What a script hung on a rule is released once, also with one that was not accepted. A rule with a function says so in
 * its text. */
static void test_hooks_are_freed(void **state) {
  (void)state;
  int freed = 0;
  char text[RULE_TEXT_MAX];
  struct err err;
  struct scope *s = scope_new(1, NULL, NULL);
  struct rule_hooks hooks = { .where = never, .free = count_freed, .arg = &freed };
  struct rule *r = rule_parse("up any drop", &err);
  rule_set_hooks(r, &hooks);
  rule_print(r, text, sizeof text);
  assert_string_equal(text, "up any where drop");
  struct scope_rule *installed = scope_add(s, r, &err);
  r = rule_parse("up any rewrite", &err);
  rule_set_hooks(r, &hooks);
  assert_null(scope_add(s, r, &err));
  assert_int_equal(freed, 1);
  scope_remove(installed);
  scope_remove(installed);
  assert_int_equal(freed, 1);
  scope_free(s);
  assert_int_equal(freed, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_enter),
    cmocka_unit_test(test_obligations),
    cmocka_unit_test(test_what_it_cannot_do),
    cmocka_unit_test(test_release_over_connections),
    cmocka_unit_test(test_filter_outlives),
    cmocka_unit_test(test_hooks_are_freed),
  };
  return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
