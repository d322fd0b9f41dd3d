/* event: what a participant tells of itself, for who checks a run (invariant.h); no report shows it.
 *
 * Packets show what went over a wire. These are what no wire shows: what a scenario asked of a client and was told by
 * it, what a broker decided, where a script has put its hand in. An entry of its own kind on the timeline, 24 bytes
 * each.
 */
#ifndef MQRIG_EVENT_H
#define MQRIG_EVENT_H

#include "base/slice.h"

enum event_what {
  EVENT_NONE,

  /* A client's. Sends and requests that are answered later count together, from 1: that is their number. */
  EVENT_CLIENT,       /* there is one; value: buffered_max << 16 | inflight_max */
  EVENT_DIAL,         /* a connect was begun; value: its timeout in ns, 0: none */
  EVENT_CONNECTED,    /* the handler was told so: code, packet_id: session present */
  EVENT_LOST,         /* likewise: the reason */
  EVENT_DISCONNECTED, /* likewise */
  EVENT_DISCONNECT,   /* the scenario wants to disconnect */
  EVENT_CLOSE,        /* client_close begins */
  EVENT_CLOSED,       /* and has ended */
  EVENT_SEND,         /* a message was taken: code: enum event_send, packet_id, value: event_content */
  EVENT_REQUEST,      /* a subscribe or unsubscribe was taken */
  EVENT_RESULT,       /* the handler was told: value: the number of the operation, code: its result */
  EVENT_MESSAGE,      /* the handler was given a message: code: QoS, packet_id, value: event_content */
  EVENT_PING,         /* its time to ping had come: a PINGREQ waits to be taken by the transport; code 1: behind
                         a packet of which a part was taken */

  /* Of one end of a connection. */
  EVENT_RAW,      /* bytes of a script go out here, among what this end says by itself */
  EVENT_CUT,      /* the connection has ended within a packet that it was sending; code: its first byte */
  EVENT_UNFRAMED, /* what goes up (code 0) or down (1) is no packet, and is not cut any more */
  EVENT_UNREAD,   /* what stands behind this came in, and was not looked at */

  /* A broker connection's, value: the number of its peer. */
  EVENT_ACCEPTED, /* it belongs to that peer */
  EVENT_SCRIPTED, /* a script answers instead of the broker, here at least */
  EVENT_CLOSING,  /* the broker wants it closed: the session has let it go; code 1: for silence;
                      packet_id 1: within a packet that came */

  /* A peer's, value: its number. */
  EVENT_PEER,    /* there is one; packet_id: its inflight_max; those below have value: queued_max << 32 | number */
  EVENT_FORGET,  /* sessions and retained messages are gone */
  EVENT_PAUSED,  /* it does nothing from here */
  EVENT_RESUMED, /* to here */

  /* The run's. */
  EVENT_CLOCKS, /* somebody's time is not the run's: it has jumped (code 0), stands or drifts from here (1), to here (2)
                 */
  EVENT_HEALED, /* no fault acts any more; value: within how many ns everything must be well */
  EVENT_QUIET,  /* value 1: nobody asks for anything any more, nothing but pings from here on; 0: to here */
  EVENT_SETTLED, /* everybody had the time to finish what was begun */
  EVENT_WANTED, /* this client should be connected (code 1), or need not be (0) */
  EVENT_SHELTERED, /* nothing is done to this client or on its way: nothing may happen to it */
  EVENT_RESOURCE,  /* code: which (enum event_resource), packet_id: 0 at the beginning, 1 at the end; value: how many */
};

enum event_send {
  EVENT_QOS = 3,
  EVENT_REFUSED = 4, /* it gets its result without having been buffered */
  EVENT_MIDWAY = 8,  /* the transport had taken a part of a packet by then */
};

enum event_resource { EVENT_DESCRIPTORS, EVENT_TIMERS, EVENT_STREAMS, EVENT_MEMORY, EVENT_LISTENERS, EVENT_RESOURCES };

struct event {
  enum event_what what;
  int code; /* -512 to 511 */
  uint16_t packet_id;
  uint64_t value;
};

/* What tells one message from another: a value of topic and payload. */
uint64_t event_content(struct slice topic, struct slice payload);

#endif
