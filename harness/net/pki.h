/* pki: certificates to throw away, made at run time: a CA, and servers and clients of it, good ones and faulty ones.
 *
 * All keys are EC keys on P-256: each certificate takes a few milliseconds, and is made when it is first asked for. All
 * dates are fixed, so that certificates from the same seed are the same bytes on any day. Texts are PEM.
 */
#ifndef MQRIG_PKI_H
#define MQRIG_PKI_H

#include "base/err.h"
#include "net/net.h"

#define PKI_NAMES_MAX 16 /* host names and addresses of a server, besides localhost, 127.0.0.1 and ::1 */

enum pki_role { PKI_SERVER, PKI_CLIENT, PKI_ROLES };

enum pki_kind {
  PKI_GOOD,
  PKI_EXPIRED,
  PKI_NOT_YET_VALID,
  PKI_WRONG_HOST,
  PKI_UNTRUSTED,     /* from another CA that calls itself by the same name */
  PKI_SELF_SIGNED,   /* by nobody but itself */
  PKI_REVOKED,       /* is on the CA's list */
  PKI_WEAK,          /* signed over SHA-1 */
  PKI_WRONG_PURPOSE, /* a server's for clients only, and the other way round */
  PKI_KINDS
};

struct pki_pair {
  const char *certificate, *key;
};

/* Randomness comes from the world, which must outlive it. `names` (NULL ends, may be NULL): more hosts of the servers;
 * copied. NULL with a sentence for one that is none, or too many. */
struct pki *pki_new(struct net *n, const char *const *names, struct err *err);
void pki_free(struct pki *p);

/* Borrowed for as long as it lives. */
const char *pki_ca(struct pki *p);       /* the CA's certificate */
const char *pki_crl(struct pki *p);      /* what it has revoked */
const char *pki_stranger(struct pki *p); /* the certificate of the other CA, which signs the untrusted ones */
struct pki_pair pki_pair(struct pki *p, enum pki_role role, enum pki_kind kind);

/* "expired", "wrong_host"; NULL past the last. And back: PKI_KINDS where there is none of that name. */
const char *pki_kind_name(enum pki_kind kind);
enum pki_kind pki_kind_of(const char *name);

#endif
