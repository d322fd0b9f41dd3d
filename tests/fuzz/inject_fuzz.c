#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fault/inject.h"

/* Rules, bytes, cuts, time. The input is lines of rules, an empty line, one byte (direction and seed of the cuts), and
 * a stream. The stream is given twice, whole and cut, and the same must come out; then once more with time going on,
 * rules leaving and packets released in the middle, where nothing is expected but that the filter survives and no limit
 * is passed. */

#define INJECT_FUZZ_RULES_MAX 8
#define INJECT_FUZZ_STEPS_MAX 10000

struct inject_fuzz {
  struct scope *scope;
  struct filter *filter;
  struct scope_rule *rules[INJECT_FUZZ_RULES_MAX];
  size_t count;
  enum chain_direction direction;
  struct buffer out;
  enum chain_end end;
  int64_t now_ns;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inject_fuzz_where(void *arg, const struct packet *p) {
  (void)arg;
  return p->raw.size % 2 == 0;
}

static bool inject_fuzz_rewrite(void *arg, const struct packet *p, struct buffer *out) {
  (void)arg;
  return buffer_append(out, slice_first(p->raw, p->raw.size - p->type % 2)) && p->flags != 7;
}

/* Time that passes between two pieces makes a difference where it should, and so does a line that is full: those rules
 * are left out of the comparison. What comes in as bytes comes before the packets in it: so is what one has to do with
 * the other.
 */
static bool inject_fuzz_is_timed(const char *text) {
  return strstr(text, "blackhole ") || strstr(text, "stall ") || strchr(text, '(') || strstr(text, "rate") ||
         strstr(text, "dup") || (strstr(text, "bytes") && strstr(text, "after"));
}

/* Copies of copies of copies would take for ever. */
static bool inject_fuzz_is_endless(const struct inject_fuzz *f, const char *text) {
  const char *copies = strstr(text, "dup ");
  return copies && (f->count > 0 || strlen(copies) > 6);
}

static void inject_fuzz_add(struct inject_fuzz *f, const char *text, bool *timed) {
  struct err err;
  bool fits = f->count < INJECT_FUZZ_RULES_MAX && !inject_fuzz_is_endless(f, text);
  struct rule *r = fits ? rule_parse(text, &err) : NULL;
  if (!r) return;
  *timed |= inject_fuzz_is_timed(text);
  rule_set_hooks(r, &(struct rule_hooks){ .where = strstr(text, "where") ? inject_fuzz_where : NULL,
                                          .rewrite = inject_fuzz_rewrite });
  f->rules[f->count] = scope_add(f->scope, r, &err);
  if (f->rules[f->count]) f->count++;
}

/* Reads the rules; returns what is behind them. */
static struct slice inject_fuzz_begin(struct inject_fuzz *f, struct slice input, bool *timed) {
  struct slice none = { 0 };
  memset(f, 0, sizeof *f);
  f->scope = scope_new(1, NULL, NULL);
  buffer_init(&f->out, 64u << 20);
  f->filter = inject_new(f->scope, NULL, true, none, none);
  while (input.size) {
    const uint8_t *line_end = memchr(input.data, '\n', input.size);
    size_t n = line_end ? (size_t)(line_end - input.data) : input.size;
    char *text = mem_copy(slice_first(input, n));
    inject_fuzz_add(f, text, timed);
    free(text);
    input = slice_from(input, line_end ? n + 1 : n);
    if (n == 0) break;
  }
  return input;
}

static void inject_fuzz_drain(struct inject_fuzz *f) {
  struct slice bytes;
  while ((bytes = f->filter->ops->give(f->filter, f->direction, f->now_ns)).size) {
    assert(!f->end);
    if (bytes.size <= buffer_room(&f->out)) buffer_append(&f->out, bytes);
    f->filter->ops->gave(f->filter, f->direction, bytes.size, f->now_ns);
  }
  f->end = f->filter->ops->ends(f->filter, f->direction);
}

/* False: nothing is due any more. */
static bool inject_fuzz_tick(struct inject_fuzz *f) {
  int64_t next_ns = f->filter->ops->deadline(f->filter);
  if (next_ns == NET_NEVER) return false;
  if (next_ns > f->now_ns) f->now_ns = next_ns;
  f->filter->ops->tick(f->filter, f->now_ns);
  inject_fuzz_drain(f);
  return true;
}

static bool inject_fuzz_feed(struct inject_fuzz *f, struct slice bytes) {
  while (bytes.size) {
    size_t n = f->filter->ops->take(f->filter, f->direction, bytes, f->now_ns);
    assert(n <= bytes.size);
    inject_fuzz_drain(f);
    if (n == 0) return false;
    bytes = slice_from(bytes, n);
  }
  return true;
}

static void inject_fuzz_finish(struct inject_fuzz *f, bool all) {
  if (all) f->filter->ops->end(f->filter, f->direction, CHAIN_FIN, f->now_ns);
  inject_fuzz_drain(f);
  for (int i = 0; i < INJECT_FUZZ_STEPS_MAX && inject_fuzz_tick(f); i++) continue;
}

static void inject_fuzz_fini(struct inject_fuzz *f) {
  f->filter->ops->free(f->filter);
  scope_free(f->scope);
  buffer_fini(&f->out);
}

static struct inject_fuzz inject_fuzz_run(struct slice input, bool cut, bool *timed) {
  struct inject_fuzz f;
  struct slice stream = inject_fuzz_begin(&f, input, timed);
  uint8_t seed = stream.size ? stream.data[0] : 0;
  struct rng rng = { seed };
  bool all = true;
  if (stream.size) stream = slice_from(stream, 1);
  f.direction = seed & 1 ? CHAIN_IN : CHAIN_OUT;
  while (stream.size && all) {
    struct slice piece = cut ? slice_first(stream, 1 + rng_below(&rng, 20)) : stream;
    all = inject_fuzz_feed(&f, piece);
    stream = slice_from(stream, piece.size);
  }
  inject_fuzz_finish(&f, all);
  return f;
}

static void inject_fuzz_meddle(struct inject_fuzz *f, struct rng *rng) {
  if (!f->count) return;
  struct scope_rule *r = f->rules[rng_below(rng, f->count)];
  switch (rng_below(rng, 8)) {
  case 0: scope_remove(r); break;
  case 1: scope_release(r, 1 + rng_below(rng, 3)); break;
  case 2: scope_release(r, 0); break;
  case 3: inject_fuzz_tick(f); break;
  default: break;
  }
}

static void inject_fuzz_wild(struct slice input) {
  struct inject_fuzz f;
  bool timed = false;
  struct slice stream = inject_fuzz_begin(&f, input, &timed);
  struct rng rng = { input.size };
  while (stream.size) {
    struct slice piece = slice_first(stream, 1 + rng_below(&rng, 50));
    f.direction = CHAIN_OUT;
    if (!inject_fuzz_feed(&f, piece)) break;
    inject_fuzz_meddle(&f, &rng);
    stream = slice_from(stream, piece.size);
  }
  inject_fuzz_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct slice input = slice_of(data, size);
  bool timed = false;
  struct inject_fuzz whole = inject_fuzz_run(input, false, &timed);
  struct inject_fuzz cut = inject_fuzz_run(input, true, &timed);
  if (!timed) {
    assert(slice_equal(buffer_slice(&whole.out), buffer_slice(&cut.out)));
    assert(whole.end == cut.end);
  }
  inject_fuzz_fini(&whole);
  inject_fuzz_fini(&cut);
  inject_fuzz_wild(input);
  return 0;
}
