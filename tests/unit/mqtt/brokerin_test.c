#include "brokerrig.h"

#define BYTES(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })
#define CONNECT    0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'x'

/* Sends bytes on a connection of their own, behind a good CONNECT or as the first: it is closed with that reason, and
 * nothing was answered but CONNACK. */
static void closes(bool connected, const void *bytes, size_t size, const char *why) {
  struct brokerrig_client *c = connected ? brokerrig_client("x", true, false) : brokerrig_accept();
  brokerrig_bytes(c, bytes, size);
  brokerrig_expect(c, "closed");
  brokerrig_expect_why(c, why);
  brokerrig_gone(c);
}

static void test_first_packet(void **state) {
  (void)state;
  for (unsigned type = 0; type < 16; type++) {
    uint8_t first = (uint8_t)(type << 4 | (type == SPEC_SUBSCRIBE ? 2 : 0));
    if (type != SPEC_CONNECT) closes(false, &first, 1, "MQTT-3.1.0-1");
  }
}

static void test_second_connect(void **state) {
  (void)state;
  closes(true, BYTES(CONNECT), "second CONNECT [MQTT-3.1.0-2]");
  struct brokerrig_client *c = brokerrig_accept();
  brokerrig_bytes(c, BYTES(CONNECT, CONNECT));
  brokerrig_expect(c, "CONNACK 0 0; closed");
  brokerrig_gone(c);
}

/* Every illegal low nibble of every type, by the first byte alone. */
static void test_reserved_flags(void **state) {
  (void)state;
  for (unsigned type = SPEC_PUBACK; type < SPEC_AUTH; type++) {
    const struct spec_packet *row = spec_packet(type);
    for (unsigned flags = 0; flags < 16; flags++) {
      uint8_t first = (uint8_t)(type << 4 | flags);
      if (!(row->senders & SPEC_CLIENT)) closes(true, &first, 1, "MQTT-4.8.0-1");
      else if (flags != row->flags) closes(true, &first, 1, "reserved flags");
    }
  }
  for (unsigned flags = 1; flags < 16; flags++) closes(false, &(uint8_t){ (uint8_t)(0x10 | flags) }, 1, "MQTT-2.2.2-1");
  for (unsigned flags = 6; flags < 16; flags += flags & 1 ? 7 : 1)
    closes(true, &(uint8_t){ (uint8_t)(0x30 | flags) }, 1, "MQTT-3.3.1-4");
}

static void test_connect_levels(void **state) {
  (void)state;
  static const uint8_t levels[] = { 0, 2, 3, 5, 6, 127, 132, 255 };
  for (size_t i = 0; i < sizeof levels; i++) {
    struct brokerrig_client *c = brokerrig_accept();
    const uint8_t bytes[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', levels[i], 2, 0, 0, 0, 1, 'x', 0xc0, 0 };
    brokerrig_bytes(c, bytes, sizeof bytes);
    brokerrig_expect(c, "CONNACK 0 1; closed");
    brokerrig_expect_why(c, "MQTT-3.1.2-2");
    assert_int_equal(broker_conn_client_id(c->conn).size, 0);
    brokerrig_gone(c);
  }
  closes(false, BYTES(0x10, 13, 0, 4, 'M', 'q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'x'), "MQTT-3.1.2-1");
  closes(false, BYTES(0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 4, 2, 0, 0, 0, 1, 'x'), "MQTT-3.1.2-1");
}

/* One CONNECT with connect flags as given and the rest of the payload as given. */
static void connect_closes(uint8_t flags, const char *rest, size_t size, const char *why) {
  uint8_t bytes[200] = { 0x10, (uint8_t)(13 + size), 0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 0, 0, 1, 'x' };
  memcpy(bytes + 15, rest, size);
  closes(false, bytes, 15 + size, why);
}

static void test_connect_format(void **state) {
  (void)state;
  connect_closes(0x03, "", 0, "MQTT-3.1.2-3");
  connect_closes(0x0a, "", 0, "MQTT-3.1.2-11");
  connect_closes(0x22, "", 0, "MQTT-3.1.2-11");
  connect_closes(0x1e, "\0\1w\0\1m", 6, "MQTT-3.1.2-14");
  connect_closes(0x42, "\0\1p", 3, "MQTT-3.1.2-22");
  connect_closes(0x06, "", 0, "");
  connect_closes(0x06, "\0\1w", 3, "");
  connect_closes(0x82, "", 0, "");
  connect_closes(0xc2, "\0\1u", 3, "");
  connect_closes(0x02, "x", 1, "");
  connect_closes(0x02, "\0\1u", 3, "");
  connect_closes(0x06, "\0\3w/#\0\1m", 8, "wildcard");
  connect_closes(0x06, "\0\0\0\1m", 5, "MQTT-4.7.3-1");
  connect_closes(0x06, "\0\2\xc0\x80\0\1m", 7, "MQTT-1.5.3-1");
  connect_closes(0x82, "\0\3\xed\xa0\x80", 5, "MQTT-1.5.3-1");
  connect_closes(0x82, "\0\1\0", 3, "MQTT-1.5.3-2");
  closes(false, BYTES(0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 0xff), "MQTT-1.5.3-1");
}

static void test_empty_client_id(void **state) {
  (void)state;
  struct brokerrig_client *refused = brokerrig_accept();
  brokerrig_send(refused, brokerrig_connect_packet("", false));
  brokerrig_expect(refused, "CONNACK 0 2; closed");
  struct brokerrig_client *a = brokerrig_client("", true, false), *b = brokerrig_client("", true, false);
  assert_true(broker_conn_client_id(a->conn).size > 0);
  assert_false(slice_equal(broker_conn_client_id(a->conn), broker_conn_client_id(b->conn)));
  brokerrig_subscribed(a, "t", 0);
  brokerrig_publish(b, "t", "m", 0, false);
  brokerrig_expect(a, "PUBLISH q0 t=m");
  brokerrig_gone(refused);
  brokerrig_gone(a);
  brokerrig_gone(b);
}

static bool nobody(void *arg, const struct packet *connect) {
  ++*(int *)arg;
  return !slice_equal(connect->username, slice_text("u"));
}

/* What follows a refused CONNECT is not processed, and the session of that client is left alone [MQTT-3.1.4-5]. */
static void test_refused(void **state) {
  (void)state;
  int asked = 0;
  brokerrig_close(NULL);
  brokerrig_open(&(struct broker_options){ .authenticate = nobody, .authenticate_arg = &asked });
  struct brokerrig_client *other = brokerrig_client("x", false, false), *c = brokerrig_accept();
  brokerrig_bytes(c, BYTES(0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x82, 0, 0, 0, 1, 'x', 0, 1, 'u', /* retained */ 0x31,
                           4, 0, 1, 't', 'm'));
  brokerrig_expect(c, "CONNACK 0 5; closed");
  assert_int_equal(asked, 2);
  brokerrig_expect(other, "");
  assert_int_equal(broker_stats(brokerrig_broker).retained, 0);
  brokerrig_gone(c);
  brokerrig_gone(other);
}

static void test_malformed(void **state) {
  (void)state;
  closes(true, BYTES(0x30, 0xff, 0xff, 0xff, 0xff), "MQTT-2.2.3");
  closes(true, BYTES(0x32, 5, 0, 1, 't', 0, 0), "MQTT-2.3.1-1");
  closes(true, BYTES(0x38, 3, 0, 1, 't'), "MQTT-3.3.1-2");
  closes(true, BYTES(0x30, 2, 0, 0), "MQTT-4.7.3-1");
  closes(true, BYTES(0x30, 5, 0, 3, 'a', '/', '+'), "MQTT-");
  closes(true, BYTES(0x30, 3, 0, 2, 'a'), "");
  closes(true, BYTES(0x82, 2, 0, 1), "MQTT-3.8.3-3");
  closes(true, BYTES(0x82, 6, 0, 0, 0, 1, 'a', 0), "MQTT-2.3.1-1");
  closes(true, BYTES(0x82, 6, 0, 1, 0, 1, 'a', 3), "MQTT-3.8.3-4");
  closes(true, BYTES(0x82, 6, 0, 1, 0, 1, 'a', 0x80), "MQTT-3.8.3-4");
  closes(true, BYTES(0x82, 7, 0, 1, 0, 2, 'a', '#', 0), "MQTT-4.7.1-2");
  closes(true, BYTES(0x82, 7, 0, 1, 0, 2, 'a', '+', 0), "MQTT-4.7.1-3");
  closes(true, BYTES(0x82, 5, 0, 1, 0, 0, 0), "MQTT-4.7.3-1");
  closes(true, BYTES(0xa2, 2, 0, 1), "MQTT-3.10.3-2");
  closes(true, BYTES(0xa2, 5, 0, 1, 0, 1, 0), "MQTT-");
  closes(true, BYTES(0x40, 2, 0, 0), "MQTT-2.3.1-6");
  closes(true, BYTES(0x40, 3, 0, 1, 1), "");
  closes(true, BYTES(0xc0, 1, 0), "");
}

/* By the fixed header alone, nothing of the body is waited for or kept. */
static void test_too_large(void **state) {
  (void)state;
  brokerrig_close(NULL);
  brokerrig_open(&(struct broker_options){ .message_max = 1000 });
  closes(true, BYTES(0x30, 0xff, 0xff, 0xff, 0x7f), "larger than the broker takes");
  closes(true, BYTES(0x82, 0xff, 0xff, 0xff, 0x7f), "larger than its type can be");
  closes(true, BYTES(0x40, 0xff, 0xff, 0xff, 0x7f), "larger than its type can be");
  closes(true, BYTES(0xc0, 0xff, 0xff, 0xff, 0x7f), "larger than its type can be");
  closes(false, BYTES(0x10, 0xff, 0xff, 0xff, 0x7f), "larger than its type can be");
  char payload[1002];
  memset(payload, 'p', sizeof payload);
  payload[1000] = 0;
  struct brokerrig_client *c = brokerrig_client("x", true, false);
  brokerrig_publish(c, "t", payload, 1, false);
  payload[1000] = 'p', payload[1001] = 0;
  brokerrig_send(c, brokerrig_message("t", payload, 1, 5));
  brokerrig_expect(c, "closed");
  brokerrig_gone(c);
}

/* However the bytes are cut, the same comes out; what is there of a packet can be looked at. */
static void test_cut(void **state) {
  (void)state;
  static const uint8_t bytes[] = { CONNECT, 0x82, 6, 0, 7,   0, 1, 't', 1,    /* not the shortest length */ 0x32,
                                   0x86,    0,    0, 1, 't', 0, 9, 'm', 0xc0, 0 };
  for (size_t cut = 1; cut <= sizeof bytes; cut++) {
    struct brokerrig_client *c = brokerrig_accept();
    for (size_t at = 0; at < sizeof bytes; at += cut)
      brokerrig_bytes(c, bytes + at, at + cut < sizeof bytes ? cut : sizeof bytes - at);
    brokerrig_expect(c, "CONNACK 0 0; SUBACK id 7 1; PUBLISH q1 t=m id 1; PUBACK id 9; PINGRESP");
    brokerrig_bytes(c, "\x30\x7f", 2);
    brokerrig_bytes(c, "\0", 1);
    assert_true(slice_equal(broker_partial_in(c->conn), slice_of("\x30\x7f\0", 3)));
    brokerrig_gone(c);
  }
}

/* A client that asks and never reads is cut off, at a size. */
static void test_flood(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_client("x", true, false);
  static uint8_t pings[65536];
  for (size_t i = 0; i < sizeof pings; i += 2) pings[i] = 0xc0;
  c->stalled = true;
  for (int i = 0; i < 100; i++) brokerrig_bytes(c, pings, sizeof pings);
  brokerrig_expect_why(c, "does not read");
  assert_true(broker_output(c->conn, brokerrig_now_ns).size <= 3u << 20);
  brokerrig_later(BROKER_CLOSE_TIMEOUT_NS);
  assert_int_equal(broker_output(c->conn, brokerrig_now_ns).size, 0);
  assert_ptr_equal(broker_deadline(brokerrig_broker), INT64_MAX);
  brokerrig_gone(c);
}

/* Nothing behind DISCONNECT is looked at [MQTT-3.14.4-2]. */
static void test_behind_disconnect(void **state) {
  (void)state;
  struct brokerrig_client *watcher = brokerrig_client("w", true, false), *c = brokerrig_client("x", true, false);
  brokerrig_subscribed(watcher, "#", 0);
  brokerrig_bytes(c, BYTES(0xe0, 0, 0x30, 4, 0, 1, 't', 'm'));
  brokerrig_expect(c, "closed");
  brokerrig_expect_why(c, "DISCONNECT");
  brokerrig_expect(watcher, "");
  brokerrig_gone(c);
  brokerrig_gone(watcher);
}

static void note(struct brokerrig_client *c, const void *bytes, size_t size) {
  broker_note(c->conn, slice_of(bytes, size), brokerrig_now_ns);
  brokerrig_run();
}

/* A script answers: the books are kept, and nothing is written. */
static void test_note(void **state) {
  (void)state;
  struct brokerrig_client *c = brokerrig_accept(), *other = brokerrig_client("o", true, false);
  note(c, BYTES(CONNECT));
  assert_true(slice_equal(broker_conn_client_id(c->conn), slice_text("x")));
  note(c, BYTES(0x82, 6, 0, 7, 0, 1, 't', 1));
  note(c, BYTES(0x32, 6, 0, 1, 't', 0, 9, 'n'));
  note(c, BYTES(0xc0, 0));
  brokerrig_expect(c, "");
  brokerrig_publish(other, "t", "m", 2, false);
  brokerrig_expect(c, "PUBLISH q1 t=m id 1");
  note(c, BYTES(0x40, 2, 0, 1));
  assert_true(broker_raw(c->conn, slice_of("\xd0\0", 2)));
  brokerrig_run();
  brokerrig_expect(c, "PINGRESP");
  note(c, BYTES(0xa2, 5, 0, 7, 0, 1, 't'));
  note(c, BYTES(0xe0, 0));
  brokerrig_publish(other, "t", "m", 1, false);
  brokerrig_expect(c, "");
  assert_false(broker_wants_close(c->conn, NULL));
  assert_int_equal(broker_stats(brokerrig_broker).sessions, 1);
  brokerrig_gone(c);
  brokerrig_gone(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, brokerrig_setup, brokerrig_close)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_first_packet),   TEST(test_second_connect),
    TEST(test_reserved_flags), TEST(test_connect_levels),
    TEST(test_connect_format), TEST(test_empty_client_id),
    TEST(test_refused),        TEST(test_malformed),
    TEST(test_too_large),      TEST(test_cut),
    TEST(test_flood),          TEST(test_behind_disconnect),
    TEST(test_note),
  };
  return cmocka_run_group_tests_name("brokerin", tests, NULL, NULL);
}
