#include "fault/spot.h"

#include "mqtt/frame.h"
#include "mqtt/layout.h"

#define SPOT_LENGTH "remaining_length"

/* Numbers. */

static bool spot_number(struct slice text, int64_t low, int64_t high, int64_t *out) {
  bool negative = text.size && text.data[0] == '-';
  if (negative) text = slice_from(text, 1);
  if (!text.size || text.size > 9) return false;
  *out = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    *out = *out * 10 + (text.data[i] - '0');
  }
  if (negative) *out = -*out;
  return *out >= low && *out <= high;
}

/* Fields. */

static bool spot_has_field(unsigned type, struct slice name, const char **out) {
  const struct layout_field *f = layout_of(type);
  for (; f && f->kind != LAYOUT_END; f++) {
    if (!slice_equal(name, slice_text(f->name))) continue;
    *out = f->name;
    return true;
  }
  return false;
}

static const char *spot_field(struct slice name) {
  const char *found = NULL;
  if (slice_equal(name, slice_text(SPOT_LENGTH))) return SPOT_LENGTH;
  for (unsigned type = SPEC_CONNECT; type < SPEC_TYPES; type++)
    if (spot_has_field(type, name, &found)) return found;
  return NULL;
}

bool spot_fits(const struct spot *s, uint32_t types) {
  const char *found;
  if (!s->field || strcmp(s->field, SPOT_LENGTH) == 0) return true;
  for (unsigned type = SPEC_CONNECT; type < SPEC_TYPES; type++)
    if (types >> type & 1 && spot_has_field(type, slice_text(s->field), &found)) return true;
  return false;
}

/* Text. */

static bool spot_set(struct spot *s, struct slice key, struct slice value) {
  int64_t bit;
  if (slice_equal(key, slice_text("field")) && !s->field) {
    s->field = spot_field(value);
    return s->field != NULL;
  }
  if (slice_equal(key, slice_text("byte")) && !s->has_byte) {
    s->has_byte = true;
    return spot_number(value, -INT32_MAX, INT32_MAX, &s->byte);
  }
  if (!slice_equal(key, slice_text("bit")) || s->has_bit || !spot_number(value, 0, 7, &bit)) return false;
  s->has_bit = true;
  s->bit = (uint8_t)bit;
  return true;
}

/* One part up to a comma. */
static bool spot_part(struct spot *s, struct slice *rest) {
  const uint8_t *comma = memchr(rest->data, ',', rest->size);
  struct slice part = slice_first(*rest, comma ? (size_t)(comma - rest->data) : rest->size);
  const uint8_t *equals = memchr(part.data, '=', part.size);
  if (!equals) return false;
  size_t key = (size_t)(equals - part.data);
  *rest = comma ? slice_from(*rest, part.size + 1) : slice_of(NULL, 0);
  return spot_set(s, slice_first(part, key), slice_from(part, key + 1));
}

bool spot_parse(struct slice token, struct spot *out) {
  *out = (struct spot){ 0 };
  if (!token.size) return false;
  while (token.data)
    if (!token.size || !spot_part(out, &token)) return false;
  return true;
}

void spot_print(const struct spot *s, struct printer *to) {
  const char *comma = "";
  if (s->field) printer_put(to, "field=%s", s->field);
  if (s->field) comma = ",";
  if (s->has_byte) printer_put(to, "%sbyte=%lld", comma, (long long)s->byte);
  if (s->has_byte) comma = ",";
  if (s->has_bit) printer_put(to, "%sbit=%u", comma, s->bit);
}

/* Places. */

/* How many bytes the field takes, the length in front of its text (`*prefix`) included. */
static size_t spot_size(const struct packet *p, const struct layout_field *f, const uint8_t *at, size_t *prefix) {
  const struct slice *held = layout_in(p, f);
  *prefix = 0;
  switch ((enum layout_kind)f->kind) {
  case LAYOUT_INT16: return 2;
  case LAYOUT_STRING:
  case LAYOUT_BINARY: *prefix = 2; return 2 + held->size;
  case LAYOUT_PROPERTIES: *prefix = (size_t)(held->data - at); return *prefix + held->size;
  case LAYOUT_PAYLOAD:
  case LAYOUT_SUBSCRIPTIONS:
  case LAYOUT_FILTERS:
  case LAYOUT_CODES: return held->size;
  default: return 1;
  }
}

/* Where in the packet the field's own bytes are: goes over the fields before it. */
static struct slice spot_region(const char *name, struct slice bytes, const struct packet *p) {
  struct frame frame;
  struct slice none = { 0 };
  if (frame_read(bytes, &frame) != FRAME_OK || bytes.size < frame.size) return none;
  if (strcmp(name, SPOT_LENGTH) == 0) return slice_of(bytes.data + 1, frame.header_size - 1u);
  const uint8_t *at = bytes.data + frame.header_size, *end = bytes.data + frame.size;
  for (const struct layout_field *f = p ? layout_of(p->type) : NULL; f && f->kind != LAYOUT_END; f++) {
    size_t prefix;
    if (!layout_wants(f, (layout_has(p) & ~(unsigned)LAYOUT_MORE) | (at < end ? LAYOUT_MORE : 0))) continue;
    size_t size = spot_size(p, f, at, &prefix);
    if (strcmp(f->name, name) == 0) return slice_of(at + prefix, size - prefix);
    at += size;
  }
  return none;
}

bool spot_find(const struct spot *s, struct slice bytes, const struct packet *p, struct rng *draw, size_t *byte) {
  struct slice region = s->field ? spot_region(s->field, bytes, p) : bytes;
  uint64_t drawn = region.size ? rng_below(draw, region.size) : 0;
  int64_t at = !s->has_byte ? (int64_t)drawn : s->byte < 0 ? (int64_t)region.size + s->byte : s->byte;
  if (at < 0 || (uint64_t)at >= region.size) return false;
  *byte = (size_t)(region.data - bytes.data) + (size_t)at;
  return true;
}

uint8_t spot_mask(const struct spot *s, struct rng *draw) {
  uint64_t drawn = rng_below(draw, 8);
  return (uint8_t)(1u << (s->has_bit ? s->bit : drawn));
}
