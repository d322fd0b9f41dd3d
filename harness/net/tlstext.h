/* tlstext: what TLS has sentences for: states of a handshake, faults of certificates, errors of mbedTLS. */
#ifndef MQRIG_TLSTEXT_H
#define MQRIG_TLSTEXT_H

#include <mbedtls/x509_crt.h>

#include "base/err.h"
#include "base/slice.h"

/* What is expected in a state of mbedTLS's handshake: "ClientHello"; NULL: nothing that goes on the wire. */
const char *tlstext_message(int state);
/* An error of mbedTLS's, without its trimmings. Borrowed until the next call. */
const char *tlstext_error(int code);

/* What is wrong with the certificate that a side (`whose`: "server's") has shown, by mbedTLS's flags. `host`: what it
 * should be for; `ca`: what it should be signed by, as the user gave it. */
void tlstext_fault(const mbedtls_x509_crt *crt, unsigned flags, const char *whose, const char *host, const char *ca,
                   struct err *to);

/* "CN=localhost, O=mqrig" */
void tlstext_subject(const mbedtls_x509_crt *crt, char *to, size_t size);

/* What somebody speaks who speaks no TLS, by the first bytes: " It looks like ...", or "". */
const char *tlstext_guess(struct slice first);

#endif
