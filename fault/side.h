/* side: one direction of one connection: the framing, the stages of the rules, and what is ready to go on.
 *
 * Out: framing, rules on packets, rules on bytes. In: rules on bytes, framing, rules on packets. Each unit goes all the
 * way, as far as it can, before the next one comes in: so the order of what happens does not depend on how bytes were
 * cut.
 */
#ifndef MQRIG_SIDE_H
#define MQRIG_SIDE_H

#include "fault/framer.h"
#include "fault/inject.h"
#include "fault/stage.h"

#define SIDE_CHUNK_MAX 65536                 /* bytes put together for one write */
#define SIDE_PACED_MAX 65536                 /* bytes that wait on a line of a certain rate: then the sender feels it */
#define SIDE_FULL      (2 * INJECT_HELD_MAX) /* with so many bytes rules make no more of them before some have gone */

struct inject;

struct side {
  struct inject *inject;
  enum chain_direction direction;
  bool up;
  struct stage **stages;
  size_t count, capacity;
  size_t frame;       /* place of the framing stage */
  size_t last_packet; /* place of the last stage that sees packets */
  struct framer framer;
  struct buffer track;   /* what of the packet in progress has passed last_packet */
  bool track_mid;        /* a packet is in progress there */
  struct buffer connect; /* CONNECT, as far as it came */
  struct unit_queue out;
  size_t held;        /* bytes in all units */
  uint64_t emitted;   /* bytes put out */
  size_t paced;       /* of these, what waits on a line of a certain rate */
  unsigned paces;     /* stages with such a line */
  unsigned stalls;    /* stages that are stalled: nothing more is taken */
  unsigned retired;   /* stages on their way out */
  enum chain_end end; /* behind `out` */
  size_t owed;        /* bytes looked at already and not yet counted as taken: the owner offers them again */
  uint64_t cut_index; /* the packet in which a rule has ended the direction, and where in it */
  uint64_t cut_at;
  enum chain_end cut_end;
  size_t shut_count; /* so many stages, from the first, are shut: a rule has ended the direction there */
  struct stage *met; /* the first stage whose rule means the packet of that index, at that byte: found in passing */
  uint64_t met_index, met_at;
};

void side_init(struct side *s, struct inject *inject, enum chain_direction direction, bool up);
void side_fini(struct side *s);

/* What of a packet in progress has gone by before. */
void side_skip(struct side *s, struct slice partial);

/* Goes on where a framer stands that has followed all that went by; `start`: the bytes of the packet in progress, or
 * nothing. `connect`: the client's CONNECT packet, as far as it came. */
void side_resume(struct side *s, const struct framer *f, struct slice start);
void side_meet_client(struct side *s, struct slice connect);

/* Puts a stage in for the rule; takes out those that were retired and are idle. */
struct stage *side_add(struct side *s, struct scope_rule *rule, struct scope_tally *tally);
void side_sweep(struct side *s);

size_t side_take(struct side *s, struct slice bytes);
void side_end(struct side *s, enum chain_end end);
void side_pump(struct side *s);
struct slice side_give(const struct side *s);
void side_gave(struct side *s, size_t n);
int64_t side_deadline(const struct side *s);

/* For stages.
 *
 * Where what goes on from there goes to; that nothing goes on from stages up to there; ends the direction at once. */
void side_forward(struct side *s, const struct stage *from, struct unit *u);
void side_shut(struct side *s, size_t up_to);
void side_end_now(struct side *s, enum chain_end end);

/* Units wait where they are until what was put out has gone. */
static inline bool side_is_full(const struct side *s) {
  return s->held >= SIDE_FULL && s->out.head;
}

/* The stage that means this packet, where the rules up to there were asked about it already; else NULL. */
static inline const struct stage *side_met(const struct side *s, const struct unit *u) {
  return s->met && !u->injected && u->index == s->met_index ? s->met : NULL;
}

/* Bytes that are ready to go out, behind the others. */
void side_emit(struct side *s, struct slice bytes);

/* The work of the framing stage: one piece of what came in. False: nothing to do. */
bool side_frame(struct side *s, struct unit_queue *in);

/* A rule ends or stalls (CHAIN_NONE) the direction at byte `at` of that unit. */
void side_cut(struct side *s, const struct unit *u, size_t at, enum chain_end end);

#endif
