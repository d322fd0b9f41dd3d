#include "mqtt/topic.h"

#include "base/utf8.h"

#define TOPIC_MAX 65535

static enum topic_fault topic_check_text(struct slice text) {
  if (text.size == 0) return TOPIC_EMPTY;
  if (text.size > TOPIC_MAX) return TOPIC_TOO_LONG;
  return utf8_check(text, NULL) == UTF8_GOOD ? TOPIC_GOOD : TOPIC_BAD_TEXT;
}

static bool topic_holds(struct slice text, char c) {
  return text.size && memchr(text.data, c, text.size);
}

enum topic_fault topic_check_name(struct slice name) {
  enum topic_fault fault = topic_check_text(name);
  if (fault != TOPIC_GOOD) return fault;
  return topic_holds(name, '+') || topic_holds(name, '#') ? TOPIC_WILDCARD : TOPIC_GOOD;
}

bool topic_misplaces_hash(struct slice filter) {
  struct slice level;
  while (topic_next_level(&filter, &level))
    if (topic_holds(level, '#') && (level.size > 1 || filter.data)) return true;
  return false;
}

bool topic_misplaces_plus(struct slice filter) {
  struct slice level;
  while (topic_next_level(&filter, &level))
    if (topic_holds(level, '+') && level.size > 1) return true;
  return false;
}

enum topic_fault topic_check_filter(struct slice filter) {
  enum topic_fault fault = topic_check_text(filter);
  if (fault != TOPIC_GOOD) return fault;
  if (topic_misplaces_hash(filter)) return TOPIC_BAD_HASH;
  return topic_misplaces_plus(filter) ? TOPIC_BAD_PLUS : TOPIC_GOOD;
}

const char *topic_fault_text(enum topic_fault fault) {
  static const char *const texts[] = {
    [TOPIC_GOOD] = "good",
    [TOPIC_EMPTY] = "empty",
    [TOPIC_TOO_LONG] = "longer than 65,535 bytes",
    [TOPIC_BAD_TEXT] = "not valid UTF-8, or with U+0000",
    [TOPIC_WILDCARD] = "a name with a wildcard",
    [TOPIC_BAD_HASH] = "a filter with a # that is not its whole last level",
    [TOPIC_BAD_PLUS] = "a filter with a + that is not a whole level",
  };
  return texts[fault];
}

static size_t topic_skip_level(struct slice name, size_t at) {
  while (at < name.size && name.data[at] != '/') at++;
  return at;
}

/* Both are walked once, in step: a + passes over one level of the name, a # over all that is left. */
bool topic_matches(struct slice filter, struct slice name) {
  if (filter.size == 0 || name.size == 0) return filter.size == name.size;
  if (name.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#')) return false; /* [MQTT-4.7.2-1] */
  size_t n = 0;
  for (size_t f = 0; f < filter.size; f++) {
    uint8_t c = filter.data[f];
    if (c == '#') return true;
    if (c == '+') {
      n = topic_skip_level(name, n);
    } else if (n < name.size && name.data[n] == c) {
      n++;
    } else {
      /* "a/#" matches "a", too: section 4.7.1.2. */
      return n == name.size && slice_equal(slice_from(filter, f), slice_text("/#"));
    }
  }
  return n == name.size;
}

bool topic_next_level(struct slice *rest, struct slice *level) {
  if (!rest->data) return false;
  const uint8_t *slash = rest->size ? memchr(rest->data, '/', rest->size) : NULL;
  size_t size = slash ? (size_t)(slash - rest->data) : rest->size;
  *level = slice_first(*rest, size);
  *rest = slash ? slice_from(*rest, size + 1) : slice_of(NULL, 0);
  return true;
}
