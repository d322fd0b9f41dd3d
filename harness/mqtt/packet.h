/* packet: one MQTT control packet, taken apart.
 *
 * An open value. Every slice in it is borrowed: from the bytes that were decoded, or from whoever filled it in for
 * encoding. Fields that a type does not have are zero. Names are the standard's; `properties` is there for 5.0 and is
 * empty in 3.1.1.
 */
#ifndef MQRIG_PACKET_H
#define MQRIG_PACKET_H

#include "base/slice.h"
#include "mqtt/spec.h"

struct packet_will {
  struct slice topic, payload, properties;
  uint8_t qos; /* 0 to 3 as on the wire */
  bool retain;
};

struct packet {
  uint8_t type;    /* enum spec_type; 0 is possible in what was received */
  uint8_t flags;   /* low nibble of the first byte, as received or as to be sent */
  uint8_t version; /* enum spec_version that the bytes follow */

  /* PUBLISH: also in `flags`, which is what goes out; packet_flags makes the flags from them. That there is a packet
   * identifier goes by `qos`. */
  bool dup, retain;
  uint8_t qos;

  uint16_t packet_id; /* 0 where the type has none */
  struct slice topic, payload;

  /* CONNECT */
  struct slice protocol_name, client_id, username, password;
  struct packet_will will;
  uint8_t protocol_version;
  uint8_t connect_flags; /* as received; encode takes the reserved bit from it and makes the rest from the fields */
  bool clean, has_will, has_username, has_password;
  uint16_t keepalive_s;

  /* CONNACK, and in 5.0 the acknowledgements, DISCONNECT and AUTH */
  bool session_present;
  uint8_t connack_flags; /* the whole byte as received; encode takes bit 0 from session_present */
  uint8_t reason_code;

  /* SUBSCRIBE, UNSUBSCRIBE, SUBACK, UNSUBACK: the list as it is on the wire. Read it with packet_next_*. */
  struct slice items;

  struct slice properties;
  struct slice raw; /* the whole packet as received; empty in one to be sent */
};

struct packet_subscription {
  struct slice filter;
  uint8_t options; /* the whole byte */
  uint8_t qos;     /* its low two bits */
};

/* Takes the next entry off `*items`. False at the end, or where what is left is no whole entry (items->size tells). */
bool packet_next_subscription(struct slice *items, struct packet_subscription *out);
bool packet_next_filter(struct slice *items, struct slice *out);

/* The low nibble that the standard gives to such a packet: reserved value, or PUBLISH's dup, qos and retain. */
uint8_t packet_flags(const struct packet *p);

#endif
