/* tlsfile: certificates, keys and lists out of PEM, given as text or as a file, with a sentence for each way in which
 * that can go wrong.
 */
#ifndef MQRIG_TLSFILE_H
#define MQRIG_TLSFILE_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include "net/tlsrandom.h"

/* `option`: what it is called in sentences: "tls.ca". `given`: PEM, or a path. `most`: bytes of a file. */
bool tlsfile_certificates(mbedtls_x509_crt *to, const char *option, const char *given, size_t most, struct err *err);
bool tlsfile_crl(mbedtls_x509_crl *to, const char *option, const char *given, size_t most, struct err *err);
bool tlsfile_key(mbedtls_pk_context *to, const char *option, const char *given, const char *passphrase, size_t most,
                 struct tlsrandom *random, struct err *err);

/* "tls.ca (ca.pem)"; of a text only the option. */
void tlsfile_name(const char *option, const char *given, char *to, size_t size);

/* The certificates that this system trusts, and the file that they are from. */
bool tlsfile_system(mbedtls_x509_crt *to, const char **file, struct err *err);

#endif
