#include "fault/printer.h"

#include <stdarg.h>
#include <stdio.h>

void printer_init(struct printer *p, char *to, size_t size) {
  *p = (struct printer){ .to = to, .size = size };
  if (size) to[0] = '\0';
}

void printer_put(struct printer *p, const char *format, ...) {
  size_t room = p->length < p->size ? p->size - p->length : 0;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(room ? p->to + p->length : NULL, room, format, args);
  va_end(args);
  if (n > 0) p->length += (size_t)n;
}
