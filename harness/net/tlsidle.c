#include "net/tlsidle.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/tlsconfig_fields.h"

#define TLSIDLE_POINTERS 5

/* A buffer of mbedTLS's, and all that points into it. */
struct tlsidle_buffer {
  unsigned char **start, **pointers[TLSIDLE_POINTERS];
};

#define TLSIDLE_BUFFER(ssl, way)                                                                                       \
  (struct tlsidle_buffer) {                                                                                            \
    &ssl->MBEDTLS_PRIVATE(way##_buf), {                                                                                \
      &ssl->MBEDTLS_PRIVATE(way##_ctr), &ssl->MBEDTLS_PRIVATE(way##_hdr), &ssl->MBEDTLS_PRIVATE(way##_len),            \
          &ssl->MBEDTLS_PRIVATE(way##_iv), &ssl->MBEDTLS_PRIVATE(way##_msg)                                            \
    }                                                                                                                  \
  }

/* mbedTLS's allocator is the C library's, which alone knows the size: no header of mbedTLS 3 tells it. */
static void tlsidle_take(struct tlsidle_buffer b, struct tlsidle_place *kept) {
  kept->size = (uint32_t)malloc_usable_size(*b.start);
  for (int i = 0; i < TLSIDLE_POINTERS; i++) {
    kept->offsets[i] = (unsigned char)(*b.pointers[i] - *b.start);
    *b.pointers[i] = NULL;
  }
  free(*b.start);
  *b.start = NULL;
}

/* mbedTLS frees it itself when the connection is freed. */
static void tlsidle_put(struct tlsidle_buffer b, const struct tlsidle_place *kept) {
  *b.start = mem_resize(NULL, kept->size);
  for (int i = 0; i < TLSIDLE_POINTERS; i++) *b.pointers[i] = *b.start + kept->offsets[i];
}

static bool tlsidle_holds_in(const mbedtls_ssl_context *ssl) {
  return ssl->MBEDTLS_PRIVATE(in_left) || ssl->MBEDTLS_PRIVATE(in_offt) || ssl->MBEDTLS_PRIVATE(in_msglen) ||
         ssl->MBEDTLS_PRIVATE(in_hslen);
}

void tlsidle_release(mbedtls_ssl_context *ssl, struct tlsidle *kept) {
  if (ssl->MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) return;
  if (ssl->MBEDTLS_PRIVATE(in_buf) && !tlsidle_holds_in(ssl)) {
    memcpy(kept->counter, ssl->MBEDTLS_PRIVATE(in_ctr), sizeof kept->counter);
    tlsidle_take(TLSIDLE_BUFFER(ssl, in), &kept->in);
  }
  if (ssl->MBEDTLS_PRIVATE(out_buf) && !ssl->MBEDTLS_PRIVATE(out_left)) {
    tlsidle_take(TLSIDLE_BUFFER(ssl, out), &kept->out);
  }
}

void tlsidle_restore(mbedtls_ssl_context *ssl, const struct tlsidle *kept) {
  if (!ssl->MBEDTLS_PRIVATE(in_buf)) {
    tlsidle_put(TLSIDLE_BUFFER(ssl, in), &kept->in);
    memcpy(ssl->MBEDTLS_PRIVATE(in_ctr), kept->counter, sizeof kept->counter);
  }
  if (!ssl->MBEDTLS_PRIVATE(out_buf)) tlsidle_put(TLSIDLE_BUFFER(ssl, out), &kept->out);
}

void tlsidle_forget_peer(mbedtls_ssl_context *ssl) {
  mbedtls_ssl_session *session = ssl->MBEDTLS_PRIVATE(session);
  if (!session || !session->MBEDTLS_PRIVATE(peer_cert)) return;
  mbedtls_x509_crt_free(session->MBEDTLS_PRIVATE(peer_cert));
  free(session->MBEDTLS_PRIVATE(peer_cert));
  session->MBEDTLS_PRIVATE(peer_cert) = NULL;
}
