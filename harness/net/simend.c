#include "net/simend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/oscall.h"
#include "net/simarrive.h"
#include "net/simdial.h"
#include "net/simlisten.h"

#define SIMEND_LOSSES 16 /* draws of losses that one sending takes at the most */

static struct simend *simend_of(const struct stream *s) {
  return (struct simend *)s;
}

static void simend_init(struct simend *e, struct simend *peer, struct simhost *h, uint64_t key) {
  stream_init(&e->stream, &h->net);
  e->peer = peer;
  e->key = key;
  e->event = (struct simevent){ .run = simarrive_run, .key = key };
  simpipe_init(&e->out, SIMNET_SEND_MAX, SIMNET_RECEIVE_MAX);
}

struct simend *simend_new(struct simhost *h) {
  struct simconn *c = mem_zero(sizeof *c);
  uint64_t key = rng_hash(0, h->key, h->connects++, 0);
  simend_init(&c->ends[0], &c->ends[1], h, key);
  simend_init(&c->ends[1], &c->ends[0], h, rng_mix(key + 1));
  c->ends[0].state = SIMEND_DIALING;
  c->ends[1].released = true;
  list_append(&h->world->conns, &c->listed);
  h->world->count.connections++;
  h->world->count.open++;
  return &c->ends[0];
}

static struct simconn *simend_conn(struct simend *e) {
  struct simend *first = e < e->peer ? e : e->peer;
  return LIST_OWNER(first, struct simconn, ends);
}

static void simend_fini(struct simworld *w, struct simend *e) {
  simworld_clear(w, &e->event);
  list_remove(&e->event.parked);
  list_remove(&e->owing);
  list_remove(&e->held);
  list_remove(&e->arriving);
  list_remove(&e->queued);
  simpipe_fini(w, &e->out);
}

static void simend_bury(struct simend *e) {
  struct simworld *w = simend_world(e);
  struct simconn *c = simend_conn(e);
  for (int i = 0; i < 2; i++) simend_fini(w, &c->ends[i]);
  list_remove(&c->listed);
  w->count.open--;
  c->buried_next = w->buried;
  w->buried = c;
  if (!w->depth) simend_free_buried(w);
}

void simend_free_buried(struct simworld *w) {
  while (w->buried) {
    struct simconn *c = w->buried;
    w->buried = c->buried_next;
    free(c);
  }
}

/* Sending. */

/* When it arrives that was sent first at `sent_ns` and is sent next at `next_ns`; NET_NEVER: it is lost each time. What
 * is not sent again (a reset), or need not be (an acknowledgement: the next one says the same), is lost only in the
 * first case. */
static int64_t simend_arrival(struct simend *e, enum simpipe_kind kind, size_t size, int64_t sent_ns, int64_t next_ns) {
  struct simworld *w = simend_world(e);
  uint64_t occurrence = e->sends++;
  int64_t takes_ns = simlink_arrival(w, e->link, size, e->key, occurrence) - w->now_ns;
  struct simnet_ratio loss = simlink_settings(w, e->link)->loss;
  if (kind == SIMPIPE_ACK || !loss.part) return next_ns + takes_ns;
  for (uint64_t i = 0; i < SIMEND_LOSSES && next_ns != NET_NEVER; i++) {
    if (!simworld_happens(w, loss, SIMWORLD_LOSS, e->key, occurrence * SIMEND_LOSSES + i)) return next_ns + takes_ns;
    w->count.lost++;
    next_ns = kind == SIMPIPE_RST ? NET_NEVER : simpipe_retry_ns(kind, sent_ns, next_ns + 1);
  }
  return NET_NEVER;
}

/* Sets when `f`, which is sent next at `next_ns`, arrives. */
static void simend_fly(struct simend *e, struct simflight *f, int64_t next_ns) {
  struct simworld *w = simend_world(e);
  uint64_t lost = w->count.lost;
  int64_t at_ns = simend_arrival(e, f->kind, f->size, f->sent_ns, next_ns);
  f->again = w->count.lost != lost;
  f->lost = at_ns == NET_NEVER;
  f->at_ns = f->lost ? simpipe_give_up_ns(f->kind, f->sent_ns) : at_ns;
  if (f->again && !list_holds(&e->peer->held)) list_append(&e->link->held, &e->peer->held);
}

/* What leaves at the same time arrives at the same time. */
static bool simend_joins(struct simend *e, size_t size) {
  struct simworld *w = simend_world(e);
  struct simflight *f = e->out.first;
  if (!f || simlink_settings(w, e->link)->bytes_per_s) return false;
  f = LIST_OWNER(e->out.last, struct simflight, next);
  if (f->kind != SIMPIPE_DATA || f->lost || f->sent_ns != w->now_ns || f->size + size > SIMPIPE_SEGMENT_MAX)
    return false;
  f->size += (uint32_t)size;
  return true;
}

static void simend_push(struct simend *e, enum simpipe_kind kind, size_t size) {
  struct simworld *w = simend_world(e);
  struct simpipe *in = simend_in(e);
  struct simflight way = { .kind = (uint8_t)kind, .size = (uint32_t)size, .sent_ns = w->now_ns };
  simend_fly(e, &way, w->now_ns);
  if (way.lost && kind == SIMPIPE_RST) return;
  struct simflight *f = simpipe_push(w, &e->out, kind, size, way.at_ns);
  uint64_t edge = in->delivered + in->receive_max;
  if (edge > in->told) in->told = edge;
  f->lost = way.lost;
  f->again = way.again;
  f->arrived = in->arrived;
  f->edge = in->told;
}

void simend_send(struct simend *e, enum simpipe_kind kind, size_t size) {
  if (kind != SIMPIPE_DATA || !simend_joins(e, size)) simend_push(e, kind, size);
  list_remove(&e->owing);
  simarrive_now(e->peer);
  simend_schedule(e->peer);
}

void simend_transmit(struct simend *e) {
  struct simpipe *p = &e->out;
  if (e->state != SIMEND_OPEN) return;
  bool slow = simlink_settings(simend_world(e), e->link)->bytes_per_s != 0;
  while (p->sent < p->taken && p->sent < p->edge) {
    uint64_t size = slow ? SIMPIPE_SEGMENT_SLOW : SIMPIPE_SEGMENT_MAX;
    if (size > p->taken - p->sent) size = p->taken - p->sent;
    if (size > p->edge - p->sent) size = p->edge - p->sent;
    p->sent += size;
    simend_send(e, SIMPIPE_DATA, size);
  }
  if (!e->shut || e->fin_sent || p->sent < p->taken) return;
  e->fin_sent = true;
  simend_send(e, SIMPIPE_FIN, 0);
}

void simend_owe(struct simend *e) {
  if (simlink_is_instant(simend_world(e), e->link)) simend_send(e, SIMPIPE_ACK, 0);
  else if (!list_holds(&e->owing)) list_append(&simend_world(e)->owing, &e->owing);
}

void simend_pay(struct simworld *w) {
  for (struct list_node *n = list_first(&w->owing); n; n = list_first(&w->owing)) {
    simend_send(LIST_OWNER(n, struct simend, owing), SIMPIPE_ACK, 0);
  }
}

void simend_retry(struct simend *e) {
  int64_t now_ns = simend_world(e)->now_ns;
  struct simend *sender = e->peer;
  list_remove(&e->held);
  if (sender->state == SIMEND_GONE || sender->state == SIMEND_VANISHED) return;
  for (struct simflight *f = sender->out.first; f; f = f->next) {
    int64_t next_ns = f->again && f->at_ns > now_ns ? simpipe_retry_ns(f->kind, f->sent_ns, now_ns) : NET_NEVER;
    if (next_ns != NET_NEVER) simend_fly(sender, f, next_ns);
  }
  simend_schedule(e);
}

/* Ends. */

void simend_die(struct simend *e) {
  struct simworld *w = simend_world(e);
  e->state = SIMEND_GONE;
  list_remove(&e->owing);
  e->stream.blocked = false;
  simpipe_cut(&e->out);
  /* Lost, and nobody sends it again. */
  if (e->out.first && e->out.first->lost) {
    list_remove(&e->peer->held);
    while (e->out.first) simpipe_pop(w, &e->out);
    simend_schedule(e->peer);
  }
}

void simend_refuse(struct simend *e) {
  simend_die(e);
  simend_send(e, SIMPIPE_RST, 0);
}

void simend_release(struct simend *e) {
  struct simlisten *l = e->listener;
  assert(!e->released);
  stream_fini(&e->stream);
  simdial_free(e);
  e->released = true;
  e->stream.blocked = false;
  e->stream.handler = NULL;
  e->listener = NULL;
  if (l) simlisten_left(l, e);
  if (e->peer->released) simend_bury(e);
  else simend_schedule(e);
}

void simend_report(struct simend *e, enum stream_end end, bool writing, const struct err *why) {
  e->reported = true;
  e->stream.handler->ended(e->stream.arg, end, writing, why);
}

/* When the next thing is due for it. */
static int64_t simend_due_ns(const struct simend *e) {
  const struct simflight *next = simend_in(e)->first;
  int64_t at_ns = next ? next->at_ns : NET_NEVER;
  if (e->dial && simdial_due_ns(e->dial) < at_ns) at_ns = simdial_due_ns(e->dial);
  return at_ns;
}

void simend_schedule(struct simend *e) {
  struct simworld *w = simend_world(e);
  struct simhost *h = simend_host(e);
  int64_t at_ns = simend_due_ns(e);
  if (simarrive_is_ready(e)) {
    if (!h->stopped && e->notices_ns < at_ns) at_ns = e->notices_ns;
    if (h->stopped && !list_holds(&e->event.parked)) list_append(&h->parked, &e->event.parked);
  }
  if (at_ns == NET_NEVER) simworld_clear(w, &e->event);
  else simworld_set(w, &e->event, at_ns);
}

static const char *simend_describe_way(const struct simend *e) {
  const struct simflight *next = e->out.first;
  if (!next) return "";
  if (simlink_settings(simend_world(e), e->link)->cut) return "; the way is cut";
  return next->lost ? "; nobody answers" : "";
}

/* False: there is nothing to be told of it. */
static bool simend_describe_pipe(const struct simend *e, char *to, size_t size) {
  const struct simpipe *p = &e->out;
  to[0] = 0;
  if (!e->link || (p->taken == p->delivered && !p->first)) return false;
  snprintf(to, size, "; %s to %s: %llu bytes not sent, %llu on the way, %llu not read%s", simend_host(e)->name,
           simend_host(e->peer)->name, (unsigned long long)(p->taken - p->sent),
           (unsigned long long)(p->sent - p->arrived), (unsigned long long)(p->arrived - p->delivered),
           simend_describe_way(e));
  return true;
}

bool simend_describe(const struct simconn *c, char to[SIMEND_TEXT_MAX]) {
  const struct simend *caller = &c->ends[0], *called = &c->ends[1];
  char from[NET_NAME_MAX], at[NET_NAME_MAX], up[SIMEND_TEXT_MAX / 3], down[SIMEND_TEXT_MAX / 3];
  const char *state = "connected";
  address_brief_text(&caller->local, from, sizeof from);
  address_brief_text(&called->local, at, sizeof at);
  if (called->state == SIMEND_QUEUED) state = "not accepted yet";
  if (caller->dial) state = "connecting";
  bool waits = caller->dial || called->state == SIMEND_QUEUED;
  waits |= simend_describe_pipe(caller, up, sizeof up);
  waits |= simend_describe_pipe(called, down, sizeof down);
  snprintf(to, SIMEND_TEXT_MAX, "%s to %s: %s%s%s", from, at, state, up, down);
  return waits;
}

/* Operations. */

static bool simend_can_write(const struct simend *e) {
  return !e->dial && !e->shut && !e->released && !e->reported && !e->writing && !e->send_waits;
}

static void simend_again(void *arg) {
  struct simend *e = arg;
  bool send = e->send_waits;
  e->send_waits = e->recv_waits = false;
  if (send) e->stream.blocked = false;
  if (send) stream_want_write(&e->stream);
  simend_schedule(e);
}

bool simend_told(struct simend *e, int error, bool *waits) {
  if (oscall_is_passing(error)) {
    *waits = true;
    oscall_wait(e->stream.net, e->stream.hook, error, simend_again, e);
    return false;
  }
  e->told = true;
  e->error = error;
  return true;
}

/* What is to be written becomes what its hook lets be. False: nothing. */
static bool simend_ask(struct simend *e, struct slice *out) {
  struct oscall_verdict v;
  if (!oscall_ask(e->stream.hook, OSCALL_SEND, out->size, &v)) return true;
  *out = slice_first(*out, v.most);
  if (v.error) e->stream.blocked = !simend_told(e, v.error, &e->send_waits);
  return !v.error;
}

/* Over TCP the other end's kernel has to answer first; over a Unix socket it is known at once that nobody is there. */
static bool simend_is_forsaken(const struct simend *e) {
  return e->is_unix && e->peer->released && e->peer->state >= SIMEND_OPEN;
}

/* True: there may be more to write. */
static bool simend_write(struct simend *e, size_t *budget) {
  struct slice out = e->stream.handler->output(e->stream.arg);
  if (!simend_can_write(e) || out.size == 0) return false;
  out = slice_first(out, *budget);
  if (!e->error && simend_is_forsaken(e)) e->error = EPIPE;
  if (!e->error && !simend_ask(e, &out) && !e->error) return false;
  if (e->error) {
    e->writing = true;
    simend_schedule(e);
    return false;
  }
  size_t room = simpipe_room(&e->out), n = out.size < room ? out.size : room;
  e->stream.blocked = n < out.size;
  *budget -= n;
  if (n == 0) return false;
  buffer_append(&e->out.bytes, slice_first(out, n));
  e->out.taken += n;
  simend_transmit(e);
  e->stream.handler->wrote(e->stream.arg, n);
  return simend_can_write(e) && !e->stream.blocked && *budget > 0;
}

void simend_flush(struct stream *s) {
  struct simend *e = simend_of(s);
  struct simworld *w = simend_world(e);
  struct simhost *h = simend_host(e);
  size_t budget = STREAM_FLUSH_MAX;
  if (!simend_can_write(e)) return;
  if (h->stopped) {
    s->blocked = e->unwritten = true;
    simend_schedule(e);
    return;
  }
  simworld_enter(w);
  s->blocked = false;
  while (simend_write(e, &budget)) continue;
  if (budget == 0 && simend_can_write(e)) stream_want_write(s);
  simworld_leave(w);
}

void simend_pause(struct stream *s, bool paused) {
  struct simend *e = simend_of(s);
  e->paused = paused;
  if (!paused) simend_schedule(e);
}

/* What goes over a Unix socket is at the other end at once. */
size_t simend_unsent(const struct stream *s) {
  const struct simend *e = simend_of(s);
  return e->is_unix || e->dial ? 0 : e->out.taken - e->out.acked;
}

void simend_name(const struct stream *s, bool peer, char *to, size_t size) {
  const struct simend *e = simend_of(s);
  if (!e->dial && e->state != SIMEND_DIALING) address_brief_text(peer ? &e->peer->local : &e->local, to, size);
}

void simend_shutdown(struct stream *s) {
  struct simend *e = simend_of(s);
  e->shut = true;
  s->blocked = false;
  if (!e->dial) simend_transmit(e);
}

void simend_set_buffers(struct stream *s, size_t send, size_t receive) {
  struct simend *e = simend_of(s);
  simpipe_set_sizes(&e->out, send, 0);
  simpipe_set_sizes(simend_in(e), 0, receive);
  if (receive) simpipe_shrink(simend_in(e));
}

/* Bytes that came and were not read make it a reset. */
void simend_close(struct stream *s) {
  struct simend *e = simend_of(s);
  if (e->state == SIMEND_DIALING) simend_die(e);
  if (e->state == SIMEND_OPEN && simpipe_readable(simend_in(e))) simend_refuse(e);
  e->shut = true;
  simend_transmit(e);
  simend_release(e);
}

/* A Unix socket has no reset. */
void simend_reset(struct stream *s) {
  struct simend *e = simend_of(s);
  if (e->state == SIMEND_OPEN && !e->is_unix) simend_refuse(e);
  simend_close(s);
}

bool simend_vanish(struct stream *s, struct err *err) {
  struct simend *e = simend_of(s);
  if (e->is_unix) return err_set(err, "a connection over a Unix socket cannot vanish");
  simend_die(e);
  e->state = SIMEND_VANISHED;
  simend_release(e);
  return true;
}
