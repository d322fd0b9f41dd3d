/* client: a session on a transport: what a scenario calls a client.
 *
 * Glues session.h to a chain, with a tap for the timeline. Events are given to the handler in net turns only, never
 * inside a call. The handler may call anything here, client_free included.
 */
#ifndef MQRIG_CLIENT_H
#define MQRIG_CLIENT_H

#include "host/timeline.h"
#include "mqtt/session.h"
#include "net/oscall.h"
#include "net/transport.h"

struct client;

typedef void client_handler(void *arg, const struct session_event *event);

/* `timeline` may be NULL; it must outlive the client. `name` is copied. */
struct client *client_new(struct net *n, struct timeline *timeline, const char *name,
                          const struct session_options *options, client_handler *handler, void *arg);
/* Closes first: every pending operation gets its event, inside this call. A handler cannot connect it again then. */
void client_free(struct client *c);

/* Starts connecting; the outcome is a CONNECTED event. False where nothing could be started. Not idle: an assert.
 * `transport` may be NULL; its `note` is the client's own. */
bool client_connect(struct client *c, const struct url *u, const struct transport_options *transport,
                    const struct session_connect *options, struct err *err);
bool client_disconnect(struct client *c);
/* Ends everything now; the results are events, given inside this call. The client can be connected again. */
void client_close(struct client *c);

enum session_accept client_publish(struct client *c, const struct session_publish *p, uint16_t *packet_id);
int client_subscribe(struct client *c, const struct packet_subscription *topics, size_t count, uint64_t user);
int client_unsubscribe(struct client *c, const struct slice *filters, size_t count, uint64_t user);
bool client_raw(struct client *c, struct slice bytes);

enum session_state client_state(const struct client *c);
struct session_stats client_stats(const struct client *c);
uint32_t client_who(const struct client *c); /* on the timeline */
void client_rename(struct client *c, const char *name);

/* The link, for faults. The chain is NULL while there is no transport. */
struct chain *client_chain(const struct client *c);
/* Called for each new chain, before it is attached, so that filters can be put in. `arg` of its own. */
void client_on_chain(struct client *c, void (*fn)(void *arg, struct chain *chain), void *arg);
/* Asked before each connect, if set: whether the way there is barred, or takes longer. A refusal is told as one by the
 * other end is, in the next turn, and nothing goes on the wire. */
struct client_gate {
  bool refused;
  bool silent; /* nothing is sent, and nothing comes: the timeout ends it */
  int64_t delay_ns;
};
void client_on_dial(struct client *c, struct client_gate (*fn)(void *arg), void *arg);
/* Asked, if set, when the way is free: what hooks the system calls of the connection, or NULL; see oscall.h. */
void client_on_calls(struct client *c, struct oscall_hook *(*fn)(void *arg), void *arg);

/* The packets in progress, for a filter that is put in while the connection is up. */
struct slice client_partial_out(const struct client *c);
struct slice client_partial_in(const struct client *c);

#endif
