/* capture: a timeline as a file for packet analysers (pcapng).
 *
 * Each connection is a TCP conversation made up around its packets: opened, numbered, acknowledged and ended as the
 * timeline says, at the times of the timeline. Where both ends of a connection are ours it stands there once, as the
 * client knows it. What a fault did is a comment on the packet that it hit; a packet that it took away is there all the
 * same, a packet that it cut off only up to there. The broker's port is always 1883, by which analysers know MQTT; the
 * real addresses are a comment on the connection's first packet.
 */
#ifndef MQRIG_CAPTURE_H
#define MQRIG_CAPTURE_H

#include "base/err.h"
#include "host/timeline.h"

#define CAPTURE_NOTES_MAX 16 /* comments on one packet; further ones are left out */

/* `begin_ns`: when the timeline began, since 1970. `comment` is the file's. A file that is there is replaced. */
bool capture_write(const struct timeline *t, const char *path, int64_t begin_ns, const char *comment, struct err *err);

#endif
