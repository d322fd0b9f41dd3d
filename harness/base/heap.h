/* heap: what is due next, ordered by (time, order of being set).
 *
 * Nodes live inside their owners; the heap owns only its array of pointers. A node is in at most one heap. All
 * operations are O(log n) and look-ups O(1).
 */
#ifndef MQRIG_HEAP_H
#define MQRIG_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
  int64_t at_ns;
  uint64_t sequence;
  size_t place; /* index in the heap plus 1; 0: not in a heap */
};

struct heap {
  struct heap_node **nodes;
  size_t count, capacity;
  uint64_t sequence;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);

/* Puts the node in at `at_ns`, or moves it there if it is in already (and behind its equals). */
void heap_set(struct heap *h, struct heap_node *node, int64_t at_ns);

/* The same, with a sequence of the caller's: among its equals the node comes where that puts it. */
void heap_rank(struct heap *h, struct heap_node *node, int64_t at_ns, uint64_t sequence);

/* Takes the node out. One that is not in is left alone. */
void heap_clear(struct heap *h, struct heap_node *node);

static inline bool heap_holds(const struct heap_node *node) {
  return node->place != 0;
}

/* The node that is due first, or NULL. */
static inline struct heap_node *heap_first(const struct heap *h) {
  return h->count ? h->nodes[0] : NULL;
}

#endif
