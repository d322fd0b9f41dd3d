#include "fault/select.h"

#include "mqtt/decode.h"
#include "mqtt/topic.h"

/* Selectors. A row that needs fields never matches a malformed packet. */

struct select_packet {
  const struct unit *unit;
  const struct packet *packet;
  const struct select_client *client;
  const struct rule *rule;
};

static bool select_qos(const struct value *args, const struct select_packet *s) {
  return s->packet->type == SPEC_PUBLISH && s->packet->qos == args[0].number;
}

static bool select_id(const struct value *args, const struct select_packet *s) {
  const struct spec_packet *row = spec_packet(s->packet->type);
  bool has_id = row && row->has_packet_id && (s->packet->type != SPEC_PUBLISH || s->packet->qos > 0);
  return has_id && s->packet->packet_id == args[0].number;
}

static bool select_topic(const struct value *args, const struct select_packet *s) {
  return s->packet->type == SPEC_PUBLISH && topic_matches(args[0].text, s->packet->topic);
}

/* `*` is any run of bytes, `?` any one. */
static bool select_glob(struct slice pattern, struct slice text) {
  size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
  while (t < text.size) {
    if (p < pattern.size && pattern.data[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size && (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
      p++;
      t++;
    } else if (star != SIZE_MAX) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size && pattern.data[p] == '*') p++;
  return p == pattern.size;
}

static bool select_client_id(const struct value *args, const struct select_packet *s) {
  return s->client->known && select_glob(args[0].text, buffer_slice(&s->client->id));
}

static bool select_dup(const struct value *args, const struct select_packet *s) {
  return s->packet->type == SPEC_PUBLISH && s->packet->dup == (args[0].number != 0);
}

static bool select_retain(const struct value *args, const struct select_packet *s) {
  return s->packet->type == SPEC_PUBLISH && s->packet->retain == (args[0].number != 0);
}

static bool select_size(const struct value *args, const struct select_packet *s) {
  return s->unit->total >= args[0].number && (!args[1].given || s->unit->total <= args[1].number);
}

/* A SUBACK has one for each topic: any of them. */
static bool select_reason(const struct value *args, const struct select_packet *s) {
  const struct packet *p = s->packet;
  if (p->type == SPEC_SUBACK || p->type == SPEC_UNSUBACK)
    return p->items.size && memchr(p->items.data, (int)args[0].number, p->items.size);
  bool has_reason = p->type == SPEC_CONNACK || p->version == SPEC_5_0;
  return has_reason && p->reason_code == args[0].number;
}

static bool select_where(const struct value *args, const struct select_packet *s) {
  (void)args;
  return s->rule->hooks.where(s->rule->hooks.arg, s->packet);
}

static const struct {
  bool (*matches)(const struct value *args, const struct select_packet *s);
  bool decodes, fields;
} select_rows[WORDS_IDS] = {
  [WORDS_QOS] = { select_qos, true, true },      [WORDS_ID] = { select_id, true, true },
  [WORDS_TOPIC] = { select_topic, true, true },  [WORDS_CLIENT] = { select_client_id, false, false },
  [WORDS_DUP] = { select_dup, true, true },      [WORDS_RETAIN] = { select_retain, true, true },
  [WORDS_SIZE] = { select_size, false, false },  [WORDS_REASON] = { select_reason, true, true },
  [WORDS_WHERE] = { select_where, true, false },
};

/* A copy of the start whose remaining length is what is there. */
static struct slice select_shorten(struct slice start, struct buffer *scratch) {
  size_t header = 1;
  while (start.data[header] & 0x80) header++;
  size_t rest = start.size - header - 1;
  uint8_t fixed[4] = { start.data[0], (uint8_t)(rest & 0x7f) | 0x80, (uint8_t)(rest >> 7 & 0x7f) | 0x80,
                       (uint8_t)(rest >> 14) };
  buffer_append(scratch, slice_of(fixed, sizeof fixed));
  buffer_append(scratch, slice_from(start, header + 1));
  return buffer_slice(scratch);
}

bool select_decode(const struct unit *u, const struct select_client *c, struct buffer *scratch, struct packet *out) {
  struct slice bytes = unit_slice(u);
  if (bytes.size < u->total) bytes = select_shorten(slice_first(bytes, SELECT_START_MAX), scratch);
  return decode_packet(bytes, c->version, out, NULL) == DECODE_OK;
}

static bool select_terms(const struct rule *r, struct select_packet *s, bool decoded, bool malformed) {
  for (size_t i = 0; i < r->term_count; i++) {
    const struct rule_term *t = &r->terms[i];
    if (!select_rows[t->word].matches || select_rows[t->word].decodes != decoded) continue;
    if (malformed && select_rows[t->word].fields) return false;
    if (!select_rows[t->word].matches(t->args, s)) return false;
  }
  return true;
}

static bool select_looks_inside(const struct rule *r) {
  for (size_t i = 0; i < r->term_count; i++)
    if (select_rows[r->terms[i].word].decodes) return true;
  return false;
}

static bool select_matches_inside(const struct rule *r, const struct unit *u, const struct select_client *c) {
  struct packet p = { 0 };
  struct buffer scratch;
  struct select_packet s = { u, &p, c, r };
  buffer_init(&scratch, SELECT_START_MAX + 8);
  bool good = select_decode(u, c, &scratch, &p);
  bool matches = select_terms(r, &s, true, !good);
  buffer_fini(&scratch);
  return matches;
}

bool select_matches(const struct rule *r, const struct unit *u, const struct select_client *c) {
  struct select_packet s = { u, NULL, c, r };
  return select_terms(r, &s, false, false) && (!select_looks_inside(r) || select_matches_inside(r, u, c));
}

/* Positions. */

bool select_position(const struct rule *r, uint64_t total, bool after, uint64_t *at) {
  const struct rule_term *t = rule_term(r, WORDS_AT_BYTE);
  if (rule_term(r, WORDS_AFTER_PACKET)) after = true;
  if (rule_term(r, WORDS_BEFORE)) after = false;
  *at = after ? total : 0;
  if (!t) return true;
  int64_t n = t->args[0].number;
  uint64_t back = n < 0 ? (uint64_t)-n : 0;
  if (back > total || (n >= 0 && (uint64_t)n > total)) return false;
  *at = n < 0 ? total - back : (uint64_t)n;
  return true;
}

/* Occurrences. */

struct select_occurrence {
  uint64_t n; /* from 1 */
  uint64_t fired;
  const struct scope_rule *rule;
  uint64_t conn;
};

static bool select_first(const struct value *args, const struct select_occurrence *o) {
  (void)args;
  return o->n == 1;
}

static bool select_nth(const struct value *args, const struct select_occurrence *o) {
  return o->n == (uint64_t)args[0].number;
}

static bool select_range(const struct value *args, const struct select_occurrence *o) {
  return o->n >= (uint64_t)args[0].number && o->n <= (uint64_t)args[1].number;
}

static bool select_every(const struct value *args, const struct select_occurrence *o) {
  return o->n % (uint64_t)args[0].number == 0;
}

static bool select_prob(const struct value *args, const struct select_occurrence *o) {
  uint64_t bits = scope_draw(o->rule, SCOPE_USE_PROB, o->conn, o->n);
  return (uint64_t)(((unsigned __int128)bits * VALUE_RATIO_ONE) >> 64) < (uint64_t)args[0].number;
}

static bool select_times(const struct value *args, const struct select_occurrence *o) {
  return o->fired < (uint64_t)args[0].number;
}

/* The first one from that time on. */
static bool select_at(const struct value *args, const struct select_occurrence *o) {
  (void)args;
  return o->n == 1;
}

/* How many of the next ones are none. */

static uint64_t select_lull_first(const struct value *args, const struct scope_tally *t) {
  (void)args;
  return t->counted ? UINT64_MAX : 0;
}

static uint64_t select_lull_range(const struct value *args, const struct scope_tally *t) {
  uint64_t from = (uint64_t)args[0].number, to = (uint64_t)args[args[1].given].number;
  if (t->counted >= to) return UINT64_MAX;
  return t->counted + 1 < from ? from - 1 - t->counted : 0;
}

static uint64_t select_lull_every(const struct value *args, const struct scope_tally *t) {
  uint64_t n = (uint64_t)args[0].number;
  return n - 1 - t->counted % n;
}

static uint64_t select_lull_times(const struct value *args, const struct scope_tally *t) {
  return t->fired >= (uint64_t)args[0].number ? UINT64_MAX : 0;
}

static const struct {
  bool (*means)(const struct value *args, const struct select_occurrence *o);
  uint64_t (*lull)(const struct value *args, const struct scope_tally *t); /* NULL: it cannot be said */
} select_occurrences[WORDS_IDS] = {
  [WORDS_AT] = { select_at, NULL },
  [WORDS_FIRST] = { select_first, select_lull_first },
  [WORDS_NTH] = { select_nth, select_lull_range },
  [WORDS_RANGE] = { select_range, select_lull_range },
  [WORDS_EVERY] = { select_every, select_lull_every },
  [WORDS_PROB] = { select_prob, NULL },
  [WORDS_TIMES] = { select_times, select_lull_times },
};

bool select_in_time(const struct scope_rule *r, int64_t since_ns) {
  const struct rule_term *during = rule_term(r->rule, WORDS_DURING), *at = rule_term(r->rule, WORDS_AT);
  if (r->after && r->after->all.fired == 0) return false;
  if (during && (since_ns < during->args[0].number || since_ns >= during->args[1].number)) return false;
  return !at || since_ns >= at->args[0].number;
}

bool select_counts(struct scope_rule *r, struct scope_tally *tally, const struct select_moment *m) {
  bool across = rule_term(r->rule, WORDS_ACROSS) || rule_is_entry(r->rule);
  const struct scope_tally *counted = across ? &r->all : tally;
  tally->seen++;
  if (tally != &r->all) r->all.seen++;
  if (!select_in_time(r, m->since_ns)) return false;
  tally->counted++;
  if (tally != &r->all) r->all.counted++;
  struct select_occurrence o = { counted->counted, counted->fired, r, across ? 0 : m->conn };
  for (size_t i = 0; i < r->rule->term_count; i++) {
    const struct rule_term *t = &r->rule->terms[i];
    if (select_occurrences[t->word].means && !select_occurrences[t->word].means(t->args, &o)) return false;
  }
  return true;
}

/* Some look at what is in a packet, or at the clock. */
static bool select_only_counts(const struct scope_rule *r) {
  if (r->after || rule_term(r->rule, WORDS_DURING) || rule_term(r->rule, WORDS_AT)) return false;
  for (size_t i = 0; i < r->rule->term_count; i++)
    if (select_rows[r->rule->terms[i].word].matches) return false;
  return true;
}

uint64_t select_lull(const struct scope_rule *r, const struct scope_tally *tally) {
  const struct scope_tally *counted = rule_term(r->rule, WORDS_ACROSS) ? &r->all : tally;
  uint64_t most = 0;
  for (size_t i = 0; i < r->rule->term_count; i++) {
    const struct rule_term *t = &r->rule->terms[i];
    uint64_t n = select_occurrences[t->word].lull ? select_occurrences[t->word].lull(t->args, counted) : 0;
    if (n > most) most = n;
  }
  return most && select_only_counts(r) ? most : 0;
}

void select_pass(struct scope_rule *r, struct scope_tally *tally, uint64_t n) {
  tally->seen += n;
  tally->counted += n;
  if (tally == &r->all) return;
  r->all.seen += n;
  r->all.counted += n;
}
