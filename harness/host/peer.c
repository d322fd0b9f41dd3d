#include "host/peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "host/cutter.h"
#include "host/tap.h"
#include "mqtt/decode.h"
#include "net/tlsconfig.h"

#define PEER_SILENCE_CLAUSE "MQTT-3.1.2-24" /* in the broker's reason for closing */

/* A connection is up, then leaving (the script was told, the broker has given it up, its chain still closes), then gone
 * (its memory is freed once no handler runs). */
struct peer {
  struct net *net;
  struct timeline *timeline;
  char *name;
  struct url url;
  struct net_listen_options listen;
  struct transport_options transport;
  struct peer_handler handler;
  void *arg;
  struct broker *broker;
  struct net_listener *listener; /* NULL while stopped */
  struct list_node up, leaving, gone;
  struct peer_conn **numbers;
  size_t count, capacity;
  struct net_timer timer; /* the broker's deadline, or now after peer_kick */
  int64_t timer_at_ns;
  uint64_t number; /* on the timeline: tells it from other peers there */
  uint32_t depth;  /* handlers that run */
  bool paused, muted, dead;
};

struct peer_conn {
  struct list_node node;
  struct peer *peer;
  struct broker_conn *broker; /* NULL once it is not up */
  struct chain *chain;        /* NULL once it is gone */
  struct tap *tap;
  struct cutter cutter;
  struct slice feeding; /* what of the input in progress nobody has got yet */
  struct net_timer drain;
  const char *why; /* set once it is being closed */
  char *said;      /* of how the other end closed it */
  size_t number;
  uint32_t who;
  uint8_t version; /* enum spec_version */
  bool taken, driven;
  bool scripted, raw; /* it was told that a script answers, that a script's bytes go out */
};

static int64_t peer_now(const struct peer *p) {
  return net_now(p->net);
}

static void peer_tell(const struct peer *p, uint32_t who, enum event_what what, int code) {
  if (p->timeline) timeline_add_event(p->timeline, peer_now(p), who, (struct event){ what, code, 0, p->number });
}

/* A script acts in place of the broker; once for each connection. */
static void peer_conn_tell(struct peer_conn *c, enum event_what what, bool *told) {
  if (!*told) peer_tell(c->peer, c->who, what, 0);
  *told = true;
}

static void peer_conn_tell_closing(const struct peer_conn *c, const char *why) {
  const struct peer *p = c->peer;
  bool silence = strstr(why, PEER_SILENCE_CLAUSE) != NULL, midway = tap_is_midway(c->tap, TIMELINE_UP);
  if (!p->timeline) return;
  timeline_add_event(p->timeline, peer_now(p), c->who, (struct event){ EVENT_CLOSING, silence, midway, p->number });
}

/* Entering and leaving what may run handlers. */

static void peer_conn_destroy(struct peer_conn *c) {
  list_remove(&c->node);
  net_timer_clear(c->peer->net, &c->drain);
  tap_free(c->tap);
  cutter_fini(&c->cutter);
  free(c->said);
  free(c);
}

static void peer_enter(struct peer *p) {
  p->depth++;
}

static void peer_leave(struct peer *p) {
  if (--p->depth) return;
  for (struct list_node *n; (n = list_first(&p->gone));) peer_conn_destroy(LIST_OWNER(n, struct peer_conn, node));
  if (!p->dead) return;
  net_timer_clear(p->net, &p->timer);
  broker_free(p->broker);
  tlsconfig_free(p->transport.tls);
  free(p->numbers);
  free(p->name);
  free(p);
}

/* Connections: how they end. */

/* The chain has nothing left to do. */
static void peer_conn_gone(struct peer_conn *c) {
  struct chain *chain = c->chain;
  c->chain = NULL;
  net_timer_clear(c->peer->net, &c->drain);
  list_remove(&c->node);
  list_append(&c->peer->gone, &c->node);
  if (chain) chain_free(chain);
}

/* From up to leaving: the script and the broker are told. */
static void peer_conn_end(struct peer_conn *c, const char *why) {
  struct peer *p = c->peer;
  if (!c->broker || p->numbers[c->number - 1] != c) return;
  list_remove(&c->node);
  list_append(&p->leaving, &c->node);
  p->numbers[c->number - 1] = NULL;
  tap_end(c->tap, TIMELINE_DOWN, peer_now(p));
  if (p->timeline) timeline_note(p->timeline, peer_now(p), c->who, TIMELINE_END, "%s", why);
  if (p->handler.ended) p->handler.ended(p->arg, c, why);
  broker_gone(c->broker, peer_now(p));
  c->broker = NULL;
  c->feeding = slice_of(NULL, 0);
}

static void peer_conn_over(struct peer_conn *c, const char *why) {
  peer_conn_end(c, why);
  if (c->chain) peer_conn_gone(c);
}

/* Closes behind what is to be written still. */
static void peer_conn_close(struct peer_conn *c, const char *why) {
  if (c->why) return;
  c->why = why ? why : "closed by this end";
  chain_end(c->chain, CHAIN_CLOSE);
  if (!c->chain) return; /* a function of a fault rule has stopped the peer */
  if (!chain_stream(c->chain)) peer_conn_over(c, c->why);
  else net_timer_set(c->peer->net, &c->drain, peer_now(c->peer) + PEER_DRAIN_NS);
}

static void peer_arm_at(struct peer *p, int64_t at_ns) {
  if (p->paused || at_ns >= p->timer_at_ns) return;
  p->timer_at_ns = at_ns;
  net_timer_set(p->net, &p->timer, at_ns);
}

/* Nothing is due: no timer is left, so that a virtual world can tell that nothing will happen any more. */
static void peer_disarm(struct peer *p) {
  p->timer_at_ns = NET_NEVER;
  net_timer_clear(p->net, &p->timer);
}

/* Ends everything that happens in a turn: hands on what the broker has to say. */
static void peer_settle(struct peer *p) {
  struct broker_conn *b;
  const char *why = NULL;
  while ((b = broker_next_output(p->broker))) {
    struct peer_conn *c = broker_conn_user(b);
    if (!c->chain) continue;
    if (broker_wants_close(b, &why)) {
      peer_conn_tell_closing(c, why);
      peer_conn_close(c, why);
    } else {
      chain_want_write(c->chain);
    }
  }
  int64_t due_ns = broker_deadline(p->broker);
  if (due_ns == NET_NEVER) peer_disarm(p);
  else peer_arm_at(p, due_ns);
}

static void peer_fire(void *arg) {
  struct peer *p = arg;
  p->timer_at_ns = NET_NEVER;
  if (p->paused) return;
  peer_enter(p);
  if (broker_deadline(p->broker) <= peer_now(p)) broker_tick(p->broker, peer_now(p));
  peer_settle(p);
  peer_leave(p);
}

static void peer_conn_drained_not(void *arg) {
  struct peer_conn *c = arg;
  struct peer *p = c->peer;
  peer_enter(p);
  peer_conn_over(c, c->why);
  peer_settle(p);
  peer_leave(p);
}

/* The chain's side. */

static void peer_conn_show(struct peer_conn *c, struct slice raw) {
  struct peer *p = c->peer;
  struct packet packet;
  enum peer_verdict verdict = PEER_DEFAULT;
  bool good = decode_packet(raw, (enum spec_version)c->version, &packet, NULL) == DECODE_OK;
  if (good && packet.type == SPEC_CONNECT) c->version = packet.version;
  if (c->taken) p->handler.taken(p->arg, c, good ? &packet : NULL, raw);
  if (good && c->broker && !c->driven) {
    verdict = p->handler.packet(p->arg, c, &packet);
    if (verdict != PEER_DEFAULT) peer_conn_tell(c, EVENT_SCRIPTED, &c->scripted);
  }
  if (!c->broker || c->driven) return;
  if (verdict == PEER_DEFAULT) broker_feed(c->broker, raw, peer_now(p));
  else broker_note(c->broker, raw, peer_now(p));
}

static void peer_conn_pass(struct peer_conn *c, struct slice bytes) {
  if (c->taken) c->peer->handler.taken(c->peer->arg, c, NULL, bytes);
  if (c->broker && !c->driven) broker_feed(c->broker, bytes, peer_now(c->peer));
}

/* Packet by packet, for a script. What stands behind a packet that ended the connection is not looked at. */
static void peer_conn_cut(struct peer_conn *c, struct slice bytes) {
  struct slice piece;
  c->feeding = bytes;
  while (c->broker && !c->why && chain_stream(c->chain) && !broker_wants_close(c->broker, NULL)) {
    enum cutter_piece kind = cutter_next(&c->cutter, &c->feeding, &piece);
    if (kind == CUTTER_NONE) break;
    if (kind == CUTTER_PACKET) peer_conn_show(c, piece);
    else peer_conn_pass(c, piece);
  }
  c->feeding = slice_of(NULL, 0);
}

static void peer_input(void *arg, struct slice bytes) {
  struct peer_conn *c = arg;
  struct peer *p = c->peer;
  if (!c->broker) return;
  peer_enter(p);
  tap_pass(c->tap, TIMELINE_UP, bytes, peer_now(p));
  if (p->handler.packet) peer_conn_cut(c, bytes);
  else broker_feed(c->broker, bytes, peer_now(p));
  peer_settle(p);
  peer_leave(p);
}

static struct slice peer_output(void *arg) {
  struct peer_conn *c = arg;
  return c->broker ? broker_output(c->broker, peer_now(c->peer)) : slice_of(NULL, 0);
}

/* What was taken is asked for again: a fault rule's function may have had more put behind it, which moves it. */
static void peer_wrote(void *arg, size_t n) {
  struct peer_conn *c = arg;
  if (!c->broker) return;
  tap_pass(c->tap, TIMELINE_DOWN, slice_first(peer_output(c), n), peer_now(c->peer));
  broker_wrote(c->broker, n, peer_now(c->peer));
}

static void peer_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct peer_conn *c = arg;
  struct peer *p = c->peer;
  (void)writing;
  peer_enter(p);
  if (end == STREAM_FIN && why && !c->said) c->said = mem_copy(slice_text(why->text));
  if (!chain_stream(c->chain) || end != STREAM_FIN) peer_conn_over(c, c->why ? c->why : chain_end_text(end, why));
  else if (c->broker) peer_conn_close(c, c->said ? c->said : chain_end_text(end, why));
  peer_settle(p);
  peer_leave(p);
}

static const struct stream_handler peer_stream = {
  .input = peer_input,
  .output = peer_output,
  .wrote = peer_wrote,
  .ended = peer_ended,
};

/* The listener's side. */

static struct peer_conn *peer_conn_new(struct peer *p) {
  char name[TIMELINE_NAME_MAX + 24];
  struct peer_conn *c = mem_zero(sizeof *c);
  if (p->count == p->capacity) {
    p->capacity = p->capacity ? 2 * p->capacity : 16;
    p->numbers = mem_resize(p->numbers, p->capacity * sizeof *p->numbers);
  }
  p->numbers[p->count++] = c;
  c->peer = p;
  c->number = p->count;
  c->version = SPEC_3_1_1;
  list_append(&p->up, &c->node);
  snprintf(name, sizeof name, "%.*s#%zu", TIMELINE_NAME_MAX - 21, p->name, c->number);
  c->who = p->timeline ? timeline_who(p->timeline, name) : 0;
  net_timer_init(&c->drain, peer_conn_drained_not, c);
  c->tap = tap_new(p->timeline, c->who);
  cutter_init(&c->cutter, PEER_PACKET_MAX);
  return c;
}

static void peer_conn_note(void *arg, const char *what) {
  struct peer_conn *c = arg;
  struct peer *p = c->peer;
  if (p->timeline) timeline_note(p->timeline, peer_now(p), c->who, TIMELINE_NOTE, "%s", what);
}

/* A chain with the filters that the peer's URL asks for. */
static struct chain *peer_conn_chain_new(struct peer_conn *c) {
  struct peer *p = c->peer;
  struct transport_options transport = p->transport;
  struct chain *chain = chain_new(p->net, &peer_stream, c);
  transport.note = peer_conn_note;
  transport.arg = c;
  if (p->handler.begins) p->handler.begins(p->arg, c, &transport);
  bool pushed = transport_server(chain, p->net, &p->url, &transport, NULL);
  assert(pushed); /* peer_new has asked */
  return chain;
}

static void peer_accepted(void *arg, struct stream *s) {
  struct peer *p = arg;
  peer_enter(p);
  struct peer_conn *c = peer_conn_new(p);
  c->broker = broker_accept(p->broker, c, peer_now(p));
  c->chain = peer_conn_chain_new(c);
  chain_attach(c->chain, s);
  peer_tell(p, c->who, EVENT_ACCEPTED, 0);
  if (p->timeline) {
    timeline_note(p->timeline, peer_now(p), c->who, TIMELINE_OPEN, "from %s to %s", stream_peer(s), stream_local(s));
  }
  if (p->handler.accepted) p->handler.accepted(p->arg, c);
  peer_settle(p);
  peer_leave(p);
}

static void peer_trouble(void *arg, const struct err *why) {
  struct peer *p = arg;
  peer_enter(p);
  if (p->handler.trouble) p->handler.trouble(p->arg, why);
  peer_leave(p);
}

static const struct net_listener_handler peer_listening = { .accepted = peer_accepted, .trouble = peer_trouble };

/* The owner's side. */

/* One that refuses messages or clients for reasons of its own is not what a checker of runs knows. */
static void peer_tell_limits(struct peer *p, const struct broker_options *o) {
  uint32_t queued_max = o && o->queued_max ? o->queued_max : BROKER_QUEUED_DEFAULT;
  uint32_t inflight_max = o && o->inflight_max ? o->inflight_max : BROKER_INFLIGHT_DEFAULT;
  bool own = o && (o->message_max || o->authenticate);
  if (!p->timeline) return;
  p->number = timeline_last(p->timeline) + 1;
  timeline_add_event(p->timeline, peer_now(p), 0,
                     (struct event){ EVENT_PEER, own, (uint16_t)inflight_max, (uint64_t)queued_max << 32 | p->number });
}

struct peer *peer_new(struct net *n, struct timeline *timeline, const char *name, const struct url *u,
                      const struct broker_options *options, const struct net_listen_options *listen,
                      const struct transport_options *transport, const struct peer_handler *handler, void *arg,
                      struct err *err) {
  struct peer *p = mem_zero(sizeof *p);
  p->net = n;
  p->timeline = timeline;
  p->name = mem_copy(slice_text(name));
  p->url = *u;
  if (listen) p->listen = *listen;
  if (transport) p->transport = *transport;
  tlsconfig_ref(p->transport.tls);
  if (handler) p->handler = *handler;
  p->arg = arg;
  p->broker = broker_new(options);
  peer_tell_limits(p, options);
  p->timer_at_ns = NET_NEVER;
  net_timer_init(&p->timer, peer_fire, p);
  list_init(&p->up);
  list_init(&p->leaving);
  list_init(&p->gone);
  if (transport_check(u, transport, true, err) && peer_start(p, err)) return p;
  peer_free(p);
  return NULL;
}

void peer_free(struct peer *p) {
  if (!p || p->dead) return;
  peer_enter(p);
  p->dead = true;
  peer_stop(p, false);
  /* The filters of the chains may point into what the caller frees next. */
  for (struct list_node *n; (n = list_first(&p->leaving));) peer_conn_gone(LIST_OWNER(n, struct peer_conn, node));
  peer_leave(p);
}

const struct url *peer_url(const struct peer *p) {
  return &p->url;
}

struct broker *peer_broker(const struct peer *p) {
  return p->broker;
}

struct net_listener *peer_listener(const struct peer *p) {
  return p->listener;
}

void peer_forget(struct peer *p) {
  broker_forget(p->broker);
  peer_tell(p, 0, EVENT_FORGET, 0);
}

void peer_kick(struct peer *p) {
  peer_arm_at(p, peer_now(p));
}

bool peer_start(struct peer *p, struct err *err) {
  if (p->listener) return true;
  if (p->dead) return err_set(err, "the peer is being closed");
  p->listener = net_listen(p->net, &p->url, &p->listen, &peer_listening, p, err);
  if (!p->listener) return false;
  p->url = *net_listener_url(p->listener);
  if (p->muted) net_listener_mute(p->listener, true, NULL);
  return true;
}

/* Writes what is there already, and puts the end behind it. */
static void peer_conn_stop(struct peer_conn *c, bool reset) {
  chain_flush(c->chain);
  if (!c->broker) return; /* a function of a fault rule has stopped the peer */
  c->why = "the peer was stopped";
  if (reset) chain_reset(c->chain);
  else chain_close(c->chain);
}

static void peer_deafen(struct peer *p) {
  if (p->paused) peer_pause(p, false);
  net_listener_free(p->listener);
  p->listener = NULL;
}

void peer_kill(struct peer *p) {
  peer_enter(p);
  peer_deafen(p);
  for (struct list_node *n; (n = list_first(&p->up));) {
    peer_conn_over(LIST_OWNER(n, struct peer_conn, node), "the peer was killed");
  }
  peer_leave(p);
}

void peer_stop(struct peer *p, bool reset) {
  peer_enter(p);
  peer_deafen(p);
  for (size_t i = 0; i < p->count; i++) {
    if (p->numbers[i]) peer_conn_stop(p->numbers[i], reset);
  }
  /* All have their end before the first will is published. */
  for (struct list_node *n; (n = list_first(&p->up));) {
    struct peer_conn *c = LIST_OWNER(n, struct peer_conn, node);
    peer_conn_end(c, c->why);
    if (c->chain && !chain_stream(c->chain)) peer_conn_gone(c);
  }
  peer_leave(p);
}

void peer_pause(struct peer *p, bool paused) {
  if (p->paused == paused) return;
  p->paused = paused;
  peer_tell(p, 0, paused ? EVENT_PAUSED : EVENT_RESUMED, 0);
  if (p->listener) net_listener_pause(p->listener, paused);
  for (struct list_node *n = list_first(&p->up); n; n = list_next(&p->up, n)) {
    chain_stall(LIST_OWNER(n, struct peer_conn, node)->chain, CHAIN_STALL_PAUSE, paused);
  }
  /* What came in meanwhile is read before the next turn looks at keepalives. */
  p->timer_at_ns = NET_NEVER;
  net_timer_clear(p->net, &p->timer);
  peer_kick(p);
}

bool peer_mute(struct peer *p, bool muted, struct err *err) {
  if (p->listener && !net_listener_mute(p->listener, muted, err)) return false;
  p->muted = muted;
  return true;
}

size_t peer_count(const struct peer *p) {
  return p->count;
}

struct peer_conn *peer_conn(const struct peer *p, size_t n) {
  return n >= 1 && n <= p->count ? p->numbers[n - 1] : NULL;
}

struct peer_conn *peer_newest(const struct peer *p) {
  return list_empty(&p->up) ? NULL : LIST_OWNER(p->up.previous, struct peer_conn, node);
}

size_t peer_conn_number(const struct peer_conn *c) {
  return c->number;
}

struct chain *peer_conn_chain(const struct peer_conn *c) {
  return c->chain;
}

uint32_t peer_conn_who(const struct peer_conn *c) {
  return c->who;
}

void peer_conn_take(struct peer_conn *c, bool driven) {
  assert(c->peer->handler.packet && c->peer->handler.taken);
  c->taken = true;
  c->driven = driven;
  if (driven) peer_conn_tell(c, EVENT_SCRIPTED, &c->scripted);
  if (driven && c->broker) broker_leave(c->broker);
}

struct slice peer_conn_client_id(const struct peer_conn *c) {
  return c->broker ? broker_conn_client_id(c->broker) : slice_of("", 0);
}

bool peer_conn_send(struct peer_conn *c, struct slice bytes) {
  if (!c->broker || c->why || !broker_raw(c->broker, bytes)) return false;
  peer_conn_tell(c, EVENT_RAW, &c->raw);
  chain_want_write(c->chain);
  chain_flush(c->chain);
  return true;
}

struct slice peer_conn_partial_out(const struct peer_conn *c) {
  if (c->chain) chain_settle(c->chain);
  return c->broker ? broker_partial_out(c->broker) : slice_of(NULL, 0);
}

/* Inside a handler the rest of the input that is being cut has passed the filters already. */
struct slice peer_conn_partial_in(const struct peer_conn *c) {
  if (c->feeding.size) return tap_tail(c->feeding);
  if (cutter_partial(&c->cutter).size) return cutter_partial(&c->cutter);
  return c->broker ? broker_partial_in(c->broker) : slice_of(NULL, 0);
}
