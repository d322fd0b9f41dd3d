#include "mqtt/outflow.h"

#include <assert.h>

#include "mqtt/frame.h"

struct outflow_run {
  uint64_t begin, size;
};

void outflow_init(struct outflow *f) {
  *f = (struct outflow){ 0 };
  buffer_init(&f->bytes, OUTFLOW_MAX);
  buffer_init(&f->raws, OUTFLOW_MAX);
}

void outflow_fini(struct outflow *f) {
  buffer_fini(&f->bytes);
  buffer_fini(&f->raws);
  f->start = f->written = 0;
}

static size_t outflow_in_progress(const struct outflow *f) {
  return (size_t)(f->written - f->start);
}

struct slice outflow_unwritten(const struct outflow *f) {
  if (buffer_size(&f->bytes) == 0) return slice_of(NULL, 0);
  return slice_from(buffer_slice(&f->bytes), outflow_in_progress(f));
}

/* Whether raw bytes begin at `offset`; takes them off the list. */
static bool outflow_take_run(struct outflow *f, uint64_t offset, uint64_t limit, size_t *size) {
  struct outflow_run run;
  struct slice held = buffer_slice(&f->raws);
  if (held.size == 0) return false;
  memcpy(&run, held.data, sizeof run);
  if (run.begin != offset) return false;
  *size = (size_t)run.size;
  if (offset + run.size <= limit) buffer_consume(&f->raws, sizeof run);
  return true;
}

static size_t outflow_packet_size(struct outflow *f, size_t at) {
  size_t size;
  if (outflow_take_run(f, f->start + at, f->written, &size)) return size;
  struct frame frame;
  enum frame_result result = frame_read(slice_from(buffer_slice(&f->bytes), at), &frame);
  assert(result == FRAME_OK);
  return frame.size;
}

void outflow_wrote(struct outflow *f, size_t n) {
  assert(n <= outflow_waiting(f));
  f->written += n;
  size_t done = 0, written = outflow_in_progress(f);
  if (f->written == outflow_end(f)) {
    done = written;
    buffer_fini(&f->raws);
  }
  while (done < written) {
    size_t size = outflow_packet_size(f, done);
    if (done + size > written) break;
    done += size;
  }
  f->start += done;
  buffer_consume(&f->bytes, done);
}

struct slice outflow_partial(const struct outflow *f) {
  return slice_first(buffer_slice(&f->bytes), outflow_in_progress(f));
}

struct slice outflow_at(const struct outflow *f, uint64_t begin, size_t size) {
  assert(begin >= f->start && begin + size <= outflow_end(f));
  return slice_first(slice_from(buffer_slice(&f->bytes), (size_t)(begin - f->start)), size);
}

bool outflow_raw(struct outflow *f, struct slice bytes) {
  struct outflow_run run = { outflow_end(f), bytes.size };
  if (bytes.size == 0) return true;
  if (bytes.size > OUTFLOW_RAW_MAX || buffer_size(&f->bytes) > OUTFLOW_RAW_MAX - bytes.size) return false;
  if (!buffer_append(&f->raws, slice_of(&run, sizeof run))) return false;
  bool fits = buffer_append(&f->bytes, bytes);
  assert(fits);
  return true;
}
