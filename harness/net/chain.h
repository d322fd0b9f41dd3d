/* chain: a connection as a stack of filters over a stream.
 *
 *   stream - [byte faults] - [TLS] - [packet faults] - owner
 *
 * The owner sees one transport, whatever is in between. With no filter the chain passes the owner's own buffer to the
 * stream and the stream's bytes to the owner: it costs nothing. A filter is memory only: bytes in, bytes out, a
 * deadline. So each runs unchanged on any driver.
 *
 * Ends travel through the filters in order behind the bytes before them. An end that goes out (CHAIN_OUT) is done on
 * the stream; one that goes in (CHAIN_IN) is told to the owner. How filters are written is in filter.h.
 *
 * Handlers of the owner run in net turns only, but for `output` and `wrote`, which chain_flush and chain_end call too.
 */
#ifndef MQRIG_CHAIN_H
#define MQRIG_CHAIN_H

#include "net/filter.h"
#include "net/net.h"

#define CHAIN_RESET_WAIT_NS                                                                                            \
  1000000000 /* for bytes before a reset to be acknowledged by the other kernel; then it comes anyway */
#define CHAIN_PASS_MAX (1u << 20) /* bytes that filters take from the owner in one go */

/* The owner's side: as stream_handler, and told of the same things. `ended` comes at most once with STREAM_FIN, where
 * `why` may be the sentence of a filter, and at most once with another end, for which `why` is a sentence. In addition:
 * when a CHAIN_CLOSE (the owner's, or a filter's) is done later than in chain_end, `ended` comes with STREAM_FIN and
 * chain_stream is NULL in it. After that, and after any end but STREAM_FIN, nothing is told any more, and the owner
 * frees the chain. */
struct chain *chain_new(struct net *n, const struct stream_handler *owner, void *arg);
/* Closes the stream if there is one; bytes that filters still hold are lost. Safe inside a handler of the same chain.
 */
void chain_free(struct chain *c);

/* Gives the chain its stream (connecting or accepted). Once. */
void chain_attach(struct chain *c, struct stream *s);
struct stream *chain_stream(const struct chain *c); /* NULL before and after */

/* When the stream was connected; NET_NEVER: it has not been. */
int64_t chain_began_ns(struct chain *c);

/* Puts a filter in, next to the owner (inner) or next to the stream (outer). The chain owns it. `partial` bytes of a
 * packet in progress are the filter's own affair: it is told before. */
void chain_push_inner(struct chain *c, struct filter *f);
void chain_push_outer(struct chain *c, struct filter *f);

/* What the connection waits for before the owner's bytes can pass, "TLS waits for ServerHello"; empty: nothing. */
struct err chain_waits(const struct chain *c);

/* Whether there is a filter that wraps: next to the stream are other bytes than next to the owner. */
bool chain_is_wrapped(const struct chain *c);

/* Before a filter is put in next to the owner of a connection that is up: what is on its way already counts as taken.
 */
void chain_settle(struct chain *c);

/* The outermost filter of that kind, or NULL. */
struct filter *chain_find(const struct chain *c, const struct filter_ops *ops);

/* A filter has something to give, a new deadline, or room again, not because of a call from the chain: a rule was
 * released, say. It is seen to in the next turn, or later in this one. */
void chain_kick(struct chain *c);

/* For the owner. */
void chain_want_write(struct chain *c);
void chain_flush(struct chain *c);
/* Stops and starts `input` and ends: the window closes. */
void chain_pause(struct chain *c, bool paused);
/* Behind all that the owner's output holds now; the filters see it go by. A CLOSE that can be done at once is: then
 * chain_stream is NULL on return and nothing is told. */
void chain_end(struct chain *c, enum chain_end end);
/* `done` is told, in a turn, once each: CHAIN_FIN or CHAIN_VANISH was done on the stream, whoever made it: what the
 * owner writes goes nowhere any more. A close or reset comes to `ended`. */
void chain_watch(struct chain *c, void (*done)(void *arg, enum chain_end end));

/* What really happens at the stream, for captures: bytes that it took (OUT) and that came (IN), and how each direction
 * ended: OUT by this side, IN by the other. Where the chain is wrapped, the bytes are those inside of all wrapping. It
 * looks and calls nothing here. `t` is borrowed. */
struct chain_tap {
  void (*bytes)(void *arg, enum chain_direction d, struct slice bytes);
  void (*end)(void *arg, enum chain_direction d, enum chain_end end);
};
void chain_tap(struct chain *c, const struct chain_tap *t, void *arg);

/* Actions now, for people with a wrench: skip the queue. */

/* What `why` says of a reset that was made here, by an action or a filter, not by the other end. */
#define CHAIN_RESET_HERE "reset by this end"

/* Whether the other end has reset the stream, rather than a filter or the system having ended it. */
bool chain_was_reset(const struct chain *c);

/* The sentence for an end that the owner was told of; `why` as told. Borrowed from it, or static. */
const char *chain_end_text(enum stream_end end, const struct err *why);

/* What was written arrives first, then RST; the owner gets no more input and is told STREAM_RESET. */
void chain_reset(struct chain *c);
/* As chain_end with CLOSE, but the owner is told in any case. Where it is stalled: at once, without what it holds. */
void chain_close(struct chain *c);
/* OUT: half-close the stream, nothing more is taken from the owner; where the chain is wrapped, behind the word for it.
 * IN: the owner is told STREAM_FIN, more input is dropped. */
void chain_fin(struct chain *c, enum chain_direction d);
/* The owner's output is taken and dropped, and it is told of nothing. False with a sentence where the system cannot end
 * the connection without a word: then it is kept open, unread, until chain_free. */
bool chain_vanish(struct chain *c, struct err *err);
/* Nothing passes, either way, while anybody has it stalled. The other actions do. */
enum chain_staller { CHAIN_STALL_NOW = 1, CHAIN_STALL_ENTRY = 2, CHAIN_STALL_PAUSE = 4 };
void chain_stall(struct chain *c, enum chain_staller who, bool stalled);

#endif
