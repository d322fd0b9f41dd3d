/* settings: what a session is told: its limits, the options of a connection, a message to be sent. */
#ifndef MQRIG_SETTINGS_H
#define MQRIG_SETTINGS_H

#include "mqtt/packet.h"

#define SESSION_OUTPUT_MAX            65536 /* bytes encoded ahead of the transport; one packet may pass it */
#define SESSION_TOPICS_MAX            10    /* of one subscribe or unsubscribe call */
#define SESSION_PING_TIMEOUT_MAX_S    30
#define SESSION_DISCONNECT_TIMEOUT_NS 1000000000 /* without a byte handed over, from session_disconnect on */
#define SESSION_INFLIGHT_DEFAULT      65535
#define SESSION_BUFFERED_DEFAULT      100000
#define SESSION_BUFFERED_MAX          (1u << 27) /* a buffered_max over it is taken as this */
#define SESSION_MESSAGE_DEFAULT       262144     /* bytes of payload */

/* Bytes waiting while a broker asks for more replies: more than it can have identifiers for. Beyond it the connection
 * is lost as out of place. */
#define SESSION_REPLIES_MAX (1u << 20)

struct session_options {
  uint32_t inflight_max, buffered_max, message_max;  /* 0: the default */
  uint32_t in_per_s, in_burst, out_per_s, out_burst; /* 0: no limit */
};

struct session_connect {
  struct slice client_id, username, password;
  bool has_username, has_password, has_will, clean;
  struct packet_will will;
  uint16_t keepalive_s; /* 0: none */
  int64_t timeout_ns;   /* from now until CONNACK; the transport's own connecting counts. 0: no limit */
  enum spec_version version;
};

struct session_publish {
  struct slice topic, payload; /* checked by the caller, copied by the session */
  uint8_t qos;
  bool retain;
  uint64_t user; /* comes back in the RESULT event */
};

#endif
