/* pcapng: packets in a file as packet analysers read it, with comments.
 *
 * One section; its interfaces are Ethernet, with times in nanoseconds. Little endian whatever the machine. Errors of
 * the file are the caller's to look for (ferror), once at the end.
 */
#ifndef MQRIG_PCAPNG_H
#define MQRIG_PCAPNG_H

#include <stdio.h>

#include "base/slice.h"

#define PCAPNG_COMMENT_MAX 4096 /* a longer one is cut */

/* The head of the file. `application` and `comment` may be empty. */
void pcapng_begin(FILE *to, struct slice application, struct slice comment);

/* Before its packets. Interfaces are numbered from 0 in the order in which they come; the name may be empty. */
void pcapng_interface(FILE *to, struct slice name);

/* A frame, at that time since 1970. */
void pcapng_packet(FILE *to, uint32_t interface, int64_t at_ns, struct slice frame, const struct slice *comments,
                   size_t count);

#endif
