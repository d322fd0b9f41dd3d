/* simname: names of a virtual world and what they stand for. */
#ifndef MQRIG_SIMNAME_H
#define MQRIG_SIMNAME_H

#include "net/simhost.h"

/* As simnet_name. */
bool simname_set(struct simworld *w, const char *name, const char *answer, int64_t delay_ns, struct err *err);
void simname_free_all(struct simworld *w);

/* The addresses that a URL stands for; 0 with a sentence if there are none, -1 if it is no address at all. `delay_ns`
 * is how long asking takes. */
int simname_find(const struct simworld *w, const struct url *u, struct evaddress to[EVADDRESS_MAX], int64_t *delay_ns,
                 struct err *why);

#endif
