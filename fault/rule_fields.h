/* rule_fields: what a rule is made of, for the parser and the engine. */
#ifndef MQRIG_RULE_FIELDS_H
#define MQRIG_RULE_FIELDS_H

#include "fault/rule.h"
#include "fault/words.h"

#define RULE_CALL(call) (1u << (call))
#define RULE_ANY        0xffffu /* in `types`: also the reserved type 0 */

struct rule_term {
  enum words_id word;
  struct value args[WORDS_ARGS_MAX];
};

struct rule {
  unsigned directions;     /* RULE_UP, RULE_DOWN */
  enum words_place place;  /* one of them */
  uint32_t calls;          /* WORDS_CALLS: a bit for each enum oscall, and WORDS_ALLOC */
  uint32_t types;          /* WORDS_PACKETS: a bit for each packet type */
  struct rule_term *terms; /* in the order of the table of words, none twice, one action */
  size_t term_count;
  uint64_t words; /* a bit for the word of each term */
  struct rule_hooks hooks;
};

/* The term of that word, or NULL. */
const struct rule_term *rule_term(const struct rule *r, enum words_id word);
const struct rule_term *rule_action(const struct rule *r);

/* Whether it is about calls that are made where there is no connection yet. */
bool rule_is_entry(const struct rule *r);

/* A term more, put where the table of words has it, without arguments. */
struct rule_term *rule_add_term(struct rule *r, enum words_id word);

/* How many firings the rule has to have in the end; 0: none. */
uint64_t rule_owes(const struct rule *r);

#endif
