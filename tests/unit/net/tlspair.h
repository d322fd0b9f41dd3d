/* tlspair: two ends of TLS in memory, for tests: what one gives the other takes, in pieces of any size. */
#ifndef MQRIG_TLSPAIR_H
#define MQRIG_TLSPAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "net/driver.h"
#include "net/pki.h"
#include "net/tls.h"

/* A world that has nothing but a seed. */
struct tlspair_world {
  struct net net;
  struct rng rng;
};

static void tlspair_random(struct net *n, void *to, size_t size) {
  struct tlspair_world *w = (struct tlspair_world *)n;
  for (size_t i = 0; i < size; i++) ((uint8_t *)to)[i] = (uint8_t)rng_next(&w->rng);
}

static const struct net_ops tlspair_ops = { .random = tlspair_random };

struct tlspair {
  struct tlspair_world world;
  struct pki *pki;
  struct tlsconfig *configs[2];
  struct filter *ends[2]; /* client, server */
  struct buffer got[2];   /* what came out at each end for its owner */
  size_t piece;           /* bytes that go over at once; 0: all */
  size_t passed[2];       /* bytes that each end has sent */
  int64_t now_ns;
  struct err notes[2];
};

enum { TLSPAIR_CLIENT, TLSPAIR_SERVER };

static void tlspair_world_init(struct tlspair *p) {
  memset(p, 0, sizeof *p);
  p->world.net.ops = &tlspair_ops;
  p->world.rng.state = 1;
  p->pki = pki_new(&p->world.net, NULL, NULL);
  for (int i = 0; i < 2; i++) buffer_init(&p->got[i], BUFFER_MAX);
}

static void tlspair_note(void *arg, const char *what) {
  err_set(arg, "%s", what);
}

static void tlspair_config(struct tlspair *p, int end, const struct tlsconfig_options *o) {
  struct err err = { "" };
  p->configs[end] = tlsconfig_new(&p->world.net, end ? TLSCONFIG_SERVER : TLSCONFIG_CLIENT, o, &err);
  if (!p->configs[end]) fail_msg("%s", err.text);
}

static void tlspair_hang_up(struct tlspair *p) {
  for (int i = 0; i < 2; i++) {
    if (p->ends[i]) p->ends[i]->ops->free(p->ends[i]);
    p->ends[i] = NULL;
    buffer_fini(&p->got[i]);
    buffer_init(&p->got[i], BUFFER_MAX);
    p->passed[i] = 0;
    p->notes[i].text[0] = 0;
  }
}

static void tlspair_connect(struct tlspair *p, const char *host, const struct tls_orders *client,
                            const struct tls_orders *server) {
  tlspair_hang_up(p);
  for (int i = 0; i < 2; i++) {
    p->ends[i] = tls_new(&(struct tls_options){ .config = p->configs[i],
                                                .host = host,
                                                .port = 8883,
                                                .note = tlspair_note,
                                                .arg = &p->notes[i],
                                                .orders = i ? server : client });
  }
}

static void tlspair_fini(struct tlspair *p) {
  tlspair_hang_up(p);
  for (int i = 0; i < 2; i++) tlsconfig_free(p->configs[i]);
  pki_free(p->pki);
}

/* Moves what one end has to send to the other, in pieces, and what came out to `got`. True: something moved. */
static bool tlspair_move(struct tlspair *p, int from) {
  struct filter *f = p->ends[from], *to = p->ends[!from];
  struct slice out = f->ops->give(f, CHAIN_OUT, p->now_ns);
  if (p->piece) out = slice_first(out, p->piece);
  size_t n = out.size ? to->ops->take(to, CHAIN_IN, out, p->now_ns) : 0;
  if (n) f->ops->gave(f, CHAIN_OUT, n, p->now_ns);
  p->passed[from] += n;
  struct slice in = to->ops->give(to, CHAIN_IN, p->now_ns);
  buffer_append(&p->got[!from], in);
  if (in.size) to->ops->gave(to, CHAIN_IN, in.size, p->now_ns);
  return n > 0 || in.size > 0;
}

static void tlspair_run(struct tlspair *p) {
  bool moved;
  do {
    moved = tlspair_move(p, TLSPAIR_CLIENT);
    moved |= tlspair_move(p, TLSPAIR_SERVER);
  } while (moved);
}

/* Sends bytes from one end, all of them. */
static void tlspair_send(struct tlspair *p, int from, struct slice bytes) {
  struct filter *f = p->ends[from];
  while (bytes.size) {
    size_t n = f->ops->take(f, CHAIN_OUT, bytes, p->now_ns);
    bytes = slice_from(bytes, n);
    bool moved = tlspair_move(p, from);
    moved |= tlspair_move(p, !from);
    if (!n && !moved) fail_msg("nothing moves");
  }
  tlspair_run(p);
}

static const char *tlspair_why(const struct tlspair *p, int end) {
  return p->ends[end]->why ? p->ends[end]->why : "";
}

static enum chain_end tlspair_ends(const struct tlspair *p, int end, enum chain_direction d) {
  return p->ends[end]->ops->ends(p->ends[end], d);
}

static void tlspair_assert_got(const struct tlspair *p, int end, struct slice want) {
  struct slice got = buffer_slice(&p->got[end]);
  assert_int_equal(got.size, want.size);
  if (want.size) assert_memory_equal(got.data, want.data, want.size);
}

#endif
