#include "fault/track.h"

void track_init(struct track *t) {
  *t = (struct track){ 0 };
  buffer_init(&t->start, TRACK_START_MAX);
}

void track_fini(struct track *t) {
  buffer_fini(&t->start);
}

/* The last bytes of those that go by are the start of the packet in progress, or more of it. */
static void track_keep(struct track *t, struct slice bytes, uint64_t passed) {
  size_t had = buffer_size(&t->start);
  if (passed <= bytes.size) {
    if (had) buffer_fini(&t->start);
    buffer_append(&t->start, slice_from(bytes, bytes.size - (size_t)passed));
  } else if (had + bytes.size != passed || !buffer_append(&t->start, bytes)) {
    if (had) buffer_fini(&t->start);
  }
}

void track_pass(struct track *t, struct slice bytes) {
  framer_follow(&t->framer, bytes);
  uint64_t passed = framer_passed(&t->framer);
  if (passed) track_keep(t, bytes, passed);
  else if (buffer_size(&t->start)) buffer_fini(&t->start);
}

struct inject_past track_past(const struct track *t) {
  return (struct inject_past){ .framer = &t->framer, .start = buffer_slice(&t->start) };
}
