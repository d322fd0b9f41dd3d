/* orphans: what child processes leave behind when they end.
 *
 * A process that has started others and is killed leaves them to whoever adopts orphans. A worker does, for what its
 * scenarios start, and so does the parent of workers, for what a killed worker leaves: so nothing that a scenario
 * started outlives it, also where a shell had started it in the background.
 */
#ifndef MQRIG_ORPHANS_H
#define MQRIG_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

#define ORPHANS_FORMER_MAX 64 /* children from before orphans_adopt; with more of them nothing is ever ended */
#define ORPHANS_MAX        65536

/* From now on orphans come to this process. Children that it has already are none. Once more: nothing. */
void orphans_adopt(void);
/* After fork: the child has adopted nothing yet. */
void orphans_forked(void);
/* Kills and reaps all children of which is_known says no (NULL: all), and what these leave in turn. Without a function
 * it may be called in a signal handler. */
void orphans_end(bool (*is_known)(pid_t pid));

#endif
