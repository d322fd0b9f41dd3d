/* packetid: which of the 65,535 packet identifiers are in use, and by what.
 *
 * O(1) for allocation, look-up and release at any fill. Next-fit: goes up from the last one given, wraps from 65,535 to
 * 1, passes over those in use, so that an identifier just freed is not given again at once. Pages of the space are
 * allocated on demand and released when empty. 0 is never given [MQTT-2.3.1-1].
 */
#ifndef MQRIG_PACKETID_H
#define MQRIG_PACKETID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt/spec.h"

#define PACKETID_MAX   SPEC_PACKET_ID_MAX
#define PACKETID_PAGE  256
#define PACKETID_PAGES 256

struct packetid_book;

struct packetid {
  struct packetid_book *book; /* while any is in use; private */
  uint32_t count;             /* identifiers in use */
  uint16_t last;              /* the one given last */
};

void packetid_init(struct packetid *ids);
void packetid_fini(struct packetid *ids);

/* The next free identifier, now in use by `owner` (not NULL); 0 if all are taken. */
uint16_t packetid_take(struct packetid *ids, void *owner);

/* Takes this identifier; false if it is in use or 0. */
bool packetid_take_this(struct packetid *ids, uint16_t id, void *owner);

/* Who uses it, or NULL. */
void *packetid_find(const struct packetid *ids, uint16_t id);

/* Frees it; one that is not in use is left alone. */
void packetid_release(struct packetid *ids, uint16_t id);

static inline bool packetid_full(const struct packetid *ids) {
  return ids->count == PACKETID_MAX;
}

#endif
