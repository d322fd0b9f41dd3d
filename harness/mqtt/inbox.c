#include "mqtt/inbox.h"

#include <assert.h>

#include "mqtt/decode.h"
#include "mqtt/frame.h"
#include "mqtt/topic.h"

/* The remaining lengths that the packets of 3.1.1 may have, PUBLISH apart. */
static const struct inbox_sizes {
  uint16_t least, most;
} inbox_sizes[SPEC_TYPES] = {
  [SPEC_CONNACK] = { 2, 2 },  [SPEC_PUBACK] = { 2, 2 },   [SPEC_PUBREC] = { 2, 2 },
  [SPEC_PUBREL] = { 2, 2 },   [SPEC_PUBCOMP] = { 2, 2 },  [SPEC_SUBACK] = { 3, INBOX_CONTROL_MAX },
  [SPEC_UNSUBACK] = { 2, 2 }, [SPEC_PINGRESP] = { 0, 0 },
};

void inbox_init(struct inbox *in, uint32_t message_max) {
  *in = (struct inbox){ .message_max = message_max };
  buffer_init(&in->partial, (size_t)message_max + SPEC_STRING_MAX + INBOX_CONTROL_MAX);
  packetid_init(&in->received);
}

void inbox_fini(struct inbox *in) {
  buffer_fini(&in->partial);
  packetid_fini(&in->received);
}

/* QoS 3 [MQTT-3.3.1-4], DUP at QoS 0 [MQTT-3.3.1-2], reserved flags [MQTT-2.2.2-2], what only a client sends. */
static bool inbox_first_byte_fits(uint8_t first) {
  unsigned flags = first & 15, qos = (flags >> 1) & 3;
  const struct spec_packet *spec = spec_packet(first >> 4);
  if (!spec || !(spec->senders & SPEC_BROKER)) return false;
  if (first >> 4 != SPEC_PUBLISH) return flags == spec->flags;
  return qos != 3 && !(qos == 0 && flags & 8);
}

/* The payload's size is known once the topic's is. */
static enum inbox_result inbox_publish_header(const struct inbox *in, struct slice bytes, const struct frame *f) {
  size_t fixed = f->first & 6 ? 4 : 2, rest = f->size - f->header_size;
  if (rest < fixed) return INBOX_MALFORMED;
  if (rest - fixed > (size_t)in->message_max + SPEC_STRING_MAX) return INBOX_TOO_LARGE;
  if (bytes.size < f->header_size + 2u) return INBOX_MORE;
  size_t topic = (size_t)bytes.data[f->header_size] << 8 | bytes.data[f->header_size + 1];
  if (topic > rest - fixed) return INBOX_MALFORMED;
  return rest - fixed - topic > in->message_max ? INBOX_TOO_LARGE : INBOX_WHOLE;
}

/* WHOLE: the header is all there and right; `*f` is filled. */
static enum inbox_result inbox_header(const struct inbox *in, struct slice bytes, struct frame *f) {
  if (bytes.size == 0) return INBOX_MORE;
  unsigned type = bytes.data[0] >> 4;
  if (!inbox_first_byte_fits(bytes.data[0])) return INBOX_MALFORMED;
  switch (frame_read(bytes, f)) {
  case FRAME_NEED_MORE: return INBOX_MORE;
  case FRAME_BAD: return INBOX_MALFORMED;
  case FRAME_OK: break;
  }
  if (type == SPEC_PUBLISH) return inbox_publish_header(in, bytes, f);
  uint32_t rest = f->size - f->header_size;
  return rest >= inbox_sizes[type].least && rest <= inbox_sizes[type].most ? INBOX_WHOLE : INBOX_MALFORMED;
}

static void inbox_gather(struct inbox *in, struct slice bytes, size_t *taken, size_t n) {
  n = n < bytes.size - *taken ? n : bytes.size - *taken;
  bool fits = buffer_append(&in->partial, slice_first(slice_from(bytes, *taken), n));
  assert(fits);
  *taken += n;
}

/* Goes on with the packet in progress. */
static enum inbox_result inbox_continue(struct inbox *in, struct slice bytes, size_t *taken, struct slice *packet) {
  struct frame f;
  enum inbox_result result = inbox_header(in, buffer_slice(&in->partial), &f);
  while (result == INBOX_MORE && *taken < bytes.size) {
    inbox_gather(in, bytes, taken, 1);
    result = inbox_header(in, buffer_slice(&in->partial), &f);
  }
  if (result != INBOX_WHOLE) return result;
  inbox_gather(in, bytes, taken, f.size - buffer_size(&in->partial));
  if (buffer_size(&in->partial) < f.size) return INBOX_MORE;
  *packet = buffer_slice(&in->partial);
  in->whole = true;
  return INBOX_WHOLE;
}

enum inbox_result inbox_take(struct inbox *in, struct slice bytes, size_t *taken, struct slice *packet) {
  struct frame f;
  *taken = 0;
  assert(!in->whole);
  if (buffer_size(&in->partial)) return inbox_continue(in, bytes, taken, packet);
  enum inbox_result result = inbox_header(in, bytes, &f);
  if (result == INBOX_WHOLE && bytes.size >= f.size) {
    *taken = f.size;
    *packet = slice_first(bytes, f.size);
    return INBOX_WHOLE;
  }
  if (result == INBOX_MALFORMED || result == INBOX_TOO_LARGE) return result;
  inbox_gather(in, bytes, taken, bytes.size);
  return INBOX_MORE;
}

void inbox_release(struct inbox *in) {
  if (!in->whole) return;
  in->whole = false;
  buffer_fini(&in->partial);
}

void inbox_ended(struct inbox *in) {
  if (!in->whole) buffer_fini(&in->partial);
}

bool inbox_read_publish(struct slice bytes, enum spec_version version, struct packet *out) {
  if (decode_packet(bytes, version, out, NULL) != DECODE_OK) return false;
  if (out->qos > 0 && out->packet_id == 0) return false; /* [MQTT-2.3.1-1] */
  return topic_check_name(out->topic) == TOPIC_GOOD;
}

bool inbox_first_time(struct inbox *in, uint16_t packet_id) {
  return packetid_take_this(&in->received, packet_id, in);
}

struct slice inbox_partial(const struct inbox *in) {
  return in->whole ? slice_of(NULL, 0) : buffer_slice(&in->partial);
}
