/* timeline: what happened, in order, for reports and for scenarios that look back.
 *
 * Packets as they were on the wire, connections opening and ending, faults, notes. One timeline a scenario. Bounded:
 * beyond TIMELINE_BYTES_MAX the oldest entries go, and are counted. Entries are numbered from 1, without gaps.
 */
#ifndef MQRIG_TIMELINE_H
#define MQRIG_TIMELINE_H

#include "host/event.h"
#include "host/rolling.h"
#include "mqtt/packet.h"

#define TIMELINE_BYTES_MAX (16u << 20)
#define TIMELINE_NAME_MAX  48
#define TIMELINE_ENTRY_MAX (1u << 20)           /* bytes kept of one entry: the first */
#define TIMELINE_LOCAL_END "closed by this end" /* how a TIMELINE_END begins that a client has made itself */

enum timeline_kind {
  TIMELINE_UP,    /* a packet from client to broker */
  TIMELINE_DOWN,  /* a packet from broker to client */
  TIMELINE_OPEN,  /* text: addresses, "CLIENT to BROKER"; of who accepted it "from CLIENT to BROKER"; of a proxy
                     "from CLIENT through ADDRESS", which is its own towards the broker */
  TIMELINE_END,   /* text: how it ended */
  TIMELINE_FAULT, /* text: what was done, to no packet */
  TIMELINE_NOTE,  /* text */
  TIMELINE_HIT,   /* a fault at a packet: text, and `hit`; stands before the packet passes, if it does */
  TIMELINE_EVENT, /* `event`; not for reports */
};

/* What becomes of a packet that was hit. */
enum timeline_fate {
  TIMELINE_PASSES, /* now or later */
  TIMELINE_TAKEN,
  TIMELINE_CUT, /* only what stands before `at` passes */
};

struct timeline_hit {
  bool up;
  enum timeline_fate fate;
  uint32_t at;     /* where in the packet the fault acts */
  uint64_t index;  /* of the packet, from 1, among those of that direction that came to the fault; see timeline_join */
  uint64_t offset; /* of its first byte in that direction, since faults look at the connection */
  struct slice packet; /* the raw packet */
};

struct timeline_entry {
  uint64_t number;
  int64_t at_ns; /* since the timeline began */
  uint32_t who;  /* timeline_who; 0: the scenario itself */
  enum timeline_kind kind;
  struct slice bytes; /* the raw packet, or the text; borrowed until the next call that adds */
  struct timeline_hit hit;
  struct event event;
};

struct timeline;

struct timeline *timeline_new(int64_t begin_ns);
void timeline_free(struct timeline *t);

/* Entries are of the time that `now` tells, whatever clock those who add them go by; NULL: of theirs. */
void timeline_use_clock(struct timeline *t, int64_t (*now)(const void *arg), const void *arg);

/* Everything that is added from here on goes into a rolling hash, a step an entry. */
void timeline_use_rolling(struct timeline *t);
const struct rolling *timeline_rolling(const struct timeline *t); /* NULL: there is none */

/* A participant (a client, a peer's connection): returns its number, from 1. The name is copied, cut to
 * TIMELINE_NAME_MAX. */
uint32_t timeline_who(struct timeline *t, const char *name);
void timeline_rename(struct timeline *t, uint32_t who, const char *name);
const char *timeline_name(const struct timeline *t, uint32_t who); /* "" for 0 */

void timeline_add(struct timeline *t, int64_t now_ns, uint32_t who, enum timeline_kind kind, struct slice bytes);
void timeline_note(struct timeline *t, int64_t now_ns, uint32_t who, enum timeline_kind kind, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Faults begin to look at the packets of a participant's connection: `index` of a hit counts from here, that of the
 * entry from the beginning of the connection. */
void timeline_join(struct timeline *t, uint32_t who);
void timeline_add_hit(struct timeline *t, int64_t now_ns, uint32_t who, const char *text,
                      const struct timeline_hit *hit);

void timeline_add_event(struct timeline *t, int64_t now_ns, uint32_t who, struct event event);

/* Told of each entry when it is added, also of those that do not stay; adds nothing itself. NULL: nobody any more. */
typedef void timeline_observer(void *arg, const struct timeline_entry *e);
void timeline_observe(struct timeline *t, timeline_observer *observer, void *arg);

int64_t timeline_begin(const struct timeline *t);  /* its begin_ns */
uint64_t timeline_first(const struct timeline *t); /* number of the oldest entry kept; 0: none */
uint64_t timeline_last(const struct timeline *t);
bool timeline_get(const struct timeline *t, uint64_t number, struct timeline_entry *out);

/* The first entry after `after` that is a packet of that participant (0: any), kind and type (0: any); false if there
 * is none. O(1) an entry passed over: go on from the number of the last entry looked at, which `*out` or timeline_last
 * gives. */
bool timeline_find(const struct timeline *t, uint64_t after, uint32_t who, enum timeline_kind kind, unsigned type,
                   struct timeline_entry *out);

/* One line: `  12.345 ms  c1 -> PUBLISH q1 id 3 "a/b" 5 B "hello"`. No newline. */
int timeline_format(const struct timeline *t, const struct timeline_entry *e, char *to, size_t size);

#endif
