#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "mqtt/encode.h"
#include "mqtt/outflow.h"

#define STREAM_MAX 400000

/* Whatever is appended and however it is taken: the bytes come in order, and `partial` is what is behind the last
 * boundary. */
static void test_boundaries(void **state) {
  static uint8_t stream[STREAM_MAX], packet_at[STREAM_MAX + 1];
  struct outflow f;
  struct rng rng = { 4 };
  size_t written = 0;
  (void)state;
  outflow_init(&f);
  packet_at[0] = 1;
  while (outflow_end(&f) < STREAM_MAX - 100) {
    size_t begin = (size_t)outflow_end(&f);
    uint8_t raw[40];
    for (size_t i = 0; i < sizeof raw; i++) raw[i] = (uint8_t)rng_next(&rng);
    switch (rng_below(&rng, 6)) {
    case 0: encode_empty(&f.bytes, SPEC_PINGREQ); break;
    case 1: encode_ack(&f.bytes, SPEC_PUBACK, (uint16_t)rng_next(&rng)); break;
    case 2: assert_true(outflow_raw(&f, slice_of(raw, rng_below(&rng, sizeof raw)))); break;
    default: {
      struct slice out = slice_first(outflow_unwritten(&f), rng_below(&rng, 12));
      if (out.size) assert_memory_equal(out.data, stream + written, out.size);
      outflow_wrote(&f, out.size);
      written += out.size;
      break;
    }
    }
    size_t end = (size_t)outflow_end(&f);
    if (end > begin) memcpy(stream + begin, outflow_at(&f, begin, end - begin).data, end - begin);
    packet_at[end] = 1;
    assert_int_equal(outflow_waiting(&f), end - written);
    size_t boundary = written;
    while (!packet_at[boundary]) boundary--;
    struct slice partial = outflow_partial(&f);
    assert_int_equal(partial.size, written - boundary);
    if (partial.size) assert_memory_equal(partial.data, stream + boundary, partial.size);
    if (end == written) assert_null(f.bytes.data);
    if (end == written) assert_null(f.raws.data);
  }
  outflow_fini(&f);
  assert_int_equal(outflow_end(&f), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_boundaries) };
  return cmocka_run_group_tests_name("outflow", tests, NULL, NULL);
}
