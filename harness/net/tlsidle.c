#include "net/tlsidle.h"

#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3

#include <mbedtls/ssl_internal.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void tlsidle_release_in(mbedtls_ssl_context *ssl, struct tlsidle *kept) {
  bool holds = ssl->in_left || ssl->in_offt || ssl->in_msglen || ssl->in_hslen;
  if (!ssl->in_buf || holds) return;
  unsigned char *const places[] = { ssl->in_ctr, ssl->in_hdr, ssl->in_len, ssl->in_iv, ssl->in_msg };
  for (int i = 0; i < 5; i++) kept->in[i] = (unsigned char)(places[i] - ssl->in_buf);
  memcpy(kept->counter, ssl->in_ctr, sizeof kept->counter);
  free(ssl->in_buf);
  ssl->in_buf = ssl->in_ctr = ssl->in_hdr = ssl->in_len = ssl->in_iv = ssl->in_msg = NULL;
}

static void tlsidle_release_out(mbedtls_ssl_context *ssl, struct tlsidle *kept) {
  if (!ssl->out_buf || ssl->out_left) return;
  unsigned char *const places[] = { ssl->out_ctr, ssl->out_hdr, ssl->out_len, ssl->out_iv, ssl->out_msg };
  for (int i = 0; i < 5; i++) kept->out[i] = (unsigned char)(places[i] - ssl->out_buf);
  free(ssl->out_buf);
  ssl->out_buf = ssl->out_ctr = ssl->out_hdr = ssl->out_len = ssl->out_iv = ssl->out_msg = NULL;
}

void tlsidle_release(mbedtls_ssl_context *ssl, struct tlsidle *kept) {
  if (ssl->state != MBEDTLS_SSL_HANDSHAKE_OVER) return;
  tlsidle_release_in(ssl, kept);
  tlsidle_release_out(ssl, kept);
}

/* mbedTLS frees them itself when the connection is freed: its allocator is the C library's. */
void tlsidle_restore(mbedtls_ssl_context *ssl, const struct tlsidle *kept) {
  if (!ssl->in_buf) {
    unsigned char **const places[] = { &ssl->in_ctr, &ssl->in_hdr, &ssl->in_len, &ssl->in_iv, &ssl->in_msg };
    ssl->in_buf = mem_resize(NULL, MBEDTLS_SSL_IN_BUFFER_LEN);
    for (int i = 0; i < 5; i++) *places[i] = ssl->in_buf + kept->in[i];
    memcpy(ssl->in_ctr, kept->counter, sizeof kept->counter);
  }
  if (!ssl->out_buf) {
    unsigned char **const places[] = { &ssl->out_ctr, &ssl->out_hdr, &ssl->out_len, &ssl->out_iv, &ssl->out_msg };
    ssl->out_buf = mem_resize(NULL, MBEDTLS_SSL_OUT_BUFFER_LEN);
    for (int i = 0; i < 5; i++) *places[i] = ssl->out_buf + kept->out[i];
  }
}

void tlsidle_forget_peer(mbedtls_ssl_context *ssl) {
  if (!ssl->session || !ssl->session->peer_cert) return;
  mbedtls_x509_crt_free(ssl->session->peer_cert);
  free(ssl->session->peer_cert);
  ssl->session->peer_cert = NULL;
}

#else

/* There the buffers are not ours to take: they stay. */
void tlsidle_release(mbedtls_ssl_context *ssl, struct tlsidle *kept) {
  (void)ssl, (void)kept;
}

void tlsidle_restore(mbedtls_ssl_context *ssl, const struct tlsidle *kept) {
  (void)ssl, (void)kept;
}

void tlsidle_forget_peer(mbedtls_ssl_context *ssl) {
  (void)ssl;
}

#endif
