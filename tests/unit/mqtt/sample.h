/* sample: packets to test with: random ones of any type, and bytes from hexadecimal text. */
#ifndef MQRIG_SAMPLE_H
#define MQRIG_SAMPLE_H

#include <assert.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "mqtt/encode.h"
#include "mqtt/layout.h"

#define SAMPLE_BYTES_MAX 400
#define SAMPLE_HEX_MAX   256

/* Where the slices of a random packet point. */
struct sample {
  struct rng rng;
  uint8_t bytes[8 * SAMPLE_BYTES_MAX];
  size_t used;
};

static inline struct slice sample_bytes(struct sample *s) {
  size_t n = rng_below(&s->rng, rng_below(&s->rng, 4) ? 9 : SAMPLE_BYTES_MAX);
  uint8_t *begin = s->bytes + s->used;
  for (size_t i = 0; i < n; i++) begin[i] = (uint8_t)rng_next(&s->rng);
  s->used += n;
  return slice_of(begin, n);
}

static inline bool sample_truth(struct sample *s) {
  return rng_below(&s->rng, 2);
}

/* A list of up to four entries. */
static inline struct slice sample_items(struct sample *s, bool options) {
  uint8_t *begin = s->bytes + s->used;
  for (uint64_t n = rng_below(&s->rng, 5); n > 0; n--) {
    size_t size = rng_below(&s->rng, 12);
    s->bytes[s->used] = 0;
    s->bytes[s->used + 1] = (uint8_t)size;
    s->used += 2;
    for (size_t i = 0; i < size + options; i++) s->bytes[s->used++] = (uint8_t)rng_next(&s->rng);
  }
  return slice_of(begin, (size_t)(s->bytes + s->used - begin));
}

static inline void sample_connect_flags(struct sample *s, struct packet *p) {
  p->connect_flags = (uint8_t)rng_next(&s->rng);
  p->clean = p->connect_flags >> 1 & 1;
  p->has_will = p->connect_flags >> 2 & 1;
  p->will.qos = p->connect_flags >> 3 & 3;
  p->will.retain = p->connect_flags >> 5 & 1;
  p->has_password = p->connect_flags >> 6 & 1;
  p->has_username = p->connect_flags >> 7;
}

static inline void sample_field(struct sample *s, struct packet *p, const struct layout_field *f) {
  void *to = (char *)p + f->at;
  switch ((enum layout_kind)f->kind) {
  case LAYOUT_BYTE: *(uint8_t *)to = (uint8_t)rng_next(&s->rng); break;
  case LAYOUT_INT16: *(uint16_t *)to = (uint16_t)rng_next(&s->rng); break;
  case LAYOUT_LEVEL: *(uint8_t *)to = p->version; break;
  case LAYOUT_CONNECT_FLAGS: sample_connect_flags(s, p); break;
  case LAYOUT_CONNACK_FLAGS:
    p->connack_flags = (uint8_t)rng_next(&s->rng);
    p->session_present = p->connack_flags & 1;
    break;
  case LAYOUT_SUBSCRIPTIONS: *(struct slice *)to = sample_items(s, true); break;
  case LAYOUT_FILTERS: *(struct slice *)to = sample_items(s, false); break;
  default: *(struct slice *)to = sample_bytes(s); break;
  }
}

/* A packet of that type as encode takes it, wrong values included. */
static inline struct packet sample_packet(struct sample *s, unsigned type, uint8_t version) {
  struct packet p = { .type = (uint8_t)type, .version = version, .flags = rng_next(&s->rng) & 15 };
  s->used = 0;
  if (type == SPEC_PUBLISH) {
    p.dup = p.flags >> 3;
    p.qos = p.flags >> 1 & 3;
    p.retain = p.flags & 1;
  }
  for (const struct layout_field *f = layout_of(type); f->kind != LAYOUT_END; f++) {
    bool left_out = (f->when & LAYOUT_MORE) && !sample_truth(s);
    if (!left_out && layout_wants(f, layout_has(&p) | LAYOUT_MORE)) sample_field(s, &p, f);
  }
  return p;
}

static inline bool sample_same_field(const struct packet *a, const struct packet *b, const struct layout_field *f) {
  const void *in_a = layout_in(a, f), *in_b = layout_in(b, f);
  switch ((enum layout_kind)f->kind) {
  case LAYOUT_BYTE:
  case LAYOUT_LEVEL: return *(const uint8_t *)in_a == *(const uint8_t *)in_b;
  case LAYOUT_INT16: return *(const uint16_t *)in_a == *(const uint16_t *)in_b;
  case LAYOUT_CONNECT_FLAGS:
    return a->connect_flags == b->connect_flags && layout_connect_flags(a) == layout_connect_flags(b);
  case LAYOUT_CONNACK_FLAGS: return a->connack_flags == b->connack_flags && a->session_present == b->session_present;
  default: return slice_equal(*(const struct slice *)in_a, *(const struct slice *)in_b);
  }
}

/* Whether all fields are alike; `raw` may differ. */
static inline bool sample_same(const struct packet *a, const struct packet *b) {
  if (a->type != b->type || a->flags != b->flags || a->version != b->version) return false;
  if (a->dup != b->dup || a->qos != b->qos || a->retain != b->retain) return false;
  for (const struct layout_field *f = layout_of(a->type); f->kind != LAYOUT_END; f++)
    if (!sample_same_field(a, b, f)) return false;
  return true;
}

/* Which types a version has: the last one. */
static inline unsigned sample_last_type(uint8_t version) {
  return version == SPEC_5_0 ? SPEC_AUTH : SPEC_DISCONNECT;
}

/* The bytes on the heap with not one to spare, so that AddressSanitizer sees every step beyond them. */
static inline uint8_t *sample_exact(struct slice bytes) {
  uint8_t *copy = malloc(bytes.size);
  assert(copy || bytes.size == 0);
  if (bytes.size) memcpy(copy, bytes.data, bytes.size);
  return copy;
}

static inline unsigned sample_digit(char c) {
  return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a' + 10);
}

/* "30 05 00 01 'a/b'": bytes in hexadecimal, and text in quotes. */
static inline struct slice sample_hex(const char *text, uint8_t to[SAMPLE_HEX_MAX]) {
  size_t n = 0;
  for (const char *c = text; *c; c++) {
    assert(n < SAMPLE_HEX_MAX);
    if (*c == '\'') {
      while (*++c != '\'') to[n++] = (uint8_t)*c;
    } else if (*c != ' ') {
      to[n++] = (uint8_t)(sample_digit(c[0]) << 4 | sample_digit(c[1]));
      c++;
    }
  }
  return slice_of(to, n);
}

#endif
