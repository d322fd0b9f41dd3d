#include "fault/proxytls.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/pki.h"

enum proxytls_kind { PROXYTLS_TEXT, PROXYTLS_ALPN, PROXYTLS_CIPHERS, PROXYTLS_INSECURE, PROXYTLS_CA_OUT };

struct proxytls_row {
  struct proxytls_option option; /* first */
  enum proxytls_kind kind;
  size_t at;         /* of a text: in struct tlsconfig_options */
  bool for_upstream; /* towards clients it would mean nothing */
};

#define BOTH(name)    name, "tls-" name, "upstream-tls-" name
#define CLIENTS(name) name, "tls-" name, NULL
#define TEXT(member)  PROXYTLS_TEXT, offsetof(struct tlsconfig_options, member)

static const struct proxytls_row proxytls_rows[] = {
  { { BOTH("cert"), "FILE", "the certificate to show, with those between it and the CA (PEM)" }, TEXT(cert) },
  { { BOTH("key"), "FILE", "its private key" }, TEXT(key) },
  { { BOTH("passphrase"), "TEXT", "what the key is encrypted with" }, TEXT(passphrase) },
  { { BOTH("ca"), "FILE", "whom to trust; --tls-ca asks clients for a certificate of it" }, TEXT(ca) },
  { { BOTH("crl"), "FILE", "what that CA has revoked" }, TEXT(crl) },
  { { BOTH("insecure"), NULL, "take any certificate of the upstream" }, PROXYTLS_INSECURE, 0, true },
  { { BOTH("server-name"), "NAME", "the name in the upstream's certificate, if not the URL's host" },
    TEXT(server_name),
    true },
  { { BOTH("psk"), "HEX", "a pre-shared key in place of certificates" }, TEXT(psk) },
  { { BOTH("psk-identity"), "TEXT", "whose it is" }, TEXT(psk_identity) },
  { { BOTH("alpn"), "NAME,...", "protocols to agree on: mqtt" }, PROXYTLS_ALPN, 0 },
  { { BOTH("ciphers"), "NAME,...", "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256 and the like" }, PROXYTLS_CIPHERS, 0 },
  { { BOTH("min-version"), "VERSION", "1.0, 1.1 or 1.2, the default" }, TEXT(min_version) },
  { { BOTH("max-version"), "VERSION", "likewise" }, TEXT(max_version) },
  { { BOTH("keylog"), "FILE", "append each connection's keys; default: SSLKEYLOGFILE" }, TEXT(keylog) },
  { { CLIENTS("ca-out"), "FILE", "where the CA made for this run is written" }, PROXYTLS_CA_OUT, 0 },
};
#define PROXYTLS_ROWS (sizeof proxytls_rows / sizeof *proxytls_rows)

static const char *const proxytls_prefixes[PROXYTLS_SIDES] = { "--tls-", "--upstream-tls-" };

/* Options. */

const struct proxytls_option *proxytls_option(size_t index) {
  return index < PROXYTLS_ROWS ? &proxytls_rows[index].option : NULL;
}

/* By side. */
static const char *proxytls_name(const struct proxytls_option *o, int side) {
  return side == PROXYTLS_CLIENTS ? o->clients : o->upstream;
}

const struct proxytls_option *proxytls_find(const char *name, size_t size, enum proxytls_side *side) {
  for (size_t i = 0; i < PROXYTLS_ROWS; i++) {
    for (*side = 0; *side < PROXYTLS_SIDES; ++*side) {
      const char *own = proxytls_name(&proxytls_rows[i].option, *side);
      if (own && strlen(own) == size && memcmp(own, name, size) == 0) return &proxytls_rows[i].option;
    }
  }
  return NULL;
}

size_t proxytls_names(const char *to[PROXYTLS_NAMES_MAX]) {
  size_t count = 0;
  for (size_t i = 0; i < PROXYTLS_ROWS; i++) {
    for (int side = 0; side < PROXYTLS_SIDES; side++) {
      const char *own = proxytls_name(&proxytls_rows[i].option, side);
      if (own) to[count++] = own;
    }
  }
  return count;
}

void proxytls_init(struct proxytls *t) {
  *t = (struct proxytls){ 0 };
  for (int side = 0; side < PROXYTLS_SIDES; side++) {
    t->sides[side].called = proxytls_prefixes[side];
    t->sides[side].keylog = getenv("SSLKEYLOGFILE");
  }
  t->sides[PROXYTLS_CLIENTS].resume = TLSCONFIG_RESUME_ANY;
}

void proxytls_fini(struct proxytls *t) {
  for (size_t i = 0; i < sizeof t->lists / sizeof *t->lists; i++) free(t->lists[i]);
  free(t->ca);
  if (t->path[0] && !t->ca_out) unlink(t->path);
}

/* "a,b" as a list. */
static bool proxytls_split(char **own, const char *value, const char **to, size_t most, struct err *err) {
  size_t count = 0;
  free(*own);
  *own = mem_copy(slice_text(value));
  for (char *at = *own, *end; at; at = end) {
    end = strchr(at, ',');
    if (end) *end++ = 0;
    if (count == most) return err_set(err, "\"%.60s\": %zu names at most", value, most);
    to[count++] = at;
  }
  to[count] = NULL;
  return true;
}

static bool proxytls_put(struct proxytls *t, const struct proxytls_row *row, enum proxytls_side side, const char *value,
                         struct err *err) {
  struct tlsconfig_options *o = &t->sides[side];
  switch (row->kind) {
  case PROXYTLS_ALPN: return proxytls_split(&t->lists[2 * side], value, o->alpn, TLSCONFIG_ALPN_MAX, err);
  case PROXYTLS_CIPHERS: return proxytls_split(&t->lists[2 * side + 1], value, o->ciphers, TLSCONFIG_CIPHERS_MAX, err);
  case PROXYTLS_INSECURE: return o->insecure = true;
  case PROXYTLS_CA_OUT: t->ca_out = value; return true;
  default: memcpy((char *)o + row->at, &value, sizeof value); return true;
  }
}

bool proxytls_set(struct proxytls *t, const struct proxytls_option *o, enum proxytls_side side, const char *value,
                  struct err *err) {
  const struct proxytls_row *row = (const struct proxytls_row *)(const void *)o;
  if (row->for_upstream && side == PROXYTLS_CLIENTS)
    return err_set(err, "--%s is about a server's certificate: the upstream's side has --%s", o->clients, o->upstream);
  if (!t->given[side]) t->given[side] = proxytls_name(o, side);
  if (value && !value[0]) return err_set(err, "--%s %s: it is empty", proxytls_name(o, side), o->argument);
  return proxytls_put(t, row, side, value, err);
}

/* What they make. */

/* An option for a side that has no TLS would be passed over. */
static bool proxytls_check(const struct proxytls *t, const struct url *u, enum proxytls_side side, bool other_has,
                           struct err *err) {
  static const char *const urls[] = { "LISTEN", "UPSTREAM" };
  char hint[80] = "";
  if (u->tls || !t->given[side]) return true;
  if (other_has) snprintf(hint, sizeof hint, "; for %s there are %s...", urls[!side], proxytls_prefixes[!side]);
  return err_set(err, "--%s is for TLS: %s would begin with ssl://, mqtts:// or wss://, and begins with %s://%s",
                 t->given[side], urls[side], url_scheme_name(u->scheme), hint);
}

/* A certificate for this machine's own addresses, and the host that is listened at. */
static bool proxytls_invent(struct proxytls *t, struct net *n, const char *host, struct tlsconfig **out,
                            struct err *err) {
  bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
  const char *const names[] = { host[0] && !any ? host : NULL, NULL };
  struct tlsconfig_options o = t->sides[PROXYTLS_CLIENTS];
  struct pki *p = pki_new(n, names, err);
  if (!p) return false;
  struct pki_pair pair = pki_pair(p, PKI_SERVER, PKI_GOOD);
  o.cert = pair.certificate;
  o.key = pair.key;
  *out = tlsconfig_new(n, TLSCONFIG_SERVER, &o, err);
  t->ca = mem_copy(slice_text(pki_ca(p)));
  pki_free(p);
  return *out != NULL;
}

static bool proxytls_make_server(struct proxytls *t, struct net *n, const char *host, struct tlsconfig **out,
                                 struct err *err) {
  const struct tlsconfig_options *o = &t->sides[PROXYTLS_CLIENTS];
  bool own = o->cert || o->key || o->psk;
  if (own && t->ca_out) return err_set(err, "--tls-ca-out is for a CA made for this run, and there is a certificate");
  if (!own) return proxytls_invent(t, n, host, out, err);
  *out = tlsconfig_new(n, TLSCONFIG_SERVER, o, err);
  return *out != NULL;
}

bool proxytls_make(struct proxytls *t, struct net *n, struct proxy_options *o, bool fixed, struct err *err) {
  bool server = o->listen.tls || (!fixed && t->given[PROXYTLS_CLIENTS]);
  bool client = o->upstream.tls || (!fixed && t->given[PROXYTLS_UPSTREAM]);
  if (fixed && (!proxytls_check(t, &o->listen, PROXYTLS_CLIENTS, o->upstream.tls, err) ||
                !proxytls_check(t, &o->upstream, PROXYTLS_UPSTREAM, o->listen.tls, err)))
    return false;
  if (server && !proxytls_make_server(t, n, o->listen.host, &o->tls, err)) return false;
  if (client) o->upstream_tls = tlsconfig_new(n, TLSCONFIG_CLIENT, &t->sides[PROXYTLS_UPSTREAM], err);
  return o->upstream_tls || !client;
}

void proxytls_drop(struct proxy_options *o) {
  tlsconfig_free(o->tls);
  tlsconfig_free(o->upstream_tls);
  o->tls = o->upstream_tls = NULL;
}

/* The CA's file. */

static int proxytls_open(struct proxytls *t) {
  const char *folder = getenv("TMPDIR");
  int fd;
  if (t->ca_out) {
    snprintf(t->path, sizeof t->path, "%s", t->ca_out);
    return creat(t->path, 0644);
  }
  snprintf(t->path, sizeof t->path, "%s/mqrig-ca-XXXXXX.pem", folder && folder[0] ? folder : "/tmp");
  fd = mkstemps(t->path, 4);
  if (fd >= 0) fchmod(fd, 0644); /* it is no secret: clients may be of other users */
  return fd;
}

bool proxytls_publish(struct proxytls *t, struct err *err) {
  if (!t->ca) return true;
  int fd = proxytls_open(t);
  size_t size = strlen(t->ca);
  bool good = fd >= 0 && write(fd, t->ca, size) == (ssize_t)size;
  if (fd >= 0 && close(fd) != 0) good = false;
  if (good) return true;
  err_set(err, "the CA made for this run cannot be written to %.300s: %s", t->path, strerror(errno));
  if (fd < 0) t->path[0] = 0;
  return false;
}
