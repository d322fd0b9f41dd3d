#include "fault/unit.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct unit *unit_new(size_t *account) {
  struct unit *u = mem_zero(sizeof *u);
  u->account = account;
  buffer_init(&u->bytes, UNIT_BYTES_MAX);
  return u;
}

struct unit *unit_new_end(size_t *account, enum chain_end end) {
  struct unit *u = unit_new(account);
  u->end = end;
  return u;
}

void unit_free(struct unit *u) {
  if (!u) return;
  *u->account -= buffer_size(&u->bytes);
  buffer_fini(&u->bytes);
  free(u);
}

void unit_append(struct unit *u, struct slice bytes) {
  bool fits = bytes.size == 0 || buffer_append(&u->bytes, bytes);
  assert(fits);
  *u->account += bytes.size;
}

void unit_consume(struct unit *u, size_t n) {
  buffer_consume(&u->bytes, n);
  *u->account -= n;
}

void unit_strip(struct unit *u) {
  unit_consume(u, u->gone);
  u->from += u->gone;
  u->gone = 0;
}

/* Another one like it, without bytes. */
static struct unit *unit_like(const struct unit *u) {
  struct unit *other = unit_new(u->account);
  other->framed = u->framed;
  other->last = u->last;
  other->injected = u->injected;
  other->first = u->first;
  other->total = u->total;
  other->from = u->from;
  other->index = u->index;
  other->offset = u->offset;
  return other;
}

static void unit_advance(struct unit *u, size_t n) {
  u->from += (uint32_t)n;
  if (!u->framed) u->offset += n;
}

struct unit *unit_split(struct unit *u, size_t at) {
  struct slice all = unit_slice(u);
  struct unit *rest = unit_like(u);
  assert(at > 0 && at < all.size && u->gone == 0);
  unit_advance(rest, at);
  unit_append(rest, slice_from(all, at));
  *u->account -= all.size - at;
  u->bytes.end -= all.size - at;
  u->last = false;
  return rest;
}

struct unit *unit_take(struct unit *u, size_t n) {
  struct unit *first = unit_like(u);
  assert(n > 0 && n < buffer_size(&u->bytes) && u->gone == 0);
  first->last = false;
  unit_append(first, slice_first(unit_slice(u), n));
  unit_consume(u, n);
  unit_advance(u, n);
  return first;
}

void unit_push(struct unit_queue *q, struct unit *u) {
  u->next = NULL;
  if (q->tail) q->tail->next = u;
  else q->head = u;
  q->tail = u;
}

void unit_push_front(struct unit_queue *q, struct unit *u) {
  u->next = q->head;
  q->head = u;
  if (!q->tail) q->tail = u;
}

struct unit *unit_pop(struct unit_queue *q) {
  struct unit *u = q->head;
  if (!u) return NULL;
  q->head = u->next;
  if (!q->head) q->tail = NULL;
  return u;
}

void unit_move(struct unit_queue *to, struct unit_queue *from) {
  for (struct unit *u = unit_pop(from); u; u = unit_pop(from)) unit_push(to, u);
}

void unit_clear(struct unit_queue *q) {
  for (struct unit *u = unit_pop(q); u; u = unit_pop(q)) unit_free(u);
}
