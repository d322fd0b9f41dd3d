/* select: which packets does a rule mean? Selectors, occurrences and positions, one row a word. */
#ifndef MQRIG_SELECT_H
#define MQRIG_SELECT_H

#include "fault/scope_fields.h"
#include "fault/unit.h"
#include "mqtt/packet.h"

/* Enough of the start of a packet for every field but the payload: fixed header, the longest topic, packet identifier.
 */
#define SELECT_START_MAX (5 + 2 + 65535 + 2)

/* What is known of the connection. */
struct select_client {
  enum spec_version version;
  bool known;
  struct buffer id;
};

/* Takes the unit's bytes apart. A packet of which there is only the start is decoded with its payload cut short;
 * `scratch` then holds the bytes. False where the packet is malformed: type, flags and raw are there all the same. */
bool select_decode(const struct unit *u, const struct select_client *c, struct buffer *scratch, struct packet *out);

/* Whether the selectors match. */
bool select_matches(const struct rule *r, const struct unit *u, const struct select_client *c);

/* Where in a packet of that size the rule acts: 0 to total. `after`: without a position behind it, not at its start.
 * False: it is too short for that. */
bool select_position(const struct rule *r, uint64_t total, bool after, uint64_t *at);

/* When something happens, and where. */
struct select_moment {
  uint64_t conn;
  int64_t since_ns; /* since the connection began; negative: it has not */
};

/* Whether it is in the time that the rule is about (after, during, at). */
bool select_in_time(const struct scope_rule *r, int64_t since_ns);

/* Counts an occurrence, and says whether it is one of those that the rule means. Those outside of its time are seen,
 * and not counted. */
bool select_counts(struct scope_rule *r, struct scope_tally *tally, const struct select_moment *m);

/* How many of the packets of its types that come next the rule certainly does not mean, whatever is in them: each is
 * only one more to be counted, by select_pass. 0: they are to be looked at. */
uint64_t select_lull(const struct scope_rule *r, const struct scope_tally *tally);
void select_pass(struct scope_rule *r, struct scope_tally *tally, uint64_t n);

#endif
