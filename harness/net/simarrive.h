/* simarrive: what comes in at an end of a virtual connection: what its kernel makes of it, and what its owner is told.
 */
#ifndef MQRIG_SIMARRIVE_H
#define MQRIG_SIMARRIVE_H

#include "net/simend.h"

#define SIMARRIVE_SPLIT 4 /* one hand-over in this many is of a part of what is there */

/* The event of an end: takes what has arrived, then tells the owner one thing. */
void simarrive_run(struct simevent *event);

/* Takes what arrives there at this very instant: kernels know it at once. No handler is called. */
void simarrive_now(struct simend *e);

/* Whether its owner is to be told something, its host permitting. */
bool simarrive_is_ready(const struct simend *e);

#endif
