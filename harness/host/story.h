/* story: the entries of a timeline as a person wants to read them, and as a capture needs them.
 *
 * A fault stands with the packet that it hit, in the place of that packet among its neighbours. What both ends of a
 * connection have put on the timeline is found together by the client's address, and told once if `fold` is set: the
 * accepting end's line is hidden where the other end's says the same, and its faults go over to that. What a proxy saw
 * come in stands for what its sender sent, where that is none of ours, and is hidden where it is. Lines are in the
 * order of time.
 */
#ifndef MQRIG_STORY_H
#define MQRIG_STORY_H

#include "host/timeline.h"

#define STORY_NONE SIZE_MAX

struct story;

/* A connection, as one end or both ends know it. */
struct story_link {
  uint32_t client, relay, broker;                             /* participants; 0: not one of ours, or not told */
  struct slice client_address, relay_address, broker_address; /* "127.0.0.1:53412", "unix"; empty: not known */
};

/* A fault, at the line's packet. */
struct story_fault {
  struct timeline_entry entry; /* the hit */
  size_t next;                 /* of the same line, or STORY_NONE */
};

struct story_line {
  uint64_t number; /* of its entry on the timeline */
  int64_t at_ns;
  uint32_t who;
  enum timeline_kind kind; /* of a packet always TIMELINE_UP or TIMELINE_DOWN */
  struct slice bytes;
  size_t link;       /* its connection, or STORY_NONE */
  size_t fault;      /* the first one, or STORY_NONE */
  size_t twin;       /* the same packet's line at the other end, or STORY_NONE */
  int64_t hit_ns;    /* a packet that was hit on an earlier line: when; else -1 */
  bool sent, unseen; /* the participant has sent it; the other end, one of ours, has not seen it */
  bool passed;       /* the participant had it, or gave it away, whole: not only in a hit */
  bool hidden;
};

/* Borrows the timeline, to which nothing may be added meanwhile. */
struct story *story_new(const struct timeline *t, bool fold);
void story_free(struct story *s);

size_t story_count(const struct story *s);
const struct story_line *story_line(const struct story *s, size_t place); /* by time; place from 0 */
const struct story_line *story_line_at(const struct story *s, size_t id); /* a twin */
const struct story_fault *story_fault(const struct story *s, size_t id);
const struct story_link *story_link(const struct story *s, size_t id);
size_t story_links(const struct story *s);

/* A line as text, without its faults, and the faults: `   !! down PUBACK first drop`, empty if there are none. As
 * snprintf. */
int story_format(const struct story *s, const struct story_line *line, char *to, size_t size);
int story_format_faults(const struct story *s, const struct story_line *line, char *to, size_t size);

#endif
