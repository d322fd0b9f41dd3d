/* distribution: how long a delay is, drawn anew for each occurrence.
 *
 * Integers only: a draw is a function of its 64 bits and gives the same on every machine. Never below 0, never above
 * VALUE_DURATION_MAX_NS.
 */
#ifndef MQRIG_DISTRIBUTION_H
#define MQRIG_DISTRIBUTION_H

#include <stdbool.h>

#include "base/slice.h"
#include "fault/printer.h"

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
  int64_t a_ns, b_ns;
};

/* `250ms` or `fixed(250ms)`, `uniform(10ms,20ms)`, `normal(120ms,30ms)`, `exponential(50ms)`, `pareto(10ms,1.5)`. */
bool distribution_parse(struct slice text, struct distribution *out);
void distribution_print(const struct distribution *d, struct printer *to);

/* The delay in nanoseconds for these random bits. */
int64_t distribution_draw(const struct distribution *d, uint64_t bits);

#endif
