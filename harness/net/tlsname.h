/* tlsname: what TLS calls its alerts and the messages of a handshake. */
#ifndef MQRIG_TLSNAME_H
#define MQRIG_TLSNAME_H

#include "base/err.h"
#include "base/slice.h"

/* "handshake_failure", as RFC 8446 6 and RFC 5246 7.2 call it; NULL: no such alert. And back; -1. */
const char *tlsname_alert(int number);
int tlsname_alert_of(const char *name);

/* False with a sentence that suggests the near name, or lists them. */
bool tlsname_check_alert(const char *name, struct err *err);
bool tlsname_check_message(const char *name, struct err *err);

/* A sentence has options as "tls.min_version": puts `prefix` in place of "tls.", and '-' in place of '_' where the
 * prefix begins with it. NULL: as it is. */
void tlsname_call(struct err *sentence, const char *prefix);

/* The start of an alert or a handshake, where a packet should be: the other end wants TLS. No packet begins like that:
 * CONNECT has no flags. */
bool tlsname_is_tls(struct slice first);

#endif
