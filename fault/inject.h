/* inject: the filter that does what the rules of a scope say, on one connection.
 *
 * Frames the bytes into packets, runs each through the pipeline of rules, and gives out what comes of it: bytes, waits,
 * ends. The outcome does not depend on how the bytes were cut into calls. A packet that some rule looks at goes on once
 * it is whole; others go on as they come. Memory: what is held, delayed or stalled, up to INJECT_HELD_MAX bytes a
 * direction (and what rules add to it); then it takes no more, and the sender feels it.
 *
 * What goes out is taken exactly up to where a rule ends or stalls the direction, so that the owner knows what was
 * handed over; what is dropped, held, delayed or swallowed was.
 */
#ifndef MQRIG_INJECT_H
#define MQRIG_INJECT_H

#include "fault/framer.h"
#include "fault/scope.h"
#include "net/chain.h"

/* A larger packet is matched by its start and passed on in pieces; what needs all of it does not apply. */
#define INJECT_PACKET_MAX (1u << 20)
#define INJECT_HELD_MAX   (4u << 20)

/* `out_is_up`: the owner of the chain is the client's side. `conn` comes back in firings. `partial_out` and
 * `partial_in` are what of a packet in progress has gone by already; copied. Only rules that act at a byte still to
 * come match such a packet. Push it with inject_push. */
struct filter *inject_new(struct scope *s, void *conn, bool out_is_up, struct slice partial_out,
                          struct slice partial_in);

/* The CONNECT of this client went by before the filter came in. */
void inject_meet(struct filter *filter, struct slice client_id);

/* Puts it into the chain, next to the owner. Where the chain is wrapped (TLS, WebSocket), rules on bytes act on what is
 * on the wire, next to the stream: a second filter, for them alone, goes there. */
void inject_push(struct chain *c, struct filter *f);

/* One direction of a connection that has been going on without the filter. */
struct inject_past {
  const struct framer *framer; /* has followed all that went by */
  struct slice start;          /* of the packet in progress: all that went by of it, or nothing if that was not kept */
};

/* The same for such a connection: packets and bytes are counted from its beginning, and the client is known from its
 * CONNECT packet (empty: not kept). All is copied. */
struct filter *inject_join(struct scope *s, void *conn, bool out_is_up, const struct inject_past *out,
                           const struct inject_past *in, struct slice connect);

#endif
