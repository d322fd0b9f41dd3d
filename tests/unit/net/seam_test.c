#include "worldrig.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What every driver of the seam does: each test runs on real sockets, and in the virtual world. Both ends of each
 * connection are the driver's. How connections end is in seamend_test.c. */

/* Connecting and listening. */

static void test_refused(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct seat s;
  char url[300];
  snprintf(url, sizeof url, "%s", p->url);
  porter_close(p);
  seat_connect(&s, url, 5000 * MS);
  assert_int_equal(s.ends, 0);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_REFUSED);
  assert_false(s.writing);
  assert_non_null(strstr(s.why.text, url + 6));
  assert_string_equal(stream_peer(s.stream), "");
  turns_for(2 * MS);
  assert_int_equal(s.ends, 1);
  seat_fini(&s);
}

/* A backlog of n that nobody accepts from: n + 1 connects succeed, the next is not answered. */
static void test_backlog(void **state) {
  (void)state;
  struct net_listen_options options = { .backlog = 2 };
  struct porter *p = porter_open_at(world, "tcp://127.0.0.1:0", &options);
  struct seat s[4];
  net_listener_pause(p->listener, true);
  for (int i = 0; i < 3; i++) {
    seat_connect(&s[i], p->url, 5000 * MS);
    seat_send(&s[i], "early");
    UNTIL(s[i].opened);
  }
  int64_t begin_ns = net_now(world);
  seat_connect(&s[3], p->url, 100 * MS);
  turns = 0;
  UNTIL(s[3].ends);
  assert_int_equal(s[3].end, STREAM_TIMEOUT);
  assert_true(net_now(world) >= begin_ns + 100 * MS);
  assert_non_null(strstr(s[3].why.text, "no answer within 0.1 s"));
  assert_true(turns < (is_virtual ? 12 : 5));
  assert_int_equal(p->count, 0);
  seat_fini(&s[3]);
  for (int way = 0; way < 3; way++) {
    seat_connect(&s[3], p->url, 100 * MS);
    turns_for(MS);
    if (way == 0) stream_close(s[3].stream);
    else if (way == 1) stream_reset(s[3].stream);
    else assert_true(stream_vanish(s[3].stream, NULL));
    s[3].stream = NULL;
    seat_fini(&s[3]);
  }
  net_listener_pause(p->listener, false);
  UNTIL(p->count == 3);
  for (int i = 0; i < 3; i++) UNTIL(seat_got(&p->seats[i]) == 5);
  for (int i = 0; i < 3; i++) seat_fini(&s[i]);
  porter_close(p);
}

/* "localhost" is both families, in whichever somebody listens. */
static void test_localhost(void **state) {
  (void)state;
  static const char *const at[] = { "tcp://127.0.0.1:0", "tcp://[::1]:0" };
  for (int i = 0; i < 2; i++) {
    struct porter *p = porter_open(at[i]);
    struct seat s;
    char name[64];
    snprintf(name, sizeof name, "tcp://LocalHost:%u", net_listener_url(p->listener)->port);
    seat_connect(&s, name, 5000 * MS);
    UNTIL(s.opened && p->count);
    assert_string_equal(stream_peer(s.stream), p->url + 6);
    assert_string_equal(stream_local(s.stream), stream_peer(p->seats[0].stream));
    assert_string_equal(stream_peer(s.stream), stream_local(p->seats[0].stream));
    seat_fini(&s);
    seat_connect(&s, p->url, 5000 * MS);
    UNTIL(s.opened);
    assert_string_equal(stream_peer(s.stream), p->url + 6);
    seat_fini(&s);
    porter_close(p);
    seat_connect(&s, name, 5000 * MS);
    UNTIL(s.ends);
    assert_int_equal(s.end, STREAM_REFUSED);
    assert_non_null(strstr(s.why.text, "address 2 of 2"));
    seat_fini(&s);
  }
}

static void test_unknown_name(void **state) {
  (void)state;
  struct seat s;
  char name[200];
  snprintf(name, sizeof name, "tcp://%0100d.x", 0);
  seat_connect(&s, name, 5000 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_UNREACHABLE);
  assert_non_null(strstr(s.why.text, "was not found"));
  seat_fini(&s);
}

static void test_listen(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0"), *q;
  struct seat s;
  char url[300], other[300];
  snprintf(url, sizeof url, "%s", p->url);
  assert_int_not_equal(net_listener_url(p->listener)->port, 0);
  expect_no_listen(url, url + 6);
  expect_no_listen(url, "in use");
  expect_no_listen("tcp://192.0.2.1:0", "does not have that address");
  snprintf(other, sizeof other, "tcp://0.0.0.0:%u", net_listener_url(p->listener)->port);
  expect_no_listen(other, "in use");
  seat_connect(&s, url, 5000 * MS);
  UNTIL(s.opened && p->count == 1);
  seat_send(&s, "ping");
  seat_send(&p->seats[0], "pong");
  UNTIL(seat_got(&s) == 4 && seat_got(&p->seats[0]) == 4);
  /* The streams outlive their listener, and its port can be taken again at once. */
  net_listener_free(p->listener);
  p->listener = NULL;
  seat_send(&s, "more");
  UNTIL(seat_got(&p->seats[0]) == 8);
  q = porter_open(url);
  porter_close(p);
  UNTIL(s.fins);
  porter_close(q);
  seat_fini(&s);
  /* At all addresses. */
  p = porter_open("tcp://0.0.0.0:0");
  snprintf(other, sizeof other, "tcp://127.0.0.1:%u", net_listener_url(p->listener)->port);
  expect_no_listen(other, "in use");
  seat_connect(&s, other, 5000 * MS);
  UNTIL(s.opened && p->count == 1);
  seat_fini(&s);
  porter_close(p);
}

/* Who was not accepted when the listener ends is reset. */
static void test_listener_ends(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct seat s;
  net_listener_pause(p->listener, true);
  seat_connect(&s, p->url, 5000 * MS);
  UNTIL(s.opened);
  settle();
  porter_close(p);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  seat_fini(&s);
}

static void test_unix(void **state) {
  (void)state;
  char url[100];
  struct seat s;
  snprintf(url, sizeof url, "unix:///tmp/seam_test.%d", (int)getpid());
  seat_connect(&s, url, 5000 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_UNREACHABLE);
  assert_non_null(strstr(s.why.text, url + 7));
  seat_fini(&s);
  struct porter *p = porter_open(url);
  seat_connect(&s, url, 5000 * MS);
  assert_int_equal(s.opened, 0);
  UNTIL(s.opened && p->count == 1);
  assert_string_equal(stream_peer(s.stream), "unix");
  seat_send(&s, "ping");
  seat_send(&p->seats[0], "pong");
  UNTIL(seat_got(&s) == 4 && seat_got(&p->seats[0]) == 4);
  assert_int_equal(stream_unsent(s.stream), 0);
  assert_false(stream_vanish(s.stream, &s.why));
  assert_false(net_listener_mute(p->listener, true, &s.why));
  assert_non_null(strstr(s.why.text, "Unix socket"));
  stream_shutdown(s.stream);
  UNTIL(p->seats[0].fins);
  seat_send(&p->seats[0], "still");
  UNTIL(seat_got(&s) == 9);
  /* It has no reset. */
  stream_reset(p->seats[0].stream);
  p->seats[0].stream = NULL;
  UNTIL(s.fins);
  assert_int_equal(s.ends, 0);
  seat_fini(&s);
  porter_close(p);
  struct url u = url_of("unix:///x");
  struct err err;
  memset(u.path, '/', 108);
  u.path[108] = 0;
  assert_null(net_connect(world, &u, MS, NULL, NULL, &err));
  assert_non_null(strstr(err.text, "107"));
  assert_null(net_listen(world, &u, NULL, &porter_handler, NULL, &err));
  assert_non_null(strstr(err.text, "107"));
}

static void test_unix_backlog(void **state) {
  (void)state;
  struct net_listen_options options = { .backlog = 1 };
  char url[100];
  struct seat s[4];
  snprintf(url, sizeof url, "unix:///tmp/seam_test_backlog.%d", (int)getpid());
  struct porter *p = porter_open_at(world, url, &options);
  net_listener_pause(p->listener, true);
  for (int i = 0; i < 2; i++) seat_connect(&s[i], url, 5000 * MS);
  UNTIL(s[0].opened && s[1].opened);
  seat_connect(&s[2], url, 30 * MS);
  UNTIL(s[2].ends);
  assert_int_equal(s[2].end, STREAM_TIMEOUT);
  seat_connect(&s[3], url, 5000 * MS);
  turns_for(2 * MS);
  net_listener_pause(p->listener, false);
  UNTIL(s[3].opened && p->count == 3);
  for (int i = 0; i < 4; i++) seat_fini(&s[i]);
  porter_close(p);
}

static void test_mute(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct seat silent, heard, later;
  struct err err = { "" };
  if (!net_listener_mute(p->listener, true, &err)) {
    assert_false(is_virtual);
    assert_non_null(strstr(err.text, "CAP_NET_ADMIN"));
    porter_close(p);
    return;
  }
  seat_connect(&silent, p->url, 50 * MS);
  UNTIL(silent.ends);
  assert_int_equal(silent.end, STREAM_TIMEOUT);
  assert_int_equal(p->count, 0);
  /* Who still asks when it listens again gets through. */
  seat_connect(&heard, p->url, 5000 * MS);
  turns_for(20 * MS);
  assert_true(net_listener_mute(p->listener, false, &err));
  UNTIL(heard.opened && p->count == 1);
  seat_send(&heard, "x");
  UNTIL(seat_got(&p->seats[0]) == 1);
  seat_connect(&later, p->url, 5000 * MS);
  UNTIL(later.opened && p->count == 2);
  seat_fini(&silent);
  seat_fini(&heard);
  seat_fini(&later);
  porter_close(p);
}

static void test_accept_max(void **state) {
  (void)state;
  struct net_listen_options options = { .accept_max = 2 };
  struct porter *p = porter_open_at(world, "tcp://127.0.0.1:0", &options);
  struct seat s[5];
  for (int i = 0; i < 5; i++) seat_connect(&s[i], p->url, 5000 * MS);
  for (int i = 0; i < 5; i++) UNTIL(s[i].opened);
  UNTIL(p->count == 2);
  turns_for(MS);
  turns = 0;
  turns_for(5 * MS);
  assert_int_equal(p->count, 2);
  assert_true(turns < 3);
  seat_fini(&p->seats[0]);
  UNTIL(p->count == 3);
  turns_for(2 * MS);
  assert_int_equal(p->count, 3);
  net_listener_pause(p->listener, true);
  seat_fini(&p->seats[1]);
  turns_for(2 * MS);
  assert_int_equal(p->count, 3);
  net_listener_pause(p->listener, false);
  UNTIL(p->count == 4);
  for (int i = 0; i < 5; i++) seat_fini(&s[i]);
  porter_close(p);
}

/* Bytes. */

/* What does not fit waits for room, without turning; all of it arrives, once, in order. */
static void test_partial_writes(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  fill_pattern();
  stream_pause(p->seats[0].stream, true);
  stream_set_buffers(s.stream, 65536, 0);
  buffer_append(&s.out, slice_of(pattern, sizeof pattern));
  stream_flush(s.stream);
  settle();
  size_t left = buffer_size(&s.out);
  assert_true(left > 0 && left < sizeof pattern);
  assert_true(stream_unsent(s.stream) > 0);
  turns = 0;
  settle();
  if (is_virtual) assert_int_equal(turns, 1);
  if (is_virtual) assert_int_equal(buffer_size(&s.out), left);
  stream_pause(p->seats[0].stream, false);
  UNTIL(seat_got(&p->seats[0]) == sizeof pattern);
  assert_memory_equal(buffer_slice(&p->seats[0].in).data, pattern, sizeof pattern);
  assert_int_equal(buffer_size(&s.out), 0);
  settle();
  assert_int_equal(stream_unsent(s.stream), 0);
  seat_fini(&s);
  porter_close(p);
}

/* Who never reads lets the other write for megabytes, then no more. */
static void test_never_reads(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  static uint8_t more[32 << 20];
  stream_pause(p->seats[0].stream, true);
  seat_write(&s, more, sizeof more);
  UNTIL(sizeof more - buffer_size(&s.out) > 1 << 20);
  settle();
  size_t taken = sizeof more - buffer_size(&s.out);
  assert_true(taken < sizeof more);
  turns = 0;
  settle();
  if (is_virtual) assert_int_equal(turns, 1); /* the real one's window may still grow */
  if (is_virtual) assert_int_equal(sizeof more - buffer_size(&s.out), taken);
  seat_fini(&s);
  porter_close(p);
}

/* One turn hands over 64 KiB of a stream at the most; the rest comes in the next. */
static void test_fairness(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  fill_pattern();
  seat_write(&s, pattern, 300000);
  while (seat_got(&p->seats[0]) < 300000) {
    unsigned before = p->seats[0].inputs;
    turn(net_now(world) + PATIENCE_NS);
    assert_true(p->seats[0].inputs <= before + 1);
  }
  seat_fini(&s);
  porter_close(p);
}

static void raise_descriptors(size_t to) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= to) return;
  limit.rlim_cur = to;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A thousand streams, each with its echo. */
static void test_many(void **state) {
  (void)state;
  enum { COUNT = 1000 };
  static struct seat s[COUNT];
  static bool echoed[COUNT];
  if (!is_virtual) raise_descriptors(4096);
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  memset(echoed, 0, sizeof echoed);
  for (int i = 0; i < COUNT; i++) {
    char text[40];
    seat_connect(&s[i], p->url, 20000 * MS);
    snprintf(text, sizeof text, "stream %04d", i);
    seat_send(&s[i], text);
  }
  UNTIL(p->count == COUNT);
  for (int i = 0; i < COUNT; i++) UNTIL(seat_got(&p->seats[i]) == 11);
  for (int i = 0; i < COUNT; i++) seat_write(&p->seats[i], buffer_slice(&p->seats[i].in).data, 11);
  for (int i = 0; i < COUNT; i++) {
    char text[40];
    snprintf(text, sizeof text, "stream %04d", i);
    UNTIL(seat_got(&s[i]) == 11);
    assert_memory_equal(buffer_slice(&s[i].in).data, text, 11);
    seat_fini(&s[i]);
  }
  porter_close(p);
}

/* Time. */

struct bell {
  struct net_timer timer;
  int64_t at_ns;
  int *order, place;
};

static void bell_ring(void *arg) {
  struct bell *b = arg;
  assert_true(net_now(world) >= b->at_ns);
  b->place = ++*b->order;
}

/* Timers fire in order and not early, a wait without any ends when it should, and net_wake ends the next. */
static void test_time(void **state) {
  (void)state;
  static const int delays_us[] = { 900, 100, 5000, 100, 2500, 0 };
  static const int places[] = { 4, 2, 6, 3, 5, 1 };
  struct bell bells[6];
  int order = 0;
  int64_t now_ns = net_now(world);
  for (int i = 0; i < 6; i++) {
    bells[i] = (struct bell){ .at_ns = now_ns + delays_us[i] * 1000, .order = &order };
    net_timer_init(&bells[i].timer, bell_ring, &bells[i]);
    net_timer_set(world, &bells[i].timer, bells[i].at_ns);
  }
  turns = 0;
  UNTIL(order == 6);
  assert_true(turns <= 6);
  for (int i = 0; i < 6; i++) assert_int_equal(bells[i].place, places[i]);
  now_ns = net_now(world);
  turn(now_ns + 3 * MS);
  assert_true(net_now(world) >= now_ns + 3 * MS);
  /* A deadline that was given up leaves the driver's alarm behind: that ends no other wait. */
  net_timer_set(world, &bells[0].timer, net_now(world) + 3 * MS);
  net_wake(world);
  turn(NET_NEVER);
  turn(net_now(world) + MS);
  net_timer_clear(world, &bells[0].timer);
  now_ns = net_now(world);
  turn(now_ns + 6 * MS);
  assert_true(net_now(world) >= now_ns + 6 * MS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WORLDRIG_BOTH(test_refused),      WORLDRIG_BOTH(test_backlog),        WORLDRIG_BOTH(test_localhost),
    WORLDRIG_BOTH(test_unknown_name), WORLDRIG_BOTH(test_listen),         WORLDRIG_BOTH(test_listener_ends),
    WORLDRIG_BOTH(test_unix),         WORLDRIG_BOTH(test_unix_backlog),   WORLDRIG_BOTH(test_mute),
    WORLDRIG_BOTH(test_accept_max),   WORLDRIG_BOTH(test_partial_writes), WORLDRIG_BOTH(test_never_reads),
    WORLDRIG_BOTH(test_fairness),     WORLDRIG_BOTH(test_many),           WORLDRIG_BOTH(test_time),
  };
  return cmocka_run_group_tests_name("seam", tests, NULL, NULL);
}
