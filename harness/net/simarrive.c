#include "net/simarrive.h"

#include <errno.h>
#include <string.h>

#include "net/oscall.h"
#include "net/simdial.h"
#include "net/simlisten.h"

/* The kernel's part. */

static void simarrive_fail(struct simend *e, int why) {
  if (e->state == SIMEND_DIALING) {
    simdial_refused(e, why);
    return;
  }
  simend_die(e);
  e->error = why;
}

static void simarrive_reset(struct simend *e) {
  switch (e->state) {
  case SIMEND_DIALING: simdial_refused(e, ECONNREFUSED); break;
  case SIMEND_HALF:
    simend_die(e);
    simend_release(e);
    break;
  case SIMEND_QUEUED:
  case SIMEND_OPEN: simarrive_fail(e, e->fin_came ? EPIPE : ECONNRESET); break;
  default: break;
  }
}

static void simarrive_time_out(struct simend *e) {
  if (e->state == SIMEND_GONE || e->state == SIMEND_VANISHED) return;
  simarrive_fail(e, ETIMEDOUT);
  simend_schedule(e);
}

/* The sender has tried often enough; an acknowledgement is missed by whom it was for. */
static void simarrive_give_up(struct simend *e) {
  struct simpipe *in = simend_in(e);
  list_remove(&e->held);
  if (in->first->kind == SIMPIPE_ACK) {
    simpipe_pop(simend_world(e), in);
    if (e->out.acked < e->out.sent) simarrive_time_out(e);
    return;
  }
  while (in->first) simpipe_pop(simend_world(e), in);
  simarrive_time_out(e->peer);
}

static void simarrive_acknowledged(struct simend *e, const struct simflight *f) {
  if (f->arrived > e->out.acked) e->out.acked = f->arrived;
  if (f->edge > e->out.edge) e->out.edge = f->edge;
  if (e->stream.blocked && !e->unwritten && !e->send_waits && simpipe_room(&e->out) >= e->out.send_max / 3) {
    e->stream.blocked = false;
    stream_want_write(&e->stream);
  }
  simend_transmit(e);
}

/* Bytes for somebody who has closed are answered by a reset. */
static void simarrive_bytes(struct simend *e, size_t size) {
  if (e->released) {
    simend_refuse(e);
    return;
  }
  simend_in(e)->arrived += size;
  simend_owe(e);
}

static void simarrive_open(struct simend *e, const struct simflight *f) {
  if (e->state == SIMEND_HALF) simlisten_called(e);
  simarrive_acknowledged(e, f);
  if (f->kind == SIMPIPE_DATA) simarrive_bytes(e, f->size);
  if (f->kind == SIMPIPE_FIN) e->fin_came = true;
}

static void simarrive_take(struct simend *e, const struct simflight *f) {
  simworld_note(simend_world(e), e->key, f->kind + 8 * (uint64_t)f->size);
  if (f->kind == SIMPIPE_RST) {
    simarrive_reset(e);
  } else if (f->kind == SIMPIPE_SYN) {
    simlisten_call(e, f->sent_ns);
  } else if (e->state == SIMEND_GONE) {
    if (f->kind != SIMPIPE_ACK) simend_send(e, SIMPIPE_RST, 0);
  } else if (f->kind == SIMPIPE_SYN_ACK) {
    simdial_answered(e);
    simarrive_acknowledged(e, f);
  } else {
    simarrive_open(e, f);
  }
}

/* True: it stays where it is, lost. */
static bool simarrive_is_lost(struct simend *e, struct simflight *f) {
  struct simend *sender = e->peer;
  bool cut = simlink_settings(simend_world(e), sender->link)->cut;
  bool silent = e->state == SIMEND_VANISHED && f->kind != SIMPIPE_ACK;
  bool again = sender->state != SIMEND_GONE && sender->state != SIMEND_VANISHED && f->kind != SIMPIPE_RST;
  if (!cut && !silent) return false;
  simend_world(e)->count.lost++;
  if (!again) {
    simpipe_pop(simend_world(e), simend_in(e));
    return true;
  }
  f->lost = true;
  f->at_ns = simpipe_give_up_ns(f->kind, f->sent_ns);
  f->again |= !silent;
  if (!silent && !list_holds(&e->held)) list_append(&sender->link->held, &e->held);
  return true;
}

static void simarrive_next(struct simend *e) {
  struct simworld *w = simend_world(e);
  struct simflight *f = simend_in(e)->first, came = *f;
  if (f->lost) {
    simarrive_give_up(e);
  } else if (!simarrive_is_lost(e, f)) {
    simpipe_pop(w, simend_in(e));
    simarrive_take(e, &came);
  }
}

static bool simarrive_is_over(const struct simend *e) {
  return e->released && e->peer->released;
}

static bool simarrive_is_due(const struct simend *e) {
  const struct simflight *f = simend_in(e)->first;
  return f && f->at_ns <= simend_world(e)->now_ns;
}

/* The owner is told at once of what took its time to come, and of what came at once later. */
static void simarrive_settle(struct simend *e) {
  struct simworld *w = simend_world(e);
  bool was_ready = simarrive_is_ready(e);
  while (!simarrive_is_over(e) && simarrive_is_due(e)) simarrive_next(e);
  if (simarrive_is_over(e)) return;
  if (!was_ready && simarrive_is_ready(e)) e->notices_ns = simlink_noticed(w, e->peer->link, e->key, e->wakes++);
}

/* One after the other, not one inside the other: what arrives may send something. */
void simarrive_now(struct simend *e) {
  struct simworld *w = simend_world(e);
  if (!simarrive_is_due(e) || list_holds(&e->arriving)) return;
  list_append(&w->arriving, &e->arriving);
  if (w->settling) return;
  w->settling = true;
  for (struct list_node *n = list_first(&w->arriving); n; n = list_first(&w->arriving)) {
    struct simend *next = LIST_OWNER(n, struct simend, arriving);
    list_remove(n);
    simarrive_settle(next);
    if (!simarrive_is_over(next)) simend_schedule(next);
  }
  w->settling = false;
}

/* The owner's part. */

bool simarrive_is_ready(const struct simend *e) {
  if (e->released || e->reported) return false;
  if (e->unwritten) return true;
  if (e->dial) return simdial_is_ready(e->dial);
  if (!e->stream.handler || e->paused || e->recv_waits || e->state < SIMEND_OPEN) return false;
  return simpipe_readable(simend_in(e)) || e->error || (e->fin_came && !e->fin_told);
}

static size_t simarrive_part(struct simend *e, size_t n) {
  struct simworld *w = simend_world(e);
  if (w->options.whole) return n;
  uint64_t bits = simworld_draw(w, SIMWORLD_PREFIX, e->key, e->hands++);
  return bits % SIMARRIVE_SPLIT ? n : 1 + bits / SIMARRIVE_SPLIT % n;
}

/* The bytes leave the pipe before they are seen: what the owner does may add to it. */
static void simarrive_hand_over(struct simend *e, size_t room) {
  struct simworld *w = simend_world(e);
  struct simpipe *in = simend_in(e);
  uint64_t there = simpipe_readable(in);
  size_t n = simarrive_part(e, there < room ? there : room);
  memcpy(w->buffer, buffer_slice(&in->bytes).data, n);
  buffer_consume(&in->bytes, n);
  in->delivered += n;
  w->count.bytes += n;
  struct slice bytes = slice_of(w->buffer, n);
  simworld_note(w, e->key, hash_bytes(0, bytes));
  if (e->state == SIMEND_OPEN && in->delivered + in->receive_max >= in->told + in->receive_max / 2) simend_owe(e);
  e->stream.handler->input(e->stream.arg, bytes);
}

static void simarrive_report(struct simend *e) {
  struct err why;
  err_set(&why, "%s %s: %s%s", e->writing ? "writing to" : "reading from", stream_peer(&e->stream), strerror(e->error),
          oscall_mark(e->told));
  simend_report(e, stream_end_of(e->error), e->writing, &why);
}

/* What comes before an error that is there already is only handed over. */
static void simarrive_read(struct simend *e) {
  struct oscall_verdict v;
  bool asked = !e->error && oscall_ask(e->stream.hook, OSCALL_RECV, NET_READ_MAX, &v);
  if (asked && v.error) {
    if (simend_told(e, v.error, &e->recv_waits)) simarrive_report(e);
  } else if (simpipe_readable(simend_in(e))) {
    simarrive_hand_over(e, asked ? v.most : NET_READ_MAX);
  } else {
    e->fin_told = true;
    e->stream.handler->ended(e->stream.arg, STREAM_FIN, false, NULL);
  }
}

/* Behind all that came, the end of file with it, unless a write has met the error before. */
static bool simarrive_is_at_error(const struct simend *e) {
  return e->error && !simpipe_readable(simend_in(e)) && (e->writing || !e->fin_came || e->fin_told);
}

static void simarrive_tell(struct simend *e) {
  if (e->unwritten) {
    e->unwritten = e->stream.blocked = false;
    stream_want_write(&e->stream);
  } else if (e->dial) {
    simdial_tell(e);
  } else if (simarrive_is_at_error(e)) {
    simarrive_report(e);
  } else {
    simarrive_read(e);
  }
}

void simarrive_run(struct simevent *event) {
  struct simend *e = LIST_OWNER(event, struct simend, event);
  struct simworld *w = simend_world(e);
  if (e->dial) simdial_look(e);
  simarrive_settle(e);
  if (simarrive_is_over(e)) return;
  if (simarrive_is_ready(e) && e->notices_ns <= w->now_ns && !simend_host(e)->stopped) simarrive_tell(e);
  if (!simarrive_is_over(e)) simend_schedule(e);
}
