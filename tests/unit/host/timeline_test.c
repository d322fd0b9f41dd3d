#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "host/timeline.h"

/* The bytes of entry `number`: they tell their own number and size. */
static struct slice entry_of(uint64_t number, uint8_t *to) {
  struct rng rng = { number };
  size_t size = 8 + rng_below(&rng, number % 50 == 0 ? 200000 : 200);
  for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(number + i);
  return slice_of(to, size);
}

static void assert_is(const struct timeline_entry *e, uint64_t number, uint8_t *scratch) {
  assert_int_equal(e->number, number);
  assert_int_equal(e->at_ns, number * 10);
  assert_int_equal(e->who, number % 7);
  assert_int_equal(e->kind, number % 6);
  assert_true(slice_equal(e->bytes, entry_of(number, scratch)));
}

/* Whatever is added, the entries kept are the newest, whole, numbered without gaps, and within the limit. */
static void test_ring(void **state) {
  (void)state;
  enum { COUNT = 60000 };
  struct timeline *t = timeline_new(1000);
  struct timeline_entry e;
  struct rng rng = { 3 };
  uint8_t *bytes = mem_zero(300000);
  assert_int_equal(timeline_first(t), 0);
  assert_int_equal(timeline_last(t), 0);
  for (uint64_t n = 1; n <= COUNT; n++) {
    timeline_add(t, 1000 + (int64_t)n * 10, (uint32_t)(n % 7), (enum timeline_kind)(n % 6), entry_of(n, bytes));
    assert_int_equal(timeline_last(t), n);
    uint64_t first = timeline_first(t), number = first + rng_below(&rng, n - first + 1);
    assert_true(timeline_get(t, number, &e));
    assert_is(&e, number, bytes);
    assert_false(timeline_get(t, first - 1, &e));
    assert_false(timeline_get(t, n + 1, &e));
  }
  assert_true(timeline_first(t) > 1);
  size_t kept = 0;
  for (uint64_t n = timeline_first(t); n <= COUNT; n++) {
    assert_true(timeline_get(t, n, &e));
    assert_is(&e, n, bytes);
    kept += e.bytes.size;
  }
  assert_true(kept <= TIMELINE_BYTES_MAX);
  assert_true(kept > TIMELINE_BYTES_MAX - TIMELINE_ENTRY_MAX);
  timeline_free(t);
  free(bytes);
}

/* An entry over the limit of one is cut; even so the newest is always there. */
static void test_large(void **state) {
  (void)state;
  struct timeline *t = timeline_new(0);
  struct timeline_entry e;
  size_t size = TIMELINE_ENTRY_MAX + 5;
  uint8_t *bytes = mem_zero(size);
  for (int i = 1; i < 40; i++) {
    timeline_add(t, 0, 0, TIMELINE_NOTE, slice_of(bytes, size));
    assert_true(timeline_get(t, timeline_last(t), &e));
    assert_int_equal(e.bytes.size, TIMELINE_ENTRY_MAX);
  }
  assert_true(timeline_last(t) - timeline_first(t) < 16);
  timeline_free(t);
  free(bytes);
}

static void test_find(void **state) {
  (void)state;
  struct timeline *t = timeline_new(0);
  struct timeline_entry e;
  uint32_t a = timeline_who(t, "a"), b = timeline_who(t, "b");
  timeline_add(t, 1, a, TIMELINE_UP, slice_of("\x30\x00", 2));
  timeline_add(t, 2, b, TIMELINE_UP, slice_of("\x40\x00", 2));
  timeline_add(t, 3, a, TIMELINE_DOWN, slice_of("\x40\x00", 2));
  timeline_add(t, 4, a, TIMELINE_NOTE, slice_text("@ is the byte of a PUBACK"));
  timeline_add(t, 5, a, TIMELINE_UP, slice_of("\x40\x00", 2));
  assert_true(timeline_find(t, 0, 0, TIMELINE_UP, 0, &e));
  assert_int_equal(e.number, 1);
  assert_true(timeline_find(t, 0, 0, TIMELINE_UP, SPEC_PUBACK, &e));
  assert_int_equal(e.number, 2);
  assert_true(timeline_find(t, e.number, 0, TIMELINE_UP, SPEC_PUBACK, &e));
  assert_int_equal(e.number, 5);
  assert_true(timeline_find(t, 0, a, TIMELINE_UP, SPEC_PUBACK, &e));
  assert_int_equal(e.number, 5);
  assert_true(timeline_find(t, 0, a, TIMELINE_DOWN, 0, &e));
  assert_int_equal(e.number, 3);
  assert_false(timeline_find(t, 5, 0, TIMELINE_UP, 0, &e));
  assert_false(timeline_find(t, UINT64_MAX - 1, 0, TIMELINE_UP, 0, &e));
  assert_false(timeline_find(t, 0, b, TIMELINE_DOWN, 0, &e));
  timeline_free(t);
}

/* A search that starts before what is kept starts at the oldest. */
static void test_find_after_eviction(void **state) {
  (void)state;
  struct timeline *t = timeline_new(0);
  struct timeline_entry e;
  uint8_t *bytes = mem_zero(TIMELINE_ENTRY_MAX);
  bytes[0] = SPEC_PUBLISH << 4;
  for (int i = 0; i < 30; i++) timeline_add(t, 0, 1, TIMELINE_UP, slice_of(bytes, TIMELINE_ENTRY_MAX));
  assert_true(timeline_find(t, 2, 0, TIMELINE_UP, SPEC_PUBLISH, &e));
  assert_int_equal(e.number, timeline_first(t));
  timeline_free(t);
  free(bytes);
}

static const char *line_of(struct timeline *t) {
  static char line[600];
  struct timeline_entry e;
  assert_true(timeline_get(t, timeline_last(t), &e));
  int length = timeline_format(t, &e, line, sizeof line);
  assert_int_equal(length, strlen(line));
  char cut[20];
  timeline_format(t, &e, cut, sizeof cut);
  assert_int_equal(strlen(cut), strlen(line) < 19 ? strlen(line) : 19);
  assert_memory_equal(cut, line, strlen(cut));
  assert_int_equal(timeline_format(t, &e, NULL, 0), strlen(line));
  return line;
}

static void test_format(void **state) {
  (void)state;
  struct timeline *t = timeline_new(5000000);
  uint32_t a = timeline_who(t, "c1");
  timeline_add(t, 17345678, a, TIMELINE_UP,
               slice_of("\x30\x0a\0\x03"
                        "a/bhello",
                        12));
  assert_string_equal(line_of(t), "  12.345 ms  c1 -> PUBLISH q0 \"a/b\" 5 B \"hello\"");
  timeline_add(t, 5000000, a, TIMELINE_DOWN, slice_of("\x40\x01\x05", 3));
  assert_non_null(strstr(line_of(t), "   0.000 ms  c1 <- malformed PUBACK ("));
  assert_non_null(strstr(line_of(t), "): 40 01 05"));
  timeline_add(t, 5000000, a, TIMELINE_DOWN, slice_of("\x30\xff\x7f  ", 5));
  assert_string_equal(line_of(t), "   0.000 ms  c1 <- PUBLISH cut: 30 ff 7f 20 20");
  timeline_note(t, 6000000, 0, TIMELINE_NOTE, "a\x1b[31m %d", 7);
  assert_string_equal(line_of(t), "   1.000 ms  -- a\\x1b[31m 7");
  timeline_rename(t, a, "sensor");
  timeline_note(t, 6000000, a, TIMELINE_END, "reset by the other end");
  assert_string_equal(line_of(t), "   1.000 ms  sensor ended reset by the other end");
  timeline_free(t);
}

static void test_names(void **state) {
  (void)state;
  struct timeline *t = timeline_new(0);
  char name[2 * TIMELINE_NAME_MAX + 1];
  memset(name, 'x', sizeof name);
  name[sizeof name - 1] = 0;
  name[TIMELINE_NAME_MAX - 1] = (char)0xc3; /* the cut would split this character */
  name[TIMELINE_NAME_MAX] = (char)0xa9;
  uint32_t who = timeline_who(t, name);
  assert_int_equal(who, 1);
  assert_int_equal(strlen(timeline_name(t, who)), TIMELINE_NAME_MAX - 1);
  assert_string_equal(timeline_name(t, 0), "");
  assert_string_equal(timeline_name(t, 2), "");
  timeline_free(t);
}

/* A hit comes back as it was; its index counts from the beginning of the connection. */
static void test_hit(void **state) {
  (void)state;
  struct timeline *t = timeline_new(5);
  struct timeline_entry e;
  char line[200];
  uint32_t who = timeline_who(t, "c1");
  struct slice ack = slice_of("\x40\x02\x00\x07", 4);
  struct timeline_hit hit = { .fate = TIMELINE_CUT, .at = 3, .index = 2, .offset = 99, .packet = ack };
  timeline_add(t, 5, who, TIMELINE_DOWN, ack);
  timeline_add(t, 5, who, TIMELINE_UP, ack);
  timeline_add(t, 5, who, TIMELINE_DOWN, ack);
  timeline_join(t, who);
  timeline_add_hit(t, 1000005, who, "down PUBACK rst", &hit);
  timeline_add_hit(t, 1000005, 0, "of nobody", &(struct timeline_hit){ .up = true });
  assert_true(timeline_get(t, 4, &e));
  assert_int_equal(e.kind, TIMELINE_HIT);
  assert_true(slice_equal(e.bytes, slice_text("down PUBACK rst")) && slice_equal(e.hit.packet, ack));
  assert_true(!e.hit.up && e.hit.fate == TIMELINE_CUT && e.hit.at == 3 && e.hit.index == 4 && e.hit.offset == 99);
  timeline_format(t, &e, line, sizeof line);
  assert_string_equal(line, "   1.000 ms  c1 <- PUBACK id 7   !! down PUBACK rst");
  assert_true(timeline_get(t, 5, &e) && e.hit.up && e.hit.packet.size == 0);
  assert_false(timeline_find(t, 3, 0, TIMELINE_DOWN, 0, &e));
  timeline_free(t);
}

static void note_entry(void *arg, const struct timeline_entry *e) {
  struct timeline_entry *last = arg;
  *last = *e;
}

/* An event comes back as it was put in, costs no bytes, and is told to who observes. */
static void test_event(void **state) {
  struct timeline *t = timeline_new(0);
  struct timeline_entry e, told = { 0 };
  (void)state;
  timeline_observe(t, note_entry, &told);
  timeline_add_event(t, 5, 3, (struct event){ EVENT_RESOURCE, -12, 65535, UINT64_MAX });
  assert_true(timeline_get(t, 1, &e));
  assert_int_equal(e.kind, TIMELINE_EVENT);
  assert_int_equal(e.event.what, EVENT_RESOURCE);
  assert_int_equal(e.event.code, -12);
  assert_int_equal(e.event.packet_id, 65535);
  assert_true(e.event.value == UINT64_MAX);
  assert_int_equal(e.bytes.size, 0);
  assert_int_equal(told.number, 1);
  assert_false(timeline_find(t, 0, 0, TIMELINE_UP, 0, &e));
  for (int i = 0; i < 500000; i++) timeline_add_event(t, 5, 3, (struct event){ EVENT_MESSAGE, 511, 1, 2 });
  assert_int_equal(timeline_first(t), 1);
  assert_int_equal(told.number, timeline_last(t));
  timeline_observe(t, NULL, NULL);
  timeline_add(t, 6, 0, TIMELINE_NOTE, slice_text("x"));
  assert_int_equal(told.number, timeline_last(t) - 1);
  timeline_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ring),   cmocka_unit_test(test_large),
    cmocka_unit_test(test_find),   cmocka_unit_test(test_find_after_eviction),
    cmocka_unit_test(test_format), cmocka_unit_test(test_names),
    cmocka_unit_test(test_hit),    cmocka_unit_test(test_event),
  };
  return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
