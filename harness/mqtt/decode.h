/* decode: bytes to packet, lenient.
 *
 * Takes apart whatever has a readable structure, also where it breaks the standard: reserved flags, bad UTF-8, QoS 3,
 * forbidden wildcards all decode, for the strict check (strict.h) to name. BAD means that the structure itself is
 * broken: a field runs past the end, bytes are left over, the length is malformed, the type is reserved. Properties of
 * 5.0 stay together as bytes. NEED_MORE costs no more than a look at the fixed header.
 */
#ifndef MQRIG_DECODE_H
#define MQRIG_DECODE_H

#include "mqtt/packet.h"

enum decode_result { DECODE_OK, DECODE_NEED_MORE, DECODE_BAD };

struct decode_fault {
  size_t offset;      /* from the start of the packet: where it went wrong */
  const char *text;   /* static: "topic runs past the end of the packet" */
  const char *clause; /* static, may be NULL: "MQTT-2.2.3" */
};

/* Decodes the packet at the start of `bytes`, which may hold more behind it. OK: `*out` is filled, its slices point
 * into `bytes`, `out->raw` is the whole packet. NEED_MORE: not all there yet. BAD: `*fault` (may be NULL) says why;
 * `out->type`, `flags` and `raw` are filled (`raw` being the fixed header if the
 * length is malformed), and the fields before the fault. `version` tells what the body follows; a CONNECT
 * tells for itself (an unknown level is read as 3.1.1). */
enum decode_result decode_packet(struct slice bytes, enum spec_version version, struct packet *out,
                                 struct decode_fault *fault);

#endif
