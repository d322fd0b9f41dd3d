#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/rng.h"
#include "net/driver.h"

/* A world without anything but time. */

static int64_t wait_until_ns, drift_ns;

static int64_t fake_clock(const struct net *n) {
  return n->now_ns + drift_ns;
}

static bool fake_wait(struct net *n, int64_t until_ns, struct err *err) {
  (void)err;
  wait_until_ns = until_ns;
  if (until_ns != NET_NEVER && until_ns > n->now_ns) n->now_ns = until_ns;
  return true;
}

static unsigned fake_flushed;

static void fake_flush(struct stream *s) {
  fake_flushed++;
  if (s->arg) stream_want_write(s->arg);
}

static const struct net_ops fake_ops = { .clock = fake_clock, .wait = fake_wait, .flush = fake_flush };

struct clock_test {
  struct net net;
  struct net_timer timer;
  int64_t set_ns, fired_ns;
  uint64_t order;
  struct clock_test *owner;
  unsigned fired;
};

static uint64_t fire_order;

static void note_fire(void *arg) {
  struct clock_test *t = arg;
  t->fired_ns = net_now(&t->owner->net);
  t->order = ++fire_order;
  t->fired++;
}

static void turn(struct net *n, int64_t until_ns) {
  struct err err;
  assert_true(net_turn(n, until_ns, &err));
}

/* Timers fire at their times, those of one time in the order of being set, moved and cleared ones too. */
static void test_order(void **state) {
  (void)state;
  enum { COUNT = 300 };
  static struct clock_test w, t[COUNT];
  struct rng rng = { 5 };
  net_init(&w.net, &fake_ops);
  for (int i = 0; i < COUNT; i++) {
    t[i].owner = &w;
    net_timer_init(&t[i].timer, note_fire, &t[i]);
    net_timer_set(&w.net, &t[i].timer, t[i].set_ns = 1000 + (int64_t)rng_below(&rng, 40));
  }
  for (int i = 0; i < COUNT; i += 5) net_timer_set(&w.net, &t[i].timer, NET_NEVER);
  while (w.net.timers.count) turn(&w.net, NET_NEVER);
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(t[i].fired, i % 5 != 0);
    if (i % 5 == 0) continue;
    assert_int_equal(t[i].fired_ns, t[i].set_ns);
    for (int j = 0; j < i; j++) {
      if (j % 5 && t[j].set_ns == t[i].set_ns) assert_true(t[j].order < t[i].order);
    }
  }
  net_fini(&w.net);
}

static void again(void *arg) {
  struct clock_test *t = arg;
  t->fired++;
  net_timer_set(&t->owner->net, &t->timer, 0);
}

/* A timer that sets itself again and again, for the past, fires once a turn and keeps no other from firing. */
static void test_no_starving(void **state) {
  (void)state;
  struct clock_test w = { .net = { 0 } }, self = { .owner = &w }, other = { .owner = &w };
  net_init(&w.net, &fake_ops);
  w.net.now_ns = 100;
  net_timer_init(&self.timer, again, &self);
  net_timer_init(&other.timer, note_fire, &other);
  net_timer_set(&w.net, &self.timer, 0);
  net_timer_set(&w.net, &other.timer, 100);
  turn(&w.net, NET_NEVER);
  assert_int_equal(self.fired, 1);
  assert_int_equal(other.fired, 1);
  turn(&w.net, NET_NEVER);
  assert_int_equal(self.fired, 2);
  net_timer_clear(&w.net, &self.timer);
  net_fini(&w.net);
}

static void note_now(void *arg) {
  struct clock_test *t = arg;
  assert_int_equal(net_now(&t->net), net_now(&t->net));
  assert_int_equal(net_now(&t->net), t->net.now_ns);
  t->fired++;
}

/* Between turns the time is the clock's; in a turn it stands still. What wants to be written is written first, and
 * then nothing is waited for; one that wants to write again does not make the turn endless. */
static void test_turn(void **state) {
  (void)state;
  struct clock_test w = { .net = { 0 } };
  struct stream a = { .net = &w.net }, b = { .net = &w.net, .arg = &b };
  net_init(&w.net, &fake_ops);
  w.net.now_ns = 10;
  drift_ns = 5;
  assert_int_equal(net_now(&w.net), 15);
  drift_ns = 0;
  net_timer_init(&w.timer, note_now, &w);
  net_timer_set(&w.net, &w.timer, 1000);
  fake_flushed = 0;
  stream_want_write(&a);
  stream_want_write(&a);
  turn(&w.net, 500);
  assert_int_equal(fake_flushed, 1);
  assert_true(wait_until_ns < w.net.now_ns);
  turn(&w.net, 500);
  assert_int_equal(wait_until_ns, 500);
  turn(&w.net, NET_NEVER);
  assert_int_equal(w.fired, 1);
  assert_int_equal(wait_until_ns, 1000);
  stream_want_write(&b);
  stream_want_write(&a);
  fake_flushed = 0;
  turn(&w.net, NET_NEVER);
  assert_int_equal(fake_flushed, 3);
  assert_true(wait_until_ns < w.net.now_ns);
  /* Those taken off are not asked, whatever their place. */
  stream_fini(&b);
  stream_want_write(&a);
  stream_want_write(&b);
  stream_fini(&a);
  stream_want_write(&a);
  stream_fini(&b);
  stream_fini(&a);
  stream_want_write(&a);
  fake_flushed = 0;
  turn(&w.net, 2000);
  assert_int_equal(fake_flushed, 1);
  net_fini(&w.net);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_no_starving),
                                      cmocka_unit_test(test_turn) };
  return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
