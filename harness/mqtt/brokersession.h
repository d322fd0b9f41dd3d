/* brokersession: what the built-in broker keeps for one client identifier.
 *
 * Subscriptions, messages on their way to the client in order of publishing, and the identifiers of QoS 2 messages
 * received and not yet released [MQTT-3.1.2-4]. Knows no connection: the output that it writes to is handed in. A table
 * owns its sessions and finds them by client identifier.
 *
 * Messages to the client stand in one row: first those in flight (handed to a connection, handshake not complete), then
 * those waiting. A cursor stands before the next one to go out. On a resumed session it goes back to the start, so that
 * what is in flight goes again, in its original order, before anything new [MQTT-4.6.0-1].
 */
#ifndef MQRIG_BROKERSESSION_H
#define MQRIG_BROKERSESSION_H

#include "base/buffer.h"
#include "mqtt/handshake.h"
#include "mqtt/idset.h"
#include "mqtt/message.h"
#include "mqtt/packetid.h"
#include "mqtt/subtree.h"

struct brokersession {
  struct subtree_subscriber subscriber;
  struct hash_node by_id;
  struct list_node all;
  struct broker_conn *conn; /* NULL: not connected */
  struct packetid ids;
  struct idset received; /* QoS 2, from PUBLISH to PUBREL */
  struct list_node messages;
  struct list_node *unsent;       /* the cursor; &messages: everything is handed over */
  uint32_t waiting, waiting_at_0; /* of those, at QoS 0 */
  bool clean;                     /* ends with its connection */
  uint32_t client_id_size;
  char client_id[];
};

struct brokersession_table {
  struct hash by_id;
  struct list_node all; /* in order of making */
  struct subtree subtree;
  uint32_t count;
};

void brokersession_table_init(struct brokersession_table *t);
void brokersession_table_fini(struct brokersession_table *t);

/* Ends all sessions. */
void brokersession_clear(struct brokersession_table *t);

struct brokersession *brokersession_find(const struct brokersession_table *t, struct slice client_id);

/* A new one; there is none of this identifier yet. */
struct brokersession *brokersession_new(struct brokersession_table *t, struct slice client_id);
void brokersession_free(struct brokersession_table *t, struct brokersession *s);

static inline struct slice brokersession_client_id(const struct brokersession *s) {
  return slice_of(s->client_id, s->client_id_size);
}

static inline struct brokersession *brokersession_of(struct subtree_subscriber *s) {
  return LIST_OWNER(s, struct brokersession, subscriber);
}

/* Whether anything is to be handed over, window or not. */
static inline bool brokersession_pending(const struct brokersession *s) {
  return s->unsent != &s->messages;
}

/* Queues a message, with a reference of its own. False if `waiting_max` are waiting already. */
bool brokersession_push(struct brokersession *s, struct message *m, uint8_t qos, bool retain, uint32_t waiting_max);

enum brokersession_sent { BROKERSESSION_NOTHING, BROKERSESSION_NEW, BROKERSESSION_AGAIN };

/* Writes the packet that is due next: for a message in flight what 4.4 says, for a waiting one its PUBLISH. `offset`:
 * how many bytes the connection was given before. NOTHING: there is none, or `inflight_max` are in flight. */
enum brokersession_sent brokersession_send(struct brokersession *s, struct buffer *out, uint64_t offset,
                                           uint32_t inflight_max);

/* PUBACK, PUBREC or PUBCOMP came. `reply` of the result is to be sent; one that does not fit changes nothing. */
struct handshake_step brokersession_acknowledged(struct brokersession *s, uint8_t type, uint16_t packet_id);

/* The connection is gone, which took `offset` bytes in all: what is in flight is to be sent again, with DUP if any of
 * it was handed over, and waiting QoS 0 messages end. */
void brokersession_detach(struct brokersession *s, uint64_t offset);

#endif
