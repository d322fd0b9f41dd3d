#include "host/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/pcapng.h"
#include "net/segment.h"
#include "host/story.h"
#include "mqtt/frame.h"

#define CAPTURE_LINE_MAX    1024
#define CAPTURE_CLIENT      0
#define CAPTURE_BROKER      1
#define CAPTURE_PORTS_TRIED 64

struct capture_conn {
  struct segment_link link;
  uint32_t number; /* from 1; 0: not opened yet */
  bool ended[2];
};

/* Comments that wait for a packet of their participant. */
struct capture_notes {
  char *texts[CAPTURE_NOTES_MAX];
  size_t count;
};

struct capture {
  const struct timeline *timeline;
  struct story *story;
  FILE *to;
  int64_t begin_ns, now_ns;   /* since 1970 */
  struct capture_conn *conns; /* of the story's links; then of participants without one */
  size_t conn_count;
  uint32_t opened, ports;      /* conversations; ports made up */
  struct capture_notes *notes; /* by participant */
  uint32_t who_count;          /* participants, and 0 */
};

static uint32_t capture_count_participants(const struct story *s) {
  uint32_t most = 0;
  for (size_t i = 0; i < story_count(s); i++)
    if (story_line(s, i)->who > most) most = story_line(s, i)->who;
  return most + 1;
}

/* Comments. */

static void capture_note(struct capture *c, uint32_t who, const char *text) {
  struct capture_notes *n = &c->notes[who];
  if (who && n->count < CAPTURE_NOTES_MAX) n->texts[n->count++] = mem_copy(slice_text(text));
}

static void capture_forget(struct capture_notes *n) {
  while (n->count > 0) free(n->texts[--n->count]);
}

static void capture_note_fault(struct capture *c, uint32_t who, const struct timeline_entry *e) {
  char text[CAPTURE_LINE_MAX], fate[64] = "";
  if (e->hit.fate == TIMELINE_TAKEN) snprintf(fate, sizeof fate, " (did not pass)");
  if (e->hit.fate == TIMELINE_CUT) snprintf(fate, sizeof fate, " (cut off at byte %u)", (unsigned)e->hit.at);
  int most = (int)(sizeof text - sizeof fate - TIMELINE_NAME_MAX - 32), size = (int)e->bytes.size;
  snprintf(text, sizeof text, "%s !! %.*s%s", timeline_name(c->timeline, e->who), size < most ? size : most,
           (const char *)e->bytes.data, fate);
  capture_note(c, who, text);
}

static void capture_note_faults(struct capture *c, uint32_t who, const struct story_line *line) {
  for (size_t i = line->fault; i != STORY_NONE; i = story_fault(c->story, i)->next)
    capture_note_fault(c, who, &story_fault(c->story, i)->entry);
}

/* Connections. */

static struct capture_conn *capture_conn(struct capture *c, const struct story_line *line) {
  return &c->conns[line->link != STORY_NONE ? line->link : story_links(c->story) + line->who];
}

static const struct story_link *capture_link(const struct capture *c, const struct story_line *line) {
  static const struct story_link none;
  return line->link != STORY_NONE ? story_link(c->story, line->link) : &none;
}

/* A proxy has no comments of its own where an end is ours: they go with those of its client. */
static uint32_t capture_owner(const struct capture *c, const struct story_line *line) {
  const struct story_link *link = capture_link(c, line);
  uint32_t end = link->client ? link->client : link->broker;
  return line->who != link->relay || !end ? line->who : end;
}

/* The line without its time. */
static void capture_note_line(struct capture *c, const struct story_line *line) {
  char text[CAPTURE_LINE_MAX];
  story_format(c->story, line, text, sizeof text / 2);
  size_t used = strlen(text);
  story_format_faults(c->story, line, text + used, sizeof text - used);
  const char *after = strstr(text, " ms  ");
  capture_note(c, capture_owner(c, line), after ? after + 5 : text);
}

static unsigned capture_side(const struct capture *c, const struct story_line *line) {
  return line->who == capture_link(c, line)->broker ? CAPTURE_BROKER : CAPTURE_CLIENT;
}

/* With the comments that wait for its participants. */
static void capture_segment(struct capture *c, const struct story_line *line, unsigned from, unsigned flags,
                            struct slice payload) {
  struct buffer frame;
  struct slice comments[2 * CAPTURE_NOTES_MAX];
  const struct story_link *link = capture_link(c, line);
  uint32_t me = capture_owner(c, line), ends[] = { me, me == link->client ? link->broker : link->client };
  size_t count = 0;
  for (int e = 0; e < 2; e++)
    for (size_t i = 0; i < c->notes[ends[e]].count; i++) comments[count++] = slice_text(c->notes[ends[e]].texts[i]);
  buffer_init(&frame, SEGMENT_FRAME_MAX);
  segment_write(&frame, &capture_conn(c, line)->link, from, flags, payload);
  pcapng_packet(c->to, 0, c->now_ns, buffer_slice(&frame), comments, count);
  buffer_fini(&frame);
  for (int e = 0; e < 2; e++) capture_forget(&c->notes[ends[e]]);
}

/* By a conversation before it: two of one address would be taken for one. */
static bool capture_is_taken(const struct capture *c, const struct capture_conn *mine) {
  for (size_t i = 0; i < c->conn_count; i++)
    if (c->conns[i].number && segment_is_same(&c->conns[i].link, &mine->link)) return true;
  return false;
}

static void capture_address(struct capture *c, struct capture_conn *conn, const struct story_link *link) {
  struct segment_link *l = &conn->link;
  segment_address(l, link->client_address, link->broker_address);
  for (int i = 0; i < CAPTURE_PORTS_TRIED && (!l->ends[CAPTURE_CLIENT].port || capture_is_taken(c, conn)); i++)
    l->ends[CAPTURE_CLIENT].port = segment_port(c->ports++);
  segment_number(l, c->opened);
}

static void capture_open(struct capture *c, const struct story_line *line) {
  struct capture_conn *conn = capture_conn(c, line);
  struct slice nothing = { 0 };
  if (conn->number) return;
  capture_address(c, conn, capture_link(c, line));
  conn->number = ++c->opened;
  capture_segment(c, line, CAPTURE_CLIENT, SEGMENT_SYN, nothing);
  capture_segment(c, line, CAPTURE_BROKER, SEGMENT_SYN | SEGMENT_ACK, nothing);
  capture_segment(c, line, CAPTURE_CLIENT, SEGMENT_ACK, nothing);
}

static bool capture_says(const struct story_line *line, const char *words) {
  return memmem(line->bytes.data, line->bytes.size, words, strlen(words)) != NULL;
}

/* Each end's word counts for its own half; an end that is not ours has none, and goes with the first. */
static void capture_end(struct capture *c, const struct story_line *line) {
  struct capture_conn *conn = capture_conn(c, line);
  unsigned side = capture_side(c, line), first = capture_says(line, "the other end") ? !side : side;
  const struct story_link *link = capture_link(c, line);
  bool alone = !link->client || !link->broker, reset = capture_says(line, "reset");
  struct slice nothing = { 0 };
  if (!conn->number || (conn->ended[0] && conn->ended[1])) return;
  capture_note_line(c, line);
  if (reset) {
    capture_segment(c, line, first, SEGMENT_RST | SEGMENT_ACK, nothing);
    conn->ended[0] = conn->ended[1] = true;
    return;
  }
  if (conn->ended[first]) first = !first;
  capture_segment(c, line, first, SEGMENT_FIN | SEGMENT_ACK, nothing);
  conn->ended[first] = true;
  if (conn->ended[!first] || alone || first != side) {
    if (!conn->ended[!first]) capture_segment(c, line, !first, SEGMENT_FIN | SEGMENT_ACK, nothing);
    capture_segment(c, line, conn->ended[!first] ? !first : first, SEGMENT_ACK, nothing);
    conn->ended[!first] = true;
  }
}

/* Packets. */

/* How much of it went over: all, or what stands before the place where a fault cut it off. Of what a proxy hit and let
 * pass the others tell. */
static struct slice capture_part(const struct capture *c, const struct story_line *line) {
  struct slice bytes = line->bytes;
  uint32_t relay = capture_link(c, line)->relay;
  for (size_t i = line->fault; i != STORY_NONE; i = story_fault(c->story, i)->next) {
    const struct timeline_hit *hit = &story_fault(c->story, i)->entry.hit;
    if (hit->fate == TIMELINE_CUT && line->sent && !line->passed) bytes = slice_first(bytes, hit->at);
    if (hit->fate != TIMELINE_TAKEN && line->who == relay && !line->passed) bytes = slice_first(bytes, 0);
  }
  return bytes;
}

static void capture_bytes(struct capture *c, const struct story_line *line, struct slice bytes) {
  unsigned from = line->kind == TIMELINE_UP ? CAPTURE_CLIENT : CAPTURE_BROKER;
  while (bytes.size) {
    struct slice part = slice_first(bytes, SEGMENT_PAYLOAD_MAX);
    capture_segment(c, line, from, SEGMENT_PSH | SEGMENT_ACK, part);
    bytes = slice_from(bytes, part.size);
  }
}

/* Of a very large packet the timeline has only the start. Of the largest there is a gap in the end. */
static void capture_missing(struct capture *c, const struct story_line *line) {
  struct frame frame;
  if (!line->passed || frame_read(line->bytes, &frame) != FRAME_OK || frame.size <= line->bytes.size) return;
  size_t all = frame.size - line->bytes.size, size = all < TIMELINE_BYTES_MAX ? all : TIMELINE_BYTES_MAX;
  uint8_t *zeros = mem_zero(size);
  capture_note(c, line->who, "the rest of this packet was not kept: zeros stand in its place");
  capture_bytes(c, line, slice_of(zeros, size));
  free(zeros);
  capture_conn(c, line)->link.ends[line->kind == TIMELINE_UP ? CAPTURE_CLIENT : CAPTURE_BROKER].next += all - size;
}

static void capture_packet(struct capture *c, const struct story_line *line) {
  const struct story_line *twin = line->twin != STORY_NONE ? story_line_at(c->story, line->twin) : NULL;
  if (line->hit_ns >= 0 || (twin && capture_side(c, line) == CAPTURE_BROKER)) return;
  capture_open(c, line);
  struct slice bytes = capture_part(c, line);
  if (!bytes.size) {
    capture_note_line(c, line);
    return;
  }
  capture_note_faults(c, capture_owner(c, line), line);
  if (twin) capture_note_faults(c, line->who, twin);
  capture_bytes(c, line, bytes);
  capture_missing(c, line);
}

static void capture_line(struct capture *c, const struct story_line *line) {
  if (!line->who || line->hidden) return;
  c->now_ns = c->begin_ns + line->at_ns;
  switch (line->kind) {
  case TIMELINE_UP:
  case TIMELINE_DOWN: capture_packet(c, line); break;
  case TIMELINE_OPEN:
    if (!capture_conn(c, line)->number) capture_note_line(c, line);
    capture_open(c, line);
    break;
  case TIMELINE_END: capture_end(c, line); break;
  default: capture_note_line(c, line); break;
  }
}

/* Comments to which no packet came: on an acknowledgement of the connection that they are about. */
static void capture_rest(struct capture *c) {
  struct slice nothing = { 0 };
  for (size_t i = story_count(c->story); i > 0; i--) {
    const struct story_line *line = story_line(c->story, i - 1);
    if (!c->notes[capture_owner(c, line)].count || !capture_conn(c, line)->number) continue;
    capture_segment(c, line, capture_side(c, line), SEGMENT_ACK, nothing);
  }
}

static void capture_tell(struct capture *c, const char *comment) {
  pcapng_begin(c->to, slice_text("mqrig " MQRIG_VERSION), slice_text(comment));
  pcapng_interface(c->to, slice_text(""));
  for (size_t i = 0; i < story_count(c->story); i++) capture_line(c, story_line(c->story, i));
  capture_rest(c);
}

static void capture_fini(struct capture *c) {
  for (uint32_t i = 0; i < c->who_count; i++) capture_forget(&c->notes[i]);
  story_free(c->story);
  free(c->conns);
  free(c->notes);
}

bool capture_write(const struct timeline *t, const char *path, int64_t begin_ns, const char *comment, struct err *err) {
  struct capture c = { .timeline = t, .begin_ns = begin_ns, .now_ns = begin_ns, .to = fopen(path, "wbe") };
  if (!c.to) return err_set(err, "%s: %s", path, strerror(errno));
  c.story = story_new(t, true);
  c.who_count = capture_count_participants(c.story);
  c.conn_count = story_links(c.story) + c.who_count;
  c.conns = mem_zero(c.conn_count * sizeof *c.conns);
  c.notes = mem_zero(c.who_count * sizeof *c.notes);
  capture_tell(&c, comment);
  capture_fini(&c);
  bool good = !ferror(c.to);
  if (fclose(c.to) == 0 && good) return true;
  return err_set(err, "%s: %s", path, strerror(errno));
}
