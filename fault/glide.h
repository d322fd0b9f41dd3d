/* glide: whole packets that no rule means go by together, without a unit for each.
 *
 * Only where nothing waits in any stage, and no function of a script is to be asked: then the rules are asked about
 * each packet as it lies there, and it is as if it had gone through all stages.
 */
#ifndef MQRIG_GLIDE_H
#define MQRIG_GLIDE_H

#include "fault/side.h"

/* How many of the bytes went by. The packet behind them may have been looked at as well: side.met. */
size_t glide_pass(struct side *s, struct slice bytes);

#endif
