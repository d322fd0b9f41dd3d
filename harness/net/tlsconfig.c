#include "net/tlsconfig.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/near.h"
#include "net/tlsconfig_fields.h"
#include "net/tlsfile.h"
#include "net/tlsname.h"
#include "net/tlstext.h"

static void tlsconfig_must(int result) {
  assert(result == 0);
}

/* Trust. */

/* An empty name would be checked by nobody. */
static bool tlsconfig_set_name(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  if (!o->server_name) return true;
  size_t size = strlen(o->server_name);
  if (size < 1 || size > URL_HOST_MAX)
    return err_set(err, "tls.server_name is a host name or an address of 1 to %d bytes, not %zu", URL_HOST_MAX, size);
  c->server_name = mem_copy(slice_text(o->server_name));
  return true;
}

static bool tlsconfig_set_ca(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  char name[300];
  const char *file = NULL;
  bool wanted = o->ca || (c->role == TLSCONFIG_CLIENT && !o->insecure && !o->psk);
  if (o->crl && !o->ca) return err_set(err, "tls.crl is given, but no tls.ca whose list it could be");
  if (!wanted) {
    mbedtls_ssl_conf_authmode(&c->conf, MBEDTLS_SSL_VERIFY_NONE);
    return true;
  }
  if (o->ca ? !tlsfile_certificates(&c->ca, "tls.ca", o->ca, TLSCONFIG_FILE_MAX, err)
            : !tlsfile_system(&c->ca, &file, err))
    return false;
  if (o->ca) tlsfile_name("tls.ca", o->ca, name, sizeof name);
  else snprintf(name, sizeof name, "the system's trusted certificates (%s; no tls.ca is given)", file);
  c->ca_name = mem_copy(slice_text(name));
  if (o->crl && !tlsfile_crl(&c->crl, "tls.crl", o->crl, TLSCONFIG_FILE_MAX, err)) return false;
  mbedtls_ssl_conf_ca_chain(&c->conf, &c->ca, o->crl ? &c->crl : NULL);
  mbedtls_ssl_conf_authmode(&c->conf, o->insecure ? MBEDTLS_SSL_VERIFY_OPTIONAL : MBEDTLS_SSL_VERIFY_REQUIRED);
  return true;
}

static int tlsconfig_check_pair(struct tlsconfig *c) {
#if MBEDTLS_VERSION_MAJOR < 3
  return mbedtls_pk_check_pair(&c->cert.pk, &c->key);
#else
  return mbedtls_pk_check_pair(&c->cert.pk, &c->key, tlsrandom_draw, &c->random);
#endif
}

static bool tlsconfig_set_cert(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  char cert[300], key[300];
  if (o->passphrase && !o->key) return err_set(err, "tls.passphrase is given, but no tls.key that it could be of");
  if (!o->cert && !o->key) {
    if (c->role == TLSCONFIG_CLIENT || o->psk) return true;
    return err_set(err, "a TLS server needs tls.cert and tls.key, or tls.psk");
  }
  if (!o->cert) return err_set(err, "tls.key is given, but no tls.cert");
  if (!o->key) return err_set(err, "tls.cert is given, but no tls.key");
  if (!tlsfile_certificates(&c->cert, "tls.cert", o->cert, TLSCONFIG_FILE_MAX, err)) return false;
  if (!tlsfile_key(&c->key, "tls.key", o->key, o->passphrase, TLSCONFIG_FILE_MAX, &c->random, err)) return false;
  tlsfile_name("tls.cert", o->cert, cert, sizeof cert);
  tlsfile_name("tls.key", o->key, key, sizeof key);
  if (tlsconfig_check_pair(c)) return err_set(err, "%s does not belong to the certificate of %s", key, cert);
  tlsconfig_must(mbedtls_ssl_conf_own_cert(&c->conf, &c->cert, &c->key));
  return true;
}

/* PSK, ciphers, versions, ALPN. */

static int tlsconfig_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool tlsconfig_set_psk(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  if (!o->psk && !o->psk_identity) return true;
  if (!o->psk) return err_set(err, "tls.psk_identity is given, but no tls.psk");
  if (!o->psk_identity || !o->psk_identity[0]) return err_set(err, "tls.psk is given, but no tls.psk_identity");
  size_t digits = strlen(o->psk);
  bool good = digits > 0 && digits % 2 == 0 && digits / 2 <= TLSCONFIG_PSK_MAX;
  for (size_t i = 0; good && i < digits; i++) {
    int digit = tlsconfig_digit(o->psk[i]);
    good = digit >= 0;
    c->psk[i / 2] = (unsigned char)(16 * c->psk[i / 2] + (good ? digit : 0));
  }
  if (!good) return err_set(err, "tls.psk is 1 to %d bytes in hexadecimal digits, two each", TLSCONFIG_PSK_MAX);
  c->psk_size = digits / 2;
  int result = mbedtls_ssl_conf_psk(&c->conf, c->psk, c->psk_size, (const unsigned char *)o->psk_identity,
                                    strlen(o->psk_identity));
  return result == 0 || err_set(err, "tls.psk_identity: %s", tlstext_error(result));
}

static void tlsconfig_cipher_name(const char *given, char *to, size_t size) {
  snprintf(to, size, "%s", given);
  for (char *p = to; *p; p++)
    if (*p == '_') *p = '-';
}

static bool tlsconfig_unknown_cipher(const char *name, struct err *err) {
  const int *ids = mbedtls_ssl_list_ciphersuites();
  const char *names[512];
  size_t count = 0;
  for (; *ids && count < 511; ids++) names[count++] = mbedtls_ssl_get_ciphersuite_name(*ids);
  names[count] = NULL;
  const char *near = near_name(name, names);
  return err_set(err, "tls.ciphers: this mbedTLS knows no \"%.80s\"%s%s%s", name, near ? ": did you mean \"" : "",
                 near ? near : "", near ? "\"?" : "");
}

/* With a PSK and nobody to trust, the key is all that says who the other end is: nothing else is offered. */
static void tlsconfig_only_psk(struct tlsconfig *c) {
  size_t count = 0;
  for (const int *id = mbedtls_ssl_list_ciphersuites(); *id && count < TLSCONFIG_CIPHERS_MAX; id++) {
    if (strstr(mbedtls_ssl_get_ciphersuite_name(*id), "PSK")) c->ciphers[count++] = *id;
  }
  mbedtls_ssl_conf_ciphersuites(&c->conf, c->ciphers);
}

static bool tlsconfig_set_ciphers(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  char name[80];
  if (!o->ciphers[0]) {
    if (o->psk && !o->ca && !o->cert) tlsconfig_only_psk(c);
    return true;
  }
  for (size_t i = 0; o->ciphers[i]; i++) {
    tlsconfig_cipher_name(o->ciphers[i], name, sizeof name);
    c->ciphers[i] = mbedtls_ssl_get_ciphersuite_id(name);
    if (!c->ciphers[i]) return tlsconfig_unknown_cipher(name, err);
  }
  mbedtls_ssl_conf_ciphersuites(&c->conf, c->ciphers);
  return true;
}

static int tlsconfig_minor(const char *version) {
  static const char *const versions[] = { "1.0", "1.1", "1.2", NULL };
  for (int i = 0; versions[i]; i++)
    if (strcmp(versions[i], version) == 0) return i + 1;
  return -1;
}

static bool tlsconfig_set_version(struct tlsconfig *c, const char *option, const char *version, bool least,
                                  struct err *err) {
  int minor = version ? tlsconfig_minor(version) : 3;
  if (minor < 0) {
    bool newer = strcmp(version, "1.3") == 0;
    return err_set(err, "%s is \"1.0\", \"1.1\" or \"1.2\", not \"%.20s\"%s", option, version,
                   newer ? ": mqrig speaks no TLS 1.3" : "");
  }
#if MBEDTLS_VERSION_MAJOR < 3
  if (least) mbedtls_ssl_conf_min_version(&c->conf, MBEDTLS_SSL_MAJOR_VERSION_3, minor);
  else mbedtls_ssl_conf_max_version(&c->conf, MBEDTLS_SSL_MAJOR_VERSION_3, minor);
#else
  if (minor < 3) return err_set(err, "%s: this mbedTLS has no version before 1.2", option);
  if (least) mbedtls_ssl_conf_min_tls_version(&c->conf, MBEDTLS_SSL_VERSION_TLS1_2);
  else mbedtls_ssl_conf_max_tls_version(&c->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
  return true;
}

static bool tlsconfig_set_versions(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  const char *most = o->max_version, *least = o->min_version;
  if (most && !least && tlsconfig_minor(most) >= 0) least = most; /* the default would be above it */
  if (least && most && tlsconfig_minor(least) > tlsconfig_minor(most))
    return err_set(err, "tls.min_version %s is over tls.max_version %s", least, most);
  return tlsconfig_set_version(c, "tls.min_version", least, true, err) &&
         tlsconfig_set_version(c, "tls.max_version", most, false, err);
}

static bool tlsconfig_set_alpn(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  if (!o->alpn[0]) return true;
  for (size_t i = 0; o->alpn[i]; i++) {
    size_t size = strlen(o->alpn[i]);
    if (size < 1 || size > 255) return err_set(err, "tls.alpn: a protocol's name is 1 to 255 bytes, not %zu", size);
    c->alpn[i] = mem_copy(slice_text(o->alpn[i]));
  }
  tlsconfig_must(mbedtls_ssl_conf_alpn_protocols(&c->conf, (const char **)c->alpn));
  return true;
}

static bool tlsconfig_set_fragment(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  static const size_t sizes[] = { 0, 512, 1024, 2048, 4096 };
  for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (sizes[i] != o->fragment_max) continue;
    return mbedtls_ssl_conf_max_frag_len(&c->conf, (unsigned char)i) == 0;
  }
  return err_set(err, "tls.fragment_max is 512, 1024, 2048 or 4096, not %zu", o->fragment_max);
}

/* Resumption. */

/* A ticket has the second in it at which the session began, and so the wall clock: as 0, the same handshake gives the
 * same bytes. TLSCONFIG_TICKET_S covers it. */
static int tlsconfig_write_ticket(void *tickets, const mbedtls_ssl_session *session, unsigned char *to,
                                  const unsigned char *end, size_t *size, uint32_t *lifetime_s) {
  mbedtls_ssl_session timeless = *session; /* its pointers are borrowed */
  timeless.MBEDTLS_PRIVATE(start) = 0;
#if MBEDTLS_VERSION_NUMBER >= 0x03060000
  timeless.MBEDTLS_PRIVATE(ticket_creation_time) = 0;
#endif
  return mbedtls_ssl_ticket_write(tickets, &timeless, to, end, size, lifetime_s);
}

static bool tlsconfig_set_resume(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  bool tickets = o->resume == TLSCONFIG_RESUME_TICKETS || o->resume == TLSCONFIG_RESUME_ANY;
  bool ids = o->resume == TLSCONFIG_RESUME_IDS || o->resume == TLSCONFIG_RESUME_ANY;
  (void)err;
  c->resumes = o->resume != TLSCONFIG_RESUME_NO;
  if (c->role == TLSCONFIG_CLIENT) {
    mbedtls_ssl_conf_session_tickets(&c->conf, tickets ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                       : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    return true;
  }
  if (tickets) {
    tlsconfig_must(mbedtls_ssl_ticket_setup(&c->tickets, tlsrandom_draw, &c->random, MBEDTLS_CIPHER_AES_256_GCM,
                                            TLSCONFIG_TICKET_S));
    mbedtls_ssl_conf_session_tickets_cb(&c->conf, tlsconfig_write_ticket, mbedtls_ssl_ticket_parse, &c->tickets);
  }
  if (ids) {
    mbedtls_ssl_cache_set_max_entries(&c->ids, TLSCONFIG_IDS_MAX);
    mbedtls_ssl_conf_session_cache(&c->conf, &c->ids, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
  }
  return true;
}

const mbedtls_ssl_session *tlsconfig_session(const struct tlsconfig *c, const char *server) {
  for (unsigned i = 0; i < c->session_count; i++) {
    if (strcmp(c->sessions[i].server, server) == 0) return &c->sessions[i].session;
  }
  return NULL;
}

static struct tlsconfig_session *tlsconfig_place(struct tlsconfig *c, const char *server) {
  for (unsigned i = 0; i < c->session_count; i++) {
    if (strcmp(c->sessions[i].server, server) == 0) return &c->sessions[i];
  }
  struct tlsconfig_session *s = &c->sessions[c->session_next];
  c->session_next = (c->session_next + 1) % TLSCONFIG_SESSIONS_MAX;
  if (c->session_count < TLSCONFIG_SESSIONS_MAX) c->session_count++;
  free(s->server);
  s->server = mem_copy(slice_text(server));
  return s;
}

void tlsconfig_keep(struct tlsconfig *c, const char *server, mbedtls_ssl_session *session) {
  struct tlsconfig_session *s = tlsconfig_place(c, server);
  mbedtls_ssl_session_free(&s->session);
  s->session = *session;
  mbedtls_ssl_session_init(session);
}

/* The key log. */

static void tlsconfig_put_hex(char *to, const unsigned char *bytes, size_t size) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < size; i++) {
    to[2 * i] = digits[bytes[i] >> 4];
    to[2 * i + 1] = digits[bytes[i] & 15];
  }
}

/* One write a line: other processes append to the file, too. */
void tlsconfig_log_keys(struct tlsconfig *c, const unsigned char client_random[32], const unsigned char secret[48]) {
  char line[] = "CLIENT_RANDOM cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc "
                "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss\n";
  tlsconfig_put_hex(line + 14, client_random, 32);
  tlsconfig_put_hex(line + 14 + 65, secret, 48);
  ssize_t written = write(c->keylog, line, sizeof line - 1);
  (void)written; /* a full disk loses a capture's keys, and breaks no connection */
}

#if MBEDTLS_VERSION_MAJOR < 3
static int tlsconfig_export(void *arg, const unsigned char *secret, const unsigned char *block, size_t mac, size_t key,
                            size_t iv, const unsigned char client_random[32], const unsigned char server_random[32],
                            mbedtls_tls_prf_types prf) {
  (void)block, (void)mac, (void)key, (void)iv, (void)server_random, (void)prf;
  tlsconfig_log_keys(arg, client_random, secret);
  return 0;
}
#endif

static bool tlsconfig_set_keylog(struct tlsconfig *c, const struct tlsconfig_options *o, struct err *err) {
  if (!o->keylog) return true;
  c->keylog = open(o->keylog, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (c->keylog < 0) return err_set(err, "tls.keylog (%.200s) cannot be opened: %s", o->keylog, strerror(errno));
#if MBEDTLS_VERSION_MAJOR < 3
  mbedtls_ssl_conf_export_keys_ext_cb(&c->conf, tlsconfig_export, c);
#endif
  return true;
}

/* Curves. */

/* mbedTLS 2 prefers the longest, and with it a handshake takes half as long again: in the order of mbedTLS 3, and the
 * others of certificates behind. */
static void tlsconfig_set_curves(struct tlsconfig *c) {
#if MBEDTLS_VERSION_MAJOR < 3
  static const mbedtls_ecp_group_id curves[] = {
    MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_SECP521R1,
    MBEDTLS_ECP_DP_BP256R1,    MBEDTLS_ECP_DP_BP384R1,   MBEDTLS_ECP_DP_BP512R1,   MBEDTLS_ECP_DP_SECP256K1,
    MBEDTLS_ECP_DP_SECP224R1,  MBEDTLS_ECP_DP_SECP224K1, MBEDTLS_ECP_DP_SECP192R1, MBEDTLS_ECP_DP_SECP192K1,
    MBEDTLS_ECP_DP_NONE,
  };
  mbedtls_ssl_conf_curves(&c->conf, curves);
#else
  (void)c;
#endif
}

/* All of it. */

static void tlsconfig_init(struct tlsconfig *c) {
  mbedtls_ssl_config_init(&c->conf);
  mbedtls_x509_crt_init(&c->ca);
  mbedtls_x509_crt_init(&c->cert);
  mbedtls_x509_crl_init(&c->crl);
  mbedtls_pk_init(&c->key);
  mbedtls_ssl_cache_init(&c->ids);
  mbedtls_ssl_ticket_init(&c->tickets);
  tlsconfig_must(
      mbedtls_ssl_config_defaults(&c->conf, c->role == TLSCONFIG_CLIENT ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER,
                                  MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT));
  mbedtls_ssl_conf_rng(&c->conf, tlsrandom_draw, &c->random);
  mbedtls_ssl_conf_renegotiation(&c->conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
  tlsconfig_set_curves(c);
}

struct tlsconfig *tlsconfig_new(struct net *n, enum tlsconfig_role role, const struct tlsconfig_options *o,
                                struct err *err) {
  struct tlsconfig *c = mem_zero(sizeof *c);
  c->references = 1;
  c->role = role;
  c->random.net = n;
  c->keylog = -1;
  c->insecure = o->insecure;
  c->called = o->called;
  tlsconfig_init(c);
  if (tlsconfig_set_name(c, o, err) && tlsconfig_set_ca(c, o, err) && tlsconfig_set_cert(c, o, err) &&
      tlsconfig_set_psk(c, o, err) && tlsconfig_set_ciphers(c, o, err) && tlsconfig_set_versions(c, o, err) &&
      tlsconfig_set_alpn(c, o, err) && tlsconfig_set_fragment(c, o, err) && tlsconfig_set_resume(c, o, err) &&
      tlsconfig_set_keylog(c, o, err))
    return c;
  if (err) tlsname_call(err, o->called);
  tlsconfig_free(c);
  return NULL;
}

struct tlsconfig *tlsconfig_ref(struct tlsconfig *c) {
  if (c) c->references++;
  return c;
}

void tlsconfig_free(struct tlsconfig *c) {
  if (!c || --c->references) return;
  for (unsigned i = 0; i < c->session_count; i++) {
    mbedtls_ssl_session_free(&c->sessions[i].session);
    free(c->sessions[i].server);
  }
  if (c->keylog >= 0) close(c->keylog);
  mbedtls_ssl_config_free(&c->conf);
  mbedtls_ssl_ticket_free(&c->tickets);
  mbedtls_ssl_cache_free(&c->ids);
  mbedtls_pk_free(&c->key);
  mbedtls_x509_crl_free(&c->crl);
  mbedtls_x509_crt_free(&c->cert);
  mbedtls_x509_crt_free(&c->ca);
  for (size_t i = 0; c->alpn[i]; i++) free(c->alpn[i]);
  free(c->ca_name);
  free(c->server_name);
  free(c);
}
