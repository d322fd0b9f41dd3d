#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/decode.h"
#include "sample.h"

/* Calls `check` with the bytes of random packets of every type of both versions. */
static void for_packets(int rounds, void (*check)(struct sample *s, const struct packet *p, struct slice bytes)) {
  static struct sample sample;
  static const uint8_t versions[] = { SPEC_3_1_1, SPEC_5_0 };
  sample.rng.state = 5;
  for (int round = 0; round < rounds; round++) {
    uint8_t version = versions[round % 2];
    unsigned type = 1 + (unsigned)rng_below(&sample.rng, sample_last_type(version));
    struct packet p = sample_packet(&sample, type, version);
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_true(encode_packet(&out, &p));
    check(&sample, &p, buffer_slice(&out));
    buffer_fini(&out);
  }
}

static void check_truncation(struct sample *s, const struct packet *p, struct slice bytes) {
  (void)s;
  struct packet got;
  for (size_t cut = 0; cut < bytes.size; cut++) {
    uint8_t *copy = sample_exact(slice_first(bytes, cut));
    assert_int_equal(decode_packet(slice_of(copy, cut), p->version, &got, NULL), DECODE_NEED_MORE);
    free(copy);
  }
}

static void test_truncation_needs_more(void **state) {
  (void)state;
  for_packets(400, check_truncation);
}

static void check_tail(struct sample *s, const struct packet *p, struct slice bytes) {
  struct packet got;
  struct buffer both;
  buffer_init(&both, 1 << 20);
  assert_true(buffer_append(&both, bytes));
  assert_true(buffer_append(&both, sample_bytes(s)));
  assert_int_equal(decode_packet(buffer_slice(&both), p->version, &got, NULL), DECODE_OK);
  assert_int_equal(got.raw.size, bytes.size);
  assert_ptr_equal(got.raw.data, buffer_slice(&both).data);
  assert_true(sample_same(p, &got));
  buffer_fini(&both);
}

static void test_what_is_behind_a_packet_is_left_alone(void **state) {
  (void)state;
  for_packets(4000, check_tail);
}

/* Decodes bytes that have nothing behind them, and checks what holds whatever they are. */
static void decode_any(struct slice bytes, enum spec_version version) {
  struct packet got;
  struct decode_fault fault = { 0 };
  uint8_t *copy = sample_exact(bytes);
  enum decode_result result = decode_packet(slice_of(copy, bytes.size), version, &got, &fault);
  if (result == DECODE_NEED_MORE) assert_true(bytes.size < 2 || bytes.data[1] > 0);
  if (result != DECODE_NEED_MORE) assert_true(got.raw.data == copy && got.raw.size <= bytes.size);
  if (result == DECODE_BAD) {
    assert_true(fault.offset <= got.raw.size);
    assert_non_null(fault.text);
    assert_int_equal(got.type, bytes.data[0] >> 4);
    assert_int_equal(got.flags, bytes.data[0] & 15);
  }
  free(copy);
}

/* A byte changed: a length, most often, since most of the bytes of small packets are lengths. */
static void check_corruption(struct sample *s, const struct packet *p, struct slice bytes) {
  uint8_t *copy = sample_exact(bytes);
  for (size_t i = 0; i < bytes.size && i < 64; i++) {
    uint8_t was = copy[i];
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
    for (size_t v = 0; v < sizeof values; v++) {
      copy[i] = values[v];
      decode_any(slice_of(copy, bytes.size), p->version);
    }
    copy[i] = (uint8_t)rng_next(&s->rng);
    decode_any(slice_of(copy, bytes.size), p->version);
    copy[i] = was;
  }
  free(copy);
}

static void test_corruption_stays_in_bounds(void **state) {
  (void)state;
  for_packets(1000, check_corruption);
}

/* The remaining length says less than there is: the packet is bad, unless what is cut off may be left out. */
static void check_shortened(struct sample *s, const struct packet *p, struct slice bytes) {
  (void)s;
  struct packet got;
  struct decode_fault fault;
  if (bytes.size > 100 || p->version == SPEC_5_0) return;
  for (uint8_t length = 0; length < bytes.size - 2; length++) {
    uint8_t *copy = sample_exact(bytes);
    copy[1] = length;
    enum decode_result result = decode_packet(slice_of(copy, 2u + length), p->version, &got, &fault);
    bool list = p->type == SPEC_SUBSCRIBE || p->type == SPEC_UNSUBSCRIBE || p->type == SPEC_SUBACK;
    if (!list && p->type != SPEC_PUBLISH) assert_int_equal(result, DECODE_BAD);
    if (result == DECODE_BAD) assert_true(fault.offset <= 2u + length && fault.offset >= 2);
    free(copy);
  }
}

static void test_shortened_packets(void **state) {
  (void)state;
  for_packets(2000, check_shortened);
}

static void test_random_bytes(void **state) {
  (void)state;
  struct rng rng = { 3 };
  for (int round = 0; round < 100000; round++) {
    uint8_t bytes[24];
    size_t size = rng_below(&rng, sizeof bytes + 1);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)rng_next(&rng);
    if (size > 1 && rng_below(&rng, 4)) bytes[1] = (uint8_t)(size - 2);
    decode_any(slice_of(bytes, size), round % 2 ? SPEC_3_1_1 : SPEC_5_0);
  }
}

struct bad {
  const char *bytes;
  enum spec_version version;
  size_t offset;
  const char *text, *clause;
};

#define CUT  " runs past the end of the packet"
#define LEFT "bytes are left over behind the last field"

static const struct bad bads[] = {
  { "30 80 80 80 80", SPEC_3_1_1, 4, "the remaining length has more than four bytes", "MQTT-2.2.3" },
  { "30 ff ff ff ff 7f", SPEC_3_1_1, 4, "the remaining length has more than four bytes", "MQTT-2.2.3" },
  { "00 00", SPEC_3_1_1, 0, "this packet type is reserved", "MQTT-2.2.1" },
  { "00 00", SPEC_5_0, 0, "this packet type is reserved", "MQTT-2.2.1" },
  { "f0 00", SPEC_3_1_1, 0, "this packet type is reserved", "MQTT-2.2.1" },
  { "10 00", SPEC_3_1_1, 2, "protocol_name" CUT, "MQTT-3.1.2-1" },
  { "10 04 00 04 'MQ'", SPEC_3_1_1, 2, "protocol_name" CUT, "MQTT-3.1.2-1" },
  { "10 06 00 04 'MQTT'", SPEC_3_1_1, 8, "protocol_version" CUT, "MQTT-3.1.2-2" },
  { "10 07 00 04 'MQTT' 04", SPEC_3_1_1, 9, "connect_flags" CUT, NULL },
  { "10 09 00 04 'MQTT' 04 02 00", SPEC_3_1_1, 10, "keepalive" CUT, NULL },
  { "10 0a 00 04 'MQTT' 04 02 00 3c", SPEC_3_1_1, 12, "client_id" CUT, "MQTT-3.1.3-3" },
  { "10 0c 00 04 'MQTT' 04 06 00 3c 00 00", SPEC_3_1_1, 14, "will.topic" CUT, "MQTT-3.1.2-9" },
  { "10 0f 00 04 'MQTT' 04 06 00 3c 00 00 00 01 't'", SPEC_3_1_1, 17, "will.payload" CUT, "MQTT-3.1.2-9" },
  { "10 0c 00 04 'MQTT' 04 82 00 3c 00 00", SPEC_3_1_1, 14, "username" CUT, "MQTT-3.1.2-19" },
  { "10 0f 00 04 'MQTT' 04 c2 00 3c 00 00 00 01 'u'", SPEC_3_1_1, 17, "password" CUT, "MQTT-3.1.2-21" },
  { "10 0d 00 04 'MQTT' 04 02 00 3c 00 00 00", SPEC_3_1_1, 14, LEFT, NULL },
  { "20 00", SPEC_3_1_1, 2, "connack_flags" CUT, NULL },
  { "20 01 00", SPEC_3_1_1, 3, "reason_code" CUT, NULL },
  { "20 03 00 00 00", SPEC_3_1_1, 4, LEFT, NULL },
  { "30 00", SPEC_3_1_1, 2, "topic" CUT, "MQTT-3.3.2-1" },
  { "30 03 00 05 'a'", SPEC_3_1_1, 2, "topic" CUT, "MQTT-3.3.2-1" },
  { "32 04 00 01 'a' 00", SPEC_3_1_1, 5, "packet_id" CUT, "MQTT-2.3.1-1" },
  { "36 03 00 01 'a'", SPEC_3_1_1, 5, "packet_id" CUT, "MQTT-2.3.1-1" },
  { "40 00", SPEC_3_1_1, 2, "packet_id" CUT, "MQTT-2.3.1-6" },
  { "40 01 00", SPEC_3_1_1, 2, "packet_id" CUT, "MQTT-2.3.1-6" },
  { "50 03 00 01 00", SPEC_3_1_1, 4, LEFT, NULL },
  { "62 03 00 01 00", SPEC_3_1_1, 4, LEFT, NULL },
  { "70 03 00 01 00", SPEC_3_1_1, 4, LEFT, NULL },
  { "82 01 00", SPEC_3_1_1, 2, "packet_id" CUT, "MQTT-2.3.1-1" },
  { "82 05 00 01 00 01 'a'", SPEC_3_1_1, 4, "subscriptions" CUT, "MQTT-3.8.3-3" },
  { "82 07 00 01 00 00 00 00 05", SPEC_3_1_1, 7, "subscriptions" CUT, "MQTT-3.8.3-3" },
  { "90 00", SPEC_3_1_1, 2, "packet_id" CUT, "MQTT-2.3.1-7" },
  { "a2 04 00 01 00 05", SPEC_3_1_1, 4, "filters" CUT, "MQTT-3.10.3-1" },
  { "a2 06 00 01 00 01 'a' 00", SPEC_3_1_1, 7, "filters" CUT, "MQTT-3.10.3-1" },
  { "b0 03 00 01 00", SPEC_3_1_1, 4, LEFT, NULL },
  { "c0 01 00", SPEC_3_1_1, 2, LEFT, NULL },
  { "d0 01 00", SPEC_3_1_1, 2, LEFT, NULL },
  { "e0 01 00", SPEC_3_1_1, 2, LEFT, NULL },
  { "20 02 00 00", SPEC_5_0, 4, "properties" CUT, NULL },
  { "20 07 00 00 80 80 80 80 01", SPEC_5_0, 4, "properties" CUT, NULL },
  { "40 04 00 01 10 02", SPEC_5_0, 5, "properties" CUT, NULL },
  { "40 05 00 01 10 00 00", SPEC_5_0, 6, LEFT, NULL },
};

static void test_bad_structure(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
    const struct bad *b = &bads[i];
    uint8_t bytes[SAMPLE_HEX_MAX];
    struct packet got;
    struct decode_fault fault = { 999, "", NULL };
    if (decode_packet(sample_hex(b->bytes, bytes), b->version, &got, &fault) != DECODE_BAD) fail_msg("%s", b->bytes);
    if (fault.offset != b->offset) fail_msg("%s: offset %zu", b->bytes, fault.offset);
    assert_string_equal(fault.text, b->text);
    if (b->clause) assert_string_equal(fault.clause, b->clause);
    else assert_null(fault.clause);
    assert_int_equal(decode_packet(sample_hex(b->bytes, bytes), b->version, &got, NULL), DECODE_BAD);
  }
}

/* A packet of 256 MB needs no more than its fixed header to be known as not all there. */
static void test_large_packet_needs_more(void **state) {
  (void)state;
  struct packet got;
  uint8_t bytes[SAMPLE_HEX_MAX];
  uint8_t *copy = sample_exact(sample_hex("30 ff ff ff 7f", bytes));
  for (size_t size = 0; size <= 5; size++)
    assert_int_equal(decode_packet(slice_of(copy, size), SPEC_3_1_1, &got, NULL), DECODE_NEED_MORE);
  free(copy);
}

static struct packet decode_good(const char *text, uint8_t bytes[SAMPLE_HEX_MAX]) {
  struct packet got;
  assert_int_equal(decode_packet(sample_hex(text, bytes), SPEC_3_1_1, &got, NULL), DECODE_OK);
  return got;
}

static void assert_text(struct slice got, const char *due) {
  assert_true(slice_equal(got, slice_text(due)));
}

static void test_connect(void **state) {
  (void)state;
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct packet p =
      decode_good("10 21 00 04 'MQTT' 04 f6 00 3c 00 02 'id' 00 02 'wt' 00 02 'wp' 00 04 'user' 00 03 'pwd'", bytes);
  assert_int_equal(p.version, SPEC_3_1_1);
  assert_text(p.protocol_name, "MQTT");
  assert_int_equal(p.connect_flags, 0xf6);
  assert_true(p.clean && p.has_will && p.has_username && p.has_password && p.will.retain);
  assert_int_equal(p.will.qos, 2);
  assert_int_equal(p.keepalive_s, 60);
  assert_text(p.client_id, "id");
  assert_text(p.will.topic, "wt");
  assert_text(p.will.payload, "wp");
  assert_text(p.username, "user");
  assert_text(p.password, "pwd");
}

/* A CONNECT tells its version itself, whatever was expected. */
static void test_connect_level(void **state) {
  (void)state;
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct packet p;
  struct slice five = sample_hex("10 0f 00 04 'MQTT' 05 02 00 00 02 11 22 00 00", bytes);
  bytes[1] = (uint8_t)(five.size - 2);
  assert_int_equal(decode_packet(five, SPEC_3_1_1, &p, NULL), DECODE_OK);
  assert_int_equal(p.version, SPEC_5_0);
  assert_int_equal(p.properties.size, 2);
  assert_int_equal(decode_packet(sample_hex("10 0e 00 06 'MQIsdp' 03 02 00 00 00 00", bytes), SPEC_5_0, &p, NULL),
                   DECODE_OK);
  assert_int_equal(p.version, SPEC_3_1_1);
  assert_int_equal(p.protocol_version, 3);
}

static void test_publish(void **state) {
  (void)state;
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct packet p = decode_good("3d 0a 00 03 'a/b' 01 02 'xyz'", bytes);
  assert_true(p.dup && p.retain);
  assert_int_equal(p.qos, 2);
  assert_int_equal(p.packet_id, 0x102);
  assert_text(p.topic, "a/b");
  assert_text(p.payload, "xyz");
  p = decode_good("30 03 00 01 'a'", bytes);
  assert_int_equal(p.packet_id, 0);
  assert_int_equal(p.payload.size, 0);
}

/* What breaks the standard but can be read is read. */
static void test_lenience(void **state) {
  (void)state;
  uint8_t bytes[SAMPLE_HEX_MAX];
  assert_int_equal(decode_good("3f 05 00 01 'a' 00 00", bytes).qos, 3);
  assert_int_equal(decode_good("4f 02 00 00", bytes).flags, 15);
  assert_text(decode_good("30 04 00 02 c0 80", bytes).topic, "\xc0\x80");
  assert_int_equal(decode_good("20 02 fe ff", bytes).connack_flags, 0xfe);
  assert_int_equal(decode_good("82 02 00 00", bytes).items.size, 0);
  assert_int_equal(decode_good("a0 82 00 00 00", bytes).raw.size, 5); /* a length in more bytes than it needs */
}

static void test_lists(void **state) {
  (void)state;
  uint8_t bytes[SAMPLE_HEX_MAX];
  struct packet p = decode_good("82 0b 00 07 00 01 'a' 07 00 02 '+b' 00", bytes);
  struct packet_subscription s;
  assert_true(packet_next_subscription(&p.items, &s));
  assert_text(s.filter, "a");
  assert_int_equal(s.options, 7);
  assert_int_equal(s.qos, 3);
  assert_true(packet_next_subscription(&p.items, &s));
  assert_text(s.filter, "+b");
  assert_false(packet_next_subscription(&p.items, &s));
  assert_int_equal(p.items.size, 0);
  p = decode_good("90 05 00 07 00 80 02", bytes);
  assert_int_equal(p.items.size, 3);
  struct slice cut = slice_of("\0\5ab", 4), filter;
  assert_false(packet_next_filter(&cut, &filter));
  assert_int_equal(cut.size, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_truncation_needs_more),
    cmocka_unit_test(test_what_is_behind_a_packet_is_left_alone),
    cmocka_unit_test(test_corruption_stays_in_bounds),
    cmocka_unit_test(test_shortened_packets),
    cmocka_unit_test(test_random_bytes),
    cmocka_unit_test(test_bad_structure),
    cmocka_unit_test(test_large_packet_needs_more),
    cmocka_unit_test(test_connect),
    cmocka_unit_test(test_connect_level),
    cmocka_unit_test(test_publish),
    cmocka_unit_test(test_lenience),
    cmocka_unit_test(test_lists),
  };
  return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
