#include "fault/relay.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fault/scope_fields.h"
#include "fault/track.h"
#include "mqtt/decode.h"

struct relay_side {
  struct relay *relay;
  struct chain *chain;   /* NULL once it is gone */
  struct buffer waiting; /* to be written */
  struct slice direct;   /* likewise, behind it: of the input that the other side is handing over */
  bool fin;              /* the other end of the stream has finished sending */
  bool shut;             /* this end has */
};

struct relay_scope {
  struct scope *scope;
  void *tag;
  bool joined; /* its filter is in the chain */
};

struct relay {
  struct net *net;
  const struct relay_handler *handler;
  void *arg;
  const struct relay_tap *tap; /* may be NULL */
  void *tap_arg;
  struct relay_side client, upstream;
  struct track up, down;
  struct buffer connect; /* the CONNECT packet, as far as it came */
  struct relay_scope scopes[RELAY_SCOPES_MAX];
  unsigned scope_count;
  struct url *target; /* while it waits for its turn to be dialled */
  int64_t timeout_ns;
  struct net_timer timer, join;
  uint64_t bytes_up, bytes_down;
  unsigned depth;
  bool closes, opened, connect_over, blind, told, dead;
  const char *carries; /* what goes through that is not MQTT: "TLS", or NULL */
  struct err why;      /* the first reason of its end */
};

static struct relay_side *relay_other(const struct relay_side *s) {
  struct relay *r = s->relay;
  return s == &r->client ? &r->upstream : &r->client;
}

/* Every entry is between these two: the handlers may free the relay. */

static void relay_destroy(struct relay *r) {
  buffer_fini(&r->client.waiting);
  buffer_fini(&r->upstream.waiting);
  buffer_fini(&r->connect);
  track_fini(&r->up);
  track_fini(&r->down);
  free(r->target);
  free(r);
}

static void relay_enter(struct relay *r) {
  r->depth++;
}

static void relay_leave(struct relay *r) {
  if (--r->depth == 0 && r->dead) relay_destroy(r);
}

/* Ends. */

static void relay_note(struct relay *r, const char *why) {
  if (!r->why.text[0]) err_set(&r->why, "%s", why);
}

static void relay_drop_side(struct relay_side *s) {
  struct chain *c = s->chain;
  s->chain = NULL;
  buffer_fini(&s->waiting);
  chain_free(c);
}

static bool relay_is_quiet(const struct relay_side *s) {
  return !s->chain || (s->fin && s->shut) || !chain_stream(s->chain);
}

static void relay_settle(struct relay *r) {
  if (r->told || r->dead || !relay_is_quiet(&r->client) || !relay_is_quiet(&r->upstream)) return;
  r->told = true;
  net_timer_clear(r->net, &r->timer);
  relay_drop_side(&r->client);
  relay_drop_side(&r->upstream);
  r->handler->ended(r->arg, r->why.text);
}

/* What the side sends has nobody to go to any more, and is read for nothing. */
static void relay_let_flow(struct relay_side *s) {
  buffer_fini(&relay_other(s)->waiting);
  if (s->chain) chain_pause(s->chain, false);
}

/* One side is gone: the other goes likewise, behind the bytes that were on their way. */
static void relay_lose(struct relay_side *s, enum chain_end end, const char *why) {
  struct relay_side *other = relay_other(s);
  relay_note(s->relay, why);
  relay_drop_side(s);
  relay_let_flow(other);
  if (!s->relay->opened) relay_drop_side(other);
  if (other->chain) chain_end(other->chain, end);
  relay_settle(s->relay);
}

static void relay_linger(void *arg) {
  struct relay *r = arg;
  relay_enter(r);
  relay_drop_side(&r->client);
  relay_settle(r);
  relay_leave(r);
}

/* An end of file needs the client's bytes read, or the system makes a reset of it. */
static void relay_turn_away(struct relay *r) {
  relay_drop_side(&r->upstream);
  if (!r->closes) {
    chain_reset(r->client.chain);
    return;
  }
  relay_let_flow(&r->client);
  chain_end(r->client.chain, CHAIN_FIN);
  net_timer_init(&r->timer, relay_linger, r);
  net_timer_set(r->net, &r->timer, net_now(r->net) + RELAY_LINGER_NS);
}

static void relay_half_closed(struct relay_side *s) {
  struct relay_side *other = relay_other(s);
  s->fin = true;
  relay_note(s->relay, s == &s->relay->client ? "closed by the client" : "closed by the upstream");
  chain_end(other->chain ? other->chain : s->chain, CHAIN_FIN);
  relay_settle(s->relay);
}

/* A reset that came from outside leaves the stream to its owner, one of our own does not. */
static void relay_failed(struct relay_side *s, enum stream_end end, const struct err *why) {
  char text[ERR_TEXT_MAX + 32];
  const char *who = s == &s->relay->client ? "the client" : "the upstream";
  bool unheard = s == &s->relay->upstream && chain_is_wrapped(s->chain) && !s->relay->down.framer.taken;
  if (end == STREAM_RESET && !chain_stream(s->chain)) snprintf(text, sizeof text, "reset by a rule");
  else if (end == STREAM_RESET && unheard)
    snprintf(text, sizeof text, "reset by the upstream before any packet: its URL may be of the wrong scheme");
  else if (end == STREAM_RESET) snprintf(text, sizeof text, "reset by %s", who);
  else snprintf(text, sizeof text, "%s failed: %s", who, why->text);
  relay_lose(s, CHAIN_RESET, text);
}

static void relay_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct relay_side *s = arg;
  struct relay *r = s->relay;
  (void)writing;
  relay_enter(r);
  if (end == STREAM_FIN && chain_stream(s->chain)) {
    relay_half_closed(s);
  } else if (end == STREAM_FIN) {
    relay_lose(s, CHAIN_CLOSE, "closed by a rule");
  } else if (!r->opened && s == &r->upstream && r->client.chain) {
    relay_note(r, why->text);
    relay_turn_away(r);
  } else {
    relay_failed(s, end, why);
  }
  relay_leave(r);
}

static void relay_vanished(struct relay_side *s) {
  struct relay_side *other = relay_other(s);
  struct relay *r = s->relay;
  struct err err;
  relay_note(r, "vanished");
  if (other->chain && !chain_vanish(other->chain, &err) && r->handler->trouble) r->handler->trouble(r->arg, &err);
}

/* The chain's word that nothing more goes out on that side. */
static void relay_done(void *arg, enum chain_end end) {
  struct relay_side *s = arg;
  struct relay *r = s->relay;
  relay_enter(r);
  s->shut = true;
  if (end == CHAIN_VANISH) relay_vanished(s);
  else if (!relay_other(s)->fin) relay_let_flow(relay_other(s));
  relay_settle(r);
  relay_leave(r);
}

/* Bytes. */

static bool relay_is_connect(const struct relay *r) {
  return buffer_size(&r->connect) && buffer_slice(&r->connect).data[0] >> 4 == SPEC_CONNECT;
}

/* What goes by on the way up: until the first packet is whole it is kept. */
static void relay_keep_connect(struct relay *r, struct slice bytes) {
  struct frame f;
  while (bytes.size && !r->connect_over) {
    enum frame_result known = frame_read(buffer_slice(&r->connect), &f);
    size_t want = known == FRAME_OK ? f.size - buffer_size(&r->connect) : 1;
    struct slice part = slice_first(bytes, want);
    r->connect_over = known == FRAME_BAD || !buffer_append(&r->connect, part) || !relay_is_connect(r);
    bytes = slice_from(bytes, part.size);
    if (!r->connect_over && frame_read(buffer_slice(&r->connect), &f) == FRAME_OK &&
        f.size == buffer_size(&r->connect)) {
      r->connect_over = true;
      return;
    }
  }
  if (r->connect_over) buffer_fini(&r->connect);
}

static bool relay_has_packet_rules(const struct relay *r) {
  for (unsigned i = 0; i < r->scope_count; i++) {
    const struct scope *s = r->scopes[i].scope;
    for (size_t k = 0; k < s->count; k++) {
      if (!s->rules[k]->removed && s->rules[k]->rule->place & WORDS_PACKETS) return true;
    }
  }
  return false;
}

static void relay_look_blind(struct relay *r) {
  if (!r->carries || r->blind || !r->handler->blind || !relay_has_packet_rules(r)) return;
  r->blind = true;
  r->handler->blind(r->arg, r->carries);
}

/* Two ends that do not speak the same will soon part, and neither says why. */
static void relay_note_mismatch(struct relay *r, bool up) {
  char text[160];
  bool tls = strcmp(r->carries, "TLS") == 0, wrapped = r->upstream.chain && chain_is_wrapped(r->upstream.chain);
  if (up != wrapped) return;
  snprintf(text, sizeof text, "%s speaks %s, and the URL %s is of another scheme than %s://",
           up ? "the client" : "the upstream", r->carries, up ? "to listen at" : "of the upstream", tls ? "ssl" : "ws");
  relay_note(r, text);
}

/* Looks whether what goes through is no MQTT. */
static void relay_look(struct relay *r) {
  if (r->carries) return;
  const char *up = framer_carries(&r->up.framer);
  r->carries = up ? up : framer_carries(&r->down.framer);
  if (!r->carries) return;
  relay_note_mismatch(r, up != NULL);
  relay_look_blind(r);
}

/* On their way to that side, the bytes are with it. */
static void relay_count_out(struct relay_side *s, struct slice bytes) {
  struct relay *r = s->relay;
  if (s == &r->client) {
    r->bytes_down += bytes.size;
    return;
  }
  track_pass(&r->up, bytes);
  if (r->up.framer.lost) relay_look(r);
  if (!r->connect_over) relay_keep_connect(r, bytes);
}

static void relay_count_in(struct relay_side *s, struct slice bytes) {
  struct relay *r = s->relay;
  if (s == &r->client) {
    r->bytes_up += bytes.size;
    return;
  }
  track_pass(&r->down, bytes);
  if (r->down.framer.lost) relay_look(r);
}

static void relay_write(struct relay_side *to, struct slice bytes) {
  struct relay_side *from = relay_other(to);
  if (!buffer_size(&to->waiting)) {
    to->direct = bytes;
    chain_flush(to->chain);
    bytes = to->direct;
    to->direct = slice_of(NULL, 0);
  }
  if (to->relay->dead || !bytes.size) return;
  bool fits = buffer_append(&to->waiting, bytes);
  assert(fits); /* the other side was told to stop */
  chain_pause(from->chain, true);
}

static void relay_input(void *arg, struct slice bytes) {
  struct relay_side *s = arg, *to = relay_other(s);
  relay_enter(s->relay);
  relay_count_in(s, bytes);
  if (to->chain && !to->shut) relay_write(to, bytes);
  relay_leave(s->relay);
}

static struct slice relay_output(void *arg) {
  const struct relay_side *s = arg;
  return buffer_size(&s->waiting) ? buffer_slice(&s->waiting) : s->direct;
}

static void relay_wrote(void *arg, size_t n) {
  struct relay_side *s = arg, *from = relay_other(s);
  relay_enter(s->relay);
  relay_count_out(s, slice_first(relay_output(s), n));
  bool waited = buffer_size(&s->waiting) > 0;
  if (waited) buffer_consume(&s->waiting, n);
  else s->direct = slice_from(s->direct, n);
  if (waited && !buffer_size(&s->waiting) && from->chain) chain_pause(from->chain, false);
  relay_leave(s->relay);
}

static void relay_opened(void *arg) {
  struct relay_side *s = arg;
  struct relay *r = s->relay;
  relay_enter(r);
  r->opened = true;
  if (r->client.chain) chain_pause(r->client.chain, false);
  if (r->handler->opened) r->handler->opened(r->arg);
  relay_leave(r);
}

static const struct stream_handler relay_stream = {
  .opened = relay_opened,
  .input = relay_input,
  .output = relay_output,
  .wrote = relay_wrote,
  .ended = relay_ended,
};

/* The owner's side. */

static void relay_init_side(struct relay *r, struct relay_side *s) {
  s->relay = r;
  buffer_init(&s->waiting, RELAY_WAITING_MAX);
  s->chain = chain_new(r->net, &relay_stream, s);
  chain_watch(s->chain, relay_done);
}

static void relay_push(struct relay *r, struct relay_scope *j) {
  chain_settle(r->upstream.chain);
  struct inject_past up = track_past(&r->up), down = track_past(&r->down);
  j->joined = true;
  inject_push(r->upstream.chain, inject_join(j->scope, j->tag, true, &up, &down, buffer_slice(&r->connect)));
}

static void relay_join_all(void *arg) {
  struct relay *r = arg;
  for (unsigned i = 0; i < r->scope_count && r->upstream.chain; i++) {
    if (!r->scopes[i].joined) relay_push(r, &r->scopes[i]);
  }
}

struct relay *relay_new(struct net *n, struct stream *client, const struct relay_handler *handler, void *arg) {
  struct relay *r = mem_zero(sizeof *r);
  r->net = n;
  r->handler = handler;
  r->arg = arg;
  relay_init_side(r, &r->client);
  relay_init_side(r, &r->upstream);
  track_init(&r->up);
  track_init(&r->down);
  buffer_init(&r->connect, RELAY_CONNECT_MAX);
  net_timer_init(&r->join, relay_join_all, r);
  net_timer_init(&r->timer, NULL, r);
  chain_pause(r->client.chain, true);
  chain_attach(r->client.chain, client);
  return r;
}

bool relay_wrap(struct relay *r, const struct url *listen, const struct transport_options *server,
                const struct url *upstream, const struct transport_options *client, struct err *err) {
  return transport_server(r->client.chain, r->net, listen, server, err) &&
         transport_client(r->upstream.chain, r->net, upstream, client, err);
}

void relay_free(struct relay *r) {
  if (!r || r->dead) return;
  relay_enter(r);
  r->dead = true;
  net_timer_clear(r->net, &r->timer);
  net_timer_clear(r->net, &r->join);
  chain_free(r->client.chain);
  chain_free(r->upstream.chain);
  r->client.chain = r->upstream.chain = NULL;
  relay_leave(r);
}

static void relay_tap_bytes(void *arg, enum chain_direction d, struct slice bytes) {
  const struct relay_side *s = arg;
  struct relay *r = s->relay;
  r->tap->bytes(r->tap_arg, s == &r->upstream, d, bytes);
}

static void relay_tap_end(void *arg, enum chain_direction d, enum chain_end end) {
  const struct relay_side *s = arg;
  struct relay *r = s->relay;
  r->tap->end(r->tap_arg, s == &r->upstream, d, end);
}

void relay_tap(struct relay *r, const struct relay_tap *tap, void *arg) {
  static const struct chain_tap both = { relay_tap_bytes, relay_tap_end };
  r->tap = tap;
  r->tap_arg = arg;
  if (r->client.chain) chain_tap(r->client.chain, tap ? &both : NULL, &r->client);
  if (r->upstream.chain) chain_tap(r->upstream.chain, tap ? &both : NULL, &r->upstream);
}

static void relay_connect(void *arg) {
  struct relay *r = arg;
  struct err err;
  relay_enter(r);
  struct stream *s = net_connect(r->net, r->target, r->timeout_ns, NULL, NULL, &err);
  free(r->target);
  r->target = NULL;
  if (s) {
    chain_attach(r->upstream.chain, s);
  } else {
    relay_note(r, err.text);
    relay_turn_away(r);
  }
  relay_leave(r);
}

void relay_dial(struct relay *r, const struct url *upstream, int64_t delay_ns, int64_t timeout_ns, bool closes) {
  r->target = mem_resize(NULL, sizeof *r->target);
  *r->target = *upstream;
  r->timeout_ns = timeout_ns;
  r->closes = closes;
  net_timer_init(&r->timer, relay_connect, r);
  if (delay_ns > 0) net_timer_set(r->net, &r->timer, net_now(r->net) + delay_ns);
  else relay_connect(r);
}

void relay_refuse(struct relay *r, bool closes, const char *why) {
  relay_note(r, why);
  r->closes = closes;
  relay_turn_away(r);
}

void relay_ignore(struct relay *r, const char *why) {
  relay_note(r, why);
  relay_drop_side(&r->upstream);
  relay_let_flow(&r->client);
}

/* While a function of a rule runs, bytes are on their way through the filters: another filter comes in behind them. */
static bool relay_is_busy(const struct relay *r) {
  for (unsigned i = 0; i < r->scope_count; i++) {
    if (r->scopes[i].scope->busy) return true;
  }
  return false;
}

static bool relay_has_joined(const struct relay *r, const struct scope *s) {
  for (unsigned i = 0; i < r->scope_count; i++) {
    if (r->scopes[i].scope == s) return true;
  }
  return false;
}

static void relay_add_scope(struct relay *r, struct scope *s, void *tag) {
  assert(r->scope_count < RELAY_SCOPES_MAX);
  r->scopes[r->scope_count++] = (struct relay_scope){ .scope = s, .tag = tag };
  if (relay_is_busy(r)) net_timer_set(r->net, &r->join, net_now(r->net));
  else relay_join_all(r);
}

void relay_join(struct relay *r, struct scope *s, void *tag) {
  relay_enter(r);
  if (r->upstream.chain && !relay_has_joined(r, s)) relay_add_scope(r, s, tag);
  relay_look_blind(r);
  relay_leave(r);
}

struct relay_counts relay_counts(const struct relay *r) {
  return (struct relay_counts){ .bytes_up = r->bytes_up,
                                .bytes_down = r->bytes_down,
                                .packets_up = r->up.framer.lost ? 0 : r->up.framer.index,
                                .packets_down = r->down.framer.lost ? 0 : r->down.framer.index };
}

bool relay_is_open(const struct relay *r) {
  return r->opened;
}

struct slice relay_client_id(const struct relay *r) {
  struct packet p;
  bool known = r->connect_over && relay_is_connect(r);
  if (!known || decode_packet(buffer_slice(&r->connect), SPEC_3_1_1, &p, NULL) != DECODE_OK) return slice_of(NULL, 0);
  return p.client_id;
}

static struct chain *relay_chain(const struct relay_side *s) {
  return s->chain && chain_stream(s->chain) ? s->chain : NULL;
}

const char *relay_local(const struct relay *r) {
  struct chain *c = relay_chain(&r->upstream);
  return c ? stream_local(chain_stream(c)) : "";
}

const char *relay_remote(const struct relay *r) {
  struct chain *c = relay_chain(&r->upstream);
  return c ? stream_peer(chain_stream(c)) : "";
}

void relay_reset(struct relay *r, const char *why) {
  relay_note(r, why);
  if (relay_chain(&r->client)) chain_reset(r->client.chain);
  if (relay_chain(&r->upstream)) chain_reset(r->upstream.chain);
}

void relay_close(struct relay *r, const char *why) {
  relay_note(r, why);
  if (relay_chain(&r->client)) chain_close(r->client.chain);
  if (relay_chain(&r->upstream)) chain_close(r->upstream.chain);
}

void relay_fin(struct relay *r, bool up, bool down) {
  relay_note(r, "half-closed by a rule");
  if (down && relay_chain(&r->client)) chain_fin(r->client.chain, CHAIN_OUT);
  if (up && relay_chain(&r->upstream)) chain_fin(r->upstream.chain, CHAIN_OUT);
}

bool relay_vanish(struct relay *r, struct err *err) {
  bool ok = true;
  relay_note(r, "vanished");
  if (relay_chain(&r->client)) ok = chain_vanish(r->client.chain, err);
  if (relay_chain(&r->upstream)) ok &= chain_vanish(r->upstream.chain, err);
  return ok;
}

void relay_stall(struct relay *r, bool stalled) {
  if (r->client.chain) chain_stall(r->client.chain, CHAIN_STALL_NOW, stalled);
  if (r->upstream.chain) chain_stall(r->upstream.chain, CHAIN_STALL_NOW, stalled);
}
