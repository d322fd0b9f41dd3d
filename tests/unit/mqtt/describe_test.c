#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "mqtt/decode.h"
#include "mqtt/describe.h"
#include "base/utf8.h"
#include "sample.h"

struct row {
  const char *hex, *line;
};

static const struct row rows[] = {
  { "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'", "CONNECT \"abc\" clean keepalive 60" },
  { "10 21 00 04 'MQTT' 04 f4 00 3c 00 02 'id' 00 02 'wt' 00 02 'wp' 00 04 'user' 00 03 'pwd'",
    "CONNECT \"id\" keepalive 60 will q2 retain \"wt\" 2 B \"wp\" username \"user\" password" },
  { "10 0e 00 06 'MQIsdp' 03 02 00 00 00 00", "CONNECT \"\" protocol \"MQIsdp\" level 3 clean keepalive 0" },
  { "20 02 01 00", "CONNACK 0 accepted, session present" },
  { "20 02 00 05", "CONNACK 5 not authorized" },
  { "3a 0c 00 03 'a/b' 00 03 'hello'", "PUBLISH q1 id 3 dup \"a/b\" 5 B \"hello\"" },
  { "31 05 00 03 'a/b'", "PUBLISH q0 retain \"a/b\" 0 B" },
  { "36 05 00 01 'a' 00 00", "PUBLISH q3 id 0 \"a\" 0 B" },
  { "40 02 00 01", "PUBACK id 1" },
  { "4f 02 00 01", "PUBACK flags 0xf id 1" },
  { "62 02 ff ff", "PUBREL id 65535" },
  { "82 0b 00 01 00 02 '#a' 02 00 01 '+' ff", "SUBSCRIBE id 1 \"#a\" q2, \"+\" q3 options 0xff" },
  { "82 02 00 01", "SUBSCRIBE id 1" },
  { "90 05 00 01 00 02 80", "SUBACK id 1 0 2 128" },
  { "a2 08 00 01 00 01 'a' 00 01 'b'", "UNSUBSCRIBE id 1 \"a\", \"b\"" },
  { "b0 02 00 01", "UNSUBACK id 1" },
  { "c0 00", "PINGREQ" },
  { "e0 00", "DISCONNECT" },
};

static void test_lines(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint8_t bytes[SAMPLE_HEX_MAX];
    struct packet p;
    char line[DESCRIBE_LINE_MAX];
    if (decode_packet(sample_hex(rows[i].hex, bytes), SPEC_3_1_1, &p, NULL) != DECODE_OK) fail_msg("%s", rows[i].hex);
    int length = describe_packet(&p, line, sizeof line);
    assert_int_equal(length, strlen(line));
    assert_string_equal(line, rows[i].line);
  }
}

static void test_reserved_types(void **state) {
  (void)state;
  char line[DESCRIBE_LINE_MAX];
  describe_packet(&(struct packet){ .flags = 3 }, line, sizeof line);
  assert_string_equal(line, "reserved type 0 flags 0x3");
  describe_packet(&(struct packet){ .type = SPEC_AUTH, .version = SPEC_5_0, .reason_code = 24 }, line, sizeof line);
  assert_string_equal(line, "AUTH reason 0x18");
}

static void assert_shown(struct slice text, size_t most, const char *due) {
  char got[256];
  assert_int_equal(describe_text(text, most, got, sizeof got), strlen(due));
  assert_string_equal(got, due);
}
#define SHOWN(text, due) assert_shown(slice_of(text, sizeof text - 1), 100, due)

static void test_text(void **state) {
  (void)state;
  SHOWN("", "");
  SHOWN("plain {\"a\": 1}", "plain {\"a\": 1}");
  SHOWN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
  SHOWN("a\0\n\x1b[1m\x7f", "a\\x00\\x0a\\x1b[1m\\x7f");
  SHOWN("\\x00", "\\\\x00");
  SHOWN("\x80\xff\xc0\x80", "\\x80\\xff\\xc0\\x80");
  SHOWN("\xc2\x9b", "\\xc2\\x9b");          /* a control that some terminals obey */
  SHOWN("\xe2\x80\xae", "\\xe2\\x80\\xae"); /* turns the writing direction around */
  SHOWN("\xef\xbb\xbf", "\\xef\\xbb\\xbf");
  SHOWN("\xef\xbf\xbe", "\\xef\\xbf\\xbe"); /* XML does not have it */
  SHOWN("\xed\xa0\x80", "\\xed\\xa0\\x80");
  assert_shown(slice_text("abcdef"), 6, "abcdef");
  assert_shown(slice_text("abcdef"), 5, "abcde...");
  assert_shown(slice_text("ab\xe2\x82\xac"), 4, "ab..."); /* no half characters */
}

static bool is_safe(const char *text) {
  for (const char *c = text; *c; c++)
    if ((uint8_t)*c < 0x20 || *c == 0x7f) return false;
  return utf8_check(slice_text(text), NULL) == UTF8_GOOD;
}

/* Any packet, cut anywhere: a terminated line of whole characters, and the beginning of the whole line. */
static void test_every_cut(void **state) {
  (void)state;
  static struct sample sample = { .rng = { 9 } };
  for (int round = 0; round < 2000; round++) {
    uint8_t version = round % 2 ? SPEC_3_1_1 : SPEC_5_0;
    unsigned type = 1 + (unsigned)rng_below(&sample.rng, sample_last_type(version));
    struct packet p = sample_packet(&sample, type, version);
    char whole[8192];
    int length = describe_packet(&p, whole, sizeof whole);
    assert_int_equal(length, strlen(whole));
    assert_true(is_safe(whole));
    for (size_t size = 1; size <= (size_t)length && size <= 300; size += 7) {
      char *line = malloc(size);
      assert_true(describe_packet(&p, line, size) >= (int)size);
      assert_true(strlen(line) < size);
      assert_memory_equal(line, whole, strlen(line));
      assert_true(is_safe(line));
      free(line);
    }
    assert_true(describe_packet(&p, NULL, 0) > 0);
  }
}

struct lines {
  char text[2048];
  size_t at;
};

static void add_line(void *arg, const char *name, const char *value) {
  struct lines *l = arg;
  assert_true(is_safe(value));
  int n = snprintf(l->text + l->at, sizeof l->text - l->at, "%s=%s\n", name, value);
  if (l->at + (size_t)n < sizeof l->text) l->at += (size_t)n;
}

static void assert_fields(const char *hex, const char *due) {
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct packet p;
  struct lines lines = { .at = 0 };
  assert_int_equal(decode_packet(sample_hex(hex, bytes), SPEC_3_1_1, &p, NULL), DECODE_OK);
  describe_fields(&p, add_line, &lines);
  assert_string_equal(lines.text, due);
}

static void test_fields(void **state) {
  (void)state;
  assert_fields(
      "10 21 00 04 'MQTT' 04 f4 00 3c 00 02 'id' 00 02 'wt' 00 02 'wp' 00 04 'user' 00 03 'pwd'",
      "type=CONNECT\nflags=0x00\nprotocol_name=\"MQTT\"\nprotocol_version=4\nconnect_flags=0xf4\nclean=false\n"
      "will.qos=2\nwill.retain=true\nkeepalive=60\nclient_id=\"id\"\nwill.topic=\"wt\"\n"
      "will.payload=2 B \"wp\"\nusername=\"user\"\npassword=3 B \"pwd\"\n");
  assert_fields("20 02 01 00", "type=CONNACK\nflags=0x00\nconnack_flags=0x01\nsession_present=true\nreason_code=0\n");
  assert_fields("3a 0c 00 03 'a/b' 00 03 'hello'",
                "type=PUBLISH\nflags=0x0a\ndup=true\nqos=1\nretain=false\ntopic=\"a/b\"\npacket_id=3\n"
                "payload=5 B \"hello\"\n");
  assert_fields("30 03 00 01 'a'",
                "type=PUBLISH\nflags=0x00\ndup=false\nqos=0\nretain=false\ntopic=\"a\"\npayload=0 B\n");
  assert_fields("62 02 00 07", "type=PUBREL\nflags=0x02\npacket_id=7\n");
  assert_fields("82 0a 00 01 00 01 'a' 01 00 01 '#' 02",
                "type=SUBSCRIBE\nflags=0x02\npacket_id=1\nsubscriptions[1]=\"a\" q1\nsubscriptions[2]=\"#\" q2\n");
  assert_fields("90 04 00 01 00 80", "type=SUBACK\nflags=0x00\npacket_id=1\nreason_codes[1]=0\nreason_codes[2]=128\n");
  assert_fields("a2 05 00 01 00 01 'a'", "type=UNSUBSCRIBE\nflags=0x02\npacket_id=1\nfilters[1]=\"a\"\n");
  assert_fields("e0 00", "type=DISCONNECT\nflags=0x00\n");
}

static void test_fields_of_anything(void **state) {
  (void)state;
  static struct sample sample = { .rng = { 21 } };
  static const uint8_t zeros[70000];
  for (int round = 0; round < 2000; round++) {
    uint8_t version = round % 2 ? SPEC_3_1_1 : SPEC_5_0;
    unsigned type = 1 + (unsigned)rng_below(&sample.rng, sample_last_type(version));
    struct packet p = sample_packet(&sample, type, version);
    struct lines lines = { .at = 0 };
    describe_fields(&p, add_line, &lines);
    assert_non_null(strstr(lines.text, "flags="));
  }
  struct lines lines = { .at = 0 };
  struct packet large = { .type = SPEC_PUBLISH, .payload = slice_of(zeros, sizeof zeros) };
  describe_fields(&large, add_line, &lines);
  describe_fields(&(struct packet){ .type = 0 }, add_line, &lines);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lines),     cmocka_unit_test(test_reserved_types), cmocka_unit_test(test_text),
    cmocka_unit_test(test_every_cut), cmocka_unit_test(test_fields),         cmocka_unit_test(test_fields_of_anything),
  };
  return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
