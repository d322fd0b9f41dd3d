#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "net/segment.h"

static void test_golden(void **state) {
  /* 127.0.0.1:5 to 127.0.0.1:1883, sequence 0x01020304, acknowledges 0x0a0b0c0d, PSH and ACK, "hi" */
  static const uint8_t want[] = { 2,    0,    0,    0,    0,    2,    2,    0,    0,    0,    0,    1,    8,   0,
                                  0x45, 0,    0,    42,   0,    0,    0x40, 0,    64,   6,    0x3c, 0xcc, 127, 0,
                                  0,    1,    127,  0,    0,    1,    0,    5,    0x07, 0x5b, 1,    2,    3,   4,
                                  0x0a, 0x0b, 0x0c, 0x0d, 0x50, 0x18, 0xff, 0xff, 0x27, 0xe1, 0,    0,    'h', 'i' };
  struct segment_link link = { 0 };
  struct buffer out;
  bool ipv6;
  (void)state;
  assert_true(segment_parse(slice_text("127.0.0.1:5"), &link.ends[0], &ipv6) && !ipv6);
  assert_true(segment_parse(slice_text("127.0.0.1:1883"), &link.ends[1], &ipv6) && !ipv6);
  link.ends[0].next = 0x01020304;
  link.ends[1].next = 0x0a0b0c0d;
  buffer_init(&out, SEGMENT_FRAME_MAX);
  segment_write(&out, &link, 0, SEGMENT_PSH | SEGMENT_ACK, slice_text("hi"));
  assert_int_equal(buffer_size(&out), sizeof want);
  for (size_t i = 0; i < sizeof want; i++)
    if (buffer_slice(&out).data[i] != want[i])
      fail_msg("byte %zu: %02x, wanted %02x", i, buffer_slice(&out).data[i], want[i]);
  assert_int_equal(link.ends[0].next, 0x01020306);
  buffer_fini(&out);
}

static unsigned word_at(const uint8_t *bytes) {
  return (unsigned)bytes[0] << 8 | bytes[1];
}

/* What a receiver does: the sum over all, checksum included, is ones. */
static unsigned folded_sum(uint64_t sum, const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) sum += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (unsigned)sum;
}

static void check_frame(struct slice frame, bool ipv6, size_t payload) {
  const uint8_t *ip = frame.data + 14, *tcp = ip + (ipv6 ? 40 : 20);
  size_t size = (size_t)(frame.data + frame.size - tcp), addresses = ipv6 ? 32 : 8;
  assert_int_equal(word_at(frame.data + 12), ipv6 ? 0x86dd : 0x0800);
  assert_int_equal(ip[0] >> 4, ipv6 ? 6 : 4);
  assert_int_equal(word_at(ip + (ipv6 ? 4 : 2)), ipv6 ? size : size + 20);
  if (!ipv6) assert_int_equal(folded_sum(0, ip, 20), 0xffff);
  assert_int_equal(folded_sum(6 + size, tcp - addresses, addresses + size), 0xffff);
  assert_int_equal((size_t)(tcp[12] >> 4) * 4 + payload, size);
}

/* Checksums and lengths are right and sequence numbers add up, also around the end of their range. */
static void test_conversation(void **state) {
  struct rng rng = { 4 };
  uint8_t *payload = mem_zero(SEGMENT_PAYLOAD_MAX);
  (void)state;
  for (size_t i = 0; i < SEGMENT_PAYLOAD_MAX; i++) payload[i] = (uint8_t)rng_below(&rng, 256);
  for (int round = 0; round < 200; round++) {
    struct segment_link link = { 0 };
    const char *address = round % 2 ? "[2001:db8::ff]:65535" : "255.254.253.252:1";
    assert_true(segment_parse(slice_text(address), &link.ends[0], &link.ipv6));
    assert_true(segment_parse(slice_text(address), &link.ends[1], &link.ipv6));
    for (int side = 0; side < 2; side++) link.ends[side].next = (uint32_t)(0 - rng_below(&rng, 70000));
    for (int i = 0; i < 8; i++) {
      struct buffer out;
      unsigned from = rng_below(&rng, 2) != 0, flags = SEGMENT_ACK | (unsigned)rng_below(&rng, 4);
      size_t size = flags & SEGMENT_SYN ? 0 : rng_below(&rng, i == 7 ? SEGMENT_PAYLOAD_MAX + 1 : 40);
      uint32_t before = link.ends[from].next, other = link.ends[!from].next;
      buffer_init(&out, SEGMENT_FRAME_MAX);
      segment_write(&out, &link, from, flags, slice_of(payload, size));
      check_frame(buffer_slice(&out), link.ipv6, size);
      assert_int_equal(link.ends[from].next, (uint32_t)(before + size + ((flags & 3) != 0)));
      assert_int_equal(link.ends[!from].next, other);
      buffer_fini(&out);
    }
  }
  free(payload);
}

static void test_parse(void **state) {
  static const char *const bad[] = {
    "",        "unix",   ":",     "1.2.3.4", "1.2.3.4:",   "1.2.3.4:65536",
    "1.2.3:5", "[::1:5", "::1:5", "[]:5",    "1.2.3.4:5x", "[12345678901234567890123456789012345678901234567890]:1"
  };
  struct segment_end end;
  bool ipv6;
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (segment_parse(slice_text(bad[i]), &end, &ipv6)) fail_msg("%s", bad[i]);
  assert_true(segment_parse(slice_text("[::1]:65535"), &end, &ipv6));
  assert_true(ipv6 && end.address[15] == 1 && end.port == 65535);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_golden),
    cmocka_unit_test(test_conversation),
    cmocka_unit_test(test_parse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
