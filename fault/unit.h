/* unit: what flows through the rules of one direction: a packet, a piece of one, bytes that are no packet, or an end.
 *
 * Units are passed on by pointer and have one holder each. The bytes that all units of a direction hold are counted in
 * the account of that direction, so that there is a limit on them.
 */
#ifndef MQRIG_UNIT_H
#define MQRIG_UNIT_H

#include "base/buffer.h"
#include "net/chain.h"

#define UNIT_BYTES_MAX (64u << 20) /* of one unit */

struct unit {
  struct unit *next;
  size_t *account;
  enum chain_end end; /* not CHAIN_NONE: an end, without bytes */
  struct buffer bytes;
  bool framed;      /* the bytes are a packet or a piece of one; what follows describes it */
  bool last;        /* its last byte is here */
  bool injected;    /* made here, not what came */
  bool alone;       /* is to be written by itself */
  bool paced;       /* waits for its turn on a line of a certain rate */
  uint8_t first;    /* its first byte, here or not */
  uint32_t total;   /* its size */
  uint32_t from;    /* where in it the first of the bytes stands */
  uint32_t gone;    /* so many of the bytes have gone by already and are here to be looked at only */
  uint64_t index;   /* of the packet in the direction, from 1; 0: not a packet */
  uint64_t offset;  /* in the direction: of the packet's first byte; not framed: of this byte */
  int64_t ready_ns; /* while it waits: until then */
  uint64_t turn;    /* while it is held: the order in which that happened */
};

/* First in, first out. */
struct unit_queue {
  struct unit *head, *tail;
};

struct unit *unit_new(size_t *account);
struct unit *unit_new_end(size_t *account, enum chain_end end);
void unit_free(struct unit *u);

static inline struct slice unit_slice(const struct unit *u) {
  return buffer_slice(&u->bytes);
}

static inline bool unit_is_whole(const struct unit *u) {
  return u->framed && u->last && u->from == 0;
}

void unit_append(struct unit *u, struct slice bytes);
void unit_consume(struct unit *u, size_t n); /* from the start */

/* Bytes that have gone by are let go. */
void unit_strip(struct unit *u);

/* Cuts it before byte `at` of its bytes; returns the rest. `at` is inside: neither part is empty. */
struct unit *unit_split(struct unit *u, size_t at);

/* The same the other way round: returns what is before, at the cost of that. */
struct unit *unit_take(struct unit *u, size_t n);

void unit_push(struct unit_queue *q, struct unit *u);
void unit_push_front(struct unit_queue *q, struct unit *u);
struct unit *unit_pop(struct unit_queue *q); /* NULL: empty */
void unit_move(struct unit_queue *to, struct unit_queue *from);
void unit_clear(struct unit_queue *q);

#endif
