#include "host/timeline.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "mqtt/decode.h"
#include "mqtt/describe.h"

#define TIMELINE_PAGE        1024  /* entries */
#define TIMELINE_BLOCK       65536 /* bytes of entries; a larger entry has a block of its own */
#define TIMELINE_BLOCK_FIRST 2048
#define TIMELINE_HEX_MAX     32 /* bytes shown of what cannot be decoded */

struct timeline_slot {
  int64_t at_ns;
  union {
    const uint8_t *bytes;
    uint64_t value; /* of an event, which has no bytes */
  };
  union {
    uint32_t size;
    struct {
      uint32_t what : 6, packet_id : 16;
      int32_t code : 10;
    };
  };
  uint32_t who : 28, kind : 4;
};

struct timeline_name {
  char *text;
  uint64_t passed[2]; /* packets on its connection, by TIMELINE_UP and TIMELINE_DOWN */
  uint64_t joined[2]; /* those before faults began to look */
};

/* What a hit's bytes begin with; then its text, then the packet. */
struct timeline_mark {
  uint64_t index, offset;
  uint32_t at, text_size;
  uint8_t up, fate;
  uint8_t nothing[6]; /* where the compiler would leave a gap: these bytes are hashed */
};

/* Bytes of entries in order. Lives until the last entry that lies in it goes. */
struct timeline_block {
  struct timeline_block *next;
  size_t used, capacity;
  uint64_t last; /* the newest entry in it */
  uint8_t bytes[];
};

struct timeline {
  int64_t begin_ns;
  uint64_t first, last; /* numbers; empty while last < first */
  size_t held;          /* what the entries cost, for the limit */
  /* Pages of slots: pages[head] holds the number `first`, each page the next TIMELINE_PAGE numbers. */
  struct timeline_slot **pages;
  size_t head, tail, pages_capacity;
  uint64_t base; /* the number of the first slot of pages[head] */
  struct timeline_block *oldest, *newest;
  struct timeline_name *names;
  uint32_t names_count, names_capacity;
  timeline_observer *observer;
  void *observer_arg;
  int64_t (*clock)(const void *arg); /* or NULL */
  const void *clock_arg;
  struct rolling *rolling; /* NULL: not wanted */
};

static struct timeline_slot *timeline_slot(const struct timeline *t, uint64_t number) {
  uint64_t place = number - t->base;
  return &t->pages[t->head + place / TIMELINE_PAGE][place % TIMELINE_PAGE];
}

struct timeline *timeline_new(int64_t begin_ns) {
  struct timeline *t = mem_zero(sizeof *t);
  t->begin_ns = begin_ns;
  t->first = t->base = 1;
  return t;
}

void timeline_free(struct timeline *t) {
  if (!t) return;
  for (size_t i = t->head; i < t->tail; i++) free(t->pages[i]);
  for (struct timeline_block *b = t->oldest, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  for (uint32_t i = 0; i < t->names_count; i++) free(t->names[i].text);
  free(t->names);
  free(t->pages);
  rolling_free(t->rolling);
  free(t);
}

void timeline_use_clock(struct timeline *t, int64_t (*now)(const void *arg), const void *arg) {
  t->clock = now;
  t->clock_arg = arg;
}

void timeline_use_rolling(struct timeline *t) {
  if (!t->rolling) t->rolling = rolling_new();
}

const struct rolling *timeline_rolling(const struct timeline *t) {
  return t->rolling;
}

static char *timeline_name_copy(const char *name) {
  size_t size = strnlen(name, TIMELINE_NAME_MAX);
  /* A cut falls between characters, not into one. */
  while (size && name[size] && ((unsigned char)name[size] & 0xc0) == 0x80) size--;
  return mem_copy(slice_of(name, size));
}

uint32_t timeline_who(struct timeline *t, const char *name) {
  if (t->names_count == t->names_capacity) {
    t->names_capacity = t->names_capacity ? 2 * t->names_capacity : 8;
    t->names = mem_resize(t->names, t->names_capacity * sizeof *t->names);
  }
  t->names[t->names_count++] = (struct timeline_name){ .text = timeline_name_copy(name) };
  return t->names_count;
}

void timeline_rename(struct timeline *t, uint32_t who, const char *name) {
  assert(who >= 1 && who <= t->names_count);
  free(t->names[who - 1].text);
  t->names[who - 1].text = timeline_name_copy(name);
}

const char *timeline_name(const struct timeline *t, uint32_t who) {
  return who >= 1 && who <= t->names_count ? t->names[who - 1].text : "";
}

void timeline_join(struct timeline *t, uint32_t who) {
  if (who < 1 || who > t->names_count) return;
  struct timeline_name *n = &t->names[who - 1];
  memcpy(n->joined, n->passed, sizeof n->joined);
}

static void timeline_count(struct timeline *t, uint32_t who, enum timeline_kind kind) {
  if (who < 1 || who > t->names_count) return;
  struct timeline_name *n = &t->names[who - 1];
  if (kind <= TIMELINE_DOWN) n->passed[kind]++;
  else if (kind == TIMELINE_END) *n = (struct timeline_name){ .text = n->text };
}

static void timeline_add_page(struct timeline *t) {
  if (t->tail == t->pages_capacity && t->head > t->tail / 2) {
    memmove(t->pages, t->pages + t->head, (t->tail - t->head) * sizeof *t->pages);
    t->tail -= t->head;
    t->head = 0;
  }
  if (t->tail == t->pages_capacity) {
    t->pages_capacity = t->pages_capacity ? 2 * t->pages_capacity : 8;
    t->pages = mem_resize(t->pages, t->pages_capacity * sizeof *t->pages);
  }
  t->pages[t->tail++] = mem_resize(NULL, TIMELINE_PAGE * sizeof **t->pages);
}

static void timeline_add_block(struct timeline *t, size_t size) {
  size_t capacity = t->newest ? 2 * t->newest->capacity : TIMELINE_BLOCK_FIRST;
  if (capacity > TIMELINE_BLOCK) capacity = TIMELINE_BLOCK;
  if (capacity < size) capacity = size;
  struct timeline_block *b = mem_resize(NULL, sizeof *b + capacity);
  *b = (struct timeline_block){ .capacity = capacity };
  if (t->newest) t->newest->next = b;
  else t->oldest = b;
  t->newest = b;
}

/* Room for that many bytes of the newest entry. */
static uint8_t *timeline_room(struct timeline *t, size_t size) {
  struct timeline_block *b = t->newest;
  if (!b || b->capacity - b->used < size) timeline_add_block(t, size);
  b = t->newest;
  uint8_t *to = b->bytes + b->used;
  b->used += size;
  b->last = t->last;
  return to;
}

static size_t timeline_cost(size_t size) {
  return sizeof(struct timeline_slot) + size;
}

static size_t timeline_size(const struct timeline_slot *s) {
  return s->kind == TIMELINE_EVENT ? 0 : s->size;
}

static void timeline_evict(struct timeline *t) {
  t->held -= timeline_cost(timeline_size(timeline_slot(t, t->first)));
  t->first++;
  if (t->first - t->base == TIMELINE_PAGE) {
    free(t->pages[t->head++]);
    t->base = t->first;
  }
  while (t->oldest && t->oldest != t->newest && t->oldest->last < t->first) {
    struct timeline_block *b = t->oldest;
    t->oldest = b->next;
    free(b);
  }
}

static int64_t timeline_now(const struct timeline *t, int64_t now_ns) {
  return (t->clock ? t->clock(t->clock_arg) : now_ns) - t->begin_ns;
}

static struct timeline_slot *timeline_next(struct timeline *t) {
  t->last++;
  if ((t->last - t->base) / TIMELINE_PAGE == t->tail - t->head) timeline_add_page(t);
  return timeline_slot(t, t->last);
}

/* The newest entry has so many bytes. */
static void timeline_weigh(struct timeline *t, size_t size) {
  t->held += timeline_cost(size);
  while (t->held > TIMELINE_BYTES_MAX) timeline_evict(t);
}

/* A new entry, its bytes to be filled in. */
static uint8_t *timeline_push(struct timeline *t, int64_t now_ns, uint32_t who, enum timeline_kind kind, size_t size) {
  struct timeline_slot *s = timeline_next(t);
  uint8_t *to = timeline_room(t, size);
  *s = (struct timeline_slot){
    .at_ns = timeline_now(t, now_ns),
    .bytes = to,
    .size = (uint32_t)size,
    .who = who,
    .kind = kind,
  };
  timeline_weigh(t, size);
  timeline_count(t, who, kind);
  return to;
}

static void timeline_roll(struct timeline *t) {
  struct rolling *r = t->rolling;
  const struct timeline_slot *s = timeline_slot(t, t->last);
  rolling_add(r, (uint64_t)s->at_ns);
  rolling_add(r, s->kind);
  rolling_add_bytes(r, slice_text(timeline_name(t, s->who)));
  if (s->kind == TIMELINE_EVENT) {
    rolling_add(r, s->value);
    rolling_add(r, s->what);
    rolling_add(r, s->packet_id);
    rolling_add(r, (uint64_t)s->code);
  } else {
    rolling_add_bytes(r, slice_of(s->bytes, s->size));
  }
  rolling_step(r);
}

/* The newest entry is complete. */
static void timeline_tell(struct timeline *t) {
  struct timeline_entry e;
  if (t->rolling) timeline_roll(t);
  if (t->observer && timeline_get(t, t->last, &e)) t->observer(t->observer_arg, &e);
}

void timeline_observe(struct timeline *t, timeline_observer *observer, void *arg) {
  t->observer = observer;
  t->observer_arg = arg;
}

void timeline_add_event(struct timeline *t, int64_t now_ns, uint32_t who, struct event event) {
  *timeline_next(t) = (struct timeline_slot){
    .at_ns = timeline_now(t, now_ns),
    .value = event.value,
    .what = event.what,
    .packet_id = event.packet_id,
    .code = event.code,
    .who = who,
    .kind = TIMELINE_EVENT,
  };
  timeline_weigh(t, 0);
  timeline_tell(t);
}

void timeline_add(struct timeline *t, int64_t now_ns, uint32_t who, enum timeline_kind kind, struct slice bytes) {
  assert(kind != TIMELINE_HIT);
  bytes = slice_first(bytes, TIMELINE_ENTRY_MAX);
  uint8_t *to = timeline_push(t, now_ns, who, kind, bytes.size);
  if (bytes.size) memcpy(to, bytes.data, bytes.size);
  timeline_tell(t);
}

void timeline_add_hit(struct timeline *t, int64_t now_ns, uint32_t who, const char *text,
                      const struct timeline_hit *hit) {
  struct slice packet = slice_first(hit->packet, TIMELINE_ENTRY_MAX);
  struct timeline_mark mark = { .index = hit->index,
                                .offset = hit->offset,
                                .at = hit->at,
                                .text_size = (uint32_t)strlen(text),
                                .up = hit->up,
                                .fate = (uint8_t)hit->fate };
  bool known = hit->index && who >= 1 && who <= t->names_count;
  if (known) mark.index += t->names[who - 1].joined[hit->up ? TIMELINE_UP : TIMELINE_DOWN];
  uint8_t *to = timeline_push(t, now_ns, who, TIMELINE_HIT, sizeof mark + mark.text_size + packet.size);
  memcpy(to, &mark, sizeof mark);
  memcpy(to + sizeof mark, text, mark.text_size);
  if (packet.size) memcpy(to + sizeof mark + mark.text_size, packet.data, packet.size);
  timeline_tell(t);
}

void timeline_note(struct timeline *t, int64_t now_ns, uint32_t who, enum timeline_kind kind, const char *format, ...) {
  char text[ERR_TEXT_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  timeline_add(t, now_ns, who, kind, slice_text(text));
}

int64_t timeline_begin(const struct timeline *t) {
  return t->begin_ns;
}

uint64_t timeline_first(const struct timeline *t) {
  return t->last < t->first ? 0 : t->first;
}

uint64_t timeline_last(const struct timeline *t) {
  return t->last;
}

static void timeline_read_hit(struct timeline_entry *e) {
  struct timeline_mark mark;
  struct slice all = e->bytes;
  memcpy(&mark, all.data, sizeof mark);
  e->bytes = slice_of(all.data + sizeof mark, mark.text_size);
  e->hit = (struct timeline_hit){
    .up = mark.up,
    .fate = (enum timeline_fate)mark.fate,
    .at = mark.at,
    .index = mark.index,
    .offset = mark.offset,
    .packet = slice_from(all, sizeof mark + mark.text_size),
  };
}

bool timeline_get(const struct timeline *t, uint64_t number, struct timeline_entry *out) {
  if (number < t->first || number > t->last) return false;
  const struct timeline_slot *s = timeline_slot(t, number);
  *out = (struct timeline_entry){
    .number = number,
    .at_ns = s->at_ns,
    .who = s->who,
    .kind = (enum timeline_kind)s->kind,
  };
  if (out->kind == TIMELINE_EVENT) {
    out->event = (struct event){ (enum event_what)s->what, s->code, (uint16_t)s->packet_id, s->value };
    return true;
  }
  out->bytes = slice_of(s->bytes, s->size);
  if (out->kind == TIMELINE_HIT) timeline_read_hit(out);
  return true;
}

static bool timeline_fits(const struct timeline_slot *s, uint32_t who, enum timeline_kind kind, unsigned type) {
  if (s->kind != (unsigned)kind || (who && s->who != who)) return false;
  return !type || (timeline_size(s) && s->bytes[0] >> 4 == type);
}

bool timeline_find(const struct timeline *t, uint64_t after, uint32_t who, enum timeline_kind kind, unsigned type,
                   struct timeline_entry *out) {
  uint64_t number = after + 1 < t->first ? t->first : after + 1;
  for (; number <= t->last; number++) {
    if (timeline_fits(timeline_slot(t, number), who, kind, type)) return timeline_get(t, number, out);
  }
  return false;
}

/* Formatting. Each part appends at `*used` and counts on when there is no more room, as snprintf does. */

static void timeline_put(char *to, size_t size, size_t *used, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void timeline_put(char *to, size_t size, size_t *used, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t at = *used < size ? *used : size;
  *used += (size_t)vsnprintf(size ? to + at : to, size - at, format, args);
  va_end(args);
}

static void timeline_put_hex(char *to, size_t size, size_t *used, struct slice bytes) {
  struct slice shown = slice_first(bytes, TIMELINE_HEX_MAX);
  for (size_t i = 0; i < shown.size; i++) timeline_put(to, size, used, "%s%02x", i ? " " : "", shown.data[i]);
  if (shown.size < bytes.size) timeline_put(to, size, used, " ... (%zu B)", bytes.size);
}

static void timeline_put_packet(char *to, size_t size, size_t *used, struct slice bytes) {
  struct packet p;
  struct decode_fault fault;
  char line[DESCRIBE_LINE_MAX];
  switch (decode_packet(bytes, SPEC_3_1_1, &p, &fault)) {
  case DECODE_OK:
    describe_packet(&p, line, sizeof line);
    timeline_put(to, size, used, "%s", line);
    return;
  case DECODE_NEED_MORE: {
    const struct spec_packet *s = bytes.size ? spec_packet(bytes.data[0] >> 4) : NULL;
    timeline_put(to, size, used, "%s cut: ", s ? s->name : "packet");
    break;
  }
  case DECODE_BAD: {
    const struct spec_packet *s = spec_packet(p.type);
    timeline_put(to, size, used, "malformed %s (%s): ", s ? s->name : "packet", fault.text);
    break;
  }
  }
  timeline_put_hex(to, size, used, bytes);
}

static void timeline_put_text(char *to, size_t size, size_t *used, struct slice bytes) {
  char text[2 * ERR_TEXT_MAX];
  describe_text(bytes, ERR_TEXT_MAX, text, sizeof text);
  timeline_put(to, size, used, "%s", text);
}

int timeline_format(const struct timeline *t, const struct timeline_entry *e, char *to, size_t size) {
  static const char *const marks[] = {
    [TIMELINE_UP] = "->",    [TIMELINE_DOWN] = "<-", [TIMELINE_OPEN] = "opened", [TIMELINE_END] = "ended",
    [TIMELINE_FAULT] = "!!", [TIMELINE_NOTE] = "--", [TIMELINE_EVENT] = "::",
  };
  size_t used = 0;
  long long us = (long long)(e->at_ns / 1000);
  bool hit = e->kind == TIMELINE_HIT;
  timeline_put(to, size, &used, "%4lld.%03lld ms  ", us / 1000, us % 1000);
  if (e->who) timeline_put(to, size, &used, "%s ", timeline_name(t, e->who));
  timeline_put(to, size, &used, "%s ", marks[!hit ? e->kind : e->hit.up ? TIMELINE_UP : TIMELINE_DOWN]);
  if (hit) timeline_put_packet(to, size, &used, e->hit.packet);
  else if (e->kind <= TIMELINE_DOWN) timeline_put_packet(to, size, &used, e->bytes);
  if (hit) timeline_put(to, size, &used, "   !! ");
  if (e->kind == TIMELINE_EVENT) {
    timeline_put(to, size, &used, "event %d id %u code %d, %llu", e->event.what, e->event.packet_id, e->event.code,
                 (unsigned long long)e->event.value);
  } else if (e->kind > TIMELINE_DOWN) {
    timeline_put_text(to, size, &used, e->bytes);
  }
  return (int)used;
}
