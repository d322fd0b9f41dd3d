/* evresolve: looks a host's name up without holding the loop: getaddrinfo on a thread of its own, which touches nothing
 * but its request. */
#ifndef MQRIG_EVRESOLVE_H
#define MQRIG_EVRESOLVE_H

#include "net/evaddress.h"
#include "net/evloop.h"

struct evresolve;

/* `done` is called once, in a run of the loop, with how many addresses were found; with 0, `why` tells. NULL with errno
 * if nothing could be started. */
struct evresolve *
evresolve_start(struct evloop *l, const char *host, uint16_t port,
                void (*done)(void *arg, const struct evaddress *found, int count, const struct err *why), void *arg);
/* Forgets the request, before or inside `done`. */
void evresolve_free(struct evresolve *r);

#endif
