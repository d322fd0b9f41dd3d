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
  bool whole;           /* needs the whole packet at once */
  bool after;           /* without a position: behind the packet instead of at its start */
  bool goes_on;         /* on bytes: acts on all from its position on, not once */
  bool once_placed;     /* goes_on, but not where it has a position */
  enum scope_fate fate; /* of the packet that it acts on */
};

const struct action *action_row(enum words_id word);

/* What becomes of the packet that the stage is about to act on. */
enum scope_fate action_fate(const struct stage *g);

#endif
