/* brokerconn: one connection of the built-in broker, and the broker's own state.
 *
 * Private to the broker's files. Here is what concerns the output of a connection: what waits in it, what of it was
 * handed over, who is to be told. Packets in are brokerin.h, their routes brokerroute.h, beginnings and ends
 * brokerlife.h.
 */
#ifndef MQRIG_BROKERCONN_H
#define MQRIG_BROKERCONN_H

#include "base/buffer.h"
#include "base/heap.h"
#include "mqtt/broker.h"
#include "mqtt/brokersession.h"
#include "mqtt/retained.h"

#define BROKERCONN_PACKET_MAX (SPEC_REMAINING_LENGTH_MAX + 5)
/* Bytes of acknowledgements taken beyond BROKER_OUTPUT_MAX: 65,535 messages in flight want a quarter of it. A client
 * that goes on sending and does not read is cut off. */
#define BROKERCONN_EXCESS_MAX (1u << 20)
/* What may be at most in the output: a whole packet that was begun, BROKER_OUTPUT_MAX, a packet that passes it, the
 * excess, and an acknowledgement that passes that (a SUBACK, at most). */
#define BROKERCONN_OUT_MAX                                                                                             \
  (2 * (size_t)BROKERCONN_PACKET_MAX + BROKER_OUTPUT_MAX + BROKERCONN_EXCESS_MAX + BROKER_REQUEST_MAX)

struct broker {
  struct broker_options options;
  struct brokersession_table sessions;
  struct retained retained;
  struct list_node conns, touched;
  struct heap timers;
  uint64_t generated; /* client identifiers made so far */
  struct broker_stats stats;
};

enum brokerconn_state {
  BROKERCONN_NEW,  /* CONNECT is due */
  BROKERCONN_OPEN, /* it has a session */
  BROKERCONN_DONE, /* DISCONNECT came and a script answered it: nothing more is taken, nobody closes */
  BROKERCONN_CLOSING,
};

struct broker_conn {
  struct broker *broker;
  void *user;
  struct list_node all, touched;
  struct heap_node timer;
  struct brokersession *session; /* while OPEN */
  struct message *will;
  struct buffer in;  /* a packet that is not all there */
  struct buffer out; /* from the start of the packet that is being handed over */
  size_t handed;     /* of `out`, handed over */
  uint64_t appended; /* bytes ever put into `out` */
  int64_t heard_ns;  /* when the last packet came */
  uint32_t excess;   /* bytes of acknowledgements put in while the output was over its limit */
  uint16_t keepalive_s;
  uint8_t state;
  bool unframed;   /* a script wrote what is no packet: what is handed over is not cut any more */
  char *client_id; /* once the session is gone */
  char *why;
};

/* The owner is to be told of new output or of the wish to be closed. */
void brokerconn_touch(struct broker_conn *c);

static inline size_t brokerconn_waiting(const struct broker_conn *c) {
  return buffer_size(&c->out) - c->handed;
}

/* Whether another message may be put in. One may pass the limit. */
static inline bool brokerconn_room(const struct broker_conn *c) {
  return brokerconn_waiting(c) < BROKER_OUTPUT_MAX;
}

/* Something was put into `out` behind `before` bytes. */
void brokerconn_put(struct broker_conn *c, size_t before);

/* Answers. What passes the excess is not put in: see brokerconn_flooded. */
void brokerconn_ack(struct broker_conn *c, uint8_t type, uint16_t packet_id);
void brokerconn_answer(struct broker_conn *c, const struct packet *p);

/* It sends requests and does not read the answers. */
static inline bool brokerconn_flooded(const struct broker_conn *c) {
  return c->excess > BROKERCONN_EXCESS_MAX;
}

void brokerconn_handed(struct broker_conn *c, size_t n);

/* How many bytes were handed over since the connection began. */
static inline uint64_t brokerconn_offset(const struct broker_conn *c) {
  return c->appended - brokerconn_waiting(c);
}

/* Forgets each PUBLISH above QoS 0 of which nothing was handed over: a session that lives on sends it again elsewhere,
 * as if for the first time. */
void brokerconn_shed(struct broker_conn *c);

/* Forgets all that waits. */
void brokerconn_discard(struct broker_conn *c);

#endif
