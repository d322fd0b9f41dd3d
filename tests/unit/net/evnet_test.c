#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/evloop.h"
#include "net/evnet.h"
#include "worldrig.h"

/* What only the real world has; what both drivers do is in seam_test.c. The other end of most connections is a plain
 * socket of this test. */

#define PATIENCE_MS ((int)(PATIENCE_NS / MS))

static int plain_listen(char url[64]) {
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
  socklen_t size = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
  assert_int_equal(listen(fd, 10), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
  snprintf(url, 64, "tcp://127.0.0.1:%u", ntohs(a.sin_port));
  return fd;
}

static int plain_accept(int listener) {
  struct pollfd p = { .fd = listener, .events = POLLIN };
  assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
  return accept(listener, NULL, NULL);
}

/* Connects a seat to a plain socket; returns the plain end. */
static int plain_pair(struct seat *s) {
  char url[64];
  int listener = plain_listen(url);
  seat_connect(s, url, 5000 * MS);
  UNTIL(s->opened);
  int fd = plain_accept(listener);
  close(listener);
  return fd;
}

static void plain_reset(int fd) {
  struct linger now = { 1, 0 };
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

static bool plain_readable(int fd, int timeout_ms) {
  struct pollfd p = { .fd = fd, .events = POLLIN };
  return poll(&p, 1, timeout_ms) > 0;
}

static int plain_connect(const struct url *u) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(u->port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

/* The other kernel's acknowledgement wakes no loop. */
static void wait_until_sent(const struct seat *s) {
  for (int64_t end_ns = net_now(world) + PATIENCE_NS; stream_unsent(s->stream);) {
    assert_true(net_now(world) < end_ns);
    turn(net_now(world) + MS);
  }
}

/* "127.1" is no address to us and one to getaddrinfo: a name that needs no name server. */
static void test_short_address(void **state) {
  (void)state;
  char url[64], name[64];
  struct seat s;
  int listener = plain_listen(url);
  snprintf(name, sizeof name, "tcp://127.1:%s", strrchr(url, ':') + 1);
  seat_connect(&s, name, 5000 * MS);
  UNTIL(s.opened);
  seat_fini(&s);
  seat_connect(&s, name, 5000 * MS);
  seat_fini(&s);
  close(listener);
}

/* Listening. */

/* A wildcard of IPv6 is not one of IPv4. Whose port of that number may be somebody's: then another is taken. */
static void test_wildcards(void **state) {
  (void)state;
  char other[300];
  struct err err = { "" };
  struct net_listener *v4 = NULL;
  for (int i = 0; i < 20 && !v4; i++) {
    struct porter *p = porter_open("tcp://[::]:0");
    snprintf(other, sizeof other, "tcp://0.0.0.0:%u", net_listener_url(p->listener)->port);
    struct url u = url_of(other);
    v4 = net_listen(world, &u, NULL, &porter_handler, NULL, &err);
    porter_close(p);
  }
  if (!v4) fail_msg("%s", err.text);
  net_listener_free(v4);
}

/* The file of a Unix socket: one left by somebody who was killed is taken over, another's is neither used nor removed.
 */
static void test_unix_file(void **state) {
  (void)state;
  char directory[] = "/tmp/evnet_test.XXXXXX", url[200];
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  const char *path = a.sun_path;
  struct stat st;
  assert_non_null(mkdtemp(directory));
  snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", directory);
  snprintf(url, sizeof url, "unix://%s", path);
  struct porter *p = porter_open(url), *q;
  expect_no_listen(url, "in use");
  /* To see whether somebody listens, it was connected to. */
  UNTIL(p->count == 1);
  porter_close(p);
  assert_int_not_equal(stat(path, &st), 0);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  close(fd);
  p = porter_open(url);
  unlink(path);
  q = porter_open(url);
  porter_close(p);
  assert_int_equal(stat(path, &st), 0);
  porter_close(q);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  expect_no_listen(url, "in use");
  unlink(path);
  rmdir(directory);
}

/* Bytes. */

/* What does not fit waits for room, without turning; all of it arrives, once, in order. */
static void test_partial_writes(void **state) {
  (void)state;
  struct seat s;
  int fd = plain_pair(&s);
  static uint8_t got[sizeof pattern];
  fill_pattern();
  stream_set_buffers(s.stream, 65536, 0);
  buffer_append(&s.out, slice_of(pattern, sizeof pattern));
  stream_flush(s.stream);
  size_t left = buffer_size(&s.out);
  assert_true(left > 0 && left < sizeof pattern);
  assert_true(stream_unsent(s.stream) > 0);
  turns_for(20 * MS);
  turns = 0;
  turns_for(20 * MS);
  assert_true(turns < 4);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (size_t n = 0; n < sizeof got;) {
    ssize_t k = read(fd, got + n, sizeof got - n);
    if (k > 0) n += (size_t)k;
    else turn(net_now(world) + MS);
  }
  assert_memory_equal(pattern, got, sizeof got);
  assert_int_equal(buffer_size(&s.out), 0);
  wait_until_sent(&s);
  turns = 0;
  turns_for(5 * MS);
  assert_true(turns < 3);
  seat_fini(&s);
  close(fd);
}

/* A turn that does not wait returns too while something can be read that nobody reads inside the poll, and hands it
 * over. */
static void test_no_wait(void **state) {
  (void)state;
  struct seat s, t;
  int fd = plain_pair(&s), other = plain_pair(&t);
  for (unsigned i = 1; i <= 3; i++) {
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(write(other, "y", 1), 1);
    if (i == 1) net_wake(world);
    turn(i == 2 ? net_now(world) - 1 : i == 3 ? net_now(world) : NET_NEVER);
    UNTIL(seat_got(&s) == i && seat_got(&t) == i);
  }
  stream_pause(t.stream, true);
  plain_reset(other);
  seat_send(&t, "a");
  seat_send(&t, "b");
  for (int i = 0; i < 3; i++) turn(net_now(world));
  stream_pause(t.stream, false);
  assert_int_equal(write(fd, "x", 1), 1);
  UNTIL(t.ends && seat_got(&s) == 4);
  seat_fini(&s);
  seat_fini(&t);
  close(fd);
}

/* It is a write that finds the reset: what the kernel holds is handed over first, and nothing is told inside
 * stream_flush. */
static void test_write_finds_reset(void **state) {
  (void)state;
  for (int size = 7; size <= 100000; size += 99993) {
    struct seat s;
    static char acks[100000];
    int fd = plain_pair(&s);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t sent = write(fd, acks, (size_t)size);
    assert_true(sent >= 7);
    int unsent = 1;
    while (unsent) ioctl(fd, SIOCOUTQ, &unsent);
    plain_reset(fd);
    /* The reset has arrived when the writes begin to fail. */
    for (int64_t end_ns = evloop_clock() + PATIENCE_NS; buffer_size(&s.out) == 0;) {
      assert_true(evloop_clock() < end_ns);
      buffer_append(&s.out, slice_text("a message"));
      stream_flush(s.stream);
    }
    stream_flush(s.stream);
    stream_want_write(s.stream);
    assert_int_equal(buffer_size(&s.out), 9);
    assert_int_equal(s.inputs + s.ends, 0);
    UNTIL(s.ends);
    assert_int_equal(seat_got(&s), sent);
    assert_int_equal(s.end, STREAM_RESET);
    assert_true(s.writing);
    seat_fini(&s);
  }
}

/* Ends of ours, as the other end sees them. */
static void test_our_ends(void **state) {
  (void)state;
  struct seat s;
  char got[20];
  struct err err = { "" };
  int fd = plain_pair(&s);
  seat_send(&s, "1234567");
  turn(net_now(world));
  wait_until_sent(&s);
  stream_reset(s.stream);
  s.stream = NULL;
  assert_int_equal(read(fd, got, sizeof got), 7);
  assert_int_equal(read(fd, got, sizeof got), -1);
  assert_int_equal(errno, ECONNRESET);
  close(fd);
  seat_fini(&s);

  fd = plain_pair(&s);
  seat_send(&s, "1234567");
  turn(net_now(world));
  stream_close(s.stream);
  s.stream = NULL;
  assert_int_equal(read(fd, got, sizeof got), 7);
  assert_int_equal(read(fd, got, sizeof got), 0);
  close(fd);
  seat_fini(&s);

  /* Vanished: not even a write is answered. More of them than are kept open, too. */
  fd = plain_pair(&s);
  seat_send(&s, "1234567");
  turn(net_now(world));
  if (stream_vanish(s.stream, &err)) {
    s.stream = NULL;
    assert_int_equal(read(fd, got, sizeof got), 7);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_false(plain_readable(fd, 30));
    assert_int_equal(write(fd, "y", 1), 1);
    for (int i = 0; i < 70; i++) {
      struct seat other;
      int more = plain_pair(&other);
      assert_true(stream_vanish(other.stream, &err));
      other.stream = NULL;
      assert_false(plain_readable(more, 0));
      seat_fini(&other);
      close(more);
    }
  } else {
    assert_non_null(strstr(err.text, "CAP_NET_ADMIN"));
  }
  seat_fini(&s);
  close(fd);
}

/* Closing inside every handler, alone and together with another stream that is ready too. */
static void test_close_anywhere(void **state) {
  (void)state;
  for (const char *in = "oiOwe"; *in; in++) {
    for (int kind = 0; kind < 4; kind++) {
      char url[64];
      struct seat s[2];
      int fds[2], listener = plain_listen(url);
      for (int i = 0; i < 2; i++) {
        seat_connect(&s[i], url, 5000 * MS);
        s[i].close_in = *in;
        if (kind & 1) s[i].victim = &s[1 - i];
        buffer_append(&s[i].out, slice_text("output"));
      }
      for (int i = 0; i < 2; i++) {
        fds[i] = plain_accept(listener);
        assert_int_equal(write(fds[i], "input", 5), 5);
        if (kind & 2) plain_reset(fds[i]);
        else shutdown(fds[i], SHUT_WR);
      }
      for (int i = 0; i < 2; i++) UNTIL(!s[i].stream || s[i].ends || s[i].fins);
      for (int i = 0; i < 2; i++) {
        seat_fini(&s[i]);
        if (!(kind & 2)) close(fds[i]);
      }
      close(listener);
    }
  }
}

/* Shortage. */

static rlim_t limit_descriptors(rlim_t to) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = to;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return before;
}

static int lowest_descriptor(void) {
  int fd = dup(0);
  close(fd);
  return fd;
}

/* Out of descriptors: told once, no turning; it goes on when one of ours is closed. */
static void test_no_descriptor_to_accept(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  int fds[6];
  for (int i = 0; i < 6; i++) fds[i] = plain_connect(net_listener_url(p->listener));
  rlim_t before = limit_descriptors((rlim_t)lowest_descriptor() + 2);
  UNTIL(p->troubles);
  assert_int_equal(p->count, 2);
  assert_non_null(strstr(p->trouble.text, "ulimit -n"));
  turns = 0;
  turns_for(600 * MS);
  assert_true(turns < 12);
  assert_int_equal(p->troubles, 1);
  seat_fini(&p->seats[0]);
  UNTIL(p->count == 3 && p->troubles == 2);
  limit_descriptors(before);
  UNTIL(p->count == 6);
  assert_int_equal(p->troubles, 2);
  porter_close(p);
  for (int i = 0; i < 6; i++) close(fds[i]);
}

static void test_no_descriptor_to_connect(void **state) {
  (void)state;
  struct url u = url_of("tcp://127.0.0.1:1"), name = url_of("tcp://127.1:1");
  struct err err = { "" };
  struct seat s;
  seat_init(&s);
  rlim_t before = limit_descriptors((rlim_t)lowest_descriptor());
  assert_null(net_connect(world, &u, MS, &seat_handler, &s, &err));
  assert_non_null(strstr(err.text, "ulimit -n"));
  assert_non_null(strstr(err.text, "127.0.0.1:1"));
  assert_null(net_connect(world, &name, MS, &seat_handler, &s, &err));
  assert_non_null(strstr(err.text, "ulimit -n"));
  assert_null(net_listen(world, &u, NULL, &porter_handler, NULL, &err));
  assert_non_null(strstr(err.text, "ulimit -n"));
  assert_int_equal(evnet_descriptors_left(), 0);
  limit_descriptors(before);
  assert_true(evnet_descriptors_left() > 0);
  turns_for(2 * MS);
  seat_fini(&s);
}

/* Other descriptors. */

struct watched {
  struct evnet_watch *watch;
  unsigned calls;
  bool unwatch;
};

static void watched_ready(void *arg, int fd) {
  struct watched *w = arg;
  char c;
  w->calls++;
  assert_true(read(fd, &c, 1) >= 0);
  if (!w->unwatch) return;
  evnet_unwatch(w->watch);
  w->watch = NULL;
}

static void test_watch(void **state) {
  (void)state;
  struct watched w = { 0 };
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  w.watch = evnet_watch(world, fds[0], watched_ready, &w);
  turns_for(MS);
  assert_int_equal(w.calls, 0);
  assert_int_equal(write(fds[1], "ab", 2), 2);
  UNTIL(w.calls == 2);
  close(fds[1]);
  UNTIL(w.calls == 3);
  w.unwatch = true;
  UNTIL(!w.watch);
  turns = 0;
  turns_for(2 * MS);
  assert_true(turns < 3);
  assert_int_equal(fcntl(fds[0], F_GETFD), 0);
  close(fds[0]);
}

/* A forked child gives the world up: the parent's goes on, no connection ends by that, and the child keeps none alive.
 */
static void test_fork(void **state) {
  (void)state;
  struct seat s;
  struct watched w = { 0 };
  int fd = plain_pair(&s), to_child[2], from_child[2], status;
  char c, got[20];
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
  assert_int_equal(pipe2(from_child, O_CLOEXEC), 0);
  w.watch = evnet_watch(world, to_child[0], watched_ready, &w);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    struct err err;
    bool ok = true;
    evnet_abandon(world);
    struct net *own = evnet_new(&err);
    struct url u = *net_listener_url(p->listener);
    ok = ok && own && net_turn(own, net_now(own) + MS, &err);
    ok = ok && write(from_child[1], "r", 1) == 1;
    ok = ok && read(to_child[0], &c, 1) == 1;
    /* What lived in it may be freed. */
    stream_close(s.stream);
    net_listener_free(p->listener);
    evnet_unwatch(w.watch);
    ok = ok && fcntl(to_child[0], F_GETFD) >= 0 && u.port;
    net_free(own);
    _exit(ok ? 0 : 1);
  }
  assert_int_equal(read(from_child[0], &c, 1), 1);
  seat_send(&s, "parent");
  turn(net_now(world));
  assert_int_equal(read(fd, got, sizeof got), 6);
  assert_int_equal(write(fd, "peer", 4), 4);
  UNTIL(seat_got(&s) == 4);
  int other = plain_connect(net_listener_url(p->listener));
  UNTIL(p->count == 1);
  seat_fini(&s);
  assert_true(plain_readable(fd, PATIENCE_MS));
  assert_int_equal(read(fd, got, sizeof got), 0);
  evnet_unwatch(w.watch);
  assert_int_equal(write(to_child[1], "x", 1), 1);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  porter_close(p);
  close(other);
  close(fd);
  for (int i = 0; i < 2; i++) {
    close(to_child[i]);
    close(from_child[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WORLDRIG_REAL(test_short_address),
    WORLDRIG_REAL(test_wildcards),
    WORLDRIG_REAL(test_unix_file),
    WORLDRIG_REAL(test_partial_writes),
    WORLDRIG_REAL(test_no_wait),
    WORLDRIG_REAL(test_write_finds_reset),
    WORLDRIG_REAL(test_our_ends),
    WORLDRIG_REAL(test_close_anywhere),
    WORLDRIG_REAL(test_no_descriptor_to_accept),
    WORLDRIG_REAL(test_no_descriptor_to_connect),
    WORLDRIG_REAL(test_watch),
    WORLDRIG_REAL(test_fork),
  };
  return cmocka_run_group_tests_name("evnet", tests, NULL, NULL);
}
