/* Bytes from the other end of a WebSocket, in the handshake or behind it. However they are cut, the same arrives, and
 * the end is the same. */
#include <stdio.h>
#include <stdlib.h>

#include "net/ws.h"

struct ws_fuzz_outcome {
  struct buffer in, out;
  char why[512];
  enum chain_end end;
};

static void ws_fuzz_check(bool ok) {
  if (!ok) abort();
}

static void ws_fuzz_move(struct filter *f, enum chain_direction d, struct buffer *to) {
  for (struct slice s = f->ops->give(f, d, 0); s.size; s = f->ops->give(f, d, 0)) {
    ws_fuzz_check(buffer_append(to, s));
    f->ops->gave(f, d, s.size, 0);
  }
}

static void ws_fuzz_feed(struct filter *f, struct slice bytes, size_t piece, struct ws_fuzz_outcome *o) {
  while (bytes.size) {
    struct slice part = slice_first(bytes, piece);
    size_t n = f->ops->take(f, CHAIN_IN, part, 0);
    ws_fuzz_check(n <= part.size && n > 0);
    bytes = slice_from(bytes, n);
    ws_fuzz_move(f, CHAIN_IN, &o->in);
    ws_fuzz_move(f, CHAIN_OUT, &o->out);
  }
}

static void ws_fuzz_run(struct slice bytes, unsigned flags, size_t piece, struct ws_fuzz_outcome *o) {
  struct ws_options options = { .open.path = "/mqtt", .frame_in_max = 100000 };
  bool server = flags & 1, opened = flags & 2;
  struct filter *f = ws_new(server, &options), *other = ws_new(!server, &options);
  buffer_init(&o->in, 1u << 24);
  buffer_init(&o->out, 1u << 24);
  if (opened) {
    struct ws_fuzz_outcome ignored;
    buffer_init(&ignored.in, 1u << 20);
    buffer_init(&ignored.out, 1u << 20);
    struct filter *first = server ? other : f, *second = server ? f : other;
    ws_fuzz_feed(second, first->ops->give(first, CHAIN_OUT, 0), SIZE_MAX, &ignored);
    first->ops->gave(first, CHAIN_OUT, first->ops->give(first, CHAIN_OUT, 0).size, 0);
    ws_fuzz_feed(first, buffer_slice(&ignored.out), SIZE_MAX, &ignored);
    buffer_fini(&ignored.in);
    buffer_fini(&ignored.out);
  }
  ws_fuzz_move(f, CHAIN_OUT, &o->out);
  ws_fuzz_feed(f, bytes, piece, o);
  if (flags & 4) f->ops->end(f, CHAIN_IN, CHAIN_FIN, 0);
  ws_fuzz_move(f, CHAIN_OUT, &o->out);
  o->end = f->ops->ends(f, CHAIN_IN);
  snprintf(o->why, sizeof o->why, "%s", f->why ? f->why : "");
  ws_fuzz_check(!(o->end == CHAIN_RESET) || o->why[0]);
  f->ops->free(f);
  other->ops->free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ws_fuzz_outcome a, b;
  if (size < 2) return 0;
  struct slice bytes = slice_of(data + 2, size - 2);
  ws_fuzz_run(bytes, data[0], SIZE_MAX, &a);
  ws_fuzz_run(bytes, data[0], (size_t)data[1] + 1, &b);
  ws_fuzz_check(a.end == b.end);
  ws_fuzz_check(slice_equal(buffer_slice(&a.in), buffer_slice(&b.in)));
  /* What the bytes were that are no HTTP is told of as many as had come. */
  ws_fuzz_check(strcmp(a.why, b.why) == 0 || strstr(a.why, "does not speak HTTP"));
  buffer_fini(&a.in);
  buffer_fini(&a.out);
  buffer_fini(&b.in);
  buffer_fini(&b.out);
  return 0;
}
