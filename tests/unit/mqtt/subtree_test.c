#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mqtt/subtree.h"
#include "mqtt/topic.h"
#include "topicgen.h"

enum { SUBSCRIBERS = 12, FILTERS = 40 };

struct subtree_test_model {
  struct {
    char text[TOPICGEN_MAX];
    struct slice filter;
    uint8_t qos;
    bool in;
  } at[SUBSCRIBERS][FILTERS];
};

/* The highest QoS of the subscriber's filters that match, or -1, by trying them all. */
static int model_qos(const struct subtree_test_model *m, int who, struct slice name) {
  int qos = -1;
  for (int i = 0; i < FILTERS; i++)
    if (m->at[who][i].in && topic_matches(m->at[who][i].filter, name) && m->at[who][i].qos > qos)
      qos = m->at[who][i].qos;
  return qos;
}

static void model_change(struct subtree_test_model *m, struct subtree *t, struct subtree_subscriber *s,
                         struct rng *rng) {
  int who = (int)rng_below(rng, SUBSCRIBERS), i = (int)rng_below(rng, FILTERS);
  char text[TOPICGEN_MAX];
  struct slice filter = topicgen_make(rng, rng_below(rng, 4) != 0, text);
  for (int j = 0; j < FILTERS; j++)
    if (m->at[who][j].in && slice_equal(m->at[who][j].filter, filter)) i = j;
  bool same = m->at[who][i].in && slice_equal(m->at[who][i].filter, filter);
  if (rng_below(rng, 3) == 0) {
    assert_int_equal(subtree_remove(t, &s[who], filter), same);
    if (same) m->at[who][i].in = false;
    return;
  }
  if (m->at[who][i].in && !same) assert_true(subtree_remove(t, &s[who], m->at[who][i].filter));
  memcpy(m->at[who][i].text, text, filter.size);
  m->at[who][i].filter = slice_of(m->at[who][i].text, filter.size);
  m->at[who][i].qos = (uint8_t)rng_below(rng, 3);
  m->at[who][i].in = true;
  assert_true(subtree_add(t, &s[who], filter, m->at[who][i].qos));
}

/* After any subscribing and unsubscribing a match gives the subscribers that topic_matches gives, each once, with the
 * highest QoS; and all memory of the tree goes with its subscriptions. */
static void test_matches(void **state) {
  (void)state;
  struct subtree t;
  struct subtree_subscriber s[SUBSCRIBERS];
  struct subtree_test_model *m = mem_zero(sizeof *m);
  struct rng rng = { 11 };
  subtree_init(&t);
  for (int i = 0; i < SUBSCRIBERS; i++) subtree_subscriber_init(&t, &s[i]);
  for (int round = 0; round < 30000; round++) {
    char text[TOPICGEN_MAX];
    int got[SUBSCRIBERS];
    size_t count;
    model_change(m, &t, s, &rng);
    struct slice name = topicgen_make(&rng, false, text);
    const struct subtree_match *matches = subtree_matches(&t, name, &count);
    for (int i = 0; i < SUBSCRIBERS; i++) got[i] = -1;
    for (size_t i = 0; i < count; i++) {
      ptrdiff_t who = matches[i].subscriber - s;
      assert_int_equal(got[who], -1);
      got[who] = matches[i].qos;
    }
    for (int i = 0; i < SUBSCRIBERS; i++) assert_int_equal(got[i], model_qos(m, i, name));
  }
  for (int i = 0; i < SUBSCRIBERS; i++) subtree_remove_all(&t, &s[i]);
  assert_int_equal(t.count, 0);
  assert_int_equal(t.tree.count, 0);
  subtree_fini(&t);
  free(m);
}

/* The longest filter and name there are: 65,536 levels. */
static void test_deep(void **state) {
  (void)state;
  struct subtree t;
  struct subtree_subscriber s;
  size_t count;
  char *slashes = mem_zero(65535);
  memset(slashes, '/', 65535);
  subtree_init(&t);
  subtree_subscriber_init(&t, &s);
  assert_true(subtree_add(&t, &s, slice_of(slashes, 65535), 1));
  subtree_matches(&t, slice_of(slashes, 65535), &count);
  assert_int_equal(count, 1);
  subtree_matches(&t, slice_of(slashes, 65534), &count);
  assert_int_equal(count, 0);
  subtree_remove_all(&t, &s);
  assert_int_equal(t.tree.count, 0);
  subtree_fini(&t);
  free(slashes);
}

/* What a match costs does not grow with what it does not match: it looks at two nodes a level, here. */
static void test_order_and_cost(void **state) {
  (void)state;
  enum { COUNT = 20000 };
  struct subtree t;
  struct subtree_subscriber *s = mem_zero(COUNT * sizeof *s);
  size_t count;
  subtree_init(&t);
  for (int i = 0; i < COUNT; i++) subtree_subscriber_init(&t, &s[i]);
  for (int i = 0; i < COUNT; i++) {
    char filter[32];
    snprintf(filter, sizeof filter, "client/%d/+", i);
    subtree_add(&t, &s[i], slice_text(filter), 0);
    if (i < 3) subtree_add(&t, &s[2 - i], slice_text("client/+/x"), 1);
  }
  const struct subtree_match *m = subtree_matches(&t, slice_text("client/7/x"), &count);
  assert_int_equal(count, 4);
  assert_ptr_equal(m[0].subscriber, &s[7]);
  for (size_t i = 0; i < 3; i++) assert_ptr_equal(m[1 + i].subscriber, &s[2 - i]);
  assert_true(t.now.capacity <= 16 && t.next.capacity <= 16);
  for (int i = 0; i < COUNT; i++) subtree_remove_all(&t, &s[i]);
  subtree_fini(&t);
  free(s);
}

static void test_limit(void **state) {
  (void)state;
  struct subtree t;
  struct subtree_subscriber s;
  char filter[32];
  subtree_init(&t);
  subtree_subscriber_init(&t, &s);
  for (int i = 0; i < SUBTREE_OF_ONE_MAX; i++) {
    snprintf(filter, sizeof filter, "%d", i);
    assert_true(subtree_add(&t, &s, slice_text(filter), 0));
  }
  uint32_t nodes = t.tree.count;
  assert_false(subtree_add(&t, &s, slice_text("one/more"), 0));
  assert_int_equal(t.tree.count, nodes);
  assert_true(subtree_add(&t, &s, slice_text("5"), 1));
  subtree_remove_all(&t, &s);
  subtree_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_matches), cmocka_unit_test(test_deep),
                                      cmocka_unit_test(test_order_and_cost), cmocka_unit_test(test_limit) };
  return cmocka_run_group_tests_name("subtree", tests, NULL, NULL);
}
