#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mqtt/retained.h"
#include "mqtt/topic.h"
#include "topicgen.h"

enum { TOPICS = 200 };

struct retained_test_model {
  struct message *at[TOPICS];
};

static int model_find(const struct retained_test_model *m, struct slice topic) {
  int free_place = -1;
  for (int i = 0; i < TOPICS; i++) {
    if (!m->at[i]) free_place = i;
    else if (slice_equal(message_topic(m->at[i]), topic)) return i;
  }
  return free_place;
}

static void model_change(struct retained_test_model *m, struct retained *r, struct rng *rng) {
  char text[TOPICGEN_MAX];
  struct slice topic = topicgen_make(rng, false, text);
  int i = model_find(m, topic);
  if (i < 0 || rng_below(rng, 3) == 0) {
    retained_clear(r, topic);
    if (i >= 0) message_drop(m->at[i]);
    if (i >= 0) m->at[i] = NULL;
    return;
  }
  struct message *new = message_new(topic, slice_of(NULL, 0), 0, true);
  assert_true(retained_set(r, new));
  message_drop(m->at[i]);
  m->at[i] = new;
}

/* A match gives the newest message of each topic that topic_matches gives, once. */
static void test_matches(void **state) {
  (void)state;
  struct retained r;
  struct retained_test_model m = { 0 };
  struct rng rng = { 23 };
  retained_init(&r);
  for (int round = 0; round < 20000; round++) {
    char text[TOPICGEN_MAX];
    size_t count, expected = 0;
    model_change(&m, &r, &rng);
    struct slice filter = topicgen_make(&rng, true, text);
    struct message *const *found = retained_matches(&r, filter, &count);
    for (int i = 0; i < TOPICS; i++) {
      if (!m.at[i] || !topic_matches(filter, message_topic(m.at[i]))) continue;
      size_t seen = 0;
      for (size_t j = 0; j < count; j++) seen += found[j] == m.at[i];
      assert_int_equal(seen, 1);
      expected++;
    }
    assert_int_equal(count, expected);
  }
  uint32_t held = 0;
  for (int i = 0; i < TOPICS; i++) held += m.at[i] != NULL;
  assert_int_equal(r.count, held);
  retained_fini(&r);
  for (int i = 0; i < TOPICS; i++) message_drop(m.at[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_matches) };
  return cmocka_run_group_tests_name("retained", tests, NULL, NULL);
}
