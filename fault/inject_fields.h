/* inject_fields: what the filter is made of, for the engine. */
#ifndef MQRIG_INJECT_FIELDS_H
#define MQRIG_INJECT_FIELDS_H

#include "fault/inject.h"
#include "fault/select.h"
#include "fault/side.h"

/* A rule on this connection. */
struct inject_rule {
  struct scope_rule *rule;
  struct scope_tally *tally;
  struct stage *stages[2]; /* by direction, NULL where it does not apply */
};

struct inject {
  struct filter filter; /* first */
  struct scope *scope;
  struct list_node of_scope;
  void *conn;
  unsigned places;      /* enum words_place: rules on others are not for this filter */
  uint64_t number;      /* of the connection in the scope, from 1: names draws */
  struct side sides[2]; /* by enum chain_direction */
  struct select_client client;
  struct inject_rule *rules;
  size_t count, capacity;
  size_t synced;            /* rules of the scope looked at */
  int64_t now_ns, first_ns; /* first_ns: of the first call */
  unsigned busy;            /* calls of the chain that are running */
  bool stale;               /* rules were added or removed since */
  bool again;               /* something can go on that did not come in by the running call */
  bool disturbed;           /* while the running call was at work */
  bool kick;                /* the chain is to be told that something changed */
  bool dead;                /* freed inside a call: goes at its end */
};

/* Between two packets: takes notice of what a function of a script did to the rules. True: all stages are to be looked
 * at again. */
bool inject_follow(struct inject *f);

/* When the connection began; NET_NEVER: it has not. */
int64_t inject_began_ns(const struct inject *f);

/* How long it has been going on; negative: it has not begun. */
int64_t inject_since(const struct inject *f);

static inline struct inject *inject_of(struct list_node *of_scope) {
  return LIST_OWNER(of_scope, struct inject, of_scope);
}

#endif
