/* tlsconfig: what one end of TLS connections is set up with: trust, certificate, key, PSK, versions, resumption.
 *
 * Made once, shared by any number of connections of one world and one role, counted by reference. Files are read when
 * it is made. It also remembers sessions: those of a server for clients that come again (by tickets, and by ids up to
 * TLSCONFIG_IDS_MAX), those of a client by the server that they were with.
 */
#ifndef MQRIG_TLSCONFIG_H
#define MQRIG_TLSCONFIG_H

#include "net/net.h"

#define TLSCONFIG_FILE_MAX    (4u << 20)
#define TLSCONFIG_PSK_MAX     32 /* bytes */
#define TLSCONFIG_ALPN_MAX    8
#define TLSCONFIG_CIPHERS_MAX 64
#define TLSCONFIG_IDS_MAX     1024 /* sessions that a server keeps by id */
#define TLSCONFIG_SESSIONS_MAX                                                                                         \
  64 /* servers with whom a client keeps one; a further one takes the place of the oldest */
#define TLSCONFIG_TICKET_S UINT32_MAX /* for as long as the program lives */

enum tlsconfig_role { TLSCONFIG_CLIENT, TLSCONFIG_SERVER };
enum tlsconfig_resume { TLSCONFIG_RESUME_NO, TLSCONFIG_RESUME_TICKETS, TLSCONFIG_RESUME_IDS, TLSCONFIG_RESUME_ANY };

/* All may be NULL or zero. A text with "-----BEGIN" in it is PEM, any other the path of a file with PEM. */
struct tlsconfig_options {
  const char *ca; /* a client's: whom to trust; NULL: the system's store. A server's: clients must show a certificate */
  const char *crl; /* with `ca` */
  const char *cert, *key, *passphrase;
  const char *psk, *psk_identity;                 /* the key in hexadecimal digits */
  const char *server_name;                        /* SNI, and the name in the certificate, in place of the URL's host */
  const char *alpn[TLSCONFIG_ALPN_MAX + 1];       /* the first of them that both ends know is taken */
  const char *ciphers[TLSCONFIG_CIPHERS_MAX + 1]; /* TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, or with hyphens */
  const char *min_version, *max_version;          /* "1.0", "1.1", "1.2" */
  const char *keylog;  /* a file to which the keys of each connection are appended, as SSLKEYLOGFILE has them */
  size_t fragment_max; /* 512, 1024, 2048, 4096: RFC 6066 4; 0: not asked for */
  enum tlsconfig_resume resume;
  bool insecure; /* a client's: whatever the server shows is taken */
  const char *called; /* what sentences have before the names of these, in place of "tls.": tlsname_call. Static */
};

/* NULL with a sentence that names the option, the file, and what is wrong with it. */
struct tlsconfig *tlsconfig_new(struct net *n, enum tlsconfig_role role, const struct tlsconfig_options *o,
                                struct err *err);
struct tlsconfig *tlsconfig_ref(struct tlsconfig *c); /* NULL is fine */
void tlsconfig_free(struct tlsconfig *c);             /* one reference less */

#endif
