#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storyrig.h"

#include "base/mem.h"
#include "host/story.h"

struct rig {
  struct timeline *t;
  uint32_t client, broker;
};

static void add(const struct rig *r, int64_t ms, uint32_t who, enum timeline_kind kind, struct slice bytes) {
  timeline_add(r->t, ms * STORYRIG_MS, who, kind, bytes);
}

static void hit(const struct rig *r, int64_t ms, uint32_t who, const char *text, enum timeline_fate fate,
                uint64_t index, struct slice packet) {
  bool up = text[0] == 'u';
  timeline_add_hit(r->t, ms * STORYRIG_MS, who, text,
                   &(struct timeline_hit){ .up = up, .fate = fate, .index = index, .packet = packet });
}

/* A client, connected to a broker that is ours. */
static void rig_init(struct rig *r) {
  r->t = timeline_new(0);
  r->client = timeline_who(r->t, "c1");
  r->broker = timeline_who(r->t, "b#1");
  add(r, 0, r->client, TIMELINE_OPEN, slice_text("127.0.0.1:5 to 127.0.0.1:9"));
  add(r, 0, r->broker, TIMELINE_OPEN, slice_text("from 127.0.0.1:5"));
}

/* A client, connected to somebody else's. */
static void rig_init_alone(struct rig *r) {
  r->t = timeline_new(0);
  r->client = timeline_who(r->t, "c1");
  add(r, 0, r->client, TIMELINE_OPEN, slice_text("127.0.0.1:5 to 127.0.0.1:9"));
}

/* The lines shown, without the first, which is the opening. */
static void rig_expect(struct rig *r, bool fold, const char *want) {
  char got[4096] = "", line[256];
  struct story *s = story_new(r->t, fold);
  size_t skip = fold || !r->broker ? 1 : 2;
  for (size_t i = skip; i < story_count(s); i++) {
    const struct story_line *l = story_line(s, i);
    if (l->hidden) continue;
    story_format(s, l, line, sizeof line);
    strcat(strcat(got, strstr(line, "ms  ") + 4), "");
    story_format_faults(s, l, line, sizeof line);
    strcat(strcat(got, line), "\n");
  }
  assert_string_equal(got, want);
  story_free(s);
  timeline_free(r->t);
}

static void test_dropped_inbound_stands_in_its_place(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  hit(&r, 1, r.client, "down PUBACK nth 2 drop", TIMELINE_TAKEN, 2, STORYRIG_ACK("\2"));
  add(&r, 1, r.client, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  add(&r, 1, r.client, TIMELINE_DOWN, STORYRIG_ACK("\3"));
  rig_expect(&r, true,
             "c1 <- PUBACK id 1\n"
             "c1 <- PUBACK id 2   !! down PUBACK nth 2 drop\n"
             "c1 <- PUBACK id 3\n");
}

static void test_last_of_all_is_shown(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  hit(&r, 1, r.client, "down PUBACK drop", TIMELINE_TAKEN, 1, STORYRIG_ACK("\1"));
  rig_expect(&r, true, "c1 <- PUBACK id 1   !! down PUBACK drop\n");
}

/* The second of three packets that are the same byte for byte. */
static void test_identical_packets_are_told_apart(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  hit(&r, 1, r.client, "up PUBLISH nth 2 drop", TIMELINE_TAKEN, 2, STORYRIG_EMPTY);
  for (int i = 0; i < 3; i++) add(&r, 1, r.client, TIMELINE_UP, STORYRIG_EMPTY);
  rig_expect(&r, true,
             "c1 -> PUBLISH q0 \"a\" 0 B\n"
             "c1 -> PUBLISH q0 \"a\" 0 B   !! up PUBLISH nth 2 drop\n"
             "c1 -> PUBLISH q0 \"a\" 0 B\n");
}

/* Faults that begin to look at a connection later count from there. */
static void test_index_of_a_rule_put_in_later(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_EMPTY);
  timeline_join(r.t, r.client);
  hit(&r, 1, r.client, "up PUBLISH nth 2 drop", TIMELINE_TAKEN, 2, STORYRIG_EMPTY);
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_EMPTY);
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_EMPTY);
  rig_expect(&r, true,
             "c1 -> PUBLISH q0 \"a\" 0 B\n"
             "c1 -> PUBLISH q0 \"a\" 0 B\n"
             "c1 -> PUBLISH q0 \"a\" 0 B   !! up PUBLISH nth 2 drop\n");
}

static void test_delayed(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  hit(&r, 1, r.client, "down PUBACK delay 20ms", TIMELINE_PASSES, 1, STORYRIG_ACK("\1"));
  add(&r, 9, r.client, TIMELINE_UP, STORYRIG_PING);
  add(&r, 21, r.client, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  hit(&r, 30, r.client, "down PUBACK split 1", TIMELINE_PASSES, 2, STORYRIG_ACK("\2"));
  add(&r, 30, r.client, TIMELINE_DOWN, STORYRIG_ACK("\2"));
  rig_expect(&r, true,
             "c1 <- PUBACK id 1   !! down PUBACK delay 20ms\n"
             "c1 -> PINGREQ\n"
             "c1 <- PUBACK id 1   (hit at 1.000 ms)\n"
             "c1 <- PUBACK id 2   !! down PUBACK split 1\n");
}

static void test_two_rules_at_one_packet(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  hit(&r, 1, r.client, "up PUBLISH delay 1ms", TIMELINE_PASSES, 1, STORYRIG_EMPTY);
  hit(&r, 1, r.client, "up PUBLISH drop", TIMELINE_TAKEN, 1, STORYRIG_EMPTY);
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_EMPTY);
  hit(&r, 2, r.client, "up PUBLISH rst", TIMELINE_CUT, 2, STORYRIG_EMPTY);
  hit(&r, 2, r.client, "up any rst", TIMELINE_CUT, 2, STORYRIG_EMPTY);
  add(&r, 2, r.client, TIMELINE_END, slice_text("reset"));
  rig_expect(&r, true,
             "c1 -> PUBLISH q0 \"a\" 0 B   !! up PUBLISH delay 1ms   !! up PUBLISH drop\n"
             "c1 -> PUBLISH q0 \"a\" 0 B   !! up PUBLISH rst   !! up any rst\n"
             "c1 ended reset\n");
}

/* What both ends saw stands there once; what only one has seen says so. */
static void conversation(struct rig *r) {
  rig_init(r);
  add(r, 1, r->client, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(r, 1, r->client, TIMELINE_UP, STORYRIG_PUB("\2"));
  add(r, 2, r->broker, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(r, 2, r->broker, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  hit(r, 3, r->client, "down PUBACK drop", TIMELINE_TAKEN, 1, STORYRIG_ACK("\1"));
  hit(r, 3, r->broker, "up PUBLISH drop", TIMELINE_TAKEN, 2, STORYRIG_PUB("\2"));
  hit(r, 4, r->broker, "down PINGREQ drop", TIMELINE_TAKEN, 2, STORYRIG_PING);
  add(r, 4, r->broker, TIMELINE_DOWN, STORYRIG_PING);
  add(r, 5, r->client, TIMELINE_UP, STORYRIG_PUB("\3"));
}

static void test_both_ends_once(void **state) {
  struct rig r = { 0 };
  (void)state;
  conversation(&r);
  rig_expect(&r, true,
             "c1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "c1 -> PUBLISH q1 id 2 \"a\" 0 B   !! b#1: up PUBLISH drop\n"
             "c1 <- PUBACK id 1   !! down PUBACK drop\n"
             "b#1 <- PINGREQ   !! down PINGREQ drop\n"
             "c1 -> PUBLISH q1 id 3 \"a\" 0 B   (not seen by b#1)\n");
}

static void test_both_ends_each(void **state) {
  struct rig r = { 0 };
  (void)state;
  conversation(&r);
  rig_expect(&r, false,
             "c1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "c1 -> PUBLISH q1 id 2 \"a\" 0 B\n"
             "b#1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "b#1 <- PUBACK id 1\n"
             "c1 <- PUBACK id 1   !! down PUBACK drop\n"
             "b#1 -> PUBLISH q1 id 2 \"a\" 0 B   !! up PUBLISH drop\n"
             "b#1 <- PINGREQ   !! down PINGREQ drop\n"
             "c1 -> PUBLISH q1 id 3 \"a\" 0 B   (not seen by b#1)\n");
}

/* Ends that cannot be the two of one connection are not taken for that. */
static void test_strangers(void **state) {
  static const char *const openings[] = { "from 127.0.0.1:6", "from unix", "127.0.0.1:5 to 127.0.0.1:9" };
  (void)state;
  for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
    struct rig r = { 0 };
    rig_init_alone(&r);
    r.broker = timeline_who(r.t, "b#1");
    add(&r, 0, r.broker, TIMELINE_OPEN, slice_text(openings[i]));
    add(&r, 1, r.client, TIMELINE_UP, STORYRIG_PING);
    add(&r, 2, r.broker, TIMELINE_UP, STORYRIG_PING);
    rig_expect(&r, false, "c1 -> PINGREQ\nb#1 -> PINGREQ\n");
  }
}

/* Unix sockets have no addresses: the same first packet does it. */
static void test_unix_sockets(void **state) {
  struct rig r = { 0 };
  (void)state;
  r.t = timeline_new(0);
  r.client = timeline_who(r.t, "c1");
  r.broker = timeline_who(r.t, "b#1");
  uint32_t other = timeline_who(r.t, "b#2");
  add(&r, 0, r.client, TIMELINE_OPEN, slice_text("unix to unix"));
  add(&r, 0, r.broker, TIMELINE_OPEN, slice_text("from unix to unix"));
  add(&r, 0, other, TIMELINE_OPEN, slice_text("from unix to unix"));
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_PUB("\2"));
  add(&r, 1, other, TIMELINE_UP, STORYRIG_PUB("\3"));
  add(&r, 1, r.broker, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(&r, 1, r.broker, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  add(&r, 2, r.client, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  rig_expect(&r, true,
             "b#2 opened from unix to unix\n"
             "c1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "c1 -> PUBLISH q1 id 2 \"a\" 0 B   (not seen by b#1)\n"
             "b#2 -> PUBLISH q1 id 3 \"a\" 0 B\n"
             "c1 <- PUBACK id 1\n");
}

/* A proxy between the two: its rules stand on the line of who sent the packet. `tapped`: what came to it is there, too.
 */
static void through_proxy(struct rig *r, bool late, bool tapped) {
  rig_init_alone(r);
  r->broker = timeline_who(r->t, "b#1");
  uint32_t proxy = timeline_who(r->t, "p#1");
  struct slice accepted = slice_text("from 127.0.0.1:7 to 127.0.0.1:9");
  if (!late) add(r, 0, r->broker, TIMELINE_OPEN, accepted);
  add(r, 0, proxy, TIMELINE_OPEN, slice_text("from 127.0.0.1:5 through 127.0.0.1:7"));
  if (late) add(r, 0, r->broker, TIMELINE_OPEN, accepted);
  add(r, 1, r->client, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(r, 1, r->client, TIMELINE_UP, STORYRIG_PUB("\2"));
  if (tapped) add(r, 1, proxy, TIMELINE_UP, STORYRIG_PUB("\1"));
  if (tapped) add(r, 1, proxy, TIMELINE_UP, STORYRIG_PUB("\2"));
  hit(r, 1, proxy, "up PUBLISH nth 2 drop", TIMELINE_TAKEN, 2, STORYRIG_PUB("\2"));
  add(r, 1, r->broker, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(r, 1, r->broker, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  if (tapped) add(r, 1, proxy, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  hit(r, 1, proxy, "down PUBACK delay 9ms", TIMELINE_PASSES, 1, STORYRIG_ACK("\1"));
  add(r, 10, r->client, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  hit(r, 11, proxy, "down PINGREQ drop", TIMELINE_TAKEN, 2, STORYRIG_PING);
}

static void test_proxy(void **state) {
  struct rig r = { 0 };
  (void)state;
  for (int how = 0; how < 4; how++) {
    through_proxy(&r, how & 1, how & 2);
    rig_expect(&r, true,
               "c1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
               "c1 -> PUBLISH q1 id 2 \"a\" 0 B   !! p#1: up PUBLISH nth 2 drop\n"
               "b#1 <- PUBACK id 1   !! p#1: down PUBACK delay 9ms\n"
               "c1 <- PUBACK id 1\n"
               "p#1 <- PINGREQ   !! down PINGREQ drop\n");
  }
}

/* Neither end is one of ours: what came to the proxy is told, each packet with the fault that hit it. */
static void test_proxy_between_others(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  uint32_t proxy = timeline_who(r.t, "p#1");
  add(&r, 0, proxy, TIMELINE_OPEN, slice_text("from 127.0.0.1:15 through 127.0.0.1:17"));
  for (int i = 0; i < 3; i++) add(&r, 1, proxy, TIMELINE_UP, STORYRIG_PUB("\1"));
  hit(&r, 1, proxy, "up PUBLISH nth 2 drop", TIMELINE_TAKEN, 2, STORYRIG_PUB("\1"));
  add(&r, 2, proxy, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  hit(&r, 2, proxy, "down PUBACK delay 9ms", TIMELINE_PASSES, 1, STORYRIG_ACK("\1"));
  hit(&r, 2, proxy, "down PUBACK dup 1", TIMELINE_PASSES, 1, STORYRIG_ACK("\1"));
  rig_expect(&r, true,
             "p#1 opened from 127.0.0.1:15 through 127.0.0.1:17\n"
             "p#1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "p#1 -> PUBLISH q1 id 1 \"a\" 0 B   !! up PUBLISH nth 2 drop\n"
             "p#1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "p#1 <- PUBACK id 1   !! down PUBACK delay 9ms   !! down PUBACK dup 1\n");
}

/* One end is: it tells what it sent, and the proxy what the other did, where that is not what this end received. */
static void test_proxy_of_one_end(void **state) {
  struct rig r = { 0 };
  (void)state;
  rig_init_alone(&r);
  uint32_t proxy = timeline_who(r.t, "p#1");
  add(&r, 0, proxy, TIMELINE_OPEN, slice_text("from 127.0.0.1:5 through 127.0.0.1:7"));
  add(&r, 1, r.client, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(&r, 1, proxy, TIMELINE_UP, STORYRIG_PUB("\1"));
  add(&r, 2, proxy, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  add(&r, 2, r.client, TIMELINE_DOWN, STORYRIG_ACK("\1"));
  add(&r, 3, proxy, TIMELINE_DOWN, STORYRIG_PING);
  hit(&r, 3, proxy, "down PINGREQ drop", TIMELINE_TAKEN, 2, STORYRIG_PING);
  rig_expect(&r, true,
             "c1 -> PUBLISH q1 id 1 \"a\" 0 B\n"
             "c1 <- PUBACK id 1\n"
             "p#1 <- PINGREQ   !! down PINGREQ drop\n");
}

/* Whatever happens, in whatever order, also where the beginning was dropped for space: each packet has one line, each
 * hit stands on one line, and time does not go back. */
static void check_story(const struct timeline *t, bool fold) {
  struct story *s = story_new(t, fold);
  uint8_t *told = mem_zero(timeline_last(t) + 1);
  char text[400];
  int64_t before_ns = INT64_MIN;
  for (size_t i = 0; i < story_count(s); i++) {
    const struct story_line *l = story_line(s, i);
    assert_true(l->at_ns >= before_ns);
    before_ns = l->at_ns;
    if (l->passed || l->kind > TIMELINE_DOWN) told[l->number]++;
    for (size_t f = l->fault; f != STORY_NONE; f = story_fault(s, f)->next) told[story_fault(s, f)->entry.number]++;
    assert_true(fold || !l->hidden);
    story_format(s, l, text, sizeof text);
    story_format_faults(s, l, text, i % sizeof text);
  }
  for (uint64_t n = timeline_first(t); n <= timeline_last(t); n++) assert_int_equal(told[n], 1);
  free(told);
  story_free(s);
}

static void test_random(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 300; seed++) {
    struct timeline *t = storyrig_random(seed);
    check_story(t, false);
    check_story(t, true);
    timeline_free(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_dropped_inbound_stands_in_its_place),
    cmocka_unit_test(test_last_of_all_is_shown),
    cmocka_unit_test(test_identical_packets_are_told_apart),
    cmocka_unit_test(test_index_of_a_rule_put_in_later),
    cmocka_unit_test(test_delayed),
    cmocka_unit_test(test_two_rules_at_one_packet),
    cmocka_unit_test(test_both_ends_once),
    cmocka_unit_test(test_both_ends_each),
    cmocka_unit_test(test_strangers),
    cmocka_unit_test(test_unix_sockets),
    cmocka_unit_test(test_proxy),
    cmocka_unit_test(test_proxy_between_others),
    cmocka_unit_test(test_proxy_of_one_end),
    cmocka_unit_test(test_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
