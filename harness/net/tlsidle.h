/* tlsidle: what a connection of mbedTLS's keeps and does not need: its two record buffers, 33 KiB, while they hold
 * nothing, and the other end's certificate once it was looked at. */
#ifndef MQRIG_TLSIDLE_H
#define MQRIG_TLSIDLE_H

#include <mbedtls/ssl.h>

/* What is left of a buffer that is not there: its size, and where in it things stand. */
struct tlsidle_place {
  uint32_t size;
  unsigned char offsets[5];
};

struct tlsidle {
  unsigned char counter[8]; /* the number of the next record that comes in */
  struct tlsidle_place in, out;
};

/* Gives back the buffers that hold nothing. */
void tlsidle_release(mbedtls_ssl_context *ssl, struct tlsidle *kept);

/* Before anything else is done with the connection. */
void tlsidle_restore(mbedtls_ssl_context *ssl, const struct tlsidle *kept);

/* After the handshake: nobody asks for the other end's certificate again. */
void tlsidle_forget_peer(mbedtls_ssl_context *ssl);

#endif
