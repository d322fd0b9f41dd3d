#include "worldrig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/usage.h"

/* What is counted, on real sockets and in the virtual world. */

static void expect_usage(size_t streams, size_t listeners, size_t timers) {
  struct usage u = usage_of(world);
  assert_int_equal(u.streams, streams);
  assert_int_equal(u.listeners, listeners);
  assert_int_equal(u.timers, timers);
}

/* A stream counts from its connect or `accepted` until its owner ends it, whatever has become of it meanwhile. */
static void test_streams(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  expect_usage(0, 1, 0);
  seat_connect(&s, p->url, 5000 * MS);
  assert_int_equal(usage_of(world).streams, 1);
  UNTIL(s.opened && p->count == 1);
  expect_usage(2, 1, 0);
  stream_reset(p->seats[0].stream);
  p->seats[0].stream = NULL;
  UNTIL(s.ends);
  expect_usage(1, 1, 0);
  seat_fini(&s);
  expect_usage(0, 1, 0);
  seat_connect(&s, p->url, 5000 * MS);
  seat_fini(&s);
  expect_usage(0, 1, 0);
  porter_close(p);
  expect_usage(0, 0, 0);
}

/* One that is to vanish and cannot is there still. */
static void test_vanish(void **state) {
  (void)state;
  struct seat s;
  char path[64];
  snprintf(path, sizeof path, "unix:///tmp/mqrig-usage-%d", (int)getpid());
  struct porter *p = porter_open(path);
  seat_connect(&s, p->url, 5000 * MS);
  UNTIL(s.opened && p->count == 1);
  assert_false(stream_vanish(s.stream, NULL));
  expect_usage(2, 1, 0);
  seat_fini(&s);
  porter_close(p);
  if (!net_can_vanish(world, NULL)) skip();
  p = seat_pair(&s);
  assert_true(stream_vanish(s.stream, NULL));
  s.stream = NULL;
  expect_usage(1, 1, 0);
  seat_fini(&s);
  porter_close(p);
}

static void fired(void *arg) {
  *(bool *)arg = true;
}

static void test_timers(void **state) {
  (void)state;
  struct net *other = is_virtual ? simnet_host(world, "c1", NULL) : world;
  struct net_timer a, b;
  bool a_fired = false, b_fired = false;
  net_timer_init(&a, fired, &a_fired);
  net_timer_init(&b, fired, &b_fired);
  net_timer_set(world, &a, net_now(world) + MS);
  net_timer_set(other, &b, net_now(other) + 3600000 * MS);
  net_timer_set(other, &b, net_now(other) + 7200000 * MS);
  expect_usage(0, 0, 2);
  UNTIL(a_fired);
  expect_usage(0, 0, 1);
  net_timer_clear(other, &b);
  expect_usage(0, 0, 0);
}

struct lines {
  size_t count;
  char text[8][USAGE_LINE_MAX];
};

static void keep_line(void *arg, const char *text) {
  struct lines *l = arg;
  assert_true(l->count < 8);
  snprintf(l->text[l->count++], USAGE_LINE_MAX, "%s", text);
}

/* The lines say whose it is, and where to. */
static void test_lines(void **state) {
  (void)state;
  struct net *c1 = is_virtual ? simnet_host(world, "c1", NULL) : world;
  struct net *broker = is_virtual ? simnet_host(world, "broker", NULL) : world;
  struct seat s;
  struct lines l = { 0 };
  struct net_timer t;
  bool t_fired = false;
  char want[400];
  struct porter *p = seat_pair_between(c1, broker, &s);
  net_timer_init(&t, fired, &t_fired);
  net_timer_set(c1, &t, net_now(c1) + 5000 * MS);
  usage_list(world, keep_line, &l);
  assert_int_equal(l.count, 4);
  snprintf(want, sizeof want, "a connection%s, 127.0.0.1:", is_virtual ? " of c1" : "");
  assert_int_equal(strncmp(l.text[0], want, strlen(want)), 0);
  assert_non_null(strstr(l.text[0], strstr(p->url, "127.0.0.1")));
  snprintf(want, sizeof want, "a connection%s, 127.0.0.1:", is_virtual ? " of broker" : "");
  assert_int_equal(strncmp(l.text[1], want, strlen(want)), 0);
  snprintf(want, sizeof want, "a listener%s at %s", is_virtual ? " of broker" : "", p->url);
  assert_string_equal(l.text[2], want);
  snprintf(want, sizeof want, "a timer%s, due in ", is_virtual ? " of c1" : "");
  assert_int_equal(strncmp(l.text[3], want, strlen(want)), 0);
  net_timer_clear(c1, &t);
  seat_fini(&s);
  porter_close(p);
}

struct descriptors {
  size_t count;
  int fd; /* whether this one is among them */
  bool found;
};

static void count_descriptor(void *arg, int fd, const char *text) {
  struct descriptors *d = arg;
  assert_true(text[0] && text[0] != '/');
  d->count++;
  d->found |= fd == d->fd;
}

static size_t descriptors(int fd, bool *found) {
  struct descriptors d = { .fd = fd };
  evnet_descriptors(world, count_descriptor, &d);
  *found = d.found;
  return d.count;
}

/* Sockets, but not files and pipes, and not what is kept of the vanished. */
static void test_descriptors(void **state) {
  (void)state;
  bool found;
  int pair[2], ends[2], file;
  struct seat s;
  size_t before = descriptors(-1, &found);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  assert_int_equal(descriptors(pair[1], &found), before + 2);
  assert_true(found);
  assert_int_equal(descriptors(ends[0], &found), before + 2);
  assert_false(found);
  for (int i = 0; i < 2; i++) close(pair[i]), close(ends[i]);
  close(file);
  assert_int_equal(descriptors(-1, &found), before);
  if (!net_can_vanish(world, NULL)) skip();
  struct porter *p = seat_pair(&s);
  assert_int_equal(descriptors(-1, &found), before + 3);
  assert_true(stream_vanish(s.stream, NULL));
  s.stream = NULL;
  assert_int_equal(descriptors(-1, &found), before + 2);
  seat_fini(&s);
  porter_close(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WORLDRIG_BOTH(test_streams), WORLDRIG_BOTH(test_vanish),      WORLDRIG_BOTH(test_timers),
    WORLDRIG_BOTH(test_lines),   WORLDRIG_REAL(test_descriptors),
  };
  return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
