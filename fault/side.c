#include "fault/side.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fault/glide.h"
#include "fault/inject_fields.h"
#include "mqtt/decode.h"

static void side_insert(struct side *s, struct stage *g, size_t place) {
  if (s->count == s->capacity) {
    s->capacity = s->capacity ? 2 * s->capacity : 2;
    s->stages = mem_resize(s->stages, s->capacity * sizeof *s->stages);
  }
  memmove(s->stages + place + 1, s->stages + place, (s->count - place) * sizeof *s->stages);
  s->stages[place] = g;
  s->count++;
  for (size_t i = place; i < s->count; i++) s->stages[i]->place = i;
  if (place >= s->shut_count) return;
  s->shut_count++;
  stage_shut(g);
}

void side_init(struct side *s, struct inject *inject, enum chain_direction direction, bool up) {
  *s = (struct side){ .inject = inject, .direction = direction, .up = up };
  buffer_init(&s->track, INJECT_PACKET_MAX);
  buffer_init(&s->connect, INJECT_PACKET_MAX);
  side_insert(s, stage_new(s, NULL, NULL), 0);
}

void side_fini(struct side *s) {
  for (size_t i = 0; i < s->count; i++) stage_free(s->stages[i]);
  free(s->stages);
  unit_clear(&s->out);
  buffer_fini(&s->track);
  buffer_fini(&s->connect);
  assert(s->held == 0);
}

struct stage *side_add(struct side *s, struct scope_rule *rule, struct scope_tally *tally) {
  struct stage *g = stage_new(s, rule, tally);
  bool bytes = g->kind == WORDS_BYTES;
  s->paces += stage_paces(g);
  if (bytes && s->direction == CHAIN_OUT) {
    side_insert(s, g, s->count);
  } else if (bytes) {
    side_insert(s, g, s->frame++);
    s->last_packet++;
  } else {
    side_insert(s, g, ++s->last_packet);
  }
  return g;
}

static void side_remove(struct side *s, size_t place) {
  if (s->met == s->stages[place]) s->met = NULL;
  s->paces -= stage_paces(s->stages[place]);
  stage_free(s->stages[place]);
  s->count--;
  memmove(s->stages + place, s->stages + place + 1, (s->count - place) * sizeof *s->stages);
  for (size_t i = place; i < s->count; i++) s->stages[i]->place = i;
  if (place < s->frame) s->frame--;
  if (place <= s->last_packet) s->last_packet--;
  if (place < s->shut_count) s->shut_count--;
}

/* Where framing finds nobody behind it who wants whole headers, it keeps none back. */
static void side_flush_header(struct side *s);

void side_sweep(struct side *s) {
  for (size_t i = s->count; s->retired && i > 0; i--) {
    if (!s->stages[i - 1]->retired || !stage_is_idle(s->stages[i - 1])) continue;
    side_remove(s, i - 1);
    s->retired--;
  }
  if (s->last_packet == s->frame) side_flush_header(s);
}

/* The client's identifier and version, for those who want to know. */
static void side_learn(struct side *s) {
  struct packet p;
  struct select_client *c = &s->inject->client;
  if (decode_packet(buffer_slice(&s->connect), SPEC_3_1_1, &p, NULL) != DECODE_OK) return;
  c->known = true;
  c->version = p.protocol_version == SPEC_5_0 ? SPEC_5_0 : SPEC_3_1_1;
  buffer_fini(&c->id);
  buffer_append(&c->id, p.client_id);
}

static void side_watch(struct side *s, const struct framer_piece *p) {
  if (!s->up || !p->framed || p->first >> 4 != SPEC_CONNECT || p->total > INJECT_PACKET_MAX) return;
  if (p->from == 0) buffer_fini(&s->connect);
  if (p->from != buffer_size(&s->connect)) return;
  buffer_append(&s->connect, p->head);
  buffer_append(&s->connect, p->body);
  if (!p->last) return;
  side_learn(s);
  buffer_fini(&s->connect);
}

/* What of the packet in progress has passed the last stage on packets: a rule that comes in now begins with it. */
static void side_track(struct side *s, const struct framer_piece *p) {
  if (!p->framed) return;
  if (p->from == 0) buffer_fini(&s->track);
  s->track_mid = !p->last;
  if (p->last || p->total > INJECT_PACKET_MAX || buffer_size(&s->track) != p->from) {
    buffer_fini(&s->track);
    return;
  }
  buffer_append(&s->track, p->head);
  buffer_append(&s->track, p->body);
}

static void side_track_unit(struct side *s, const struct unit *u) {
  if (unit_is_whole(u)) {
    s->track_mid = false;
    buffer_fini(&s->track);
    return;
  }
  struct framer_piece p = {
    .body = unit_slice(u), .framed = u->framed, .last = u->last, .total = u->total, .from = u->from
  };
  side_track(s, &p);
}

/* Behind what is there already; small ones together. */
static void side_put(struct side *s, struct unit *u) {
  struct unit *tail = s->out.tail;
  size_t size = buffer_size(&u->bytes);
  s->emitted += size;
  if (!tail || tail->alone || u->alone || buffer_size(&tail->bytes) + size > SIDE_CHUNK_MAX) {
    unit_push(&s->out, u);
    return;
  }
  unit_append(tail, unit_slice(u));
  unit_free(u);
}

static void side_finish(struct side *s, enum chain_end end) {
  if (end > s->end) s->end = end;
}

static void side_out(struct side *s, struct unit *u) {
  if (u->end) side_finish(s, u->end);
  if (u->end || s->end) unit_free(u);
  else side_put(s, u);
}

/* Into the stage at that place, or out. */
static void side_enter(struct side *s, size_t place, struct unit *u) {
  if (place == s->count) side_out(s, u);
  else if (s->stages[place]->closed) unit_free(u);
  else unit_push(&s->stages[place]->in, u);
}

void side_forward(struct side *s, const struct stage *from, struct unit *u) {
  if (from->place == s->last_packet && !u->end) side_track_unit(s, u);
  side_enter(s, from->place + 1, u);
}

void side_shut(struct side *s, size_t up_to) {
  for (size_t i = 0; i <= up_to; i++) stage_shut(s->stages[i]);
  if (s->shut_count <= up_to) s->shut_count = up_to + 1;
}

void side_end_now(struct side *s, enum chain_end end) {
  side_finish(s, end);
  side_shut(s, s->count - 1);
}

static void side_send_piece(struct side *s, const struct framer_piece *p) {
  struct unit *u = unit_new(&s->held);
  u->framed = p->framed;
  u->last = p->last;
  u->first = p->first;
  u->total = p->total;
  u->from = p->from;
  u->index = p->index;
  u->offset = p->offset;
  unit_append(u, p->head);
  unit_append(u, p->body);
  side_watch(s, p);
  side_forward(s, s->stages[s->frame], u);
}

static void side_flush_header(struct side *s) {
  struct framer_piece p;
  if (s->shut_count <= s->frame && framer_pending(&s->framer, &p)) side_send_piece(s, &p);
}

/* Cuts one piece off and sends it on; false if there is none. */
static bool side_frame_next(struct side *s, struct slice *rest) {
  struct framer_piece p;
  bool some = framer_next(&s->framer, rest, &p);
  if (some) side_send_piece(s, &p);
  else if (s->last_packet == s->frame) side_flush_header(s);
  return some;
}

/* What a stage in front of the framing has stalled does not come here; what is behind it may still. */
static bool side_is_stalled_behind(const struct side *s) {
  for (size_t i = s->frame; s->stalls && i < s->count; i++)
    if (s->stages[i]->stalled) return true;
  return false;
}

bool side_frame(struct side *s, struct unit_queue *in) {
  struct unit *u = in->head;
  if (!u || side_is_stalled_behind(s)) return false;
  if (inject_follow(s->inject)) return true;
  if (u->end) {
    side_flush_header(s);
    side_forward(s, s->stages[s->frame], unit_pop(in));
    return true;
  }
  struct slice rest = unit_slice(u);
  size_t before = rest.size;
  side_frame_next(s, &rest);
  unit_consume(u, before - rest.size);
  if (!rest.size) unit_free(unit_pop(in));
  return true;
}

void side_cut(struct side *s, const struct unit *u, size_t at, enum chain_end end) {
  s->cut_index = u->framed && !u->injected ? u->index : 0;
  s->cut_at = u->from + at;
  s->cut_end = end;
}

static size_t side_room(const struct side *s) {
  size_t room = s->stalls || s->held >= INJECT_HELD_MAX ? 0 : INJECT_HELD_MAX - s->held;
  size_t paced = s->paced >= SIDE_PACED_MAX ? 0 : SIDE_PACED_MAX - s->paced;
  return s->paces && paced < room ? paced : room;
}

/* Follows the framing of bytes that no rule wants to see. */
static void side_follow(struct side *s, struct slice bytes) {
  struct framer_piece p;
  while (framer_next(&s->framer, &bytes, &p) || framer_pending(&s->framer, &p)) {
    side_watch(s, &p);
    side_track(s, &p);
  }
}

void side_emit(struct side *s, struct slice bytes) {
  struct unit *u = s->out.tail;
  s->emitted += bytes.size;
  if (!u || u->alone || buffer_size(&u->bytes) >= SIDE_CHUNK_MAX) {
    u = unit_new(&s->held);
    unit_push(&s->out, u);
  }
  unit_append(u, bytes);
}

static void side_pass_through(struct side *s, struct slice bytes) {
  side_follow(s, bytes);
  side_emit(s, bytes);
}

void side_skip(struct side *s, struct slice partial) {
  side_follow(s, partial);
  s->emitted += partial.size;
}

void side_resume(struct side *s, const struct framer *f, struct slice start) {
  uint64_t passed = framer_passed(f);
  s->framer = *f;
  s->framer.sent = f->have;
  s->emitted = f->taken;
  s->track_mid = passed > 0;
  if (passed && start.size == passed && (!f->known || f->frame.size <= INJECT_PACKET_MAX)) {
    buffer_append(&s->track, start);
  }
}

/* A CONNECT in progress is completed by what comes. */
void side_meet_client(struct side *s, struct slice connect) {
  struct frame frame;
  if (!connect.size || connect.data[0] >> 4 != SPEC_CONNECT || !buffer_append(&s->connect, connect)) return;
  if (frame_read(connect, &frame) != FRAME_OK || frame.size > connect.size) return;
  side_learn(s);
  buffer_fini(&s->connect);
}

/* Behind an end that a rule has made nothing goes out any more, and what comes in is let go. */
static size_t side_take_shut(const struct side *s, struct slice bytes, size_t taken) {
  return s->direction == CHAIN_OUT ? taken : bytes.size;
}

/* A packet that begins here and is not all there: better looked at as a whole, in the next call. */
static bool side_is_cut_short(const struct side *s, struct slice rest) {
  struct frame frame;
  if (s->framer.have || s->framer.lost) return false;
  enum frame_result result = frame_read(rest, &frame);
  return result == FRAME_NEED_MORE || (result == FRAME_OK && frame.size > rest.size);
}

/* How many of the bytes of a packet that was just taken count as taken, when a rule has ended or stalled the direction
 * in it: what stands behind that was not handed over. The owner's write fails where the end is in place of the whole
 * packet.
 */
static size_t side_taken_of(struct side *s, uint64_t from, size_t n) {
  if (s->cut_index != s->framer.index || s->cut_at > from + n) return n;
  s->inject->filter.writing |= s->cut_at == 0 && s->cut_end == CHAIN_RESET;
  return s->cut_at > from ? (size_t)(s->cut_at - from) : 0;
}

/* One piece after the other, each as far as it goes: a rule that stalls stops the taking right behind its packet, one
 * that ends the direction right where it does. */
static size_t side_take_pieces(struct side *s, struct slice bytes) {
  size_t taken = 0;
  while (taken < bytes.size) {
    if (inject_follow(s->inject)) side_pump(s);
    struct slice rest = slice_first(slice_from(bytes, taken), side_room(s));
    size_t by = glide_pass(s, rest);
    taken += by;
    rest = slice_from(rest, by);
    size_t before = rest.size;
    uint64_t from = s->framer.have ? s->framer.from : 0;
    if (!before || (taken && side_is_cut_short(s, rest))) break;
    s->cut_index = 0;
    side_frame_next(s, &rest);
    side_pump(s);
    size_t n = before - rest.size, counted = side_taken_of(s, from, n);
    taken += counted;
    if (s->shut_count) return side_take_shut(s, bytes, taken);
    s->owed = n - counted;
    if (s->owed) break;
  }
  return taken;
}

/* What stood behind a stall goes on once that is over. */
static size_t side_take_owed(struct side *s, struct slice bytes) {
  size_t n = s->stalls ? 0 : slice_first(bytes, s->owed).size;
  s->owed -= n;
  return n;
}

size_t side_take(struct side *s, struct slice bytes) {
  if (s->shut_count || s->end) return side_take_shut(s, bytes, 0);
  if (s->owed) return side_take_owed(s, bytes);
  if (s->frame == 0 && s->count > 1) return side_take_pieces(s, bytes);
  bytes = slice_first(bytes, side_room(s));
  if (!bytes.size) return 0;
  if (s->count == 1) {
    side_pass_through(s, bytes);
    return bytes.size;
  }
  struct unit *u = unit_new(&s->held);
  u->offset = s->stages[0]->passed;
  unit_append(u, bytes);
  unit_push(&s->stages[0]->in, u);
  side_pump(s);
  return bytes.size;
}

/* Behind all that came, or, where a rule has ended the direction, behind that end. */
void side_end(struct side *s, enum chain_end end) {
  side_enter(s, s->shut_count, unit_new_end(&s->held, end));
}

/* From the last stage to the first, so that what is furthest goes on first. */
void side_pump(struct side *s) {
  size_t i = s->count;
  while (i > 0) {
    size_t frame = s->frame;
    bool worked = stage_step(s->stages[i - 1]);
    if (!worked) i--;
    else if (i - 1 == frame) i = s->count;
    else if (i < s->count) i++;
  }
}

/* What is lent is not appended to any more: it stays where it is. */
struct slice side_give(const struct side *s) {
  struct unit *u = s->out.head;
  if (!u) return slice_of(NULL, 0);
  u->alone = true;
  return unit_slice(u);
}

void side_gave(struct side *s, size_t n) {
  struct unit *u = s->out.head;
  if (n == 0) return;
  s->inject->again |= s->held >= SIDE_FULL;
  unit_consume(u, n);
  if (buffer_size(&u->bytes) == 0) unit_free(unit_pop(&s->out));
}

int64_t side_deadline(const struct side *s) {
  int64_t first_ns = NET_NEVER;
  for (size_t i = 0; i < s->count; i++) {
    int64_t at_ns = stage_deadline(s->stages[i]);
    if (at_ns < first_ns) first_ns = at_ns;
  }
  return first_ns;
}
