/* words: the vocabulary of rules: selectors, occurrences, positions, actions, obligations.
 *
 * One row a word: its part of the sentence, arguments, where it makes sense, and what to say elsewhere. Their order is
 * that of the canonical text. What a word does is a row of select.c, action.c, syscall.c or tlsrule.c.
 */
#ifndef MQRIG_WORDS_H
#define MQRIG_WORDS_H

#include "fault/value.h"
#include "net/oscall.h"

#define WORDS_ARGS_MAX 2
enum words_part {
  WORDS_WHICH = 1,
  WORDS_OCCURRENCE = 2,
  WORDS_COUNTING = 4,
  WORDS_POSITION = 8,
  WORDS_ACTION = 16,
  WORDS_OBLIGATION = 32
};

enum words_id {
  WORDS_QOS,
  WORDS_ID,
  WORDS_TOPIC,
  WORDS_CLIENT,
  WORDS_DUP,
  WORDS_RETAIN,
  WORDS_SIZE,
  WORDS_REASON,
  WORDS_PROP,
  WORDS_WHERE,
  WORDS_AFTER,
  WORDS_DURING,
  WORDS_AT,
  WORDS_FIRST,
  WORDS_NTH,
  WORDS_RANGE,
  WORDS_EVERY,
  WORDS_PROB,
  WORDS_TIMES,
  WORDS_ACROSS,
  WORDS_AT_BYTE,
  WORDS_BEFORE,
  WORDS_AFTER_PACKET,
  WORDS_DELAY,
  WORDS_RATE,
  WORDS_SPLIT,
  WORDS_COALESCE,
  WORDS_STALL,
  WORDS_BLACKHOLE,
  WORDS_CORRUPT,
  WORDS_TRUNCATE,
  WORDS_RST,
  WORDS_FIN,
  WORDS_CLOSE,
  WORDS_SLOW_CLOSE,
  WORDS_VANISH,
  WORDS_REFUSE,
  WORDS_NO_ANSWER,
  WORDS_DEAD_UPSTREAM,
  WORDS_DROP,
  WORDS_COPY, /* the action dup: of the same name as the selector, told apart by what follows */
  WORDS_OVERTAKE,
  WORDS_HOLD,
  WORDS_REWRITE,
  WORDS_INJECT,
  WORDS_SHORT,
  WORDS_ERRNO,
  WORDS_FAIL,
  WORDS_CERT,
  WORDS_ALERT,
  WORDS_STALL_AT,
  WORDS_CLOSE_WITHOUT_NOTIFY,
  WORDS_MUST_FIRE,
  WORDS_MAY_FIRE,
  WORDS_NAME,
  WORDS_IDS
};

/* What a rule is about. */
enum words_place {
  WORDS_PACKETS = 1,
  WORDS_BYTES = 2,
  WORDS_END = 4,
  WORDS_CONNECT = 8,
  WORDS_ACCEPT = 16,
  WORDS_CALLS = 32,
  WORDS_TLS = 64
};
#define WORDS_ENTRY (WORDS_CONNECT | WORDS_ACCEPT)
#define WORDS_ALLOC OSCALLS /* behind the own system calls of enum oscall: the memory that they need */

struct words_arg {
  enum value_kind kind; /* VALUE_NONE: none */
  bool optional;
};

struct words_row {
  const char *name;
  enum words_part part;
  struct words_arg args[WORDS_ARGS_MAX];
  unsigned places;       /* enum words_place: where the word makes sense */
  const char *elsewhere; /* the sentence for everywhere else */
  uint32_t types;        /* selectors: a bit for each packet type that has such a field; 0: all */
  bool placed;           /* actions: may follow a position */
  bool expects;          /* occurrences: a rule with it is to fire, unless it says may_fire */
  const char *needs;     /* what this version does not have and the word needs; NULL: nothing */
};

const struct words_row *words_row(enum words_id id);
/* The word of that name, or WORDS_IDS; of two words with one name the first. */
enum words_id words_find(struct slice name);
enum words_id words_twin(enum words_id id); /* the other word of that name, or WORDS_IDS */
const char *words_call(unsigned call);      /* enum oscall, or WORDS_ALLOC: "send" */

/* What a word that is spoken of elsewhere and is none here needs; NULL: no such word either. */
const char *words_absent(struct slice name);

#endif
