/* action: what a rule does, one row a word. */
#ifndef MQRIG_ACTION_H
#define MQRIG_ACTION_H

#include "fault/scope.h"
#include "fault/unit.h"
#include "fault/words.h"

struct stage;

struct action {
  /* Takes the unit over: a packet, a piece of one, bytes, or an end. The effect is at byte `at` of its bytes; what is
   * before goes on. */
  void (*act)(struct stage *g, struct unit *u, size_t at);
  /* Where, if the action says so itself; of bytes (`u` NULL), true: there, false: at the next. NULL: by the position.
   */
  bool (*place)(struct stage *g, const struct unit *u, uint64_t *at);
  bool whole;           /* needs the whole packet at once */
  bool after;           /* without a position: behind the packet instead of at its start */
  bool goes_on;         /* on bytes: acts on all from its position on, not once */
  bool once_placed;     /* goes_on, but not where it has a position */
  bool flows;           /* on a packet too large to be kept: acts on all of its pieces from its position on */
  bool needs_bytes;     /* on bytes: cannot act between two of them */
  enum scope_fate fate; /* of the packet that it acts on */
};

const struct action *action_row(enum words_id word);

/* What becomes of the packet that the stage is about to act on. */
enum scope_fate action_fate(const struct stage *g);

#endif
