/* chain: a connection as a stack of filters over a stream.
 *
 *   stream - [byte faults] - [TLS] - [packet faults] - owner
 *
 * The owner sees one transport, whatever is in between. With no filter the chain passes the owner's own buffer to the stream and the
 * stream's bytes to the owner: it costs nothing. A filter is memory only: bytes in, bytes out, a deadline. So each runs
 * unchanged on any driver.
 *
 * Ends travel through the filters in order behind the bytes before them. An end that goes out (CHAIN_OUT) is done on the stream; one that
 * goes in (CHAIN_IN) is told to the owner.
 */
#ifndef MQRIG_CHAIN_H
#define MQRIG_CHAIN_H

#include "net/net.h"

enum chain_direction { CHAIN_OUT, CHAIN_IN }; /* from the owner to the stream, and back */

/* Ends as filters see and make them. */
enum chain_end {
  CHAIN_NONE,
  CHAIN_FIN,    /* out: half-close. in: the other end finished sending */
  CHAIN_CLOSE,  /* both halves, in order */
  CHAIN_RESET,  /* out: once the bytes before it are in the other kernel, RST; and the owner is told of a reset. in: likewise, with the bytes before it
                   handed to the owner */
  CHAIN_VANISH, /* neither FIN nor RST to anybody: nothing passes any more, the owner is not told */
};

struct chain;
struct filter;

struct filter_ops {
  const char *name;
  /* Takes bytes going that way; returns how many (fewer: no room, the rest waits outside). */
  size_t (*take)(struct filter *f, enum chain_direction d, struct slice bytes, int64_t now_ns);
  /* An end arrived behind the bytes taken. Called once a direction.. */
  void (*end)(struct filter *f, enum chain_direction d, enum chain_end end, int64_t now_ns);
  /* What is ready to go on in that direction; borrowed until the next call. */
  struct slice (*give)(struct filter *f, enum chain_direction d, int64_t now_ns);
  void (*gave)(struct filter *f, enum chain_direction d, size_t n, int64_t now_ns);
  /* The end that is to go on now that `give` is empty, or CHAIN_NONE. Asked again after `gave`; the chain acts on it once. */
  enum chain_end (*ends)(struct filter *f, enum chain_direction d);
  int64_t (*deadline)(struct filter *f); /* NET_NEVER: none */
  void (*tick)(struct filter *f, int64_t now_ns);
  void (*free)(struct filter *f);
};

/* First member of every filter. */
struct filter {
  const struct filter_ops *ops;
  struct chain *chain;
  struct filter *outer, *inner; /* towards the stream, towards the owner */
};

/* The owner's side: as stream_handler, and told of the same things. `ended` comes at most once with STREAM_FIN and at most once with another end. */
struct chain *chain_new(struct net *n, const struct stream_handler *owner, void *arg);
void chain_free(struct chain *c); /* closes the stream if there is one; safe inside a handler of the same chain */

/* Gives the chain its stream (connecting or accepted). Once. */
void chain_attach(struct chain *c, struct stream *s);
struct stream *chain_stream(const struct chain *c); /* NULL before and after */

/* Puts a filter in, next to the owner (inner) or next to the stream (outer). The chain owns it. `partial` bytes of a packet in progress are the filter's
 * own affair: it is told before. */
void chain_push_inner(struct chain *c, struct filter *f);
void chain_push_outer(struct chain *c, struct filter *f);

/* A filter has something to give, a new deadline, or room again, not because of a call from the chain: a rule was released, say. */
void chain_kick(struct chain *c);

/* For the owner. */
void chain_want_write(struct chain *c);
void chain_flush(struct chain *c);
void chain_end(struct chain *c, enum chain_end end); /* CLOSE: behind all that the owner's output holds now; the filters see it go by */

/* Actions now, for people with a wrench: skip the queue. */
void chain_reset(struct chain *c);              /* what was written arrives first, then RST; the owner is told STREAM_RESET */
void chain_fin(struct chain *c, enum chain_direction d); /* OUT: half-close the stream. IN: the owner is told STREAM_FIN, more input is dropped */
bool chain_vanish(struct chain *c, struct err *err);
void chain_stall(struct chain *c, bool stalled); /* nothing passes, either way, until it is called with false */

#endif
