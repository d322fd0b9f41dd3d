/* filter: what stands in a chain between a stream and its owner: bytes in, bytes out, ends, a deadline. Memory only.
 *
 * The chain moves bytes on from filter to filter by take, give and gave, in each direction for itself, and ends behind
 * the bytes. A filter may make bytes and ends of its own (give without take): a handshake, an injected packet, a reset.
 * It is called by its chain only, never from inside its own calls of chain_kick.
 */
#ifndef MQRIG_FILTER_H
#define MQRIG_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/stream.h"

enum chain_direction { CHAIN_OUT, CHAIN_IN }; /* from the owner to the stream, and back */

/* Ends as filters see and make them. A later one of these may follow an earlier one in the same direction, not the
 * other way. */
enum chain_end {
  CHAIN_NONE,
  CHAIN_FIN,    /* out: half-close. in: the other end finished sending */
  CHAIN_CLOSE,  /* both halves, in order */
  CHAIN_RESET,  /* out: once the bytes before it are in the other kernel, RST; and the owner is told of a reset. in:
                   likewise, with  the bytes before it handed to the owner. A stream that failed by itself comes in as
                   this one */
  CHAIN_VANISH, /* neither FIN nor RST to anybody: nothing passes any more, the owner is not told */
};

struct chain;
struct filter;

struct filter_ops {
  const char *name;
  /* Takes bytes going that way; returns how many (fewer: no room, the rest waits outside). A filter may look at bytes,
   * send what it makes of them, and take them once that has gone: they are still the first when it is asked again. */
  size_t (*take)(struct filter *f, enum chain_direction d, struct slice bytes, int64_t now_ns);
  /* An end arrived behind the bytes taken. Called at most once with CHAIN_FIN and at most once with another end in a
   * direction. */
  void (*end)(struct filter *f, enum chain_direction d, enum chain_end end, int64_t now_ns);
  /* What is ready to go on in that direction; borrowed until the next call for that direction. */
  struct slice (*give)(struct filter *f, enum chain_direction d, int64_t now_ns);
  void (*gave)(struct filter *f, enum chain_direction d, size_t n, int64_t now_ns);
  /* The end that is to go on now that `give` is empty, or CHAIN_NONE. Asked again and again; the chain acts once on
   * each. */
  enum chain_end (*ends)(struct filter *f, enum chain_direction d);
  /* INT64_MAX: none. One that is still due after `tick` is ticked again a millisecond later. */
  int64_t (*deadline)(struct filter *f);
  void (*tick)(struct filter *f, int64_t now_ns);
  void (*free)(struct filter *f);
  bool wraps; /* the bytes on its stream's side are others than on its owner's: TLS, WebSocket */
  /* What its handshake waits for, in a few words; NULL: nothing, it is through. May be NULL. */
  const char *(*waits)(const struct filter *f);
};

/* First member of every filter; all zero but `ops` when it is pushed. */
struct filter {
  const struct filter_ops *ops;
  /* Set by a filter whose CHAIN_RESET going out stands in place of what the owner is writing: the owner is told that
   * its write failed. */
  bool writing;
  /* Set by a filter whose CHAIN_RESET is for one end only: the other is closed in order. */
  bool spares_owner, spares_stream;
  /* Set by the chain: what it has looked at is to be taken now, all of it and nothing more. */
  bool settle;
  /* Set by a filter that ends the connection itself, before its CHAIN_RESET or CHAIN_FIN goes in: what the owner is
   * told
   * (`how` is STREAM_FIN with CHAIN_FIN). Lives as long as the filter. */
  const char *why;
  enum stream_end how;
  /* The chain's own. */
  struct chain *chain;
  struct filter *outer, *inner; /* towards the stream, towards the owner */
  enum chain_end passed[2];     /* what of `ends` went on */
};

#endif
