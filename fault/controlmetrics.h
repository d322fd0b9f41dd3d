/* controlmetrics: the counters of a fleet in the text format of Prometheus. */
#ifndef MQRIG_CONTROLMETRICS_H
#define MQRIG_CONTROLMETRICS_H

#include "fault/fleet.h"

#define CONTROLMETRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void controlmetrics_write(const struct fleet *f, struct buffer *out);

#endif
