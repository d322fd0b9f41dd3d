#include "net/chain.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "net/oscall.h"
#include "net/pump.h"

static void chain_opened(void *arg) {
  struct chain *c = arg;
  pump_enter(c);
  c->began_ns = net_now(c->net);
  c->opened = true;
  c->owner->opened(c->arg);
  pump_leave(c);
}

static void chain_input(void *arg, struct slice bytes) {
  struct chain *c = arg;
  pump_enter(c);
  pump_tap_stream(c, CHAIN_IN, bytes);
  if (c->outermost || c->stalled || c->paused || buffer_size(&c->held)) pump_take(c, bytes);
  else if (!c->deaf) c->owner->input(c->arg, bytes);
  pump_leave(c);
}

static struct slice chain_output(void *arg) {
  struct chain *c = arg;
  pump_enter(c);
  struct slice out = pump_out(c);
  if (c->dead) out = (struct slice){ 0 };
  c->given = out;
  pump_leave(c);
  return out;
}

static void chain_wrote(void *arg, size_t n) {
  struct chain *c = arg;
  pump_enter(c);
  pump_tap_stream(c, CHAIN_OUT, slice_first(c->given, n));
  if (c->gave) c->gave->ops->gave(c->gave, CHAIN_OUT, n, net_now(c->net));
  else c->owner->wrote(c->arg, n);
  pump_leave(c);
}

/* A reset of our own that the other end's came before is done. */
static void chain_failed(struct chain *c, enum stream_end end, bool writing, const struct err *why) {
  if (c->resetting) {
    struct stream *s = c->stream;
    c->stream = NULL;
    c->resetting = false;
    stream_close(s);
    pump_tell_reset(c);
    return;
  }
  pump_fail(c, end, writing, why->text);
  c->came = CHAIN_RESET;
  if (c->deaf) pump_tell_failure(c);
  else pump_in(c);
}

static void chain_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct chain *c = arg;
  pump_enter(c);
  if (!c->vanished) pump_tap(c, CHAIN_IN, end == STREAM_FIN ? CHAIN_FIN : CHAIN_RESET);
  if (end != STREAM_FIN) {
    if (!c->vanished) chain_failed(c, end, writing, why);
  } else if (!c->deaf) {
    c->came = CHAIN_FIN;
    pump_in(c);
  }
  pump_leave(c);
}

static const struct stream_handler chain_handler = {
  .opened = chain_opened,
  .input = chain_input,
  .output = chain_output,
  .wrote = chain_wrote,
  .ended = chain_ended,
};

struct chain *chain_new(struct net *n, const struct stream_handler *owner, void *arg) {
  struct chain *c = mem_zero(sizeof *c);
  c->net = n;
  c->owner = owner;
  c->arg = arg;
  pump_init(c);
  return c;
}

void chain_free(struct chain *c) {
  if (!c) return;
  struct stream *s = c->stream;
  pump_enter(c);
  c->stream = NULL;
  c->dead = true;
  net_timer_clear(c->net, &c->timer);
  if (s) pump_tap(c, CHAIN_OUT, c->resetting ? CHAIN_RESET : CHAIN_CLOSE);
  if (s && c->resetting) stream_reset(s);
  else if (s) stream_close(s);
  pump_leave(c);
}

void chain_attach(struct chain *c, struct stream *s) {
  assert(!c->stream && !c->done);
  c->stream = s;
  stream_own(s, &chain_handler, c);
  c->began_ns = net_now(c->net);
  pump_update_reading(c);
  if (c->outermost || c->asked) stream_want_write(s);
}

struct stream *chain_stream(const struct chain *c) {
  return c->stream;
}

/* An accepted stream is connected from the first, and is told so by nobody. */
int64_t chain_began_ns(struct chain *c) {
  if (!c->opened && c->stream) c->opened = stream_peer(c->stream)[0] != 0;
  return c->opened ? c->began_ns : NET_NEVER;
}

static void chain_pushed(struct chain *c, struct filter *f) {
  f->chain = c;
  if (c->stream) stream_want_write(c->stream);
  pump_enter(c);
  pump_leave(c);
}

void chain_push_inner(struct chain *c, struct filter *f) {
  f->outer = c->innermost;
  f->inner = NULL;
  if (c->innermost) c->innermost->inner = f;
  else c->outermost = f;
  c->innermost = f;
  chain_pushed(c, f);
}

void chain_push_outer(struct chain *c, struct filter *f) {
  f->inner = c->outermost;
  f->outer = NULL;
  if (c->outermost) c->outermost->outer = f;
  else c->innermost = f;
  c->outermost = f;
  chain_pushed(c, f);
}

/* The innermost filter that wraps, or NULL. */
static const struct filter *chain_wrapping(const struct chain *c) {
  const struct filter *f = c->innermost;
  while (f && !f->ops->wraps) f = f->outer;
  return f;
}

bool chain_is_wrapped(const struct chain *c) {
  return chain_wrapping(c) != NULL;
}

struct err chain_waits(const struct chain *c) {
  struct err text = { "" };
  const char *what = NULL;
  const struct filter *f = c->outermost;
  while (f && !(what = f->ops->waits ? f->ops->waits(f) : NULL)) f = f->inner;
  if (what) err_set(&text, "%s waits for %s", f->ops->name, what);
  return text;
}

void chain_settle(struct chain *c) {
  pump_enter(c);
  pump_settle(c);
  pump_leave(c);
}

struct filter *chain_find(const struct chain *c, const struct filter_ops *ops) {
  struct filter *f = c->outermost;
  while (f && f->ops != ops) f = f->inner;
  return f;
}

void chain_kick(struct chain *c) {
  pump_enter(c);
  c->kicked = true;
  pump_leave(c);
}

void chain_want_write(struct chain *c) {
  if (c->vanished) chain_kick(c);
  else if (c->stream) stream_want_write(c->stream);
}

void chain_flush(struct chain *c) {
  pump_enter(c);
  if (c->vanished) pump_discard(c);
  else if (c->stream) stream_flush(c->stream);
  pump_leave(c);
}

void chain_pause(struct chain *c, bool paused) {
  c->paused = paused;
  pump_update_reading(c);
  if (!paused && (c->outermost || buffer_size(&c->held) || c->came > c->came_passed)) chain_kick(c);
}

/* A stream that was shut down asks for no output: the end is looked for without it. */
static void chain_ask(struct chain *c, enum chain_end end, bool owner_knows) {
  pump_enter(c);
  if (end > c->asked) c->asked = end;
  c->closing_now = owner_knows;
  if (c->stream) stream_flush(c->stream);
  if (c->stream && c->done == CHAIN_FIN) pump_out(c);
  c->closing_now = false;
  if (c->stream) stream_want_write(c->stream);
  pump_leave(c);
}

void chain_end(struct chain *c, enum chain_end end) {
  chain_ask(c, end, true);
}

void chain_close(struct chain *c) {
  if (!c->stalled || !pump_close_now(c)) chain_ask(c, CHAIN_CLOSE, false);
}

void chain_watch(struct chain *c, void (*done)(void *arg, enum chain_end end)) {
  c->watch = done;
}

bool chain_was_reset(const struct chain *c) {
  return c->failure && c->failure->end == STREAM_RESET;
}

const char *chain_end_text(enum stream_end end, const struct err *why) {
  if (end == STREAM_FIN) return why ? why->text : "closed by the other end";
  /* The system's word for a reset says no more than that it was one. */
  bool ours = why && (strcmp(why->text, CHAIN_RESET_HERE) == 0 || strstr(why->text, OSCALL_MARK));
  if (end == STREAM_RESET && !ours) return "reset by the other end";
  return why ? why->text : "failed";
}

void chain_tap(struct chain *c, const struct chain_tap *t, void *arg) {
  c->tap = t;
  c->tap_arg = arg;
  c->tapped = chain_wrapping(c);
  c->tap_ahead = 0;
}

void chain_reset(struct chain *c) {
  pump_enter(c);
  pump_reset(c, false);
  pump_leave(c);
}

void chain_fin(struct chain *c, enum chain_direction d) {
  if (d == CHAIN_OUT && chain_is_wrapped(c)) {
    chain_ask(c, CHAIN_FIN, false);
    return;
  }
  pump_enter(c);
  if (d == CHAIN_IN) {
    c->deaf = c->owes_fin = true;
  } else if (c->stream && !c->done) {
    pump_shut(c);
  }
  pump_leave(c);
}

bool chain_vanish(struct chain *c, struct err *err) {
  pump_enter(c);
  bool ok = pump_vanish(c, err);
  pump_leave(c);
  return ok;
}

void chain_stall(struct chain *c, enum chain_staller who, bool stalled) {
  c->stalled = stalled ? c->stalled | who : c->stalled & ~(unsigned)who;
  pump_update_reading(c);
  if (c->stalled) return;
  chain_kick(c);
  if (c->stream) stream_want_write(c->stream);
}
