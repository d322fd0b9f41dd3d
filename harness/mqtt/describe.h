/* describe: a packet for people.
 *
 * One line without a newline, cut to what fits: `PUBLISH q1 id 3 dup "a/b" 5 B "hello"`. Control characters and bytes
 * that are not text are escaped, so that any bytes are safe on a terminal and in XML.
 */
#ifndef MQRIG_DESCRIBE_H
#define MQRIG_DESCRIBE_H

#include "mqtt/packet.h"

#define DESCRIBE_LINE_MAX  256
#define DESCRIBE_VALUE_MAX 1024

/* Writes at most `size` bytes with the terminator. Returns how long the line is without it, as snprintf; of a line that
 * was cut, which never halves a character, only that it is `size` or more. */
int describe_packet(const struct packet *p, char *to, size_t size);

/* Each field of the packet, in the order of the standard, with its name in snake_case ("packet_id", "will.topic",
 * "subscriptions[1]") and its value for people; first of all type and flags. Name and value are borrowed for the call.
 * Values are cut to DESCRIBE_VALUE_MAX bytes of the source. */
void describe_fields(const struct packet *p, void (*line)(void *arg, const char *name, const char *value), void *arg);

/* Text as it can be shown: printable UTF-8 as it is, a backslash doubled, the rest as \xNN; at most `most` bytes of the
 * source, then "...". Writes at most `size` bytes with the terminator, never half a character or escape; returns how
 * many without it. */
size_t describe_text(struct slice text, size_t most, char *to, size_t size);

#endif
