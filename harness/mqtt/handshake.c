#include "mqtt/handshake.h"

enum { HANDSHAKE_PUBACK, HANDSHAKE_PUBREC, HANDSHAKE_PUBCOMP, HANDSHAKE_ACKS };

/* What an acknowledgement does to a sender; an empty row does not fit. 3.1.1 figures 4.2 and 4.3. */
static const struct handshake_step handshake_steps[][HANDSHAKE_ACKS] = {
  [HANDSHAKE_PUBACK_DUE] = { [HANDSHAKE_PUBACK] = { HANDSHAKE_DONE, 0, true } },
  [HANDSHAKE_PUBREC_DUE] = { [HANDSHAKE_PUBREC] = { HANDSHAKE_PUBCOMP_DUE, SPEC_PUBREL, true } },
  [HANDSHAKE_PUBCOMP_DUE] = { [HANDSHAKE_PUBREC] = { HANDSHAKE_PUBCOMP_DUE, SPEC_PUBREL, true },
                              [HANDSHAKE_PUBCOMP] = { HANDSHAKE_DONE, 0, true } },
  [HANDSHAKE_DONE] = { { 0 } },
};

static const uint8_t handshake_resends[] = {
  [HANDSHAKE_PUBACK_DUE] = SPEC_PUBLISH,
  [HANDSHAKE_PUBREC_DUE] = SPEC_PUBLISH,
  [HANDSHAKE_PUBCOMP_DUE] = SPEC_PUBREL, /* never the PUBLISH again [MQTT-4.3.3-1] */
  [HANDSHAKE_DONE] = 0,
};

enum handshake_state handshake_sent(uint8_t qos) {
  static const enum handshake_state after[] = { HANDSHAKE_DONE, HANDSHAKE_PUBACK_DUE, HANDSHAKE_PUBREC_DUE };
  return qos < 3 ? after[qos] : HANDSHAKE_DONE;
}

static int handshake_column(uint8_t type) {
  switch (type) {
  case SPEC_PUBACK: return HANDSHAKE_PUBACK;
  case SPEC_PUBREC: return HANDSHAKE_PUBREC;
  case SPEC_PUBCOMP: return HANDSHAKE_PUBCOMP;
  default: return -1;
  }
}

struct handshake_step handshake_acknowledged(enum handshake_state state, uint8_t type) {
  int column = handshake_column(type);
  struct handshake_step step = { 0 };
  if (column >= 0 && state <= HANDSHAKE_DONE) step = handshake_steps[state][column];
  if (!step.fits) step.next = state;
  return step;
}

uint8_t handshake_resend(enum handshake_state state) {
  return state <= HANDSHAKE_DONE ? handshake_resends[state] : 0;
}

uint8_t handshake_answer(uint8_t qos) {
  static const uint8_t answers[] = { 0, SPEC_PUBACK, SPEC_PUBREC };
  return qos < 3 ? answers[qos] : 0;
}
