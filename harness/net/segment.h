/* segment: TCP segments as Ethernet frames, for a capture: headers made up around bytes that are known.
 *
 * Sequence numbers add up and checksums are right, over IPv4 or IPv6.
 */
#ifndef MQRIG_SEGMENT_H
#define MQRIG_SEGMENT_H

#include "base/buffer.h"

#define SEGMENT_PAYLOAD_MAX 65495 /* the largest IPv4 packet, less its headers */
#define SEGMENT_FRAME_MAX   (SEGMENT_PAYLOAD_MAX + 14 + 40 + 28)
#define SEGMENT_BROKER_PORT 1883 /* by which analysers know MQTT */

enum segment_flag { SEGMENT_FIN = 1, SEGMENT_SYN = 2, SEGMENT_RST = 4, SEGMENT_PSH = 8, SEGMENT_ACK = 16 };

struct segment_end {
  uint8_t address[16]; /* the first 4 of them for IPv4 */
  uint16_t port;
  uint32_t next; /* sequence number of its next byte */
};

struct segment_link {
  bool ipv6;
  struct segment_end ends[2];
};

/* "127.0.0.1:1883" or "[::1]:1883". False: it is none of these. */
bool segment_parse(struct slice text, struct segment_end *out, bool *ipv6);

/* The addresses of a conversation: of the client in ends[0], and of the broker, at SEGMENT_BROKER_PORT. What is no
 * address becomes the other's, or 127.0.0.1, with port 0. */
void segment_address(struct segment_link *l, struct slice client, struct slice broker);
/* For a client that has no port, or that of another: the n-th of many. */
uint16_t segment_port(uint32_t n);
/* Whether the clients' addresses are the same, so that an analyser would take two conversations for one. */
bool segment_is_same(const struct segment_link *a, const struct segment_link *b);
/* The first sequence numbers of the n-th conversation of a file. */
void segment_number(struct segment_link *l, uint32_t n);

/* Appends the frame of one segment from ends[from] to the other, and counts it in that end's sequence. */
void segment_write(struct buffer *to, struct segment_link *link, unsigned from, unsigned flags, struct slice payload);

#endif
