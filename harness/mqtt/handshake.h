/* handshake: the QoS 1 and 2 exchanges as a table, 3.1.1 section 4.3.
 *
 * Pure: which state results, and what is to be sent, apart from applying it. One table serves the sender and one the
 * receiver, for a client and for a broker alike.
 */
#ifndef MQRIG_HANDSHAKE_H
#define MQRIG_HANDSHAKE_H

#include "mqtt/spec.h"

/* The sender's states; a message that is not yet handed over is WAITING. */
enum handshake_state {
  HANDSHAKE_WAITING,
  HANDSHAKE_PUBACK_DUE,  /* QoS 1, PUBLISH sent */
  HANDSHAKE_PUBREC_DUE,  /* QoS 2, PUBLISH sent */
  HANDSHAKE_PUBCOMP_DUE, /* QoS 2, PUBREL sent */
  HANDSHAKE_DONE,
};

struct handshake_step {
  enum handshake_state next;
  uint8_t reply; /* a packet type to send, or 0 */
  bool fits;     /* false: the acknowledgement does not belong here; nothing changes */
};

/* After the PUBLISH was handed over. */
enum handshake_state handshake_sent(uint8_t qos);

/* After an acknowledgement (PUBACK, PUBREC or PUBCOMP) reached the sender in `state`. A repeated PUBREC is answered
 * with PUBREL again. */
struct handshake_step handshake_acknowledged(enum handshake_state state, uint8_t type);

/* What a sender in `state` sends again on a resumed session [MQTT-4.4.0-1]: SPEC_PUBLISH, SPEC_PUBREL, or 0. */
uint8_t handshake_resend(enum handshake_state state);

/* What a receiver answers to a PUBLISH of that QoS: 0, SPEC_PUBACK or SPEC_PUBREC. */
uint8_t handshake_answer(uint8_t qos);

#endif
