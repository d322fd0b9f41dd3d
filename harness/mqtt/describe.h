/* describe: a packet for people.
 *
 * One line without a newline, cut to what fits: `PUBLISH q1 id 3 dup "a/b" 5 B "hello"`. Control characters and bytes that are
 * not text are escaped, so that any bytes are safe on a terminal and in XML.
 */
#ifndef MQRIG_DESCRIBE_H
#define MQRIG_DESCRIBE_H

#include "mqtt/packet.h"

#define DESCRIBE_LINE_MAX 256

/* Writes at most `size` bytes with the terminator; returns what `snprintf` would. */
int describe_packet(const struct packet *p, char *to, size_t size);

/* Text as it can be shown: printable UTF-8 as it is, the rest as \xNN; at most `most` bytes of the source, then "...". Returns the length. */
size_t describe_text(struct slice text, size_t most, char *to, size_t size);

#endif
