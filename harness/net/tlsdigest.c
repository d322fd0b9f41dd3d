#include "net/tlsdigest.h"

#include <assert.h>
#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define tlsdigest_hash mbedtls_sha1_ret
#else
#define tlsdigest_hash mbedtls_sha1
#endif

void tlsdigest_sha1(struct slice bytes, uint8_t to[TLSDIGEST_SHA1_SIZE]) {
  int failed = tlsdigest_hash(bytes.data, bytes.size, to);
  assert(!failed);
}

void tlsdigest_base64(struct slice bytes, char *to, size_t size) {
  size_t length;
  int failed = mbedtls_base64_encode((unsigned char *)to, size, &length, bytes.data, bytes.size);
  assert(!failed);
}

int tlsdigest_unbase64(const char *text, uint8_t *to, size_t size) {
  size_t length;
  int failed = mbedtls_base64_decode(to, size, &length, (const unsigned char *)text, strlen(text));
  return failed ? -1 : (int)length;
}
