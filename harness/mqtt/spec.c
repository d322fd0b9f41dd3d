#include "mqtt/spec.h"

#define BOTH (SPEC_CLIENT | SPEC_BROKER)

static const struct spec_packet spec_packets[SPEC_TYPES] = {
  [SPEC_CONNECT] = { "CONNECT", 0, SPEC_CLIENT, SPEC_CLIENT, false, 0, "3.1.1:2.2.2-1" },
  [SPEC_CONNACK] = { "CONNACK", 0, SPEC_BROKER, SPEC_BROKER, false, SPEC_CONNECT, "3.1.1:2.2.2-1" },
  [SPEC_PUBLISH] = { "PUBLISH", 0, BOTH, BOTH, true, 0, "3.1.1:2.2.2-1" },
  [SPEC_PUBACK] = { "PUBACK", 0, BOTH, BOTH, true, SPEC_PUBLISH, "3.1.1:2.2.2-1" },
  [SPEC_PUBREC] = { "PUBREC", 0, BOTH, BOTH, true, SPEC_PUBLISH, "3.1.1:2.2.2-1" },
  [SPEC_PUBREL] = { "PUBREL", 2, BOTH, BOTH, true, SPEC_PUBREC, "3.1.1:3.6.1-1" },
  [SPEC_PUBCOMP] = { "PUBCOMP", 0, BOTH, BOTH, true, SPEC_PUBREL, "3.1.1:2.2.2-1" },
  [SPEC_SUBSCRIBE] = { "SUBSCRIBE", 2, SPEC_CLIENT, SPEC_CLIENT, true, 0, "3.1.1:3.8.1-1" },
  [SPEC_SUBACK] = { "SUBACK", 0, SPEC_BROKER, SPEC_BROKER, true, SPEC_SUBSCRIBE, "3.1.1:2.2.2-1" },
  [SPEC_UNSUBSCRIBE] = { "UNSUBSCRIBE", 2, SPEC_CLIENT, SPEC_CLIENT, true, 0, "3.1.1:3.10.1-1" },
  [SPEC_UNSUBACK] = { "UNSUBACK", 0, SPEC_BROKER, SPEC_BROKER, true, SPEC_UNSUBSCRIBE, "3.1.1:2.2.2-1" },
  [SPEC_PINGREQ] = { "PINGREQ", 0, SPEC_CLIENT, SPEC_CLIENT, false, 0, "3.1.1:2.2.2-1" },
  [SPEC_PINGRESP] = { "PINGRESP", 0, SPEC_BROKER, SPEC_BROKER, false, SPEC_PINGREQ, "3.1.1:2.2.2-1" },
  [SPEC_DISCONNECT] = { "DISCONNECT", 0, SPEC_CLIENT, BOTH, false, 0, "3.1.1:3.14.1-1" },
  [SPEC_AUTH] = { "AUTH", 0, 0, BOTH, false, 0, NULL },
};

/* Table 3.1 of 3.1.1. */
static const char *const spec_connack_texts[] = {
  "accepted",           "unacceptable protocol version", "client identifier rejected",
  "server unavailable", "bad user name or password",     "not authorized",
};

const struct spec_packet *spec_packet(unsigned type) {
  return type > 0 && type < SPEC_TYPES ? &spec_packets[type] : NULL;
}

unsigned spec_type_of(struct slice name) {
  for (unsigned type = 1; type < SPEC_TYPES; type++)
    if (slice_equal(name, slice_text(spec_packets[type].name))) return type;
  return 0;
}

const char *spec_connack_text(unsigned code) {
  return code < sizeof spec_connack_texts / sizeof *spec_connack_texts ? spec_connack_texts[code] : "reserved";
}
