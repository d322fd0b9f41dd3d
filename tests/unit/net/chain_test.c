#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "base/rng.h"
#include "net/chain.h"
#include "net/driver.h"

#define MS 1000000

/* A world in memory: time jumps to what is due next; one stream, whose other end is this test. */

struct fake {
  struct net net;
  struct stream stream;
  struct buffer sent, coming;
  size_t room, unsent; /* the stream takes `room` bytes more */
  size_t piece;        /* `coming` is handed over in pieces of at most this */
  bool opens, paused, shut, closed, reset, vanished, can_vanish, fin_comes, failure_comes, failed, writing;
  enum stream_end failure;
  unsigned turns;
};

static struct fake *fake_of(const struct net *n) {
  return (struct fake *)n;
}

static int64_t fake_clock(const struct net *n) {
  return n->now_ns;
}

static bool fake_alive(const struct fake *f) {
  return !f->closed && !f->reset && !f->vanished && !f->failed && f->stream.handler;
}

static bool fake_has_news(const struct fake *f) {
  if (!fake_alive(f)) return false;
  return f->opens || (!f->paused && (buffer_size(&f->coming) || f->fin_comes || f->failure_comes));
}

static bool fake_wait(struct net *n, int64_t until_ns, struct err *err) {
  struct fake *f = fake_of(n);
  (void)err;
  f->turns++;
  if (until_ns != NET_NEVER && until_ns > n->now_ns && !fake_has_news(f)) n->now_ns = until_ns;
  if (f->opens && fake_alive(f)) {
    f->opens = false;
    f->stream.handler->opened(f->stream.arg);
  }
  while (fake_alive(f) && !f->paused && buffer_size(&f->coming)) {
    uint8_t bytes[70000];
    struct slice s = slice_first(buffer_slice(&f->coming), f->piece);
    memcpy(bytes, s.data, s.size);
    buffer_consume(&f->coming, s.size);
    f->stream.handler->input(f->stream.arg, slice_of(bytes, s.size));
  }
  if (fake_alive(f) && !f->paused && f->fin_comes) {
    f->fin_comes = false;
    f->stream.handler->ended(f->stream.arg, STREAM_FIN, false, NULL);
  }
  if (fake_alive(f) && !f->paused && f->failure_comes) {
    struct err why = { "the wire was cut" };
    f->failed = true;
    f->stream.handler->ended(f->stream.arg, f->failure, f->writing, &why);
  }
  return true;
}

static void fake_wake(struct net *n) {
  (void)n;
}

static void fake_flush(struct stream *s) {
  struct fake *f = fake_of(s->net);
  while (fake_alive(f) && !f->shut) {
    struct slice out = f->stream.handler->output(s->arg);
    out = slice_first(out, f->room);
    if (!fake_alive(f) || f->shut || out.size == 0) return;
    assert_true(buffer_append(&f->sent, out));
    f->room -= out.size;
    f->stream.handler->wrote(s->arg, out.size);
  }
}

static void fake_pause(struct stream *s, bool paused) {
  fake_of(s->net)->paused = paused;
}

static size_t fake_unsent(const struct stream *s) {
  return fake_of(s->net)->unsent;
}

static void fake_shutdown(struct stream *s) {
  fake_of(s->net)->shut = true;
}

static void fake_gone(struct stream *s, bool *how) {
  assert_false(fake_of(s->net)->closed || fake_of(s->net)->reset || fake_of(s->net)->vanished);
  *how = true;
  stream_fini(s);
}

static void fake_close(struct stream *s) {
  fake_gone(s, &fake_of(s->net)->closed);
}

static void fake_reset(struct stream *s) {
  fake_gone(s, &fake_of(s->net)->reset);
}

static bool fake_vanish(struct stream *s, struct err *err) {
  if (!fake_of(s->net)->can_vanish) return err_set(err, "cannot vanish");
  fake_gone(s, &fake_of(s->net)->vanished);
  return true;
}

static const struct net_ops fake_ops = {
  .clock = fake_clock,
  .wait = fake_wait,
  .wake = fake_wake,
  .flush = fake_flush,
  .pause = fake_pause,
  .unsent = fake_unsent,
  .shutdown = fake_shutdown,
  .close = fake_close,
  .reset = fake_reset,
  .vanish = fake_vanish,
};

static void fake_init(struct fake *f) {
  memset(f, 0, sizeof *f);
  net_init(&f->net, &fake_ops);
  f->net.now_ns = 1000;
  f->stream.net = &f->net;
  buffer_init(&f->sent, 1u << 24);
  buffer_init(&f->coming, 1u << 24);
  f->room = SIZE_MAX;
  f->piece = NET_READ_MAX;
  f->failure = STREAM_RESET;
}

static void fake_fini(struct fake *f) {
  buffer_fini(&f->sent);
  buffer_fini(&f->coming);
  net_fini(&f->net);
}

static void fake_turn(struct fake *f) {
  struct err err;
  assert_true(net_turn(&f->net, NET_NEVER, &err));
}

/* As time goes by, up to `until_ns`. */
static void fake_turns(struct fake *f, int64_t until_ns) {
  struct err err;
  while (f->net.now_ns < until_ns) assert_true(net_turn(&f->net, until_ns, &err));
}

/* The owner. */

struct owner {
  struct chain *chain;
  struct buffer out, in;
  unsigned opened, fins, ends;
  size_t free_at; /* in the nth call of a handler the chain is freed */
  size_t calls;
  enum stream_end end;
  bool writing, stream_gone;
  struct err why;
  const uint8_t *last_input;
};

static bool owner_count(struct owner *o) {
  assert_non_null(o->chain);
  if (++o->calls != o->free_at) return false;
  chain_free(o->chain);
  o->chain = NULL;
  return true;
}

static void owner_opened(void *arg) {
  struct owner *o = arg;
  o->opened++;
  owner_count(o);
}

static void owner_input(void *arg, struct slice bytes) {
  struct owner *o = arg;
  assert_true(bytes.size > 0 && bytes.size <= NET_READ_MAX);
  assert_int_equal(o->fins + o->ends, 0);
  o->last_input = bytes.data;
  if (!owner_count(o)) buffer_append(&o->in, bytes);
}

static struct slice owner_output(void *arg) {
  struct owner *o = arg;
  if (owner_count(o)) return (struct slice){ 0 };
  return buffer_slice(&o->out);
}

static void owner_wrote(void *arg, size_t n) {
  struct owner *o = arg;
  buffer_consume(&o->out, n);
  owner_count(o);
}

static void owner_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct owner *o = arg;
  assert_int_equal(o->ends, 0);
  o->stream_gone = chain_stream(o->chain) == NULL;
  if (end == STREAM_FIN) {
    o->fins++;
    if (why) o->why = *why;
  } else {
    o->ends++;
    o->end = end;
    o->writing = writing;
    o->why = *why;
  }
  owner_count(o);
}

static const struct stream_handler owner_handler = { owner_opened, owner_input, owner_output, owner_wrote,
                                                     owner_ended };

static void owner_init(struct owner *o, struct fake *f) {
  memset(o, 0, sizeof *o);
  buffer_init(&o->out, 1u << 24);
  buffer_init(&o->in, 1u << 24);
  o->chain = chain_new(&f->net, &owner_handler, o);
}

static void owner_fini(struct owner *o) {
  chain_free(o->chain);
  buffer_fini(&o->out);
  buffer_fini(&o->in);
}

/* A filter that can do what filters do: hold back, delay, take a little at a time, speak first, end at a byte. */

struct probe_side {
  struct buffer bytes;
  size_t take_max, passed;
  int64_t delay_ns, ready_ns;
  bool held;
  size_t end_at; /* with end_kind, once so many bytes went on */
  enum chain_end end_kind, end;
};

struct probe {
  struct filter filter;
  struct probe_side sides[2];
  unsigned *freed;
};

static size_t probe_take(struct filter *f, enum chain_direction d, struct slice bytes, int64_t now_ns) {
  struct probe_side *s = &((struct probe *)f)->sides[d];
  assert_int_equal(s->end, CHAIN_NONE);
  assert_true(bytes.size > 0);
  if (s->end_kind) bytes = slice_first(bytes, s->end_at - s->passed - buffer_size(&s->bytes));
  bytes = slice_first(bytes, s->take_max);
  bytes = slice_first(bytes, buffer_room(&s->bytes));
  if (buffer_size(&s->bytes) == 0) s->ready_ns = now_ns + s->delay_ns;
  buffer_append(&s->bytes, bytes);
  return bytes.size;
}

static void probe_end(struct filter *f, enum chain_direction d, enum chain_end end, int64_t now_ns) {
  struct probe_side *s = &((struct probe *)f)->sides[d];
  (void)now_ns;
  assert_true(end > s->end);
  s->end = end;
}

static struct slice probe_give(struct filter *f, enum chain_direction d, int64_t now_ns) {
  struct probe_side *s = &((struct probe *)f)->sides[d];
  if (s->held || s->ready_ns > now_ns) return (struct slice){ 0 };
  return buffer_slice(&s->bytes);
}

static void probe_gave(struct filter *f, enum chain_direction d, size_t n, int64_t now_ns) {
  struct probe_side *s = &((struct probe *)f)->sides[d];
  (void)now_ns;
  buffer_consume(&s->bytes, n);
  s->passed += n;
}

static enum chain_end probe_ends(struct filter *f, enum chain_direction d) {
  struct probe_side *s = &((struct probe *)f)->sides[d];
  if (buffer_size(&s->bytes)) return CHAIN_NONE;
  return s->end_kind && s->passed == s->end_at && s->end_kind > s->end ? s->end_kind : s->end;
}

static int64_t probe_deadline(struct filter *f) {
  struct probe *p = (struct probe *)f;
  int64_t at_ns = NET_NEVER;
  for (int d = 0; d < 2; d++) {
    struct probe_side *s = &p->sides[d];
    if (s->ready_ns && buffer_size(&s->bytes) && s->ready_ns < at_ns) at_ns = s->ready_ns;
  }
  return at_ns;
}

static void probe_tick(struct filter *f, int64_t now_ns) {
  struct probe *p = (struct probe *)f;
  for (int d = 0; d < 2; d++) {
    if (p->sides[d].ready_ns <= now_ns) p->sides[d].ready_ns = 0;
  }
}

static void probe_free(struct filter *f) {
  struct probe *p = (struct probe *)f;
  if (p->freed) ++*p->freed;
  for (int d = 0; d < 2; d++) buffer_fini(&p->sides[d].bytes);
  free(p);
}

static const struct filter_ops probe_ops = { "probe",    probe_take,     probe_end,  probe_give, probe_gave,
                                             probe_ends, probe_deadline, probe_tick, probe_free };

static struct probe *probe_new(void) {
  struct probe *p = mem_zero(sizeof *p);
  p->filter.ops = &probe_ops;
  for (int d = 0; d < 2; d++) {
    buffer_init(&p->sides[d].bytes, 1u << 20);
    p->sides[d].take_max = SIZE_MAX;
  }
  return p;
}

/* Both with an attached stream. */
static void chain_begin(struct fake *f, struct owner *o) {
  fake_init(f);
  owner_init(o, f);
  chain_attach(o->chain, &f->stream);
}

static void chain_finish(struct fake *f, struct owner *o) {
  owner_fini(o);
  fake_fini(f);
}

static void owner_send(struct owner *o, const char *text) {
  buffer_append(&o->out, slice_text(text));
  chain_want_write(o->chain);
}

static void expect_bytes(const struct buffer *b, const char *text) {
  assert_int_equal(buffer_size(b), strlen(text));
  assert_memory_equal(buffer_slice(b).data, text, strlen(text));
}

/* Without filters the owner's bytes are the stream's and the other way round, and no timer is set. */
static void test_direct(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  f.opens = true;
  owner_send(&o, "hello");
  buffer_append(&f.coming, slice_text("there"));
  fake_turn(&f);
  assert_int_equal(o.opened, 1);
  expect_bytes(&f.sent, "hello");
  expect_bytes(&o.in, "there");
  assert_int_equal(f.net.timers.count, 0);
  f.fin_comes = true;
  fake_turn(&f);
  assert_int_equal(o.fins, 1);
  owner_send(&o, "more");
  fake_turn(&f);
  expect_bytes(&f.sent, "hellomore");
  f.failure_comes = true;
  f.failure = STREAM_TIMEOUT;
  f.writing = true;
  fake_turn(&f);
  assert_int_equal(o.ends, 1);
  assert_int_equal(o.end, STREAM_TIMEOUT);
  assert_true(o.writing);
  assert_string_equal(o.why.text, "the wire was cut");
  chain_finish(&f, &o);
}

static void collect(void *arg, enum chain_direction d, struct slice bytes) {
  struct buffer *seen = arg;
  assert_true(buffer_append(&seen[d], bytes));
}

static void collect_end(void *arg, enum chain_direction d, enum chain_end end) {
  (void)arg, (void)d, (void)end;
}

/* Whatever filters there are, and however little they take at a time: the same bytes come out, in both directions, and
 * then the ends. A tap sees them, wherever it looks. */
static void test_any_filters(void **state) {
  static const struct chain_tap tap = { collect, collect_end };
  struct filter_ops wrapping = probe_ops;
  wrapping.wraps = true;
  (void)state;
  for (uint64_t seed = 1; seed <= 300; seed++) {
    struct rng rng = { seed };
    struct fake f;
    struct owner o;
    unsigned freed = 0, count = (unsigned)rng_below(&rng, 5);
    chain_begin(&f, &o);
    for (unsigned i = 0; i < count; i++) {
      struct probe *p = probe_new();
      p->freed = &freed;
      if (rng_below(&rng, 3) == 0) p->filter.ops = &wrapping;
      for (int d = 0; d < 2; d++) {
        p->sides[d].take_max = 1 + rng_below(&rng, 3000);
        p->sides[d].bytes.limit = 1 + rng_below(&rng, 5000);
        if (p->sides[d].bytes.limit > 200) p->sides[d].delay_ns = (int64_t)rng_below(&rng, 3 * MS);
      }
      if (rng_below(&rng, 2)) chain_push_inner(o.chain, &p->filter);
      else chain_push_outer(o.chain, &p->filter);
    }
    struct buffer seen[2];
    buffer_init(&seen[CHAIN_OUT], 1u << 20);
    buffer_init(&seen[CHAIN_IN], 1u << 20);
    chain_tap(o.chain, &tap, seen);
    static uint8_t up[60000], down[60000];
    for (size_t i = 0; i < sizeof up; i++) {
      up[i] = (uint8_t)rng_next(&rng);
      down[i] = (uint8_t)rng_next(&rng);
    }
    bool stall = false;
    f.piece = 1 + rng_below(&rng, 9000);
    for (size_t a = 0, b = 0; a < sizeof up || b < sizeof down;) {
      size_t n = rng_below(&rng, 5000), m = rng_below(&rng, 5000);
      if (n > sizeof up - a) n = sizeof up - a;
      if (m > sizeof down - b) m = sizeof down - b;
      buffer_append(&o.out, slice_of(up + a, n));
      buffer_append(&f.coming, slice_of(down + b, m));
      a += n;
      b += m;
      f.room = rng_below(&rng, 6000);
      chain_stall(o.chain, CHAIN_STALL_NOW, stall = rng_below(&rng, 5) == 0);
      chain_pause(o.chain, rng_below(&rng, 5) == 0);
      chain_want_write(o.chain);
      fake_turns(&f, f.net.now_ns + (int64_t)rng_below(&rng, MS));
    }
    f.room = SIZE_MAX;
    f.fin_comes = true;
    chain_stall(o.chain, CHAIN_STALL_NOW, false);
    chain_pause(o.chain, false);
    chain_end(o.chain, CHAIN_FIN);
    fake_turns(&f, f.net.now_ns + 10000 * (int64_t)MS);
    assert_int_equal(buffer_size(&f.sent), sizeof up);
    assert_memory_equal(buffer_slice(&f.sent).data, up, sizeof up);
    assert_int_equal(buffer_size(&o.in), sizeof down);
    assert_memory_equal(buffer_slice(&o.in).data, down, sizeof down);
    assert_true(slice_equal(buffer_slice(&seen[CHAIN_OUT]), slice_of(up, sizeof up)));
    assert_true(slice_equal(buffer_slice(&seen[CHAIN_IN]), slice_of(down, sizeof down)));
    chain_tap(o.chain, NULL, NULL);
    for (int d = 0; d < 2; d++) buffer_fini(&seen[d]);
    assert_true(f.shut);
    assert_false(f.closed);
    assert_int_equal(o.fins, 1);
    chain_end(o.chain, CHAIN_CLOSE);
    fake_turns(&f, f.net.now_ns + 1000 * (int64_t)MS);
    assert_true(f.closed);
    assert_null(chain_stream(o.chain));
    chain_finish(&f, &o);
    assert_int_equal(freed, count);
  }
}

/* A delayed byte comes at its time, exactly, and a failure of the stream behind it. */
static void test_delay(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  struct probe *p = probe_new();
  p->sides[CHAIN_IN].delay_ns = 50 * MS;
  p->sides[CHAIN_OUT].delay_ns = 20 * MS;
  chain_push_inner(o.chain, &p->filter);
  int64_t begin_ns = f.net.now_ns;
  buffer_append(&f.coming, slice_text("slow"));
  f.failure_comes = true;
  f.failure = STREAM_RESET;
  owner_send(&o, "up");
  fake_turns(&f, begin_ns + 20 * MS - 1);
  assert_int_equal(buffer_size(&f.sent), 0);
  fake_turns(&f, begin_ns + 50 * MS - 1);
  assert_int_equal(buffer_size(&o.in) + o.ends, 0);
  fake_turns(&f, begin_ns + 50 * MS);
  expect_bytes(&o.in, "slow");
  assert_int_equal(o.ends, 1);
  assert_int_equal(o.end, STREAM_RESET);
  chain_finish(&f, &o);

  chain_begin(&f, &o);
  p = probe_new();
  p->sides[CHAIN_OUT].delay_ns = 20 * MS;
  chain_push_inner(o.chain, &p->filter);
  begin_ns = f.net.now_ns;
  owner_send(&o, "up");
  fake_turns(&f, begin_ns + 20 * MS - 1);
  assert_int_equal(buffer_size(&f.sent), 0);
  assert_int_equal(buffer_size(&o.out), 0);
  unsigned turns = f.turns;
  fake_turns(&f, begin_ns + 20 * MS);
  expect_bytes(&f.sent, "up");
  assert_true(f.turns <= turns + 2);
  chain_finish(&f, &o);
}

/* A reset that goes out after n bytes: the stream has exactly these, and nothing is reset before they are acknowledged.
 */
static void test_reset_out(void **state) {
  (void)state;
  for (int writing = 0; writing < 2; writing++) {
    struct fake f;
    struct owner o;
    chain_begin(&f, &o);
    struct probe *p = probe_new();
    p->sides[CHAIN_OUT].end_at = 7;
    p->sides[CHAIN_OUT].end_kind = CHAIN_RESET;
    p->filter.writing = writing;
    chain_push_inner(o.chain, &p->filter);
    chain_push_outer(o.chain, &probe_new()->filter);
    f.unsent = 3;
    owner_send(&o, "0123456789");
    int64_t begin_ns = f.net.now_ns;
    fake_turns(&f, begin_ns + 30 * MS);
    expect_bytes(&f.sent, "0123456");
    expect_bytes(&o.out, "789");
    assert_false(f.reset);
    buffer_append(&f.coming, slice_text("an answer that comes too late"));
    f.unsent = 0;
    fake_turns(&f, begin_ns + 40 * MS);
    assert_true(f.reset);
    assert_int_equal(o.ends, 1);
    assert_int_equal(o.end, STREAM_RESET);
    assert_int_equal(o.writing, writing);
    assert_true(o.stream_gone);
    assert_int_equal(buffer_size(&o.in), 0);
    chain_finish(&f, &o);
  }
}

/* An other end that never acknowledges cannot hold a reset up for ever, and the sentence tells of it. */
static void test_reset_in_spite(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  f.unsent = 99;
  int64_t begin_ns = f.net.now_ns;
  chain_reset(o.chain);
  fake_turns(&f, begin_ns + CHAIN_RESET_WAIT_NS - 1);
  assert_false(f.reset);
  assert_true(f.turns < 300);
  fake_turns(&f, begin_ns + CHAIN_RESET_WAIT_NS + 10 * MS);
  assert_true(f.reset);
  assert_int_equal(o.ends, 1);
  assert_non_null(strstr(o.why.text, "99 bytes"));
  chain_finish(&f, &o);

  /* The other end resets first; and: freed while it waits. */
  chain_begin(&f, &o);
  f.unsent = 1;
  chain_reset(o.chain);
  f.failure_comes = true;
  fake_turns(&f, f.net.now_ns + MS);
  assert_true(f.closed);
  assert_int_equal(o.ends, 1);
  assert_int_equal(o.end, STREAM_RESET);
  chain_finish(&f, &o);
  chain_begin(&f, &o);
  f.unsent = 1;
  chain_reset(o.chain);
  chain_free(o.chain);
  o.chain = NULL;
  assert_true(f.reset);
  chain_finish(&f, &o);
}

/* chain_reset with nothing unacknowledged resets inside the call, tells of it in a turn, and skips what filters hold.
 */
static void test_reset_now(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  struct probe *p = probe_new();
  p->sides[CHAIN_OUT].held = true;
  chain_push_inner(o.chain, &p->filter);
  owner_send(&o, "held");
  fake_turns(&f, f.net.now_ns + MS);
  chain_stall(o.chain, CHAIN_STALL_NOW, true);
  chain_reset(o.chain);
  assert_true(f.reset);
  assert_int_equal(o.ends, 0);
  fake_turn(&f);
  assert_int_equal(o.ends, 1);
  assert_int_equal(o.end, STREAM_RESET);
  chain_finish(&f, &o);
}

/* An end that a filter makes inwards: the owner gets the bytes before it, then the end, and the stream has it too. */
static void test_ends_in(void **state) {
  (void)state;
  static const enum chain_end kinds[] = { CHAIN_FIN, CHAIN_CLOSE, CHAIN_RESET, CHAIN_VANISH };
  for (int i = 0; i < 4; i++) {
    struct fake f;
    struct owner o;
    chain_begin(&f, &o);
    f.can_vanish = true;
    struct probe *p = probe_new();
    p->sides[CHAIN_IN].end_at = 3;
    p->sides[CHAIN_IN].end_kind = kinds[i];
    chain_push_outer(o.chain, &probe_new()->filter);
    chain_push_outer(o.chain, &p->filter);
    buffer_append(&f.coming, slice_text("abcdef"));
    fake_turns(&f, f.net.now_ns + 10 * MS);
    expect_bytes(&o.in, "abc");
    assert_int_equal(o.fins, kinds[i] == CHAIN_FIN || kinds[i] == CHAIN_CLOSE);
    assert_int_equal(o.ends, kinds[i] == CHAIN_RESET);
    assert_int_equal(f.closed, kinds[i] == CHAIN_CLOSE);
    assert_int_equal(f.reset, kinds[i] == CHAIN_RESET);
    assert_int_equal(f.vanished, kinds[i] == CHAIN_VANISH);
    assert_int_equal(chain_stream(o.chain) == NULL, kinds[i] != CHAIN_FIN);
    chain_finish(&f, &o);
  }
}

/* And one that a filter makes outwards. */
static void test_ends_out(void **state) {
  (void)state;
  static const enum chain_end kinds[] = { CHAIN_FIN, CHAIN_CLOSE, CHAIN_RESET, CHAIN_VANISH };
  for (int i = 0; i < 4; i++) {
    struct fake f;
    struct owner o;
    chain_begin(&f, &o);
    f.can_vanish = true;
    struct probe *p = probe_new();
    p->sides[CHAIN_OUT].end_at = 3;
    p->sides[CHAIN_OUT].end_kind = kinds[i];
    chain_push_inner(o.chain, &p->filter);
    chain_push_inner(o.chain, &probe_new()->filter);
    owner_send(&o, "abcdef");
    fake_turns(&f, f.net.now_ns + 10 * MS);
    expect_bytes(&f.sent, "abc");
    assert_int_equal(f.shut, kinds[i] == CHAIN_FIN);
    assert_int_equal(f.closed, kinds[i] == CHAIN_CLOSE);
    assert_int_equal(f.reset, kinds[i] == CHAIN_RESET);
    assert_int_equal(f.vanished, kinds[i] == CHAIN_VANISH);
    assert_int_equal(o.fins, kinds[i] == CHAIN_CLOSE);
    assert_int_equal(o.ends, kinds[i] == CHAIN_RESET);
    if (kinds[i] == CHAIN_FIN) {
      buffer_append(&f.coming, slice_text("still comes"));
      chain_end(o.chain, CHAIN_CLOSE);
      fake_turns(&f, f.net.now_ns + 10 * MS);
      assert_true(f.closed);
    }
    chain_finish(&f, &o);
  }
}

/* CLOSE: at once if that can be, and then not told, unless it was somebody else's; behind what is delayed or does not
 * fit, and told. */
static void test_close(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  owner_send(&o, "bye");
  chain_end(o.chain, CHAIN_CLOSE);
  assert_null(chain_stream(o.chain));
  expect_bytes(&f.sent, "bye");
  assert_true(f.closed);
  fake_turn(&f);
  assert_int_equal(o.fins + o.ends, 0);
  chain_finish(&f, &o);

  chain_begin(&f, &o);
  owner_send(&o, "bye");
  chain_close(o.chain);
  assert_null(chain_stream(o.chain));
  assert_int_equal(o.fins, 0);
  fake_turn(&f);
  expect_bytes(&f.sent, "bye");
  assert_true(f.closed && o.stream_gone);
  assert_int_equal(o.fins, 1);
  chain_finish(&f, &o);

  chain_begin(&f, &o);
  f.room = 1;
  owner_send(&o, "bye");
  chain_end(o.chain, CHAIN_CLOSE);
  assert_non_null(chain_stream(o.chain));
  f.room = 10;
  stream_want_write(&f.stream);
  fake_turn(&f);
  fake_turn(&f);
  expect_bytes(&f.sent, "bye");
  assert_true(f.closed && o.stream_gone);
  assert_int_equal(o.fins, 1);
  chain_finish(&f, &o);

  chain_begin(&f, &o);
  struct probe *p = probe_new();
  p->sides[CHAIN_OUT].delay_ns = 5 * MS;
  chain_push_inner(o.chain, &p->filter);
  f.fin_comes = true;
  fake_turn(&f);
  assert_int_equal(o.fins, 1);
  owner_send(&o, "bye");
  int64_t begin_ns = f.net.now_ns;
  chain_end(o.chain, CHAIN_CLOSE);
  fake_turns(&f, begin_ns + 5 * MS - 1);
  assert_false(f.closed);
  fake_turns(&f, begin_ns + 6 * MS);
  expect_bytes(&f.sent, "bye");
  assert_true(f.closed && o.stream_gone);
  assert_int_equal(o.fins, 2);
  chain_finish(&f, &o);
}

/* A filter that holds back gives when it is kicked; one that takes no more stops the stream, and goes on when there is
 * room. */
static void test_hold(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  struct probe *p = probe_new();
  p->sides[CHAIN_IN].held = p->sides[CHAIN_OUT].held = true;
  p->sides[CHAIN_IN].bytes.limit = 1000;
  chain_push_inner(o.chain, &p->filter);
  static uint8_t zeros[200000];
  buffer_append(&f.coming, slice_of(zeros, sizeof zeros));
  owner_send(&o, "out");
  fake_turns(&f, f.net.now_ns + 10 * MS);
  assert_true(f.paused);
  assert_int_equal(buffer_size(&o.in) + buffer_size(&f.sent), 0);
  assert_true(buffer_size(&f.coming) > 0);
  unsigned turns = f.turns;
  fake_turns(&f, f.net.now_ns + 10 * MS);
  assert_true(f.turns <= turns + 1);
  p->sides[CHAIN_IN].held = p->sides[CHAIN_OUT].held = false;
  chain_kick(o.chain);
  assert_int_equal(buffer_size(&o.in), 0);
  fake_turns(&f, f.net.now_ns + 10 * MS);
  expect_bytes(&f.sent, "out");
  assert_int_equal(buffer_size(&o.in), sizeof zeros);
  assert_false(f.paused);
  chain_finish(&f, &o);
}

/* A filter may speak first, and answer: bytes that nobody gave it flow. */
static void test_handshake(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  fake_init(&f);
  owner_init(&o, &f);
  struct probe *p = probe_new();
  buffer_append(&p->sides[CHAIN_OUT].bytes, slice_text("HELLO "));
  p->sides[CHAIN_IN].held = true;
  chain_push_outer(o.chain, &p->filter);
  chain_attach(o.chain, &f.stream);
  fake_turn(&f);
  expect_bytes(&f.sent, "HELLO ");
  buffer_append(&f.coming, slice_text("x"));
  buffer_append(&p->sides[CHAIN_OUT].bytes, slice_text("FINISHED"));
  fake_turns(&f, f.net.now_ns + MS);
  expect_bytes(&f.sent, "HELLO FINISHED");
  chain_finish(&f, &o);
}

/* Stalled: nothing passes, ends neither; afterwards all of it does. */
static void test_stall(void **state) {
  (void)state;
  for (int filters = 0; filters < 2; filters++) {
    struct fake f;
    struct owner o;
    chain_begin(&f, &o);
    if (filters) chain_push_inner(o.chain, &probe_new()->filter);
    chain_stall(o.chain, CHAIN_STALL_NOW, true);
    assert_true(f.paused);
    owner_send(&o, "out");
    buffer_append(&f.coming, slice_text("in"));
    f.fin_comes = f.failure_comes = true;
    chain_end(o.chain, CHAIN_FIN);
    fake_turns(&f, f.net.now_ns + 10 * MS);
    assert_int_equal(buffer_size(&f.sent) + buffer_size(&o.in) + o.fins + o.ends, 0);
    assert_false(f.shut);
    chain_stall(o.chain, CHAIN_STALL_NOW, false);
    f.failure_comes = false;
    fake_turns(&f, f.net.now_ns + 10 * MS);
    expect_bytes(&f.sent, "out");
    expect_bytes(&o.in, "in");
    assert_int_equal(o.fins, 1);
    assert_true(f.shut);
    chain_finish(&f, &o);
  }
}

/* A stalled connection can be closed: at once, without what has not passed; and who stalled it does not matter. */
static void test_close_stalled(void **state) {
  (void)state;
  for (int filters = 0; filters < 2; filters++) {
    struct fake f;
    struct owner o;
    chain_begin(&f, &o);
    if (filters) chain_push_inner(o.chain, &probe_new()->filter);
    chain_stall(o.chain, CHAIN_STALL_NOW, true);
    chain_stall(o.chain, CHAIN_STALL_PAUSE, true);
    chain_stall(o.chain, CHAIN_STALL_NOW, false);
    owner_send(&o, "out");
    fake_turns(&f, f.net.now_ns + 10 * MS);
    assert_int_equal(buffer_size(&f.sent), 0);
    chain_close(o.chain);
    assert_true(f.closed);
    assert_int_equal(o.fins + o.ends, 0);
    fake_turn(&f);
    assert_int_equal(o.fins, 1);
    assert_null(chain_stream(o.chain));
    assert_int_equal(buffer_size(&f.sent), 0);
    chain_finish(&f, &o);
  }
}

/* Vanished: the owner's bytes are taken and go nowhere, nothing comes in; where the system cannot, it says so and does
 * as much as it can. */
static void test_vanish(void **state) {
  (void)state;
  for (int can = 0; can < 2; can++) {
    struct fake f;
    struct owner o;
    struct err err = { "" };
    chain_begin(&f, &o);
    f.can_vanish = can;
    assert_int_equal(chain_vanish(o.chain, &err), can);
    if (!can) assert_string_equal(err.text, "cannot vanish");
    assert_int_equal(f.paused, !can);
    owner_send(&o, "nobody hears");
    buffer_append(&f.coming, slice_text("in"));
    f.failure_comes = true;
    fake_turns(&f, f.net.now_ns + 10 * MS);
    assert_int_equal(buffer_size(&o.out), 0);
    assert_int_equal(buffer_size(&f.sent) + buffer_size(&o.in) + o.fins + o.ends, 0);
    owner_send(&o, "again");
    chain_flush(o.chain);
    assert_int_equal(buffer_size(&o.out), 0);
    assert_int_equal(f.closed, 0);
    chain_free(o.chain);
    o.chain = NULL;
    assert_int_equal(f.closed, !can);
    chain_finish(&f, &o);
  }
}

/* chain_fin: outwards the stream is half-closed at once; inwards the owner is told in the next turn, and a failure
 * still. */
static void test_fin_now(void **state) {
  (void)state;
  struct fake f;
  struct owner o;
  chain_begin(&f, &o);
  chain_fin(o.chain, CHAIN_OUT);
  assert_true(f.shut);
  owner_send(&o, "never");
  chain_fin(o.chain, CHAIN_IN);
  assert_int_equal(o.fins, 0);
  buffer_append(&f.coming, slice_text("in"));
  fake_turns(&f, f.net.now_ns + MS);
  assert_int_equal(o.fins, 1);
  assert_int_equal(buffer_size(&o.in) + buffer_size(&f.sent), 0);
  f.failure_comes = true;
  fake_turns(&f, f.net.now_ns + MS);
  assert_int_equal(o.fins, 1);
  assert_int_equal(o.ends, 1);
  chain_finish(&f, &o);
}

/* The owner may free its chain in any call of any of its handlers. */
static void test_free_anywhere(void **state) {
  (void)state;
  for (int filters = 0; filters < 3; filters++) {
    for (int kind = 0; kind < 5; kind++) {
      bool all = false;
      for (size_t at = 1; !all; at++) {
        struct fake f;
        struct owner o;
        chain_begin(&f, &o);
        o.free_at = at;
        for (int i = 0; i < filters; i++) chain_push_inner(o.chain, &probe_new()->filter);
        f.opens = true;
        f.piece = 2;
        f.can_vanish = true;
        owner_send(&o, "output");
        buffer_append(&f.coming, slice_text("input"));
        f.fin_comes = kind & 1;
        f.failure_comes = kind & 2;
        fake_turns(&f, f.net.now_ns + MS);
        if (o.chain && kind == 3) chain_reset(o.chain);
        if (o.chain && kind == 4) chain_vanish(o.chain, NULL);
        if (o.chain) owner_send(&o, "more");
        if (o.chain) chain_flush(o.chain);
        if (o.chain) chain_end(o.chain, CHAIN_CLOSE);
        fake_turns(&f, f.net.now_ns + MS);
        all = o.chain != NULL;
        chain_finish(&f, &o);
      }
    }
  }
}

/* What a filter says of an end that it makes comes to the owner through the filters inside it, also where the stream
 * has failed since. */
static void test_filter_says_why(void **state) {
  (void)state;
  for (int fin = 0; fin < 2; fin++) {
    struct fake f;
    struct owner o;
    fake_init(&f);
    owner_init(&o, &f);
    chain_attach(o.chain, &f.stream);
    struct probe *inner = probe_new(), *outer = probe_new();
    outer->sides[CHAIN_IN].end_kind = fin ? CHAIN_FIN : CHAIN_RESET;
    outer->sides[CHAIN_IN].end_at = 3;
    outer->filter.why = "told by a filter";
    outer->filter.how = fin ? STREAM_FIN : STREAM_FAILED;
    inner->sides[CHAIN_IN].delay_ns = MS;
    chain_push_inner(o.chain, &inner->filter);
    chain_push_outer(o.chain, &outer->filter);
    buffer_append(&f.coming, slice_text("abc"));
    f.failure_comes = !fin;
    fake_turns(&f, 10 * MS);
    assert_int_equal(buffer_size(&o.in), 3);
    assert_int_equal(o.fins, fin);
    assert_int_equal(o.ends, !fin);
    if (!fin) assert_int_equal(o.end, STREAM_FAILED);
    assert_string_equal(o.why.text, "told by a filter");
    owner_fini(&o);
    fake_fini(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_direct),        cmocka_unit_test(test_any_filters),     cmocka_unit_test(test_delay),
    cmocka_unit_test(test_reset_out),     cmocka_unit_test(test_reset_in_spite),  cmocka_unit_test(test_reset_now),
    cmocka_unit_test(test_ends_in),       cmocka_unit_test(test_ends_out),        cmocka_unit_test(test_close),
    cmocka_unit_test(test_hold),          cmocka_unit_test(test_handshake),       cmocka_unit_test(test_stall),
    cmocka_unit_test(test_close_stalled), cmocka_unit_test(test_vanish),          cmocka_unit_test(test_fin_now),
    cmocka_unit_test(test_free_anywhere), cmocka_unit_test(test_filter_says_why),
  };
  return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
