#include "net/pki.h"

#include <arpa/inet.h>
#include <assert.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/tlsrandom.h"

#define PKI_TEXT_MAX    8192 /* a certificate as PEM: names are limited in number and length */
#define PKI_SERIAL_SIZE 16

/* A key, a certificate of it, and both as text. Not made: `certificate` is NULL. */
struct pki_made {
  mbedtls_pk_context pk;
  unsigned char serial[PKI_SERIAL_SIZE];
  char *certificate, *key;
};

struct pki {
  struct tlsrandom random;
  char *names[PKI_NAMES_MAX + 1];
  struct pki_made ca, stranger, made[PKI_ROLES][PKI_KINDS];
  char *crl;
};

struct pki_row {
  const char *name;
  const char *from, *to; /* year to second, UTC */
};

#define PKI_ISSUER "CN=mqrig throw-away CA,O=mqrig"
#define PKI_FROM   "20200101000000"
#define PKI_TO     "20491231235959"

static const struct pki_row pki_rows[PKI_KINDS] = {
  [PKI_GOOD] = { "good", PKI_FROM, PKI_TO },
  [PKI_EXPIRED] = { "expired", PKI_FROM, "20201231235959" },
  [PKI_NOT_YET_VALID] = { "not_yet_valid", "20490101000000", PKI_TO },
  [PKI_WRONG_HOST] = { "wrong_host", PKI_FROM, PKI_TO },
  [PKI_UNTRUSTED] = { "untrusted", PKI_FROM, PKI_TO },
  [PKI_SELF_SIGNED] = { "self_signed", PKI_FROM, PKI_TO },
  [PKI_REVOKED] = { "revoked", PKI_FROM, PKI_TO },
  [PKI_WEAK] = { "weak", PKI_FROM, PKI_TO },
  [PKI_WRONG_PURPOSE] = { "wrong_purpose", PKI_FROM, PKI_TO },
};

const char *pki_kind_name(enum pki_kind kind) {
  return kind < PKI_KINDS ? pki_rows[kind].name : NULL;
}

enum pki_kind pki_kind_of(const char *name) {
  int kind = 0;
  while (kind < PKI_KINDS && strcmp(pki_rows[kind].name, name) != 0) kind++;
  return (enum pki_kind)kind;
}

/* Nothing here depends on anything from outside: what fails is a bug of ours, or memory. */
static void pki_must(int result) {
  assert(result >= 0);
}

/* DER, written from the end of a buffer towards its start. */
struct pki_der {
  unsigned char bytes[4096];
  unsigned char *at;
};

static size_t pki_der_size(const struct pki_der *d) {
  return (size_t)(d->bytes + sizeof d->bytes - d->at);
}

static void pki_der_raw(struct pki_der *d, const void *bytes, size_t size) {
  pki_must(mbedtls_asn1_write_raw_buffer(&d->at, d->bytes, bytes, size));
}

/* Puts a tag before all that was written since there were `since` bytes. */
static void pki_der_wrap(struct pki_der *d, size_t since, int tag) {
  pki_must(mbedtls_asn1_write_len(&d->at, d->bytes, pki_der_size(d) - since));
  pki_must(mbedtls_asn1_write_tag(&d->at, d->bytes, (unsigned char)tag));
}

static void pki_der_tagged(struct pki_der *d, const void *bytes, size_t size, int tag) {
  size_t since = pki_der_size(d);
  pki_der_raw(d, bytes, size);
  pki_der_wrap(d, since, tag);
}

#define PKI_SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)

/* Host names and addresses. [RFC 5280, 4.2.1.6] */
static void pki_der_name(struct pki_der *d, const char *name) {
  unsigned char address[16];
  if (inet_pton(AF_INET, name, address) == 1) pki_der_tagged(d, address, 4, MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7);
  else if (inet_pton(AF_INET6, name, address) == 1) pki_der_tagged(d, address, 16, MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7);
  else pki_der_tagged(d, name, strlen(name), MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2);
}

static void pki_add_names(mbedtls_x509write_cert *crt, const char *const *names) {
  struct pki_der d;
  d.at = d.bytes + sizeof d.bytes;
  size_t count = 0;
  while (names[count]) count++;
  while (count) pki_der_name(&d, names[--count]);
  pki_der_wrap(&d, 0, PKI_SEQUENCE);
  pki_must(mbedtls_x509write_crt_set_extension(
      crt, MBEDTLS_OID_SUBJECT_ALT_NAME, MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, d.at, pki_der_size(&d)));
}

static void pki_add_purpose(mbedtls_x509write_cert *crt, enum pki_role role) {
  struct pki_der d;
  const char *oid = role == PKI_SERVER ? MBEDTLS_OID_SERVER_AUTH : MBEDTLS_OID_CLIENT_AUTH;
  d.at = d.bytes + sizeof d.bytes;
  pki_der_tagged(&d, oid, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH), MBEDTLS_ASN1_OID);
  pki_der_wrap(&d, 0, PKI_SEQUENCE);
  pki_must(mbedtls_x509write_crt_set_extension(crt, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0, d.at,
                                               pki_der_size(&d)));
}

static void pki_make_key(struct pki *p, struct pki_made *m) {
  unsigned char text[1024];
  mbedtls_pk_init(&m->pk);
  pki_must(mbedtls_pk_setup(&m->pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)));
  pki_must(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(m->pk), tlsrandom_draw, &p->random));
  pki_must(mbedtls_pk_write_key_pem(&m->pk, text, sizeof text));
  m->key = mem_copy(slice_text((const char *)text));
}

/* A positive number that is not 0. */
static void pki_make_serial(struct pki *p, struct pki_made *m, mbedtls_x509write_cert *crt) {
  net_random(p->random.net, m->serial, sizeof m->serial);
  m->serial[0] = (unsigned char)((m->serial[0] & 0x3f) | 0x40);
#if MBEDTLS_VERSION_NUMBER < 0x03040000
  mbedtls_mpi serial;
  mbedtls_mpi_init(&serial);
  pki_must(mbedtls_mpi_read_binary(&serial, m->serial, sizeof m->serial));
  pki_must(mbedtls_x509write_crt_set_serial(crt, &serial));
  mbedtls_mpi_free(&serial);
#else
  pki_must(mbedtls_x509write_crt_set_serial_raw(crt, m->serial, sizeof m->serial));
#endif
}

static void pki_begin(struct pki *p, struct pki_made *m, const struct pki_made *issuer, mbedtls_x509write_cert *crt) {
  pki_make_key(p, m);
  mbedtls_x509write_crt_init(crt);
  mbedtls_x509write_crt_set_version(crt, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(crt, MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(crt, &m->pk);
  mbedtls_x509write_crt_set_issuer_key(crt, (mbedtls_pk_context *)&issuer->pk);
  pki_make_serial(p, m, crt);
}

static void pki_end(struct pki *p, struct pki_made *m, mbedtls_x509write_cert *crt) {
  unsigned char text[PKI_TEXT_MAX];
  pki_must(mbedtls_x509write_crt_pem(crt, text, sizeof text, tlsrandom_draw, &p->random));
  m->certificate = mem_copy(slice_text((const char *)text));
  mbedtls_x509write_crt_free(crt);
}

static struct pki_made *pki_make_ca(struct pki *p, struct pki_made *m) {
  mbedtls_x509write_cert crt;
  if (m->certificate) return m;
  pki_begin(p, m, m, &crt);
  pki_must(mbedtls_x509write_crt_set_subject_name(&crt, PKI_ISSUER));
  pki_must(mbedtls_x509write_crt_set_issuer_name(&crt, PKI_ISSUER));
  pki_must(mbedtls_x509write_crt_set_validity(&crt, PKI_FROM, PKI_TO));
  pki_must(mbedtls_x509write_crt_set_basic_constraints(&crt, 1, 0));
  pki_must(mbedtls_x509write_crt_set_key_usage(&crt, MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN));
  pki_must(mbedtls_x509write_crt_set_subject_key_identifier(&crt));
  pki_end(p, m, &crt);
  return m;
}

static void pki_add_hosts(const struct pki *p, mbedtls_x509write_cert *crt, enum pki_kind kind) {
  const char *names[PKI_NAMES_MAX + 4] = { "localhost", "127.0.0.1", "::1" };
  if (kind == PKI_WRONG_HOST) pki_add_names(crt, (const char *const[]){ "wrong.example", NULL });
  if (kind == PKI_WRONG_HOST) return;
  for (size_t i = 0; p->names[i]; i++) names[3 + i] = p->names[i];
  pki_add_names(crt, names);
}

static void pki_make(struct pki *p, struct pki_made *m, enum pki_role role, enum pki_kind kind) {
  mbedtls_x509write_cert crt;
  const struct pki_made *issuer = kind == PKI_SELF_SIGNED ? m
                                  : kind == PKI_UNTRUSTED ? pki_make_ca(p, &p->stranger)
                                                          : pki_make_ca(p, &p->ca);
  enum pki_role purpose = kind == PKI_WRONG_PURPOSE ? (role == PKI_SERVER ? PKI_CLIENT : PKI_SERVER) : role;
  const char *subject = role == PKI_CLIENT       ? "CN=client,O=mqrig"
                        : kind == PKI_WRONG_HOST ? "CN=wrong.example,O=mqrig"
                                                 : "CN=localhost,O=mqrig";
  pki_begin(p, m, issuer, &crt);
  if (kind == PKI_WEAK) mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA1);
  pki_must(mbedtls_x509write_crt_set_subject_name(&crt, subject));
  pki_must(mbedtls_x509write_crt_set_issuer_name(&crt, kind == PKI_SELF_SIGNED ? subject : PKI_ISSUER));
  pki_must(mbedtls_x509write_crt_set_validity(&crt, pki_rows[kind].from, pki_rows[kind].to));
  pki_must(mbedtls_x509write_crt_set_basic_constraints(&crt, 0, -1));
  pki_must(mbedtls_x509write_crt_set_key_usage(&crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE));
  pki_add_purpose(&crt, purpose);
  if (role == PKI_SERVER) pki_add_hosts(p, &crt, kind);
  pki_end(p, m, &crt);
}

struct pki_pair pki_pair(struct pki *p, enum pki_role role, enum pki_kind kind) {
  struct pki_made *m = &p->made[role][kind];
  if (!m->certificate) pki_make(p, m, role, kind);
  return (struct pki_pair){ m->certificate, m->key };
}

const char *pki_ca(struct pki *p) {
  return pki_make_ca(p, &p->ca)->certificate;
}

const char *pki_stranger(struct pki *p) {
  return pki_make_ca(p, &p->stranger)->certificate;
}

/* The list of revoked certificates. [RFC 5280, 5.1] */

static void pki_der_algorithm(struct pki_der *d) {
  pki_der_tagged(d, MBEDTLS_OID_ECDSA_SHA256, MBEDTLS_OID_SIZE(MBEDTLS_OID_ECDSA_SHA256), MBEDTLS_ASN1_OID);
  pki_der_wrap(d, pki_der_size(d) - MBEDTLS_OID_SIZE(MBEDTLS_OID_ECDSA_SHA256) - 2, PKI_SEQUENCE);
}

static void pki_der_time(struct pki_der *d, const char *year_to_second) {
  const char *utc = year_to_second + 2;
  size_t since = pki_der_size(d);
  pki_der_raw(d, "Z", 1);
  pki_der_raw(d, utc, strlen(utc));
  pki_der_wrap(d, since, MBEDTLS_ASN1_UTC_TIME);
}

static void pki_der_revoked(struct pki *p, struct pki_der *d) {
  size_t all = pki_der_size(d);
  for (int role = 0; role < PKI_ROLES; role++) {
    size_t since = pki_der_size(d);
    pki_pair(p, (enum pki_role)role, PKI_REVOKED);
    pki_der_time(d, PKI_FROM);
    pki_der_tagged(d, p->made[role][PKI_REVOKED].serial, PKI_SERIAL_SIZE, MBEDTLS_ASN1_INTEGER);
    pki_der_wrap(d, since, PKI_SEQUENCE);
  }
  pki_der_wrap(d, all, PKI_SEQUENCE);
}

/* What is signed; the issuer as its certificate has it. */
static void pki_der_list(struct pki *p, struct pki_der *d) {
  mbedtls_x509_crt ca;
  mbedtls_x509_crt_init(&ca);
  const char *text = pki_ca(p);
  pki_must(mbedtls_x509_crt_parse(&ca, (const unsigned char *)text, strlen(text) + 1));
  pki_der_revoked(p, d);
  pki_der_time(d, PKI_TO);
  pki_der_time(d, PKI_FROM);
  pki_der_raw(d, ca.subject_raw.p, ca.subject_raw.len);
  pki_der_algorithm(d);
  pki_der_wrap(d, 0, PKI_SEQUENCE);
  mbedtls_x509_crt_free(&ca);
}

static size_t pki_sign(struct pki *p, struct slice bytes, unsigned char signature[MBEDTLS_PK_SIGNATURE_MAX_SIZE]) {
  unsigned char hash[32];
  size_t size;
  pki_must(mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), bytes.data, bytes.size, hash));
#if MBEDTLS_VERSION_MAJOR < 3
  pki_must(mbedtls_pk_sign(&p->ca.pk, MBEDTLS_MD_SHA256, hash, 0, signature, &size, tlsrandom_draw, &p->random));
#else
  pki_must(mbedtls_pk_sign(&p->ca.pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature, MBEDTLS_PK_SIGNATURE_MAX_SIZE,
                           &size, tlsrandom_draw, &p->random));
#endif
  return size;
}

static char *pki_make_crl(struct pki *p) {
  struct pki_der list, d;
  unsigned char signature[MBEDTLS_PK_SIGNATURE_MAX_SIZE], text[PKI_TEXT_MAX];
  size_t written;
  list.at = list.bytes + sizeof list.bytes;
  d.at = d.bytes + sizeof d.bytes;
  pki_der_list(p, &list);
  size_t size = pki_sign(p, slice_of(list.at, pki_der_size(&list)), signature);
  pki_must(mbedtls_asn1_write_bitstring(&d.at, d.bytes, signature, 8 * size));
  pki_der_algorithm(&d);
  pki_der_raw(&d, list.at, pki_der_size(&list));
  pki_der_wrap(&d, 0, PKI_SEQUENCE);
  pki_must(mbedtls_pem_write_buffer("-----BEGIN X509 CRL-----\n", "-----END X509 CRL-----\n", d.at, pki_der_size(&d),
                                    text, sizeof text, &written));
  return mem_copy(slice_text((const char *)text));
}

const char *pki_crl(struct pki *p) {
  if (!p->crl) p->crl = pki_make_crl(p);
  return p->crl;
}

static bool pki_is_name(const char *name) {
  struct url u;
  char text[URL_HOST_MAX + 16];
  bool address6 = strchr(name, ':') != NULL;
  if (strncmp(name, "*.", 2) == 0) name += 2; /* any first label [RFC 6125, 6.4.3] */
  if (strlen(name) > URL_HOST_MAX) return false;
  snprintf(text, sizeof text, address6 ? "tcp://[%s]" : "tcp://%s", name);
  return url_parse(text, &u, NULL) && strcmp(u.host, name) == 0;
}

struct pki *pki_new(struct net *n, const char *const *names, struct err *err) {
  struct pki *p = mem_zero(sizeof *p);
  p->random.net = n;
  for (size_t i = 0; names && names[i]; i++) {
    bool fits = i < PKI_NAMES_MAX;
    if (fits && pki_is_name(names[i])) {
      p->names[i] = mem_copy(slice_text(names[i]));
      continue;
    }
    if (fits) err_set(err, "\"%.100s\" is no host name and no address", names[i]);
    else err_set(err, "a server's certificate has at most %d names", PKI_NAMES_MAX);
    pki_free(p);
    return NULL;
  }
  return p;
}

static void pki_made_fini(struct pki_made *m) {
  if (!m->key) return;
  mbedtls_pk_free(&m->pk);
  free(m->certificate);
  free(m->key);
}

void pki_free(struct pki *p) {
  if (!p) return;
  pki_made_fini(&p->ca);
  pki_made_fini(&p->stranger);
  for (int i = 0; i < PKI_ROLES * PKI_KINDS; i++) pki_made_fini(&p->made[i / PKI_KINDS][i % PKI_KINDS]);
  for (size_t i = 0; p->names[i]; i++) free(p->names[i]);
  free(p->crl);
  free(p);
}
