/* session: the client's side of MQTT, sans I/O: bytes and `now` in; bytes, events and the next deadline out.
 * It never calls out, reads no clock and knows no socket. The owner of a connection drives it:
 *
 *   session_connect        a transport will be there; CONNECT is ready in the output
 *   session_output/_wrote  what to hand to the transport, and how much of it the transport took, exactly: result codes
 *                          rest on it
 *   session_feed           bytes that arrived; then drain session_next, again and again until all bytes are taken
 *   session_deadline/_tick when to call again at the latest (keepalive, ping timeout, connect timeout)
 *   session_lost           the transport ended; after it, session_next gives what became of every message
 *   session_next           what happened, in order. Slices in it are borrowed until the next call on the session
 *
 * When session_wants_close says so, the owner closes the transport and calls session_lost. If session_gave_up, it does
 * that before it takes the events: whoever is told of the end may connect again at once. The state is SESSION_IDLE
 * again when both session_lost was called and the event that tells the end was taken; SESSION_DISCONNECTING until then.
 *
 * What the codes and events say is in outcome.h, the limits and options in settings.h. A session object outlives its
 * connections: with clean = false it keeps its state for the next session_connect.
 */
#ifndef MQRIG_SESSION_H
#define MQRIG_SESSION_H

#include "mqtt/outcome.h"
#include "mqtt/settings.h"

enum session_state { SESSION_IDLE, SESSION_CONNECTING, SESSION_CONNECTED, SESSION_DISCONNECTING };

/* Counters for people: shown in reports, tested by scenarios. */
struct session_stats {
  uint32_t inflight; /* first byte handed over, handshake not complete */
  uint32_t buffered; /* accepted, first byte not handed over */
  uint32_t ids_used;
  uint64_t unknown_acks; /* acknowledgements that fit nothing; the last of them: */
  uint8_t unknown_type;
  uint16_t unknown_id;
  uint16_t last_id; /* the packet identifier that was given last */
};

struct session;

/* Options at 0 take their defaults. Owned by the caller. */
struct session *session_new(const struct session_options *options);
void session_free(struct session *s);

enum session_state session_state(const struct session *s);
struct session_stats session_stats(const struct session *s);

struct session_limits {
  uint32_t inflight_max, buffered_max; /* in force */
};
struct session_limits session_limits(const struct session *s);

/* Begins a connection; only in SESSION_IDLE. The options must have an encoding. Copies what it needs. With clean, or if
 * the broker has no session, what was in flight ends with -11 when CONNACK tells, and what was buffered is sent. */
void session_connect(struct session *s, const struct session_connect *c, int64_t now_ns);

/* Takes one packet, or what is there of one, and returns how many bytes it took (at least 1 unless it wants to be
 * closed, then all). Call session_next until it is empty before the next call: events borrow from `bytes`. */
size_t session_feed(struct session *s, struct slice bytes, int64_t now_ns);

bool session_next(struct session *s, struct session_event *out);
bool session_has_event(const struct session *s); /* whether it would give one */

/* What to write next; empty if nothing. Borrowed until the next call on the session. */
struct slice session_output(struct session *s, int64_t now_ns);
void session_wrote(struct session *s, size_t n, int64_t now_ns);

/* INT64_MAX if there is none. */
int64_t session_deadline(const struct session *s);
void session_tick(struct session *s, int64_t now_ns);

/* The session has finished with its transport: nothing more is to be written or read. What was handed over should still
 * arrive (DISCONNECT), unless the session gave up: then what became of everything is among the events already. */
bool session_wants_close(const struct session *s);
bool session_gave_up(const struct session *s);

/* The transport is gone. Ends the connection whatever state it is in; in SESSION_IDLE it does nothing. */
void session_lost(struct session *s, enum session_end end, int64_t now_ns);

/* The client was closed: like session_lost with END_LOCAL, but also what clean = false would have kept gets its result.
 * No LOST event; what session_connect or session_disconnect began is told to be over. SESSION_IDLE at once. */
void session_close(struct session *s, int64_t now_ns);

enum session_accept { SESSION_ACCEPTED, SESSION_NOT_CONNECTED, SESSION_RATE_LIMITED };

/* Whether a publish now would find `buffered_max` reached: if so, flush the transport first, so that a burst on a
 * healthy link is never refused. */
bool session_full(const struct session *s);

/* Accepts a message; its one RESULT event comes later through session_next, also for -10 and -12. `*packet_id` (may be
 * NULL) is its identifier, 0 for QoS 0 and for a refused one. */
enum session_accept session_publish(struct session *s, const struct session_publish *p, int64_t now_ns,
                                    uint16_t *packet_id);

/* `count` topics, 1 to SESSION_TOPICS_MAX. Return 0, or -3 or -10 (-1: a filter too long for any packet) and then no
 * event follows. */
int session_subscribe(struct session *s, const struct packet_subscription *topics, size_t count, uint64_t user,
                      int64_t now_ns);
int session_unsubscribe(struct session *s, const struct slice *filters, size_t count, uint64_t user, int64_t now_ns);

/* Begins a graceful end: DISCONNECT goes out behind what is already encoded, then DISCONNECTED. Messages not complete
 * by then get their code (with clean = false they stay). False unless connected. */
bool session_disconnect(struct session *s, int64_t now_ns);

/* Bytes as they are, at a packet's boundary behind what is already encoded. False unless a connection is up (CONNECTING
 * counts), or where half a gigabyte waits already. */
bool session_raw(struct session *s, struct slice bytes);

/* The packet in progress in each direction: what of it went over the wire already. A fault filter that is put in now
 * begins with these. Borrowed. */
struct slice session_partial_in(const struct session *s);
struct slice session_partial_out(const struct session *s);

#endif
