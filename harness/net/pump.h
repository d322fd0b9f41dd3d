/* pump: the inside of a chain: moving bytes and ends between owner, filters and stream. Included by chain.c and pump.c
 * only.
 *
 * Every entry from outside is between pump_enter and pump_leave: handlers of the owner may free the chain, so nothing
 * is released before the last has returned, and `dead` is asked after each.
 */
#ifndef MQRIG_PUMP_H
#define MQRIG_PUMP_H

#include "base/buffer.h"
#include "net/chain.h"

#define PUMP_HELD_MAX     (2 * NET_READ_MAX) /* input that the outermost filter does not take */
#define PUMP_CHECK_MIN_NS 100000             /* between two looks at what is unacknowledged before a reset */
#define PUMP_CHECK_MAX_NS 5000000
#define PUMP_LATE_NS      1000000 /* a filter's deadline that stays due is ticked this often */

/* How the connection ended, for the owner. */
struct pump_failure {
  enum stream_end end;
  bool writing;
  struct err why;
};

struct chain {
  struct net *net;
  const struct stream_handler *owner;
  void *arg;
  void (*watch)(void *arg, enum chain_end end); /* may be NULL */
  const struct chain_tap *tap;                  /* may be NULL */
  void *tap_arg;
  const struct filter *tapped; /* the wrapping filter on whose owner's side the tap looks; NULL: at the stream */
  size_t tap_ahead;            /* bytes that this filter gives, which were shown and not taken yet */
  struct slice given;          /* to the stream, last */
  struct stream *stream;
  struct filter *outermost, *innermost;
  struct filter *gave; /* whose bytes the stream was given last; NULL: the owner's */
  struct net_timer timer;
  struct buffer held;
  struct pump_failure *failure;
  int64_t began_ns, ticked_ns;
  int64_t reset_by_ns, check_ns, check_wait_ns; /* while resetting */
  unsigned depth;
  enum chain_end asked, asked_passed; /* by the owner; given to the innermost filter */
  enum chain_end done;                /* on the stream */
  enum chain_end came, came_passed;   /* from the stream; given to the outermost filter */
  unsigned stalled;                   /* enum chain_staller bits */
  bool dead, paused, reading_stopped, deaf, resetting, vanished, closing_now;
  bool kicked, owes_fin, owes_closed, owes_failure; /* for the next turn */
  bool owes_shut, owes_vanished;
  bool opened, told_fin, told_end;
  bool spares_owner; /* the reset that is on its way is told as a close */
};

void pump_init(struct chain *c);
void pump_enter(struct chain *c);
void pump_leave(struct chain *c); /* frees a dead chain; sets the timer of one that lives */

void pump_tap(const struct chain *c, enum chain_direction d, enum chain_end end);
void pump_tap_stream(const struct chain *c, enum chain_direction d, struct slice bytes);

/* Moves what can be moved towards the stream and returns what it is to write; does ends that are due. */
struct slice pump_out(struct chain *c);
void pump_discard(struct chain *c); /* takes the owner's output for nothing */

/* The innermost filter takes what it has looked at. */
void pump_settle(struct chain *c);

/* Moves what can be moved towards the owner: in turns only. */
void pump_in(struct chain *c);
void pump_take(struct chain *c, struct slice bytes);

void pump_update_reading(struct chain *c);
void pump_fail(struct chain *c, enum stream_end end, bool writing, const char *why);
void pump_tell_failure(struct chain *c);
void pump_tell_reset(struct chain *c); /* of one of our own */
void pump_reset(struct chain *c, bool writing);
bool pump_vanish(struct chain *c, struct err *err);
void pump_shut(struct chain *c);
/* False: there is no stream, or it is being ended already. */
bool pump_close_now(struct chain *c);

#endif
