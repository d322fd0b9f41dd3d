#include "mqtt/retained.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/defect.h"
#include "mqtt/topic.h"

void retained_init(struct retained *r) {
  *r = (struct retained){ 0 };
  topictree_init(&r->tree);
}

void retained_fini(struct retained *r) {
  for (struct topictree_node *n = r->tree.root; n; n = topictree_after(r->tree.root, n)) message_drop(n->item);
  topictree_fini(&r->tree);
  topictree_row_fini(&r->now);
  topictree_row_fini(&r->next);
  free(r->found);
}

bool retained_set(struct retained *r, struct message *m) {
  struct topictree_node *node = topictree_make(&r->tree, message_topic(m));
  if (!node) return false;
  if (node->item && defect_is(DEFECT_RETAINED_STALE)) return true;
  if (!node->item) r->count++;
  message_keep(m);
  message_drop(node->item);
  node->item = m;
  node->used = 1;
  return true;
}

void retained_clear(struct retained *r, struct slice topic) {
  struct topictree_node *node = topictree_find(&r->tree, topic);
  if (!node || !node->item || defect_is(DEFECT_RETAINED_NOT_CLEARED)) return;
  message_drop(node->item);
  node->item = NULL;
  node->used = 0;
  r->count--;
  topictree_prune(&r->tree, node);
}

static void retained_found(struct retained *r, struct message *m) {
  if (!m) return;
  if (r->found_count == r->found_capacity) {
    r->found_capacity = r->found_capacity ? 2 * r->found_capacity : 16;
    r->found = mem_resize(r->found, r->found_capacity * sizeof(struct message *));
  }
  r->found[r->found_count++] = m;
}

/* A wildcard at the first level does not reach topics that begin with $ [MQTT-4.7.2-1]. */
static bool retained_hidden(const struct retained *r, const struct topictree_node *node) {
  return node->parent == r->tree.root && node->level_size > 0 && node->level[0] == '$';
}

/* "#": the level itself and all below it. */
static void retained_all(struct retained *r, struct topictree_node *top) {
  retained_found(r, top->item);
  for (struct list_node *n = list_first(&top->children); n; n = list_next(&top->children, n)) {
    struct topictree_node *child = LIST_OWNER(n, struct topictree_node, sibling);
    if (retained_hidden(r, child)) continue;
    for (struct topictree_node *node = child; node; node = topictree_after(child, node)) retained_found(r, node->item);
  }
}

static void retained_plus(struct retained *r, struct topictree_node *top) {
  for (struct list_node *n = list_first(&top->children); n; n = list_next(&top->children, n)) {
    struct topictree_node *child = LIST_OWNER(n, struct topictree_node, sibling);
    if (!retained_hidden(r, child)) topictree_row_add(&r->next, child);
  }
}

static void retained_step(struct retained *r, struct slice level) {
  bool plus = slice_equal(level, slice_text("+")), rest = slice_equal(level, slice_text("#"));
  uint64_t value = topictree_level(level);
  r->next.count = 0;
  for (size_t i = 0; i < r->now.count; i++) {
    struct topictree_node *node = r->now.nodes[i];
    if (rest) {
      retained_all(r, node);
    } else if (plus) {
      retained_plus(r, node);
    } else {
      struct topictree_node *child = topictree_child(&r->tree, node, level, value);
      if (child) topictree_row_add(&r->next, child);
    }
  }
  struct topictree_row swapped = r->now;
  r->now = r->next;
  r->next = swapped;
}

struct message *const *retained_matches(struct retained *r, struct slice filter, size_t *count) {
  struct slice level;
  r->found_count = 0;
  r->now.count = 0;
  if (r->count) topictree_row_add(&r->now, r->tree.root);
  while (r->now.count && topic_next_level(&filter, &level)) retained_step(r, level);
  for (size_t i = 0; i < r->now.count; i++) retained_found(r, r->now.nodes[i]->item);
  *count = r->found_count;
  return r->found;
}
