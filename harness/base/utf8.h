/* utf8: text as MQTT wants it, 3.1.1 section 1.5.3. */
#ifndef MQRIG_UTF8_H
#define MQRIG_UTF8_H

#include "base/slice.h"

enum utf8_fault {
  UTF8_GOOD,
  UTF8_ILL_FORMED, /* overlong, cut short, above U+10FFFF, stray byte: [MQTT-1.5.3-1] */
  UTF8_SURROGATE,  /* U+D800 to U+DFFF encoded: [MQTT-1.5.3-1] */
  UTF8_NULL,       /* U+0000: [MQTT-1.5.3-2] */
};

/* The first fault, and in `*offset` (may be NULL) where it begins. */
enum utf8_fault utf8_check(struct slice text, size_t *offset);

/* What the first character of `text`, which is not empty, is, and in `*size` how many bytes it has; 1 if ill-formed. */
enum utf8_fault utf8_next(struct slice text, size_t *size);

/* A sentence fragment: "U+0000", "a surrogate", "ill-formed UTF-8". */
const char *utf8_fault_text(enum utf8_fault fault);

#endif
