/* hash: finding things by key.
 *
 * Nodes live inside their owners, who know the key and compare it; the table knows only its 64-bit hash and owns only
 * its array of buckets, which grows and shrinks with what it holds. Nothing iterates over a table: the order in it
 * means nothing, and so nothing can depend on it.
 *
 *   for (n = hash_first(h, value); n; n = hash_next(n)) if (owner of n has the key) ...
 */
#ifndef MQRIG_HASH_H
#define MQRIG_HASH_H

#include "base/slice.h"

struct hash_node {
  struct hash_node *next;
  uint64_t value;
};

struct hash {
  struct hash_node **buckets;
  size_t count, capacity;
};

void hash_init(struct hash *h);

/* Frees the buckets; what is still in the table is its owners' affair. */
void hash_fini(struct hash *h);

/* Puts the node in under this value. Equal values are allowed. */
void hash_add(struct hash *h, struct hash_node *node, uint64_t value);

/* Takes the node out; it must be in. */
void hash_remove(struct hash *h, struct hash_node *node);

/* The nodes of this value, in no particular order. */
struct hash_node *hash_first(const struct hash *h, uint64_t value);
struct hash_node *hash_next(const struct hash_node *node);

/* A value for bytes; `seed` tells apart keys of several parts. */
uint64_t hash_bytes(uint64_t seed, struct slice bytes);

#endif
