/* subtree: who subscribes to what.
 *
 * A tree of filters (topictree.h). The cost of a match depends on the levels of the topic name and on what matches, not
 * on how many subscriptions there are. Filters and names come checked (topic.h).
 *
 * A subscriber lives in its owner; the tree owns the subscriptions. One subscriber has at most one subscription for a
 * filter: subscribing again replaces it [MQTT-3.8.4-3].
 */
#ifndef MQRIG_SUBTREE_H
#define MQRIG_SUBTREE_H

#include "mqtt/topictree.h"

#define SUBTREE_OF_ONE_MAX 100000 /* subscriptions of one subscriber */

struct subtree_subscriber {
  struct list_node subscriptions; /* private, all of them */
  uint32_t count;                 /* how many */
  uint64_t number;
  uint64_t match;
  size_t place;
};

struct subtree_match {
  struct subtree_subscriber *subscriber;
  uint8_t qos; /* the highest of its subscriptions that match [MQTT-3.3.5-1] */
};

struct subtree {
  struct topictree tree;
  struct hash by_pair;            /* subscriptions by node and subscriber */
  struct topictree_row now, next; /* scratch */
  struct subtree_match *matches;  /* scratch */
  size_t match_count, match_capacity;
  uint64_t match;  /* number of this match, to see each subscriber once */
  uint64_t number; /* of the newest subscriber */
  uint32_t count;  /* subscriptions */
};

void subtree_init(struct subtree *t);
void subtree_fini(struct subtree *t); /* no subscriptions must be left */

void subtree_subscriber_init(struct subtree *t, struct subtree_subscriber *s);

/* Subscribes, or replaces the subscription to the same filter. False, and nothing changes, beyond SUBTREE_OF_ONE_MAX or
 * TOPICTREE_NODES_MAX. */
bool subtree_add(struct subtree *t, struct subtree_subscriber *s, struct slice filter, uint8_t qos);

/* Ends the subscription to exactly this filter [MQTT-3.10.4-1]; false if there is none. */
bool subtree_remove(struct subtree *t, struct subtree_subscriber *s, struct slice filter);
void subtree_remove_all(struct subtree *t, struct subtree_subscriber *s);

/* Every subscriber with a filter that matches the name, each once: level by level, and by age of the subscription
 * within a filter. Wildcards at the first level do not match names that begin with $ [MQTT-4.7.2-1]. Borrowed until the
 * next call on the tree. */
const struct subtree_match *subtree_matches(struct subtree *t, struct slice name, size_t *count);

#endif
