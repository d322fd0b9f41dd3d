/* tls: a connection's TLS as a filter: records on the stream's side, what they carry on the owner's.
 *
 * Memory only. The client's side begins when it is first asked for bytes. Until the handshake is over nothing is taken
 * from the owner; from then on one record's worth at a time, which counts as taken once the record has been handed over
 * whole. Both ends say close_notify before an end in order; an end of the
 * stream without it is a failure, not an end. What fails is told in a sentence (filter.why), behind the alert. A
 * connection with nothing on its way keeps no record buffers.
 */
#ifndef MQRIG_TLS_H
#define MQRIG_TLS_H

#include "net/filter.h"
#include "net/tlsconfig.h"

#define TLS_OUT_MAX  (1u << 17) /* bytes of records that wait to go out */
#define TLS_IN_MAX   (1u << 16) /* bytes that wait for the owner, besides one record */
#define TLS_ALERT_NS 1000000000 /* an alert waits so long to go out before the failure is told */

/* What a handshake is to do wrong. */
enum tls_order { TLS_STALL, TLS_ALERT, TLS_CLOSE, TLS_ORDERS };

struct tls_orders {
  const char *stall_at, *alert_at; /* messages; alert_at NULL: once the handshake is over */
  int64_t stall_ns;
  const char *alert;
  bool close_without_notify;
  void (*done)(void *arg, enum tls_order order); /* may be NULL */
  void (*free)(void *arg);                       /* with the filter; may be NULL */
  void *arg;
};

struct tls_options {
  struct tlsconfig *config;
  const char *host;                          /* the client's side: who the other end should be; copied */
  uint16_t port;                             /* with the host: under which a session is kept */
  void (*note)(void *arg, const char *what); /* a handshake that was done; may be NULL */
  void *arg;
  const struct tls_orders *orders; /* may be NULL; its texts are checked (tlsname.h) and live as long as the filter */
};

struct filter *tls_new(const struct tls_options *o);

/* Sends an alert now, by its name; all but warnings end the connection. False with a sentence where the chain has no
 * TLS whose handshake is over, or there is no such alert. */
bool tls_alert(struct chain *c, const char *name, int64_t now_ns, struct err *err);

#endif
