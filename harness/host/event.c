#include "host/event.h"

#include "base/hash.h"

uint64_t event_content(struct slice topic, struct slice payload) {
  return hash_bytes(hash_bytes(topic.size, topic), payload);
}
