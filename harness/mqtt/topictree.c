#include "mqtt/topictree.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "mqtt/topic.h"

static struct topictree_node *topictree_node(struct topictree_node *parent, struct slice level) {
  struct topictree_node *n = mem_zero(sizeof *n + level.size);
  n->parent = parent;
  n->level_size = (uint32_t)level.size;
  if (level.size) memcpy(n->level, level.data, level.size);
  list_init(&n->children);
  list_init(&n->items);
  return n;
}

void topictree_init(struct topictree *t) {
  *t = (struct topictree){ .root = topictree_node(NULL, slice_of(NULL, 0)) };
  hash_init(&t->by_level);
}

static struct topictree_node *topictree_first_child(const struct topictree_node *node) {
  struct list_node *first = list_first(&node->children);
  return first ? LIST_OWNER(first, struct topictree_node, sibling) : NULL;
}

static bool topictree_is(const struct topictree_node *node, char wildcard) {
  return node->level_size == 1 && node->level[0] == wildcard;
}

static void topictree_free(struct topictree *t, struct topictree_node *node) {
  if (node->parent->plus == node) node->parent->plus = NULL;
  if (node->parent->rest == node) node->parent->rest = NULL;
  hash_remove(&t->by_level, &node->by_level);
  list_remove(&node->sibling);
  free(node);
  t->count--;
}

void topictree_fini(struct topictree *t) {
  struct topictree_node *node = t->root;
  while (t->count > 0) {
    struct topictree_node *child = topictree_first_child(node);
    if (child) {
      node = child;
    } else {
      struct topictree_node *parent = node->parent;
      topictree_free(t, node);
      node = parent;
    }
  }
  free(t->root);
  hash_fini(&t->by_level);
}

uint64_t topictree_level(struct slice level) {
  return hash_bytes(0, level);
}

/* Where a child is found: its own level and, in the parent's value, all those above. The constant keeps a run of empty
 * levels, each of value 0, from ending up in one bucket. */
static uint64_t topictree_value(const struct topictree_node *parent, uint64_t level_value) {
  return rng_mix(parent->by_level.value + level_value + 0x9e3779b97f4a7c15u);
}

struct topictree_node *topictree_child(const struct topictree *t, const struct topictree_node *parent,
                                       struct slice level, uint64_t level_value) {
  struct hash_node *n = hash_first(&t->by_level, topictree_value(parent, level_value));
  for (; n; n = hash_next(n)) {
    struct topictree_node *node = LIST_OWNER(n, struct topictree_node, by_level);
    if (node->parent == parent && slice_equal(slice_of(node->level, node->level_size), level)) return node;
  }
  return NULL;
}

struct topictree_node *topictree_find(const struct topictree *t, struct slice path) {
  struct topictree_node *node = t->root;
  struct slice level;
  while (node && topic_next_level(&path, &level)) node = topictree_child(t, node, level, topictree_level(level));
  return node;
}

static struct topictree_node *topictree_grow(struct topictree *t, struct topictree_node *parent, struct slice level,
                                             uint64_t level_value) {
  struct topictree_node *node = topictree_node(parent, level);
  hash_add(&t->by_level, &node->by_level, topictree_value(parent, level_value));
  list_append(&parent->children, &node->sibling);
  if (topictree_is(node, '+')) parent->plus = node;
  if (topictree_is(node, '#')) parent->rest = node;
  t->count++;
  return node;
}

struct topictree_node *topictree_make(struct topictree *t, struct slice path) {
  struct topictree_node *node = t->root;
  struct slice level;
  while (topic_next_level(&path, &level)) {
    uint64_t value = topictree_level(level);
    struct topictree_node *child = topictree_child(t, node, level, value);
    if (!child && t->count == TOPICTREE_NODES_MAX) {
      topictree_prune(t, node);
      return NULL;
    }
    node = child ? child : topictree_grow(t, node, level, value);
  }
  return node;
}

void topictree_prune(struct topictree *t, struct topictree_node *node) {
  while (node->parent && !node->used && list_empty(&node->children)) {
    struct topictree_node *parent = node->parent;
    topictree_free(t, node);
    node = parent;
  }
}

struct topictree_node *topictree_after(const struct topictree_node *top, const struct topictree_node *node) {
  struct topictree_node *child = topictree_first_child(node);
  if (child) return child;
  for (; node != top; node = node->parent) {
    struct list_node *next = list_next(&node->parent->children, &node->sibling);
    if (next) return LIST_OWNER(next, struct topictree_node, sibling);
  }
  return NULL;
}

void topictree_row_add(struct topictree_row *row, struct topictree_node *node) {
  if (row->count == row->capacity) {
    row->capacity = row->capacity ? 2 * row->capacity : 16;
    row->nodes = mem_resize(row->nodes, row->capacity * sizeof(struct topictree_node *));
  }
  row->nodes[row->count++] = node;
}

void topictree_row_fini(struct topictree_row *row) {
  free(row->nodes);
  *row = (struct topictree_row){ 0 };
}
