#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/decode.h"
#include "sample.h"

static void assert_encodes(const struct packet *p, const char *due) {
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct slice expected = sample_hex(due, bytes);
  struct buffer out;
  buffer_init(&out, 1 << 20);
  assert_true(encode_packet(&out, p));
  assert_int_equal(encode_size(p), expected.size);
  if (!slice_equal(buffer_slice(&out), expected)) fail_msg("not %s", due);
  buffer_fini(&out);
}

#define ENCODES(due, ...) assert_encodes(&(struct packet){ __VA_ARGS__ }, due)
#define TEXT(text)        slice_of(text, sizeof text - 1)

/* One packet of each type, against bytes written by hand from the standard's tables. */
static void test_bytes(void **state) {
  (void)state;
  ENCODES("10 0f 00 04 'MQTT' 04 02 00 3c 00 03 'abc'", .type = SPEC_CONNECT, .protocol_name = TEXT("MQTT"),
          .protocol_version = 4, .clean = true, .keepalive_s = 60, .client_id = TEXT("abc"));
  ENCODES("10 21 00 04 'MQTT' 04 f4 ff fe 00 02 'id' 00 02 'wt' 00 02 'wp' 00 04 'user' 00 03 'pwd'",
          .type = SPEC_CONNECT, .protocol_name = TEXT("MQTT"), .protocol_version = 4, .keepalive_s = 0xfffe,
          .client_id = TEXT("id"), .has_will = true,
          .will = { .topic = TEXT("wt"), .payload = TEXT("wp"), .qos = 2, .retain = true }, .has_username = true,
          .username = TEXT("user"), .has_password = true, .password = TEXT("pwd"));
  ENCODES("20 02 01 00", .type = SPEC_CONNACK, .session_present = true);
  ENCODES("20 02 00 05", .type = SPEC_CONNACK, .reason_code = 5);
  ENCODES("30 05 00 01 'a' 'hi'", .type = SPEC_PUBLISH, .topic = TEXT("a"), .payload = TEXT("hi"));
  ENCODES("3b 07 00 01 'a' 12 34 'hi'", .type = SPEC_PUBLISH, .flags = 11, .qos = 1, .packet_id = 0x1234,
          .topic = TEXT("a"), .payload = TEXT("hi"));
  ENCODES("40 02 00 01", .type = SPEC_PUBACK, .packet_id = 1);
  ENCODES("50 02 ff ff", .type = SPEC_PUBREC, .packet_id = 65535);
  ENCODES("62 02 00 01", .type = SPEC_PUBREL, .flags = 2, .packet_id = 1);
  ENCODES("70 02 00 01", .type = SPEC_PUBCOMP, .packet_id = 1);
  ENCODES("82 06 00 01 00 01 'a' 01", .type = SPEC_SUBSCRIBE, .flags = 2, .packet_id = 1, .items = TEXT("\0\1a\1"));
  ENCODES("90 04 00 01 00 80", .type = SPEC_SUBACK, .packet_id = 1, .items = TEXT("\0\x80"));
  ENCODES("a2 05 00 01 00 01 'a'", .type = SPEC_UNSUBSCRIBE, .flags = 2, .packet_id = 1, .items = TEXT("\0\1a"));
  ENCODES("b0 02 00 01", .type = SPEC_UNSUBACK, .packet_id = 1);
  ENCODES("c0 00", .type = SPEC_PINGREQ);
  ENCODES("d0 00", .type = SPEC_PINGRESP);
  ENCODES("e0 00", .type = SPEC_DISCONNECT);
}

static void test_bytes_of_5(void **state) {
  (void)state;
  ENCODES("40 02 00 01", .type = SPEC_PUBACK, .version = SPEC_5_0, .packet_id = 1);
  ENCODES("40 04 00 01 10 00", .type = SPEC_PUBACK, .version = SPEC_5_0, .packet_id = 1, .reason_code = 16);
  ENCODES("e0 00", .type = SPEC_DISCONNECT, .version = SPEC_5_0);
  ENCODES("e0 02 8e 00", .type = SPEC_DISCONNECT, .version = SPEC_5_0, .reason_code = 0x8e);
  ENCODES("f0 00", .type = SPEC_AUTH, .version = SPEC_5_0);
  ENCODES("30 05 00 01 'a' 00 'x'", .type = SPEC_PUBLISH, .version = SPEC_5_0, .topic = TEXT("a"),
          .payload = TEXT("x"));
  ENCODES("b0 05 00 01 00 00 11", .type = SPEC_UNSUBACK, .version = SPEC_5_0, .packet_id = 1, .items = TEXT("\0\x11"));
}

/* Wrong on purpose goes out as given. */
static void test_deliberately_wrong(void **state) {
  (void)state;
  ENCODES("36 05 00 01 '#' 00 00", .type = SPEC_PUBLISH, .flags = 6, .qos = 3, .topic = TEXT("#"));
  ENCODES("30 05 00 01 'a' 00 01", .type = SPEC_PUBLISH, .qos = 1, .packet_id = 1, .topic = TEXT("a"));
  ENCODES("32 03 00 01 'a'", .type = SPEC_PUBLISH, .flags = 2, .packet_id = 1, .topic = TEXT("a"));
  ENCODES("4f 02 00 00", .type = SPEC_PUBACK, .flags = 15);
  ENCODES("20 02 ff ff", .type = SPEC_CONNACK, .connack_flags = 0xfe, .session_present = true, .reason_code = 255);
  ENCODES("30 04 00 02 c0 80", .type = SPEC_PUBLISH, .topic = TEXT("\xc0\x80"));
  ENCODES("10 0e 00 04 'MQTT' 09 79 00 00 00 00 00 00", .type = SPEC_CONNECT, .protocol_name = TEXT("MQTT"),
          .protocol_version = 9, .connect_flags = 0xff, .has_password = true, .will = { .qos = 3, .retain = true });
}

static void test_round_trip(void **state) {
  (void)state;
  static struct sample sample = { .rng = { 1 } };
  for (int round = 0; round < 20000; round++) {
    uint8_t version = round % 2 ? SPEC_3_1_1 : SPEC_5_0;
    unsigned type = 1 + (unsigned)rng_below(&sample.rng, sample_last_type(version));
    struct packet p = sample_packet(&sample, type, version), got;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_true(encode_packet(&out, &p));
    assert_int_equal(encode_size(&p), buffer_size(&out));
    assert_int_equal(decode_packet(buffer_slice(&out), version, &got, NULL), DECODE_OK);
    if (!sample_same(&p, &got)) fail_msg("round %d: %s differs", round, spec_packet(type)->name);
    buffer_fini(&out);
  }
}

/* Payloads at the edges of each width of the remaining length. */
static void test_every_width_of_length(void **state) {
  (void)state;
  static const uint32_t bodies[] = { 3, 127, 128, 16383, 16384, 2097151, 2097152 };
  static uint8_t payload[2097152];
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    struct packet p = { .type = SPEC_PUBLISH, .version = SPEC_3_1_1, .topic = TEXT("a") }, got;
    struct buffer out;
    p.payload = slice_of(payload, bodies[i] - 3);
    buffer_init(&out, 4 << 20);
    assert_true(encode_packet(&out, &p));
    assert_int_equal(decode_packet(buffer_slice(&out), SPEC_3_1_1, &got, NULL), DECODE_OK);
    assert_int_equal(got.payload.size, p.payload.size);
    assert_int_equal(got.raw.size, encode_size(&p));
    buffer_fini(&out);
  }
}

static void assert_refused(const struct packet *p) {
  struct buffer out;
  buffer_init(&out, SIZE_MAX / 2);
  assert_int_equal(encode_size(p), 0);
  assert_false(encode_packet(&out, p));
  assert_int_equal(buffer_size(&out), 0);
  buffer_fini(&out);
}

/* The sizes lie; nobody may look at the bytes. */
static void test_no_encoding(void **state) {
  (void)state;
  struct slice long_text = slice_of("", 65536), huge = slice_of("", SPEC_REMAINING_LENGTH_MAX - 2);
  assert_refused(&(struct packet){ .type = 0 });
  assert_refused(&(struct packet){ .type = 16 });
  assert_refused(&(struct packet){ .type = SPEC_PUBLISH, .topic = long_text });
  assert_refused(&(struct packet){ .type = SPEC_PUBLISH, .payload = slice_of("", SIZE_MAX) });
  assert_refused(&(struct packet){ .type = SPEC_CONNECT, .client_id = long_text });
  assert_refused(&(struct packet){ .type = SPEC_CONNECT, .has_password = true, .password = long_text });
  assert_refused(&(struct packet){ .type = SPEC_PUBLISH, .topic = TEXT("a"), .payload = huge });
  assert_refused(&(struct packet){ .type = SPEC_PUBLISH, .version = SPEC_5_0, .properties = slice_of("", SIZE_MAX) });
  huge.size--;
  assert_int_equal(encode_size(&(struct packet){ .type = SPEC_PUBLISH, .topic = TEXT("a"), .payload = huge }),
                   5 + (size_t)SPEC_REMAINING_LENGTH_MAX);
  huge.size++;
  assert_int_equal(encode_size(&(struct packet){ .type = SPEC_PUBLISH, .payload = huge }),
                   5 + (size_t)SPEC_REMAINING_LENGTH_MAX);
}

static void test_limit_of_the_buffer(void **state) {
  (void)state;
  struct packet p = { .type = SPEC_PUBLISH, .topic = TEXT("abc") };
  for (size_t limit = 0; limit <= 8; limit++) {
    struct buffer out;
    buffer_init(&out, limit);
    assert_int_equal(encode_packet(&out, &p), limit >= 7);
    assert_int_equal(buffer_size(&out), limit >= 7 ? 7 : 0);
    buffer_fini(&out);
  }
  struct buffer none;
  buffer_init(&none, 1);
  assert_false(encode_ack(&none, SPEC_PUBACK, 1));
  assert_false(encode_empty(&none, SPEC_PINGREQ));
  assert_false(encode_filter(&none, TEXT("a")));
  assert_int_equal(buffer_size(&none), 0);
  buffer_fini(&none);
}

static void test_short_forms_are_the_same(void **state) {
  (void)state;
  static const uint8_t acks[] = { SPEC_PUBACK, SPEC_PUBREC, SPEC_PUBREL, SPEC_PUBCOMP, SPEC_UNSUBACK };
  static const uint8_t empty[] = { SPEC_PINGREQ, SPEC_PINGRESP, SPEC_DISCONNECT };
  struct buffer a, b;
  buffer_init(&a, 1000);
  buffer_init(&b, 1000);
  for (size_t i = 0; i < sizeof acks; i++) {
    struct packet p = { .type = acks[i], .packet_id = 0x1234 };
    p.flags = packet_flags(&p);
    assert_true(encode_ack(&a, acks[i], 0x1234) && encode_packet(&b, &p));
  }
  for (size_t i = 0; i < sizeof empty; i++) {
    struct packet p = { .type = empty[i] };
    p.flags = packet_flags(&p);
    assert_true(encode_empty(&a, empty[i]) && encode_packet(&b, &p));
  }
  assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
  buffer_fini(&a);
  buffer_fini(&b);
}

static void test_items(void **state) {
  (void)state;
  struct buffer items;
  buffer_init(&items, 1 << 20);
  assert_true(encode_subscription(&items, TEXT("a/b"), 2));
  assert_true(encode_subscription(&items, TEXT(""), 0xff));
  assert_true(slice_equal(buffer_slice(&items), TEXT("\0\3a/b\2\0\0\xff")));
  assert_false(encode_subscription(&items, slice_of("", 65536), 0));
  assert_int_equal(buffer_size(&items), 9);
  buffer_fini(&items);
  assert_true(encode_filter(&items, TEXT("a/b")));
  assert_true(slice_equal(buffer_slice(&items), TEXT("\0\3a/b")));
  buffer_fini(&items);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bytes),
    cmocka_unit_test(test_bytes_of_5),
    cmocka_unit_test(test_deliberately_wrong),
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_every_width_of_length),
    cmocka_unit_test(test_no_encoding),
    cmocka_unit_test(test_limit_of_the_buffer),
    cmocka_unit_test(test_short_forms_are_the_same),
    cmocka_unit_test(test_items),
  };
  return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
