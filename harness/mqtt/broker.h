/* broker: the built-in broker, sans I/O.
 *
 * Sessions, QoS 0 to 2 both ways, retained messages, wills, wildcards, $ rules, persistent sessions with queues and
 * limits, takeover, keepalive. Bytes and `now` in; bytes, closes and the next deadline out. It never calls out.
 * It is the default broker under test, the simulator's broker, and what a scripted peer does unless told otherwise.
 *
 * A connection (`struct broker_conn`) is owned by the broker: made by broker_accept, valid until broker_gone. A session
 * belongs to a client identifier and outlives its connections where the client asked for that.
 */
#ifndef MQRIG_BROKER_H
#define MQRIG_BROKER_H

#include "base/err.h"
#include "mqtt/packet.h"

#define BROKER_OUTPUT_MAX         (1u << 20) /* bytes waiting for one connection; messages then wait in their session */
#define BROKER_QUEUED_DEFAULT     100000     /* messages waiting for one session, connected or not */
#define BROKER_MESSAGE_DEFAULT    268435455  /* bytes of payload */
#define BROKER_INFLIGHT_DEFAULT   65535      /* unacknowledged QoS 1 and 2 messages to one client */
#define BROKER_REQUEST_MAX        (4u << 20) /* bytes of a SUBSCRIBE or UNSUBSCRIBE */
#define BROKER_CONNECT_TIMEOUT_NS 10000000000 /* from accept to a whole CONNECT */
#define BROKER_CLOSE_TIMEOUT_NS   5000000000  /* from the wish to be closed until the output is dropped */

struct broker_options {
  uint32_t queued_max, message_max, inflight_max;                /* 0: default */
  bool (*authenticate)(void *arg, const struct packet *connect); /* NULL: everybody; false gives CONNACK 5 */
  void *authenticate_arg;
};

struct broker;
struct broker_conn;

struct broker *broker_new(const struct broker_options *options);
void broker_free(struct broker *b);

/* Forgets what a restart without persistence forgets: all sessions and retained messages. Connections must be gone. */
void broker_forget(struct broker *b);

/* A transport was accepted. `user` comes back from broker_conn_user. */
struct broker_conn *broker_accept(struct broker *b, void *user, int64_t now_ns);
void *broker_conn_user(const struct broker_conn *c);

/* The client's identifier once CONNECT came; empty before. Borrowed. */
struct slice broker_conn_client_id(const struct broker_conn *c);

/* The transport ended, in any way: the will is published unless DISCONNECT came. Frees the connection. */
void broker_gone(struct broker_conn *c, int64_t now_ns);

/* Takes all of the bytes. What a packet causes may be output on any connection: see broker_next_output. */
void broker_feed(struct broker_conn *c, struct slice bytes, int64_t now_ns);

/* One whole packet that a script answered itself: keeps the broker's books and answers nothing. CONNECT attaches its
 * session and keeps the will; what the session holds for the client waits for the next occasion. SUBSCRIBE and
 * UNSUBSCRIBE do their work, without retained messages. Acknowledgements complete what they acknowledge, and make room
 * for what waits. PUBLISH is not routed. DISCONNECT ends the session and discards the will, without a wish to close. */
void broker_note(struct broker_conn *c, struct slice packet, int64_t now_ns);

/* The connection is a script's from now on: its session lets it go, its will is discarded, what is fed is ignored, and
 * nothing is timed. broker_raw goes on. */
void broker_leave(struct broker_conn *c);

/* A connection that has new output or a new wish to be closed since it was last given, or NULL. */
struct broker_conn *broker_next_output(struct broker *b);

struct slice broker_output(struct broker_conn *c, int64_t now_ns);
void broker_wrote(struct broker_conn *c, size_t n, int64_t now_ns);

/* Whether the broker wants this transport closed, once its output is empty; `*why` (may be NULL) a sentence with the
 * clause, good until broker_gone: "second CONNECT [MQTT-3.1.0-2]". */
bool broker_wants_close(const struct broker_conn *c, const char **why);

/* Keepalives and connect timeouts; INT64_MAX if none. */
int64_t broker_deadline(const struct broker *b);
void broker_tick(struct broker *b, int64_t now_ns);

/* Publishes as if a client had: for $SYS-like topics, tests and scripts. One with a bad topic, QoS 3 or too large goes
 * nowhere. */
void broker_publish(struct broker *b, const struct packet *publish, int64_t now_ns);

/* Bytes as they are to one connection, behind what waits. False if that passes the limit. */
bool broker_raw(struct broker_conn *c, struct slice bytes);

/* The packet in progress in each direction, as session_partial_in and _out. */
struct slice broker_partial_in(const struct broker_conn *c);
struct slice broker_partial_out(const struct broker_conn *c);

struct broker_stats {
  uint32_t connections, sessions, retained, subscriptions;
  uint64_t messages_in, messages_out, dropped;
};
struct broker_stats broker_stats(const struct broker *b);

#endif
