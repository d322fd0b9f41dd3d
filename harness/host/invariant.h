/* invariant: what must hold in every run, whatever happens on the way, checked over its timeline.
 *
 * 36 rules, each with an identifier ("inv-08 resume") and a sentence. Entries are fed one by one, in order, at a cost
 * of O(1) or O(log n) each. What is judged is what our own clients and broker do: their packets as they leave them, in
 * front of every fault, against what came to them, behind every fault, and what they told the scenario. So what a fault
 * rule does to packets is nobody's breach. What a script sends or answers in their place is not judged, nor what rests
 * on it; nor is anybody of whom the beginning is not known. Owns copies of all that it needs.
 */
#ifndef MQRIG_INVARIANT_H
#define MQRIG_INVARIANT_H

#include "host/timeline.h"

#define INVARIANT_COUNT          36
#define INVARIANT_VIOLATIONS_MAX 32 /* after so many nothing is looked at any more */
#define INVARIANT_TEXT_MAX       240

struct invariant;

struct invariant_row {
  const char *id;       /* "inv-08 resume" */
  const char *sentence; /* what is promised */
};

/* `number` from 1; NULL beyond INVARIANT_COUNT. */
const struct invariant_row *invariant_row(unsigned number);

struct invariant_options {
  int64_t slack_ns; /* how late a thing may be that has its time: 0 where time is virtual */
};

struct invariant_violation {
  unsigned number;               /* of the invariant */
  uint32_t who;                  /* whose breach, on the timeline; 0: of the whole */
  uint64_t cause;                /* the entry that it began with; 0: there is none */
  uint64_t entry;                /* the one that shows it; 0: the end of the run */
  int64_t at_ns;                 /* when it shows */
  char text[INVARIANT_TEXT_MAX]; /* what came */
};

struct invariant *invariant_new(const struct invariant_options *options);
void invariant_free(struct invariant *v);

/* The next entry. A first one whose number is not 1: what went before is not known. */
void invariant_feed(struct invariant *v, const struct timeline_entry *e);

/* All that the timeline holds and was not fed yet. */
void invariant_follow(struct invariant *v, const struct timeline *t);

/* The run is over at `now_ns` since the timeline began. */
void invariant_finish(struct invariant *v, int64_t now_ns);

size_t invariant_violations(const struct invariant *v);
const struct invariant_violation *invariant_violation(const struct invariant *v, size_t place); /* from 0 */

#endif
