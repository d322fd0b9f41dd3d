#include <assert.h>
#include <stdlib.h>

#include "mqtt/topic.h"
#include "base/utf8.h"

/* The input is a filter and a name with a zero byte between. */

/* Section 4.7 as it reads, level by level. */
static bool topic_fuzz_levels(struct slice filter, struct slice name) {
  struct slice of_filter, of_name;
  bool more = topic_next_level(&filter, &of_filter);
  if (more && slice_equal(of_filter, slice_text("#"))) return true;
  if (!topic_next_level(&name, &of_name)) return !more;
  if (!more) return false;
  return (slice_equal(of_filter, slice_text("+")) || slice_equal(of_filter, of_name)) &&
         topic_fuzz_levels(filter, name);
}

static bool topic_fuzz_matches(struct slice filter, struct slice name) {
  bool wild = filter.data[0] == '+' || filter.data[0] == '#';
  return !(name.data[0] == '$' && wild) && topic_fuzz_levels(filter, name);
}

/* The levels put together again are the topic. */
static void topic_fuzz_join(struct slice topic) {
  struct slice rest = topic, level;
  size_t at = 0;
  for (bool first = true; topic_next_level(&rest, &level); first = false) {
    if (!first) assert(topic.data[at++] == '/');
    assert(topic.size - at >= level.size && slice_equal(level, slice_of(topic.data + at, level.size)));
    at += level.size;
  }
  assert(at == topic.size);
}

static void topic_fuzz_check(struct slice topic) {
  enum topic_fault name = topic_check_name(topic), filter = topic_check_filter(topic);
  if (name == TOPIC_GOOD) assert(filter == TOPIC_GOOD && topic_matches(topic, topic));
  if (name != TOPIC_GOOD && name != TOPIC_WILDCARD) assert(filter == name);
  assert(topic_fault_text(name) && topic_fault_text(filter));
  if (topic.size) topic_fuzz_join(topic);
}

static struct slice topic_fuzz_copy(struct slice s) {
  uint8_t *copy = malloc(s.size);
  assert(copy || s.size == 0);
  if (s.size) memcpy(copy, s.data, s.size);
  return slice_of(copy, s.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  if (!zero) return 0;
  struct slice filter = topic_fuzz_copy(slice_of(data, (size_t)(zero - data)));
  struct slice name = topic_fuzz_copy(slice_of(zero + 1, size - filter.size - 1));
  topic_fuzz_check(filter);
  topic_fuzz_check(name);
  bool matches = topic_matches(filter, name);
  if (topic_check_filter(filter) == TOPIC_GOOD && topic_check_name(name) == TOPIC_GOOD)
    assert(matches == topic_fuzz_matches(filter, name));
  free((void *)filter.data);
  free((void *)name.data);
  return 0;
}
