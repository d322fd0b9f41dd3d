#include "mqtt/message.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static size_t message_total;

size_t message_held(void) {
  return message_total;
}

struct message *message_new(struct slice topic, struct slice payload, uint8_t qos, bool retain) {
  assert(topic.size <= UINT16_MAX && payload.size <= UINT32_MAX);
  struct message *m = mem_resize(NULL, sizeof *m + topic.size + payload.size);
  *m = (struct message){ .references = 1,
                         .payload_size = (uint32_t)payload.size,
                         .topic_size = (uint16_t)topic.size,
                         .qos = qos,
                         .retain = retain };
  message_total += topic.size + payload.size;
  if (topic.size) memcpy(m->bytes, topic.data, topic.size);
  if (payload.size) memcpy(m->bytes + topic.size, payload.data, payload.size);
  return m;
}

struct message *message_keep(struct message *m) {
  m->references++;
  return m;
}

void message_drop(struct message *m) {
  if (!m || --m->references) return;
  message_total -= (size_t)m->topic_size + m->payload_size;
  free(m);
}
