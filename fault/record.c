#include "fault/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/pcapng.h"
#include "net/segment.h"

#define RECORD_PORTS_TRIED 64

enum { RECORD_CLIENT, RECORD_UPSTREAM, RECORD_SIDES }; /* conversations, and interfaces */
enum { RECORD_DIALLED, RECORD_LISTENED };              /* ends of a conversation */

/* A conversation. What comes in waits until its turn is over, for the comments of rules that look at it. */
struct record_side {
  struct segment_link segment;
  bool opened, ended[2];
  struct buffer pending;
  uint64_t offset; /* of its first byte in the direction */
  size_t hit;      /* so many of its bytes are the packet that the comments are about; 0: all */
  int64_t at_ns;   /* when it came */
  char *notes[RECORD_NOTES_MAX];
  size_t note_count;
};

struct record_link {
  struct list_node node, due; /* of the record; of those where something waits for the end of the turn */
  struct record *record;
  struct proxy_conn *conn;
  struct record_side sides[RECORD_SIDES];
};

struct record {
  struct net *net;
  FILE *to;   /* NULL once it is closed */
  int failed; /* the first errno of writing, or 0 */
  int64_t epoch_ns;
  unsigned holders;
  struct list_node links, due;
  uint32_t opened, ports; /* conversations; ports made up */
  struct net_timer flush; /* at the end of the turn */
};

/* Frames. */

static void record_forget(struct record_side *s) {
  while (s->note_count > 0) free(s->notes[--s->note_count]);
}

static void record_note(struct record_side *s, const char *text) {
  if (s->note_count < RECORD_NOTES_MAX) s->notes[s->note_count++] = mem_copy(slice_text(text));
}

/* One segment, with the comments that wait. */
static void record_segment(struct record_link *l, struct record_side *s, int64_t at_ns, unsigned from, unsigned flags,
                           struct slice payload) {
  struct buffer frame;
  struct slice comments[RECORD_NOTES_MAX];
  for (size_t i = 0; i < s->note_count; i++) comments[i] = slice_text(s->notes[i]);
  buffer_init(&frame, SEGMENT_FRAME_MAX);
  segment_write(&frame, &s->segment, from, flags, payload);
  if (l->record->to) {
    pcapng_packet(l->record->to, s == &l->sides[RECORD_UPSTREAM], l->record->epoch_ns + at_ns, buffer_slice(&frame),
                  comments, s->note_count);
  }
  buffer_fini(&frame);
  record_forget(s);
}

static void record_bytes(struct record_link *l, struct record_side *s, int64_t at_ns, unsigned from,
                         struct slice bytes) {
  while (bytes.size) {
    struct slice part = slice_first(bytes, SEGMENT_PAYLOAD_MAX);
    record_segment(l, s, at_ns, from, SEGMENT_PSH | SEGMENT_ACK, part);
    bytes = slice_from(bytes, part.size);
  }
}

/* The end from which that side reads. */
static unsigned record_sender(const struct record_link *l, const struct record_side *s) {
  return s == &l->sides[RECORD_CLIENT] ? RECORD_DIALLED : RECORD_LISTENED;
}

/* The first bytes of what came in, with the comments. */
static void record_release(struct record_link *l, struct record_side *s, size_t size) {
  if (!size) return;
  record_bytes(l, s, s->at_ns, record_sender(l, s), slice_first(buffer_slice(&s->pending), size));
  buffer_consume(&s->pending, size);
  s->offset += size;
  s->hit = 0;
}

static void record_flush_side(struct record_link *l, struct record_side *s) {
  if (s->hit) record_release(l, s, s->hit);
  record_release(l, s, buffer_size(&s->pending));
}

static void record_flush_link(struct record_link *l) {
  struct slice nothing = { 0 };
  for (int i = 0; i < RECORD_SIDES; i++) {
    struct record_side *s = &l->sides[i];
    record_flush_side(l, s);
    if (s->note_count && s->opened)
      record_segment(l, s, net_now(l->record->net), !record_sender(l, s), SEGMENT_ACK, nothing);
  }
}

static void record_flush(void *arg) {
  struct record *r = arg;
  for (struct list_node *n; (n = list_first(&r->due));) {
    struct record_link *l = LIST_OWNER(n, struct record_link, due);
    list_remove(n);
    record_flush_link(l);
  }
  if (r->to && fflush(r->to) != 0 && !r->failed) r->failed = errno;
}

static void record_flush_soon(struct record_link *l) {
  struct record *r = l->record;
  if (list_holds(&l->due) || !r->to) return;
  list_append(&r->due, &l->due);
  if (!heap_holds(&r->flush.node)) net_timer_set(r->net, &r->flush, net_now(r->net));
}

/* What passes. */

static void record_passed(void *arg, bool upstream, enum chain_direction d, struct slice bytes) {
  struct record_link *l = arg;
  struct record_side *s = &l->sides[upstream ? RECORD_UPSTREAM : RECORD_CLIENT];
  if (!s->opened || !l->record->to) return;
  record_flush_soon(l);
  if (d == CHAIN_OUT) {
    record_flush_link(l);
    record_bytes(l, s, net_now(l->record->net), !record_sender(l, s), bytes);
    return;
  }
  record_flush_side(l, s);
  s->at_ns = net_now(l->record->net);
  bool fits = buffer_append(&s->pending, bytes);
  if (!fits) record_bytes(l, s, s->at_ns, record_sender(l, s), bytes);
}

static void record_acknowledge_end(struct record_link *l, struct record_side *s, unsigned from) {
  if (s->ended[!from]) record_segment(l, s, net_now(l->record->net), !from, SEGMENT_ACK, (struct slice){ 0 });
}

static void record_ended(void *arg, bool upstream, enum chain_direction d, enum chain_end end) {
  struct record_link *l = arg;
  struct record_side *s = &l->sides[upstream ? RECORD_UPSTREAM : RECORD_CLIENT];
  unsigned from = d == CHAIN_IN ? record_sender(l, s) : !record_sender(l, s);
  if (!s->opened || s->ended[from] || end == CHAIN_VANISH) return;
  record_flush_soon(l);
  record_flush_link(l);
  bool reset = end == CHAIN_RESET;
  record_segment(l, s, net_now(l->record->net), from, (reset ? SEGMENT_RST : SEGMENT_FIN) | SEGMENT_ACK,
                 (struct slice){ 0 });
  if (!reset) record_acknowledge_end(l, s, from);
  s->ended[from] = true;
  if (reset) s->ended[!from] = true;
}

static const struct relay_tap record_tap = { record_passed, record_ended };

/* Conversations. */

/* By one that is open: two of one address would be taken for one. */
static bool record_is_taken(const struct record *r, const struct record_side *mine) {
  for (struct list_node *n = list_first(&r->links); n; n = list_next(&r->links, n)) {
    const struct record_link *l = LIST_OWNER(n, struct record_link, node);
    for (int i = 0; i < RECORD_SIDES; i++) {
      const struct record_side *s = &l->sides[i];
      if (s != mine && s->opened && segment_is_same(&s->segment, &mine->segment)) return true;
    }
  }
  return false;
}

static void record_open(struct record_link *l, struct record_side *s, const char *from, const char *to) {
  struct record *r = l->record;
  struct slice nothing = { 0 };
  int64_t now_ns = net_now(r->net);
  segment_address(&s->segment, slice_text(from), slice_text(to));
  for (int i = 0; i < RECORD_PORTS_TRIED && (!s->segment.ends[0].port || record_is_taken(r, s)); i++)
    s->segment.ends[0].port = segment_port(r->ports++);
  segment_number(&s->segment, r->opened++);
  s->opened = true;
  record_segment(l, s, now_ns, RECORD_DIALLED, SEGMENT_SYN, nothing);
  record_segment(l, s, now_ns, RECORD_LISTENED, SEGMENT_SYN | SEGMENT_ACK, nothing);
  record_segment(l, s, now_ns, RECORD_DIALLED, SEGMENT_ACK, nothing);
}

struct record_link *record_begin(struct record *r, struct proxy_conn *c) {
  const struct url *listen = proxy_url(proxy_conn_proxy(c));
  char at[URL_HOST_MAX + 16], text[URL_PATH_MAX + 400], url[URL_PATH_MAX + 300];
  struct record_link *l = mem_zero(sizeof *l);
  bool ipv6 = strchr(listen->host, ':') != NULL;
  l->record = r;
  l->conn = c;
  for (int i = 0; i < RECORD_SIDES; i++) buffer_init(&l->sides[i].pending, RECORD_PENDING_MAX);
  list_append(&r->links, &l->node);
  snprintf(at, sizeof at, "%s%s%s:%u", ipv6 ? "[" : "", listen->host, ipv6 ? "]" : "", listen->port);
  url_format(listen, url, sizeof url);
  snprintf(text, sizeof text, "#%llu: from %s to the proxy at %s", (unsigned long long)proxy_conn_number(c),
           proxy_conn_client(c), url);
  record_note(&l->sides[RECORD_CLIENT], text);
  record_open(l, &l->sides[RECORD_CLIENT], proxy_conn_client(c), at);
  relay_tap(proxy_conn_relay(c), &record_tap, l);
  record_flush_soon(l);
  return l;
}

void record_opened(struct record_link *l) {
  char from[128], to[128], text[400];
  const struct relay *relay = proxy_conn_relay(l->conn);
  snprintf(from, sizeof from, "%s", relay_local(relay));
  snprintf(to, sizeof to, "%s", relay_remote(relay));
  snprintf(text, sizeof text, "#%llu: from the proxy, %s, to the upstream %s",
           (unsigned long long)proxy_conn_number(l->conn), from, to);
  record_note(&l->sides[RECORD_UPSTREAM], text);
  record_open(l, &l->sides[RECORD_UPSTREAM], from, to);
  record_flush_soon(l);
}

/* Faults. */

static void record_firing_text(const struct scope_firing *f, char *to, size_t size) {
  char rule[RULE_TEXT_MAX], fate[64] = "";
  rule_print(scope_rule_of(f->rule), rule, sizeof rule);
  if (f->packet.size && f->fate == SCOPE_TAKEN) snprintf(fate, sizeof fate, " (did not pass)");
  if (f->packet.size && f->fate == SCOPE_CUT) snprintf(fate, sizeof fate, " (cut off at byte %zu)", f->packet_at);
  snprintf(to, size, "!! %s%s%s%s%s", f->toxic ? "toxic " : "", f->toxic ? f->toxic : "", f->toxic ? ": " : "", rule,
           fate);
}

/* Lets go what came before the packet, so that this stands at the beginning of what is pending: all of it, or, where
 * its beginning came earlier, the rest. False: it is not there, or a rule before this one has changed it. */
static bool record_cut(struct record_link *l, struct record_side *s, const struct scope_firing *f) {
  uint64_t start = f->stream_offset - f->packet_at, gone = start < s->offset ? s->offset - start : 0;
  if (gone >= f->packet.size) return false;
  struct slice packet = slice_from(f->packet, (size_t)gone);
  size_t before = (size_t)(start + gone - s->offset);
  if (before >= buffer_size(&s->pending)) return false;
  struct slice here = slice_first(slice_from(buffer_slice(&s->pending), before), packet.size);
  if (!slice_equal(here, slice_first(packet, here.size))) return false;
  if (s->hit && before >= s->hit) {
    before -= s->hit;
    record_release(l, s, s->hit);
  }
  record_release(l, s, before);
  s->hit = here.size;
  return true;
}

void record_fired(struct record_link *l, const struct scope_firing *f) {
  char text[RULE_TEXT_MAX + 256];
  struct record_side *s = &l->sides[f->up ? RECORD_CLIENT : RECORD_UPSTREAM];
  if (!s->opened) s = &l->sides[RECORD_CLIENT];
  if (!record_cut(l, s, f) && s->hit) record_flush_side(l, s);
  record_firing_text(f, text, sizeof text);
  record_note(s, text);
  record_flush_soon(l);
}

/* Why it ended stands where nothing else shows it: it was stopped here, or never got to the upstream. */
static void record_finish_side(struct record_link *l, bool upstream, const char *why) {
  struct record_side *s = &l->sides[upstream ? RECORD_UPSTREAM : RECORD_CLIENT];
  bool over = s->ended[0] && s->ended[1] && l->sides[RECORD_UPSTREAM].opened;
  if (!over) record_note(s, why);
  record_ended(l, upstream, CHAIN_OUT, CHAIN_CLOSE);
  if (s->opened && s->note_count)
    record_segment(l, s, net_now(l->record->net), !record_sender(l, s), SEGMENT_ACK, (struct slice){ 0 });
  record_forget(s);
  buffer_fini(&s->pending);
}

static void record_reclaim(struct record *r) {
  if (!r->holders && list_empty(&r->links)) free(r);
}

void record_end(struct record_link *l, const char *why) {
  if (!l) return;
  struct record *r = l->record;
  record_flush_link(l);
  relay_tap(proxy_conn_relay(l->conn), NULL, NULL);
  record_finish_side(l, false, why);
  record_finish_side(l, true, why);
  list_remove(&l->node);
  list_remove(&l->due);
  free(l);
  record_reclaim(r);
}

/* The file. */

struct record *record_new(struct net *n, const char *path, int64_t epoch_ns, const char *comment, struct err *err) {
  FILE *to = fopen(path, "wbe");
  if (!to) {
    err_set(err, "%.300s: %s", path, strerror(errno));
    return NULL;
  }
  struct record *r = mem_zero(sizeof *r);
  *r = (struct record){ .net = n, .to = to, .epoch_ns = epoch_ns, .holders = 1 };
  list_init(&r->links);
  list_init(&r->due);
  net_timer_init(&r->flush, record_flush, r);
  pcapng_begin(to, slice_text("mqrig " MQRIG_VERSION), slice_text(comment));
  pcapng_interface(to, slice_text("client"));
  pcapng_interface(to, slice_text("upstream"));
  record_flush(r);
  return r;
}

bool record_close(struct record *r, struct err *err) {
  if (!r->to) return true;
  record_flush(r);
  net_timer_clear(r->net, &r->flush);
  if (fclose(r->to) != 0 && !r->failed) r->failed = errno;
  r->to = NULL;
  return !r->failed || err_set(err, "the capture is not whole: %s", strerror(r->failed));
}

struct record *record_hold(struct record *r) {
  r->holders++;
  return r;
}

void record_drop(struct record *r) {
  if (!r || --r->holders) return;
  record_close(r, NULL);
  record_reclaim(r);
}
