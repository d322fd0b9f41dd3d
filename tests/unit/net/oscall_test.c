#include "net/oscall.h"

#include <stdio.h>

#include "worldrig.h"

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

static void script_dial(struct script *script, struct seat *s, const char *url) {
  struct url u = url_of(url);
  seat_init(s);
  s->stream = oscall_connect(world, &u, 5000 * MS, &script->hook, &s->why);
  if (!s->stream) fail_msg("%s", s->why.text);
  stream_own(s->stream, &seat_handler, s);
}

/* Connects a seat through the hook; the other end is the porter's first. */
static struct porter *script_pair(struct script *script, struct seat *s) {
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  script_dial(script, s, p->url);
  UNTIL(s->opened && p->count);
  return p;
}

static void script_end(struct script *script, struct seat *s, struct porter *p) {
  seat_fini(s);
  assert_int_equal(script->gone, 1);
  porter_close(p);
}

static bool seat_has(const struct seat *s, const char *text) {
  return slice_equal(buffer_slice(&s->in), slice_text(text));
}

/* A send takes no more than it is let: the rest follows, in order, and counts as written when it is. */
static void test_send_short(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  script_init(&script, OSCALL_SEND);
  script_add(&script, 0, 3);
  script_add(&script, 0, 1);
  struct porter *p = script_pair(&script, &s);
  seat_send(&s, "0123456789");
  UNTIL(seat_has(&p->seats[0], "0123456789"));
  assert_int_equal(script.asked, 3);
  assert_int_equal(script.sizes[0], 10);
  assert_int_equal(script.sizes[1], 7);
  assert_int_equal(script.sizes[2], 6);
  assert_int_equal(s.ends, 0);
  script_end(&script, &s, p);
}

/* What would block and what was interrupted goes out later, once; also behind the other end's FIN, where the real
 * world tells readiness only when it changes. */
static void test_send_again(void **state) {
  (void)state;
  for (int fin = 0; fin < 2; fin++) {
    struct script script;
    struct seat s;
    script_init(&script, OSCALL_SEND);
    for (int i = 0; i < 4; i++) script_add(&script, i % 2 ? EINTR : EAGAIN, 0);
    struct porter *p = script_pair(&script, &s);
    if (fin) {
      stream_shutdown(p->seats[0].stream);
      UNTIL(s.fins);
    }
    seat_send(&s, "abc");
    UNTIL(script.asked == 1);
    seat_send(&s, "def");
    stream_flush(s.stream);
    assert_int_equal(script.asked, 1);
    UNTIL(seat_has(&p->seats[0], "abcdef"));
    assert_int_equal(script.told, 4);
    script_end(&script, &s, p);
  }
}

/* A call that never succeeds keeps no turn from ending, and is not made all the time; the stream can still end. */
static void test_send_never(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  script_init(&script, OSCALL_SEND);
  script_add(&script, EINTR, 0);
  script.forever = true;
  struct porter *p = script_pair(&script, &s);
  int64_t began_ns = net_now(world);
  seat_send(&s, "abc");
  UNTIL(script.asked == 20);
  assert_true(net_now(world) - began_ns >= 19 * OSCALL_AGAIN_NS);
  assert_int_equal(seat_got(&p->seats[0]), 0);
  script_end(&script, &s, p);
}

/* An error of a call ends the stream as the system's would, with a sentence that says where it came from. */
static void check_failure(enum oscall call, int error, enum stream_end end) {
  bool writing = call == OSCALL_SEND;
  struct script script;
  struct seat s;
  script_init(&script, call);
  script_add(&script, error, 0);
  struct porter *p = script_pair(&script, &s);
  seat_send(&p->seats[0], "before");
  if (writing) UNTIL(seat_got(&s) == 6);
  if (writing) seat_send(&s, "x");
  UNTIL(s.ends);
  assert_int_equal(s.end, end);
  assert_int_equal(s.writing, writing);
  assert_non_null(strstr(s.why.text, strerror(error)));
  assert_non_null(strstr(s.why.text, writing ? "writing to 127.0.0.1" : "reading from 127.0.0.1"));
  assert_non_null(strstr(s.why.text, "(injected)"));
  assert_int_equal(seat_got(&s), writing ? 6 : 0);
  assert_int_equal(buffer_size(&s.out), writing ? 1 : 0);
  seat_fini(&s);
  UNTIL(p->seats[0].fins + p->seats[0].ends);
  assert_int_equal(script.gone, 1);
  porter_close(p);
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
  script_add(&script, 0, 1);
  script_add(&script, 0, 1);
  struct porter *p = script_pair(&script, &s);
  seat_send(&p->seats[0], "0123456789");
  UNTIL(seat_has(&s, "0123456789"));
  assert_true(s.inputs >= 3);
  assert_int_equal(script.told, 4);
  stream_shutdown(p->seats[0].stream);
  UNTIL(s.fins == 1);
  script_end(&script, &s, p);
}

/* While a call waits to be made again, pausing does what it does; an end of file can be what is received then. */
static void test_recv_paused(void **state) {
  (void)state;
  struct script script;
  struct seat s;
  script_init(&script, OSCALL_RECV);
  script_add(&script, EAGAIN, 0);
  struct porter *p = script_pair(&script, &s);
  stream_shutdown(p->seats[0].stream);
  UNTIL(script.told == 1);
  stream_pause(s.stream, true);
  turns_for(5 * OSCALL_AGAIN_NS);
  assert_int_equal(s.fins, 0);
  stream_pause(s.stream, false);
  UNTIL(s.fins == 1);
  script_end(&script, &s, p);
}

static void check_connect(enum oscall call, int error, enum stream_end end) {
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct script script;
  struct seat s;
  script_init(&script, call);
  script_add(&script, error, 0);
  script_dial(&script, &s, p->url);
  UNTIL(s.ends || s.opened);
  assert_int_equal(script.told, 1);
  assert_int_equal(s.opened, end == STREAM_FIN);
  if (end != STREAM_FIN) {
    assert_int_equal(s.end, end);
    assert_non_null(strstr(s.why.text, "connecting to 127.0.0.1"));
    assert_non_null(strstr(s.why.text, strerror(error)));
    assert_non_null(strstr(s.why.text, "(injected)"));
    turns_for(2 * MS);
    assert_int_equal(p->count, 0);
  }
  script_end(&script, &s, p);
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

/* Of the connections that are there: some errors leave them for later, some take them away. An accept with nobody there
 * is not asked about. */
static void test_accept(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct script script;
  struct seat first, second;
  script_init(&script, OSCALL_ACCEPT);
  script_add(&script, EINTR, 0);
  script_add(&script, EMFILE, 0);
  script_add(&script, ECONNABORTED, 0);
  oscall_on_listener(p->listener, &script.hook);
  assert_true(oscall_hooks_listener(p->listener));
  int64_t began_ns = net_now(world);
  seat_connect(&first, p->url, 5000 * MS);
  UNTIL(first.opened);
  seat_connect(&second, p->url, 5000 * MS);
  UNTIL(p->count == 1 && first.ends);
  assert_true(net_now(world) - began_ns >= OSCALL_AGAIN_NS + OSCALL_LATER_NS);
  assert_int_equal(script.asked, 4);
  assert_int_equal(first.end, STREAM_RESET);
  seat_send(&second, "x");
  UNTIL(seat_got(&p->seats[0]) == 1);
  seat_fini(&first);
  seat_fini(&second);
  porter_close(p);
  assert_int_equal(script.gone, 1);
}

/* A listener, and a stream, may end while they wait. */
static void test_end_waiting(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct script door, script;
  struct seat s;
  script_init(&door, OSCALL_ACCEPT);
  script_add(&door, EMFILE, 0);
  oscall_on_listener(p->listener, &door.hook);
  script_init(&script, OSCALL_SEND);
  script_add(&script, EAGAIN, 0);
  script_dial(&script, &s, p->url);
  UNTIL(s.opened && door.told);
  seat_send(&s, "x");
  UNTIL(script.told);
  seat_fini(&s);
  porter_close(p);
  assert_int_equal(script.gone + door.gone, 2);
  turns_for(2 * OSCALL_AGAIN_NS);
}

/* A hook on a stream that is up. */
static void test_later(void **state) {
  (void)state;
  struct porter *p = porter_open("tcp://127.0.0.1:0");
  struct script script;
  struct seat s;
  script_init(&script, OSCALL_RECV);
  script_add(&script, 0, 1);
  seat_connect(&s, p->url, 5000 * MS);
  UNTIL(p->count == 1);
  struct seat *other = &p->seats[0];
  assert_false(oscall_hooks_stream(other->stream));
  oscall_on_stream(other->stream, &script.hook);
  assert_true(oscall_hooks_stream(other->stream));
  UNTIL(s.opened);
  seat_send(&s, "ab");
  UNTIL(seat_has(other, "ab"));
  assert_int_equal(other->inputs, 2);
  seat_fini(&s);
  porter_close(p);
  assert_int_equal(script.gone, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WORLDRIG_BOTH(test_send_short),  WORLDRIG_BOTH(test_send_again), WORLDRIG_BOTH(test_send_never),
    WORLDRIG_BOTH(test_failures),    WORLDRIG_BOTH(test_recv),       WORLDRIG_BOTH(test_recv_paused),
    WORLDRIG_BOTH(test_connect),     WORLDRIG_BOTH(test_no_stream),  WORLDRIG_BOTH(test_accept),
    WORLDRIG_BOTH(test_end_waiting), WORLDRIG_BOTH(test_later),
  };
  return cmocka_run_group_tests_name("oscall", tests, NULL, NULL);
}
