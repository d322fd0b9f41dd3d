/* topictree: topic names or filters as a tree of their levels.
 *
 * Filters "a/+" and "a/b/c" share the node "a". A child is found in O(1) however many there are; children are kept in
 * the order in which they came. What a node holds is its user's: subscriptions (subtree.h) or a message (retained.h),
 * told to the tree in `used`, so that nodes that hold nothing and lead nowhere go. Nothing here recurses: a topic may
 * have 65,536 levels.
 */
#ifndef MQRIG_TOPICTREE_H
#define MQRIG_TOPICTREE_H

#include "base/hash.h"
#include "base/list.h"

#define TOPICTREE_NODES_MAX (1u << 22)

struct topictree_node {
  struct hash_node by_level;
  struct topictree_node *parent; /* NULL: the root */
  struct list_node children, sibling;
  struct topictree_node *plus, *rest; /* the children "+" and "#", or NULL */
  uint32_t used;                      /* how many things it holds: its user's */
  struct list_node items;             /* its user's, for many things; an empty list at first */
  void *item;                         /* its user's, for one thing */
  uint32_t level_size;
  uint8_t level[];
};

struct topictree {
  struct hash by_level;
  struct topictree_node *root; /* stands for the empty path; never freed while the tree lives */
  uint32_t count;              /* nodes besides the root */
};

void topictree_init(struct topictree *t);

/* Frees the nodes; what they hold is their user's affair, and was given up before. */
void topictree_fini(struct topictree *t);

/* The node of this path, or NULL. */
struct topictree_node *topictree_find(const struct topictree *t, struct slice path);

/* The node of this path, made if it is not there. NULL if that takes more than TOPICTREE_NODES_MAX. A new one is to be
 * used or pruned. */
struct topictree_node *topictree_make(struct topictree *t, struct slice path);

/* Frees this node and those above it as far as they are not used and have no children. */
void topictree_prune(struct topictree *t, struct topictree_node *node);

/* The value that finds children of that level; the same for all parents, to be made once for many. */
uint64_t topictree_level(struct slice level);
struct topictree_node *topictree_child(const struct topictree *t, const struct topictree_node *parent,
                                       struct slice level, uint64_t level_value);

/* The node behind this one in a walk over all that is under `top`: parents first, children in order. NULL at the end.
 */
struct topictree_node *topictree_after(const struct topictree_node *top, const struct topictree_node *node);

/* A growing array of nodes for walks. */
struct topictree_row {
  struct topictree_node **nodes;
  size_t count, capacity;
};
void topictree_row_add(struct topictree_row *row, struct topictree_node *node);
void topictree_row_fini(struct topictree_row *row);

#endif
