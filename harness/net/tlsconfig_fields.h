/* tlsconfig_fields: what a configuration is made of, for the filter. */
#ifndef MQRIG_TLSCONFIG_FIELDS_H
#define MQRIG_TLSCONFIG_FIELDS_H

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_ticket.h>

#include "net/tlsconfig.h"
#include "net/tlsrandom.h"

#ifndef MBEDTLS_PRIVATE
#define MBEDTLS_PRIVATE(field) field /* mbedTLS 2 hides none */
#endif

/* A client's session with one server. */
struct tlsconfig_session {
  char *server;
  mbedtls_ssl_session session;
};

struct tlsconfig {
  unsigned references;
  enum tlsconfig_role role;
  struct tlsrandom random;
  mbedtls_ssl_config conf;
  mbedtls_x509_crt ca, cert;
  mbedtls_x509_crl crl;
  mbedtls_pk_context key;
  mbedtls_ssl_cache_context ids;
  mbedtls_ssl_ticket_context tickets;
  char *ca_name; /* for sentences: "tls.ca (ca.pem)" */
  char *server_name;
  const char *called; /* as given */
  char *alpn[TLSCONFIG_ALPN_MAX + 1];
  int ciphers[TLSCONFIG_CIPHERS_MAX + 1];
  unsigned char psk[TLSCONFIG_PSK_MAX];
  size_t psk_size;
  int keylog; /* descriptor, or -1 */
  bool insecure, resumes;
  struct tlsconfig_session sessions[TLSCONFIG_SESSIONS_MAX];
  unsigned session_count, session_next;
};

/* The session to resume with that server, or NULL; and keeps another. Takes what `session` holds. */
const mbedtls_ssl_session *tlsconfig_session(const struct tlsconfig *c, const char *server);
void tlsconfig_keep(struct tlsconfig *c, const char *server, mbedtls_ssl_session *session);

/* Appends to the key log, which there is. */
void tlsconfig_log_keys(struct tlsconfig *c, const unsigned char client_random[32], const unsigned char secret[48]);

#endif
