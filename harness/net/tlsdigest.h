/* tlsdigest: what other modules need of mbedTLS: a digest and base64. */
#ifndef MQRIG_TLSDIGEST_H
#define MQRIG_TLSDIGEST_H

#include "base/slice.h"

#define TLSDIGEST_SHA1_SIZE 20

void tlsdigest_sha1(struct slice bytes, uint8_t to[TLSDIGEST_SHA1_SIZE]);

/* `size` holds the text and its terminator: 4 characters for each 3 bytes begun, and 1. */
void tlsdigest_base64(struct slice bytes, char *to, size_t size);

/* How many bytes the text stands for; -1 where it is no base64, or is more than `size` bytes. */
int tlsdigest_unbase64(const char *text, uint8_t *to, size_t size);

#endif
