#include "host/tap.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/frame.h"

#define TAP_HEX_MAX 5 /* bytes shown of what is no packet: its header, however the bytes were cut */

static void tap_side_init(struct tap_side *s) {
  *s = (struct tap_side){ 0 };
  buffer_init(&s->partial, TAP_PACKET_MAX);
}

struct tap *tap_new(struct timeline *timeline, uint32_t who) {
  if (!timeline) return NULL;
  struct tap *t = mem_zero(sizeof *t);
  t->timeline = timeline;
  t->who = who;
  tap_side_init(&t->up);
  tap_side_init(&t->down);
  return t;
}

static void tap_side_restart(struct tap_side *s) {
  buffer_fini(&s->partial);
  tap_side_init(s);
}

void tap_restart(struct tap *t) {
  if (!t) return;
  tap_side_restart(&t->up);
  tap_side_restart(&t->down);
}

void tap_free(struct tap *t) {
  tap_restart(t);
  free(t);
}

/* What stands where a packet should begin has no readable length [2.2.3]. */
static void tap_lose(struct tap *t, struct tap_side *s, int64_t now_ns) {
  char hex[3 * TAP_HEX_MAX + 1] = "";
  struct slice shown = slice_first(buffer_slice(&s->partial), TAP_HEX_MAX);
  for (size_t i = 0; i < shown.size; i++) snprintf(hex + 3 * i, 4, " %02x", shown.data[i]);
  timeline_note(t->timeline, now_ns, t->who, TIMELINE_NOTE, "not a packet, %s:%s", s == &t->up ? "up" : "down", hex);
  timeline_add_event(t->timeline, now_ns, t->who, (struct event){ .what = EVENT_UNFRAMED, .code = s == &t->down });
  s->lost = true;
  buffer_fini(&s->partial);
}

static void tap_enter(struct tap *t, struct tap_side *s, struct slice packet, int64_t now_ns) {
  timeline_add(t->timeline, now_ns, t->who, s == &t->up ? TIMELINE_UP : TIMELINE_DOWN, packet);
}

/* Takes of `bytes` what belongs to the packet in progress, or what is needed to know its length. Returns how much. */
static size_t tap_gather(struct tap_side *s, struct slice bytes) {
  struct frame f;
  if (frame_read(buffer_slice(&s->partial), &f) != FRAME_OK) {
    buffer_append(&s->partial, slice_first(bytes, 1));
    return 1;
  }
  size_t have = buffer_size(&s->partial), keep = f.size <= TAP_PACKET_MAX ? f.size : TAP_START;
  struct slice part = slice_first(bytes, f.size - have - s->passed);
  struct slice kept = slice_first(part, keep - have);
  buffer_append(&s->partial, kept);
  s->passed += (uint32_t)(part.size - kept.size);
  return part.size;
}

static void tap_finish(struct tap *t, struct tap_side *s, int64_t now_ns) {
  struct frame f;
  struct slice partial = buffer_slice(&s->partial);
  enum frame_result r = frame_read(partial, &f);
  if (r == FRAME_BAD) tap_lose(t, s, now_ns);
  if (r != FRAME_OK || partial.size + s->passed < f.size) return;
  tap_enter(t, s, partial, now_ns);
  s->passed = 0;
  buffer_consume(&s->partial, partial.size);
}

static struct tap_side *tap_side(struct tap *t, enum timeline_kind direction) {
  return direction == TIMELINE_UP ? &t->up : &t->down;
}

/* What stands before the end of a packet, or a part of that. */
static size_t tap_step(struct tap *t, struct tap_side *s, struct slice bytes, int64_t now_ns) {
  struct frame f;
  if (!buffer_size(&s->partial) && frame_read(bytes, &f) == FRAME_OK && f.size <= bytes.size &&
      f.size <= TAP_PACKET_MAX) {
    tap_enter(t, s, slice_first(bytes, f.size), now_ns);
    return f.size;
  }
  size_t n = tap_gather(s, bytes);
  tap_finish(t, s, now_ns);
  return n;
}

void tap_pass(struct tap *t, enum timeline_kind direction, struct slice bytes, int64_t now_ns) {
  if (!t) return;
  struct tap_side *s = tap_side(t, direction);
  while (bytes.size && !s->lost) bytes = slice_from(bytes, tap_step(t, s, bytes, now_ns));
}

size_t tap_pass_one(struct tap *t, enum timeline_kind direction, struct slice bytes, int64_t now_ns) {
  if (!t || tap_side(t, direction)->lost) return bytes.size;
  struct tap_side *s = tap_side(t, direction);
  size_t passed = 0;
  do passed += tap_step(t, s, slice_from(bytes, passed), now_ns);
  while (passed < bytes.size && buffer_size(&s->partial));
  return passed;
}

bool tap_is_midway(const struct tap *t, enum timeline_kind direction) {
  return t && buffer_size(direction == TIMELINE_UP ? &t->up.partial : &t->down.partial) > 0;
}

/* The identifier of a PUBLISH of which this is the beginning; 0 if that is not there. */
static uint16_t tap_identifier(struct slice start) {
  struct frame f;
  if (frame_read(start, &f) != FRAME_OK || start.size < (size_t)f.header_size + 2) return 0;
  size_t at = (size_t)f.header_size + 2 + ((size_t)start.data[f.header_size] << 8 | start.data[f.header_size + 1]);
  return start.size < at + 2 ? 0 : (uint16_t)(start.data[at] << 8 | start.data[at + 1]);
}

void tap_end(struct tap *t, enum timeline_kind direction, int64_t now_ns) {
  if (!t) return;
  struct slice start = buffer_slice(&tap_side(t, direction)->partial);
  struct event e = { .what = EVENT_CUT };
  if (start.size) {
    e.code = start.data[0];
    if (start.data[0] >> 4 == SPEC_PUBLISH) e.packet_id = tap_identifier(start);
    timeline_add_event(t->timeline, now_ns, t->who, e);
  }
  tap_restart(t);
}

struct slice tap_tail(struct slice bytes) {
  struct frame f;
  while (frame_read(bytes, &f) == FRAME_OK && f.size <= bytes.size) bytes = slice_from(bytes, f.size);
  return bytes;
}
