#include "fault/framer.h"

#include <string.h>

#include "net/tlsname.h"

const char *framer_foreign(struct slice first) {
  if (tlsname_is_tls(first)) return "TLS";
  bool http = first.size >= 2 && (memcmp(first.data, "GE", 2) == 0 || memcmp(first.data, "HT", 2) == 0);
  return http ? "HTTP" : NULL;
}

/* Takes bytes until the fixed header is known, or is known to be none. */
static void framer_header(struct framer *f, struct slice *rest) {
  while (rest->size && !f->known && !f->lost) {
    if (f->have == 0) {
      f->index++;
      f->offset = f->taken;
    }
    f->header[f->have++] = rest->data[0];
    f->taken++;
    *rest = slice_from(*rest, 1);
    enum frame_result result = frame_read(slice_of(f->header, f->have), &f->frame);
    f->lost = result == FRAME_BAD || (f->offset == 0 && framer_foreign(slice_of(f->header, f->have)));
    f->known = result == FRAME_OK && !f->lost;
  }
  f->from = f->have;
}

static void framer_take_head(struct framer *f, struct framer_piece *out) {
  out->head = slice_of(f->header + f->sent, (size_t)(f->have - f->sent));
  out->from = f->sent;
  f->sent = f->have;
}

static bool framer_lost(struct framer *f, struct slice *rest, struct framer_piece *out) {
  *out = (struct framer_piece){ .body = *rest };
  framer_take_head(f, out);
  out->offset = f->taken - out->head.size;
  out->from = 0;
  f->taken += rest->size;
  *rest = slice_from(*rest, rest->size);
  return out->head.size + out->body.size > 0;
}

bool framer_next(struct framer *f, struct slice *rest, struct framer_piece *out) {
  bool begun = f->known;
  if (!begun) framer_header(f, rest);
  if (f->lost) return framer_lost(f, rest, out);
  if (!f->known || (begun && !rest->size)) return false;
  *out = (struct framer_piece){ .framed = true, .first = f->frame.first, .total = f->frame.size, .index = f->index };
  out->offset = f->offset;
  if (begun) out->from = f->from;
  else framer_take_head(f, out);
  out->body = slice_first(*rest, f->frame.size - f->from);
  *rest = slice_from(*rest, out->body.size);
  f->from += (uint32_t)out->body.size;
  f->taken += out->body.size;
  out->last = f->from == f->frame.size;
  if (out->last) {
    f->known = false;
    f->have = f->sent = 0;
  }
  return true;
}

bool framer_pending(struct framer *f, struct framer_piece *out) {
  if (f->known || f->lost || f->have == f->sent) return false;
  *out = (struct framer_piece){ .framed = true, .first = f->header[0], .index = f->index, .offset = f->offset };
  framer_take_head(f, out);
  return true;
}

/* Packets that lie in the bytes as a whole; most have a length of one byte. */
static size_t framer_skip_whole(struct framer *f, struct slice bytes) {
  const uint8_t *at = bytes.data, *end = at + bytes.size;
  struct frame frame;
  if (!f->taken && framer_foreign(bytes)) return 0;
  for (;;) {
    size_t left = (size_t)(end - at);
    if (left >= 2 && at[1] < 0x80) frame.size = 2u + at[1];
    else if (frame_read(slice_of(at, left), &frame) != FRAME_OK) break;
    if (frame.size > left) break;
    at += frame.size;
    f->index++;
  }
  f->taken += (uint64_t)(at - bytes.data);
  return (size_t)(at - bytes.data);
}

void framer_follow(struct framer *f, struct slice bytes) {
  struct framer_piece p;
  while (bytes.size) {
    if (!f->have) bytes = slice_from(bytes, framer_skip_whole(f, bytes));
    if (!framer_next(f, &bytes, &p)) framer_pending(f, &p);
  }
}
