/* rolling: a hash that grows with what it is told, and what it was after each step: two runs that are the same have the
 * same at every step, and where they part is where they first differ.
 */
#ifndef MQRIG_ROLLING_H
#define MQRIG_ROLLING_H

#include "base/slice.h"

#define ROLLING_STEPS_MAX (1u << 23) /* that are kept; what comes later is in the last hash only */

struct rolling;

struct rolling *rolling_new(void);
void rolling_free(struct rolling *r);

void rolling_add(struct rolling *r, uint64_t word);
void rolling_add_bytes(struct rolling *r, struct slice bytes);
void rolling_step(struct rolling *r);

uint64_t rolling_hash(const struct rolling *r);
/* After step 1, 2, ... Borrowed until the next step. */
const uint64_t *rolling_steps(const struct rolling *r, size_t *count);

#endif
