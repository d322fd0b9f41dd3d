#include "mqtt/encode.h"

#include <assert.h>

#include "mqtt/layout.h"

/* The size of a field that has no encoding: more than any packet may have, and small enough to be added up. */
#define ENCODE_NONE ((size_t)SPEC_REMAINING_LENGTH_MAX + 1)

static uint8_t *encode_bytes(uint8_t *to, struct slice s) {
  if (s.size) memcpy(to, s.data, s.size);
  return to + s.size;
}

static uint8_t *encode_length(uint8_t *to, size_t n) {
  for (; n >= 0x80; n >>= 7) *to++ = (uint8_t)(n | 0x80);
  *to++ = (uint8_t)n;
  return to;
}

static size_t encode_length_size(size_t n) {
  return n < 1u << 7 ? 1 : n < 1u << 14 ? 2 : n < 1u << 21 ? 3 : 4;
}

static uint8_t *encode_number(uint8_t *to, size_t n) {
  to[0] = (uint8_t)(n >> 8);
  to[1] = (uint8_t)n;
  return to + 2;
}

static struct slice encode_slice(const struct packet *p, const struct layout_field *f) {
  return *(const struct slice *)layout_in(p, f);
}

/* For each kind of field: how many bytes it takes, and writing them. */

static size_t encode_byte_size(const struct packet *p, const struct layout_field *f) {
  (void)p, (void)f;
  return 1;
}

static uint8_t *encode_byte(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  *to = *(const uint8_t *)layout_in(p, f);
  return to + 1;
}

static size_t encode_int16_size(const struct packet *p, const struct layout_field *f) {
  (void)p, (void)f;
  return 2;
}

static uint8_t *encode_int16(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  return encode_number(to, *(const uint16_t *)layout_in(p, f));
}

static size_t encode_string_size(const struct packet *p, const struct layout_field *f) {
  size_t size = encode_slice(p, f).size;
  return size <= SPEC_STRING_MAX ? 2 + size : ENCODE_NONE;
}

static uint8_t *encode_string(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  struct slice s = encode_slice(p, f);
  return encode_bytes(encode_number(to, s.size), s);
}

static size_t encode_properties_size(const struct packet *p, const struct layout_field *f) {
  size_t size = encode_slice(p, f).size;
  return size < ENCODE_NONE ? encode_length_size(size) + size : ENCODE_NONE;
}

static uint8_t *encode_properties(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  struct slice s = encode_slice(p, f);
  return encode_bytes(encode_length(to, s.size), s);
}

static uint8_t *encode_connect_flags(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  (void)f;
  *to = layout_connect_flags(p);
  return to + 1;
}

static uint8_t *encode_connack_flags(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  (void)f;
  *to = (uint8_t)((p->connack_flags & ~1) | p->session_present);
  return to + 1;
}

static size_t encode_rest_size(const struct packet *p, const struct layout_field *f) {
  size_t size = encode_slice(p, f).size;
  return size < ENCODE_NONE ? size : ENCODE_NONE;
}

static uint8_t *encode_rest(uint8_t *to, const struct packet *p, const struct layout_field *f) {
  return encode_bytes(to, encode_slice(p, f));
}

static const struct encode_kind {
  size_t (*size)(const struct packet *, const struct layout_field *);
  uint8_t *(*write)(uint8_t *, const struct packet *, const struct layout_field *);
} encode_kinds[LAYOUT_KINDS] = {
  [LAYOUT_BYTE] = { encode_byte_size, encode_byte },
  [LAYOUT_INT16] = { encode_int16_size, encode_int16 },
  [LAYOUT_STRING] = { encode_string_size, encode_string },
  [LAYOUT_BINARY] = { encode_string_size, encode_string },
  [LAYOUT_PROPERTIES] = { encode_properties_size, encode_properties },
  [LAYOUT_LEVEL] = { encode_byte_size, encode_byte },
  [LAYOUT_CONNECT_FLAGS] = { encode_byte_size, encode_connect_flags },
  [LAYOUT_CONNACK_FLAGS] = { encode_byte_size, encode_connack_flags },
  [LAYOUT_PAYLOAD] = { encode_rest_size, encode_rest },
  [LAYOUT_SUBSCRIPTIONS] = { encode_rest_size, encode_rest },
  [LAYOUT_FILTERS] = { encode_rest_size, encode_rest },
  [LAYOUT_CODES] = { encode_rest_size, encode_rest },
};

/* The remaining length; above SPEC_REMAINING_LENGTH_MAX if the packet has no encoding. */
static size_t encode_body_size(const struct packet *p, const struct layout_field *f, unsigned has) {
  size_t size = 0;
  for (; f->kind != LAYOUT_END; f++)
    if (layout_wants(f, has)) size += encode_kinds[f->kind].size(p, f);
  return size;
}

size_t encode_size(const struct packet *p) {
  const struct layout_field *fields = layout_of(p->type);
  if (!fields) return 0;
  size_t body = encode_body_size(p, fields, layout_has(p));
  return body <= SPEC_REMAINING_LENGTH_MAX ? 1 + encode_length_size(body) + body : 0;
}

bool encode_packet(struct buffer *out, const struct packet *p) {
  const struct layout_field *f = layout_of(p->type);
  if (!f) return false;
  unsigned has = layout_has(p);
  size_t body = encode_body_size(p, f, has);
  if (body > SPEC_REMAINING_LENGTH_MAX) return false;
  size_t size = 1 + encode_length_size(body) + body;
  uint8_t *begin = buffer_reserve(out, size), *to = begin;
  if (!begin) return false;
  *to++ = (uint8_t)(p->type << 4 | (p->flags & 15));
  to = encode_length(to, body);
  for (; f->kind != LAYOUT_END; f++)
    if (layout_wants(f, has)) to = encode_kinds[f->kind].write(to, p, f);
  assert(to == begin + size);
  buffer_commit(out, size);
  return true;
}

bool encode_ack(struct buffer *out, enum spec_type type, uint16_t packet_id) {
  uint8_t *to = buffer_reserve(out, 4);
  if (!to) return false;
  to[0] = (uint8_t)(type << 4 | spec_packet(type)->flags);
  to[1] = 2;
  encode_number(to + 2, packet_id);
  buffer_commit(out, 4);
  return true;
}

bool encode_empty(struct buffer *out, enum spec_type type) {
  uint8_t *to = buffer_reserve(out, 2);
  if (!to) return false;
  to[0] = (uint8_t)(type << 4 | spec_packet(type)->flags);
  to[1] = 0;
  buffer_commit(out, 2);
  return true;
}

static bool encode_entry(struct buffer *items, struct slice filter, const uint8_t *options) {
  if (filter.size > SPEC_STRING_MAX) return false;
  size_t size = 2 + filter.size + (options ? 1 : 0);
  uint8_t *to = buffer_reserve(items, size);
  if (!to) return false;
  to = encode_bytes(encode_number(to, filter.size), filter);
  if (options) *to = *options;
  buffer_commit(items, size);
  return true;
}

bool encode_subscription(struct buffer *items, struct slice filter, uint8_t options) {
  return encode_entry(items, filter, &options);
}

bool encode_filter(struct buffer *items, struct slice filter) {
  return encode_entry(items, filter, NULL);
}
