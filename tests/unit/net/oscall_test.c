#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/evnet.h"
#include "net/oscall.h"

#define MS         1000000ll
#define PATIENCE_S 20 /* a test that waits longer has failed */

static struct net *world;

static int64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Looks again every millisecond: plain sockets wake no loop. */
#define UNTIL(condition)                                                                                               \
  do {                                                                                                                 \
    struct err turn_err;                                                                                               \
    int64_t give_up_ns = clock_ns() + PATIENCE_S * 1000 * MS;                                                          \
    while (!(condition)) {                                                                                             \
      if (clock_ns() > give_up_ns) fail_msg("waited for %s in vain", #condition);                                      \
      assert_true(net_turn(world, clock_ns() + MS, &turn_err));                                                        \
    }                                                                                                                  \
  } while (0)

/* What the next calls of one kind come to; the last row goes on for ever if `forever`. */
struct script {
  struct oscall_hook hook;
  enum oscall call;
  struct {
    int error;
    size_t most;
  } rows[8];
  unsigned count, asked, told, gone;
  size_t sizes[64];
  bool forever;
};

static bool script_ask(struct oscall_hook *h, enum oscall call, size_t size, struct oscall_verdict *v) {
  struct script *s = (struct script *)(void *)h;
  if (call != s->call) return false;
  if (s->asked < 64) s->sizes[s->asked] = size;
  unsigned row = s->asked++;
  if (row >= s->count && s->forever) row = s->count - 1;
  if (row >= s->count) return false;
  s->told++;
  *v = (struct oscall_verdict){ s->rows[row].error, s->rows[row].most ? s->rows[row].most : size };
  return true;
}

static void script_gone(struct oscall_hook *h) {
  ((struct script *)(void *)h)->gone++;
}

static void script_init(struct script *s, enum oscall call) {
  *s = (struct script){ .hook = { .ask = script_ask, .gone = script_gone }, .call = call };
}

static void script_add(struct script *s, int error, size_t most) {
  s->rows[s->count].error = error;
  s->rows[s->count++].most = most;
}

struct seat {
  struct stream *stream;
  struct buffer in, out;
  unsigned opened, inputs, fins, ends;
  size_t largest; /* input */
  enum stream_end end;
  bool writing;
  struct err why;
};

static void seat_opened(void *arg) {
  ((struct seat *)arg)->opened++;
}

static void seat_input(void *arg, struct slice bytes) {
  struct seat *s = arg;
  s->inputs++;
  if (bytes.size > s->largest) s->largest = bytes.size;
  buffer_append(&s->in, bytes);
}

static struct slice seat_output(void *arg) {
  return buffer_slice(&((struct seat *)arg)->out);
}

static void seat_wrote(void *arg, size_t n) {
  buffer_consume(&((struct seat *)arg)->out, n);
}

static void seat_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct seat *s = arg;
  if (end == STREAM_FIN) {
    s->fins++;
    return;
  }
  s->ends++;
  s->end = end;
  s->writing = writing;
  s->why = *why;
}

static const struct stream_handler seat_handler = { seat_opened, seat_input, seat_output, seat_wrote, seat_ended };

static void seat_init(struct seat *s) {
  memset(s, 0, sizeof *s);
  buffer_init(&s->in, 1u << 20);
  buffer_init(&s->out, 1u << 20);
}

static void seat_fini(struct seat *s) {
  if (s->stream) stream_close(s->stream);
  buffer_fini(&s->in);
  buffer_fini(&s->out);
}

static void seat_send(struct seat *s, const char *text) {
  buffer_append(&s->out, slice_text(text));
  stream_want_write(s->stream);
}

static int plain_listen(struct url *u) {
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
  socklen_t size = sizeof a;
  char text[64];
  struct err err;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
  assert_int_equal(listen(fd, 10), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
  snprintf(text, sizeof text, "tcp://127.0.0.1:%u", ntohs(a.sin_port));
  assert_true(url_parse(text, u, &err));
  return fd;
}

static int plain_connect(const struct url *u) {
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(u->port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

/* What a plain socket has got so far. */
static const char *plain_got(int fd, char *to, size_t size) {
  ssize_t n = recv(fd, to, size - 1, MSG_PEEK | MSG_DONTWAIT);
  to[n > 0 ? n : 0] = '\0';
  return to;
}

/* Connects a seat through the hook; returns the plain end. */
static int pair(struct seat *s, struct script *script) {
  struct url u;
  int listener = plain_listen(&u);
  seat_init(s);
  s->stream = oscall_connect(world, &u, 5000 * MS, &script->hook, &s->why);
  if (!s->stream) fail_msg("%s", s->why.text);
  stream_own(s->stream, &seat_handler, s);
  UNTIL(s->opened);
  int fd = accept(listener, NULL, NULL);
  close(listener);
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

/* A send takes no more than it is let: the rest follows, in order, and counts as written when it is. */
static void test_send_short(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  char got[64];
  script_init(&script, OSCALL_SEND);
  script_add(&script, 0, 3);
  script_add(&script, 0, 1);
  int fd = pair(&s, &script);
  seat_send(&s, "0123456789");
  UNTIL(strcmp(plain_got(fd, got, sizeof got), "0123456789") == 0);
  assert_int_equal(script.asked, 3);
  assert_int_equal(script.sizes[0], 10);
  assert_int_equal(script.sizes[1], 7);
  assert_int_equal(script.sizes[2], 6);
  assert_int_equal(s.ends, 0);
  seat_fini(&s);
  assert_int_equal(script.gone, 1);
  close(fd);
}

/* What would block and what was interrupted goes out later, once; also behind the other end's FIN, where readiness is
 * told only when it changes. */
static void test_send_again(void **state) {
  (void)state;
  for (int fin = 0; fin < 2; fin++) {
    struct script script;
    struct seat s;
    char got[64];
    script_init(&script, OSCALL_SEND);
    for (int i = 0; i < 4; i++) script_add(&script, i % 2 ? EINTR : EAGAIN, 0);
    int fd = pair(&s, &script);
    if (fin) {
      shutdown(fd, SHUT_WR);
      UNTIL(s.fins);
    }
    seat_send(&s, "abc");
    UNTIL(script.asked == 1);
    seat_send(&s, "def");
    stream_flush(s.stream);
    assert_int_equal(script.asked, 1);
    UNTIL(strcmp(plain_got(fd, got, sizeof got), "abcdef") == 0);
    assert_int_equal(script.told, 4);
    seat_fini(&s);
    close(fd);
  }
}

/* A call that never succeeds keeps no turn from ending, and burns no processor; the stream can still end. */
static void test_send_never(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  char got[64];
  script_init(&script, OSCALL_SEND);
  script_add(&script, EINTR, 0);
  script.forever = true;
  int fd = pair(&s, &script);
  int64_t began_ns = clock_ns();
  seat_send(&s, "abc");
  UNTIL(script.asked == 20);
  assert_true(clock_ns() - began_ns >= 19 * OSCALL_AGAIN_NS);
  assert_string_equal(plain_got(fd, got, sizeof got), "");
  seat_fini(&s);
  assert_int_equal(script.gone, 1);
  close(fd);
}

/* An error of a call ends the stream as the system's would, with a sentence that says where it came from; what had come
 * in is handed over first. */
static void check_failure(enum oscall call, int error, enum stream_end end) {
  struct script script;
  struct seat s;
  script_init(&script, call);
  script_add(&script, error, 0);
  int fd = pair(&s, &script);
  assert_int_equal(send(fd, "before", 6, MSG_NOSIGNAL), 6);
  if (call == OSCALL_SEND) seat_send(&s, "x");
  UNTIL(s.ends);
  assert_int_equal(s.end, end);
  assert_int_equal(s.writing, call == OSCALL_SEND);
  assert_non_null(strstr(s.why.text, strerror(error)));
  assert_non_null(strstr(s.why.text, call == OSCALL_SEND ? "writing to 127.0.0.1" : "reading from 127.0.0.1"));
  assert_non_null(strstr(s.why.text, "(injected)"));
  assert_int_equal(buffer_size(&s.in), call == OSCALL_SEND ? 6 : 0);
  assert_int_equal(buffer_size(&s.out), call == OSCALL_SEND ? 1 : 0);
  seat_fini(&s);
  close(fd);
}

static void test_failures(void **state) {
  (void)state;
  static const struct {
    int error;
    enum stream_end end;
  } rows[] = { { ECONNRESET, STREAM_RESET },
               { EPIPE, STREAM_RESET },
               { ETIMEDOUT, STREAM_TIMEOUT },
               { ENOBUFS, STREAM_FAILED },
               { ENOMEM, STREAM_FAILED } };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    check_failure(OSCALL_SEND, rows[i].error, rows[i].end);
    check_failure(OSCALL_RECV, rows[i].error, rows[i].end);
  }
}

static void test_recv(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  script_init(&script, OSCALL_RECV);
  script_add(&script, EAGAIN, 0);
  script_add(&script, EINTR, 0);
  script_add(&script, 0, 3);
  script_add(&script, 0, 2);
  int fd = pair(&s, &script);
  assert_int_equal(send(fd, "0123456789", 10, MSG_NOSIGNAL), 10);
  UNTIL(buffer_size(&s.in) == 10);
  assert_memory_equal(buffer_slice(&s.in).data, "0123456789", 10);
  assert_int_equal(s.inputs, 3);
  assert_int_equal(script.told, 4);
  shutdown(fd, SHUT_WR);
  UNTIL(s.fins == 1);
  seat_fini(&s);
  close(fd);
}

/* While a call waits to be made again, pausing and closing do what they do. */
static void test_recv_paused(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  script_init(&script, OSCALL_RECV);
  script_add(&script, EAGAIN, 0);
  int fd = pair(&s, &script);
  assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
  UNTIL(script.told == 1);
  stream_pause(s.stream, true);
  int64_t until_ns = clock_ns() + 5 * MS;
  UNTIL(clock_ns() > until_ns);
  assert_int_equal(s.inputs, 0);
  stream_pause(s.stream, false);
  UNTIL(s.inputs == 1);
  seat_fini(&s);
  close(fd);
}

static void check_connect(enum oscall call, int error, enum stream_end end) {
  struct script script;
  struct seat s;
  struct url u;
  int listener = plain_listen(&u);
  seat_init(&s);
  script_init(&script, call);
  script_add(&script, error, 0);
  s.stream = oscall_connect(world, &u, 5000 * MS, &script.hook, &s.why);
  assert_non_null(s.stream);
  stream_own(s.stream, &seat_handler, &s);
  UNTIL(s.ends || s.opened);
  assert_int_equal(script.told, 1);
  assert_int_equal(s.opened, end == STREAM_FIN);
  if (end != STREAM_FIN) {
    assert_int_equal(s.end, end);
    assert_non_null(strstr(s.why.text, "connecting to 127.0.0.1"));
    assert_non_null(strstr(s.why.text, strerror(error)));
    assert_non_null(strstr(s.why.text, "(injected)"));
    assert_true(poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, 0) == 0);
  }
  seat_fini(&s);
  assert_int_equal(script.gone, 1);
  close(listener);
}

/* STREAM_FIN here: it connects all the same. */
static void test_connect(void **state) {
  (void)state;
  check_connect(OSCALL_CONNECT, ECONNREFUSED, STREAM_REFUSED);
  check_connect(OSCALL_CONNECT, EHOSTUNREACH, STREAM_UNREACHABLE);
  check_connect(OSCALL_CONNECT, ENETUNREACH, STREAM_UNREACHABLE);
  check_connect(OSCALL_CONNECT, EADDRNOTAVAIL, STREAM_UNREACHABLE);
  check_connect(OSCALL_CONNECT, ETIMEDOUT, STREAM_TIMEOUT);
  check_connect(OSCALL_CONNECT, EAGAIN, STREAM_FAILED);
  check_connect(OSCALL_CONNECT, EINTR, STREAM_FIN);
  check_connect(OSCALL_CONNECT, EINPROGRESS, STREAM_FIN);
  check_connect(OSCALL_SOCKET, EMFILE, STREAM_FAILED);
  check_connect(OSCALL_SOCKET, ENFILE, STREAM_FAILED);
  check_connect(OSCALL_SOCKET, ENOMEM, STREAM_FAILED);
  check_connect(OSCALL_SOCKET, EINTR, STREAM_FAILED);
}

/* Where no stream is made, the hook goes all the same. */
static void test_no_stream(void **state) {
  (void)state;
  struct script script;
  struct url u = { .scheme = URL_UNIX };
  struct err err;
  memset(u.path, 'x', sizeof u.path - 1);
  script_init(&script, OSCALL_CONNECT);
  assert_null(oscall_connect(world, &u, MS, &script.hook, &err));
  assert_int_equal(script.gone, 1);
}

struct door {
  struct stream *accepted[4];
  unsigned count, troubles;
};

static void door_accepted(void *arg, struct stream *s) {
  struct door *d = arg;
  d->accepted[d->count++] = s;
  stream_own(s, &seat_handler, NULL);
}

static void door_trouble(void *arg, const struct err *why) {
  (void)why;
  ((struct door *)arg)->troubles++;
}

static const struct net_listener_handler door_handler = { door_accepted, door_trouble };

/* Of the connections that are there: some errors leave them for later, some take them away. An accept with nobody there
 * is not asked about. */
static void test_accept(void **state) {
  (void)state;
  struct script script;
  struct door door = { .count = 0 };
  struct url u;
  struct err err;
  char byte;
  assert_true(url_parse("tcp://127.0.0.1:0", &u, &err));
  script_init(&script, OSCALL_ACCEPT);
  script_add(&script, EINTR, 0);
  script_add(&script, EMFILE, 0);
  script_add(&script, ECONNABORTED, 0);
  struct net_listener *l = net_listen(world, &u, NULL, &door_handler, &door, &err);
  assert_non_null(l);
  oscall_on_listener(l, &script.hook);
  assert_true(oscall_hooks_listener(l));
  int first = plain_connect(net_listener_url(l));
  int64_t began_ns = clock_ns();
  int second = plain_connect(net_listener_url(l));
  UNTIL(door.count == 1);
  assert_true(clock_ns() - began_ns >= OSCALL_AGAIN_NS);
  assert_int_equal(script.asked, 4);
  assert_int_equal(door.troubles, 0);
  assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT), -1);
  assert_int_equal(errno, ECONNRESET);
  assert_int_equal(send(second, "x", 1, MSG_NOSIGNAL), 1);
  stream_close(door.accepted[0]);
  net_listener_free(l);
  assert_int_equal(script.gone, 1);
  close(first);
  close(second);
}

/* A hook on a stream that is up. */
static void test_later(void **state) {
  (void)state;
  struct script script;
  struct door door = { .count = 0 };
  struct seat s;
  struct url u;
  struct err err;
  assert_true(url_parse("tcp://127.0.0.1:0", &u, &err));
  struct net_listener *l = net_listen(world, &u, NULL, &door_handler, &door, &err);
  script_init(&script, OSCALL_RECV);
  script_add(&script, 0, 1);
  int fd = plain_connect(net_listener_url(l));
  UNTIL(door.count == 1);
  assert_false(oscall_hooks_stream(door.accepted[0]));
  oscall_on_stream(door.accepted[0], &script.hook);
  assert_true(oscall_hooks_stream(door.accepted[0]));
  seat_init(&s);
  s.stream = door.accepted[0];
  stream_own(s.stream, &seat_handler, &s);
  assert_int_equal(send(fd, "ab", 2, MSG_NOSIGNAL), 2);
  UNTIL(buffer_size(&s.in) == 2);
  assert_int_equal(s.inputs, 2);
  seat_fini(&s);
  assert_int_equal(script.gone, 1);
  net_listener_free(l);
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_send_short, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_send_again, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_send_never, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_recv, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_recv_paused, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_connect, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_no_stream, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_accept, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_later, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("oscall", tests, NULL, NULL);
}
