/* distribution: how long a delay is, or how large a piece, drawn anew for each occurrence.
 *
 * Integers only: a draw is a function of its 64 bits and gives the same on every machine. Never below 0, never above
 * DISTRIBUTION_MAX.
 */
#ifndef MQRIG_DISTRIBUTION_H
#define MQRIG_DISTRIBUTION_H

#include <stdbool.h>

#include "base/slice.h"
#include "fault/printer.h"

#define DISTRIBUTION_MAX (INT64_C(1000) * 86400 * 1000000000) /* a thousand days, where it is a duration */

enum distribution_shape {
  DISTRIBUTION_CONSTANT,    /* a */
  DISTRIBUTION_UNIFORM,     /* a to b */
  DISTRIBUTION_NORMAL,      /* mean a, standard deviation b; what would be below 0 is 0 */
  DISTRIBUTION_EXPONENTIAL, /* mean a */
  DISTRIBUTION_PARETO,      /* at least a, with a long tail: the shape is b, in parts of VALUE_RATIO_ONE */
  DISTRIBUTION_SHAPES
};

struct distribution {
  enum distribution_shape shape;
  int64_t a, b;
};

/* What is drawn: how a number of it is written. */
struct distribution_unit {
  bool (*parse)(struct slice token, int64_t *out);
  void (*put)(struct printer *to, int64_t number);
};

/* `250ms` or `fixed(250ms)`, `uniform(10ms,20ms)`, `normal(120ms,30ms)`, `exponential(50ms)`, `pareto(10ms,1.5)`. */
bool distribution_parse(struct slice text, const struct distribution_unit *unit, struct distribution *out);
void distribution_print(const struct distribution *d, const struct distribution_unit *unit, struct printer *to);

/* The number for these random bits. */
int64_t distribution_draw(const struct distribution *d, uint64_t bits);

#endif
