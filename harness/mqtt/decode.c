#include "mqtt/decode.h"

#include "mqtt/frame.h"
#include "mqtt/layout.h"

struct decode_reader {
  struct packet *out;
  const uint8_t *at, *end;
  unsigned has; /* enum layout_when, as far as is known; LAYOUT_MORE is asked for each field */
};

static size_t decode_left(const struct decode_reader *r) {
  return (size_t)(r->end - r->at);
}

static void *decode_to(struct decode_reader *r, const struct layout_field *f) {
  return (char *)r->out + f->at;
}

static void decode_holds(struct decode_reader *r, enum layout_when what, bool holds) {
  if (holds) r->has |= what;
}

/* The functions for a kind read one field, or return false and leave the reader where the field goes wrong. */

static bool decode_byte(struct decode_reader *r, const struct layout_field *f) {
  if (r->at == r->end) return false;
  *(uint8_t *)decode_to(r, f) = *r->at++;
  return true;
}

static bool decode_int16(struct decode_reader *r, const struct layout_field *f) {
  if (decode_left(r) < 2) return false;
  *(uint16_t *)decode_to(r, f) = (uint16_t)(r->at[0] << 8 | r->at[1]);
  r->at += 2;
  return true;
}

static bool decode_string(struct decode_reader *r, const struct layout_field *f) {
  if (decode_left(r) < 2) return false;
  size_t size = (size_t)r->at[0] << 8 | r->at[1];
  if (decode_left(r) - 2 < size) return false;
  *(struct slice *)decode_to(r, f) = slice_of(r->at + 2, size);
  r->at += 2 + size;
  return true;
}

static bool decode_properties(struct decode_reader *r, const struct layout_field *f) {
  size_t size = 0;
  for (size_t i = 0; i < 4 && i < decode_left(r); i++) {
    size |= (size_t)(r->at[i] & 0x7f) << (7 * i);
    if (r->at[i] >= 0x80) continue;
    if (decode_left(r) - (i + 1) < size) return false;
    *(struct slice *)decode_to(r, f) = slice_of(r->at + i + 1, size);
    r->at += i + 1 + size;
    return true;
  }
  return false;
}

static bool decode_level(struct decode_reader *r, const struct layout_field *f) {
  if (!decode_byte(r, f)) return false;
  bool is_5 = r->out->protocol_version == SPEC_5_0;
  r->out->version = is_5 ? SPEC_5_0 : SPEC_3_1_1;
  r->has &= ~(unsigned)LAYOUT_V5;
  decode_holds(r, LAYOUT_V5, is_5);
  return true;
}

static bool decode_connect_flags(struct decode_reader *r, const struct layout_field *f) {
  if (!decode_byte(r, f)) return false;
  struct packet *p = r->out;
  uint8_t flags = p->connect_flags;
  p->clean = flags >> 1 & 1;
  p->has_will = flags >> 2 & 1;
  p->will.qos = flags >> 3 & 3;
  p->will.retain = flags >> 5 & 1;
  p->has_password = flags >> 6 & 1;
  p->has_username = flags >> 7;
  decode_holds(r, LAYOUT_WILL, p->has_will);
  decode_holds(r, LAYOUT_PASSWORD, p->has_password);
  decode_holds(r, LAYOUT_USERNAME, p->has_username);
  return true;
}

static bool decode_connack_flags(struct decode_reader *r, const struct layout_field *f) {
  if (!decode_byte(r, f)) return false;
  r->out->session_present = r->out->connack_flags & 1;
  return true;
}

static bool decode_rest(struct decode_reader *r, const struct layout_field *f) {
  *(struct slice *)decode_to(r, f) = slice_of(r->at, decode_left(r));
  r->at = r->end;
  return true;
}

static bool decode_subscriptions(struct decode_reader *r, const struct layout_field *f) {
  struct slice items = slice_of(r->at, decode_left(r));
  struct packet_subscription entry;
  *(struct slice *)decode_to(r, f) = items;
  while (packet_next_subscription(&items, &entry)) continue;
  r->at = r->end - items.size;
  return items.size == 0;
}

static bool decode_filters(struct decode_reader *r, const struct layout_field *f) {
  struct slice items = slice_of(r->at, decode_left(r)), entry;
  *(struct slice *)decode_to(r, f) = items;
  while (packet_next_filter(&items, &entry)) continue;
  r->at = r->end - items.size;
  return items.size == 0;
}

static bool (*const decode_kinds[LAYOUT_KINDS])(struct decode_reader *, const struct layout_field *) = {
  [LAYOUT_BYTE] = decode_byte,
  [LAYOUT_INT16] = decode_int16,
  [LAYOUT_STRING] = decode_string,
  [LAYOUT_BINARY] = decode_string,
  [LAYOUT_PROPERTIES] = decode_properties,
  [LAYOUT_LEVEL] = decode_level,
  [LAYOUT_CONNECT_FLAGS] = decode_connect_flags,
  [LAYOUT_CONNACK_FLAGS] = decode_connack_flags,
  [LAYOUT_PAYLOAD] = decode_rest,
  [LAYOUT_SUBSCRIPTIONS] = decode_subscriptions,
  [LAYOUT_FILTERS] = decode_filters,
  [LAYOUT_CODES] = decode_rest,
};

static enum decode_result decode_bad(struct decode_fault *fault, size_t offset, const char *text, const char *clause) {
  if (fault) *fault = (struct decode_fault){ offset, text, clause };
  return DECODE_BAD;
}

static enum decode_result decode_body(struct decode_reader *r, const struct layout_field *f,
                                      struct decode_fault *fault) {
  const uint8_t *begin = r->out->raw.data;
  for (; f->kind != LAYOUT_END; f++) {
    if (!layout_wants(f, r->has | (r->at < r->end ? LAYOUT_MORE : 0))) continue;
    if (!decode_kinds[f->kind](r, f))
      return decode_bad(fault, (size_t)(r->at - begin), f->cut, r->has & LAYOUT_V5 ? NULL : f->clause);
  }
  if (r->at < r->end)
    return decode_bad(fault, (size_t)(r->at - begin), "bytes are left over behind the last field", NULL);
  return DECODE_OK;
}

static void decode_begin(struct packet *out, struct slice raw, uint8_t version) {
  *out = (struct packet){ .type = raw.data[0] >> 4, .flags = raw.data[0] & 15, .version = version, .raw = raw };
}

enum decode_result decode_packet(struct slice bytes, enum spec_version version, struct packet *out,
                                 struct decode_fault *fault) {
  struct frame frame = { 0 };
  enum frame_result framed = frame_read(bytes, &frame);
  if (framed == FRAME_BAD) {
    decode_begin(out, slice_first(bytes, 5), (uint8_t)version);
    return decode_bad(fault, 4, "the remaining length has more than four bytes", "MQTT-2.2.3");
  }
  if (framed == FRAME_NEED_MORE || bytes.size < frame.size) return DECODE_NEED_MORE;
  decode_begin(out, slice_first(bytes, frame.size), (uint8_t)version);
  const struct layout_field *fields = layout_of(out->type);
  if (!fields || (out->type == SPEC_AUTH && version != SPEC_5_0))
    return decode_bad(fault, 0, "this packet type is reserved", "MQTT-2.2.1");
  struct decode_reader reader = { out, bytes.data + frame.header_size, bytes.data + frame.size,
                                  version == SPEC_5_0 ? LAYOUT_V5 : 0 };
  if (out->type == SPEC_PUBLISH) {
    out->dup = out->flags >> 3;
    out->qos = out->flags >> 1 & 3;
    out->retain = out->flags & 1;
    decode_holds(&reader, LAYOUT_QOS, out->qos > 0);
  }
  return decode_body(&reader, fields, fault);
}
