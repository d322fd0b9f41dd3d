/* scope: the rules of one place: a client's link, a peer, a proxy or one of its connections.
 *
 * Rules run in the order in which they were installed, as a pipeline. A scope serves any number of connections at once:
 * each has an inject filter (inject.h) that keeps the counts and the bytes of its own; a rule put in or taken out
 * reaches those that are up.
 */
#ifndef MQRIG_SCOPE_H
#define MQRIG_SCOPE_H

#include "fault/rule.h"

#define SCOPE_RULES_MAX 10000

struct scope;
struct scope_rule; /* a rule installed: the handle */

/* What becomes of a packet that a rule fires at. */
enum scope_fate {
  SCOPE_PASSES, /* it goes on, now or later */
  SCOPE_TAKEN,  /* it does not */
  SCOPE_CUT,    /* what stands before `packet_at` goes on, and nothing after it */
};

/* One firing, for a timeline or a log. Borrowed for the call. */
struct scope_firing {
  const struct scope_rule *rule;
  void *conn;             /* what inject_new was given */
  bool up;                /* direction */
  uint64_t packet_index;  /* counted from 1 in that direction of the connection; 0 if not a packet */
  uint64_t stream_offset; /* of the packet's first byte, or of the byte acted at */
  int64_t at_ns;
  struct slice packet; /* what it hit, from its first byte; empty: not a packet, or too large to be kept */
  size_t packet_at;    /* where in it the rule acts */
  enum scope_fate fate;
  const char *call;  /* an own system call and what it came to, "send of 19 bytes: EPIPE"; NULL: it was none */
  const char *text;  /* what was done, a short static text: "drop" */
  const char *toxic; /* whose rule it is, by name; NULL: nobody's but the scope's */
};

/* `fired` may be NULL. The seed is for every draw that the rules of the scope make. */
struct scope *scope_new(uint64_t seed, void (*fired)(void *arg, const struct scope_firing *f), void *arg);
void scope_free(struct scope *s);            /* its filters must be gone */
bool scope_is_empty(const struct scope *s);  /* there is no rule that a filter or scope_enter would ask */
bool scope_has_calls(const struct scope *s); /* there is one that a hook (syscall.h) would */

/* What the place can do, so that a rule that it cannot is refused with a sentence. Without it everything is allowed but
 * dead_upstream, no_answer on accept, and own system calls. */
struct scope_place {
  const char *name;                   /* "a client's link" */
  bool never_connects, never_accepts; /* rules on connect, on accept would never be asked */
  uint32_t calls;                     /* a bit for each enum oscall that a hook is asked about */
  unsigned tls;    /* directions in which a rule on `tls` means an end of its connections; 0: none is TLS */
  bool shows_cert; /* that end shows any certificate */
  bool upstream;   /* asks on SCOPE_DEAD_UPSTREAM */
  bool (*mute)(void *arg, bool muted, struct err *err); /* the listener answers nobody any more; NULL: no listener */
  void *arg;
};
void scope_set_place(struct scope *s, const struct scope_place *place);

/* Installs the rule and takes it over. NULL with a sentence if this place cannot do that. */
struct scope_rule *scope_add(struct scope *s, struct rule *rule, struct err *err);

/* Takes the rule out: packets that it holds go on. The handle stays valid, with its counts, until scope_free. */
void scope_remove(struct scope_rule *r);

const struct rule *scope_rule_of(const struct scope_rule *r);
uint64_t scope_seen(const struct scope_rule *r); /* packets (or events) that matched its `what` and `which` selectors */
uint64_t scope_fired(const struct scope_rule *r);
uint64_t scope_number(const struct scope_rule *r); /* of the rule in its scope, from 1: `after #3` */

/* Lets the `n` oldest held packets go; 0: all, and ends the rule. Returns how many went. */
size_t scope_release(struct scope_rule *r, size_t n);

/* Whether its obligation is met: must_fire(n), or an occurrence without may_fire. `*why`: a sentence. */
bool scope_met(const struct scope_rule *r, struct err *why);

/* Rules on "connect" and "accept" are asked by who connects or accepts: */
enum scope_entry {
  SCOPE_ENTER,
  SCOPE_REFUSE,
  SCOPE_NO_ANSWER,     /* nothing is sent, and nothing comes */
  SCOPE_DEAD_UPSTREAM, /* only where the place has `upstream`: it is connected to nobody */
};
enum scope_entry scope_enter(struct scope *s, bool accept, int64_t now_ns, int64_t *delay_ns);

#endif
