/* tlsrandom: the randomness of mbedTLS, taken from a world, so that a virtual one is the same from the same seed. */
#ifndef MQRIG_TLSRANDOM_H
#define MQRIG_TLSRANDOM_H

#include "net/net.h"

struct tlsrandom {
  struct net *net;
  bool hello; /* while a hello is made: mbedTLS puts the wall clock into the first 4 bytes of its 32 random ones just
                 before it asks for the other 28. All 32 come from the world instead */
};

/* mbedTLS's f_rng; `random` is a struct tlsrandom. */
int tlsrandom_draw(void *random, unsigned char *to, size_t size);

#endif
