#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "mqtt/decode.h"
#include "mqtt/strict.h"
#include "sample.h"

#define CLIENT SPEC_CLIENT
#define BROKER SPEC_BROKER

/* The clauses, without the version, one behind the other. */
static void list_clauses(const struct packet *p, enum spec_role sender, char *to, size_t size) {
  struct strict_violation v[STRICT_VIOLATIONS_MAX];
  size_t count = strict_check(p, sender, v), at = 0;
  *to = 0;
  for (size_t i = 0; i < count; i++) {
    assert_memory_equal(v[i].clause, "3.1.1:", 6);
    assert_true(strlen(v[i].text) > 5);
    at += (size_t)snprintf(to + at, size - at, "%s%s", i ? " " : "", v[i].clause + 6);
  }
}

static void check(const char *hex, enum spec_role sender, const char *due) {
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct packet p;
  char got[1024];
  if (decode_packet(sample_hex(hex, bytes), SPEC_3_1_1, &p, NULL) != DECODE_OK) fail_msg("%s does not decode", hex);
  assert_int_equal(p.raw.data - bytes, 0);
  list_clauses(&p, sender, got, sizeof got);
  if (strcmp(got, due)) fail_msg("%s:\n  got      %s\n  expected %s", hex, got, due);
}

struct row {
  const char *hex;
  enum spec_role sender;
  const char *due;
};

static void check_rows(const struct row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) check(rows[i].hex, rows[i].sender, rows[i].due);
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof rows / sizeof *rows)

static const struct row good[] = {
  { "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'", CLIENT, "" },
  { "10 21 00 04 'MQTT' 04 f4 00 3c 00 02 'id' 00 02 'wt' 00 02 'wp' 00 04 'user' 00 03 'pwd'", CLIENT, "" },
  { "10 0c 00 04 'MQTT' 04 02 00 00 00 00", CLIENT, "" },
  { "20 02 01 00", BROKER, "" },
  { "20 02 00 05", BROKER, "" },
  { "30 05 00 01 'a' 'hi'", CLIENT, "" },
  { "3d 07 00 01 'a' 00 01 'hi'", BROKER, "" },
  { "30 05 00 03 ef bb bf", CLIENT, "" },
  { "40 02 00 01", CLIENT, "" },
  { "50 02 00 01", BROKER, "" },
  { "62 02 00 01", CLIENT, "" },
  { "70 02 00 01", BROKER, "" },
  { "82 0a 00 01 00 01 '#' 00 00 01 '+' 02", CLIENT, "" },
  { "90 06 00 01 00 01 02 80", BROKER, "" },
  { "a2 08 00 01 00 01 '#' 00 01 '+'", CLIENT, "" },
  { "b0 02 00 01", BROKER, "" },
  { "c0 00", CLIENT, "" },
  { "d0 00", BROKER, "" },
  { "e0 00", CLIENT, "" },
};

static void test_good_packets_break_nothing(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    uint8_t bytes[SAMPLE_HEX_MAX];
    struct slice all = sample_hex(good[i].hex, bytes);
    if (all.data[1] + 2u != all.size) fail_msg("%s has the wrong length", good[i].hex);
  }
  CHECK_ROWS(good);
}

/* Each flag nibble of each type: all but one break 2.2.2-1 and the clause that the type has of its own. PUBLISH has its
 * own meanings. */
static void test_flag_nibbles(void **state) {
  (void)state;
  static const char *const own[SPEC_TYPES] = { [SPEC_PUBREL] = " 3.6.1-1",
                                               [SPEC_SUBSCRIBE] = " 3.8.1-1",
                                               [SPEC_UNSUBSCRIBE] = " 3.10.1-1",
                                               [SPEC_DISCONNECT] = " 3.14.1-1" };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    uint8_t bytes[SAMPLE_HEX_MAX];
    struct slice all = sample_hex(good[i].hex, bytes);
    uint8_t type = bytes[0] >> 4, right = bytes[0] & 15;
    for (uint8_t flags = 0; flags < 16 && type != SPEC_PUBLISH; flags++) {
      struct packet p;
      char got[1024], due[64];
      bytes[0] = (uint8_t)(type << 4 | flags);
      assert_int_equal(decode_packet(all, SPEC_3_1_1, &p, NULL), DECODE_OK);
      list_clauses(&p, good[i].sender, got, sizeof got);
      snprintf(due, sizeof due, "2.2.2-1%s", own[type] ? own[type] : "");
      assert_string_equal(got, flags == right ? "" : due);
    }
  }
}

static void test_flags_of_publish(void **state) {
  (void)state;
  for (uint8_t flags = 0; flags < 16; flags++) {
    uint8_t bytes[] = { (uint8_t)(0x30 | flags), 5, 0, 1, 'a', 0, 1 };
    struct packet p;
    char got[1024];
    assert_int_equal(decode_packet(slice_of(bytes, sizeof bytes), SPEC_3_1_1, &p, NULL), DECODE_OK);
    list_clauses(&p, CLIENT, got, sizeof got);
    bool dup_at_0 = (flags & 14) == 8, qos_3 = (flags & 6) == 6;
    assert_string_equal(got, dup_at_0 ? "3.3.1-2 4.3.1-1" : qos_3 ? "3.3.1-4" : "");
  }
}

/* Each type from each end. */
static void test_senders(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    uint8_t bytes[SAMPLE_HEX_MAX];
    sample_hex(good[i].hex, bytes);
    uint8_t type = bytes[0] >> 4;
    bool both = type >= SPEC_PUBLISH && type <= SPEC_PUBCOMP;
    check(good[i].hex, good[i].sender == CLIENT ? BROKER : CLIENT, both ? "" : "x2.2.1-a");
  }
}

static const struct row connects[] = {
  { "10 0d 00 04 'mqtt' 04 02 00 3c 00 01 'a'", CLIENT, "3.1.2-1" },
  { "10 0f 00 06 'MQIsdp' 03 02 00 3c 00 01 'a'", CLIENT, "3.1.2-1 3.1.2-2" },
  { "10 0d 00 04 'MQT' ff 04 02 00 3c 00 01 'a'", CLIENT, "1.5.3-1 3.1.2-1" },
  { "10 0d 00 04 'MQTT' 03 02 00 3c 00 01 'a'", CLIENT, "3.1.2-2" },
  { "10 0d 00 04 'MQTT' ff 02 00 3c 00 01 'a'", CLIENT, "3.1.2-2" },
  { "10 0d 00 04 'MQTT' 04 03 00 3c 00 01 'a'", CLIENT, "3.1.2-3" },
  { "10 0d 00 04 'MQTT' 04 0a 00 3c 00 01 'a'", CLIENT, "3.1.2-11 3.1.2-13" },
  { "10 0d 00 04 'MQTT' 04 22 00 3c 00 01 'a'", CLIENT, "3.1.2-11 3.1.2-15" },
  { "10 0d 00 04 'MQTT' 04 3a 00 3c 00 01 'a'", CLIENT, "3.1.2-11 3.1.2-13 3.1.2-14 3.1.2-15" },
  { "10 12 00 04 'MQTT' 04 1e 00 3c 00 01 'a' 00 01 'w' 00 00", CLIENT, "3.1.2-14" },
  { "10 10 00 04 'MQTT' 04 42 00 3c 00 01 'a' 00 01 'p'", CLIENT, "3.1.2-22" },
  { "10 0c 00 04 'MQTT' 04 00 00 3c 00 00", CLIENT, "3.1.3-7" },
  { "10 0d 00 04 'MQTT' 04 02 00 3c 00 01 ff", CLIENT, "1.5.3-1 3.1.3-4" },
  { "10 0d 00 04 'MQTT' 04 02 00 3c 00 01 00", CLIENT, "1.5.3-2 3.1.3-4" },
  { "10 0f 00 04 'MQTT' 04 02 00 3c 00 03 ed a0 80", CLIENT, "1.5.3-1 3.1.3-4" },
  { "10 12 00 04 'MQTT' 04 06 00 3c 00 01 'a' 00 01 ff 00 00", CLIENT, "1.5.3-1 3.1.3-10" },
  { "10 12 00 04 'MQTT' 04 06 00 3c 00 01 'a' 00 01 00 00 00", CLIENT, "1.5.3-2 3.1.3-10 4.7.3-2" },
  { "10 11 00 04 'MQTT' 04 06 00 3c 00 01 'a' 00 00 00 00", CLIENT, "4.7.3-1" },
  { "10 12 00 04 'MQTT' 04 06 00 3c 00 01 'a' 00 01 '#' 00 00", CLIENT, "4.7.1-1" },
  { "10 10 00 04 'MQTT' 04 82 00 3c 00 01 'a' 00 01 ff", CLIENT, "1.5.3-1 3.1.3-11" },
  { "10 13 00 04 'MQTT' 04 c2 00 3c 00 01 'a' 00 01 'u' 00 01 ff", CLIENT, "" }, /* a password is any bytes */
};

static void test_connect(void **state) {
  (void)state;
  CHECK_ROWS(connects);
}

static const struct row rows[] = {
  { "20 02 02 00", BROKER, "x3.2.2-a" },
  { "20 02 01 05", BROKER, "3.2.2-4" },
  { "20 02 00 06", BROKER, "3.2.2-6" },
  { "20 02 ff ff", BROKER, "x3.2.2-a 3.2.2-4 3.2.2-6" },
  { "38 03 00 01 'a'", CLIENT, "3.3.1-2 4.3.1-1" },
  { "36 05 00 01 'a' 00 01", BROKER, "3.3.1-4" },
  { "32 05 00 01 'a' 00 00", CLIENT, "2.3.1-1" },
  { "34 05 00 01 'a' 00 00", BROKER, "2.3.1-1" },
  { "30 02 00 00", CLIENT, "4.7.3-1" },
  { "30 05 00 03 'a/+'", CLIENT, "4.7.1-1 3.3.2-2" },
  { "30 03 00 01 '#'", BROKER, "4.7.1-1 3.3.2-2" },
  { "30 03 00 01 80", CLIENT, "1.5.3-1 3.3.2-1" },
  { "30 04 00 02 c0 80", CLIENT, "1.5.3-1 3.3.2-1" },
  { "30 05 00 03 ed bf bf", CLIENT, "1.5.3-1 3.3.2-1" },
  { "30 05 00 03 'a' 00 'b'", CLIENT, "1.5.3-2 3.3.2-1 4.7.3-2" },
  /* Each fault of a text is named, not the first alone; two sentences, so two times 3.3.2-1. */
  { "30 05 00 03 'a' ff 00", CLIENT, "1.5.3-1 3.3.2-1 1.5.3-2 3.3.2-1 4.7.3-2" },
  { "40 02 00 00", BROKER, "2.3.1-6" },
  { "50 02 00 00", CLIENT, "2.3.1-6" },
  { "62 02 00 00", CLIENT, "2.3.1-6" },
  { "70 02 00 00", CLIENT, "4.3.3-2" },
  { "82 06 00 00 00 01 'a' 00", CLIENT, "2.3.1-1" },
  { "82 02 00 01", CLIENT, "3.8.3-3" },
  { "82 06 00 01 00 01 'a' 03", CLIENT, "3.8.3-4" },
  { "82 06 00 01 00 01 'a' 04", CLIENT, "3.8.3-4" },
  { "82 06 00 01 00 01 'a' 80", CLIENT, "3.8.3-4" },
  { "82 06 00 01 00 01 'a' ff", CLIENT, "3.8.3-4 3.8.3-4" },
  { "82 06 00 01 00 01 ff 00", CLIENT, "1.5.3-1 3.8.3-1" },
  { "82 06 00 01 00 01 00 00", CLIENT, "1.5.3-2 3.8.3-1 4.7.3-2" },
  { "82 05 00 01 00 00 00", CLIENT, "4.7.3-1" },
  { "82 07 00 01 00 02 'a#' 00", CLIENT, "4.7.1-2" },
  { "82 08 00 01 00 03 '#/a' 00", CLIENT, "4.7.1-2" },
  { "82 07 00 01 00 02 'a+' 00", CLIENT, "4.7.1-3" },
  { "82 0a 00 01 00 05 'a+/b#' 00", CLIENT, "4.7.1-2 4.7.1-3" },
  { "82 0e 00 01 00 01 'a' 03 00 01 'b' 00 00 01 'c' 03", CLIENT, "3.8.3-4" },
  { "90 03 00 00 00", BROKER, "2.3.1-7 3.8.4-2" },
  { "90 02 00 01", BROKER, "3.8.4-5" },
  { "90 03 00 01 03", BROKER, "3.9.3-2" },
  { "90 04 00 01 00 81", BROKER, "3.9.3-2" },
  { "a2 05 00 00 00 01 'a'", CLIENT, "2.3.1-1" },
  { "a2 02 00 01", CLIENT, "3.10.3-2" },
  { "a2 05 00 01 00 01 ff", CLIENT, "1.5.3-1 3.10.3-1" },
  { "a2 04 00 01 00 00", CLIENT, "4.7.3-1" },
  { "a2 06 00 01 00 02 '##'", CLIENT, "4.7.1-2" },
  { "a2 06 00 01 00 02 '+a'", CLIENT, "4.7.1-3" },
  { "b0 02 00 00", BROKER, "2.3.1-7 3.10.4-4" },
  { "80 02 00 00", BROKER, "x2.2.1-a 2.2.2-1 3.8.1-1 2.3.1-1 3.8.3-3" },
};

static void test_clauses(void **state) {
  (void)state;
  CHECK_ROWS(rows);
}

/* The worst CONNECT there is fits the list. */
static void test_there_is_room_for_all(void **state) {
  (void)state;
  struct slice bad = slice_of("\xff\xed\xa0\x80\0+#", 7);
  struct packet p = { .type = SPEC_CONNECT,
                      .flags = 5,
                      .version = SPEC_3_1_1,
                      .connect_flags = 1,
                      .protocol_name = bad,
                      .client_id = bad,
                      .has_will = true,
                      .will = { .topic = bad, .qos = 3 },
                      .has_username = true,
                      .username = bad };
  struct strict_violation v[STRICT_VIOLATIONS_MAX];
  size_t count = strict_check(&p, BROKER, v);
  assert_true(count < STRICT_VIOLATIONS_MAX);
  assert_string_equal(v[count - 1].clause, "3.1.1:3.1.3-11");
}

static void test_reserved_types(void **state) {
  (void)state;
  char got[1024];
  list_clauses(&(struct packet){ .version = SPEC_3_1_1 }, CLIENT, got, sizeof got);
  assert_string_equal(got, "x2.2.1-b");
  list_clauses(&(struct packet){ .type = SPEC_AUTH, .version = SPEC_3_1_1 }, CLIENT, got, sizeof got);
  assert_string_equal(got, "x2.2.1-b");
}

/* The rules of 3.1.1 say nothing about a packet of 5.0. */
static void test_version_5(void **state) {
  (void)state;
  struct strict_violation v[STRICT_VIOLATIONS_MAX];
  struct packet p = { .type = SPEC_DISCONNECT, .version = SPEC_5_0, .flags = 1 };
  assert_int_equal(strict_check(&p, BROKER, v), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_good_packets_break_nothing),
    cmocka_unit_test(test_flag_nibbles),
    cmocka_unit_test(test_flags_of_publish),
    cmocka_unit_test(test_senders),
    cmocka_unit_test(test_connect),
    cmocka_unit_test(test_clauses),
    cmocka_unit_test(test_there_is_room_for_all),
    cmocka_unit_test(test_reserved_types),
    cmocka_unit_test(test_version_5),
  };
  return cmocka_run_group_tests_name("strict", tests, NULL, NULL);
}
