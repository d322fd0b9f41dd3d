#include "net/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "net/chain.h"
#include "net/tlsconfig_fields.h"
#include "net/tlsidle.h"
#include "net/tlsname.h"
#include "net/tlstext.h"

struct tls {
  struct filter filter; /* first */
  struct tlsconfig *config;
  mbedtls_ssl_context ssl;
  struct tlsidle idle;
  struct slice feeding;        /* what of the running take mbedTLS has not got yet */
  struct buffer out, in;       /* records; what they carry */
  struct err *fault, *failure; /* what is wrong with the certificate; why it failed. NULL: nothing */
  uint32_t carried;            /* by the record that goes out, of what the owner has next */
  char *server;                /* of a client that keeps its session: with whom */
  void (*note)(void *arg, const char *what);
  void *arg;
  struct tls_orders orders;
  int64_t stall_until_ns, tell_by_ns;
  enum chain_end asked, came; /* ends that were given to it, by direction */
  bool began, up, full, peer_closed, told, heard;
  bool stalled, alerted;
  char host[]; /* empty: a server */
};

static struct tls *tls_self(struct filter *filter) {
  return (struct tls *)(void *)filter;
}

static bool tls_is_client(const struct tls *t) {
  return t->config->role == TLSCONFIG_CLIENT;
}

static const char *tls_other(const struct tls *t) {
  return tls_is_client(t) ? "server" : "client";
}

/* Memory in place of a socket. */

static int tls_send(void *arg, const unsigned char *bytes, size_t size) {
  struct tls *t = arg;
  return buffer_append(&t->out, slice_of(bytes, size)) ? (int)size : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int tls_receive(void *arg, unsigned char *to, size_t size) {
  struct tls *t = arg;
  size_t n = t->feeding.size < size ? t->feeding.size : size;
  if (n == 0) return MBEDTLS_ERR_SSL_WANT_READ;
  memcpy(to, t->feeding.data, n);
  t->feeding = slice_from(t->feeding, n);
  return (int)n;
}

/* Failing. */

static void tls_fail(struct tls *t, int64_t now_ns, const char *text) {
  if (t->failure) return;
  t->failure = mem_zero(sizeof *t->failure);
  err_set(t->failure, "%s", text);
  tlsname_call(t->failure, t->config->called);
  t->filter.why = t->failure->text;
  t->filter.how = STREAM_FAILED;
  t->tell_by_ns = now_ns + TLS_ALERT_NS;
  t->stall_until_ns = 0;
}

/* Ends with different keys find out by the first message that they encrypt. [RFC 4279, 2] */
static bool tls_may_differ_in_psk(const struct tls *t) {
  return t->config->psk_size && !t->up;
}

static void tls_explain_alert(const struct tls *t, struct err *to) {
  int alert = t->ssl.MBEDTLS_PRIVATE(in_msg)[1];
  bool key = alert == MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC || alert == MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR;
  const char *name = tlsname_alert(alert);
  char number[16];
  snprintf(number, sizeof number, "%d", alert);
  err_set(to, "the %s %s: TLS alert %s%s", tls_other(t), t->up ? "ended the connection" : "refused the TLS handshake",
          name ? name : number, key && tls_may_differ_in_psk(t) ? ": its pre-shared key is not tls.psk" : "");
}

#if MBEDTLS_VERSION_MAJOR < 3
#define TLS_NO_VERSION MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION

/* What is said of a server that finds no cipher; NULL: that is not it. */
static const char *tls_lack_of_cipher(int result, int state) {
  (void)state;
  if (result == MBEDTLS_ERR_SSL_NO_CIPHER_CHOSEN) return "no cipher that client and server both know";
  if (result != MBEDTLS_ERR_SSL_NO_USABLE_CIPHERSUITE) return NULL;
  return "no cipher that the client offers goes with what the server has: see tls.cert, tls.psk";
}

#else
#define TLS_NO_VERSION MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION

/* One error for both, and for much else, but not there. */
static const char *tls_lack_of_cipher(int result, int state) {
  if (result != MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE || state != MBEDTLS_SSL_CLIENT_HELLO) return NULL;
  return "no cipher that client and server both know, or none that goes with what the server has: see tls.ciphers, "
         "tls.cert, tls.psk";
}
#endif

/* A failure of mbedTLS's in a sentence. */
static void tls_explain(const struct tls *t, int result, int state, struct err *to) {
  const char *message = tlstext_message(state);
  switch (result) {
  case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE: tls_explain_alert(t, to); return;
  case MBEDTLS_ERR_SSL_INVALID_MAC:
    if (tls_may_differ_in_psk(t)) err_set(to, "the %s's pre-shared key is not tls.psk: its MAC is wrong", tls_other(t));
    else err_set(to, "a TLS record was altered on its way: its MAC is wrong");
    return;
  case MBEDTLS_ERR_SSL_INVALID_RECORD: err_set(to, "what the %s sent is no TLS record", tls_other(t)); return;
  case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
    err_set(to, "the client showed no certificate, and tls.ca asks for one");
    return;
  case TLS_NO_VERSION:
    err_set(to, "no TLS version that client and server both take: see tls.min_version, tls.max_version");
    return;
  case MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY: err_set(to, "the client's tls.psk_identity is not the server's"); return;
  default: break;
  }
  const char *lack = tls_lack_of_cipher(result, state);
  if (lack) err_set(to, "%s", lack);
  else if (t->fault) err_set(to, "%s", t->fault->text);
  else err_set(to, "TLS failed%s%s: %s", message ? " at " : "", message ? message : "", tlstext_error(result));
}

static void tls_fail_by(struct tls *t, int64_t now_ns, int result, int state) {
  struct err why;
  tls_explain(t, result, state, &why);
  tls_fail(t, now_ns, why.text);
}

#if MBEDTLS_VERSION_MAJOR >= 3
static void tls_export(void *arg, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t size,
                       const unsigned char client_random[32], const unsigned char server_random[32],
                       mbedtls_tls_prf_types prf) {
  struct tls *t = arg;
  (void)server_random, (void)prf;
  if (type == MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET && size == 48)
    tlsconfig_log_keys(t->config, client_random, secret);
}
#endif

/* Who the other end is. */

static bool tls_has_address(const mbedtls_x509_crt *crt, const unsigned char *address, size_t size) {
  if (!crt->subject_alt_names.buf.p) return false;
  for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s; s = s->next) {
    bool is_address = (s->buf.tag & 0x1f) == 7;
    if (is_address && s->buf.len == size && memcmp(s->buf.p, address, size) == 0) return true;
  }
  return false;
}

/* Addresses are not compared by mbedTLS 2.28. [RFC 2818, 3.1] */
static bool tls_fits_address(const struct tls *t, const mbedtls_x509_crt *crt) {
  unsigned char address[16];
  if (inet_pton(AF_INET, t->host, address) == 1) return tls_has_address(crt, address, 4);
  if (inet_pton(AF_INET6, t->host, address) == 1) return tls_has_address(crt, address, 16);
  return true;
}

static int tls_verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags) {
  struct tls *t = arg;
  char whose[24];
  const char *purpose = tls_is_client(t) ? MBEDTLS_OID_SERVER_AUTH : MBEDTLS_OID_CLIENT_AUTH;
  if (depth == 0 && t->host[0] && !tls_fits_address(t, crt)) *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  if (depth == 0 && mbedtls_x509_crt_check_extended_key_usage(crt, purpose, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)))
    *flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
  if (!*flags || t->fault) return 0;
  snprintf(whose, sizeof whose, depth ? "%s's issuer's" : "%s's", tls_other(t));
  t->fault = mem_zero(sizeof *t->fault);
  tlstext_fault(crt, *flags, whose, t->host, t->config->ca_name, t->fault);
  return 0;
}

static bool tls_is_address(const char *host) {
  unsigned char address[16];
  return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Orders. */

static void tls_done(struct tls *t, enum tls_order order) {
  if (t->orders.done) t->orders.done(t->orders.arg, order);
}

static bool tls_is_warning(int alert) {
  return alert == 0 || alert == 90 || alert == 100; /* close_notify, user_canceled, no_renegotiation */
}

static void tls_send_alert(struct tls *t, const char *name, const char *who, int64_t now_ns) {
  char text[96];
  int alert = tlsname_alert_of(name);
  mbedtls_ssl_send_alert_message(
      &t->ssl, tls_is_warning(alert) ? MBEDTLS_SSL_ALERT_LEVEL_WARNING : MBEDTLS_SSL_ALERT_LEVEL_FATAL,
      (unsigned char)alert);
  snprintf(text, sizeof text, "%s sent the TLS alert %s", who, name);
  if (!tls_is_warning(alert)) tls_fail(t, now_ns, text);
}

static void tls_obey_alert(struct tls *t, int64_t now_ns) {
  t->alerted = true;
  tls_send_alert(t, t->orders.alert, "a rule", now_ns);
  tls_done(t, TLS_ALERT);
}

static bool tls_is_at(const char *message, int state) {
  const char *name = tlstext_message(state);
  return message && name && strcmp(message, name) == 0;
}

/* True: the handshake goes no further now. */
static bool tls_obey(struct tls *t, int64_t now_ns) {
  int state = t->ssl.MBEDTLS_PRIVATE(state);
  if (!t->stalled && tls_is_at(t->orders.stall_at, state)) {
    t->stalled = true;
    t->stall_until_ns = t->orders.stall_ns == NET_NEVER ? NET_NEVER : now_ns + t->orders.stall_ns;
    tls_done(t, TLS_STALL);
  }
  if (t->orders.alert && !t->alerted && tls_is_at(t->orders.alert_at, state)) tls_obey_alert(t, now_ns);
  return t->failure || t->stall_until_ns > now_ns;
}

/* The handshake. */

static void tls_keep_session(struct tls *t) {
  mbedtls_ssl_session session;
  if (!t->server) return;
  mbedtls_ssl_session_init(&session);
  if (mbedtls_ssl_get_session(&t->ssl, &session) == 0) tlsconfig_keep(t->config, t->server, &session);
  mbedtls_ssl_session_free(&session);
}

static void tls_note_up(const struct tls *t) {
  char subject[128] = "", text[600];
  const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&t->ssl);
  const char *alpn = mbedtls_ssl_get_alpn_protocol(&t->ssl);
  if (!t->note) return;
  if (crt) tlstext_subject(crt, subject, sizeof subject);
  snprintf(text, sizeof text, "%s, %s%s%s%s%s%s%s%s%s", mbedtls_ssl_get_version(&t->ssl),
           mbedtls_ssl_get_ciphersuite(&t->ssl), crt ? ", the " : "", crt ? tls_other(t) : "", crt ? " is " : "",
           subject, alpn ? ", ALPN " : "", alpn ? alpn : "", t->full ? "" : ", resumed",
           t->config->insecure ? ", insecure: the server's certificate was not required to be good" : "");
  t->note(t->arg, text);
}

static void tls_now_up(struct tls *t, int64_t now_ns) {
  t->up = true;
  tls_note_up(t);
  tls_keep_session(t);
  tlsidle_forget_peer(&t->ssl);
  if (t->orders.alert && !t->alerted && !t->orders.alert_at) tls_obey_alert(t, now_ns);
}

static void tls_handshake(struct tls *t, int64_t now_ns) {
  while (!t->up && !tls_obey(t, now_ns)) {
    int state = t->ssl.MBEDTLS_PRIVATE(state);
    t->full |= state == MBEDTLS_SSL_CLIENT_KEY_EXCHANGE;
    t->config->random.hello = state == MBEDTLS_SSL_CLIENT_HELLO || state == MBEDTLS_SSL_SERVER_HELLO;
    int result = mbedtls_ssl_handshake_step(&t->ssl);
    t->config->random.hello = false;
    if (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE) return;
    if (result) tls_fail_by(t, now_ns, result, state);
    else if (t->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_HANDSHAKE_OVER) tls_now_up(t, now_ns);
  }
}

static void tls_begin(struct tls *t, int64_t now_ns) {
  const mbedtls_ssl_session *session = t->server ? tlsconfig_session(t->config, t->server) : NULL;
  t->began = true;
  if (session) mbedtls_ssl_set_session(&t->ssl, session);
  tls_handshake(t, now_ns);
}

/* Records. */

static bool tls_read_record(struct tls *t, int64_t now_ns) {
  unsigned char none;
  int result = mbedtls_ssl_read(&t->ssl, &none, 0); /* one record is opened, and nothing taken of it */
  if (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE) return false;
  if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) t->peer_closed = true;
  else if (result < 0) tls_fail_by(t, now_ns, result, MBEDTLS_SSL_HANDSHAKE_OVER);
  if (result < 0) return false;
  size_t size = mbedtls_ssl_get_bytes_avail(&t->ssl);
  if (!size) return true;
  uint8_t *to = buffer_reserve(&t->in, size);
  result = mbedtls_ssl_read(&t->ssl, to, size);
  assert(result == (int)size);
  buffer_commit(&t->in, size);
  return true;
}

static void tls_run(struct tls *t, int64_t now_ns) {
  tls_handshake(t, now_ns);
  while (t->up && !t->failure && !t->peer_closed && buffer_size(&t->in) < TLS_IN_MAX && tls_read_record(t, now_ns)) {
  }
}

/* The alert unexpected_message, from somebody with whom no version has been agreed. */
static const uint8_t tls_unexpected[] = {
  0x15, 3, 3, 0, 2, MBEDTLS_SSL_ALERT_LEVEL_FATAL, MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE
};

/* Somebody who speaks no TLS at all is told apart by the first byte: a handshake's, an alert's, or that of the oldest
 * hello. */
static bool tls_is_foreign(struct tls *t, struct slice bytes, int64_t now_ns) {
  char text[160];
  uint8_t first = bytes.data[0];
  if (t->heard) return false;
  t->heard = true;
  if (first == 0x16 || first == 0x15 || (first & 0x80)) return false;
  snprintf(text, sizeof text, "the %s does not speak TLS%s", tls_other(t), tlstext_guess(bytes));
  if (!tls_is_client(t)) buffer_append(&t->out, slice_of(tls_unexpected, sizeof tls_unexpected));
  tls_fail(t, now_ns, text);
  return true;
}

static size_t tls_take_in(struct tls *t, struct slice bytes, int64_t now_ns) {
  if (bytes.size && !t->failure && !t->peer_closed && !tls_is_foreign(t, bytes, now_ns)) {
    t->feeding = bytes;
    tls_run(t, now_ns);
    bytes = slice_first(bytes, bytes.size - t->feeding.size);
    if (t->failure || t->peer_closed) bytes.size += t->feeding.size; /* nobody wants the rest */
    t->feeding = slice_of(NULL, 0);
  }
  return bytes.size;
}

/* What a record carries counts as taken once all of the record has gone on: until then the owner keeps it, and knows,
 * when the connection is lost, that nobody can have read it. */
static size_t tls_take_out(struct tls *t, struct slice bytes, int64_t now_ns) {
  bool settle = t->filter.settle;
  if (!t->up || t->failure || t->asked || (buffer_size(&t->out) && !settle) || !bytes.size) return 0;
  if (t->carried || settle) {
    size_t n = t->carried < bytes.size ? t->carried : bytes.size;
    t->carried = 0;
    return n;
  }
  int most = mbedtls_ssl_get_max_out_record_payload(&t->ssl);
  int result = mbedtls_ssl_write(&t->ssl, bytes.data, bytes.size < (size_t)most ? bytes.size : (size_t)most);
  if (result > 0) t->carried = (uint32_t)result;
  else tls_fail_by(t, now_ns, result, MBEDTLS_SSL_HANDSHAKE_OVER);
  return 0;
}

/* The filter's side. */

static size_t tls_take(struct filter *filter, enum chain_direction d, struct slice bytes, int64_t now_ns) {
  struct tls *t = tls_self(filter);
  tlsidle_restore(&t->ssl, &t->idle);
  size_t n = d == CHAIN_IN ? tls_take_in(t, bytes, now_ns) : tls_take_out(t, bytes, now_ns);
  tlsidle_release(&t->ssl, &t->idle);
  return n;
}

/* The stream has ended, and nobody said that it would. */
static void tls_cut(struct tls *t, const char *did, int64_t now_ns) {
  char text[200];
  const char *message = tlstext_message(t->ssl.MBEDTLS_PRIVATE(state));
  if (t->up) {
    tls_fail(t, now_ns, "the TLS connection was cut: it ended without a close_notify");
    return;
  }
  snprintf(text, sizeof text, "the %s %s the connection in the TLS handshake%s%s%s", tls_other(t), did,
           message ? ", before " : "", message ? message : "", t->heard ? "" : ": it may not speak TLS there at all");
  tls_fail(t, now_ns, text);
}

static void tls_say_goodbye(struct tls *t) {
  if (!t->up || t->failure) return;
  if (t->orders.close_without_notify) {
    tls_done(t, TLS_CLOSE);
    return;
  }
  tlsidle_restore(&t->ssl, &t->idle);
  mbedtls_ssl_close_notify(&t->ssl);
  tlsidle_release(&t->ssl, &t->idle);
}

static void tls_end(struct filter *filter, enum chain_direction d, enum chain_end end, int64_t now_ns) {
  struct tls *t = tls_self(filter);
  if (d == CHAIN_OUT) {
    if (t->asked == CHAIN_NONE && end <= CHAIN_CLOSE) tls_say_goodbye(t);
    t->asked = end;
    return;
  }
  t->came = end;
  if (t->peer_closed || t->asked) return;
  bool reset = end == CHAIN_RESET && t->began && !t->up && filter->chain && chain_was_reset(filter->chain);
  if (end <= CHAIN_CLOSE) tls_cut(t, "closed", now_ns);
  else if (reset) tls_cut(t, "reset", now_ns);
}

static struct slice tls_give(struct filter *filter, enum chain_direction d, int64_t now_ns) {
  struct tls *t = tls_self(filter);
  if (d == CHAIN_IN) return buffer_slice(&t->in);
  if (!t->began && tls_is_client(t)) tls_begin(t, now_ns);
  return buffer_slice(&t->out);
}

static void tls_gave(struct filter *filter, enum chain_direction d, size_t n, int64_t now_ns) {
  struct tls *t = tls_self(filter);
  (void)now_ns;
  buffer_consume(d == CHAIN_IN ? &t->in : &t->out, n);
  if (d == CHAIN_OUT && t->failure && !buffer_size(&t->out) && filter->chain) chain_kick(filter->chain);
}

static enum chain_end tls_ends(struct filter *filter, enum chain_direction d) {
  const struct tls *t = tls_self(filter);
  if (d == CHAIN_OUT) return t->asked;
  if (t->came >= CHAIN_RESET) return t->came;
  if (t->failure) return t->told || t->came || !buffer_size(&t->out) ? CHAIN_RESET : CHAIN_NONE;
  return t->peer_closed ? CHAIN_FIN : t->came;
}

static int64_t tls_deadline(struct filter *filter) {
  const struct tls *t = tls_self(filter);
  if (t->failure) return t->told ? NET_NEVER : t->tell_by_ns;
  return t->stall_until_ns ? t->stall_until_ns : NET_NEVER;
}

static void tls_tick(struct filter *filter, int64_t now_ns) {
  struct tls *t = tls_self(filter);
  if (t->failure) {
    t->told |= now_ns >= t->tell_by_ns;
  } else if (t->stall_until_ns <= now_ns) {
    t->stall_until_ns = 0;
    if (t->began || !tls_is_client(t)) tls_run(t, now_ns);
  }
}

static void tls_free(struct filter *filter) {
  struct tls *t = tls_self(filter);
  mbedtls_ssl_free(&t->ssl);
  buffer_fini(&t->out);
  buffer_fini(&t->in);
  tlsconfig_free(t->config);
  if (t->orders.free) t->orders.free(t->orders.arg);
  free(t->server);
  free(t->fault);
  free(t->failure);
  free(t);
}

static const char *tls_waits(const struct filter *filter) {
  const struct tls *t = (const struct tls *)(const void *)filter;
  return t->up ? NULL : tlstext_message(t->ssl.MBEDTLS_PRIVATE(state));
}

static const struct filter_ops tls_ops = {
  .name = "TLS",
  .wraps = true,
  .take = tls_take,
  .end = tls_end,
  .give = tls_give,
  .gave = tls_gave,
  .ends = tls_ends,
  .deadline = tls_deadline,
  .tick = tls_tick,
  .waits = tls_waits,
  .free = tls_free,
};

bool tls_alert(struct chain *c, const char *name, int64_t now_ns, struct err *err) {
  struct filter *filter = chain_find(c, &tls_ops);
  struct tls *t = filter ? tls_self(filter) : NULL;
  if (!tlsname_check_alert(name, err)) return false;
  if (!t) return err_set(err, "an alert is of TLS, and the connection has none");
  if (!t->up || t->failure)
    return err_set(err, "the TLS %s", t->failure ? "has ended already" : "handshake is not over");
  tlsidle_restore(&t->ssl, &t->idle);
  tls_send_alert(t, name, "the scenario", now_ns);
  tlsidle_release(&t->ssl, &t->idle);
  chain_kick(c);
  return true;
}

static void tls_set_host(struct tls *t, uint16_t port) {
  char server[URL_HOST_MAX + 8];
  int result = mbedtls_ssl_set_hostname(&t->ssl, t->host[0] && !tls_is_address(t->host) ? t->host : NULL);
  assert(result == 0);
  if (!tls_is_client(t) || !t->config->resumes) return;
  snprintf(server, sizeof server, "%s:%u", t->host, port);
  t->server = mem_copy(slice_text(server));
}

/* A name without the dot of the root, an address without its zone: as a certificate has them. [RFC 6066, 3] */
static size_t tls_host_size(const char *host) {
  size_t size = strcspn(host, "%");
  return size > 1 && host[size - 1] == '.' ? size - 1 : size;
}

struct filter *tls_new(const struct tls_options *o) {
  bool client = o->config->role == TLSCONFIG_CLIENT;
  const char *host = !client ? "" : o->config->server_name ? o->config->server_name : o->host;
  struct tls *t = mem_zero(sizeof *t + strlen(host) + 1);
  t->filter.ops = &tls_ops;
  t->config = tlsconfig_ref(o->config);
  t->note = o->note;
  t->arg = o->arg;
  if (o->orders) t->orders = *o->orders;
  memcpy(t->host, host, tls_host_size(host));
  buffer_init(&t->out, TLS_OUT_MAX);
  buffer_init(&t->in, TLS_IN_MAX + MBEDTLS_SSL_IN_CONTENT_LEN);
  mbedtls_ssl_init(&t->ssl);
  int result = mbedtls_ssl_setup(&t->ssl, &t->config->conf);
  assert(result == 0); /* it allocates only */
  mbedtls_ssl_set_bio(&t->ssl, t, tls_send, tls_receive, NULL);
  mbedtls_ssl_set_verify(&t->ssl, tls_verify, t);
#if MBEDTLS_VERSION_MAJOR >= 3
  if (t->config->keylog >= 0) mbedtls_ssl_set_export_keys_cb(&t->ssl, tls_export, t);
#endif
  tls_set_host(t, o->port);
  return &t->filter;
}
