/* topic: topic names and topic filters, 3.1.1 section 4.7. */
#ifndef MQRIG_TOPIC_H
#define MQRIG_TOPIC_H

#include "base/slice.h"

enum topic_fault {
  TOPIC_GOOD,
  TOPIC_EMPTY,    /* [MQTT-4.7.3-1] */
  TOPIC_TOO_LONG, /* over 65,535 bytes, [MQTT-4.7.3-3] */
  TOPIC_BAD_TEXT, /* not UTF-8, a surrogate, or U+0000, [MQTT-4.7.3-2] and 1.5.3 */
  TOPIC_WILDCARD, /* a wildcard in a name [MQTT-3.3.2-2] */
  TOPIC_BAD_HASH, /* a # in a filter that is not the whole last level [MQTT-4.7.1-2] */
  TOPIC_BAD_PLUS, /* a + in a filter that is not a whole level [MQTT-4.7.1-3] */
};

enum topic_fault topic_check_name(struct slice name);
enum topic_fault topic_check_filter(struct slice filter);

/* Each alone, for any bytes: a # that is not the whole last level, a + that is not a whole level. */
bool topic_misplaces_hash(struct slice filter);
bool topic_misplaces_plus(struct slice filter);

const char *topic_fault_text(enum topic_fault fault);

/* Whether a (good) filter matches a (good) name, with the rule for names that begin with $ [MQTT-4.7.2-1]. */
bool topic_matches(struct slice filter, struct slice name);

/* Takes the first level off `*rest` ("a/b/c" gives "a"); false when there is none left. A trailing slash is one more,
 * empty level. Start with a fresh slice; `rest->data` is NULL once the last level was given. */
bool topic_next_level(struct slice *rest, struct slice *level);

#endif
