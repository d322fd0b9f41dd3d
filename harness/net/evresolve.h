/* evresolve: looks a host's name up without holding the loop: libevent's evdns, which asks /etc/hosts and the name
 * servers of /etc/resolv.conf; both are read again when nothing was being looked up. A world asks for 64 names at once,
 * the others wait; there are as many as connects under way.
 */
#ifndef MQRIG_EVRESOLVE_H
#define MQRIG_EVRESOLVE_H

#include "net/address.h"
#include "net/evworld.h"

struct evresolve;

/* `done` is called once, in a run of the loop, with how many addresses were found, IPv6 before IPv4; with 0, `why`
 * tells. NULL with errno if nothing could be started. */
struct evresolve *
evresolve_start(struct evworld *w, const char *host, uint16_t port,
                void (*done)(void *arg, const struct address *found, int count, const struct err *why), void *arg);
/* Forgets the request, before or inside `done`. */
void evresolve_free(struct evresolve *r);

/* The world ends: what was forgotten is released. */
void evresolve_drain(struct evworld *w);

#endif
