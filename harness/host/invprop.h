/* invprop: the numbers among the properties of a packet of 5.0.
 *
 * Private to the invariants: limits that one end tells the other, and topic aliases.
 */
#ifndef MQRIG_INVPROP_H
#define MQRIG_INVPROP_H

#include <stdint.h>

#include "base/slice.h"

enum invprop_id {
  INVPROP_RECEIVE_MAXIMUM = 0x21,
  INVPROP_TOPIC_ALIAS_MAXIMUM = 0x22,
  INVPROP_TOPIC_ALIAS = 0x23,
  INVPROP_PACKET_MAXIMUM = 0x27,
};

/* False: it is not there, or stands behind what cannot be read. */
bool invprop_find(struct slice properties, enum invprop_id id, uint32_t *value);

#endif
