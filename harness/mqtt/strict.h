/* strict: which clauses does a packet break?
 *
 * Looks at one decoded packet and who sent it; what depends on what went before (an identifier in use, a second
 * CONNECT) is the session's and the broker's. Identifiers are the standard's own, with the version in front; a rule
 * that the standard gave no number has one of ours: version, section and letter, "3.1.1:x2.2.1-a". One fault can break
 * several clauses, a general and a particular one: all are named, each once. So far 3.1.1: a packet of 5.0 has none.
 */
#ifndef MQRIG_STRICT_H
#define MQRIG_STRICT_H

#include "mqtt/packet.h"

#define STRICT_VIOLATIONS_MAX 32

struct strict_violation {
  const char *clause; /* static: "3.1.1:2.2.2-1" */
  const char *text;   /* static: "reserved flags are not 0010" */
};

/* Fills in the violations, in the order of the packet's fields, and returns how many there are (at most
 * STRICT_VIOLATIONS_MAX). */
size_t strict_check(const struct packet *p, enum spec_role sender, struct strict_violation out[STRICT_VIOLATIONS_MAX]);

#endif
