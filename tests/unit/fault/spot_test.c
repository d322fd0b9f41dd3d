#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fault/spot.h"
#include "mqtt/decode.h"

#define CONNECT "\x10\x1f\x00\x04MQTT\x04\xc6\x00\x3c\x00\x02id\x00\x02wt\x00\x02wp\x00\x02us\x00\x03pwd"
#define PUBLISH                                                                                                        \
  "\x32\x09\x00\x03"                                                                                                   \
  "a/b\x01\x02"                                                                                                        \
  "xy"

/* Where a spot is in a packet: the byte, and as many draws as it takes stay in its field. */
static const struct {
  const char *packet;
  size_t size;
  const char *spot;
  long low, high; /* of the byte; low -1: there is none */
} rows[] = {
  { CONNECT, 33, "byte=0", 0, 0 },
  { CONNECT, 33, "byte=-1", 32, 32 },
  { CONNECT, 33, "byte=33", -1, 0 },
  { CONNECT, 33, "byte=-34", -1, 0 },
  { CONNECT, 33, "bit=3", 0, 32 },
  { CONNECT, 33, "field=remaining_length", 1, 1 },
  { CONNECT, 33, "field=protocol_name", 4, 7 },
  { CONNECT, 33, "field=protocol_version", 8, 8 },
  { CONNECT, 33, "field=connect_flags", 9, 9 },
  { CONNECT, 33, "field=keepalive,byte=1", 11, 11 },
  { CONNECT, 33, "field=client_id", 14, 15 },
  { CONNECT, 33, "field=will.topic", 18, 19 },
  { CONNECT, 33, "field=will.payload,byte=0", 22, 22 },
  { CONNECT, 33, "field=username,byte=-1", 27, 27 },
  { CONNECT, 33, "field=password", 30, 32 },
  { CONNECT, 33, "field=topic", -1, 0 },
  { PUBLISH, 11, "field=topic", 4, 6 },
  { PUBLISH, 11, "field=packet_id", 7, 8 },
  { PUBLISH, 11, "field=payload,byte=1", 10, 10 },
  { PUBLISH, 11, "field=payload,byte=2", -1, 0 },
  { "\x30\x03\x00\x01g", 5, "field=packet_id", -1, 0 },
  { "\x30\x03\x00\x01g", 5, "field=payload", -1, 0 },
  { "\x90\x04\x00\x01\x00\x80", 6, "field=reason_codes,byte=-1", 5, 5 },
  { "\x20\x02\x01\x00", 4, "field=reason_code", 3, 3 },
  { "\x82\x06\x00\x01\x00\x01g\x00", 8, "field=subscriptions", 4, 7 },
};

static void test_find(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct slice bytes = slice_of(rows[i].packet, rows[i].size);
    struct packet p;
    struct spot spot;
    assert_int_equal(decode_packet(bytes, SPEC_3_1_1, &p, NULL), DECODE_OK);
    assert_true(spot_parse(slice_text(rows[i].spot), &spot));
    for (uint64_t seed = 0; seed < 200; seed++) {
      struct rng rng = { seed };
      size_t byte = 0;
      bool found = spot_find(&spot, bytes, &p, &rng, &byte);
      uint8_t mask = spot_mask(&spot, &rng);
      if (found != (rows[i].low >= 0)) fail_msg("%s: found %d", rows[i].spot, found);
      if (found && ((long)byte < rows[i].low || (long)byte > rows[i].high)) fail_msg("%s: %zu", rows[i].spot, byte);
      assert_true(mask && (mask & (mask - 1)) == 0);
      if (spot.has_bit) assert_int_equal(mask, 1u << spot.bit);
    }
  }
}

/* A malformed packet has bytes, and no fields but the one that framing needs. */
static void test_malformed(void **state) {
  (void)state;
  struct slice bytes = slice_of("\x40\x01\x00", 3);
  struct rng rng = { 1 };
  struct spot spot;
  size_t byte;
  spot_parse(slice_text("field=packet_id"), &spot);
  assert_false(spot_find(&spot, bytes, NULL, &rng, &byte));
  spot_parse(slice_text("field=remaining_length"), &spot);
  assert_true(spot_find(&spot, bytes, NULL, &rng, &byte));
  spot_parse(slice_text("byte=2"), &spot);
  assert_true(spot_find(&spot, bytes, NULL, &rng, &byte));
}

static void test_bad(void **state) {
  static const char *const bad[] = {
    "",       "topic",  "field=", "field=x",       "byte=",       "byte=x",          "bit=8",
    "bit=-1", "bit=1,", ",bit=1", "byte=1,,bit=1", "bit=1,bit=1", "byte=99999999999"
  };
  struct spot spot;
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    if (spot_parse(slice_text(bad[i]), &spot)) fail_msg("%s", bad[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_malformed),
                                      cmocka_unit_test(test_bad) };
  return cmocka_run_group_tests_name("spot", tests, NULL, NULL);
}
