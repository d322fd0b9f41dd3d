#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void mem_exhausted(size_t size) {
  fprintf(stderr, "mqrig: out of memory (%zu bytes asked for)\n", size);
  _Exit(70);
}

void *mem_zero(size_t size) {
  void *p = calloc(1, size ? size : 1);
  if (!p) mem_exhausted(size);
  return p;
}

void *mem_resize(void *old, size_t size) {
  void *p = realloc(old, size ? size : 1);
  if (!p) mem_exhausted(size);
  return p;
}

char *mem_copy(struct slice bytes) {
  char *p = mem_resize(NULL, bytes.size + 1);
  if (bytes.size) memcpy(p, bytes.data, bytes.size);
  p[bytes.size] = 0;
  return p;
}
