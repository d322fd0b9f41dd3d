/* idset: a set of packet identifiers.
 *
 * O(1) for everything. Pages of the space exist only while they hold something: an empty set has no memory, a full one
 * some 8 KiB.
 */
#ifndef MQRIG_IDSET_H
#define MQRIG_IDSET_H

#include <stdbool.h>
#include <stdint.h>

#define IDSET_PAGES 16

struct idset {
  struct idset_page *pages[IDSET_PAGES];
};

void idset_init(struct idset *s);
void idset_fini(struct idset *s);

/* Puts it in; false if it was in already. */
bool idset_add(struct idset *s, uint16_t id);

bool idset_has(const struct idset *s, uint16_t id);

/* Takes it out. One that is not in is left alone. */
void idset_remove(struct idset *s, uint16_t id);

#endif
