/* scope_fields: what a scope is made of, for the engine. */
#ifndef MQRIG_SCOPE_FIELDS_H
#define MQRIG_SCOPE_FIELDS_H

#include "base/list.h"
#include "fault/rule_fields.h"
#include "fault/scope.h"

struct inject;
struct stage;

/* How often a rule has matched and fired: on one connection, or in all. */
struct scope_tally {
  uint64_t seen, counted, fired; /* counted: of those seen, the ones in the rule's time */
};

struct scope_rule {
  struct scope *scope;
  struct rule *rule;
  uint64_t site; /* its number in the scope, from 1: names its draws */
  struct scope_tally all;
  const struct scope_rule *after; /* the rule that is to have fired before, or NULL */
  struct list_node stages;        /* of connections that are up: stage.of_rule */
  bool removed;
};

struct scope {
  uint64_t seed;
  void (*fired)(void *arg, const struct scope_firing *f);
  void *arg;
  struct scope_rule **rules;
  size_t count, capacity, live, calls; /* live: not removed; calls: of those, rules on own system calls */
  struct list_node filters;            /* inject.of_scope */
  struct scope_place place;
  uint64_t conns;  /* connections so far */
  uint64_t hooked; /* hooks so far */
  size_t hooks;    /* those that are */
  uint64_t turns;  /* packets held so far */
  unsigned busy;   /* calls of filters that are running: kicks wait */
  bool kick;       /* some filter wants its chain to be kicked */
  bool orphan;     /* scope_free was called: goes with its last filter */
};

/* A connection joins and leaves. */
void scope_join(struct scope *s, struct list_node *filter);
void scope_leave(struct scope *s, struct list_node *filter);

/* A hook (syscall.h) begins and ends to use the scope; the first gives its number, from 1. */
uint64_t scope_gain_hook(struct scope *s);
void scope_lose_hook(struct scope *s);

/* A filter begins and ends a call, in which functions of a script may run that change the scope. */
void scope_enter_call(struct scope *s);
void scope_leave_call(struct scope *s);

/* The chain of that filter is to be told that something changed: now, or once no call is running. */
void scope_kick(struct scope *s, struct inject *filter);

/* Counts a firing, and tells it. `f->rule` is filled in here. */
void scope_fire(struct scope_rule *r, struct scope_tally *tally, struct scope_firing *f);

/* A draw of the scope for this rule: another one for each `use`. */
enum scope_use { SCOPE_USE_PROB, SCOPE_USE_DELAY, SCOPE_USE_CORRUPT, SCOPE_USE_SPLIT, SCOPE_USES };
uint64_t scope_draw(const struct scope_rule *r, enum scope_use use, uint64_t conn, uint64_t occurrence);

#endif
