/* invstate: what the invariants know of a run so far.
 *
 * Private to invariant.c and inv*.c. An end is one participant's side of its connections, one after the other.
 */
#ifndef MQRIG_INVSTATE_H
#define MQRIG_INVSTATE_H

#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "host/invariant.h"
#include "mqtt/packet.h"

struct invclient;
struct invbroker;
struct invconn;
struct invend;
struct invflow;

/* What must have happened by a time. */
struct invclock {
  struct heap_node node;
  void (*late)(struct invariant *v, struct invclock *c);
  void *owner;
  uint64_t cause; /* the entry that set it */
};

/* What the other end takes: 5.0. */
struct invlimits {
  uint32_t packet_max;
  uint16_t receive_max, alias_max;
};

struct invend {
  uint32_t who;
  uint8_t role;    /* enum spec_role; 0: not one of ours, or not known */
  uint8_t version; /* enum spec_version */
  bool open;
  bool judged;               /* what it sends on this connection is its own */
  bool began, greeted, over; /* it has sent its first packet; CONNECT or CONNACK; its DISCONNECT */
  bool deaf;                 /* what comes in is not looked at any more: it has ended the connection */
  uint64_t connection;       /* the number of this one, of all in the run */
  uint64_t last_sent;        /* entry of its last packet */
  int64_t sent_ns;           /* when */
  int64_t heard_ns;          /* when a packet last came in */
  uint16_t keepalive_s;
  struct invlimits limits;
  struct hash aliases;      /* 5.0: those that it has set */
  struct invflow *flow;     /* of its session; NULL: none, or given up */
  struct invclient *client; /* of a client */
  struct invconn *conn;     /* of a broker */
};

struct invresource {
  uint64_t value, entry;
  bool known;
};

struct invariant {
  struct invariant_options options;
  uint64_t number; /* of the entry that is looked at; 0 at the end */
  uint64_t last;   /* fed */
  uint64_t connections;
  int64_t now_ns;
  bool finished;
  struct invend **ends; /* by participant */
  size_t ends_capacity;
  struct list_node brokers, clients;
  struct heap clocks;
  uint32_t unclocked;          /* how many have a time of their own: then nothing has its time here */
  uint64_t skewed;             /* the entry of the last change: what was measured from before is not known */
  int64_t healed_ns, bound_ns; /* -1: not healed */
  uint64_t healed, quiet;      /* entries; 0: not yet */
  bool bounded;                /* the bound was looked at */
  struct invresource resources[EVENT_RESOURCES];
  struct invariant_violation *violations;
  size_t violations_count;
};

/* The breach of an invariant, found at the entry that is looked at. */
void invariant_breach(struct invariant *v, unsigned number, uint32_t who, uint64_t cause, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* `late` is called when the time goes past `at_ns` and the slack, unless the clock was stopped. */
void invariant_set(struct invariant *v, struct invclock *c, int64_t at_ns);
void invariant_stop(struct invariant *v, struct invclock *c);

/* The end of that participant: made if it is not there. */
struct invend *invariant_end(struct invariant *v, uint32_t who);

#endif
