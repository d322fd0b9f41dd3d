#include "storyrig.h"

#include <unistd.h>

#include "base/mem.h"
#include "host/capture.h"

/* The tests of what an analyser says of such files are in tests/real/capture_test.lua. */

#define FLOWS_MAX 20000

/* One direction of a conversation: what its next byte is numbered. */
struct flow {
  uint8_t key[36]; /* addresses and ports */
  uint32_t next;
};

struct capture_file {
  uint8_t *bytes;
  size_t size;
  unsigned frames;
  struct flow flows[FLOWS_MAX];
  size_t flow_count;
};

static uint32_t little(const uint8_t *b) {
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t big(const uint8_t *b) {
  return b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 | (uint32_t)b[0] << 24;
}

static struct flow *flow_of(struct capture_file *f, const uint8_t *addresses, size_t size, const uint8_t *ports,
                            bool turned) {
  uint8_t key[36] = { 0 };
  for (size_t half = 0; half < 2; half++) {
    size_t to = turned ? !half : half;
    memcpy(key + to * 18, addresses + half * size / 2, size / 2);
    memcpy(key + to * 18 + 16, ports + half * 2, 2);
  }
  for (size_t i = f->flow_count; i > 0; i--)
    if (memcmp(f->flows[i - 1].key, key, sizeof key) == 0) return &f->flows[i - 1];
  assert_true(f->flow_count < FLOWS_MAX);
  memcpy(f->flows[f->flow_count].key, key, sizeof key);
  return &f->flows[f->flow_count++];
}

/* A frame goes on where the one before it in its direction stopped, and acknowledges all that came the other way. */
static void check_frame(struct capture_file *f, const uint8_t *frame, size_t size) {
  bool ipv6 = frame[12] == 0x86;
  const uint8_t *tcp = frame + 14 + (ipv6 ? 40 : 20), *addresses = tcp - (ipv6 ? 32 : 8);
  size_t payload = size - (size_t)(tcp - frame) - (size_t)(tcp[12] >> 4) * 4;
  struct flow *mine = flow_of(f, addresses, ipv6 ? 32 : 8, tcp, false);
  struct flow *other = flow_of(f, addresses, ipv6 ? 32 : 8, tcp, true);
  bool syn = tcp[13] & 2, fin = tcp[13] & 1, ack = tcp[13] & 16;
  f->frames++;
  if (syn) mine->next = big(tcp + 4);
  assert_int_equal(big(tcp + 4), mine->next);
  if (ack) assert_int_equal(big(tcp + 8), other->next);
  mine->next += (uint32_t)payload + (syn || fin);
}

static void check_file(struct capture_file *f) {
  uint64_t before_ns = 0;
  for (size_t at = 0; at < f->size;) {
    const uint8_t *block = f->bytes + at;
    uint32_t size = little(block + 4);
    assert_true(size >= 12 && size <= f->size - at && little(block + size - 4) == size);
    at += size;
    if (little(block) != 6) continue;
    uint64_t at_ns = (uint64_t)little(block + 12) << 32 | little(block + 16);
    assert_true(at_ns >= before_ns);
    before_ns = at_ns;
    check_frame(f, block + 28, little(block + 20));
  }
}

static void read_file(struct capture_file *f, const char *path) {
  FILE *from = fopen(path, "rb");
  assert_non_null(from);
  fseek(from, 0, SEEK_END);
  f->size = (size_t)ftell(from);
  rewind(from);
  f->bytes = mem_zero(f->size);
  assert_int_equal(fread(f->bytes, 1, f->size, from), f->size);
  fclose(from);
}

/* Whatever is on the timeline: conversations that add up, in the order of time. */
static void test_random(void **state) {
  char path[] = "/tmp/capture_test.XXXXXX";
  struct capture_file *f = mem_zero(sizeof *f);
  unsigned frames = 0;
  (void)state;
  close(mkstemp(path));
  for (uint64_t seed = 0; seed < 300; seed++) {
    struct timeline *t = storyrig_random(seed);
    struct err err;
    memset(f, 0, sizeof *f);
    if (!capture_write(t, path, 1000000000000000000, "random", &err)) fail_msg("%s", err.text);
    read_file(f, path);
    check_file(f);
    frames += f->frames;
    free(f->bytes);
    timeline_free(t);
  }
  assert_true(frames > 10000);
  unlink(path);
  free(f);
}

static void test_nowhere_to_write(void **state) {
  struct timeline *t = storyrig_random(1);
  struct err err = { "" };
  (void)state;
  assert_false(capture_write(t, "/nowhere/at/all", 0, "", &err));
  assert_non_null(strstr(err.text, "/nowhere/at/all: No such file or directory"));
  if (access("/dev/full", W_OK) == 0) {
    assert_false(capture_write(t, "/dev/full", 0, "", &err));
    assert_non_null(strstr(err.text, "/dev/full: No space left on device"));
  }
  timeline_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_random), cmocka_unit_test(test_nowhere_to_write) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
