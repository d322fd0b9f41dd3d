#include "net/simpipe.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static uint32_t simpipe_size(size_t n) {
  if (n < SIMNET_BUFFER_MIN) return SIMNET_BUFFER_MIN;
  return n > BUFFER_MAX / 4 ? BUFFER_MAX / 4 : (uint32_t)n;
}

void simpipe_init(struct simpipe *p, size_t send, size_t receive) {
  *p = (struct simpipe){ 0 };
  buffer_init(&p->bytes, BUFFER_MAX);
  p->last = &p->first;
  simpipe_set_sizes(p, send, receive);
}

void simpipe_fini(struct simworld *w, struct simpipe *p) {
  while (p->first) simpipe_pop(w, p);
  buffer_fini(&p->bytes);
}

void simpipe_set_sizes(struct simpipe *p, size_t send, size_t receive) {
  if (send) p->send_max = simpipe_size(send);
  if (receive) p->receive_max = simpipe_size(receive);
}

void simpipe_shrink(struct simpipe *p) {
  uint64_t edge = p->delivered + p->receive_max;
  if (edge < p->sent) edge = p->sent;
  if (p->told > edge) p->told = edge;
  if (p->edge > edge) p->edge = edge;
}

size_t simpipe_room(const struct simpipe *p) {
  uint64_t held = p->taken - p->acked;
  return held < p->send_max ? p->send_max - held : 0;
}

/* They stay behind those that were sent until the pipe ends. */
void simpipe_cut(struct simpipe *p) {
  p->taken = p->sent;
  if (p->sent == p->delivered) buffer_fini(&p->bytes);
}

static struct simflight *simpipe_new(struct simworld *w) {
  struct simflight *f = w->flights;
  if (!f) return mem_zero(sizeof *f);
  w->flights = f->next;
  *f = (struct simflight){ 0 };
  return f;
}

struct simflight *simpipe_push(struct simworld *w, struct simpipe *p, enum simpipe_kind kind, size_t size,
                               int64_t at_ns) {
  struct simflight *f = simpipe_new(w);
  f->kind = (uint8_t)kind;
  f->size = (uint32_t)size;
  f->sent_ns = w->now_ns;
  f->at_ns = at_ns;
  *p->last = f;
  p->last = &f->next;
  return f;
}

void simpipe_pop(struct simworld *w, struct simpipe *p) {
  struct simflight *f = p->first;
  p->first = f->next;
  if (!p->first) p->last = &p->first;
  f->next = w->flights;
  w->flights = f;
}

static int64_t simpipe_retry_first_ns(enum simpipe_kind kind) {
  return kind == SIMPIPE_SYN || kind == SIMPIPE_SYN_ACK ? SIMNET_RETRY_SYN_NS : SIMNET_RETRY_NS;
}

int64_t simpipe_retry_ns(enum simpipe_kind kind, int64_t sent_ns, int64_t after_ns) {
  int64_t wait_ns = simpipe_retry_first_ns(kind);
  for (int i = 0; i < SIMNET_RETRIES_MAX; i++) {
    sent_ns += wait_ns;
    if (sent_ns >= after_ns) return sent_ns;
    wait_ns = wait_ns < SIMPIPE_RETRY_MAX_NS / 2 ? 2 * wait_ns : SIMPIPE_RETRY_MAX_NS;
  }
  return NET_NEVER;
}

int64_t simpipe_give_up_ns(enum simpipe_kind kind, int64_t sent_ns) {
  int64_t wait_ns = simpipe_retry_first_ns(kind);
  for (int i = 0; i <= SIMNET_RETRIES_MAX; i++) {
    sent_ns += wait_ns;
    wait_ns = wait_ns < SIMPIPE_RETRY_MAX_NS / 2 ? 2 * wait_ns : SIMPIPE_RETRY_MAX_NS;
  }
  return sent_ns;
}

void simpipe_free_spare(struct simworld *w) {
  while (w->flights) {
    struct simflight *f = w->flights;
    w->flights = f->next;
    free(f);
  }
}
