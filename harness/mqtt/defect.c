#include "mqtt/defect.h"

#include <stddef.h>
#include <string.h>

#include "base/near.h"

enum defect defect_on;

static const struct defect_row {
  const char *name, *text;
} defect_rows[DEFECT_COUNT] = {
  [DEFECT_NONE] = { "none", "nothing is done wrong" },
  [DEFECT_RESEND_WITHOUT_DUP] = { "resend-without-dup", "the client sends a PUBLISH again without DUP" },
  [DEFECT_DUP_AT_ONCE] = { "dup-at-once", "the client sets DUP on the first sending" },
  [DEFECT_PACKET_ID_REUSED] = { "packet-id-reused", "the client gives an identifier that is in flight" },
  [DEFECT_PACKET_IDS_OFF_BY_ONE] = { "packet-ids-off-by-one", "the client never gives the last free identifier" },
  [DEFECT_PUBREL_FORGOTTEN] = { "pubrel-forgotten", "the client does not send PUBREL again on a resumed session" },
  [DEFECT_RESEND_FORGOTTEN] = { "resend-forgotten", "the client sends nothing again on a resumed session" },
  [DEFECT_PUBLISH_AFTER_PUBREC] = { "publish-after-pubrec", "the client sends the PUBLISH again after its PUBREC" },
  [DEFECT_RESEND_OUT_OF_ORDER] = { "resend-out-of-order", "the client sends the oldest message again as the last" },
  [DEFECT_RESEND_WITHIN_CONNECTION] = { "resend-within-connection", "the client repeats what waits, unasked" },
  [DEFECT_RESULT_TWICE] = { "result-twice", "the client tells a result twice" },
  [DEFECT_RESULT_MISSING] = { "result-missing", "the client tells no result of what a loss has kept from being sent" },
  [DEFECT_SUCCESS_TOO_EARLY] = { "success-too-early", "the client tells 0 at QoS 1 before the PUBACK" },
  [DEFECT_FAILED_AS_NOT_SENT] = { "failed-as-not-sent", "the client tells -3 of what was written" },
  [DEFECT_LOSS_TOLD_TWICE] = { "loss-told-twice", "the client tells a lost connection twice" },
  [DEFECT_BUFFERED_OFF_BY_ONE] = { "buffered-off-by-one", "the client takes one message more than maxbuffered" },
  [DEFECT_KEEPALIVE_FROM_RECEIVING] = { "keepalive-from-receiving", "the client counts keepalive from what it reads" },
  [DEFECT_PING_TIMEOUT_IGNORED] = { "ping-timeout-ignored", "the client waits for PINGRESP for ever" },
  [DEFECT_PING_TOO_OFTEN] = { "ping-too-often", "the client pings a hundred times as often" },
  [DEFECT_CONNECT_TIMEOUT_IGNORED] = { "connect-timeout-ignored", "the client waits for CONNACK for ever" },
  [DEFECT_CLIENT_DEDUP_LOST] = { "client-dedup-lost", "the client forgets on resuming which QoS 2 messages it has" },
  [DEFECT_PUBACK_FORGOTTEN] = { "puback-forgotten", "the client does not acknowledge every third QoS 1 message" },
  [DEFECT_PUBACK_WRONG_ID] = { "puback-wrong-id", "the client acknowledges the identifier after the right one" },
  [DEFECT_SENT_AFTER_DISCONNECT] = { "sent-after-disconnect", "the client sends PINGREQ behind its DISCONNECT" },
  [DEFECT_TIMER_LEFT] = { "timer-left", "the client leaves its timer set when it is closed" },
  [DEFECT_WILL_AFTER_DISCONNECT] = { "will-after-disconnect", "the broker publishes the will after DISCONNECT" },
  [DEFECT_WILL_FORGOTTEN] = { "will-forgotten", "the broker does not publish wills" },
  [DEFECT_WILL_TWICE] = { "will-twice", "the broker publishes a will twice" },
  [DEFECT_KEEPALIVE_EARLY] = { "keepalive-early", "the broker closes after one keep alive" },
  [DEFECT_KEEPALIVE_LATE] = { "keepalive-late", "the broker closes after three keep alives" },
  [DEFECT_TAKEOVER_KEEPS_BOTH] = { "takeover-keeps-both",
                                   "the broker leaves the old connection of an identifier open" },
  [DEFECT_SESSION_PRESENT_LIES] = { "session-present-lies", "the broker says session present 0 of one that is" },
  [DEFECT_SUBSCRIPTIONS_LOST] = { "subscriptions-lost", "the broker loses subscriptions of who is away" },
  [DEFECT_QUEUE_LOST] = { "queue-lost", "the broker loses what it keeps for who is away" },
  [DEFECT_RETAINED_STALE] = { "retained-stale", "the broker keeps the older retained message" },
  [DEFECT_RETAINED_NOT_CLEARED] = { "retained-not-cleared", "the broker does not clear retained messages" },
  [DEFECT_BROKER_DEDUP_LOST] = { "broker-dedup-lost", "the broker passes a repeated QoS 2 PUBLISH on again" },
  [DEFECT_QOS_0_TWICE] = { "qos-0-twice", "the broker passes a QoS 0 message on twice" },
  [DEFECT_PAYLOAD_ALTERED] = { "payload-altered", "the broker passes QoS 1 and 2 messages on without their last byte" },
  [DEFECT_MESSAGE_LOST] = { "message-lost", "the broker loses every seventh message above QoS 0" },
  [DEFECT_QUEUE_OUT_OF_ORDER] = { "queue-out-of-order", "the broker queues a message before the one that waits" },
  [DEFECT_QUEUE_OFF_BY_ONE] = { "queue-off-by-one", "the broker queues one message more than its limit" },
  [DEFECT_PUBCOMP_FORGOTTEN] = { "pubcomp-forgotten", "the broker does not answer every third PUBREL" },
  [DEFECT_BEFORE_CONNACK] = { "before-connack", "the broker sends kept messages before CONNACK" },
  [DEFECT_NEIGHBOUR_CLOSED] = { "neighbour-closed",
                                "the broker closes another connection, too, when one breaks a rule" },
};

void defect_switch(enum defect d) {
  defect_on = d;
}

const char *defect_name(enum defect d) {
  return d < DEFECT_COUNT ? defect_rows[d].name : NULL;
}

const char *defect_text(enum defect d) {
  return d < DEFECT_COUNT ? defect_rows[d].text : NULL;
}

bool defect_find(const char *name, enum defect *out, struct err *err) {
  const char *names[DEFECT_COUNT + 1] = { NULL };
  for (size_t i = 0; i < DEFECT_COUNT; i++) {
    names[i] = defect_rows[i].name;
    if (strcmp(names[i], name) != 0) continue;
    *out = (enum defect)i;
    return true;
  }
  const char *near = near_name(name, names);
  if (near) return err_set(err, "there is no defect \"%s\", did you mean \"%s\"?", name, near);
  return err_set(err, "there is no defect \"%s\"", name);
}
