#include "host/cutter.h"

#include "mqtt/frame.h"

void cutter_init(struct cutter *c, size_t packet_max) {
  *c = (struct cutter){ 0 };
  buffer_init(&c->partial, packet_max);
}

void cutter_fini(struct cutter *c) {
  buffer_fini(&c->partial);
}

static struct slice cutter_take(struct slice *bytes, size_t n) {
  struct slice taken = slice_first(*bytes, n);
  *bytes = slice_from(*bytes, taken.size);
  return taken;
}

static enum cutter_piece cutter_give_partial(struct cutter *c, struct slice *piece, enum cutter_piece as) {
  c->given = true;
  *piece = buffer_slice(&c->partial);
  return as;
}

/* Adds to the packet in progress, as much as it needs. NONE: it needs more. */
static enum cutter_piece cutter_gather(struct cutter *c, struct slice *bytes, struct slice *piece) {
  struct frame f;
  while (bytes->size) {
    bool known = frame_read(buffer_slice(&c->partial), &f) == FRAME_OK;
    buffer_append(&c->partial, cutter_take(bytes, known ? f.size - buffer_size(&c->partial) : 1));
    switch (frame_read(buffer_slice(&c->partial), &f)) {
    case FRAME_NEED_MORE: continue;
    case FRAME_BAD: c->lost = true; return cutter_give_partial(c, piece, CUTTER_BYTES);
    case FRAME_OK: break;
    }
    if (f.size > c->partial.limit) {
      c->passing = f.size - (uint32_t)buffer_size(&c->partial);
      return cutter_give_partial(c, piece, CUTTER_BYTES);
    }
    if (buffer_size(&c->partial) == f.size) return cutter_give_partial(c, piece, CUTTER_PACKET);
  }
  return CUTTER_NONE;
}

enum cutter_piece cutter_next(struct cutter *c, struct slice *bytes, struct slice *piece) {
  struct frame f;
  if (c->given) buffer_fini(&c->partial);
  c->given = false;
  if (!bytes->size) return CUTTER_NONE;
  if (c->lost) {
    *piece = cutter_take(bytes, bytes->size);
    return CUTTER_BYTES;
  }
  if (c->passing) {
    *piece = cutter_take(bytes, c->passing);
    c->passing -= (uint32_t)piece->size;
    return CUTTER_BYTES;
  }
  if (!buffer_size(&c->partial) && frame_read(*bytes, &f) == FRAME_OK && f.size <= bytes->size &&
      f.size <= c->partial.limit) {
    *piece = cutter_take(bytes, f.size);
    return CUTTER_PACKET;
  }
  return cutter_gather(c, bytes, piece);
}

struct slice cutter_partial(const struct cutter *c) {
  return c->given ? slice_of(NULL, 0) : buffer_slice(&c->partial);
}
