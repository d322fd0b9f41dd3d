/* outcome: what became of a message, a subscription or a connection: codes, reasons, and the events that carry them.
 *
 * Result codes are those of the imp agent's mqtt object: what is known about the message, from how far it got.
 */
#ifndef MQRIG_OUTCOME_H
#define MQRIG_OUTCOME_H

#include "mqtt/packet.h"

enum session_code {
  SESSION_SUCCESS = 0,
  SESSION_SOCKET_ERROR = -1, /* the transport failed while this message was being written */
  SESSION_DISCONNECTED = -3, /* not one byte was handed to the transport */
  SESSION_NO_MORE_IDS = -10,
  SESSION_INCOMPLETE = -11, /* written, handshake cut short; or cut mid-write by an end that was no socket error */
  SESSION_MAX_BUFFERED = -12,
};

/* Why a connection was lost: session_next's LOST event, and onconnectionlost. */
enum session_reason {
  SESSION_LOST_SOCKET = -1,    /* socket failed, broker closed, or it fell silent */
  SESSION_LOST_RATE = -2,      /* inbound rate exceeded */
  SESSION_LOST_TOO_LARGE = -3, /* inbound message larger than the limit */
  SESSION_LOST_PROTOCOL = -4,  /* malformed or out-of-place packet */
};

/* How the transport ended. */
enum session_end {
  SESSION_END_FAILED, /* an error: reset, refused, timed out ... while reading or elsewhere */
  SESSION_END_WRITE,  /* a write was what failed: the message it was for gets -1 even if none of its bytes went */
  SESSION_END_CLOSED, /* the other end closed in order (FIN) */
  SESSION_END_LOCAL,  /* this end closed: after session_wants_close, or the client was closed */
};

enum session_event_type {
  SESSION_EVENT_CONNECTED,    /* code: 0, a CONNACK code, or -1; session_present */
  SESSION_EVENT_LOST,         /* code: enum session_reason; after the results of all messages */
  SESSION_EVENT_DISCONNECTED, /* session_disconnect is complete, after the results of all messages */
  SESSION_EVENT_RESULT,       /* user, code: a publish */
  SESSION_EVENT_SUBSCRIBED,   /* user; code 0 and codes (one byte a topic), or a negative code */
  SESSION_EVENT_UNSUBSCRIBED, /* user; code 0 or -1 */
  SESSION_EVENT_MESSAGE,      /* packet: a PUBLISH to be delivered, once where its QoS says so */
};

struct session_event {
  enum session_event_type type;
  int code;
  bool session_present;
  uint32_t number; /* of the operation that a result is of: the session counts publish, subscribe and unsubscribe, from
                      1 */
  uint64_t user;
  struct slice codes;
  const struct packet *packet;
};

/* The sentence for a result code, a CONNACK code (1 to 5), a lost reason that is no result code (-2, -4), or a SUBACK's
 * 128; "unknown code" for others. Static. */
const char *outcome_text(int code);

/* What a message, or a subscribe operation, gets whose connection ends: from the offsets in the output stream of its
 * first byte and the one behind its last, and how many bytes of the stream were handed over. `its_write` says that the
 * write that failed was for it. */
enum session_code outcome_of_end(enum session_end end, uint64_t begin, uint64_t behind, uint64_t written,
                                 bool its_write);

#endif
