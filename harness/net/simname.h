/* simname: what names stand for in a virtual world: what it was told (names.h), its hosts, addresses. */
#ifndef MQRIG_SIMNAME_H
#define MQRIG_SIMNAME_H

#include "net/simhost.h"

/* The addresses that a URL stands for; 0 with a sentence if there are none, -1 if it is no address at all. `delay_ns`
 * is how long asking takes. */
int simname_find(struct simworld *w, const struct url *u, struct address to[ADDRESS_MAX], int64_t *delay_ns,
                 struct err *why);

#endif
