#include "host/story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "mqtt/describe.h"

#define STORY_SOON_NS  1000000 /* a packet that passes so soon after it was hit stands on one line with that */
#define STORY_LOOK_MAX 64      /* packets looked at for one that is the same */

/* First in, first out, of places. Those that are done in the middle become STORY_NONE. */
struct story_queue {
  size_t *items;
  size_t head, tail, capacity;
};

/* One direction of a participant's connection. */
struct story_flow {
  uint64_t next;              /* the index of the packet that comes next */
  struct story_queue hits;    /* of which more may be heard */
  struct story_queue relayed; /* of a proxy: the lines of all its packets, by index */
};

struct story_route {
  struct story_link link;
  struct story_queue sent[2];    /* lines that the other end has not seen yet */
  struct story_queue through[2]; /* the same for a proxy in between */
};

struct story_end {
  bool known, accepted, relay; /* known: its opening was seen */
  size_t link, opening;        /* places of its route, and of its line */
  struct story_flow flows[2];
};

struct story_hit {
  struct timeline_entry entry;
  size_t line; /* where it stands, or STORY_NONE */
};

struct story {
  const struct timeline *timeline;
  bool fold;
  struct story_line *lines;
  struct story_hit *hits;
  struct story_fault *faults;
  struct story_route *routes;
  struct story_end *ends;
  size_t *order; /* lines by time */
  size_t line_count, hit_count, fault_count, route_count, end_count;
  size_t untold; /* hits before this one stand somewhere */
};

/* An array with room for one more, doubled when it is full: at powers of two. */
static void *story_room(void *items, size_t count, size_t size) {
  if (count & (count - 1)) return items;
  return mem_resize(items, (count ? 2 * count : 1) * size);
}

static void story_queue_push(struct story_queue *q, size_t item) {
  if (q->tail == q->capacity) {
    q->capacity = q->capacity ? 2 * q->capacity : 8;
    q->items = mem_resize(q->items, q->capacity * sizeof *q->items);
  }
  q->items[q->tail++] = item;
}

static void story_queue_trim(struct story_queue *q) {
  while (q->head < q->tail && q->items[q->head] == STORY_NONE) q->head++;
  if (q->head == q->tail) q->head = q->tail = 0;
}

static struct story_end *story_end(struct story *s, uint32_t who) {
  while (s->end_count <= who) {
    s->ends = story_room(s->ends, s->end_count, sizeof *s->ends);
    s->ends[s->end_count++] = (struct story_end){ .link = STORY_NONE, .flows = { { .next = 1 }, { .next = 1 } } };
  }
  return &s->ends[who];
}

static size_t story_add(struct story *s, const struct timeline_entry *e) {
  s->lines = story_room(s->lines, s->line_count, sizeof *s->lines);
  s->lines[s->line_count] = (struct story_line){
    .number = e->number,
    .at_ns = e->at_ns,
    .who = e->who,
    .kind = e->kind,
    .bytes = e->bytes,
    .link = story_end(s, e->who)->link,
    .fault = STORY_NONE,
    .twin = STORY_NONE,
    .hit_ns = -1,
  };
  return s->line_count++;
}

static size_t *story_last_fault(struct story *s, size_t line) {
  size_t *at = &s->lines[line].fault;
  while (*at != STORY_NONE) at = &s->faults[*at].next;
  return at;
}

static void story_add_fault(struct story *s, size_t line, const struct timeline_entry *hit) {
  s->faults = story_room(s->faults, s->fault_count, sizeof *s->faults);
  s->faults[s->fault_count] = (struct story_fault){ *hit, STORY_NONE };
  *story_last_fault(s, line) = s->fault_count++;
}

/* Two ends of a connection. */

static bool story_is_out(const struct story_end *end, enum timeline_kind kind) {
  return end->known && !end->relay && kind == (end->accepted ? TIMELINE_DOWN : TIMELINE_UP);
}

static struct story_route *story_route(const struct story *s, const struct story_end *end) {
  return end->link == STORY_NONE ? NULL : &s->routes[end->link];
}

static uint32_t story_other(const struct story_route *r, const struct story_end *end) {
  return end->accepted ? r->link.client : r->link.broker;
}

/* What the accepting end has to say is hidden where the client's line tells it all. */
static void story_fold(struct story *s, size_t sent, size_t seen) {
  bool from_broker = s->lines[sent].kind == TIMELINE_DOWN;
  struct story_line *client = &s->lines[from_broker ? seen : sent], *broker = &s->lines[from_broker ? sent : seen];
  bool soon = client->at_ns - broker->at_ns <= STORY_SOON_NS;
  if (broker->fault != STORY_NONE && from_broker && !soon) return;
  *story_last_fault(s, from_broker ? seen : sent) = broker->fault;
  broker->fault = STORY_NONE;
  broker->hidden = true;
}

/* Looks for what the other end has sent. TCP keeps the order: what was sent before it and not seen is lost. */
static void story_pair(struct story *s, struct story_route *r, size_t seen) {
  struct story_line *line = &s->lines[seen];
  struct story_queue *sent = &r->sent[line->kind];
  for (size_t i = sent->head; i < sent->tail && i < sent->head + STORY_LOOK_MAX; i++) {
    size_t id = sent->items[i];
    if (!slice_equal(s->lines[id].bytes, line->bytes)) continue;
    s->lines[id].unseen = false;
    s->lines[id].twin = seen;
    line->twin = id;
    sent->head = i + 1;
    story_queue_trim(sent);
    if (s->fold) story_fold(s, id, seen);
    return;
  }
}

static bool story_has_address(const struct story_link *link) {
  return link->client_address.size && memchr(link->client_address.data, ':', link->client_address.size);
}

/* The ends of a Unix socket have no address that would tell: the same first packet does. */
static void story_adopt(struct story *s, struct story_end *end, struct story_line *line) {
  for (size_t i = s->route_count; i > 0; i--) {
    struct story_route *r = &s->routes[i - 1];
    struct story_queue *sent = &r->sent[TIMELINE_UP];
    if (!r->link.client || r->link.broker || story_has_address(&r->link) || sent->head == sent->tail) continue;
    if (!slice_equal(s->lines[sent->items[sent->head]].bytes, line->bytes)) continue;
    r->link.broker = line->who;
    end->link = line->link = s->lines[end->opening].link = i - 1;
    for (size_t n = sent->head; n < sent->tail; n++) s->lines[sent->items[n]].unseen = true;
    return;
  }
}

/* What a proxy saw come in stands on its sender's line, if the sender is one of ours; else the proxy's line stands for
 * that. */
static void story_relay(struct story *s, struct story_route *r, size_t id) {
  struct story_line *line = &s->lines[id];
  struct story_queue *q = &r->through[line->kind];
  for (size_t i = q->head; i < q->tail && i < q->head + STORY_LOOK_MAX; i++) {
    size_t from = q->items[i];
    if (!slice_equal(s->lines[from].bytes, line->bytes)) continue;
    q->head = i + 1;
    story_queue_trim(q);
    line->twin = from;
    line->hidden = s->fold;
    if (!s->fold) return;
    *story_last_fault(s, from) = line->fault;
    line->fault = STORY_NONE;
    return;
  }
  line->sent = true;
  line->unseen = (line->kind == TIMELINE_UP ? r->link.broker : r->link.client) != 0;
  story_queue_push(&r->sent[line->kind], id);
}

static void story_meet(struct story *s, size_t id) {
  struct story_line *line = &s->lines[id];
  struct story_end *end = story_end(s, line->who);
  struct story_route *r = story_route(s, end);
  if (r && end->relay) {
    story_relay(s, r, id);
    return;
  }
  if (r && end->accepted && !r->link.client && line->kind == TIMELINE_UP && !story_has_address(&r->link)) {
    story_adopt(s, end, line);
    r = story_route(s, end);
  }
  line->sent = story_is_out(end, line->kind);
  if (r && line->sent) {
    line->unseen = story_other(r, end) != 0;
    story_queue_push(&r->sent[line->kind], id);
    story_queue_push(&r->through[line->kind], id);
  } else if (r) {
    story_pair(s, r, id);
  }
}

/* Hits. */

static enum timeline_kind story_kind(const struct story_hit *h) {
  return h->entry.hit.up ? TIMELINE_UP : TIMELINE_DOWN;
}

/* One packet, hit twice. */
static bool story_is_same(const struct story_hit *a, const struct story_hit *b) {
  return a->entry.who == b->entry.who && a->entry.hit.up == b->entry.hit.up &&
         a->entry.hit.index == b->entry.hit.index && slice_equal(a->entry.hit.packet, b->entry.hit.packet);
}

/* The line of a packet that was hit at this moment, for another rule that hit it as well. */
static size_t story_shared_line(const struct story *s, size_t hit) {
  for (size_t i = hit; i > 0 && i + STORY_LOOK_MAX > hit; i--)
    if (s->hits[i - 1].entry.at_ns == s->hits[hit].entry.at_ns && s->hits[i - 1].line != STORY_NONE &&
        story_is_same(&s->hits[i - 1], &s->hits[hit]))
      return s->hits[i - 1].line;
  return STORY_NONE;
}

/* It gets a line of its own: the packet did not pass, or not soon. */
static void story_tell(struct story *s, size_t id) {
  struct story_hit *h = &s->hits[id];
  if (h->line != STORY_NONE) return;
  h->line = story_shared_line(s, id);
  if (h->line != STORY_NONE) {
    story_add_fault(s, h->line, &h->entry);
    return;
  }
  struct timeline_entry packet = h->entry;
  packet.kind = story_kind(h);
  packet.bytes = h->entry.hit.packet;
  h->line = story_add(s, &packet);
  story_add_fault(s, h->line, &h->entry);
  story_meet(s, h->line);
}

static void story_tell_until(struct story *s, int64_t at_ns) {
  for (; s->untold < s->hit_count && s->hits[s->untold].entry.at_ns < at_ns; s->untold++) story_tell(s, s->untold);
}

/* At the packet that came to the proxy, or where that one is told. */
static void story_relay_hit(struct story *s, size_t id) {
  struct story_hit *h = &s->hits[id];
  const struct story_queue *lines = &story_end(s, h->entry.who)->flows[story_kind(h)].relayed;
  uint64_t place = h->entry.hit.index - 1;
  size_t line = place < lines->tail ? lines->items[place] : STORY_NONE;
  if (line == STORY_NONE || !slice_equal(s->lines[line].bytes, h->entry.hit.packet)) {
    story_tell(s, id);
    return;
  }
  h->line = s->lines[line].hidden ? s->lines[line].twin : line;
  story_add_fault(s, h->line, &h->entry);
}

static void story_hit(struct story *s, const struct timeline_entry *e) {
  s->hits = story_room(s->hits, s->hit_count, sizeof *s->hits);
  s->hits[s->hit_count] = (struct story_hit){ .entry = *e, .line = STORY_NONE };
  size_t id = s->hit_count++;
  struct story_end *end = story_end(s, e->who);
  if (end->relay) story_relay_hit(s, id);
  else story_queue_push(&end->flows[story_kind(&s->hits[id])].hits, id);
}

/* Packets that came in and went no further than to a fault stand before the one that comes now. */
static void story_tell_taken(struct story *s, struct story_flow *flow) {
  struct story_queue *q = &flow->hits;
  for (; q->head < q->tail; q->head++) {
    struct story_hit *h = q->items[q->head] == STORY_NONE ? NULL : &s->hits[q->items[q->head]];
    if (h && (h->entry.hit.fate == TIMELINE_PASSES || h->entry.hit.index > flow->next)) break;
    if (!h) continue;
    story_tell(s, q->items[q->head]);
    if (h->entry.hit.index == flow->next) flow->next++;
  }
  story_queue_trim(q);
}

/* The hits that this packet got: on its line, or, if they stand elsewhere already, its line says when that was. */
static void story_claim(struct story *s, struct story_flow *flow, size_t line) {
  struct story_queue *q = &flow->hits;
  const struct story_hit *first = NULL;
  for (size_t i = q->head; i < q->tail && i < q->head + STORY_LOOK_MAX; i++) {
    struct story_hit *h = q->items[i] == STORY_NONE ? NULL : &s->hits[q->items[i]];
    if (!h || h->entry.hit.index > flow->next) continue;
    if (first ? !story_is_same(first, h) : !slice_equal(h->entry.hit.packet, s->lines[line].bytes)) continue;
    first = h;
    q->items[i] = STORY_NONE;
    if (h->line != STORY_NONE) {
      s->lines[line].hit_ns = h->entry.at_ns;
      continue;
    }
    h->line = line;
    story_add_fault(s, line, &h->entry);
  }
  story_queue_trim(q);
}

/* Entries. */

static void story_relay_packet(struct story *s, const struct timeline_entry *e) {
  size_t line = story_add(s, e);
  s->lines[line].passed = true;
  story_queue_push(&story_end(s, e->who)->flows[e->kind].relayed, line);
  story_meet(s, line);
}

static void story_packet(struct story *s, const struct timeline_entry *e) {
  bool out = story_is_out(story_end(s, e->who), e->kind);
  if (!out) story_tell_taken(s, &story_end(s, e->who)->flows[e->kind]);
  size_t line = story_add(s, e);
  struct story_flow *flow = &story_end(s, e->who)->flows[e->kind];
  s->lines[line].passed = true;
  story_claim(s, flow, line);
  flow->next++;
  if (s->lines[line].hit_ns < 0) story_meet(s, line);
}

/* What stands before the words, and behind them; false if they are not there. */
static bool story_divide(struct slice text, const char *words, struct slice *before, struct slice *behind) {
  const uint8_t *at = text.size ? memmem(text.data, text.size, words, strlen(words)) : NULL;
  *before = at ? slice_first(text, (size_t)(at - text.data)) : text;
  if (at) *behind = slice_from(text, before->size + strlen(words));
  return at != NULL;
}

/* The text of an opening, as timeline.h has it. */
static void story_read_opening(struct slice text, struct story_end *end, struct story_link *out) {
  end->accepted = text.size > 5 && memcmp(text.data, "from ", 5) == 0;
  if (end->accepted) text = slice_from(text, 5);
  end->relay = end->accepted && story_divide(text, " through ", &out->client_address, &out->relay_address);
  if (!end->relay) story_divide(text, " to ", &out->client_address, &out->broker_address);
}

/* A proxy's connection to the broker and the client's to the proxy are one. */
static void story_bridge(struct story *s, size_t id) {
  struct story_link *link = &s->routes[id].link;
  for (size_t i = s->route_count; i > 0 && !link->broker; i--) {
    struct story_link *l = &s->routes[i - 1].link;
    if (l->client || !l->broker || !slice_equal(l->client_address, link->relay_address)) continue;
    struct story_end *broker = story_end(s, l->broker);
    link->broker = l->broker;
    l->broker = 0;
    broker->link = s->lines[broker->opening].link = id;
  }
}

/* The link that the other end of this connection has opened, or a new one. */
static size_t story_find_link(struct story *s, const struct story_link *mine) {
  for (size_t i = s->route_count; story_has_address(mine) && i > 0; i--) {
    const struct story_link *l = &s->routes[i - 1].link;
    if (mine->broker && !l->broker && slice_equal(l->relay_address, mine->client_address)) return i - 1;
    if (!slice_equal(l->client_address, mine->client_address)) continue;
    if (mine->client ? !l->client : l->client && !l->broker && !l->relay) return i - 1;
    break;
  }
  s->routes = story_room(s->routes, s->route_count, sizeof *s->routes);
  s->routes[s->route_count] = (struct story_route){ .link = *mine };
  return s->route_count++;
}

static void story_close(struct story *s, struct story_end *end) {
  for (int d = TIMELINE_UP; d <= TIMELINE_DOWN; d++) {
    struct story_flow *flow = &end->flows[d];
    for (size_t i = flow->hits.head; i < flow->hits.tail; i++)
      if (flow->hits.items[i] != STORY_NONE) story_tell(s, flow->hits.items[i]);
    flow->hits.head = flow->hits.tail = 0;
    flow->relayed.head = flow->relayed.tail = 0;
    flow->next = 1;
  }
}

static void story_open(struct story *s, const struct timeline_entry *e) {
  struct story_end *end = story_end(s, e->who);
  struct story_link mine = { 0 };
  story_close(s, end);
  end->known = true;
  story_read_opening(e->bytes, end, &mine);
  uint32_t *me = end->relay ? &mine.relay : end->accepted ? &mine.broker : &mine.client;
  *me = e->who;
  size_t id = end->link = story_find_link(s, &mine);
  struct story_link *link = &s->routes[id].link;
  if (mine.broker) link->broker = mine.broker;
  if (mine.client) link->client = mine.client;
  if (mine.client) link->broker_address = mine.broker_address;
  if (mine.relay) link->relay = mine.relay;
  if (mine.relay) link->relay_address = mine.relay_address;
  end->opening = story_add(s, e);
  if (mine.relay) story_bridge(s, id);
}

static void story_entry(struct story *s, const struct timeline_entry *e) {
  story_tell_until(s, e->at_ns - STORY_SOON_NS);
  switch (e->kind) {
  case TIMELINE_UP:
  case TIMELINE_DOWN:
    if (story_end(s, e->who)->relay) story_relay_packet(s, e);
    else story_packet(s, e);
    break;
  case TIMELINE_HIT: story_hit(s, e); break;
  case TIMELINE_OPEN: story_open(s, e); break;
  case TIMELINE_END:
    story_close(s, story_end(s, e->who));
    story_add(s, e);
    break;
  case TIMELINE_FAULT:
  case TIMELINE_NOTE: story_add(s, e); break;
  case TIMELINE_EVENT: break;
  }
}

/* An accepting end's opening is told by the other end's. */
static void story_hide_openings(struct story *s) {
  for (size_t i = 0; i < s->line_count; i++) {
    struct story_line *line = &s->lines[i];
    if (line->kind != TIMELINE_OPEN || line->link == STORY_NONE) continue;
    const struct story_link *link = &s->routes[line->link].link;
    line->hidden = link->client && line->who != link->client;
  }
}

/* Lines are made nearly in order: a hit's comes up to STORY_SOON_NS too late. */
static void story_sort(struct story *s) {
  s->order = mem_resize(NULL, (s->line_count + 1) * sizeof *s->order);
  for (size_t i = 0; i < s->line_count; i++) {
    size_t to = i;
    for (; to > 0 && s->lines[s->order[to - 1]].at_ns > s->lines[i].at_ns; to--) s->order[to] = s->order[to - 1];
    s->order[to] = i;
  }
}

struct story *story_new(const struct timeline *t, bool fold) {
  struct story *s = mem_zero(sizeof *s);
  struct timeline_entry e;
  s->timeline = t;
  s->fold = fold;
  uint64_t first = timeline_first(t), last = timeline_last(t);
  for (uint64_t n = first; first && n <= last; n++)
    if (timeline_get(t, n, &e)) story_entry(s, &e);
  story_tell_until(s, INT64_MAX);
  if (fold) story_hide_openings(s);
  story_sort(s);
  return s;
}

void story_free(struct story *s) {
  if (!s) return;
  for (size_t i = 0; i < s->end_count; i++)
    for (int d = TIMELINE_UP; d <= TIMELINE_DOWN; d++) {
      free(s->ends[i].flows[d].hits.items);
      free(s->ends[i].flows[d].relayed.items);
    }
  for (size_t i = 0; i < s->route_count; i++)
    for (int d = TIMELINE_UP; d <= TIMELINE_DOWN; d++) {
      free(s->routes[i].sent[d].items);
      free(s->routes[i].through[d].items);
    }
  free(s->ends);
  free(s->routes);
  free(s->lines);
  free(s->hits);
  free(s->faults);
  free(s->order);
  free(s);
}

size_t story_count(const struct story *s) {
  return s->line_count;
}

const struct story_line *story_line(const struct story *s, size_t place) {
  return &s->lines[s->order[place]];
}

const struct story_line *story_line_at(const struct story *s, size_t id) {
  return &s->lines[id];
}

const struct story_fault *story_fault(const struct story *s, size_t id) {
  return &s->faults[id];
}

const struct story_link *story_link(const struct story *s, size_t id) {
  return &s->routes[id].link;
}

size_t story_links(const struct story *s) {
  return s->route_count;
}

/* Text. Appends at what `used` counts, and counts on where there is no room. */
static void story_put(char *to, size_t size, int *used, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void story_put(char *to, size_t size, int *used, const char *format, ...) {
  va_list args;
  size_t at = (size_t)*used < size ? (size_t)*used : size;
  va_start(args, format);
  *used += vsnprintf(size ? to + at : to, size - at, format, args);
  va_end(args);
}

static const char *story_other_name(const struct story *s, const struct story_line *line) {
  const struct story_link *link = &s->routes[line->link].link;
  return timeline_name(s->timeline, line->who == link->client ? link->broker : link->client);
}

/* Behind an opening: who else of ours is on that connection. */
static void story_put_others(const struct story *s, const struct story_line *line, char *to, size_t size, int *used) {
  const struct story_link *link = &s->routes[line->link].link;
  const uint32_t all[] = { link->client, link->relay, link->broker };
  const char *before = " (";
  for (size_t i = 0; i < 3; i++) {
    if (!all[i] || all[i] == line->who) continue;
    story_put(to, size, used, "%s%s", before, timeline_name(s->timeline, all[i]));
    before = ", ";
  }
  if (*before == ',') story_put(to, size, used, ")");
}

int story_format(const struct story *s, const struct story_line *line, char *to, size_t size) {
  struct timeline_entry e = { .at_ns = line->at_ns, .who = line->who, .kind = line->kind, .bytes = line->bytes };
  int used = timeline_format(s->timeline, &e, to, size);
  long long us = (long long)(line->hit_ns / 1000);
  if (line->kind == TIMELINE_OPEN) story_put_others(s, line, to, size, &used);
  if (line->unseen && line->fault == STORY_NONE)
    story_put(to, size, &used, "   (not seen by %s)", story_other_name(s, line));
  if (line->hit_ns >= 0) story_put(to, size, &used, "   (hit at %lld.%03lld ms)", us / 1000, us % 1000);
  return used;
}

/* A fault of the other end says whose it is. */
int story_format_faults(const struct story *s, const struct story_line *line, char *to, size_t size) {
  int used = 0;
  if (size) *to = 0;
  for (size_t i = line->fault; i != STORY_NONE; i = s->faults[i].next) {
    const struct timeline_entry *e = &s->faults[i].entry;
    char text[ERR_TEXT_MAX];
    describe_text(e->bytes, sizeof text, text, sizeof text);
    const char *whose = e->who == line->who ? "" : timeline_name(s->timeline, e->who);
    story_put(to, size, &used, "   !! %s%s%s", whose, *whose ? ": " : "", text);
  }
  return used;
}
