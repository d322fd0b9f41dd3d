/* names: what a world tells of names instead of asking for them: faults of names. One table in front of the resolver of
 * every driver. Names are the same in any case of letters; addresses and Unix paths are none.
 */
#ifndef MQRIG_NAMES_H
#define MQRIG_NAMES_H

#include "net/address.h"

#define NAMES_MAX 65536 /* names of one world */

struct names;

struct names *names_new(void);
void names_free(struct names *n);

/* The name stands for this address, too, from now on: IPv4 or IPv6, up to ADDRESS_MAX. False with a sentence. */
bool names_answer(struct names *n, const char *name, const char *address, struct err *err);
/* Asking for it fails: NXDOMAIN, NODATA, SERVFAIL, REFUSED, or TIMEOUT: there is never an answer. */
bool names_fail(struct names *n, const char *name, const char *how, struct err *err);
/* Asking for it takes so long, whatever comes of it. */
bool names_delay(struct names *n, const char *name, int64_t delay_ns, struct err *err);
/* Nothing is told of it any more. */
void names_forget(struct names *n, const char *name);

struct names_told {
  int64_t delay_ns; /* INT64_MAX: no answer ever comes */
  bool decided;     /* else the resolver is asked, after the delay */
  int count;        /* 0, where decided: `why` tells */
  struct address addresses[ADDRESS_MAX];
  struct err why;
};

/* False: nothing is told of this host. `n` may be NULL. */
bool names_ask(const struct names *n, const char *host, uint16_t port, struct names_told *to);

#endif
