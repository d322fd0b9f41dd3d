#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/evnet.h"
#include "net/evweb.h"

#define EVWEB_TEST_LIMIT_NS 20000000000
#define EVWEB_TEST_LOOK_NS  1000000

struct rig {
  struct net *net;
  struct evweb *web;
  size_t answered, body;
  char method[16], target[256], host[64];
  char got[1 << 16];
  size_t size;
};

static void rig_answer(void *arg, const struct http_request *q, struct http_response *r) {
  struct rig *rig = arg;
  const char *host = http_header(q, "host");
  rig->answered++;
  rig->body = q->body.size;
  snprintf(rig->method, sizeof rig->method, "%s", q->method);
  snprintf(rig->target, sizeof rig->target, "%s", q->target);
  snprintf(rig->host, sizeof rig->host, "%s", host ? host : "");
  r->type = "text/plain";
  buffer_append(&r->body, slice_text("hello"));
}

static void rig_open(struct rig *r) {
  struct url u;
  struct err err;
  memset(r, 0, sizeof *r);
  assert_non_null(r->net = evnet_new(&err));
  assert_true(url_parse("tcp://127.0.0.1:0", &u, &err));
  r->web = evweb_new(r->net, &u, rig_answer, r, &err);
  if (!r->web) fail_msg("%s", err.text);
  assert_true(evweb_url(r->web)->port > 0);
}

static void rig_close(struct rig *r) {
  evweb_free(r->web);
  net_free(r->net);
}

static int rig_connect(const struct rig *r) {
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(evweb_url(r->web)->port) };
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

static void rig_send(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void rig_turn(struct rig *r, int64_t limit_ns) {
  struct err err;
  assert_true(net_now(r->net) < limit_ns);
  assert_true(net_turn(r->net, net_now(r->net) + EVWEB_TEST_LOOK_NS, &err));
}

/* Reads until `text` is in what came; false at the end of the connection. */
static bool rig_read(struct rig *r, int fd, const char *text) {
  int64_t limit_ns = net_now(r->net) + EVWEB_TEST_LIMIT_NS;
  r->size = 0;
  for (;;) {
    ssize_t n = recv(fd, r->got + r->size, sizeof r->got - r->size - 1, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
    if (n > 0) r->size += (size_t)n;
    r->got[r->size] = 0;
    if (strstr(r->got, text)) return true;
    rig_turn(r, limit_ns);
  }
}

static bool rig_ends(struct rig *r, int fd) {
  return !rig_read(r, fd, "text that never comes");
}

static void test_a_request_is_answered(void **state) {
  struct rig r;
  (void)state;
  rig_open(&r);
  int fd = rig_connect(&r);
  rig_send(fd, "POST /a/b%20c?x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  assert_true(rig_read(&r, fd, "hello"));
  assert_memory_equal(r.got, "HTTP/1.1 200", 12);
  assert_string_equal(r.method, "POST");
  assert_string_equal(r.target, "/a/b%20c?x");
  assert_string_equal(r.host, "h");
  assert_int_equal(r.body, 3);
  close(fd);
  rig_close(&r);
}

static void test_a_connection_is_kept(void **state) {
  struct rig r;
  (void)state;
  rig_open(&r);
  int fd = rig_connect(&r);
  for (size_t i = 0; i < 5; i++) {
    rig_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(rig_read(&r, fd, "hello"));
    assert_int_equal(r.answered, i + 1);
  }
  close(fd);
  rig_close(&r);
}

static void test_every_method_reaches_the_one_who_answers(void **state) {
  static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" };
  struct rig r;
  char text[128];
  (void)state;
  rig_open(&r);
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    int fd = rig_connect(&r);
    snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", methods[i]);
    rig_send(fd, text);
    assert_true(rig_read(&r, fd, "hello"));
    assert_string_equal(r.method, methods[i]);
    close(fd);
  }
  rig_close(&r);
}

static void test_a_post_without_length_has_no_body(void **state) {
  struct rig r;
  (void)state;
  rig_open(&r);
  int fd = rig_connect(&r);
  rig_send(fd, "POST /reset HTTP/1.1\r\nHost: h\r\n\r\n");
  assert_true(rig_read(&r, fd, "hello"));
  assert_int_equal(r.body, 0);
  close(fd);
  rig_close(&r);
}

/* At every byte: nobody is asked, nothing is left. */
static void test_a_request_cut_in_the_middle_is_not_answered(void **state) {
  static const char text[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n";
  struct rig r;
  (void)state;
  rig_open(&r);
  for (size_t n = 0; n < sizeof text - 1; n++) {
    int fd = rig_connect(&r);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
    shutdown(fd, SHUT_WR);
    assert_true(rig_ends(&r, fd));
    close(fd);
  }
  assert_int_equal(r.answered, 0);
  rig_close(&r);
}

static void test_a_request_in_pieces_is_one(void **state) {
  static const char text[] = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
  struct rig r;
  (void)state;
  rig_open(&r);
  int fd = rig_connect(&r);
  for (size_t i = 0; i < sizeof text - 1; i++) {
    assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
    rig_turn(&r, INT64_MAX);
  }
  assert_true(rig_read(&r, fd, "hello"));
  assert_int_equal(r.answered, 1);
  close(fd);
  rig_close(&r);
}

static void test_too_large_requests_are_refused(void **state) {
  struct rig r;
  char length[128];
  (void)state;
  rig_open(&r);
  int fd = rig_connect(&r);
  snprintf(length, sizeof length, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %u\r\n\r\n", HTTP_BODY_MAX + 1);
  rig_send(fd, length);
  assert_true(rig_read(&r, fd, "HTTP/1.1 413"));
  close(fd);
  fd = rig_connect(&r);
  rig_send(fd, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
  char *filler = malloc(EVWEB_HEADERS_MAX + 1);
  memset(filler, 'x', EVWEB_HEADERS_MAX);
  filler[EVWEB_HEADERS_MAX] = 0;
  rig_send(fd, filler);
  assert_true(rig_ends(&r, fd));
  close(fd);
  free(filler);
  assert_int_equal(r.answered, 0);
  rig_close(&r);
}

static void test_what_is_no_request_is_refused(void **state) {
  static const char *const texts[] = { "\r\n\r\n",
                                       "GET\r\n\r\n",
                                       "\x10\x0c\0\4MQTT",
                                       "GET / FTP/1.1\r\n\r\n",
                                       "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                       "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n" };
  struct rig r;
  (void)state;
  rig_open(&r);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    int fd = rig_connect(&r);
    rig_send(fd, texts[i]);
    shutdown(fd, SHUT_WR);
    assert_true(rig_ends(&r, fd));
    close(fd);
  }
  assert_int_equal(r.answered, 0);
  rig_close(&r);
}

/* Those beyond the limit wait until others have gone. */
static void test_connections_are_limited(void **state) {
  enum { MORE = EVWEB_CONNECTIONS_MAX + 5 };
  struct rig r;
  int fds[MORE];
  char byte;
  (void)state;
  rig_open(&r);
  for (size_t i = 0; i < MORE; i++) {
    fds[i] = rig_connect(&r);
    if (i < EVWEB_CONNECTIONS_MAX) {
      rig_send(fds[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
      assert_true(rig_read(&r, fds[i], "hello"));
    }
  }
  rig_send(fds[MORE - 1], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 0; i < 20; i++) rig_turn(&r, INT64_MAX);
  assert_int_equal(recv(fds[MORE - 1], &byte, 1, MSG_DONTWAIT), -1);
  for (size_t i = 0; i < MORE - 1; i++) close(fds[i]);
  assert_true(rig_read(&r, fds[MORE - 1], "hello"));
  close(fds[MORE - 1]);
  rig_close(&r);
}

static void test_it_can_go_while_connections_are_up(void **state) {
  struct rig r;
  (void)state;
  rig_open(&r);
  int idle = rig_connect(&r), begun = rig_connect(&r), asked = rig_connect(&r);
  rig_send(begun, "GET / HT");
  rig_send(asked, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  rig_turn(&r, INT64_MAX);
  rig_close(&r);
  close(idle);
  close(begun);
  close(asked);
}

static void test_where_it_cannot_listen_it_says_so(void **state) {
  struct rig r;
  struct url u;
  struct err err;
  (void)state;
  rig_open(&r);
  assert_null(evweb_new(r.net, evweb_url(r.web), rig_answer, &r, &err));
  assert_non_null(strstr(err.text, "cannot listen at tcp://127.0.0.1:"));
  assert_true(url_parse("unix:///tmp/x", &u, &err));
  assert_null(evweb_new(r.net, &u, rig_answer, &r, &err));
  assert_true(url_parse("tcp://example.org:80", &u, &err));
  assert_null(evweb_new(r.net, &u, rig_answer, &r, &err));
  assert_non_null(strstr(err.text, "example.org"));
  rig_close(&r);
}

static void check_unescape(const char *text, const char *want) {
  char *got = http_unescape(slice_text(text));
  if (want) assert_string_equal(got, want);
  else assert_null(got);
  free(got);
}

static void test_unescape(void **state) {
  (void)state;
  check_unescape("", "");
  check_unescape("abc", "abc");
  check_unescape("a%20b%2Fc%c3%A9", "a b/c\xc3\xa9");
  check_unescape("%", NULL);
  check_unescape("%4", NULL);
  check_unescape("%41", "A");
  check_unescape("a%4g", NULL);
  check_unescape("a%00b", NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_request_is_answered),
    cmocka_unit_test(test_a_connection_is_kept),
    cmocka_unit_test(test_every_method_reaches_the_one_who_answers),
    cmocka_unit_test(test_a_post_without_length_has_no_body),
    cmocka_unit_test(test_a_request_cut_in_the_middle_is_not_answered),
    cmocka_unit_test(test_a_request_in_pieces_is_one),
    cmocka_unit_test(test_too_large_requests_are_refused),
    cmocka_unit_test(test_what_is_no_request_is_refused),
    cmocka_unit_test(test_connections_are_limited),
    cmocka_unit_test(test_it_can_go_while_connections_are_up),
    cmocka_unit_test(test_where_it_cannot_listen_it_says_so),
    cmocka_unit_test(test_unescape),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
