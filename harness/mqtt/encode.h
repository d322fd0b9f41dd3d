/* encode: packet to bytes, also deliberately wrong.
 *
 * Writes what the packet says: QoS 3, a packet identifier of 0, wildcards, bad UTF-8 and reserved flags all go out as
 * given, `p->flags` being the low nibble (packet_flags gives the right one). `p->version` says which fields there are:
 * anything but SPEC_5_0 is 3.1.1. Only what has no encoding is refused.
 */
#ifndef MQRIG_ENCODE_H
#define MQRIG_ENCODE_H

#include "base/buffer.h"
#include "mqtt/packet.h"

/* How many bytes encode_packet will append; 0 if the packet has no encoding (a type that is in no version, a string of
 * more than 65,535 bytes, a body of more than 268,435,455). */
size_t encode_size(const struct packet *p);

/* Appends the packet. False, with nothing appended, if it has no encoding or passes the buffer's limit. */
bool encode_packet(struct buffer *out, const struct packet *p);

/* The common ones without filling in a packet: same results. The first: PUBACK, PUBREC, PUBREL, PUBCOMP, and UNSUBACK
 * of 3.1.1. */
bool encode_ack(struct buffer *out, enum spec_type type, uint16_t packet_id);
bool encode_empty(struct buffer *out, enum spec_type type); /* PINGREQ, PINGRESP, DISCONNECT of 3.1.1 */

/* List entries for `items`. */
bool encode_subscription(struct buffer *items, struct slice filter, uint8_t options);
bool encode_filter(struct buffer *items, struct slice filter);

#endif
