#include "net/tlstext.h"

#include <arpa/inet.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <stdio.h>

struct tlstext_message {
  int state;
  const char *name;
};

#if MBEDTLS_VERSION_MAJOR >= 3
#define MBEDTLS_SSL_SERVER_NEW_SESSION_TICKET MBEDTLS_SSL_NEW_SESSION_TICKET
#endif

/* Both sides' Certificate and Finished have one name each. */
static const struct tlstext_message tlstext_messages[] = {
  { MBEDTLS_SSL_CLIENT_HELLO, "ClientHello" },
  { MBEDTLS_SSL_SERVER_HELLO, "ServerHello" },
  { MBEDTLS_SSL_SERVER_CERTIFICATE, "Certificate" },
  { MBEDTLS_SSL_SERVER_KEY_EXCHANGE, "ServerKeyExchange" },
  { MBEDTLS_SSL_CERTIFICATE_REQUEST, "CertificateRequest" },
  { MBEDTLS_SSL_SERVER_HELLO_DONE, "ServerHelloDone" },
  { MBEDTLS_SSL_CLIENT_CERTIFICATE, "ClientCertificate" },
  { MBEDTLS_SSL_CLIENT_KEY_EXCHANGE, "ClientKeyExchange" },
  { MBEDTLS_SSL_CERTIFICATE_VERIFY, "CertificateVerify" },
  { MBEDTLS_SSL_CLIENT_CHANGE_CIPHER_SPEC, "ChangeCipherSpec" },
  { MBEDTLS_SSL_CLIENT_FINISHED, "ClientFinished" },
  { MBEDTLS_SSL_SERVER_NEW_SESSION_TICKET, "NewSessionTicket" },
  { MBEDTLS_SSL_SERVER_CHANGE_CIPHER_SPEC, "ServerChangeCipherSpec" },
  { MBEDTLS_SSL_SERVER_FINISHED, "ServerFinished" },
};

const char *tlstext_message(int state) {
  for (size_t i = 0; i < sizeof tlstext_messages / sizeof *tlstext_messages; i++) {
    if (tlstext_messages[i].state == state) return tlstext_messages[i].name;
  }
  return NULL;
}

const char *tlstext_error(int code) {
  static char text[160];
  mbedtls_strerror(code, text, sizeof text);
  char *cause = strstr(text, " - "); /* "SSL - A field in a message was incorrect" */
  return cause ? cause + 3 : text;
}

void tlstext_subject(const mbedtls_x509_crt *crt, char *to, size_t size) {
  if (mbedtls_x509_dn_gets(to, size, &crt->subject) <= 0) snprintf(to, size, "without a subject");
}

static void tlstext_date(const mbedtls_x509_time *t, char *to, size_t size) {
  snprintf(to, size, "%04d-%02d-%02d %02d:%02d:%02d UTC", t->year, t->mon, t->day, t->hour, t->min, t->sec);
}

static int tlstext_put_name(const mbedtls_x509_buf *name, char *to, size_t size) {
  char address[INET6_ADDRSTRLEN];
  switch (name->tag & 0x1f) {
  case 2: return snprintf(to, size, "%.*s", (int)name->len, (const char *)name->p);
  case 7:
    if (name->len != 4 && name->len != 16) return snprintf(to, size, "an address of %zu bytes", name->len);
    inet_ntop(name->len == 4 ? AF_INET : AF_INET6, name->p, address, sizeof address);
    return snprintf(to, size, "%s", address);
  default: return snprintf(to, size, "other names");
  }
}

/* Whom a certificate is for. [RFC 6125, 6.4] */
static void tlstext_names(const mbedtls_x509_crt *crt, char *to, size_t size) {
  size_t used = 0;
  if (!crt->subject_alt_names.buf.p) {
    tlstext_subject(crt, to, size);
    return;
  }
  for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s && used < size; s = s->next) {
    if (used) used += (size_t)snprintf(to + used, size - used, ", ");
    if (used < size) used += (size_t)tlstext_put_name(&s->buf, to + used, size - used);
  }
}

static bool tlstext_is_self_signed(const mbedtls_x509_crt *crt) {
  return crt->issuer_raw.len == crt->subject_raw.len &&
         memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->issuer_raw.len) == 0;
}

static void tlstext_mistrust(const mbedtls_x509_crt *crt, const char *whose, const char *subject, const char *ca,
                             struct err *to) {
  char issuer[128];
  if (tlstext_is_self_signed(crt)) {
    err_set(to, "the %s certificate (%s) is signed by itself, and is not in %s", whose, subject, ca);
    return;
  }
  if (mbedtls_x509_dn_gets(issuer, sizeof issuer, &crt->issuer) <= 0) issuer[0] = 0;
  err_set(to, "the %s certificate (%s) is not trusted: nothing in %s has signed it; it names \"%s\" as its issuer",
          whose, subject, ca, issuer);
}

static void tlstext_weakness(const mbedtls_x509_crt *crt, const char *whose, const char *subject, struct err *to) {
  char algorithm[64];
  const char *name = NULL;
  if (mbedtls_oid_get_sig_alg_desc(&crt->sig_oid, &name) == 0) snprintf(algorithm, sizeof algorithm, "%s", name);
  else snprintf(algorithm, sizeof algorithm, "an unknown algorithm");
  err_set(to, "the %s certificate (%s) is weak: it is signed with %s, or its key is too short", whose, subject,
          algorithm);
}

void tlstext_fault(const mbedtls_x509_crt *crt, unsigned flags, const char *whose, const char *host, const char *ca,
                   struct err *to) {
  char subject[128], date[40], names[160];
  tlstext_subject(crt, subject, sizeof subject);
  if (flags & MBEDTLS_X509_BADCERT_EXPIRED) {
    tlstext_date(&crt->valid_to, date, sizeof date);
    err_set(to, "the %s certificate expired on %s (%s)", whose, date, subject);
  } else if (flags & MBEDTLS_X509_BADCERT_FUTURE) {
    tlstext_date(&crt->valid_from, date, sizeof date);
    err_set(to, "the %s certificate is not valid before %s (%s)", whose, date, subject);
  } else if (flags & MBEDTLS_X509_BADCERT_REVOKED) {
    err_set(to, "the %s certificate (%s) was revoked: it is on the list of tls.crl", whose, subject);
  } else if (flags & (MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY)) {
    tlstext_weakness(crt, whose, subject, to);
  } else if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) {
    tlstext_mistrust(crt, whose, subject, ca, to);
  } else if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) {
    tlstext_names(crt, names, sizeof names);
    err_set(to, "host name %s does not match the %s certificate, which is for %s", host, whose, names);
  } else if (flags & (MBEDTLS_X509_BADCERT_EXT_KEY_USAGE | MBEDTLS_X509_BADCERT_KEY_USAGE)) {
    err_set(to, "the %s certificate (%s) is for another purpose", whose, subject);
  } else {
    mbedtls_x509_crt_verify_info(names, sizeof names, "", flags);
    names[strcspn(names, "\n")] = 0;
    err_set(to, "the %s certificate (%s) was refused: %s", whose, subject, names);
  }
}

const char *tlstext_guess(struct slice first) {
  if (first.size == 0) return "";
  if (first.size >= 4 && memcmp(first.data, "HTTP", 4) == 0) return ": it looks like HTTP";
  if (first.data[0] == 0x10) return ": it looks like plain MQTT (CONNECT)";
  if (first.data[0] == 0x20) return ": it looks like plain MQTT (CONNACK)";
  if (first.data[0] == 'G' || first.data[0] == 'P') return ": it looks like HTTP";
  return "";
}
