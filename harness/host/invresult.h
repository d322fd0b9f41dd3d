/* invresult: operations of a client and their results: 24, 25, 26, 28, and what of 13, 17 and 18 is the client's.
 *
 * Private to the invariants.
 */
#ifndef MQRIG_INVRESULT_H
#define MQRIG_INVRESULT_H

#include "host/invclient.h"

#define INVRESULT_UNSENT_MAX                                                                                           \
  65536 /* messages that were certainly not sent, of which a client's content is remembered */

/* EVENT_SEND, EVENT_REQUEST; EVENT_RESULT. */
void invresult_begin(struct invariant *v, struct invclient *c, const struct event *e);
void invresult_told(struct invariant *v, struct invclient *c, const struct event *e);

/* A PUBLISH that is no repetition has gone out; PUBACK or PUBCOMP has come. */
void invresult_written(struct invariant *v, struct invclient *c, const struct packet *p, uint64_t content);
void invresult_acknowledged(struct invclient *c, const struct packet *p);
/* The connection was cut within a PUBLISH above QoS 0: of that one, or the first that waits (0), a part has gone out.
 */
void invresult_cut(struct invclient *c, uint16_t packet_id);

/* The connection is over and was told to be: what does not outlive it has its result by now. */
void invresult_over(struct invariant *v, struct invclient *c);

void invresult_end(struct invclient *c, struct invclient_operation *o);
void invresult_fini(struct invclient *c);

#endif
