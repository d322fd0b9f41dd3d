/* retained: the last retained message of each topic, found by filter.
 *
 * A tree of topic names (topictree.h). The cost of a match depends on what the filter can reach, not on how much is
 * retained. Names and filters come checked (topic.h).
 */
#ifndef MQRIG_RETAINED_H
#define MQRIG_RETAINED_H

#include "mqtt/message.h"
#include "mqtt/topictree.h"

struct retained {
  struct topictree tree;
  struct topictree_row now, next; /* scratch */
  struct message **found;         /* scratch */
  size_t found_count, found_capacity;
  uint32_t count; /* messages retained */
};

void retained_init(struct retained *r);
void retained_fini(struct retained *r);

/* Keeps a reference to the message as that of its topic, in place of the one before. False, and nothing changes,
 * beyond TOPICTREE_NODES_MAX. */
bool retained_set(struct retained *r, struct message *m);

/* There is no retained message for this topic any more [MQTT-3.3.1-10]. */
void retained_clear(struct retained *r, struct slice topic);

/* The messages whose topics match the filter: level by level, in the order in which levels first came. Borrowed until
 * the next call on `r`. */
struct message *const *retained_matches(struct retained *r, struct slice filter, size_t *count);

#endif
