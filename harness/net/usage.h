/* usage: what of a world is in use: what somebody has made in it and not ended yet.
 *
 * Counting costs as much as there is: at the end of a run nothing should be.
 */
#ifndef MQRIG_USAGE_H
#define MQRIG_USAGE_H

#include "net/net.h"

#define USAGE_LINE_MAX 512

struct usage {
  size_t streams;   /* from net_connect or `accepted` to their end */
  size_t listeners; /* from net_listen to net_listener_free */
  size_t timers;    /* that are set, of all hosts */
};

struct usage usage_of(struct net *n);

/* A line for each: streams and listeners in the order in which they were made, then timers. */
void usage_list(struct net *n, void (*line)(void *arg, const char *text), void *arg);

#endif
