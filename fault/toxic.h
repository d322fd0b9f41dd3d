/* toxic: one toxic: what Toxiproxy's API calls a fault on the connections of a proxy, in one direction.
 *
 * One row of a table for each kind: its attributes, the rule that does its work, and whether a clock ends the
 * connection. Open values: the fields are there to be read.
 */
#ifndef MQRIG_TOXIC_H
#define MQRIG_TOXIC_H

#include "base/err.h"
#include "fault/printer.h"
#include "fault/value.h"

#define TOXIC_ATTRIBUTES_MAX 3
#define TOXIC_NAME_MAX       128
#define TOXIC_NUMBER_MAX     INT64_C(1000000000000)

struct toxic;

enum toxic_end { TOXIC_GOES_ON, TOXIC_CLOSES, TOXIC_RESETS };

struct toxic_attribute {
  const char *name; /* NULL: there are no more */
  bool is_text;     /* else a whole number from 0 to TOXIC_NUMBER_MAX */
};

struct toxic_row {
  const char *name;
  struct toxic_attribute attributes[TOXIC_ATTRIBUTES_MAX];
  /* Prints nothing where nothing is to be done. `passed`: bytes of the direction that have gone by. */
  void (*rule)(const struct toxic *t, uint64_t passed, struct printer *to);
  enum toxic_end end; /* of the connection, when the clock has run down */
  bool zero_is_never; /* the first attribute is the clock, in milliseconds */
  bool loses;         /* what its rule takes is gone */
  bool owns_rule;     /* the rule is an attribute: somebody else's text */
};

struct toxic {
  const struct toxic_row *row;
  char *name;
  bool up;          /* stream upstream: from the client to the broker */
  int64_t toxicity; /* the share of connections, in parts of VALUE_RATIO_ONE */
  int64_t numbers[TOXIC_ATTRIBUTES_MAX];
  char *texts[TOXIC_ATTRIBUTES_MAX]; /* NULL: none */
};

/* NULL with a sentence that suggests the near one. */
const struct toxic_row *toxic_row(const char *type, struct err *err);

/* The place of the attribute of that name, or -1 with a sentence. */
int toxic_attribute(const struct toxic_row *row, const char *name, struct err *err);

/* "upstream", "downstream" */
const char *toxic_stream(const struct toxic *t);

/* A copy of its own; and what it holds is freed. */
void toxic_copy(struct toxic *to, const struct toxic *from);
void toxic_fini(struct toxic *t);

/* Whether it can be done. */
bool toxic_check(const struct toxic *t, struct err *err);

/* Its rule counts over connections, or asks who connects: there is one for all of them. */
bool toxic_is_shared(const struct toxic *t);

/* The text of its rule for a connection of which so many bytes have passed in its direction; empty: it has none. */
void toxic_rule(const struct toxic *t, uint64_t passed, struct printer *to);

/* When a connection that begins to suffer from it now is ended, from then on; NET_NEVER: it is not. */
int64_t toxic_clock_ns(const struct toxic *t);

#endif
