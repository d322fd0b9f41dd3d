#include "mqtt/layout.h"

#define FIELD(kind, when, member, name, clause)                                                                        \
  { LAYOUT_##kind, when, offsetof(struct packet, member), name, name " runs past the end of the packet", clause }
#define PACKET_ID(clause) FIELD(INT16, 0, packet_id, "packet_id", clause)
#define PROPERTIES(when)  FIELD(PROPERTIES, LAYOUT_V5 | (when), properties, "properties", NULL)
#define REASON_CODE       FIELD(BYTE, LAYOUT_V5 | LAYOUT_MORE, reason_code, "reason_code", NULL)
#define END                                                                                                            \
  { LAYOUT_END, 0, 0, NULL, NULL, NULL }

/* The order of CONNECT's payload is [MQTT-3.1.3-1]. */
static const struct layout_field layout_connect[] = {
  FIELD(STRING, 0, protocol_name, "protocol_name", "MQTT-3.1.2-1"),
  FIELD(LEVEL, 0, protocol_version, "protocol_version", "MQTT-3.1.2-2"),
  FIELD(CONNECT_FLAGS, 0, connect_flags, "connect_flags", NULL),
  FIELD(INT16, 0, keepalive_s, "keepalive", NULL),
  PROPERTIES(0),
  FIELD(STRING, 0, client_id, "client_id", "MQTT-3.1.3-3"),
  FIELD(PROPERTIES, LAYOUT_V5 | LAYOUT_WILL, will.properties, "will.properties", NULL),
  FIELD(STRING, LAYOUT_WILL, will.topic, "will.topic", "MQTT-3.1.2-9"),
  FIELD(BINARY, LAYOUT_WILL, will.payload, "will.payload", "MQTT-3.1.2-9"),
  FIELD(STRING, LAYOUT_USERNAME, username, "username", "MQTT-3.1.2-19"),
  FIELD(BINARY, LAYOUT_PASSWORD, password, "password", "MQTT-3.1.2-21"),
  END,
};

static const struct layout_field layout_connack[] = {
  FIELD(CONNACK_FLAGS, 0, connack_flags, "connack_flags", NULL),
  FIELD(BYTE, 0, reason_code, "reason_code", NULL),
  PROPERTIES(0),
  END,
};

static const struct layout_field layout_publish[] = {
  FIELD(STRING, 0, topic, "topic", "MQTT-3.3.2-1"),
  FIELD(INT16, LAYOUT_QOS, packet_id, "packet_id", "MQTT-2.3.1-1"),
  PROPERTIES(0),
  FIELD(PAYLOAD, 0, payload, "payload", NULL),
  END,
};

/* PUBACK, PUBREC, PUBREL and PUBCOMP. */
static const struct layout_field layout_ack[] = {
  PACKET_ID("MQTT-2.3.1-6"),
  REASON_CODE,
  PROPERTIES(LAYOUT_MORE),
  END,
};

static const struct layout_field layout_subscribe[] = {
  PACKET_ID("MQTT-2.3.1-1"),
  PROPERTIES(0),
  FIELD(SUBSCRIPTIONS, 0, items, "subscriptions", "MQTT-3.8.3-3"),
  END,
};

static const struct layout_field layout_suback[] = {
  PACKET_ID("MQTT-2.3.1-7"),
  PROPERTIES(0),
  FIELD(CODES, 0, items, "reason_codes", NULL),
  END,
};

static const struct layout_field layout_unsubscribe[] = {
  PACKET_ID("MQTT-2.3.1-1"),
  PROPERTIES(0),
  FIELD(FILTERS, 0, items, "filters", "MQTT-3.10.3-1"),
  END,
};

static const struct layout_field layout_unsuback[] = {
  PACKET_ID("MQTT-2.3.1-7"),
  PROPERTIES(0),
  FIELD(CODES, LAYOUT_V5, items, "reason_codes", NULL),
  END,
};

static const struct layout_field layout_ping[] = { END };

/* DISCONNECT and AUTH. */
static const struct layout_field layout_reason[] = { REASON_CODE, PROPERTIES(LAYOUT_MORE), END };

static const struct layout_field *const layout_packets[SPEC_TYPES] = {
  [SPEC_CONNECT] = layout_connect,   [SPEC_CONNACK] = layout_connack,
  [SPEC_PUBLISH] = layout_publish,   [SPEC_PUBACK] = layout_ack,
  [SPEC_PUBREC] = layout_ack,        [SPEC_PUBREL] = layout_ack,
  [SPEC_PUBCOMP] = layout_ack,       [SPEC_SUBSCRIBE] = layout_subscribe,
  [SPEC_SUBACK] = layout_suback,     [SPEC_UNSUBSCRIBE] = layout_unsubscribe,
  [SPEC_UNSUBACK] = layout_unsuback, [SPEC_PINGREQ] = layout_ping,
  [SPEC_PINGRESP] = layout_ping,     [SPEC_DISCONNECT] = layout_reason,
  [SPEC_AUTH] = layout_reason,
};

const struct layout_field *layout_of(unsigned type) {
  return type < SPEC_TYPES ? layout_packets[type] : NULL;
}

uint8_t layout_connect_flags(const struct packet *p) {
  return (uint8_t)((p->has_username << 7) | (p->has_password << 6) | (p->will.retain << 5) | ((p->will.qos & 3) << 3) |
                   (p->has_will << 2) | (p->clean << 1) | (p->connect_flags & 1));
}
