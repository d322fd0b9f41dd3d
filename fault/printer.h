/* printer: text put together piece by piece in memory of the caller, cut to what fits, as snprintf does. */
#ifndef MQRIG_PRINTER_H
#define MQRIG_PRINTER_H

#include <stddef.h>

struct printer {
  char *to;
  size_t size;   /* of `to`, with room for the terminator; 0: only count */
  size_t length; /* of the whole text, were there room */
};

void printer_init(struct printer *p, char *to, size_t size);
void printer_put(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
