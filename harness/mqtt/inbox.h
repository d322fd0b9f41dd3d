/* inbox: from bytes that arrive to whole packets that a broker may send.
 *
 * Keeps an unfinished packet, and only that; refuses what is too large or cannot be right as early as its header shows
 * it, so that nothing large is ever gathered in vain. Also knows which QoS 2 messages were delivered already.
 */
#ifndef MQRIG_INBOX_H
#define MQRIG_INBOX_H

#include "base/buffer.h"
#include "mqtt/packet.h"
#include "mqtt/packetid.h"

#define INBOX_CONTROL_MAX 1024 /* remaining length of anything but PUBLISH */

enum inbox_result {
  INBOX_MORE,      /* the packet is not complete */
  INBOX_WHOLE,     /* here it is */
  INBOX_MALFORMED, /* or not for a client */
  INBOX_TOO_LARGE, /* a message over the limit */
};

struct inbox {
  struct buffer partial;    /* of the packet in progress */
  bool whole;               /* what `partial` holds was given as a whole packet and is borrowed still */
  uint32_t message_max;     /* bytes of payload */
  struct packetid received; /* QoS 2: delivered, PUBREL not received yet */
};

void inbox_init(struct inbox *in, uint32_t message_max);
void inbox_fini(struct inbox *in);

/* Takes one packet, or what is there of one, off the front of `bytes`: `*taken` of them. WHOLE: `*packet` is valid
 * until `bytes` goes or inbox_release. */
enum inbox_result inbox_take(struct inbox *in, struct slice bytes, size_t *taken, struct slice *packet);

/* Nobody borrows the last packet any more. */
void inbox_release(struct inbox *in);

/* The connection ended: an unfinished packet is of no use. */
void inbox_ended(struct inbox *in);

/* Takes a PUBLISH apart; false if it breaks a clause that binds a broker. */
bool inbox_read_publish(struct slice bytes, enum spec_version version, struct packet *out);

/* A QoS 2 PUBLISH: whether it is to be delivered, or was already [MQTT-4.3.3-2]. */
bool inbox_first_time(struct inbox *in, uint16_t packet_id);

struct slice inbox_partial(const struct inbox *in);

#endif
