/* spot: which bit of a packet or a stream is turned over: `field=topic,byte=3,bit=0`, each of them or none.
 *
 * What is not said is drawn. Bytes count from 0, from the start of the field or the packet, negative ones from its end.
 */
#ifndef MQRIG_SPOT_H
#define MQRIG_SPOT_H

#include "base/rng.h"
#include "fault/printer.h"
#include "mqtt/packet.h"

struct spot {
  const char *field; /* static: a name that spot_parse knows; NULL: all of it */
  bool has_byte, has_bit;
  int64_t byte;
  uint8_t bit; /* 0 to 7, 0 being the lowest */
};

bool spot_parse(struct slice token, struct spot *out);
void spot_print(const struct spot *s, struct printer *to);

/* Whether a packet of one of these types (a bit for each) can have that field. */
bool spot_fits(const struct spot *s, uint32_t types);

/* The byte of the packet, which is whole; `p` is what was decoded of it (NULL: malformed). False: it has none such. */
bool spot_find(const struct spot *s, struct slice bytes, const struct packet *p, struct rng *draw, size_t *byte);

/* The bits to be turned over in that byte: one. */
uint8_t spot_mask(const struct spot *s, struct rng *draw);

#endif
