/* relay: one proxied connection: a stream to the client, one to the upstream, and the rules in between.
 *
 *   client's stream - chain - relay - [filters] chain - upstream's stream
 *
 * Bytes go on as they come: what was read is written at once, and only what the other side does not take is kept; then
 * this side is not read until that is gone. So at most RELAY_WAITING_MAX bytes wait in each direction, besides what
 * rules hold, and a slow reader slows its sender down. A half-close goes on as a half-close, a reset as a reset, each
 * behind the bytes before it, however long these take. The client is not read before the upstream has answered.
 *
 * Without a rule there is no filter. Framing is followed all the same, so that a filter that comes in later begins at
 * the right byte.
 */
#ifndef MQRIG_RELAY_H
#define MQRIG_RELAY_H

#include "fault/scope.h"
#include "net/transport.h"

#define RELAY_WAITING_MAX (2 * NET_READ_MAX)
#define RELAY_CONNECT_MAX                                                                                              \
  (1u << 17) /* a larger CONNECT packet is not kept: rules that come later do not know the client */
#define RELAY_SCOPES_MAX 4
#define RELAY_LINGER_NS  2000000000 /* for a client that was turned away without a reset to end its side */

struct relay;

struct relay_handler {
  void (*opened)(void *arg); /* the upstream is connected */
  /* Once, in a turn: nothing is left of it. `why`: a sentence's part: "closed by the client". The owner frees it, there
   * or later. */
  void (*ended)(void *arg, const char *why);
  void (*trouble)(void *arg, const struct err *why); /* a fault that could not be done as told */
  /* Once: rules on packets see nothing here, for what goes through is `what`: "TLS", "HTTP". */
  void (*blind)(void *arg, const char *what);
};

/* What passes at the two sockets, inside of TLS and WebSocket, as chain_tap has it; `upstream`: at that one, else at
 * the client's. */
struct relay_tap {
  void (*bytes)(void *arg, bool upstream, enum chain_direction d, struct slice bytes);
  void (*end)(void *arg, bool upstream, enum chain_direction d, enum chain_end end);
};

/* As the client's end sees it. Packets: as far as what goes by is framed as MQTT. */
struct relay_counts {
  uint64_t bytes_up, bytes_down, packets_up, packets_down;
};

/* Takes the accepted stream over; nothing is read yet. Next is relay_dial, relay_refuse or relay_ignore. */
struct relay *relay_new(struct net *n, struct stream *client, const struct relay_handler *handler, void *arg);

/* Right after relay_new: what the schemes say, TLS and WebSocket, ends and begins here, towards the client and towards
 * the upstream. The options may be NULL. False with a sentence. */
bool relay_wrap(struct relay *r, const struct url *listen, const struct transport_options *server,
                const struct url *upstream, const struct transport_options *client, struct err *err);

/* Closes what is open. Fine in its own handlers, but not while a rule's function runs. NULL is fine. */
void relay_free(struct relay *r);

/* From the beginning, right after relay_new; NULL: no more. */
void relay_tap(struct relay *r, const struct relay_tap *tap, void *arg);

/* Connects to the upstream after `delay_ns`. Failing that, the client is refused; `closes`: by an end of file instead
 * of a reset. */
void relay_dial(struct relay *r, const struct url *upstream, int64_t delay_ns, int64_t timeout_ns, bool closes);
void relay_refuse(struct relay *r, bool closes, const char *why);
void relay_ignore(struct relay *r, const char *why); /* no upstream: what the client sends is read for nothing */

/* The rules of the scope are for this connection, too, from the next byte on. `tag` is the `conn` of their firings. A
 * scope that has joined already is left alone. */
void relay_join(struct relay *r, struct scope *s, void *tag);

struct relay_counts relay_counts(const struct relay *r);
/* Addresses of the connection to the upstream: of this end, and of the other; "" without. Borrowed as stream_local's */
const char *relay_local(const struct relay *r);
const char *relay_remote(const struct relay *r);
bool relay_is_open(const struct relay *r);           /* both ends are connected, or were */
struct slice relay_client_id(const struct relay *r); /* of the CONNECT packet; empty: none came */

/* Actions now, on both streams. `why` is for `ended`. */
void relay_reset(struct relay *r, const char *why);
void relay_close(struct relay *r, const char *why);
void relay_fin(struct relay *r, bool up, bool down); /* half-close: towards the upstream, the client */
bool relay_vanish(struct relay *r, struct err *err); /* as chain_vanish */
void relay_stall(struct relay *r, bool stalled);

#endif
