/* TLS over memory, at the mercy of its other end, or of what is between its ends. Nothing comes out that was not put
 * in at the other end, in order; an end that was told stays what it is; what waits is bounded.
 *
 * The first byte says which end, what keys, and which of two: the rest is what the other end sends, or the rest alters
 * records between two good ends, a few bytes for each record. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "net/driver.h"
#include "net/pki.h"
#include "net/tls.h"

#define TLS_FUZZ_ALONE_MAX 32768 /* bytes that an end may answer to an other end that is none */
#define TLS_FUZZ_TURNS     20000

enum {
  TLS_FUZZ_SERVER = 1,
  TLS_FUZZ_BETWEEN = 2,
  TLS_FUZZ_CERTIFICATES = 4,
  TLS_FUZZ_MUCH = 8,
  TLS_FUZZ_ORDERS = 16,
  TLS_FUZZ_RESUMES = 32,
  TLS_FUZZ_CUT = 64,
  TLS_FUZZ_CIPHERS = 128
};

static void tls_fuzz_check(bool ok) {
  if (!ok) abort();
}

/* A world that has nothing but a seed. */

static struct rng tls_fuzz_rng;

static void tls_fuzz_random(struct net *n, void *to, size_t size) {
  (void)n;
  for (size_t i = 0; i < size; i++) ((uint8_t *)to)[i] = (uint8_t)rng_next(&tls_fuzz_rng);
}

static const struct net_ops tls_fuzz_ops = { .random = tls_fuzz_random };
static struct net tls_fuzz_net = { .ops = &tls_fuzz_ops };

static struct tlsconfig *tls_fuzz_config(unsigned flags, bool server) {
  static struct pki *pki;
  struct tlsconfig_options o = { .resume = flags & TLS_FUZZ_RESUMES ? TLSCONFIG_RESUME_ANY : TLSCONFIG_RESUME_NO };
  struct err err;
  if (flags & TLS_FUZZ_CERTIFICATES) {
    if (!pki) pki = pki_new(&tls_fuzz_net, NULL, NULL);
    struct pki_pair pair = pki_pair(pki, server ? PKI_SERVER : PKI_CLIENT, PKI_GOOD);
    o.ca = pki_ca(pki);
    o.cert = pair.certificate;
    o.key = pair.key;
  } else {
    o.psk = "00112233";
    o.psk_identity = "me";
    if (!(flags & TLS_FUZZ_CIPHERS)) o.ciphers[0] = "TLS_PSK_WITH_AES_128_GCM_SHA256"; /* fast */
  }
  struct tlsconfig *c = tlsconfig_new(&tls_fuzz_net, server ? TLSCONFIG_SERVER : TLSCONFIG_CLIENT, &o, &err);
  tls_fuzz_check(c);
  return c;
}

/* One end, and what is known of it. */
struct tls_fuzz_end {
  struct filter *f;
  struct buffer way;  /* on its way to it */
  struct buffer held; /* of what it sent: a record that the next one overtakes */
  struct buffer old;  /* the first record that it sent */
  size_t given, got, quota;
  enum chain_end told, stream; /* to its owner; what its stream is to end with */
  bool ended;                  /* its stream has */
  bool closes;                 /* it may say close_notify */
};

struct tls_fuzz {
  struct tls_fuzz_end ends[2]; /* client, server */
  struct slice script;
  int64_t now_ns;
  size_t piece;
  bool touched;
};

static uint8_t tls_fuzz_byte(struct slice *script) {
  if (!script->size) return 0;
  uint8_t byte = script->data[0];
  *script = slice_from(*script, 1);
  return byte;
}

/* What an end says: each byte follows from its place. */
static uint8_t tls_fuzz_word(int end, size_t at) {
  return (uint8_t)(at * 31 + (at >> 8) + (size_t)end * 7);
}

static struct tls_orders tls_fuzz_orders(struct slice *script) {
  static const char *const messages[] = { NULL,
                                          "ClientHello",
                                          "ServerHello",
                                          "ServerKeyExchange",
                                          "ClientKeyExchange",
                                          "ClientFinished",
                                          "NewSessionTicket",
                                          "ServerFinished" };
  static const char *const alerts[] = { NULL, "close_notify", "no_renegotiation", "internal_error" };
  unsigned where = tls_fuzz_byte(script), what = tls_fuzz_byte(script);
  return (struct tls_orders){ .stall_at = messages[where % 8],
                              .stall_ns = 1000,
                              .alert_at = messages[where / 8 % 8],
                              .alert = alerts[what % 4],
                              .close_without_notify = what & 4 };
}

static void tls_fuzz_open(struct tls_fuzz *z, unsigned flags, struct tlsconfig *configs[2]) {
  for (int i = 0; i < 2; i++) {
    struct tls_fuzz_end *e = &z->ends[i];
    struct tls_orders orders = { .stall_ns = 0 };
    bool ordered = (flags & TLS_FUZZ_ORDERS) && i == (flags & TLS_FUZZ_SERVER);
    if (ordered) orders = tls_fuzz_orders(&z->script);
    z->touched |= ordered;
    *e = (struct tls_fuzz_end){ .quota = flags & TLS_FUZZ_MUCH ? 40000 : 40, .closes = ordered };
    e->f = tls_new(&(struct tls_options){ .config = configs[i], .host = "localhost", .port = 1, .orders = &orders });
    buffer_init(&e->way, 1u << 24);
    buffer_init(&e->held, 1u << 20);
    buffer_init(&e->old, 1u << 20);
  }
}

static void tls_fuzz_close(struct tls_fuzz *z) {
  for (int i = 0; i < 2; i++) {
    z->ends[i].f->ops->free(z->ends[i].f);
    buffer_fini(&z->ends[i].way);
    buffer_fini(&z->ends[i].held);
    buffer_fini(&z->ends[i].old);
  }
}

/* What came out for the owner is what the other end's owner said, no more, and in order. It is told of an end in order
 * only where the other end said so, and the end stays. */
static void tls_fuzz_look(struct tls_fuzz *z, int end) {
  struct tls_fuzz_end *e = &z->ends[end];
  struct slice in = e->f->ops->give(e->f, CHAIN_IN, z->now_ns);
  tls_fuzz_check(!in.size || (e->told == CHAIN_NONE && e->got + in.size <= z->ends[!end].quota));
  for (size_t i = 0; i < in.size; i++) tls_fuzz_check(in.data[i] == tls_fuzz_word(!end, e->got + i));
  e->got += in.size;
  if (in.size) e->f->ops->gave(e->f, CHAIN_IN, in.size, z->now_ns);
  enum chain_end told = e->f->ops->ends(e->f, CHAIN_IN);
  tls_fuzz_check(told >= e->told);
  tls_fuzz_check((told != CHAIN_FIN && told != CHAIN_CLOSE) || z->ends[!end].closes);
  tls_fuzz_check(told != CHAIN_RESET || e->stream == CHAIN_RESET || (e->f->why && e->f->why[0]));
  e->told = told;
}

/* What is done to a record on its way. */

static void tls_fuzz_flip(struct tls_fuzz *z, uint8_t *record, size_t size) {
  size_t at = (size_t)tls_fuzz_byte(&z->script) << 8;
  at |= tls_fuzz_byte(&z->script);
  record[at % size] ^= tls_fuzz_byte(&z->script);
}

static void tls_fuzz_alter(struct tls_fuzz *z, int from, uint8_t *record, size_t size) {
  enum { PASS, FLIP, DROP, TWICE, HOLD, SHORT, BEFORE, TYPE, BACK, OLD, FIN, RESET, OPERATIONS };
  struct tls_fuzz_end *e = &z->ends[from], *to = &z->ends[!from];
  unsigned operation = tls_fuzz_byte(&z->script) % OPERATIONS;
  size_t argument = operation == SHORT || operation == BEFORE || operation == TYPE ? tls_fuzz_byte(&z->script) : 0;
  struct slice whole = slice_of(record, size);
  z->touched |= operation != PASS;
  switch (operation) {
  case FLIP: tls_fuzz_flip(z, record, size); break;
  case DROP: return;
  case TWICE: buffer_append(&to->way, whole); break;
  case HOLD: buffer_append(&e->held, whole); return;
  case SHORT: whole = slice_first(whole, argument); break;
  case BEFORE:
    buffer_append(&to->way, slice_first(z->script, argument));
    z->script = slice_from(z->script, slice_first(z->script, argument).size);
    break;
  case TYPE: record[0] = (uint8_t)argument; break;
  case BACK: buffer_append(&e->way, whole); return;
  case OLD: buffer_append(&to->way, buffer_slice(&e->old)); break;
  case FIN: to->stream = CHAIN_FIN; break;
  case RESET: to->stream = CHAIN_RESET; break;
  default: break;
  }
  buffer_append(&to->way, whole);
  buffer_append(&to->way, buffer_slice(&e->held));
  buffer_consume(&e->held, buffer_size(&e->held));
}

/* Takes the next record of what an end has to send. */
static bool tls_fuzz_send(struct tls_fuzz *z, int from) {
  struct tls_fuzz_end *e = &z->ends[from];
  uint8_t record[5 + 65536];
  struct slice out = e->f->ops->give(e->f, CHAIN_OUT, z->now_ns);
  if (!out.size) return false;
  tls_fuzz_check(out.size > 5 && out.size <= TLS_OUT_MAX);
  size_t size = 5 + (size_t)out.data[3] * 256 + out.data[4];
  tls_fuzz_check(size <= out.size);
  memcpy(record, out.data, size);
  e->f->ops->gave(e->f, CHAIN_OUT, size, z->now_ns);
  if (!buffer_size(&e->old)) buffer_append(&e->old, slice_of(record, size));
  if (!z->ends[!from].stream) tls_fuzz_alter(z, from, record, size);
  return true;
}

static bool tls_fuzz_say(struct tls_fuzz *z, int end) {
  struct tls_fuzz_end *e = &z->ends[end];
  uint8_t words[40000];
  size_t left = e->quota - e->given;
  if (!left || e->told) return false;
  for (size_t i = 0; i < left; i++) words[i] = tls_fuzz_word(end, e->given + i);
  size_t n = e->f->ops->take(e->f, CHAIN_OUT, slice_of(words, left), z->now_ns);
  tls_fuzz_check(n <= left);
  e->given += n;
  return n > 0;
}

/* A piece of what is on its way to an end, and then the end of its stream. */
static bool tls_fuzz_arrive(struct tls_fuzz *z, int end) {
  struct tls_fuzz_end *e = &z->ends[end];
  struct slice part = slice_first(buffer_slice(&e->way), z->piece);
  if (e->told >= CHAIN_CLOSE) { /* nobody reads any more, and nobody writes */
    buffer_consume(&e->way, buffer_size(&e->way));
    if (!z->ends[!end].stream && !e->f->ops->give(e->f, CHAIN_OUT, z->now_ns).size) z->ends[!end].stream = CHAIN_FIN;
    return false;
  }
  size_t n = part.size ? e->f->ops->take(e->f, CHAIN_IN, part, z->now_ns) : 0;
  tls_fuzz_check(n <= part.size);
  buffer_consume(&e->way, n);
  bool ends = e->stream && !e->ended && !buffer_size(&e->way);
  if (ends) {
    e->f->ops->end(e->f, CHAIN_IN, e->stream, z->now_ns);
    e->ended = true;
  }
  tls_fuzz_look(z, end);
  return n > 0 || ends;
}

static bool tls_fuzz_turn(struct tls_fuzz *z) {
  bool moved = false;
  for (int i = 0; i < 2; i++) {
    moved |= tls_fuzz_say(z, i);
    moved |= tls_fuzz_send(z, i);
    moved |= tls_fuzz_arrive(z, !i);
    moved |= tls_fuzz_arrive(z, i);
  }
  return moved;
}

/* Lets time pass until the next deadline; false: there is none. */
static bool tls_fuzz_wait(struct tls_fuzz *z) {
  int64_t next = INT64_MAX;
  for (int i = 0; i < 2; i++) {
    int64_t deadline = z->ends[i].told >= CHAIN_CLOSE ? INT64_MAX : z->ends[i].f->ops->deadline(z->ends[i].f);
    if (deadline < next) next = deadline;
  }
  if (next == INT64_MAX) return false;
  if (next > z->now_ns) z->now_ns = next;
  for (int i = 0; i < 2; i++) {
    if (z->ends[i].f->ops->deadline(z->ends[i].f) <= z->now_ns) z->ends[i].f->ops->tick(z->ends[i].f, z->now_ns);
    tls_fuzz_look(z, i);
  }
  return true;
}

static void tls_fuzz_run(struct tls_fuzz *z) {
  size_t turns = 0;
  while (tls_fuzz_turn(z) || tls_fuzz_wait(z)) tls_fuzz_check(turns++ < TLS_FUZZ_TURNS);
}

/* Two good ends: what nobody touched arrives whole, and every end is told. */
static void tls_fuzz_between(struct slice script, unsigned flags, size_t piece) {
  struct tlsconfig *configs[2] = { tls_fuzz_config(flags, false), tls_fuzz_config(flags, true) };
  struct tls_fuzz z = { .piece = SIZE_MAX };
  if (flags & TLS_FUZZ_RESUMES) { /* a first one, for a session */
    tls_fuzz_open(&z, 0, configs);
    tls_fuzz_run(&z);
    tls_fuzz_close(&z);
  }
  z = (struct tls_fuzz){ .script = script, .piece = piece };
  tls_fuzz_open(&z, flags, configs);
  tls_fuzz_run(&z);
  for (int i = 0; i < 2; i++) {
    struct tls_fuzz_end *e = &z.ends[i];
    tls_fuzz_check(z.touched || (e->got == z.ends[!i].quota && e->given == e->quota && !e->told));
    if (!e->stream) e->stream = flags & TLS_FUZZ_CUT ? CHAIN_RESET : CHAIN_FIN;
    if (flags & TLS_FUZZ_CUT) continue;
    e->closes = true;
    e->f->ops->end(e->f, CHAIN_OUT, CHAIN_CLOSE, z.now_ns);
  }
  tls_fuzz_run(&z);
  for (int i = 0; i < 2; i++) tls_fuzz_check(z.ends[i].told);
  tls_fuzz_close(&z);
  for (int i = 0; i < 2; i++) tlsconfig_free(configs[i]);
}

/* Bytes in place of an other end: nothing comes of them, and however they are cut, the answer and the end are the same.
 */

struct tls_fuzz_outcome {
  struct buffer out;
  char why[512];
  enum chain_end told;
};

static void tls_fuzz_answer(struct filter *f, struct tls_fuzz_outcome *o) {
  struct slice out = f->ops->give(f, CHAIN_OUT, 0);
  tls_fuzz_check(buffer_append(&o->out, out));
  if (out.size) f->ops->gave(f, CHAIN_OUT, out.size, 0);
  tls_fuzz_check(!f->ops->give(f, CHAIN_IN, 0).size);
}

static void tls_fuzz_alone(struct slice bytes, unsigned flags, size_t piece, struct tls_fuzz_outcome *o) {
  tls_fuzz_rng.state = 2; /* not that of two ends: what these say would be good here, too */
  struct tlsconfig *config = tls_fuzz_config(flags, flags & TLS_FUZZ_SERVER);
  struct filter *f = tls_new(&(struct tls_options){ .config = config, .host = "localhost" });
  buffer_init(&o->out, TLS_FUZZ_ALONE_MAX);
  tls_fuzz_answer(f, o);
  while (bytes.size) {
    size_t n = f->ops->take(f, CHAIN_IN, slice_first(bytes, piece), 0);
    tls_fuzz_check(n > 0);
    bytes = slice_from(bytes, n);
    tls_fuzz_answer(f, o);
  }
  tls_fuzz_check(!f->ops->take(f, CHAIN_OUT, slice_text("up"), 0));
  if (flags & TLS_FUZZ_CUT) f->ops->end(f, CHAIN_IN, CHAIN_FIN, 0);
  tls_fuzz_answer(f, o);
  o->told = f->ops->ends(f, CHAIN_IN);
  snprintf(o->why, sizeof o->why, "%s", f->why ? f->why : "");
  tls_fuzz_check((o->told == CHAIN_RESET) == (o->why[0] != 0));
  tls_fuzz_check(o->told == CHAIN_RESET || !(flags & TLS_FUZZ_CUT));
  f->ops->free(f);
  tlsconfig_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct tls_fuzz_outcome a, b;
  if (size < 2) return 0;
  struct slice rest = slice_of(data + 2, size - 2);
  size_t piece = ((size_t)data[1] + 1) * (data[0] & TLS_FUZZ_MUCH ? 64 : 1);
  tls_fuzz_rng.state = 1;
  if (data[0] & TLS_FUZZ_BETWEEN) {
    tls_fuzz_between(rest, data[0], piece);
    return 0;
  }
  tls_fuzz_alone(rest, data[0], SIZE_MAX, &a);
  tls_fuzz_alone(rest, data[0], piece, &b);
  tls_fuzz_check(a.told == b.told);
  tls_fuzz_check(slice_equal(buffer_slice(&a.out), buffer_slice(&b.out)));
  /* What somebody speaks who speaks no TLS is guessed from as much as has come. */
  tls_fuzz_check(strcmp(a.why, b.why) == 0 || strstr(a.why, "does not speak TLS"));
  buffer_fini(&a.out);
  buffer_fini(&b.out);
  return 0;
}
