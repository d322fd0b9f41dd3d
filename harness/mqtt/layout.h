/* layout: which fields a packet has behind its fixed header, in order, as a table.
 *
 * decode, encode and describe_fields walk these rows, each with one small function for a kind of field. What 5.0 adds
 * are rows with LAYOUT_V5, and kinds where it has new ones. Everything here is constant and static.
 */
#ifndef MQRIG_LAYOUT_H
#define MQRIG_LAYOUT_H

#include "mqtt/packet.h"

enum layout_kind {
  LAYOUT_END, /* ends the rows of a packet */
  LAYOUT_BYTE,
  LAYOUT_INT16,
  LAYOUT_STRING, /* text, or bytes behind a two-byte length */
  LAYOUT_BINARY,
  LAYOUT_PROPERTIES,    /* a variable byte integer and that many bytes */
  LAYOUT_LEVEL,         /* the protocol level, which tells what follows */
  LAYOUT_CONNECT_FLAGS, /* a byte that tells which fields follow */
  LAYOUT_CONNACK_FLAGS,
  LAYOUT_PAYLOAD, /* the rest of the packet */
  LAYOUT_SUBSCRIPTIONS,
  LAYOUT_FILTERS,
  LAYOUT_CODES,
  LAYOUT_KINDS
};

/* When a field is there: all of these hold. 0: always. */
enum layout_when {
  LAYOUT_V5 = 1,
  LAYOUT_QOS = 2, /* above QoS 0 */
  LAYOUT_WILL = 4,
  LAYOUT_USERNAME = 8,
  LAYOUT_PASSWORD = 16,
  LAYOUT_MORE = 32, /* it may be left out with all that follows, and is if that says nothing */
};

struct layout_field {
  uint8_t kind, when;
  uint16_t at;        /* offset in struct packet of what holds it */
  const char *name;   /* the standard's, in snake_case; of a part of the will: "will.topic" */
  const char *cut;    /* the sentence for a packet that ends inside of it */
  const char *clause; /* of 3.1.1, that it is there; may be NULL */
};

/* The rows of that type, ended by LAYOUT_END; NULL for a type that no version has. */
const struct layout_field *layout_of(unsigned type);

/* Which conditions hold for a packet, from its fields: what encode goes by. */
static inline unsigned layout_has(const struct packet *p) {
  return (p->version == SPEC_5_0 ? LAYOUT_V5 : 0) | (p->qos ? LAYOUT_QOS : 0) | (p->has_will ? LAYOUT_WILL : 0) |
         (p->has_username ? LAYOUT_USERNAME : 0) | (p->has_password ? LAYOUT_PASSWORD : 0) |
         (p->reason_code || p->properties.size ? LAYOUT_MORE : 0);
}

static inline bool layout_wants(const struct layout_field *f, unsigned has) {
  return (f->when & ~has) == 0;
}

/* What holds the field in a packet; the kind says of which type it is. */
static inline const void *layout_in(const struct packet *p, const struct layout_field *f) {
  return (const char *)p + f->at;
}

/* The byte of CONNECT's flags, from the fields that it stands for and the reserved bit of `connect_flags`. */
uint8_t layout_connect_flags(const struct packet *p);

#endif
