/* mem: allocation that cannot fail.
 *
 * Out of memory ends the process with one clear line and exit status 70: no caller has a useful answer to it.
 * What these return is released with free().
 */
#ifndef MQRIG_MEM_H
#define MQRIG_MEM_H

#include <stddef.h>

#include "base/slice.h"

/* `size` bytes, all zero. A size of 0 gives a pointer that may be freed. */
void *mem_zero(size_t size);

/* As realloc. The new part is not cleared. */
void *mem_resize(void *old, size_t size);

/* A copy of the bytes, followed by a zero byte that is not part of them, so that text can be used as a C string. */
char *mem_copy(struct slice bytes);

#endif
