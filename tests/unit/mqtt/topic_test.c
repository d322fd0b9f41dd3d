#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/topic.h"

struct match {
  const char *filter, *name;
  bool matches;
};

static const struct match matches[] = {
  { "a", "a", true },
  { "a", "b", false },
  { "a", "A", false }, /* [MQTT-4.7.3-4] */
  { "a", "a/", false },
  { "a/", "a", false },
  { "a/", "a/", true },
  { "/a", "a", false },
  { "a//b", "a//b", true },
  { "a//b", "a/b", false },
  { "a/b", "a/bc", false },
  { "a/bc", "a/b", false },
  { "#", "a", true },
  { "#", "/", true },
  { "#", "a/b/c", true },
  { "a/#", "a", true }, /* the parent level, too */
  { "a/#", "a/", true },
  { "a/#", "a/b/c", true },
  { "a/#", "ab", false },
  { "a/#", "b", false },
  { "a/b/#", "a", false },
  { "/#", "/", true },
  { "/#", "a", false },
  { "+", "a", true },
  { "+", "a/b", false },
  { "+", "/a", false },
  { "+", "/", false },
  { "+/+", "/a", true },
  { "/+", "/a", true },
  { "+/+", "/", true },
  { "+/+", "a", false },
  { "a/+", "a", false },
  { "a/+", "a/", true },
  { "a/+", "a/b", true },
  { "a/+", "a/b/c", false },
  { "a/+/c", "a//c", true },
  { "a/+/c", "a/b/c", true },
  { "a/+/c", "a/b/d", false },
  { "+/b/#", "a/b", true },
  { "+/b/#", "a/b/c/d", true },
  { "+/b/#", "a/c", false },
  { "+/#", "a", true },
  { "a/+/#", "a", false },
  { "a/+/#", "a/b", true },
  { "\xef\xbb\xbf"
    "a",
    "a", false },           /* [MQTT-1.5.3-3] */
  { "#", "$SYS/a", false }, /* [MQTT-4.7.2-1] from here on */
  { "+", "$SYS", false },
  { "+/a", "$SYS/a", false },
  { "$SYS/#", "$SYS", true },
  { "$SYS/#", "$SYS/a/b", true },
  { "$SYS/+", "$SYS/a", true },
  { "+/$SYS", "a/$SYS", true },
  { "a/#", "a/$b", true },
  { "a/+", "a/$b", true },
  { "$", "$", true },
};

static void test_matches(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof matches / sizeof *matches; i++) {
    const struct match *m = &matches[i];
    assert_int_equal(topic_check_filter(slice_text(m->filter)), TOPIC_GOOD);
    assert_int_equal(topic_check_name(slice_text(m->name)), TOPIC_GOOD);
    if (topic_matches(slice_text(m->filter), slice_text(m->name)) != m->matches)
      fail_msg("filter %s, name %s: not %d", m->filter, m->name, m->matches);
  }
}

/* Filters that make a matcher with second thoughts take for ever. */
static void test_long_ones_are_fast(void **state) {
  (void)state;
  static char filter[65535], name[65535];
  for (size_t i = 0; i < sizeof filter; i++) {
    filter[i] = i % 2 ? '/' : '+';
    name[i] = i % 2 ? '/' : 'a';
  }
  struct slice f = slice_of(filter, sizeof filter), n = slice_of(name, sizeof name);
  for (int i = 0; i < 200; i++) {
    assert_true(topic_matches(f, n));
    assert_false(topic_matches(f, slice_of(name, sizeof name - 2)));
  }
  name[sizeof name - 1] = '/';
  assert_false(topic_matches(f, n));
}

static void test_names(void **state) {
  (void)state;
  assert_int_equal(topic_check_name(slice_text("")), TOPIC_EMPTY);
  assert_int_equal(topic_check_name(slice_of("a\0b", 3)), TOPIC_BAD_TEXT);
  assert_int_equal(topic_check_name(slice_text("a\xff")), TOPIC_BAD_TEXT);
  assert_int_equal(topic_check_name(slice_text("a\xed\xa0\x80")), TOPIC_BAD_TEXT);
  assert_int_equal(topic_check_name(slice_text("a/+")), TOPIC_WILDCARD);
  assert_int_equal(topic_check_name(slice_text("a#")), TOPIC_WILDCARD);
  assert_int_equal(topic_check_name(slice_text("/")), TOPIC_GOOD);
  assert_int_equal(topic_check_name(slice_text(" ")), TOPIC_GOOD);
  static char text[65536];
  memset(text, 'a', sizeof text);
  assert_int_equal(topic_check_name(slice_of(text, 65535)), TOPIC_GOOD);
  assert_int_equal(topic_check_name(slice_of(text, 65536)), TOPIC_TOO_LONG);
}

static void test_filters(void **state) {
  (void)state;
  const char *good[] = { "#", "+", "/", "a/#", "+/#", "/+/", "+/+/+", "a/+/#", "//#" };
  const char *bad_hash[] = { "a#", "#a", "#/", "a/#/b", "##", "/#/", "a/b#" };
  const char *bad_plus[] = { "a+", "+a", "a/b+", "a/+b/c", "++", "a+/#" };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(topic_check_filter(slice_text(good[i])), TOPIC_GOOD);
  for (size_t i = 0; i < sizeof bad_hash / sizeof *bad_hash; i++)
    assert_int_equal(topic_check_filter(slice_text(bad_hash[i])), TOPIC_BAD_HASH);
  for (size_t i = 0; i < sizeof bad_plus / sizeof *bad_plus; i++)
    assert_int_equal(topic_check_filter(slice_text(bad_plus[i])), TOPIC_BAD_PLUS);
  assert_int_equal(topic_check_filter(slice_text("")), TOPIC_EMPTY);
  assert_int_equal(topic_check_filter(slice_of("\0", 1)), TOPIC_BAD_TEXT);
  for (int fault = TOPIC_GOOD; fault <= TOPIC_BAD_PLUS; fault++) assert_non_null(topic_fault_text(fault));
}

static void assert_levels(const char *text, size_t count, const char *const *levels) {
  struct slice rest = slice_text(text), level;
  for (size_t i = 0; i < count; i++) {
    assert_true(topic_next_level(&rest, &level));
    assert_true(slice_equal(level, slice_text(levels[i])));
    assert_int_equal(rest.data == NULL, i + 1 == count);
  }
  assert_false(topic_next_level(&rest, &level));
}

static void test_levels(void **state) {
  (void)state;
  assert_levels("a/b/c", 3, (const char *[]){ "a", "b", "c" });
  assert_levels("a", 1, (const char *[]){ "a" });
  assert_levels("/", 2, (const char *[]){ "", "" });
  assert_levels("a/", 2, (const char *[]){ "a", "" });
  assert_levels("//a", 3, (const char *[]){ "", "", "a" });
  assert_levels("", 1, (const char *[]){ "" });
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_matches), cmocka_unit_test(test_long_ones_are_fast),
                                      cmocka_unit_test(test_names), cmocka_unit_test(test_filters),
                                      cmocka_unit_test(test_levels) };
  return cmocka_run_group_tests_name("topic", tests, NULL, NULL);
}
