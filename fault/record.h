/* record: what goes through proxies, as a file for packet analysers (pcapng), written as it happens.
 *
 * Each proxied connection is two conversations: the client's with the proxy, on the interface "client", and the proxy's
 * with the upstream, on the interface "upstream". They hold what each socket took and gave, at that time, in TCP
 * segments made up around it. What a rule did is a comment on the packet that it hit, where that came in: so the fault
 * stands on the one interface, and what became of the packet is seen on the other. The port of the proxy and of the
 * upstream is always 1883, by which analysers know MQTT; the real addresses are a comment on the first packet.
 */
#ifndef MQRIG_RECORD_H
#define MQRIG_RECORD_H

#include "fault/proxy.h"

#define RECORD_NOTES_MAX   16         /* comments on one packet; further ones are left out */
#define RECORD_PENDING_MAX (1u << 20) /* bytes that came in during one turn, and wait for comments */

struct record;
struct record_link;

/* Writes to `path`, which is replaced. `epoch_ns`: the time since 1970 where the net's clock is 0. NULL with a
 * sentence.
 */
struct record *record_new(struct net *n, const char *path, int64_t epoch_ns, const char *comment, struct err *err);
/* The file is complete: what happens from now on is not recorded. False with a sentence if not all could be written. */
bool record_close(struct record *r, struct err *err);
/* Who uses it holds it, the first one by record_new; the last to let go closes it. */
struct record *record_hold(struct record *r);
void record_drop(struct record *r); /* NULL is fine */

/* In the proxy's `accepted`, `opened`, `fired` and `ended`. */
struct record_link *record_begin(struct record *r, struct proxy_conn *c);
void record_opened(struct record_link *l);
void record_fired(struct record_link *l, const struct scope_firing *f);
void record_end(struct record_link *l, const char *why); /* frees it; NULL is fine */

#endif
