#include "net/pump.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

/* The tap, where it looks between filters. What comes in is shown before it is taken, as it is at the stream. */

static void pump_tap_in(struct chain *c, const struct filter *from, struct slice bytes) {
  if (!c->tap || from != c->tapped || bytes.size <= c->tap_ahead) return;
  c->tap->bytes(c->tap_arg, CHAIN_IN, slice_from(bytes, c->tap_ahead));
  c->tap_ahead = bytes.size;
}

static void pump_tap_went_in(struct chain *c, const struct filter *from, size_t n) {
  if (from == c->tapped) c->tap_ahead -= n < c->tap_ahead ? n : c->tap_ahead;
}

static void pump_tap_out(const struct chain *c, const struct filter *to, struct slice bytes) {
  if (c->tap && to == c->tapped && bytes.size) c->tap->bytes(c->tap_arg, CHAIN_OUT, bytes);
}

void pump_tap_stream(const struct chain *c, enum chain_direction d, struct slice bytes) {
  if (c->tap && !c->tapped) c->tap->bytes(c->tap_arg, d, bytes);
}

static bool pump_step(struct chain *c, struct filter *f, enum chain_direction d) {
  struct filter *next = d == CHAIN_OUT ? f->outer : f->inner;
  int64_t now_ns = net_now(c->net);
  struct slice bytes = f->ops->give(f, d, now_ns);
  if (bytes.size) {
    if (d == CHAIN_IN) pump_tap_in(c, f, bytes);
    size_t n = next->ops->take(next, d, bytes, now_ns);
    if (d == CHAIN_IN) pump_tap_went_in(c, f, n);
    else pump_tap_out(c, next, slice_first(bytes, n));
    /* Behind a half-close that the next filter made, bytes go nowhere; an end may still follow. */
    if (n == 0 && next->passed[d]) n = bytes.size;
    if (n) f->ops->gave(f, d, n, now_ns);
    return n > 0;
  }
  enum chain_end end = f->ops->ends(f, d);
  if (end <= f->passed[d]) return false;
  f->passed[d] = end;
  next->writing |= f->writing;
  next->spares_owner |= f->spares_owner;
  next->spares_stream |= f->spares_stream;
  if (f->why) {
    next->why = f->why;
    next->how = f->how;
  }
  next->ops->end(next, d, end, now_ns);
  return true;
}

void pump_fail(struct chain *c, enum stream_end end, bool writing, const char *why) {
  if (c->failure) return;
  c->failure = mem_zero(sizeof *c->failure);
  c->failure->end = end;
  c->failure->writing = writing;
  err_set(&c->failure->why, "%s", why);
}

/* A filter found it out first, whatever the stream came to since. */
static void pump_fail_by(struct chain *c, const struct filter *f) {
  if (!f || !f->why || f->how == STREAM_FIN) return;
  free(c->failure);
  c->failure = NULL;
  pump_fail(c, f->how, false, f->why);
}

static void pump_tell_fin(struct chain *c) {
  c->owes_fin = false;
  if (c->told_fin || c->told_end) return;
  c->told_fin = true;
  struct err why;
  const char *said = c->innermost ? c->innermost->why : NULL;
  err_set(&why, "%s", said ? said : "");
  c->owner->ended(c->arg, STREAM_FIN, false, said ? &why : NULL);
}

static void pump_tell_closed(struct chain *c) {
  c->owes_closed = false;
  if (c->told_end) return;
  c->told_end = true;
  c->owner->ended(c->arg, STREAM_FIN, false, NULL);
}

void pump_tell_failure(struct chain *c) {
  c->owes_failure = false;
  c->deaf = true;
  if (c->told_end) return;
  c->told_end = true;
  c->owner->ended(c->arg, c->failure->end, c->failure->writing, &c->failure->why);
}

void pump_tell_reset(struct chain *c) {
  if (c->spares_owner) pump_tell_closed(c);
  else pump_tell_failure(c);
}

void pump_update_reading(struct chain *c) {
  bool stop = c->stalled || c->paused || c->vanished || buffer_size(&c->held) > 0;
  if (!c->stream || stop == c->reading_stopped) return;
  c->reading_stopped = stop;
  stream_pause(c->stream, stop);
}

/* Ends, done on the stream. */

void pump_tap(const struct chain *c, enum chain_direction d, enum chain_end end) {
  if (c->tap) c->tap->end(c->tap_arg, d, end);
}

static void pump_close(struct chain *c) {
  struct stream *s = c->stream;
  pump_tap(c, CHAIN_OUT, CHAIN_CLOSE);
  c->done = CHAIN_CLOSE;
  c->stream = NULL;
  c->deaf = true;
  stream_close(s);
}

bool pump_close_now(struct chain *c) {
  if (!c->stream || c->resetting || c->vanished) return false;
  pump_enter(c);
  pump_close(c);
  c->owes_closed = true;
  pump_leave(c);
  return true;
}

/* An RST overtakes bytes that are still in this kernel and throws them away: what was written must be acknowledged
 * first. */
static void pump_check_reset(struct chain *c) {
  size_t unsent = stream_unsent(c->stream);
  int64_t now_ns = net_now(c->net);
  if (unsent && now_ns < c->reset_by_ns) {
    c->check_ns = now_ns + c->check_wait_ns;
    c->check_wait_ns = c->check_wait_ns < PUMP_CHECK_MAX_NS / 2 ? 2 * c->check_wait_ns : PUMP_CHECK_MAX_NS;
    return;
  }
  struct stream *s = c->stream;
  c->stream = NULL;
  c->resetting = false;
  c->owes_failure = !c->spares_owner;
  c->owes_closed = c->spares_owner;
  if (unsent) {
    err_set(&c->failure->why,
            "reset by this side; %zu bytes written before were not acknowledged within %d ms and may be lost", unsent,
            CHAIN_RESET_WAIT_NS / 1000000);
  }
  pump_tap(c, CHAIN_OUT, CHAIN_RESET);
  stream_reset(s);
}

void pump_reset(struct chain *c, bool writing) {
  if (c->resetting || c->done >= CHAIN_CLOSE || !c->stream) return;
  int64_t now_ns = net_now(c->net);
  c->done = CHAIN_RESET;
  c->deaf = true;
  c->resetting = true;
  c->reset_by_ns = now_ns + CHAIN_RESET_WAIT_NS;
  c->check_wait_ns = PUMP_CHECK_MIN_NS;
  free(c->failure);
  c->failure = NULL;
  pump_fail(c, STREAM_RESET, writing, CHAIN_RESET_HERE);
  if (stream_unsent(c->stream)) stream_hurry(c->stream);
  pump_check_reset(c);
}

bool pump_vanish(struct chain *c, struct err *err) {
  if (c->vanished) return true;
  if (!c->stream) return err_set(err, "there is no connection that could vanish");
  c->vanished = c->deaf = c->kicked = true;
  c->owes_vanished = c->watch != NULL;
  c->resetting = false;
  c->done = CHAIN_VANISH;
  if (stream_vanish(c->stream, err)) {
    pump_tap(c, CHAIN_OUT, CHAIN_VANISH);
    c->stream = NULL;
    return true;
  }
  pump_update_reading(c);
  return false;
}

void pump_shut(struct chain *c) {
  c->done = CHAIN_FIN;
  c->owes_shut = c->watch != NULL;
  pump_tap(c, CHAIN_OUT, CHAIN_FIN);
  stream_shutdown(c->stream);
}

/* A reset by a filter, which may mean one end only. */
static void pump_reset_by(struct chain *c, const struct filter *f) {
  bool open = c->stream && !c->resetting && c->done < CHAIN_CLOSE;
  if (!f || !f->spares_stream || !open) {
    if (f) c->spares_owner = f->spares_owner;
    pump_reset(c, f && f->writing);
    return;
  }
  free(c->failure);
  c->failure = NULL;
  pump_fail(c, STREAM_RESET, f->writing, CHAIN_RESET_HERE);
  c->owes_failure = true;
  pump_close(c);
}

static void pump_do_end(struct chain *c, enum chain_end end) {
  switch (end) {
  case CHAIN_NONE: break;
  case CHAIN_FIN: pump_shut(c); break;
  case CHAIN_CLOSE:
    pump_close(c);
    c->owes_closed = !c->closing_now;
    break;
  case CHAIN_RESET: pump_reset_by(c, c->outermost); break;
  case CHAIN_VANISH: pump_vanish(c, NULL); break;
  }
}

/* Outwards. */

/* Nothing more of the owner's can go out: it ended its side itself, or it was ended for it. */
static bool pump_is_shut(const struct chain *c) {
  return c->asked_passed || c->done || c->innermost->passed[CHAIN_OUT];
}

static bool pump_is_stopped(const struct chain *c) {
  return c->dead || c->stalled || c->resetting || c->vanished || !c->stream;
}

/* True: the innermost filter took something of the owner's. */
static bool pump_take_owner(struct chain *c, size_t *budget) {
  if (pump_is_shut(c) || *budget == 0) return false;
  struct slice out = slice_first(c->owner->output(c->arg), *budget);
  if (c->dead || out.size == 0) return false;
  struct filter *f = c->innermost;
  size_t n = f->ops->take(f, CHAIN_OUT, out, net_now(c->net));
  pump_tap_out(c, f, slice_first(out, n));
  if (n && !c->dead) c->owner->wrote(c->arg, n);
  *budget -= n;
  return n > 0;
}

void pump_settle(struct chain *c) {
  size_t all = SIZE_MAX;
  struct filter *f = c->innermost;
  if (!f || !f->ops->wraps || pump_is_stopped(c)) return; /* only such a one has looked at bytes without taking them */
  f->settle = true;
  pump_take_owner(c, &all);
  f->settle = false;
}

/* True: the owner's end went on. Behind its bytes, unless those can never go on. */
static bool pump_take_asked(struct chain *c) {
  if (c->asked <= c->asked_passed) return false;
  if (!pump_is_shut(c) && c->owner->output(c->arg).size) return false;
  if (c->dead) return false;
  struct filter *f = c->innermost;
  c->asked_passed = c->asked;
  f->ops->end(f, CHAIN_OUT, c->asked, net_now(c->net));
  return true;
}

/* What went out may have made something to go in, which waits for a turn. */
static void pump_look_in(struct chain *c) {
  for (struct filter *f = c->outermost; f && !c->kicked; f = f->inner) {
    c->kicked = f->ops->give(f, CHAIN_IN, net_now(c->net)).size > 0 || f->ops->ends(f, CHAIN_IN) > f->passed[CHAIN_IN];
  }
}

static void pump_move_out(struct chain *c) {
  size_t budget = CHAIN_PASS_MAX;
  bool moved, any = false;
  do {
    moved = pump_take_owner(c, &budget);
    if (!c->dead) moved |= pump_take_asked(c);
    for (struct filter *f = c->innermost; f && f->outer && !c->dead; f = f->outer) moved |= pump_step(c, f, CHAIN_OUT);
    any |= moved;
  } while (moved && !c->dead);
  if (c->dead || !any) return;
  if (budget == 0) c->kicked = true;
  pump_look_in(c);
}

/* The next bytes for the stream, from the outermost filter or, without one, from the owner. After a half-close there
 * are none: a filter's are dropped, so that they do not hide the end behind them. */
static struct slice pump_next_out(struct chain *c) {
  struct filter *f = c->outermost;
  struct slice out = { 0 };
  c->gave = f;
  if (!f) return c->done || c->asked_passed ? out : c->owner->output(c->arg);
  pump_move_out(c);
  if (c->dead) return out;
  int64_t now_ns = net_now(c->net);
  c->gave = f = c->outermost;
  out = f->ops->give(f, CHAIN_OUT, now_ns);
  while (c->done && out.size) {
    f->ops->gave(f, CHAIN_OUT, out.size, now_ns);
    out = f->ops->give(f, CHAIN_OUT, now_ns);
  }
  return out;
}

struct slice pump_out(struct chain *c) {
  struct slice none = { 0 };
  if (c->vanished) pump_discard(c);
  if (pump_is_stopped(c)) return none;
  struct slice out = pump_next_out(c);
  if (pump_is_stopped(c)) return none;
  if (out.size) return out;
  enum chain_end end = c->outermost ? c->outermost->ops->ends(c->outermost, CHAIN_OUT) : c->asked;
  if (end > c->done) {
    if (c->outermost) c->outermost->passed[CHAIN_OUT] = end;
    pump_do_end(c, end);
  }
  return none;
}

void pump_discard(struct chain *c) {
  size_t budget = CHAIN_PASS_MAX;
  while (!c->dead && budget) {
    struct slice out = slice_first(c->owner->output(c->arg), budget);
    if (c->dead || out.size == 0) return;
    budget -= out.size;
    c->owner->wrote(c->arg, out.size);
  }
  c->kicked = true;
}

/* A stream that was shut down asks for no output any more; an end may follow all the same. */
static void pump_ask_write(struct chain *c) {
  if (!c->stream) return;
  if (c->done == CHAIN_FIN) pump_out(c);
  else stream_want_write(c->stream);
}

/* Inwards. */

/* An end that reached the owner. */
static void pump_end_in(struct chain *c, enum chain_end end) {
  switch (end) {
  case CHAIN_NONE: break;
  case CHAIN_FIN: pump_tell_fin(c); break;
  case CHAIN_CLOSE:
    if (c->stream) pump_close(c);
    pump_tell_closed(c);
    break;
  case CHAIN_RESET:
    pump_fail_by(c, c->innermost);
    if (c->failure) pump_tell_failure(c);
    else pump_reset_by(c, c->innermost);
    break;
  case CHAIN_VANISH: pump_vanish(c, NULL); break;
  }
}

/* What the stream handed over and nobody took yet, then its end. */
static bool pump_feed(struct chain *c) {
  struct filter *f = c->outermost;
  struct slice held = buffer_slice(&c->held);
  if (!f && c->paused) return false;
  if (held.size) {
    size_t n = held.size;
    if (f) n = f->ops->take(f, CHAIN_IN, held, net_now(c->net));
    else c->owner->input(c->arg, held);
    buffer_consume(&c->held, n);
    return n > 0;
  }
  if (c->came <= c->came_passed) return false;
  c->came_passed = c->came;
  if (f) f->ops->end(f, CHAIN_IN, c->came, net_now(c->net));
  else pump_end_in(c, c->came);
  return true;
}

static bool pump_deliver(struct chain *c, struct filter *f) {
  int64_t now_ns = net_now(c->net);
  if (c->paused) return false;
  struct slice bytes = slice_first(f->ops->give(f, CHAIN_IN, now_ns), NET_READ_MAX);
  if (bytes.size) {
    pump_tap_in(c, f, bytes);
    pump_tap_went_in(c, f, bytes.size);
    c->owner->input(c->arg, bytes);
    if (!c->dead) f->ops->gave(f, CHAIN_IN, bytes.size, now_ns);
    return true;
  }
  enum chain_end end = f->ops->ends(f, CHAIN_IN);
  if (end <= f->passed[CHAIN_IN]) return false;
  f->passed[CHAIN_IN] = end;
  pump_end_in(c, end);
  return true;
}

static bool pump_is_deaf(const struct chain *c) {
  return c->dead || c->stalled || c->deaf;
}

/* `any`: something was taken in already. */
static void pump_move_in(struct chain *c, bool any) {
  bool moved = true;
  while (moved && !pump_is_deaf(c)) {
    moved = pump_feed(c);
    for (struct filter *f = c->outermost; f && !pump_is_deaf(c); f = f->inner) {
      moved |= f->inner ? pump_step(c, f, CHAIN_IN) : pump_deliver(c, f);
    }
    any |= moved;
  }
  if (c->dead) return;
  pump_update_reading(c);
  /* What came in may have made something to go out: an answer of a handshake. */
  if (any && c->outermost) pump_ask_write(c);
}

void pump_in(struct chain *c) {
  pump_move_in(c, false);
}

void pump_take(struct chain *c, struct slice bytes) {
  bool moved = true;
  while (bytes.size && moved && c->outermost && buffer_size(&c->held) == 0 && !pump_is_deaf(c)) {
    size_t n = c->outermost->ops->take(c->outermost, CHAIN_IN, bytes, net_now(c->net));
    moved = n > 0;
    bytes = slice_from(bytes, n);
    if (moved) pump_move_in(c, true);
  }
  if (c->dead || c->deaf || bytes.size == 0) return;
  bool fits = buffer_append(&c->held, bytes);
  assert(fits); /* the stream was told to stop */
  pump_update_reading(c);
}

/* Turns. */

static void pump_tick(struct chain *c) {
  int64_t now_ns = net_now(c->net);
  c->ticked_ns = now_ns;
  if (c->resetting && c->check_ns <= now_ns) pump_check_reset(c);
  for (struct filter *f = c->outermost; f; f = f->inner) {
    if (f->ops->deadline(f) <= now_ns) f->ops->tick(f, now_ns);
  }
}

static void pump_tell_done(struct chain *c, bool *owed, enum chain_end end) {
  bool told = *owed && !c->told_end;
  *owed = false;
  if (told && !c->dead) c->watch(c->arg, end);
}

static void pump_fire(void *arg) {
  struct chain *c = arg;
  pump_enter(c);
  c->kicked = false;
  pump_tick(c);
  pump_tell_done(c, &c->owes_shut, CHAIN_FIN);
  pump_tell_done(c, &c->owes_vanished, CHAIN_VANISH);
  if (c->owes_fin && !c->dead) pump_tell_fin(c);
  if (c->owes_closed && !c->dead) pump_tell_closed(c);
  if (c->owes_failure && !c->dead) pump_tell_failure(c);
  if (!c->dead) pump_in(c);
  if (c->vanished && !c->dead) pump_discard(c);
  else if (!c->dead) pump_ask_write(c);
  pump_leave(c);
}

/* Filters of a connection that is over have nothing to wait for. */
static int64_t pump_filters_ns(const struct chain *c) {
  int64_t at_ns = NET_NEVER;
  if (c->deaf && c->done >= CHAIN_CLOSE) return NET_NEVER;
  for (struct filter *f = c->outermost; f; f = f->inner) {
    int64_t deadline_ns = f->ops->deadline(f);
    if (deadline_ns <= c->ticked_ns) deadline_ns = c->ticked_ns + PUMP_LATE_NS;
    if (deadline_ns < at_ns) at_ns = deadline_ns;
  }
  return at_ns;
}

static void pump_set_timer(struct chain *c) {
  bool now = c->kicked || c->owes_fin || c->owes_closed || c->owes_failure || c->owes_shut || c->owes_vanished;
  /* Set again, it would move behind others that are due. */
  if (now && heap_holds(&c->timer.node) && c->timer.node.at_ns <= net_now(c->net)) return;
  int64_t at_ns = now ? 0 : c->outermost ? pump_filters_ns(c) : NET_NEVER;
  if (c->resetting && c->check_ns < at_ns) at_ns = c->check_ns;
  if (heap_holds(&c->timer.node) ? at_ns != c->timer.node.at_ns : at_ns != NET_NEVER) {
    net_timer_set(c->net, &c->timer, at_ns);
  }
}

void pump_init(struct chain *c) {
  net_timer_init(&c->timer, pump_fire, c);
  buffer_init(&c->held, PUMP_HELD_MAX);
  c->ticked_ns = INT64_MIN;
}

static void pump_release(struct chain *c) {
  for (struct filter *f = c->outermost; f;) {
    struct filter *inner = f->inner;
    f->ops->free(f);
    f = inner;
  }
  buffer_fini(&c->held);
  free(c->failure);
  free(c);
}

void pump_enter(struct chain *c) {
  c->depth++;
}

void pump_leave(struct chain *c) {
  c->depth--;
  if (!c->dead) pump_set_timer(c);
  else if (c->depth == 0) pump_release(c);
}
