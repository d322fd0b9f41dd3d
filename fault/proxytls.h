/* proxytls: TLS on the command line of a proxy: its options, and what they make of a proxy's.
 *
 * --tls-NAME is about the side of the clients, --upstream-tls-NAME about that of the upstream; names are those of the
 * option table `tls` in scenarios. Where TLS is listened at without a certificate or a pre-shared key, a certificate is
 * made for this run, of a CA whose certificate is written to a file, for clients to trust.
 */
#ifndef MQRIG_PROXYTLS_H
#define MQRIG_PROXYTLS_H

#include "fault/proxy.h"
#include "net/tlsconfig.h"

#define PROXYTLS_PATH_MAX  4096
#define PROXYTLS_NAMES_MAX 64

enum proxytls_side { PROXYTLS_CLIENTS, PROXYTLS_UPSTREAM, PROXYTLS_SIDES };

struct proxytls {
  struct tlsconfig_options sides[PROXYTLS_SIDES]; /* texts are borrowed from who gave them */
  const char *given[PROXYTLS_SIDES];              /* the first option of that side, or NULL */
  char *lists[2 * PROXYTLS_SIDES];                /* the texts of ALPN and ciphers, by side */
  const char *ca_out;                             /* where the CA is to be written; NULL: to a file of its own */
  char *ca;                                       /* its certificate; NULL: none was made */
  char path[PROXYTLS_PATH_MAX];                   /* that it was written to, or "" */
};

/* "cert", "tls-cert", "upstream-tls-cert", "FILE", "the certificate ...". */
struct proxytls_option {
  const char *name, *clients, *upstream; /* upstream NULL: there is none of that side */
  const char *argument, *help;           /* argument NULL: it takes none */
};

/* NULL past the last. */
const struct proxytls_option *proxytls_option(size_t index);
/* "tls-cert", "upstream-tls-ca"; NULL: no such. */
const struct proxytls_option *proxytls_find(const char *name, size_t size, enum proxytls_side *side);
/* All names of both sides; how many. */
size_t proxytls_names(const char *to[PROXYTLS_NAMES_MAX]);

void proxytls_init(struct proxytls *t);
/* Removes the CA's file again where nobody said where it is to be. */
void proxytls_fini(struct proxytls *t);

bool proxytls_set(struct proxytls *t, const struct proxytls_option *o, enum proxytls_side side, const char *value,
                  struct err *err);

/* Fills in `tls` and `upstream_tls`, which the caller gives back by proxytls_drop. `fixed`: there will be no proxies
 * but that of `o`; then options that nothing would come of are an error, too. */
bool proxytls_make(struct proxytls *t, struct net *n, struct proxy_options *o, bool fixed, struct err *err);
void proxytls_drop(struct proxy_options *o);

/* Writes the CA's certificate, if there is one. False: the file cannot be written. */
bool proxytls_publish(struct proxytls *t, struct err *err);

#endif
