#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/chain.h"
#include "net/evnet.h"

#define MS         1000000ll
#define PATIENCE_S 20 /* a test that waits longer has failed */

/* One end of a connection, driven by evnet. The other end is a plain socket of this test. */
struct seat {
  struct stream *stream;
  struct buffer in, out;
  unsigned opened, inputs, fins, ends, in_call;
  enum stream_end end;
  bool writing;
  struct err why;
  char close_in;       /* o i O w e: the handler in which the stream is closed, */
  struct seat *victim; /* and this one reset with it */
};

static struct net *world;
static unsigned turns;

static int64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void turn(int64_t until_ns) {
  struct err err;
  turns++;
  if (!net_turn(world, until_ns, &err)) fail_msg("%s", err.text);
}

#define UNTIL(condition)                                                                                               \
  do {                                                                                                                 \
    int64_t give_up_ns = clock_ns() + PATIENCE_S * 1000 * MS;                                                          \
    while (!(condition)) {                                                                                             \
      if (clock_ns() > give_up_ns) fail_msg("waited for %s in vain", #condition);                                      \
      turn(give_up_ns);                                                                                                \
    }                                                                                                                  \
  } while (0)

/* As UNTIL where the other end does something that wakes no loop: looks again every millisecond. */
#define POLL_UNTIL(condition)                                                                                          \
  do {                                                                                                                 \
    int64_t give_up_ns = clock_ns() + PATIENCE_S * 1000 * MS;                                                          \
    while (!(condition)) {                                                                                             \
      if (clock_ns() > give_up_ns) fail_msg("waited for %s in vain", #condition);                                      \
      turn(clock_ns() + MS);                                                                                           \
    }                                                                                                                  \
  } while (0)

static void turns_for(int64_t ns) {
  for (int64_t end_ns = clock_ns() + ns; clock_ns() < end_ns;) turn(end_ns);
}

static void seat_maybe_close(struct seat *s, char in) {
  if (s->close_in != in) return;
  stream_close(s->stream);
  s->stream = NULL;
  if (!s->victim || !s->victim->stream) return;
  stream_reset(s->victim->stream);
  s->victim->stream = NULL;
}

static void seat_opened(void *arg) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  s->opened++;
  seat_maybe_close(s, 'o');
}

static void seat_input(void *arg, struct slice bytes) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  assert_int_equal(s->fins + s->ends + s->in_call, 0);
  assert_true(bytes.size > 0 && bytes.size <= NET_READ_MAX);
  s->inputs++;
  buffer_append(&s->in, bytes);
  seat_maybe_close(s, 'i');
}

static struct slice seat_output(void *arg) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  struct slice out = buffer_slice(&s->out);
  if (out.size) seat_maybe_close(s, 'O');
  return out;
}

static void seat_wrote(void *arg, size_t n) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  buffer_consume(&s->out, n);
  seat_maybe_close(s, 'w');
}

static void seat_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  assert_int_equal(s->ends + s->in_call, 0);
  if (end == STREAM_FIN) {
    s->fins++;
    assert_null(why);
  } else {
    s->ends++;
    s->end = end;
    s->writing = writing;
    s->why = *why;
  }
  seat_maybe_close(s, 'e');
}

static const struct stream_handler seat_handler = { seat_opened, seat_input, seat_output, seat_wrote, seat_ended };

static void seat_init(struct seat *s) {
  memset(s, 0, sizeof *s);
  buffer_init(&s->in, 64u << 20);
  buffer_init(&s->out, 64u << 20);
}

static void seat_fini(struct seat *s) {
  if (s->stream) stream_close(s->stream);
  s->stream = NULL;
  buffer_fini(&s->in);
  buffer_fini(&s->out);
}

static void seat_send(struct seat *s, const char *text) {
  buffer_append(&s->out, slice_text(text));
  stream_want_write(s->stream);
}

static struct url url_of(const char *text) {
  struct url u;
  struct err err;
  if (!url_parse(text, &u, &err)) fail_msg("%s", err.text);
  return u;
}

static void seat_connect(struct seat *s, const char *text, int64_t timeout_ns) {
  struct url u = url_of(text);
  seat_init(s);
  s->stream = net_connect(world, &u, timeout_ns, &seat_handler, s, &s->why);
  if (!s->stream) fail_msg("%s", s->why.text);
}

static int plain_bind(int family, uint16_t *port) {
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(*port), .sin6_addr = in6addr_loopback };
  socklen_t size = family == AF_INET ? sizeof v4 : sizeof v6;
  struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
  if (bind(fd, a, size) != 0) {
    close(fd);
    return -1;
  }
  assert_int_equal(getsockname(fd, a, &size), 0);
  *port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
  return fd;
}

/* A listening plain socket on loopback, with its URL; without a backlog (-1) it holds its port, and refuses. */
static int plain_listen(int family, int backlog, char url[64]) {
  uint16_t port = 0;
  int fd = plain_bind(family, &port);
  assert_true(fd >= 0);
  if (backlog >= 0) assert_int_equal(listen(fd, backlog), 0);
  snprintf(url, 64, family == AF_INET ? "tcp://127.0.0.1:%u" : "tcp://[::1]:%u", port);
  return fd;
}

/* As plain_listen, with the same port of the other family held, so that nobody else listens there. */
static int plain_listen_alone(int family, int backlog, char url[64], int *other) {
  for (int i = 0; i < 100; i++) {
    int fd = plain_listen(family, backlog, url);
    uint16_t port = (uint16_t)atoi(strrchr(url, ':') + 1);
    *other = plain_bind(family == AF_INET ? AF_INET6 : AF_INET, &port);
    if (*other >= 0) return fd;
    close(fd);
  }
  fail_msg("no port is free in both families");
  return -1;
}

static int plain_accept(int listener) {
  struct pollfd p = { .fd = listener, .events = POLLIN };
  assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
  return accept(listener, NULL, NULL);
}

/* Connects a seat to a plain socket; returns the plain end. */
static int pair(struct seat *s) {
  char url[64];
  int listener = plain_listen(AF_INET, 10, url);
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

static int set_up(void **state) {
  struct err err;
  (void)state;
  world = evnet_new(&err);
  return world ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  net_free(world);
  return 0;
}

/* Connecting. */

static void test_refused(void **state) {
  (void)state;
  char url[64];
  struct seat s;
  int held = plain_listen(AF_INET, -1, url);
  seat_connect(&s, url, 5000 * MS);
  assert_int_equal(s.ends, 0);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_REFUSED);
  assert_false(s.writing);
  assert_non_null(strstr(s.why.text, url + 6));
  turns_for(2 * MS);
  seat_fini(&s);
  close(held);
}

/* With backlog 0 one connection fits; SYNs of further ones are not answered. */
static void test_timeout(void **state) {
  (void)state;
  char url[64];
  struct seat first, s;
  int listener = plain_listen(AF_INET, 0, url);
  seat_connect(&first, url, 5000 * MS);
  UNTIL(first.opened);
  int64_t begin_ns = clock_ns();
  seat_connect(&s, url, 100 * MS);
  turns = 0;
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_TIMEOUT);
  assert_true(clock_ns() >= begin_ns + 100 * MS);
  assert_non_null(strstr(s.why.text, "no answer within 0.1 s"));
  assert_true(turns < 5);
  seat_fini(&s);
  /* Ended while connecting, in each way. */
  for (int way = 0; way < 3; way++) {
    seat_connect(&s, url, 100 * MS);
    turns_for(MS);
    if (way == 0) stream_close(s.stream);
    else if (way == 1) stream_reset(s.stream);
    else assert_true(stream_vanish(s.stream, NULL));
    s.stream = NULL;
    seat_fini(&s);
  }
  seat_fini(&first);
  close(listener);
}

/* "localhost" is both families, in whichever the broker is; names are looked up without holding the loop. */
static void test_addresses(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    char url[64], name[64];
    struct seat s;
    int other, family = i ? AF_INET6 : AF_INET;
    int listener = plain_listen_alone(family, 10, url, &other);
    snprintf(name, sizeof name, "tcp://localhost:%s", strrchr(url, ':') + 1);
    seat_connect(&s, name, 5000 * MS);
    UNTIL(s.opened);
    assert_string_equal(stream_peer(s.stream), url + 6);
    assert_non_null(strchr(stream_local(s.stream), ':'));
    seat_fini(&s);
    seat_connect(&s, url, 5000 * MS);
    UNTIL(s.opened);
    seat_fini(&s);
    close(listener);
    close(other);
    listener = plain_listen_alone(family, -1, url, &other);
    snprintf(name, sizeof name, "tcp://localhost:%s", strrchr(url, ':') + 1);
    seat_connect(&s, name, 5000 * MS);
    UNTIL(s.ends);
    assert_int_equal(s.end, STREAM_REFUSED);
    assert_non_null(strstr(s.why.text, "address 2 of 2"));
    seat_fini(&s);
    close(listener);
    close(other);
  }
  /* "127.1" is no address to us and one to getaddrinfo: a name that needs no name server. */
  char url[64], name[64], long_name[200];
  struct seat s;
  int listener = plain_listen(AF_INET, 10, url);
  snprintf(name, sizeof name, "tcp://127.1:%s", strrchr(url, ':') + 1);
  seat_connect(&s, name, 5000 * MS);
  UNTIL(s.opened);
  seat_fini(&s);
  seat_connect(&s, name, 5000 * MS);
  seat_fini(&s);
  close(listener);
  snprintf(long_name, sizeof long_name, "tcp://%0100d.x", 0);
  seat_connect(&s, long_name, 5000 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_UNREACHABLE);
  assert_non_null(strstr(s.why.text, "was not found"));
  seat_fini(&s);
}

/* Listening. */

struct porter {
  struct net_listener *listener;
  struct seat seats[1100];
  size_t count;
  unsigned troubles;
  struct err trouble;
};

static void porter_accepted(void *arg, struct stream *stream) {
  struct porter *p = arg;
  struct seat *s = &p->seats[p->count++];
  assert_true(p->count <= 1100);
  seat_init(s);
  s->stream = stream;
  stream_own(stream, &seat_handler, s);
}

static void porter_trouble(void *arg, const struct err *why) {
  struct porter *p = arg;
  p->troubles++;
  p->trouble = *why;
}

static const struct net_listener_handler porter_handler = { porter_accepted, porter_trouble };

static struct porter *porter_open(const char *text, uint32_t accept_max) {
  struct porter *p = calloc(1, sizeof *p);
  struct url u = url_of(text);
  struct err err;
  struct net_listen_options options = { .accept_max = accept_max };
  p->listener = net_listen(world, &u, &options, &porter_handler, p, &err);
  if (!p->listener) fail_msg("%s", err.text);
  return p;
}

static void porter_url(const struct porter *p, char url[300]) {
  url_format(net_listener_url(p->listener), url, 300);
}

static void porter_close(struct porter *p) {
  net_listener_free(p->listener);
  for (size_t i = 0; i < p->count; i++) seat_fini(&p->seats[i]);
  free(p);
}

static void expect_no_listen(const char *text, const char *words) {
  struct url u = url_of(text);
  struct err err = { "" };
  assert_null(net_listen(world, &u, NULL, &porter_handler, NULL, &err));
  if (!strstr(err.text, words)) fail_msg("%s", err.text);
}

static void test_listen(void **state) {
  (void)state;
  char url[300], other[300];
  struct porter *p = porter_open("tcp://127.0.0.1:0", 0);
  porter_url(p, url);
  assert_int_not_equal(net_listener_url(p->listener)->port, 0);
  expect_no_listen(url, url + 6);
  expect_no_listen(url, "in use");
  expect_no_listen("tcp://192.0.2.1:0", "does not have that address");
  struct seat s;
  seat_connect(&s, url, 5000 * MS);
  UNTIL(s.opened && p->count == 1);
  assert_string_equal(stream_peer(s.stream), stream_local(p->seats[0].stream));
  assert_string_equal(stream_local(s.stream), stream_peer(p->seats[0].stream));
  seat_send(&s, "ping");
  seat_send(&p->seats[0], "pong");
  UNTIL(buffer_size(&s.in) == 4 && buffer_size(&p->seats[0].in) == 4);
  /* The streams outlive their listener, and its port can be taken again at once. */
  net_listener_free(p->listener);
  p->listener = NULL;
  seat_send(&s, "more");
  UNTIL(buffer_size(&p->seats[0].in) == 8);
  struct porter *q = porter_open(url, 0);
  porter_close(p);
  UNTIL(s.fins);
  porter_close(q);
  seat_fini(&s);
  /* A wildcard of IPv6 is not one of IPv4. Whose port of that number may be somebody's: then another is taken. */
  struct err err = { "" };
  struct net_listener *v4 = NULL;
  for (int i = 0; i < 20 && !v4; i++) {
    p = porter_open("tcp://[::]:0", 0);
    snprintf(other, sizeof other, "tcp://0.0.0.0:%u", net_listener_url(p->listener)->port);
    struct url u = url_of(other);
    v4 = net_listen(world, &u, NULL, &porter_handler, NULL, &err);
    porter_close(p);
  }
  if (!v4) fail_msg("%s", err.text);
  net_listener_free(v4);
}

static void test_unix(void **state) {
  (void)state;
  char directory[] = "/tmp/evnet_test.XXXXXX", path[100], url[200];
  struct stat st;
  struct seat s;
  assert_non_null(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/socket", directory);
  snprintf(url, sizeof url, "unix://%s", path);
  seat_connect(&s, url, 5000 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_UNREACHABLE);
  assert_non_null(strstr(s.why.text, path));
  seat_fini(&s);
  struct porter *p = porter_open(url, 0);
  expect_no_listen(url, "in use");
  /* To see whether somebody listens, it was connected to. */
  UNTIL(p->count == 1);
  seat_connect(&s, url, 5000 * MS);
  assert_int_equal(s.opened, 0);
  UNTIL(s.opened && p->count == 2);
  assert_string_equal(stream_peer(s.stream), "unix");
  seat_send(&s, "ping");
  seat_send(&p->seats[1], "pong");
  UNTIL(buffer_size(&s.in) == 4 && buffer_size(&p->seats[1].in) == 4);
  assert_int_equal(stream_unsent(s.stream), 0);
  assert_false(stream_vanish(s.stream, &s.why));
  stream_shutdown(s.stream);
  UNTIL(p->seats[1].fins);
  seat_send(&p->seats[1], "still");
  UNTIL(buffer_size(&s.in) == 9);
  seat_fini(&s);
  porter_close(p);
  assert_int_not_equal(stat(path, &st), 0);
  /* A file left by somebody who was killed is taken over; another's file is not removed. */
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  close(fd);
  p = porter_open(url, 0);
  unlink(path);
  struct porter *q = porter_open(url, 0);
  porter_close(p);
  assert_int_equal(stat(path, &st), 0);
  porter_close(q);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  expect_no_listen(url, "in use");
  unlink(path);
  rmdir(directory);
  struct url u = url_of("unix:///x");
  struct err err;
  memset(u.path, '/', 108);
  u.path[108] = 0;
  assert_null(net_connect(world, &u, MS, NULL, NULL, &err));
  assert_non_null(strstr(err.text, "107"));
  assert_null(net_listen(world, &u, NULL, &porter_handler, NULL, &err));
  assert_non_null(strstr(err.text, "107"));
}

/* A full backlog of a Unix socket makes a connect wait, up to its timeout. */
static void test_unix_backlog(void **state) {
  (void)state;
  char directory[] = "/tmp/evnet_test.XXXXXX", url[200];
  struct seat s[3];
  assert_non_null(mkdtemp(directory));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  snprintf(a.sun_path, sizeof a.sun_path, "%s/s", directory);
  snprintf(url, sizeof url, "unix://%s", a.sun_path);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(fd, 0), 0);
  seat_connect(&s[0], url, 5000 * MS);
  UNTIL(s[0].opened);
  seat_connect(&s[1], url, 30 * MS);
  UNTIL(s[1].ends);
  assert_int_equal(s[1].end, STREAM_TIMEOUT);
  seat_connect(&s[2], url, 5000 * MS);
  turns_for(2 * MS);
  int got = plain_accept(fd);
  UNTIL(s[2].opened);
  for (int i = 0; i < 3; i++) seat_fini(&s[i]);
  close(got);
  close(fd);
  unlink(a.sun_path);
  rmdir(directory);
}

/* A listener that is mute answers nobody, not even by a refusal, and then it is as before. */
static void test_mute(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0", 0), *q;
  struct seat silent, heard;
  char url[300];
  struct err err = { "" };
  porter_url(p, url);
  if (!net_listener_mute(p->listener, true, &err)) { /* no silent nothing */
    assert_non_null(strstr(err.text, "CAP_NET_ADMIN"));
    porter_close(p);
    return;
  }
  seat_connect(&silent, url, 50 * MS);
  UNTIL(silent.ends);
  assert_int_equal(silent.end, STREAM_TIMEOUT);
  assert_int_equal(p->count, 0);
  assert_true(net_listener_mute(p->listener, false, &err));
  seat_connect(&heard, url, 5000 * MS);
  UNTIL(heard.opened && p->count == 1);
  seat_send(&heard, "x");
  UNTIL(p->seats[0].in.end == 1);
  seat_fini(&silent);
  seat_fini(&heard);
  porter_close(p);

  char path[64], unix_url[80];
  snprintf(path, sizeof path, "/tmp/evnet_test_mute.%d", (int)getpid());
  snprintf(unix_url, sizeof unix_url, "unix://%s", path);
  q = porter_open(unix_url, 0);
  assert_false(net_listener_mute(q->listener, true, &err));
  assert_non_null(strstr(err.text, "Unix socket"));
  porter_close(q);
}

/* What is said of vanishing is what comes of it; a connection that vanished ends for nobody. */
static void test_vanish(void **state) {
  (void)state;
  struct seat s;
  struct err why = { "" }, err = { "" };
  int fd = pair(&s);
  bool can = net_can_vanish(world, &why);
  bool did = stream_vanish(s.stream, &err);
  assert_int_equal(can, did);
  if (did) {
    s.stream = NULL;
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    assert_false(plain_readable(fd, 50));
  } else {
    assert_non_null(strstr(why.text, "CAP_NET_ADMIN"));
    assert_string_equal(why.text, err.text);
  }
  close(fd);
  seat_fini(&s);
}

static void test_accept_max(void **state) {
  (void)state;
  char url[300];
  int fds[5];
  struct porter *p = porter_open("tcp://127.0.0.1:0", 2);
  porter_url(p, url);
  for (int i = 0; i < 5; i++) fds[i] = plain_connect(net_listener_url(p->listener));
  UNTIL(p->count == 2);
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
  porter_close(p);
  for (int i = 0; i < 5; i++) close(fds[i]);
}

/* Bytes. */

/* What does not fit waits for room, without turning; all of it arrives, once, in order. */
static void test_partial_writes(void **state) {
  (void)state;
  struct seat s;
  int fd = pair(&s);
  static uint8_t sent[8 << 20], got[8 << 20];
  for (size_t i = 0; i < sizeof sent; i++) sent[i] = (uint8_t)(i * 7 + i / 251);
  stream_set_buffers(s.stream, 65536, 0);
  buffer_append(&s.out, slice_of(sent, sizeof sent));
  stream_flush(s.stream);
  size_t left = buffer_size(&s.out);
  assert_true(left > 0 && left < sizeof sent);
  assert_true(stream_unsent(s.stream) > 0);
  turns_for(20 * MS);
  turns = 0;
  turns_for(20 * MS);
  assert_true(turns < 4);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (size_t n = 0; n < sizeof got;) {
    ssize_t k = read(fd, got + n, sizeof got - n);
    if (k > 0) n += (size_t)k;
    else turn(clock_ns() + MS);
  }
  assert_memory_equal(sent, got, sizeof sent);
  assert_int_equal(buffer_size(&s.out), 0);
  POLL_UNTIL(stream_unsent(s.stream) == 0);
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
  int fd = pair(&s), other = pair(&t);
  for (unsigned i = 1; i <= 3; i++) {
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(write(other, "y", 1), 1);
    if (i == 1) net_wake(world);
    turn(i == 2 ? clock_ns() - 1 : i == 3 ? clock_ns() : NET_NEVER);
    UNTIL(buffer_size(&s.in) == i && buffer_size(&t.in) == i);
  }
  stream_pause(t.stream, true);
  plain_reset(other);
  seat_send(&t, "a");
  seat_send(&t, "b");
  for (int i = 0; i < 3; i++) turn(clock_ns());
  stream_pause(t.stream, false);
  assert_int_equal(write(fd, "x", 1), 1);
  UNTIL(t.ends && buffer_size(&s.in) == 4);
  seat_fini(&s);
  seat_fini(&t);
  close(fd);
}

/* One turn hands over 64 KiB of a stream at the most; the rest comes in the next. */
static void test_fairness(void **state) {
  (void)state;
  struct seat s;
  int fd = pair(&s);
  static char bytes[300000];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  size_t sent = 0;
  for (ssize_t n; sent < sizeof bytes && (n = write(fd, bytes + sent, sizeof bytes - sent)) > 0;) sent += (size_t)n;
  assert_true(sent > 2 * NET_READ_MAX);
  POLL_UNTIL(s.inputs > 0);
  for (unsigned before = s.inputs; buffer_size(&s.in) < sent; before = s.inputs) {
    turn(clock_ns() + MS);
    assert_true(s.inputs <= before + 1);
  }
  seat_fini(&s);
  close(fd);
}

/* Seven bytes, then a reset: seven bytes arrive, then the reset. Also when reading is late. */
static void test_reset_after_bytes(void **state) {
  (void)state;
  for (int paused = 0; paused < 2; paused++) {
    struct seat s;
    int fd = pair(&s);
    if (paused) stream_pause(s.stream, true);
    assert_int_equal(write(fd, "1234567", 7), 7);
    plain_reset(fd);
    if (paused) {
      turns = 0;
      turns_for(5 * MS);
      assert_true(turns < 3);
      assert_int_equal(s.inputs + s.ends, 0);
      stream_pause(s.stream, false);
    }
    UNTIL(s.ends);
    assert_int_equal(buffer_size(&s.in), 7);
    assert_int_equal(s.end, STREAM_RESET);
    assert_false(s.writing);
    turns = 0;
    turns_for(2 * MS);
    assert_true(turns < 3);
    seat_fini(&s);
  }
}

/* It is a write that finds the reset: what the kernel holds is handed over first, and nothing is told inside
 * stream_flush. */
static void test_write_finds_reset(void **state) {
  (void)state;
  for (int size = 7; size <= 100000; size += 99993) {
    struct seat s;
    static char acks[100000];
    int fd = pair(&s);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t sent = write(fd, acks, (size_t)size);
    assert_true(sent >= 7);
    int unsent = 1;
    while (unsent) ioctl(fd, SIOCOUTQ, &unsent);
    int64_t until_ns = clock_ns() + 1000 * MS;
    plain_reset(fd);
    /* The reset is on loopback: it has arrived when the writes begin to fail. */
    s.in_call = 1;
    buffer_append(&s.out, slice_text("a message"));
    while (buffer_size(&s.out) == 0 && clock_ns() < until_ns) {
      buffer_append(&s.out, slice_text("a message"));
      stream_flush(s.stream);
    }
    stream_flush(s.stream);
    assert_true(buffer_size(&s.out) > 0);
    stream_flush(s.stream);
    stream_want_write(s.stream);
    s.in_call = 0;
    UNTIL(s.ends);
    assert_int_equal(buffer_size(&s.in), sent);
    assert_int_equal(s.end, STREAM_RESET);
    assert_true(s.writing);
    seat_fini(&s);
  }
}

/* FIN from them: the stream stays writable, nothing turns, and a reset behind it is still noticed. */
static void test_half_close(void **state) {
  (void)state;
  struct seat s;
  char got[20];
  int fd = pair(&s);
  assert_int_equal(write(fd, "last", 4), 4);
  shutdown(fd, SHUT_WR);
  UNTIL(s.fins);
  assert_int_equal(buffer_size(&s.in), 4);
  turns = 0;
  turns_for(5 * MS);
  assert_true(turns < 4);
  seat_send(&s, "answer");
  POLL_UNTIL(plain_readable(fd, 0));
  assert_int_equal(read(fd, got, sizeof got), 6);
  plain_reset(fd);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  seat_fini(&s);

  /* FIN from us: reading goes on. */
  fd = pair(&s);
  seat_send(&s, "bye");
  turn(clock_ns());
  stream_shutdown(s.stream);
  seat_send(&s, "never written");
  turn(clock_ns());
  assert_int_equal(read(fd, got, sizeof got), 3);
  assert_true(plain_readable(fd, PATIENCE_S * 1000));
  assert_int_equal(read(fd, got, sizeof got), 0);
  assert_int_equal(write(fd, "still", 5), 5);
  UNTIL(buffer_size(&s.in) == 5);
  close(fd);
  UNTIL(s.fins);
  turns = 0;
  turns_for(5 * MS);
  assert_true(turns < 4);
  assert_int_equal(s.ends, 0);
  seat_fini(&s);
}

/* A large write behind their FIN gets through too: room is noticed. */
static void test_write_after_fin(void **state) {
  (void)state;
  struct seat s;
  int fd = pair(&s);
  static char bytes[6 << 20], got[65536];
  shutdown(fd, SHUT_WR);
  UNTIL(s.fins);
  stream_set_buffers(s.stream, 65536, 0);
  buffer_append(&s.out, slice_of(bytes, sizeof bytes));
  stream_want_write(s.stream);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (size_t n = 0; n < sizeof bytes;) {
    ssize_t k = read(fd, got, sizeof got);
    if (k > 0) n += (size_t)k;
    else turn(clock_ns() + MS);
  }
  seat_fini(&s);
  close(fd);
}

/* Ends of ours, as the other end sees them. */
static void test_our_ends(void **state) {
  (void)state;
  struct seat s;
  char got[20];
  struct err err = { "" };
  int fd = pair(&s);
  seat_send(&s, "1234567");
  turn(clock_ns());
  POLL_UNTIL(stream_unsent(s.stream) == 0);
  stream_reset(s.stream);
  s.stream = NULL;
  assert_int_equal(read(fd, got, sizeof got), 7);
  assert_int_equal(read(fd, got, sizeof got), -1);
  assert_int_equal(errno, ECONNRESET);
  close(fd);
  seat_fini(&s);

  fd = pair(&s);
  seat_send(&s, "1234567");
  turn(clock_ns());
  stream_close(s.stream);
  s.stream = NULL;
  assert_int_equal(read(fd, got, sizeof got), 7);
  assert_int_equal(read(fd, got, sizeof got), 0);
  close(fd);
  seat_fini(&s);

  /* Vanished: not even a write is answered. More of them than are kept open, too. */
  fd = pair(&s);
  seat_send(&s, "1234567");
  turn(clock_ns());
  if (stream_vanish(s.stream, &err)) {
    s.stream = NULL;
    assert_int_equal(read(fd, got, sizeof got), 7);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_false(plain_readable(fd, 30));
    assert_int_equal(write(fd, "y", 1), 1);
    for (int i = 0; i < 70; i++) {
      struct seat other;
      int more = pair(&other);
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

/* Through a chain: what was written is read at the other end before the reset, at once and while it is not acknowledged
 * yet. */
static void test_chain_reset(void **state) {
  (void)state;
  for (int size = 7; size <= 70000; size += 69993) {
    struct seat s;
    char url[64];
    static char bytes[70000], got[70001];
    int listener = plain_listen(AF_INET, 10, url);
    struct url u = url_of(url);
    seat_init(&s);
    struct chain *c = chain_new(world, &seat_handler, &s);
    s.stream = net_connect(world, &u, 5000 * MS, NULL, NULL, &s.why);
    chain_attach(c, s.stream);
    UNTIL(s.opened);
    int fd = plain_accept(listener);
    buffer_append(&s.out, slice_of(bytes, (size_t)size));
    chain_flush(c);
    assert_int_equal(buffer_size(&s.out), 0);
    chain_reset(c);
    assert_int_equal(s.ends, 0);
    UNTIL(s.ends);
    assert_int_equal(s.end, STREAM_RESET);
    assert_null(chain_stream(c));
    assert_int_equal(recv(fd, got, sizeof got, MSG_WAITALL), size);
    assert_int_equal(read(fd, got, sizeof got), -1);
    assert_int_equal(errno, ECONNRESET);
    chain_free(c);
    s.stream = NULL;
    seat_fini(&s);
    close(fd);
    close(listener);
  }
}

/* Closing inside every handler, alone and together with another stream that is ready too. */
static void test_close_anywhere(void **state) {
  (void)state;
  for (const char *in = "oiOwe"; *in; in++) {
    for (int kind = 0; kind < 4; kind++) {
      char url[64];
      struct seat s[2];
      int fds[2], listener = plain_listen(AF_INET, 10, url);
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
  struct porter *p = porter_open("tcp://127.0.0.1:0", 0);
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

/* A thousand streams, each with its echo; a backlog smaller than what connects at once. */
static void test_many(void **state) {
  (void)state;
  enum { COUNT = 1000 };
  static struct seat s[COUNT];
  char url[300];
  if (evnet_descriptors_left() < 2 * COUNT + 50) limit_descriptors(4096);
  struct porter *p = porter_open("tcp://127.0.0.1:0", 0);
  porter_url(p, url);
  for (int i = 0; i < COUNT; i++) {
    char text[40];
    seat_connect(&s[i], url, 20000 * MS);
    snprintf(text, sizeof text, "stream %d", i);
    seat_send(&s[i], text);
  }
  UNTIL(p->count == COUNT);
  size_t back = 0;
  while (back < COUNT) {
    turn(clock_ns() + PATIENCE_S * 1000 * MS);
    for (size_t i = 0; i < COUNT; i++) {
      struct seat *e = &p->seats[i];
      if (buffer_size(&e->in) == 0) continue;
      buffer_append(&e->out, buffer_slice(&e->in));
      buffer_fini(&e->in);
      stream_want_write(e->stream);
    }
    back = 0;
    for (int i = 0; i < COUNT; i++) back += buffer_size(&s[i].in) > 0;
  }
  for (int i = 0; i < COUNT; i++) {
    char text[40];
    snprintf(text, sizeof text, "stream %d", i);
    UNTIL(buffer_size(&s[i].in) == strlen(text));
    assert_memory_equal(buffer_slice(&s[i].in).data, text, strlen(text));
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
  /* A deadline that was given up leaves its alarm behind: that ends no other wait. */
  net_timer_set(world, &bells[0].timer, net_now(world) + 3 * MS);
  net_wake(world);
  turn(NET_NEVER);
  turn(net_now(world) + MS);
  net_timer_clear(world, &bells[0].timer);
  now_ns = net_now(world);
  turn(now_ns + 6 * MS);
  assert_true(net_now(world) >= now_ns + 6 * MS);
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
  int fd = pair(&s), to_child[2], from_child[2], status;
  char c, got[20];
  struct porter *p = porter_open("tcp://127.0.0.1:0", 0);
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
  turn(clock_ns());
  assert_int_equal(read(fd, got, sizeof got), 6);
  assert_int_equal(write(fd, "peer", 4), 4);
  UNTIL(buffer_size(&s.in) == 4);
  int other = plain_connect(net_listener_url(p->listener));
  UNTIL(p->count == 1);
  seat_fini(&s);
  assert_true(plain_readable(fd, PATIENCE_S * 1000));
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

#define EVNET_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
    EVNET_TEST(test_refused),
    EVNET_TEST(test_timeout),
    EVNET_TEST(test_addresses),
    EVNET_TEST(test_listen),
    EVNET_TEST(test_unix),
    EVNET_TEST(test_unix_backlog),
    EVNET_TEST(test_mute),
    EVNET_TEST(test_vanish),
    EVNET_TEST(test_accept_max),
    EVNET_TEST(test_partial_writes),
    EVNET_TEST(test_no_wait),
    EVNET_TEST(test_fairness),
    EVNET_TEST(test_reset_after_bytes),
    EVNET_TEST(test_write_finds_reset),
    EVNET_TEST(test_half_close),
    EVNET_TEST(test_write_after_fin),
    EVNET_TEST(test_our_ends),
    EVNET_TEST(test_chain_reset),
    EVNET_TEST(test_close_anywhere),
    EVNET_TEST(test_no_descriptor_to_accept),
    EVNET_TEST(test_no_descriptor_to_connect),
    EVNET_TEST(test_many),
    EVNET_TEST(test_time),
    EVNET_TEST(test_watch),
    EVNET_TEST(test_fork),
  };
  return cmocka_run_group_tests_name("evnet", tests, NULL, NULL);
}
