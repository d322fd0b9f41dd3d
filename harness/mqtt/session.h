/* session: the client's side of MQTT, sans I/O.
 *
 * Bytes and `now` in; bytes, events and the next deadline out. It never calls out, reads no clock and knows no socket.
 * The owner of a connection drives it:
 *
 *   session_connect        a transport will be there; CONNECT is ready in the output
 *   session_output/_wrote  what to hand to the transport, and how much of it was handed over. This is what result codes
 *                          rest on, so report exactly what the transport took
 *   session_feed           bytes that arrived; then drain session_next, again and again until all bytes are taken
 *   session_deadline/_tick when to call again at the latest (keepalive, ping timeout, connect timeout)
 *   session_lost           the transport ended; after it, session_next gives what became of every message
 *   session_next           what happened, in order. Slices in it are borrowed until the next call on the session
 *
 * When session_wants_close says so, the owner closes the transport (everything in the output that should still go out
 * was handed over, or need not be) and calls session_lost.
 *
 * Result codes are those of the imp agent's mqtt object: what is known about the message, from how far it got.
 * A session object outlives its connections: with clean = false it keeps its state for the next session_connect.
 */
#ifndef MQRIG_SESSION_H
#define MQRIG_SESSION_H

#include "mqtt/packet.h"
#include "mqtt/rate.h"

#define SESSION_OUTPUT_MAX 65536          /* bytes encoded ahead of the transport; one packet may pass it */
#define SESSION_TOPICS_MAX 10             /* of one subscribe or unsubscribe call */
#define SESSION_PING_TIMEOUT_MAX_S 30
#define SESSION_INFLIGHT_DEFAULT 65535
#define SESSION_BUFFERED_DEFAULT 100000
#define SESSION_MESSAGE_DEFAULT 262144    /* bytes of payload */

enum session_code {
  SESSION_SUCCESS = 0,
  SESSION_SOCKET_ERROR = -1,      /* the transport failed while this message was being written */
  SESSION_DISCONNECTED = -3,      /* not one byte was handed to the transport */
  SESSION_NO_MORE_IDS = -10,
  SESSION_INCOMPLETE = -11,       /* written, handshake cut short; or cut mid-write by an end that was no socket error */
  SESSION_MAX_BUFFERED = -12,
};

/* Why a connection was lost: session_next's LOST event, and onconnectionlost. */
enum session_reason {
  SESSION_LOST_SOCKET = -1,      /* socket failed, broker closed, or it fell silent */
  SESSION_LOST_RATE = -2,        /* inbound rate exceeded */
  SESSION_LOST_TOO_LARGE = -3,   /* inbound message larger than the limit */
  SESSION_LOST_PROTOCOL = -4,    /* malformed or out-of-place packet */
};

/* How the transport ended. */
enum session_end {
  SESSION_END_FAILED,  /* an error: reset, refused, timed out ... while reading or elsewhere */
  SESSION_END_WRITE,   /* a write was what failed: the message it was for gets -1 even if none of its bytes went */
  SESSION_END_CLOSED,  /* the other end closed in order (FIN) */
  SESSION_END_LOCAL,   /* this end closed: after session_wants_close, or the client was closed */
};

enum session_state { SESSION_IDLE, SESSION_CONNECTING, SESSION_CONNECTED, SESSION_DISCONNECTING };

struct session_options {
  uint32_t inflight_max, buffered_max, message_max;
  uint32_t in_per_s, in_burst, out_per_s, out_burst; /* 0: no limit */
};

struct session_connect {
  struct slice client_id, username, password;
  bool has_username, has_password, has_will, clean;
  struct packet_will will;
  uint16_t keepalive_s;    /* 0: none */
  int64_t timeout_ns;      /* from now until CONNACK; the transport's own connecting counts */
  enum spec_version version;
};

enum session_event_type {
  SESSION_EVENT_CONNECTED,    /* code: 0, a CONNACK code, or -1; session_present */
  SESSION_EVENT_LOST,         /* code: enum session_reason; after the results of all messages */
  SESSION_EVENT_DISCONNECTED, /* session_disconnect is complete, after the results of all messages */
  SESSION_EVENT_RESULT,       /* user, code: a publish */
  SESSION_EVENT_SUBSCRIBED,   /* user; code 0 and codes (one byte a topic), or a negative code */
  SESSION_EVENT_UNSUBSCRIBED, /* user; code 0 or -1 */
  SESSION_EVENT_MESSAGE,      /* packet: a PUBLISH to be delivered, once where its QoS says so */
};

struct session_event {
  enum session_event_type type;
  int code;
  bool session_present;
  uint64_t user;
  struct slice codes;
  const struct packet *packet;
};

/* Counters for people: shown in reports, tested by scenarios. */
struct session_stats {
  uint32_t inflight;        /* first byte handed over, handshake not complete */
  uint32_t buffered;        /* accepted, first byte not handed over */
  uint32_t ids_used;
  uint64_t unknown_acks;    /* acknowledgements that fit nothing */
};

struct session;

/* Options at 0 take their defaults. Owned by the caller. */
struct session *session_new(const struct session_options *options);
void session_free(struct session *s);

enum session_state session_state(const struct session *s);
struct session_stats session_stats(const struct session *s);

/* Begins a connection; only in SESSION_IDLE. Copies what it needs. With clean, or if the broker has no session, what was
 * in flight ends with -11 when CONNACK tells, and what was buffered is sent. */
void session_connect(struct session *s, const struct session_connect *c, int64_t now_ns);

/* Takes one packet, or what is there of one, and returns how many bytes it took (at least 1 unless it wants to be closed,
 * then all). Call session_next until it is empty before the next call: events borrow from `bytes`. */
size_t session_feed(struct session *s, struct slice bytes, int64_t now_ns);

bool session_next(struct session *s, struct session_event *out);

/* What to write next; empty if nothing. Borrowed until the next call on the session. */
struct slice session_output(struct session *s, int64_t now_ns);
void session_wrote(struct session *s, size_t n, int64_t now_ns);

/* INT64_MAX if there is none. */
int64_t session_deadline(const struct session *s);
void session_tick(struct session *s, int64_t now_ns);

/* The session has finished with its transport: nothing more is to be written or read. */
bool session_wants_close(const struct session *s);

/* The transport is gone. Ends the connection whatever state it is in; in SESSION_IDLE it does nothing. */
void session_lost(struct session *s, enum session_end end, int64_t now_ns);

/* The client was closed: like session_lost with END_LOCAL, but also what clean = false would have kept gets its result.
 * No LOST event. */
void session_close(struct session *s, int64_t now_ns);

enum session_accept { SESSION_ACCEPTED, SESSION_NOT_CONNECTED, SESSION_RATE_LIMITED };

struct session_publish {
  struct slice topic, payload; /* checked by the caller, copied by the session */
  uint8_t qos;
  bool retain;
  uint64_t user;               /* comes back in the RESULT event */
};

/* Whether a publish now would find `buffered_max` reached: if so, flush the transport first, so that a burst on a healthy
 * link is never refused. */
bool session_full(const struct session *s);

/* Accepts a message; its one RESULT event comes later through session_next, also for -10 and -12. `*packet_id` (may be
 * NULL) is its identifier, 0 for QoS 0 and for a refused one. */
enum session_accept session_publish(struct session *s, const struct session_publish *p, int64_t now_ns,
                                    uint16_t *packet_id);

/* `count` topics, 1 to SESSION_TOPICS_MAX. Return 0, or -3 or -10 and then no event follows. */
int session_subscribe(struct session *s, const struct packet_subscription *topics, size_t count, uint64_t user,
                      int64_t now_ns);
int session_unsubscribe(struct session *s, const struct slice *filters, size_t count, uint64_t user, int64_t now_ns);

/* Begins a graceful end: DISCONNECT goes out behind what the transport was already given, then DISCONNECTED. Messages not
 * complete by then get their code (with clean = false they stay). False unless connected. */
bool session_disconnect(struct session *s, int64_t now_ns);

/* Bytes as they are, behind what is already being written. False unless a connection is up (CONNECTING counts). */
bool session_raw(struct session *s, struct slice bytes);

/* The packet in progress in each direction: what of it went over the wire already. A fault filter that is put in now
 * begins with these. Borrowed. */
struct slice session_partial_in(const struct session *s);
struct slice session_partial_out(const struct session *s);

#endif
