#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "net/wsopen.h"

/* RFC 6455, 1.3 */
#define NONCE  "the sample nonce"
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define LINES(first) first "\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade\r\n"
#define OFFER        "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n"
#define REQUEST                                                                                                        \
  LINES("GET /mqtt?x=1 HTTP/1.1")                                                                                      \
  "host: h:1\r\nsec-websocket-key:  " KEY " \r\nSec-WebSocket-Version: 13\r\n" OFFER "\r\n"
#define ANSWER                                                                                                         \
  LINES("HTTP/1.1 101 Switching Protocols") "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

struct rig {
  struct wsopen *w;
  struct buffer out;
  struct err why;
};

static void rig_init(struct rig *r, bool server, const struct wsopen_options *options) {
  static const struct wsopen_options none;
  struct err err;
  if (!wsopen_check(options ? options : &none, &err)) fail_msg("%s", err.text);
  r->w = wsopen_new(server, options ? options : &none);
  r->why.text[0] = 0;
  buffer_init(&r->out, 4 * WSOPEN_HEAD_MAX);
  if (!server) wsopen_ask(r->w, (const uint8_t *)NONCE, &r->out);
}

static void rig_fini(struct rig *r) {
  wsopen_free(r->w);
  buffer_fini(&r->out);
}

/* What came out, as text. */
static const char *rig_out(struct rig *r) {
  buffer_append(&r->out, slice_of("", 1));
  return (const char *)buffer_slice(&r->out).data;
}

static enum wsopen_result rig_take(struct rig *r, const char *text, size_t *used) {
  return wsopen_take(r->w, slice_text(text), used, &r->out, &r->why);
}

static void test_request(void **state) {
  (void)state;
  struct rig r;
  struct wsopen_options o = { .path = "/mqtt", .host = "h:1", .headers = "Authorization: Basic eDp5\r\n" };
  rig_init(&r, false, &o);
  assert_string_equal(rig_out(&r), "GET /mqtt HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Protocol: mqtt\r\nAuthorization: Basic eDp5\r\n\r\n");
  rig_fini(&r);
}

static void test_answer(void **state) {
  (void)state;
  struct rig r;
  size_t used;
  rig_init(&r, true, NULL);
  assert_int_equal(rig_take(&r, REQUEST, &used), WSOPEN_DONE);
  assert_int_equal(used, strlen(REQUEST));
  assert_string_equal(rig_out(&r), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n");
  rig_fini(&r);
}

/* Cut anywhere, the handshake comes to the same, and what stands behind it is left. */
static void test_every_cut(void **state) {
  (void)state;
  for (int server = 0; server < 2; server++) {
    const char *head = server ? REQUEST : ANSWER;
    char text[1024];
    snprintf(text, sizeof text, "%s\r\n\r\nbehind", head);
    for (size_t cut = 1; cut < strlen(text); cut++) {
      struct rig r;
      size_t used;
      rig_init(&r, server, NULL);
      enum wsopen_result first = wsopen_take(r.w, slice_of(text, cut), &used, &r.out, &r.why);
      if (cut < strlen(head)) {
        assert_int_equal(first, WSOPEN_MORE);
        assert_int_equal(used, cut);
        assert_int_equal(rig_take(&r, text + cut, &used), WSOPEN_DONE);
        used += cut;
      } else {
        assert_int_equal(first, WSOPEN_DONE);
      }
      assert_int_equal(used, strlen(head));
      rig_fini(&r);
    }
  }
}

static void test_bytes(void **state) {
  (void)state;
  struct rig r;
  size_t used;
  rig_init(&r, true, NULL);
  for (const char *c = REQUEST; *c; c++) {
    assert_int_equal(wsopen_take(r.w, slice_of(c, 1), &used, &r.out, &r.why), c[1] ? WSOPEN_MORE : WSOPEN_DONE);
  }
  rig_fini(&r);
}

#define OK_ACCEPT "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define OK_FIRST  LINES("HTTP/1.1 101 OK")

static void test_bad_answers(void **state) {
  (void)state;
  static const char *const rows[][2] = {
    { "HTTP/1.1 404 Not Found\r\n\r\n", "the WebSocket request for / was answered with HTTP 404 Not Found" },
    { "HTTP/1.1 301 Moved\r\nLocation: ws://other/\r\n\r\n",
      "HTTP 301 Moved, to ws://other/ (redirects are not followed)" },
    { "HTTP/1.0 503 \x1b[31mGone\r\n\r\n", "HTTP 503 ?[31mGone" },
    { "HTTP/1.1\r\n\r\n", "answered with HTTP" },
    { "HTTP/1.1 101 OK\r\n\r\n", "lacks \"Upgrade: websocket\"" },
    { OK_FIRST "\r\n", "lacks Sec-WebSocket-Accept" },
    { OK_FIRST "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", "whose is \"" ACCEPT "\"" },
    { OK_FIRST OK_ACCEPT OK_ACCEPT OFFER "\r\n", "has Sec-WebSocket-Accept more than once" },
    { OK_FIRST OK_ACCEPT OFFER OFFER "\r\n", "has Sec-WebSocket-Protocol more than once" },
    { OK_FIRST OK_ACCEPT "\r\n", "chose no WebSocket subprotocol" },
    { OK_FIRST OK_ACCEPT "Sec-WebSocket-Protocol: chat\r\n\r\n", "the WebSocket subprotocol \"chat\", not \"mqtt\"" },
    { OK_FIRST OK_ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
      "WebSocket extension that nobody offered" },
    { "\x20\x02", "it sent 20 02 (MQTT without WebSocket?)" },
    { "\x15\x03\x01", "it sent 15 03 01 (TLS?)" },
    { "HTTQ", "it sent 48 54 54 51" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rig r;
    size_t used;
    rig_init(&r, false, NULL);
    assert_int_equal(rig_take(&r, rows[i][0], &used), WSOPEN_BAD);
    if (!strstr(r.why.text, rows[i][1])) fail_msg("%s: %s", rows[i][0], r.why.text);
    rig_fini(&r);
  }
}

#define FIELDS "Host: h\r\nSec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n" OFFER "\r\n"

static void test_bad_requests(void **state) {
  (void)state;
  static const struct {
    const char *text, *why, *status;
  } rows[] = {
    { LINES("POST / HTTP/1.1") FIELDS, "not GET", "405" },
    { LINES("GET / HTTP/1.0") FIELDS, "not of HTTP/1.1", "400" },
    { LINES("GET /other HTTP/1.1") FIELDS, "was for /other; here is /mqtt", "404" },
    { LINES("GET /mqtt HTTP/1.1") "\r\n", "no Host", "400" },
    { LINES("GET /mqtt HTTP/1.1") "Host: h\r\n" FIELDS, "a field twice", "400" },
    { LINES("GET /mqtt HTTP/1.1") "Sec-WebSocket-Key: " KEY "\r\n" FIELDS, "a field twice", "400" },
    { "GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n", "upgrade", "426 Upgrade Required\r\nUpgrade: websocket" },
    { LINES("GET /mqtt HTTP/1.1") "Host: h\r\nSec-WebSocket-Version: 8\r\n\r\n", "version is not 13", "426" },
    { LINES("GET /mqtt HTTP/1.1") "Host: h\r\nSec-WebSocket-Version: 13\r\n\r\n", "no Sec-WebSocket-Key", "400" },
    { LINES("GET /mqtt HTTP/1.1") "Host: h\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n", "base64",
      "400" },
    { LINES("GET /mqtt HTTP/1.1") "Host: h\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
      "does not offer the subprotocol mqtt", "400" },
    { "\x10\x0c", "it sent 10 0c (MQTT without WebSocket?)", "" },
    { "\x16\x03\x01\x02", "it sent 16 03 01 02 (TLS?)", "" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rig r;
    size_t used;
    rig_init(&r, true, &(struct wsopen_options){ .path = "/mqtt" });
    assert_int_equal(rig_take(&r, rows[i].text, &used), WSOPEN_BAD);
    if (!strstr(r.why.text, rows[i].why)) fail_msg("%s: %s", rows[i].text, r.why.text);
    if (!*rows[i].status) assert_int_equal(buffer_size(&r.out), 0);
    else if (!strstr(rig_out(&r), rows[i].status)) fail_msg("%s: %s", rows[i].text, rig_out(&r));
    rig_fini(&r);
  }
}

/* What a server does wrong on purpose. */
static void test_faults(void **state) {
  (void)state;
  static const struct {
    struct wsopen_options options;
    const char *out;
    enum wsopen_result result;
  } rows[] = {
    { { .status = 404 }, "HTTP/1.1 404 Not Found\r\n", WSOPEN_BAD },
    { { .status = 301, .headers = "Location: ws://x/\r\n" }, "\r\nLocation: ws://x/\r\n", WSOPEN_BAD },
    { { .accept = "wrong" }, "Sec-WebSocket-Accept: wrong\r\n", WSOPEN_DONE },
    { { .protocol = "chat" }, "Sec-WebSocket-Protocol: chat\r\n", WSOPEN_DONE },
    { { .protocol = "" }, ACCEPT "\r\n\r\n", WSOPEN_DONE },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct rig r;
    size_t used;
    rig_init(&r, true, &rows[i].options);
    assert_int_equal(rig_take(&r, REQUEST, &used), rows[i].result);
    assert_non_null(strstr(rig_out(&r), rows[i].out));
    rig_fini(&r);
  }
}

/* A head that never ends is given up at its limit, not later and not earlier. */
static void test_limit(void **state) {
  (void)state;
  for (int server = 0; server < 2; server++) {
    struct rig r;
    size_t used = 0, passed = 0;
    rig_init(&r, server, NULL);
    buffer_consume(&r.out, buffer_size(&r.out));
    enum wsopen_result result = rig_take(&r, server ? "GET / HTTP/1.1\r\nX: " : "HTTP/1.1 101 OK\r\nX: ", &used);
    for (passed = used; result == WSOPEN_MORE; passed += used) result = rig_take(&r, "0123456", &used);
    assert_int_equal(result, WSOPEN_BAD);
    assert_int_equal(passed, WSOPEN_HEAD_MAX);
    assert_non_null(strstr(r.why.text, "longer than 8192 bytes"));
    if (server) assert_non_null(strstr(rig_out(&r), "HTTP/1.1 431 "));
    else assert_int_equal(buffer_size(&r.out), 0);
    rig_fini(&r);
  }
}

static void test_options(void **state) {
  (void)state;
  char large[WSOPEN_FIELD_MAX + 2];
  memset(large, 'x', sizeof large);
  large[sizeof large - 1] = 0;
  const struct {
    struct wsopen_options options;
    const char *why;
  } rows[] = {
    { { .path = "mqtt" }, "begins with a slash" },
    { { .path = "/a b" }, "%20" },
    { { .protocol = "a\r\nb" }, "control character at byte 2" },
    { { .host = large }, "at most 2048 bytes, this one has 2049" },
    { { .headers = "X: 1\r\nnothing\r\n" }, "\"nothing\" is no header" },
    { { .headers = "X: 1\n\r\n" }, "is no header" },
    { { .headers = ": 1\r\n" }, "is no header" },
    { { .headers = "\r\nX: 1\r\n" }, "is no header" },
    { { .status = 99 }, "no HTTP status" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct err err = { "" };
    assert_false(wsopen_check(&rows[i].options, &err));
    if (!strstr(err.text, rows[i].why)) fail_msg("%s: %s", rows[i].why, err.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_request), cmocka_unit_test(test_answer),      cmocka_unit_test(test_every_cut),
    cmocka_unit_test(test_bytes),   cmocka_unit_test(test_bad_answers), cmocka_unit_test(test_bad_requests),
    cmocka_unit_test(test_faults),  cmocka_unit_test(test_limit),       cmocka_unit_test(test_options),
  };
  return cmocka_run_group_tests_name("wsopen", tests, NULL, NULL);
}
