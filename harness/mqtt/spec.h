/* spec: the standard as tables.
 *
 * Packet types, fixed-header flags, who may send what, and result sentences stand here once, for 3.1.1 and 5.0. Code
 * that needs to know asks the table; it has no switch of its own. Everything here is constant and static.
 */
#ifndef MQRIG_SPEC_H
#define MQRIG_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define SPEC_PACKET_ID_MAX        65535
#define SPEC_STRING_MAX           65535
#define SPEC_REMAINING_LENGTH_MAX 268435455 /* four bytes of seven bits, 3.1.1 section 2.2.3 */

/* The protocol level as CONNECT carries it. */
enum spec_version { SPEC_3_1_1 = 4, SPEC_5_0 = 5 };

/* Which end sends: also the two directions, `up` being what the client sends. */
enum spec_role { SPEC_CLIENT = 1, SPEC_BROKER = 2 };

enum spec_type {
  SPEC_CONNECT = 1,
  SPEC_CONNACK,
  SPEC_PUBLISH,
  SPEC_PUBACK,
  SPEC_PUBREC,
  SPEC_PUBREL,
  SPEC_PUBCOMP,
  SPEC_SUBSCRIBE,
  SPEC_SUBACK,
  SPEC_UNSUBSCRIBE,
  SPEC_UNSUBACK,
  SPEC_PINGREQ,
  SPEC_PINGRESP,
  SPEC_DISCONNECT,
  SPEC_AUTH,
  SPEC_TYPES
};

/* One row a packet type; `spec_packet(0)` and beyond AUTH give NULL. */
struct spec_packet {
  const char *name;   /* "PUBLISH" */
  uint8_t flags;      /* the reserved low nibble of the first byte; PUBLISH: ignored, its flags carry data */
  uint8_t senders;    /* SPEC_CLIENT | SPEC_BROKER, in 3.1.1 */
  uint8_t senders_5;  /* the same in 5.0; 3.1.1 does not have AUTH (0) */
  bool has_packet_id; /* its variable header begins with one (PUBLISH: above QoS 0) */
  uint8_t answers;    /* the type that this one acknowledges, or 0 */
  const char *clause; /* that the reserved flags have this value: "3.1.1:3.6.1-1"; AUTH: NULL */
};

const struct spec_packet *spec_packet(unsigned type);

/* The type of that name (exact), or 0. */
unsigned spec_type_of(struct slice name);

/* The sentence for a CONNACK return code of 3.1.1 (0 to 5), "reserved" beyond. */
const char *spec_connack_text(unsigned code);

#endif
