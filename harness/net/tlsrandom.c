#include "net/tlsrandom.h"

#define TLSRANDOM_CLOCK_SIZE 4
#define TLSRANDOM_REST_SIZE  28

int tlsrandom_draw(void *random, unsigned char *to, size_t size) {
  const struct tlsrandom *r = random;
  size_t clock = r->hello && size == TLSRANDOM_REST_SIZE ? TLSRANDOM_CLOCK_SIZE : 0;
  net_random(r->net, to - clock, size + clock);
  return 0;
}
