#include "net/tlsrandom.h"

#define TLSRANDOM_CLOCK_SIZE 4
#define TLSRANDOM_REST_SIZE  28
#define TLSRANDOM_MOST_SIZE  20 /* a server of mbedTLS 3 asks for the last 8 apart */

int tlsrandom_draw(void *random, unsigned char *to, size_t size) {
  const struct tlsrandom *r = random;
  bool behind_clock = r->hello && (size == TLSRANDOM_REST_SIZE || size == TLSRANDOM_MOST_SIZE);
  size_t clock = behind_clock ? TLSRANDOM_CLOCK_SIZE : 0;
  net_random(r->net, to - clock, size + clock);
  return 0;
}
