/* message: what was published, once, however many queues hold it.
 *
 * Reference-counted: the maker and each message_keep hold one reference, each message_drop gives one back, the last
 * frees it. Topic and payload never change.
 */
#ifndef MQRIG_MESSAGE_H
#define MQRIG_MESSAGE_H

#include "base/slice.h"

struct message {
  uint32_t references;
  uint32_t payload_size;
  uint16_t topic_size;
  uint8_t qos;     /* that it was published with */
  bool retain;     /* likewise */
  uint8_t bytes[]; /* topic, payload */
};

/* Copies both. The topic has at most 65,535 bytes. */
struct message *message_new(struct slice topic, struct slice payload, uint8_t qos, bool retain);

/* One more reference to the same message. */
struct message *message_keep(struct message *m);

/* Gives a reference back. NULL is fine. */
void message_drop(struct message *m);

/* The bytes of all messages that there are, topics and payloads. */
size_t message_held(void);

static inline struct slice message_topic(const struct message *m) {
  return slice_of(m->bytes, m->topic_size);
}

static inline struct slice message_payload(const struct message *m) {
  return slice_of(m->bytes + m->topic_size, m->payload_size);
}

#endif
