/* stage: one rule at work on one direction of one connection.
 *
 * A stage takes the units that come to it one by one, puts the pieces of a packet that it looks at together, acts on
 * those that its rule means, and passes the rest on in order. The first packet stage of a direction follows the
 * framing, which is a stage without rule.
 */
#ifndef MQRIG_STAGE_H
#define MQRIG_STAGE_H

#include "fault/action.h"
#include "fault/pace.h"
#include "fault/scope_fields.h"
#include "fault/unit.h"

struct side;

struct stage {
  struct side *side;
  size_t place;              /* in side.stages */
  struct scope_rule *rule;   /* NULL: framing, or retired */
  struct list_node of_rule;  /* scope_rule.stages */
  struct scope_tally *tally; /* shared by the two directions */
  enum words_place kind;     /* of the rule; 0: framing */
  uint32_t types;
  const struct action *action;
  const struct value *args;   /* of the action */
  struct unit_queue in;       /* came in, not looked at yet */
  struct unit_queue line;     /* waits in order, each until its time */
  struct unit_queue held;     /* taken out */
  struct unit_queue released; /* goes on as soon as a packet has ended */
  struct unit *join;          /* a packet whose end is still to come */
  struct unit *copied;        /* goes on so many times more */
  uint64_t copies;
  struct unit *behind; /* goes on behind so many packets more */
  uint64_t ahead;
  struct pace pace;
  size_t gathered;           /* bytes put together so far */
  uint64_t pieces, piece;    /* pieces begun; bytes that the last of them still lacks */
  enum chain_end then;       /* comes when the stall is over */
  uint8_t mask;              /* the bits of a byte that is about to be corrupted */
  bool retired, closed, mid; /* mid: a packet has gone on in part */
  bool stalled, discards, done, aims;
  uint64_t aim; /* aims: where in the large packet that is passing it is to act */
  int64_t stalled_until_ns, discards_until_ns, line_ns; /* line_ns: when the last in line is ready */
  uint64_t passed;                                      /* bytes that came here, for rules on bytes */
  uint64_t lull, lulled; /* of packets that go by together: as select_lull says; those of them not counted yet */
};

struct stage *stage_new(struct side *side, struct scope_rule *rule, struct scope_tally *tally);
void stage_free(struct stage *g);

/* Does one piece of work, if there is any that can be done now. */
bool stage_step(struct stage *g);
int64_t stage_deadline(const struct stage *g);

/* Its rule was taken out: all that it keeps goes on. It can be freed once stage_is_idle. */
void stage_retire(struct stage *g);
bool stage_is_idle(const struct stage *g);

/* Nothing waits or is in progress in it: a packet that its rule does not mean would go on at once. */
bool stage_is_open(const struct stage *g);

/* Whether the rule means this packet (or its start, of a large one), and where it is to act. Counts. */
bool stage_means(struct stage *g, const struct unit *u, uint64_t *at);

/* Whether it has a line of a certain rate. */
static inline bool stage_paces(const struct stage *g) {
  return g->kind && g->action == action_row(WORDS_RATE);
}

/* Nothing goes on from here any more; what it has is let go. */
void stage_shut(struct stage *g);

/* For actions: pass on, behind what waits here; wait in line; a copy of bytes as units (packets where they are some).
 */
void stage_pass(struct stage *g, struct unit *u);
void stage_wait(struct stage *g, struct unit *u, int64_t ready_ns);
void stage_pass_bytes(struct stage *g, struct slice bytes, const struct unit *cause, bool framed);

/* Passes on what stands before byte `at` of the unit, and returns the rest, or NULL if there is none. */
struct unit *stage_pass_before(struct stage *g, struct unit *u, size_t at);

/* Waits in line for its turn at the rate of the rule. */
void stage_wait_paced(struct stage *g, struct unit *u);

/* Waits in line until `size` bytes are there, or until then. */
void stage_gather(struct stage *g, struct unit *u, size_t size, int64_t until_ns);

/* Goes on, and then `copies` times more; or behind the next `ahead` packets. */
void stage_copy(struct stage *g, struct unit *u, uint64_t copies);
void stage_put_behind(struct stage *g, struct unit *u, uint64_t ahead);

/* An end, made here: behind what waits, and nothing after it. */
void stage_pass_end(struct stage *g, enum chain_end end);

void stage_stall(struct stage *g, int64_t until_ns);
void stage_stall_then(struct stage *g, int64_t until_ns, enum chain_end end);
void stage_discard(struct stage *g, int64_t until_ns);
int64_t stage_now(const struct stage *g);

#endif
