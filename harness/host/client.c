#include "host/client.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "host/tap.h"
#include "mqtt/defect.h"
#include "net/tlsname.h"

/* How long filters may hold back a DISCONNECT that the session has written, before the connection is cut. */
#define CLIENT_CLOSE_NS  3000000000
#define CLIENT_LINGER_AT 4 /* messages in flight: fewer are somebody waiting for an answer */

struct client {
  struct net *net;
  struct timeline *timeline;
  struct session *session;
  struct chain *chain; /* NULL while there is no transport */
  client_handler *handler;
  void *arg;
  void (*on_chain)(void *arg, struct chain *chain);
  void *on_chain_arg;
  struct net_timer timer; /* the session's deadline, or now if there are events to be given */
  int64_t timer_at_ns, close_by_ns;
  struct tap *tap;
  char *why;            /* what it waited for in vain, once it has given up; else NULL */
  struct slice feeding; /* what of the input in progress the session has not got yet */
  uint64_t connection;  /* counts them, so that a loop notices that its connection has ended */
  size_t unflushed;     /* bytes accepted since the chain was last asked to write */
  uint32_t who;
  uint16_t depth; /* handlers that run */
  bool open;      /* the transport is there */
  bool plain;     /* messages may wait whose result comes by itself: QoS 0, or refused */
  bool closed;    /* by its owner, and nothing was begun since */
  bool dead;      /* being freed: no handler can begin anything any more */
  struct client_gate (*on_dial)(void *arg);
  void *on_dial_arg;
  struct oscall_hook *(*on_calls)(void *arg);
  void *on_calls_arg;
  struct client_dial *dial; /* a connect that a gate holds back, or NULL */
};

struct client_dial {
  struct url url;
  bool refused;
  int64_t at_ns, timeout_ns;
};

static int64_t client_now(const struct client *c) {
  return net_now(c->net);
}

/* The timer is only ever moved forward; one that fires too early finds nothing to do and is set again. So a deadline
 * that moves away with each packet costs nothing. */
static void client_arm_at(struct client *c, int64_t at_ns) {
  if (at_ns >= c->timer_at_ns) return;
  c->timer_at_ns = at_ns;
  net_timer_set(c->net, &c->timer, at_ns);
}

/* Nothing is due: no timer is left, so that a virtual world can tell that nothing will happen any more. */
static void client_disarm(struct client *c) {
  c->timer_at_ns = NET_NEVER;
  net_timer_clear(c->net, &c->timer);
}

/* Events are given in the next turn, and the transport closed that the session has finished with. */
static void client_wake(struct client *c) {
  if (session_has_event(c->session) || session_wants_close(c->session)) client_arm_at(c, client_now(c));
}

static void client_want_write(struct client *c) {
  if (c->chain && c->open) chain_want_write(c->chain);
}

static void client_flush(struct client *c) {
  c->unflushed = 0;
  if (c->chain && c->open) chain_flush(c->chain);
}

static void client_destroy(struct client *c) {
  net_timer_clear(c->net, &c->timer);
  tap_free(c->tap);
  session_free(c->session);
  free(c->why);
  free(c);
}

static void client_enter(struct client *c) {
  c->depth++;
}

static void client_leave(struct client *c) {
  if (--c->depth == 0 && c->dead) client_destroy(c);
}

static void client_tell(const struct client *c, enum event_what what, int code, uint16_t packet_id, uint64_t value) {
  if (c->timeline)
    timeline_add_event(c->timeline, client_now(c), c->who, (struct event){ what, code, packet_id, value });
}

static void client_tell_event(const struct client *c, const struct session_event *e) {
  const struct packet *p = e->packet;
  switch (e->type) {
  case SESSION_EVENT_CONNECTED: client_tell(c, EVENT_CONNECTED, e->code, e->session_present, 0); break;
  case SESSION_EVENT_LOST: client_tell(c, EVENT_LOST, e->code, 0, 0); break;
  case SESSION_EVENT_DISCONNECTED: client_tell(c, EVENT_DISCONNECTED, e->code, 0, 0); break;
  case SESSION_EVENT_RESULT:
  case SESSION_EVENT_SUBSCRIBED:
  case SESSION_EVENT_UNSUBSCRIBED: client_tell(c, EVENT_RESULT, e->code, 0, e->number); break;
  case SESSION_EVENT_MESSAGE:
    client_tell(c, EVENT_MESSAGE, p->qos, p->packet_id, event_content(p->topic, p->payload));
    break;
  }
}

/* Inside client_enter and client_leave. A handler that comes here again leaves it to the drain that called it to find
 * that there is nothing more: till then what that one's event borrows is kept. */
static void client_drain(struct client *c) {
  struct session_event e;
  while ((c->depth == 1 || session_has_event(c->session)) && session_next(c->session, &e)) {
    if (c->timeline) client_tell_event(c, &e);
    if (c->handler) c->handler(c->arg, &e);
  }
}

/* The transport is given up. What became of everything is in the session's events then. */
static void client_drop(struct client *c, const char *why) {
  struct chain *chain = c->chain;
  if (!chain) return;
  c->chain = NULL;
  c->open = false;
  free(c->dial);
  c->dial = NULL;
  c->close_by_ns = NET_NEVER;
  c->connection++;
  c->feeding = slice_of(NULL, 0);
  tap_end(c->tap, TIMELINE_UP, client_now(c));
  if (c->timeline) timeline_note(c->timeline, client_now(c), c->who, TIMELINE_END, "%s", why);
  free(c->why); /* that may be `why` */
  c->why = NULL;
  chain_free(chain);
}

/* Does what the session wants done with its transport. False while that takes time: events wait until it is down. */
static bool client_finish(struct client *c) {
  if (!c->chain || !session_wants_close(c->session)) return true;
  if (!session_gave_up(c->session)) {
    /* DISCONNECT may still be in a filter: the close goes behind it. */
    if (c->close_by_ns == NET_NEVER) {
      uint64_t connection = c->connection;
      c->close_by_ns = client_now(c) + CLIENT_CLOSE_NS;
      chain_end(c->chain, CHAIN_CLOSE);
      if (c->connection != connection) return true; /* a function of a fault rule has closed the client */
    }
    if (chain_stream(c->chain) && client_now(c) < c->close_by_ns) {
      client_arm_at(c, c->close_by_ns);
      return false;
    }
  }
  client_drop(c, c->why ? c->why : TIMELINE_LOCAL_END);
  session_lost(c->session, SESSION_END_LOCAL, client_now(c));
  return true;
}

/* Ends everything that happens in a turn: acts on the session's wishes, gives the events. */
static void client_settle(struct client *c) {
  do {
    if (!client_finish(c)) return;
    client_drain(c);
  } while (!c->dead && c->chain && session_wants_close(c->session));
  if (c->dead) return;
  if (c->plain) c->plain = session_stats(c->session).buffered > 0;
  client_want_write(c);
  client_arm_at(c, session_deadline(c->session));
  if (c->dial) client_arm_at(c, c->dial->at_ns);
  else if (session_deadline(c->session) == NET_NEVER) client_disarm(c);
}

static void client_dial_now(struct client *c);

/* What this end has waited for in vain. */
static const char *client_silence(enum session_state state) {
  switch (state) {
  case SESSION_CONNECTING: return "no CONNACK within the timeout of connect";
  case SESSION_CONNECTED: return "no PINGRESP";
  default: return "DISCONNECT could not be written";
  }
}

static void client_give_up(struct client *c, enum session_state state) {
  struct err why, waits = { "" };
  if (c->chain) waits = chain_waits(c->chain);
  err_set(&why, TIMELINE_LOCAL_END ": %s%s%s", client_silence(state), waits.text[0] ? ": " : "", waits.text);
  free(c->why);
  c->why = mem_copy(slice_text(why.text));
}

static void client_tick(struct client *c) {
  if (session_deadline(c->session) > client_now(c)) return;
  enum session_state before = session_state(c->session);
  session_tick(c->session, client_now(c));
  if (session_gave_up(c->session)) client_give_up(c, before);
  bool pings = session_state(c->session) == SESSION_CONNECTED && !session_wants_close(c->session);
  if (pings) client_tell(c, EVENT_PING, tap_is_midway(c->tap, TIMELINE_UP), 0, 0);
}

static void client_fire(void *arg) {
  struct client *c = arg;
  c->timer_at_ns = NET_NEVER;
  client_enter(c);
  if (c->dial && c->dial->at_ns <= client_now(c)) client_dial_now(c);
  client_tick(c);
  client_settle(c);
  client_leave(c);
}

/* The chain's side. */

static void client_opened(void *arg) {
  struct client *c = arg;
  const struct stream *s = chain_stream(c->chain);
  c->open = true;
  if (c->timeline && s) {
    timeline_note(c->timeline, client_now(c), c->who, TIMELINE_OPEN, "%s to %s", stream_local(s), stream_peer(s));
  }
  client_enter(c);
  client_settle(c);
  client_leave(c);
}

/* `before`: how many there were before the packet that the session has got now. */
static void client_note_unknown(struct client *c, uint64_t before) {
  struct session_stats now = session_stats(c->session);
  if (now.unknown_acks == before || !c->timeline) return;
  timeline_note(c->timeline, client_now(c), c->who, TIMELINE_NOTE, "%s id %u fits nothing that is in flight",
                spec_packet(now.unknown_type)->name, now.unknown_id);
}

/* What came behind the packet with which the session has finished. */
static void client_leave_unread(struct client *c, struct slice rest) {
  if (!rest.size || !c->timeline) return;
  client_tell(c, EVENT_UNREAD, 0, 0, 0);
  tap_pass(c->tap, TIMELINE_DOWN, rest, client_now(c));
}

/* Each packet stands on the timeline before what it causes. */
static void client_feed(struct client *c, struct slice bytes) {
  uint64_t connection = c->connection;
  struct slice rest = bytes; /* not on the timeline yet */
  c->feeding = bytes;
  while (c->connection == connection && c->feeding.size && !session_wants_close(c->session)) {
    uint64_t unknown = session_stats(c->session).unknown_acks;
    if (c->feeding.size <= rest.size) {
      rest = slice_from(rest, tap_pass_one(c->tap, TIMELINE_DOWN, rest, client_now(c)));
    }
    size_t n = session_feed(c->session, c->feeding, client_now(c));
    c->feeding = slice_from(c->feeding, n);
    client_note_unknown(c, unknown);
    if (!session_wants_close(c->session)) client_drain(c);
  }
  if (c->connection != connection) return;
  c->feeding = slice_of(NULL, 0);
  client_leave_unread(c, rest);
}

static void client_note(void *arg, const char *what) {
  struct client *c = arg;
  if (c->timeline) timeline_note(c->timeline, client_now(c), c->who, TIMELINE_NOTE, "%s", what);
}

/* Whoever wants TLS says so by an alert, which is no packet. */
static void client_look_for_tls(struct client *c, struct slice bytes) {
  if (session_state(c->session) != SESSION_CONNECTING || !tlsname_is_tls(bytes) || chain_is_wrapped(c->chain)) return;
  client_note(c, "the broker speaks TLS at this port: use ssl://, mqtts:// or wss:// in its URL");
}

static void client_input(void *arg, struct slice bytes) {
  struct client *c = arg;
  client_enter(c);
  client_look_for_tls(c, bytes);
  client_feed(c, bytes);
  if (session_stats(c->session).inflight >= CLIENT_LINGER_AT) net_linger(c->net); /* their acknowledgements are due */
  client_settle(c);
  client_leave(c);
}

/* A chain whose stall ends may ask before the transport is there: what it took then would count as handed over. */
static struct slice client_output(void *arg) {
  struct client *c = arg;
  if (!c->open) return slice_of(NULL, 0);
  return session_output(c->session, client_now(c));
}

/* What was taken is asked for again: a fault rule's function may have had more put behind it, which moves it. */
static void client_wrote(void *arg, size_t n) {
  struct client *c = arg;
  tap_pass(c->tap, TIMELINE_UP, slice_first(client_output(c), n), client_now(c));
  session_wrote(c->session, n, client_now(c));
  c->unflushed = 0;
  if (c->plain || session_wants_close(c->session)) client_wake(c);
  else client_arm_at(c, session_deadline(c->session));
}

/* An end in order is answered in order, with TLS's or WebSocket's word for it [RFC 5246, 7.2.1] [RFC 6455, 5.5.1]; what
 * the session has to write still does not go out any more. False: a function of a fault rule has closed the client. */
static bool client_part(struct client *c) {
  uint64_t connection = c->connection;
  c->open = false;
  if (chain_is_wrapped(c->chain)) chain_end(c->chain, CHAIN_CLOSE);
  return c->connection == connection;
}

static void client_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct client *c = arg;
  bool finished = session_wants_close(c->session);
  client_enter(c);
  if (end == STREAM_FIN && !client_part(c)) {
    client_leave(c);
    return;
  }
  client_drop(c, finished ? TIMELINE_LOCAL_END : chain_end_text(end, why));
  session_lost(c->session,
               finished            ? SESSION_END_LOCAL
               : end == STREAM_FIN ? SESSION_END_CLOSED
               : writing           ? SESSION_END_WRITE
                                   : SESSION_END_FAILED,
               client_now(c));
  client_settle(c);
  client_leave(c);
}

static const struct stream_handler client_stream = {
  .opened = client_opened,
  .input = client_input,
  .output = client_output,
  .wrote = client_wrote,
  .ended = client_ended,
};

static struct stream *client_begin(struct client *c, const struct url *u, int64_t timeout_ns, struct err *err) {
  struct oscall_hook *hook = c->on_calls ? c->on_calls(c->on_calls_arg) : NULL;
  return oscall_connect(c->net, u, timeout_ns, hook, err);
}

/* A gate's delay is over, or its refusal due. */
static void client_dial_now(struct client *c) {
  struct err err = { "connection refused" };
  struct client_dial dial = *c->dial;
  free(c->dial);
  c->dial = NULL;
  struct stream *s = dial.refused ? NULL : client_begin(c, &dial.url, dial.timeout_ns, &err);
  if (s) chain_attach(c->chain, s);
  else client_ended(c, dial.refused ? STREAM_REFUSED : STREAM_FAILED, false, &err);
}

static void client_hold_dial(struct client *c, const struct url *u, int64_t timeout_ns, struct client_gate gate) {
  c->dial = mem_zero(sizeof *c->dial);
  int64_t at_ns = gate.silent ? NET_NEVER : client_now(c) + (gate.refused ? 0 : gate.delay_ns);
  *c->dial = (struct client_dial){ .url = *u, .refused = gate.refused, .at_ns = at_ns, .timeout_ns = timeout_ns };
  client_arm_at(c, at_ns);
}

/* The owner's side. */

struct client *client_new(struct net *n, struct timeline *timeline, const char *name,
                          const struct session_options *options, client_handler *handler, void *arg) {
  struct client *c = mem_zero(sizeof *c);
  c->net = n;
  c->timeline = timeline;
  c->handler = handler;
  c->arg = arg;
  c->session = session_new(options);
  c->who = timeline ? timeline_who(timeline, name) : 0;
  c->timer_at_ns = c->close_by_ns = NET_NEVER;
  net_timer_init(&c->timer, client_fire, c);
  c->tap = tap_new(timeline, c->who);
  struct session_limits limits = session_limits(c->session);
  client_tell(c, EVENT_CLIENT, 0, 0, (uint64_t)limits.buffered_max << 16 | limits.inflight_max);
  return c;
}

static void client_shut(struct client *c) {
  client_drop(c, TIMELINE_LOCAL_END);
  session_close(c->session, client_now(c));
  if (!defect_is(DEFECT_TIMER_LEFT)) client_disarm(c); /* what a handler begins now has a timer again */
  client_drain(c);
}

/* One that was closed has nothing more to tell: when it is freed may be up to a collector. */
void client_free(struct client *c) {
  if (!c || c->dead) return;
  client_enter(c);
  c->dead = true;
  if (c->closed) client_shut(c);
  else client_close(c);
  client_leave(c);
}

/* A chain with the filters that the URL asks for. */
static struct chain *client_new_chain(struct client *c, const struct url *u, const struct transport_options *given,
                                      struct err *err) {
  struct transport_options transport = given ? *given : (struct transport_options){ 0 };
  struct chain *chain = chain_new(c->net, &client_stream, c);
  transport.note = client_note;
  transport.arg = c;
  if (transport_client(chain, c->net, u, &transport, err)) return chain;
  chain_free(chain);
  return NULL;
}

/* Inside a handler there may be more to be told of the connection before: that comes first. */
static bool client_catch_up(struct client *c, struct err *err) {
  if (c->depth) {
    client_enter(c);
    client_drain(c);
    client_leave(c);
  }
  if (c->dead) return err_set(err, "the client is being released: nobody holds it any more");
  bool idle = session_state(c->session) == SESSION_IDLE && !c->chain;
  return idle || err_set(err, "the client is not disconnected");
}

bool client_connect(struct client *c, const struct url *u, const struct transport_options *transport,
                    const struct session_connect *options, struct err *err) {
  assert(session_state(c->session) == SESSION_IDLE && !c->chain);
  if (!client_catch_up(c, err)) return false;
  struct client_gate gate = { 0 };
  struct stream *s = NULL;
  struct chain *chain = client_new_chain(c, u, transport, err);
  if (!chain) return false;
  if (c->on_dial) gate = c->on_dial(c->on_dial_arg);
  bool held = gate.refused || gate.silent || gate.delay_ns > 0;
  if (!held) s = client_begin(c, u, options->timeout_ns, err);
  if (!held && !s) {
    chain_free(chain);
    return false;
  }
  session_connect(c->session, options, client_now(c));
  c->closed = false;
  client_tell(c, EVENT_DIAL, 0, 0, options->timeout_ns > 0 ? (uint64_t)options->timeout_ns : 0);
  c->chain = chain;
  c->connection++;
  if (c->on_chain) c->on_chain(c->on_chain_arg, c->chain);
  if (s) chain_attach(c->chain, s);
  else client_hold_dial(c, u, options->timeout_ns, gate);
  client_arm_at(c, session_deadline(c->session));
  return true;
}

void client_on_dial(struct client *c, struct client_gate (*fn)(void *arg), void *arg) {
  c->on_dial = fn;
  c->on_dial_arg = arg;
}

void client_on_calls(struct client *c, struct oscall_hook *(*fn)(void *arg), void *arg) {
  c->on_calls = fn;
  c->on_calls_arg = arg;
}

bool client_disconnect(struct client *c) {
  if (!session_disconnect(c->session, client_now(c))) return false;
  client_tell(c, EVENT_DISCONNECT, 0, 0, 0);
  client_want_write(c);
  client_arm_at(c, session_deadline(c->session));
  client_wake(c);
  return true;
}

void client_close(struct client *c) {
  client_enter(c);
  client_tell(c, EVENT_CLOSE, 0, 0, 0);
  client_shut(c);
  c->closed = true;
  client_tell(c, EVENT_CLOSED, 0, 0, 0);
  client_leave(c);
}

/* `before`: how many were buffered. */
static void client_tell_send(const struct client *c, const struct session_publish *p, uint16_t packet_id,
                             uint32_t before) {
  int code = p->qos;
  if (session_stats(c->session).buffered == before) code |= EVENT_REFUSED;
  if (tap_is_midway(c->tap, TIMELINE_UP)) code |= EVENT_MIDWAY;
  client_tell(c, EVENT_SEND, code, packet_id, event_content(p->topic, p->payload));
}

enum session_accept client_publish(struct client *c, const struct session_publish *p, uint16_t *packet_id) {
  uint16_t id = 0;
  if (session_full(c->session)) client_flush(c);
  uint32_t before = session_stats(c->session).buffered;
  enum session_accept accepted = session_publish(c->session, p, client_now(c), &id);
  if (packet_id) *packet_id = id;
  if (accepted != SESSION_ACCEPTED) return accepted;
  if (c->timeline) client_tell_send(c, p, id, before);
  c->unflushed += p->topic.size + p->payload.size;
  if (c->unflushed >= NET_FLUSH_AT) client_flush(c);
  client_want_write(c);
  if (id == 0) {
    c->plain = true;
    client_wake(c);
  }
  return accepted;
}

int client_subscribe(struct client *c, const struct packet_subscription *topics, size_t count, uint64_t user) {
  int code = session_subscribe(c->session, topics, count, user, client_now(c));
  if (code == 0) client_tell(c, EVENT_REQUEST, 0, session_stats(c->session).last_id, 0);
  client_want_write(c);
  return code;
}

int client_unsubscribe(struct client *c, const struct slice *filters, size_t count, uint64_t user) {
  int code = session_unsubscribe(c->session, filters, count, user, client_now(c));
  if (code == 0) client_tell(c, EVENT_REQUEST, 0, session_stats(c->session).last_id, 0);
  client_want_write(c);
  return code;
}

bool client_raw(struct client *c, struct slice bytes) {
  bool taken = session_raw(c->session, bytes);
  if (taken) client_tell(c, EVENT_RAW, 0, 0, 0);
  client_want_write(c);
  return taken;
}

enum session_state client_state(const struct client *c) {
  return session_state(c->session);
}

struct session_stats client_stats(const struct client *c) {
  return session_stats(c->session);
}

uint32_t client_who(const struct client *c) {
  return c->who;
}

void client_rename(struct client *c, const char *name) {
  if (c->timeline) timeline_rename(c->timeline, c->who, name);
}

struct chain *client_chain(const struct client *c) {
  return c->chain;
}

void client_on_chain(struct client *c, void (*fn)(void *arg, struct chain *chain), void *arg) {
  c->on_chain = fn;
  c->on_chain_arg = arg;
}

struct slice client_partial_out(const struct client *c) {
  if (c->chain) chain_settle(c->chain);
  return session_partial_out(c->session);
}

/* Inside a handler the rest of the input that is being fed has passed the filters already. */
struct slice client_partial_in(const struct client *c) {
  return c->feeding.size ? tap_tail(c->feeding) : session_partial_in(c->session);
}
