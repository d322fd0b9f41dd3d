/* list: things in a row, in the order in which they were put there.
 *
 * A ring through a head. Nodes live inside their owners; the list owns nothing. A node is in at most one list. All
 * operations are O(1).
 */
#ifndef MQRIG_LIST_H
#define MQRIG_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
  struct list_node *previous, *next; /* of a node: both NULL while it is in no list */
};

/* What a node lives in. */
#define LIST_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Makes an empty list of its head. */
static inline void list_init(struct list_node *head) {
  head->previous = head->next = head;
}

static inline bool list_empty(const struct list_node *head) {
  return head->next == head;
}

/* Whether the node is in a list. */
static inline bool list_holds(const struct list_node *node) {
  return node->next != NULL;
}

/* Puts the node behind the last one. */
static inline void list_append(struct list_node *head, struct list_node *node) {
  node->previous = head->previous;
  node->next = head;
  head->previous->next = node;
  head->previous = node;
}

/* Takes the node out. One that is in no list is left alone. */
static inline void list_remove(struct list_node *node) {
  if (!node->next) return;
  node->previous->next = node->next;
  node->next->previous = node->previous;
  node->previous = node->next = NULL;
}

/* The first node, or NULL. */
static inline struct list_node *list_first(const struct list_node *head) {
  return head->next == head ? NULL : head->next;
}

/* The node behind this one, or NULL. */
static inline struct list_node *list_next(const struct list_node *head, const struct list_node *node) {
  return node->next == head ? NULL : node->next;
}

#endif
