/* simpipe: bytes one way, as TCP has them: a run of bytes with marks in it, and what is on the way of them.
 *
 *   delivered <= arrived <= sent <= taken
 *
 * The owner's writes are taken up to the send buffer, sent up to the edge that the other end told last, arrive, are
 * acknowledged, and are handed over. The bytes are stored once, here, from the write to the hand-over.
 */
#ifndef MQRIG_SIMPIPE_H
#define MQRIG_SIMPIPE_H

#include "base/buffer.h"
#include "net/simworld.h"

#define SIMPIPE_SEGMENT_MAX  65536        /* bytes that travel together */
#define SIMPIPE_SEGMENT_SLOW 1460         /* the same on a link with a rate */
#define SIMPIPE_RETRY_MAX_NS 120000000000 /* between two retries */

enum simpipe_kind { SIMPIPE_ACK, SIMPIPE_DATA, SIMPIPE_FIN, SIMPIPE_RST, SIMPIPE_SYN, SIMPIPE_SYN_ACK };

/* Something on the way. */
struct simflight {
  struct simflight *next;
  int64_t sent_ns, at_ns; /* at_ns: when it arrives */
  uint64_t arrived, edge; /* of the other way: what the sender had got, and up to where it takes */
  uint32_t size;
  uint8_t kind;
  bool lost;  /* it does not arrive: at_ns is when the sender gives up */
  bool again; /* it was lost on the way, at least once */
};

struct simpipe {
  struct buffer bytes; /* from `delivered` to `taken` */
  uint64_t taken, sent, arrived, delivered;
  uint64_t acked, edge; /* as the sender knows them */
  uint64_t told;        /* the edge that the receiver told last */
  uint32_t send_max, receive_max;
  struct simflight *first, **last;
};

void simpipe_init(struct simpipe *p, size_t send, size_t receive);
void simpipe_fini(struct simworld *w, struct simpipe *p);

/* 0 leaves one as it is. */
void simpipe_set_sizes(struct simpipe *p, size_t send, size_t receive);

/* A receive buffer that was made smaller takes no more than that from now on, whatever was told before. */
void simpipe_shrink(struct simpipe *p);

/* How much more may be written. */
size_t simpipe_room(const struct simpipe *p);
static inline uint64_t simpipe_readable(const struct simpipe *p) {
  return p->arrived - p->delivered;
}

/* Bytes not sent yet are not sent any more. */
void simpipe_cut(struct simpipe *p);

/* Adds to what is on the way, behind all that is, but not before `at_ns`. */
struct simflight *simpipe_push(struct simworld *w, struct simpipe *p, enum simpipe_kind kind, size_t size,
                               int64_t at_ns);
/* Takes the first off. */
void simpipe_pop(struct simworld *w, struct simpipe *p);

/* When something of that kind that was sent first at `sent_ns` is sent again, not before `after_ns`; or, all retries
 * being over, NET_NEVER. */
int64_t simpipe_retry_ns(enum simpipe_kind kind, int64_t sent_ns, int64_t after_ns);
/* When its sender gives up. */
int64_t simpipe_give_up_ns(enum simpipe_kind kind, int64_t sent_ns);

void simpipe_free_spare(struct simworld *w);

#endif
