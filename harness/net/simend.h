/* simend: connections of a virtual world, and the two ends of each.
 *
 * A connection is one piece of memory with both ends in it; it lasts until neither has an owner. What an end writes is
 * in its pipe `out`, what comes to it in its peer's.
 */
#ifndef MQRIG_SIMEND_H
#define MQRIG_SIMEND_H

#include "net/simlink.h"
#include "net/simpipe.h"

struct simdial;
struct simlisten;

enum simend_state {
  SIMEND_NONE,     /* that which is called, before it was; nobody's */
  SIMEND_DIALING,  /* that which calls */
  SIMEND_HALF,     /* it has answered, and waits for the last word */
  SIMEND_QUEUED,   /* waits to be accepted */
  SIMEND_OPEN,     /* its owner may have closed it: then it sends what is left */
  SIMEND_GONE,     /* who sends to it is reset */
  SIMEND_VANISHED, /* who sends to it gets no answer */
};

struct simend {
  struct stream stream;  /* its host is stream.net */
  struct simevent event; /* what comes in, and what its owner is to be told */
  struct simend *peer;
  struct simlink *link;       /* to the peer */
  struct simdial *dial;       /* until its owner was told how that went */
  struct simlisten *listener; /* where it was called, while that exists */
  struct simpipe out;
  struct list_node owing;     /* it is to acknowledge something */
  struct list_node held;      /* something that comes was lost on the way at least once */
  struct list_node arriving;  /* something arrives now */
  struct list_node queued;    /* at the listener */
  uint64_t key, sends, hands; /* name its draws */
  uint64_t wakes;             /* likewise */
  int64_t notices_ns;         /* when its owner is told, if there is something */
  int error;                  /* an errno, for the owner once it was handed what had come */
  enum simend_state state;
  struct address_brief local;
  bool is_unix, paused;
  bool released; /* no owner, or not any more */
  bool shut, fin_sent, fin_came, fin_told;
  bool writing; /* it was a write that found the error */
  bool reported;
  bool unwritten;              /* a write is waiting for its host to go on */
  bool told;                   /* the error, by a hook */
  bool send_waits, recv_waits; /* for the hook's timer */
};

struct simconn {
  struct simend ends[2]; /* that which calls, that which is called */
  struct list_node listed;
  struct simconn *buried_next;
};

static inline struct simpipe *simend_in(const struct simend *e) {
  return &e->peer->out;
}

static inline struct simworld *simend_world(const struct simend *e) {
  return simhost_world(e->stream.net);
}

static inline struct simhost *simend_host(const struct simend *e) {
  return simhost_of(e->stream.net);
}

/* A connection that nobody was called for yet; its first end belongs to the caller. */
struct simend *simend_new(struct simhost *h);
void simend_free_buried(struct simworld *w);

void simend_send(struct simend *e, enum simpipe_kind kind, size_t size);
/* Sends what may be sent, and the half-close behind it. */
void simend_transmit(struct simend *e);
/* Acknowledges what came, before time goes on. */
void simend_owe(struct simend *e);
void simend_pay(struct simworld *w);
/* A link that has lost something loses less, or nothing, from now on. */
void simend_retry(struct simend *e);

/* A call comes to what its hook says: an error for the owner, or it waits. True: the former. */
bool simend_told(struct simend *e, int error, bool *waits);

/* Its place in time, after anything has changed for it. */
void simend_schedule(struct simend *e);

/* No more from it but a reset; what was sent goes on. */
void simend_die(struct simend *e);
/* It resets whoever is at the other end. */
void simend_refuse(struct simend *e);
/* It has no owner any more. */
void simend_release(struct simend *e);
/* A line about a connection on which something is on its way or waits; false: there is nothing. */
#define SIMEND_TEXT_MAX 768
bool simend_describe(const struct simconn *c, char to[SIMEND_TEXT_MAX]);

/* Nothing is told after that. */
void simend_report(struct simend *e, enum stream_end end, bool writing, const struct err *why);

/* The operations of net_ops. */
void simend_flush(struct stream *s);
void simend_pause(struct stream *s, bool paused);
size_t simend_unsent(const struct stream *s);
void simend_name(const struct stream *s, bool peer, char *to, size_t size);
void simend_shutdown(struct stream *s);
void simend_set_buffers(struct stream *s, size_t send, size_t receive);
void simend_close(struct stream *s);
void simend_reset(struct stream *s);
bool simend_vanish(struct stream *s, struct err *err);

#endif
