#include "base/heap.h"

#include <stdlib.h>

#include "base/mem.h"

#define HEAP_FIRST 16

void heap_init(struct heap *h) {
  *h = (struct heap){ 0 };
}

void heap_fini(struct heap *h) {
  free(h->nodes);
  heap_init(h);
}

static bool heap_before(const struct heap_node *a, const struct heap_node *b) {
  return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void heap_put(struct heap *h, size_t i, struct heap_node *node) {
  h->nodes[i] = node;
  node->place = i + 1;
}

static void heap_up(struct heap *h, size_t i, struct heap_node *node) {
  while (i > 0 && heap_before(node, h->nodes[(i - 1) / 2])) {
    heap_put(h, i, h->nodes[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  heap_put(h, i, node);
}

static void heap_down(struct heap *h, size_t i, struct heap_node *node) {
  for (size_t child = 2 * i + 1; child < h->count; child = 2 * i + 1) {
    if (child + 1 < h->count && heap_before(h->nodes[child + 1], h->nodes[child])) child++;
    if (!heap_before(h->nodes[child], node)) break;
    heap_put(h, i, h->nodes[child]);
    i = child;
  }
  heap_put(h, i, node);
}

void heap_set(struct heap *h, struct heap_node *node, int64_t at_ns) {
  heap_rank(h, node, at_ns, h->sequence++);
}

void heap_rank(struct heap *h, struct heap_node *node, int64_t at_ns, uint64_t sequence) {
  heap_clear(h, node);
  if (h->count == h->capacity) {
    h->capacity = h->capacity ? 2 * h->capacity : HEAP_FIRST;
    h->nodes = mem_resize(h->nodes, h->capacity * sizeof *h->nodes);
  }
  node->at_ns = at_ns;
  node->sequence = sequence;
  heap_up(h, h->count++, node);
}

void heap_clear(struct heap *h, struct heap_node *node) {
  if (!node->place) return;
  size_t i = node->place - 1;
  struct heap_node *last = h->nodes[--h->count];
  node->place = 0;
  if (last == node) return;
  if (i > 0 && heap_before(last, h->nodes[(i - 1) / 2])) heap_up(h, i, last);
  else heap_down(h, i, last);
}
