/* defect: mistakes that the client and the built-in broker make when told to.
 *
 * What is there to find mistakes (invariants, scenarios, conformance checks) is shown to find them by switching one on.
 * One at a time, for the whole process; none unless asked for. Where a defect sits, the code asks `defect_is`: one
 * comparison with a number that does not change.
 */
#ifndef MQRIG_DEFECT_H
#define MQRIG_DEFECT_H

#include <stdbool.h>

#include "base/err.h"

enum defect {
  DEFECT_NONE,
  /* of the client */
  DEFECT_RESEND_WITHOUT_DUP,
  DEFECT_DUP_AT_ONCE,
  DEFECT_PACKET_ID_REUSED,
  DEFECT_PACKET_IDS_OFF_BY_ONE,
  DEFECT_PUBREL_FORGOTTEN,
  DEFECT_RESEND_FORGOTTEN,
  DEFECT_PUBLISH_AFTER_PUBREC,
  DEFECT_RESEND_OUT_OF_ORDER,
  DEFECT_RESEND_WITHIN_CONNECTION,
  DEFECT_RESULT_TWICE,
  DEFECT_RESULT_MISSING,
  DEFECT_SUCCESS_TOO_EARLY,
  DEFECT_FAILED_AS_NOT_SENT,
  DEFECT_LOSS_TOLD_TWICE,
  DEFECT_BUFFERED_OFF_BY_ONE,
  DEFECT_KEEPALIVE_FROM_RECEIVING,
  DEFECT_PING_TIMEOUT_IGNORED,
  DEFECT_PING_TOO_OFTEN,
  DEFECT_CONNECT_TIMEOUT_IGNORED,
  DEFECT_CLIENT_DEDUP_LOST,
  DEFECT_PUBACK_FORGOTTEN,
  DEFECT_PUBACK_WRONG_ID,
  DEFECT_SENT_AFTER_DISCONNECT,
  DEFECT_TIMER_LEFT,
  /* of the built-in broker */
  DEFECT_WILL_AFTER_DISCONNECT,
  DEFECT_WILL_FORGOTTEN,
  DEFECT_WILL_TWICE,
  DEFECT_KEEPALIVE_EARLY,
  DEFECT_KEEPALIVE_LATE,
  DEFECT_TAKEOVER_KEEPS_BOTH,
  DEFECT_SESSION_PRESENT_LIES,
  DEFECT_SUBSCRIPTIONS_LOST,
  DEFECT_QUEUE_LOST,
  DEFECT_RETAINED_STALE,
  DEFECT_RETAINED_NOT_CLEARED,
  DEFECT_BROKER_DEDUP_LOST,
  DEFECT_QOS_0_TWICE,
  DEFECT_PAYLOAD_ALTERED,
  DEFECT_MESSAGE_LOST,
  DEFECT_QUEUE_OUT_OF_ORDER,
  DEFECT_QUEUE_OFF_BY_ONE,
  DEFECT_PUBCOMP_FORGOTTEN,
  DEFECT_BEFORE_CONNACK,
  DEFECT_NEIGHBOUR_CLOSED,
  DEFECT_COUNT,
};

extern enum defect defect_on; /* private: see defect_is and defect_switch */

static inline bool defect_is(enum defect d) {
  return __builtin_expect(defect_on == d, 0);
}

void defect_switch(enum defect d);

/* "resend-without-dup". NULL beyond DEFECT_COUNT. */
const char *defect_name(enum defect d);
/* What is done wrong, as a sentence's part: "a PUBLISH is sent again without DUP". */
const char *defect_text(enum defect d);

/* By name; false with a sentence that has the near one. */
bool defect_find(const char *name, enum defect *out, struct err *err);

#endif
