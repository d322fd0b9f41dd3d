#include "mqtt/subtree.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "mqtt/topic.h"

struct subtree_subscription {
  struct hash_node by_pair;
  struct list_node of_node, of_subscriber;
  struct topictree_node *node;
  struct subtree_subscriber *subscriber;
  uint8_t qos;
};

void subtree_init(struct subtree *t) {
  *t = (struct subtree){ 0 };
  topictree_init(&t->tree);
  hash_init(&t->by_pair);
}

void subtree_fini(struct subtree *t) {
  assert(t->count == 0);
  topictree_fini(&t->tree);
  hash_fini(&t->by_pair);
  topictree_row_fini(&t->now);
  topictree_row_fini(&t->next);
  free(t->matches);
}

void subtree_subscriber_init(struct subtree *t, struct subtree_subscriber *s) {
  *s = (struct subtree_subscriber){ .number = ++t->number };
  list_init(&s->subscriptions);
}

static uint64_t subtree_pair(const struct topictree_node *node, const struct subtree_subscriber *s) {
  return rng_mix(node->by_level.value + rng_mix(s->number));
}

static struct subtree_subscription *subtree_find(const struct subtree *t, const struct topictree_node *node,
                                                 const struct subtree_subscriber *s) {
  struct hash_node *n = hash_first(&t->by_pair, subtree_pair(node, s));
  for (; n; n = hash_next(n)) {
    struct subtree_subscription *found = LIST_OWNER(n, struct subtree_subscription, by_pair);
    if (found->node == node && found->subscriber == s) return found;
  }
  return NULL;
}

static void subtree_enter(struct subtree *t, struct topictree_node *node, struct subtree_subscriber *s, uint8_t qos) {
  struct subtree_subscription *new = mem_zero(sizeof *new);
  new->node = node;
  new->subscriber = s;
  new->qos = qos;
  list_append(&node->items, &new->of_node);
  list_append(&s->subscriptions, &new->of_subscriber);
  hash_add(&t->by_pair, &new->by_pair, subtree_pair(node, s));
  node->used++;
  s->count++;
  t->count++;
}

bool subtree_add(struct subtree *t, struct subtree_subscriber *s, struct slice filter, uint8_t qos) {
  struct topictree_node *node = topictree_make(&t->tree, filter);
  if (!node) return false;
  struct subtree_subscription *old = subtree_find(t, node, s);
  if (old) {
    old->qos = qos;
    return true;
  }
  if (s->count == SUBTREE_OF_ONE_MAX) {
    topictree_prune(&t->tree, node);
    return false;
  }
  subtree_enter(t, node, s, qos);
  return true;
}

static void subtree_end(struct subtree *t, struct subtree_subscription *old) {
  list_remove(&old->of_node);
  list_remove(&old->of_subscriber);
  hash_remove(&t->by_pair, &old->by_pair);
  old->node->used--;
  old->subscriber->count--;
  t->count--;
  topictree_prune(&t->tree, old->node);
  free(old);
}

bool subtree_remove(struct subtree *t, struct subtree_subscriber *s, struct slice filter) {
  struct topictree_node *node = topictree_find(&t->tree, filter);
  struct subtree_subscription *old = node ? subtree_find(t, node, s) : NULL;
  if (old) subtree_end(t, old);
  return old != NULL;
}

void subtree_remove_all(struct subtree *t, struct subtree_subscriber *s) {
  struct list_node *n;
  while ((n = list_first(&s->subscriptions))) subtree_end(t, LIST_OWNER(n, struct subtree_subscription, of_subscriber));
}

static void subtree_matched(struct subtree *t, struct subtree_subscriber *s, uint8_t qos) {
  if (s->match == t->match) {
    if (qos > t->matches[s->place].qos) t->matches[s->place].qos = qos;
    return;
  }
  if (t->match_count == t->match_capacity) {
    t->match_capacity = t->match_capacity ? 2 * t->match_capacity : 16;
    t->matches = mem_resize(t->matches, t->match_capacity * sizeof *t->matches);
  }
  s->match = t->match;
  s->place = t->match_count;
  t->matches[t->match_count++] = (struct subtree_match){ s, qos };
}

static void subtree_collect(struct subtree *t, const struct topictree_node *node) {
  for (struct list_node *n = list_first(&node->items); n; n = list_next(&node->items, n)) {
    const struct subtree_subscription *found = LIST_OWNER(n, struct subtree_subscription, of_node);
    subtree_matched(t, found->subscriber, found->qos);
  }
}

/* From the nodes that match the levels so far to those that match this level too. */
static void subtree_step(struct subtree *t, struct slice level, bool wildcards) {
  uint64_t value = topictree_level(level);
  t->next.count = 0;
  for (size_t i = 0; i < t->now.count; i++) {
    struct topictree_node *node = t->now.nodes[i], *child = topictree_child(&t->tree, node, level, value);
    if (child) topictree_row_add(&t->next, child);
    if (!wildcards) continue;
    if (node->plus) topictree_row_add(&t->next, node->plus);
    if (node->rest) subtree_collect(t, node->rest);
  }
  struct topictree_row swapped = t->now;
  t->now = t->next;
  t->next = swapped;
}

const struct subtree_match *subtree_matches(struct subtree *t, struct slice name, size_t *count) {
  bool wildcards = name.size > 0 && name.data[0] != '$';
  struct slice level;
  t->match++;
  t->match_count = 0;
  t->now.count = 0;
  if (t->count) topictree_row_add(&t->now, t->tree.root);
  for (; t->now.count && topic_next_level(&name, &level); wildcards = true) subtree_step(t, level, wildcards);
  for (size_t i = 0; i < t->now.count; i++) {
    subtree_collect(t, t->now.nodes[i]);
    /* "a/#" matches "a", its parent level, too. */
    if (t->now.nodes[i]->rest) subtree_collect(t, t->now.nodes[i]->rest);
  }
  *count = t->match_count;
  return t->matches;
}
