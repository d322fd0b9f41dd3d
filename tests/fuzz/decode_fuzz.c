#include <assert.h>

#include "mqtt/decode.h"
#include "mqtt/describe.h"
#include "mqtt/strict.h"
#include "tests/unit/mqtt/sample.h"

/* The first byte of the input is the version; the rest is a stream of packets. */

static void decode_fuzz_line(void *arg, const char *name, const char *value) {
  size_t *lines = arg;
  assert(*name && *value);
  (*lines)++;
}

static void decode_fuzz_show(const struct packet *p) {
  struct strict_violation v[STRICT_VIOLATIONS_MAX];
  char line[DESCRIBE_LINE_MAX];
  size_t lines = 0;
  assert(strict_check(p, SPEC_CLIENT, v) <= STRICT_VIOLATIONS_MAX);
  assert(strict_check(p, SPEC_BROKER, v) <= STRICT_VIOLATIONS_MAX);
  assert(describe_packet(p, line, sizeof line) > 0);
  describe_fields(p, decode_fuzz_line, &lines);
  assert(lines >= 2);
}

/* Encoded again, the packet says the same. */
static void decode_fuzz_encode(const struct packet *p) {
  struct buffer out;
  struct packet again;
  buffer_init(&out, 1 << 24);
  assert(encode_packet(&out, p));
  assert(buffer_size(&out) == encode_size(p));
  assert(decode_packet(buffer_slice(&out), (enum spec_version)p->version, &again, NULL) == DECODE_OK);
  assert(sample_same(p, &again));
  assert(again.raw.size == buffer_size(&out));
  buffer_fini(&out);
}

/* No part of a packet is a packet. */
static void decode_fuzz_prefixes(struct slice raw, enum spec_version version) {
  struct packet p;
  for (size_t cut = 0; cut < raw.size && cut < 300; cut++) {
    uint8_t *copy = sample_exact(slice_first(raw, cut));
    assert(decode_packet(slice_of(copy, cut), version, &p, NULL) == DECODE_NEED_MORE);
    free(copy);
  }
}

static void decode_fuzz_bad(const struct packet *p, const struct decode_fault *fault, struct slice bytes) {
  char line[DESCRIBE_LINE_MAX];
  assert(fault->offset <= p->raw.size && p->raw.size <= bytes.size && fault->text);
  assert(describe_packet(p, line, sizeof line) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  enum spec_version version = data[0] & 1 ? SPEC_5_0 : SPEC_3_1_1;
  struct slice bytes = slice_of(data + 1, size - 1);
  struct packet p;
  struct decode_fault fault;
  enum decode_result result;
  while ((result = decode_packet(bytes, version, &p, &fault)) == DECODE_OK) {
    decode_fuzz_show(&p);
    decode_fuzz_encode(&p);
    decode_fuzz_prefixes(p.raw, version);
    bytes = slice_from(bytes, p.raw.size);
  }
  if (result == DECODE_BAD) decode_fuzz_bad(&p, &fault, bytes);
  return 0;
}
