#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "net/url.h"

static void test_good(void **state) {
  (void)state;
  static const struct {
    const char *text, *host, *path;
    enum url_scheme scheme;
    unsigned port;
    bool tls, websocket;
  } rows[] = {
    { "tcp://localhost", "localhost", "", URL_TCP, 1883, false, false },
    { "mqtt://127.0.0.1:1", "127.0.0.1", "", URL_MQTT, 1, false, false },
    { "TCP://h:0/", "h", "", URL_TCP, 0, false, false },
    { "ssl://broker.example.org", "broker.example.org", "", URL_SSL, 8883, true, false },
    { "mqtts://a_b-c:65535", "a_b-c", "", URL_MQTTS, 65535, true, false },
    { "ws://h", "h", "/", URL_WS, 80, false, true },
    { "ws://h?x=1", "h", "/?x=1", URL_WS, 80, false, true },
    { "wss://[::1]/mqtt", "::1", "/mqtt", URL_WSS, 443, true, true },
    { "tcp://[fe80::1%lo]:5", "fe80::1%lo", "", URL_TCP, 5, false, false },
    { "tcp://[fe80::1%25lo]:5", "fe80::1%lo", "", URL_TCP, 5, false, false },
    { "ws://h/a%20b", "h", "/a%20b", URL_WS, 80, false, true },
    { "unix:///tmp/a b", "", "", URL_SCHEMES, 0, false, false },
    { "unix:///tmp/a%20%25b", "", "/tmp/a %b", URL_UNIX, 0, false, false },
    { "unix:///tmp/x.sock", "", "/tmp/x.sock", URL_UNIX, 0, false, false },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct url u, again;
    struct err err = { "" };
    char text[1500];
    if (rows[i].scheme == URL_SCHEMES) {
      assert_false(url_parse(rows[i].text, &u, &err));
      continue;
    }
    if (!url_parse(rows[i].text, &u, &err)) fail_msg("%s: %s", rows[i].text, err.text);
    assert_int_equal(u.scheme, rows[i].scheme);
    assert_string_equal(u.host, rows[i].host);
    assert_string_equal(u.path, rows[i].path);
    assert_int_equal(u.port, rows[i].port);
    assert_int_equal(u.tls, rows[i].tls);
    assert_int_equal(u.websocket, rows[i].websocket);
    url_format(&u, text, sizeof text);
    assert_true(url_parse(text, &again, &err));
    assert_memory_equal(&u, &again, sizeof u);
  }
}

static void test_bad(void **state) {
  (void)state;
  static const char *const rows[][2] = {
    { "", "no scheme" },
    { "localhost:1883", "write tcp://localhost:1883" },
    { "http://h", "unknown scheme \"http\"" },
    { "://h", "unknown scheme" },
    { "tcp://", "no host" },
    { "tcp://:1883", "no host" },
    { "tcp://[]:1", "no host" },
    { "tcp://h:", "bad port" },
    { "tcp://h:65536", "bad port \"65536\": a number from 0 to 65535, at column 9" },
    { "tcp://h:12a", "bad port" },
    { "tcp://h:-1", "bad port" },
    { "tcp://h:000001", "bad port" },
    { "tcp://::1:1883", "in brackets" },
    { "tcp://[::1", "no ]" },
    { "tcp://[::g]", "no IPv6 address" },
    { "tcp://[::1]1", "behind the host" },
    { "tcp://a b", "column 8" },
    { "tcp://a\n", "column 8" },
    { "tcp://h/path", "has no path" },
    { "tcp://@h", "no user name in front of the @, at column 7" },
    { "tcp://u%4:p@h", "two hexadecimal digits behind it (a % itself is written %25), at column 8" },
    { "tcp://u:p%00@h", "%00 stands for a zero byte, which cannot be in a URL, at column 10" },
    { "tcp://u:p@", "no host: write tcp://localhost:1883, at column 11" },
    { "tcp://h%41", "'%' cannot be in the host \"h%41\", at column 8" },
    { "tcp://[fe80::1%]", "no interface behind the % of the address, at column 16" },
    { "ws://h/a%zz", "at column 9" },
    { "ws://h/\xc3\xa4", "a byte that is not ASCII: write it %C3, at column 8" },
    { "ws://h/a#b", "a fragment (#) is not sent to a server, at column 9" },
    { "unix:///tmp/a%2", "at column 14" },
    { "tcp://h,i", "','" },
    { "unix://tmp/x", "three slashes" },
    { "unix:///123456789 123456789", "column" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct url u;
    struct err err = { "" };
    assert_false(url_parse(rows[i][0], &u, &err));
    if (!strstr(err.text, rows[i][1])) fail_msg("%s: %s", rows[i][0], err.text);
  }
}

static void test_user(void **state) {
  (void)state;
  static const struct {
    const char *text, *user, *password;
    bool has_password;
  } rows[] = {
    { "tcp://u@h:1", "u", "", false },
    { "tcp://u:p@h", "u", "p", true },
    { "tcp://:p@h", "", "p", true },
    { "tcp://u:@[::1]:5", "u", "", true },
    { "ws://u%40home:p%3a%2F%25:x@h/mqtt", "u@home", "p:/%:x", true },
    { "tcp://u@x:p@w@h", "u@x", "p@w", true },
    { "tcp://\xc3\xa4%C3%A4@h", "\xc3\xa4\xc3\xa4", "", false },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct url u;
    struct err err;
    char text[1500];
    if (!url_parse(rows[i].text, &u, &err)) fail_msg("%s: %s", rows[i].text, err.text);
    assert_true(u.has_user);
    assert_string_equal(u.user, rows[i].user);
    assert_int_equal(u.has_password, rows[i].has_password);
    assert_string_equal(u.password, rows[i].password);
    url_format(&u, text, sizeof text);
    assert_null(strchr(text, '@'));
  }
}

/* A Unix path of 107 bytes is the longest that a socket address holds, a host has at most 255. */
static void test_limits(void **state) {
  (void)state;
  struct url u;
  struct err err;
  char text[3000] = "unix:///";
  memset(text + 8, 'x', 106);
  assert_true(url_parse(text, &u, &err));
  text[8 + 106] = 'x';
  assert_false(url_parse(text, &u, &err));
  assert_non_null(strstr(err.text, "107"));
  for (int n = 254; n <= 256; n++) {
    memset(text, 0, sizeof text);
    memcpy(text, "tcp://", 6);
    memset(text + 6, 'h', (size_t)n);
    assert_int_equal(url_parse(text, &u, &err), n <= 255);
  }
  for (size_t n = 1023; n <= 1025; n++) {
    memset(text, 0, sizeof text);
    memcpy(text, "ws://h/", 7);
    memset(text + 7, 'p', n - 1);
    assert_int_equal(url_parse(text, &u, &err), n <= 1024);
  }
  memset(text, 0, sizeof text);
  memcpy(text, "ws://h?", 7);
  memset(text + 7, 'p', 1023);
  assert_false(url_parse(text, &u, &err));
}

/* Any text is either refused with a sentence or understood such that printing and parsing it again changes nothing. */
static void test_random(void **state) {
  (void)state;
  static const char *const pieces[] = { "tcp", "unix", "ws",   "://", ":", "/", "[", "]",
                                        "::1", "h",    "1883", "%",   "@", "?", ".", "999999" };
  struct rng rng = { 3 };
  for (int round = 0; round < 200000; round++) {
    char text[200] = "", shown[1500];
    struct url u, again;
    struct err err = { "" };
    if (rng_below(&rng, 2)) strcat(text, "tcp://");
    for (uint64_t n = rng_below(&rng, 9); n; n--) strcat(text, pieces[rng_below(&rng, sizeof pieces / sizeof *pieces)]);
    if (!url_parse(text, &u, &err)) {
      assert_true(err.text[0] != 0);
      continue;
    }
    u.has_user = u.has_password = false;
    memset(u.user, 0, sizeof u.user);
    memset(u.password, 0, sizeof u.password);
    url_format(&u, shown, sizeof shown);
    if (!url_parse(shown, &again, &err)) fail_msg("%s -> %s: %s", text, shown, err.text);
    assert_memory_equal(&u, &again, sizeof u);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                                      cmocka_unit_test(test_user), cmocka_unit_test(test_limits),
                                      cmocka_unit_test(test_random) };
  return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
