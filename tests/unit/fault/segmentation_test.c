#include "injectrig.h"

#include "base/rng.h"
#include "fault/select.h"
#include "mqtt/decode.h"
#include "mqtt/topic.h"

/* The outcome does not depend on how bytes were cut: random packets in random pieces, at random times, through random
 * rules with every action, beside a model that sees whole packets, knows no time, and passes each through the rules in
 * one go.
 */

#define RULES_MAX  5
#define ROUNDS     2500
#define FOREVER_NS (INT64_C(1) << 50)

/* What flows through the model: a packet, bytes that are none (any more), or an end. */
struct item {
  struct slice bytes;
  bool packet;
  bool begins;    /* bytes: the first of a packet, and not all of it */
  bool completes; /* bytes: the last of a packet is among them */
  enum chain_end end;
};

struct rule_model {
  char text[160];
  bool on_end;
  uint32_t types;
  int which; /* 0: all; see model_matches */
  int64_t value;
  enum { ALL, FIRST, NTH, EVERY, RANGE, TIMES } occurrence;
  uint64_t n, m;
  enum { DEFAULT, BEFORE, AFTER, AT } position;
  int64_t at;
  size_t action;
  int64_t k, bit;
  /* While it runs. */
  uint64_t seen, fired, ahead;
  bool stopped, swallows, mid; /* mid: of the last packet that went on only a part has */
  struct buffer behind, kept;  /* kept: the beginning of a packet, until something else comes */
  struct buffer held;
};

struct model {
  struct rule_model rules[RULES_MAX];
  size_t count, shut; /* so many rules, from the first, pass nothing any more */
  enum chain_end end;
  struct buffer out;
  struct buffer pool; /* what was changed on the way */
};

static void model_feed(struct model *m, size_t level, struct item item);

static struct item model_bytes(struct slice bytes, bool completes) {
  return (struct item){ .bytes = bytes, .completes = completes };
}

static struct item model_beginning(struct slice bytes) {
  return (struct item){ .bytes = bytes, .begins = true };
}

static struct item model_packet(struct slice bytes) {
  return (struct item){ .bytes = bytes, .packet = true, .completes = true };
}

static struct slice model_keep(struct model *m, struct slice bytes) {
  size_t at = buffer_size(&m->pool);
  assert_true(buffer_append(&m->pool, bytes));
  return slice_from(buffer_slice(&m->pool), at);
}

/* Bytes as the packets that they are, and what is left as bytes; `stream`: they are a stream, not what a rule made. */
static void model_feed_framed(struct model *m, size_t level, struct slice bytes, bool stream) {
  struct frame frame;
  while (bytes.size && frame_read(bytes, &frame) == FRAME_OK && frame.size <= bytes.size) {
    model_feed(m, level, model_packet(slice_first(bytes, frame.size)));
    bytes = slice_from(bytes, frame.size);
  }
  if (!bytes.size) return;
  bool lost = !stream || frame_read(bytes, &frame) == FRAME_BAD;
  model_feed(m, level, lost ? model_bytes(bytes, false) : model_beginning(bytes));
}

static bool model_matches(const struct rule_model *r, struct slice bytes) {
  struct packet p;
  if (!(r->types >> (bytes.data[0] >> 4) & 1)) return false;
  bool good = decode_packet(bytes, SPEC_3_1_1, &p, NULL) == DECODE_OK, publish = good && p.type == SPEC_PUBLISH;
  switch (r->which) {
  case 1: return (int64_t)bytes.size >= r->value;
  case 2: return good && spec_packet(p.type)->has_packet_id && (!publish || p.qos) && p.packet_id == r->value;
  case 3: return publish && topic_matches(slice_text("a/#"), p.topic);
  case 4: return publish && p.dup == (r->value != 0);
  case 5: return publish && p.qos == r->value;
  case 6: return publish && p.retain == (r->value != 0);
  default: return true;
  }
}

static bool model_counts(struct rule_model *r) {
  uint64_t n = ++r->seen;
  switch (r->occurrence) {
  case FIRST: return n == 1;
  case NTH: return n == r->n;
  case EVERY: return n % r->n == 0;
  case RANGE: return n >= r->n && n <= r->n + r->m;
  case TIMES: return r->fired < r->n;
  default: return true;
  }
}

/* Where in a packet it acts; false: nowhere. */
static bool model_place(const struct rule_model *r, size_t size, bool after, size_t *at) {
  int64_t n = r->at < 0 ? (int64_t)size + r->at : r->at;
  *at = r->position == AFTER || (r->position == DEFAULT && after) ? size : 0;
  if (r->position == AT) *at = (size_t)n;
  return r->position != AT || (n >= 0 && n <= (int64_t)size);
}

static void model_finish(struct model *m, size_t level, enum chain_end end) {
  model_feed(m, level + 1, (struct item){ .end = end });
  if (m->shut < level + 1) m->shut = level + 1;
}

static void model_split_at(struct model *m, size_t level, struct slice bytes, size_t at, struct slice *rest) {
  *rest = slice_from(bytes, at);
  if (at && at < bytes.size) model_feed(m, level + 1, model_beginning(slice_first(bytes, at)));
  if (at && at == bytes.size) model_feed(m, level + 1, model_packet(bytes));
}

/* The actions: each on a whole packet. */

enum { PASSES, ENDS, INJECTS, STALLS, SWALLOWS, DROPS, HOLDS, COPIES, OVERTAKES, TRUNCATES, CORRUPTS, REWRITES };

static const struct action_model {
  const char *text;
  int kind;
  bool placed, bytes, ends, after;
  enum chain_end end;
  const char *hex; /* what is injected */
} actions[] = {
  { "delay 5ms", PASSES, true, true, true, false, 0, NULL },
  { "delay pareto(1ms,2)", PASSES, true, true, true, false, 0, NULL },
  { "delay normal(10ms,5ms)", PASSES, true, true, true, false, 0, NULL },
  { "rate 500", PASSES, true, true, false, false, 0, NULL },
  { "rate 1M", PASSES, true, true, false, false, 0, NULL },
  { "split 2", PASSES, true, true, false, false, 0, NULL },
  { "split 3 1ms", PASSES, true, true, false, false, 0, NULL },
  { "split uniform(1,9) 1ms", PASSES, true, true, false, false, 0, NULL },
  { "coalesce 20 10ms", PASSES, false, true, false, false, 0, NULL },
  { "rst", ENDS, true, true, true, false, CHAIN_RESET, NULL },
  { "fin", ENDS, true, true, true, false, CHAIN_FIN, NULL },
  { "close", ENDS, true, true, true, false, CHAIN_CLOSE, NULL },
  { "vanish", ENDS, true, true, true, false, CHAIN_VANISH, NULL },
  { "slow_close 20ms", ENDS, true, true, false, false, CHAIN_CLOSE, NULL },
  { "inject hex:c000", INJECTS, true, true, true, true, 0, "\xc0\x00" },
  { "inject hex:40020001", INJECTS, true, true, true, true, 0, "\x40\x02\x00\x01" },
  { "stall", STALLS, true, true, true, false, 0, NULL },
  { "blackhole", SWALLOWS, true, true, false, false, 0, NULL },
  { "drop", DROPS, false, false, true, false, 0, NULL },
  { "hold", HOLDS, false, false, true, false, 0, NULL },
  { "dup", COPIES, false, false, false, false, 0, NULL },
  { "overtake", OVERTAKES, false, false, false, false, 0, NULL },
  { "truncate", TRUNCATES, false, true, false, false, 0, NULL },
  { "corrupt", CORRUPTS, false, true, false, false, 0, NULL },
  { "rewrite", REWRITES, false, false, false, false, 0, NULL },
};
#define ACTIONS (sizeof actions / sizeof actions[0])

static struct slice model_injected(const struct action_model *a) {
  return slice_of(a->hex, a->hex[0] == '\x40' ? 4 : 2);
}

static void model_inject(struct model *m, size_t level, struct slice bytes, size_t at) {
  const struct action_model *a = &actions[m->rules[level].action];
  if (at == 0 || at == bytes.size) {
    if (at) model_feed(m, level + 1, model_packet(bytes));
    model_feed_framed(m, level + 1, model_injected(a), false);
    if (!at) model_feed(m, level + 1, model_packet(bytes));
    return;
  }
  model_feed(m, level + 1, model_beginning(slice_first(bytes, at)));
  model_feed(m, level + 1, model_bytes(model_injected(a), false));
  model_feed(m, level + 1, model_bytes(slice_from(bytes, at), true));
}

static void model_corrupt(struct model *m, size_t level, struct slice bytes) {
  struct rule_model *r = &m->rules[level];
  struct frame frame;
  struct slice changed = model_keep(m, bytes);
  frame_read(bytes, &frame);
  ((uint8_t *)changed.data)[r->k] ^= (uint8_t)(1u << r->bit);
  if (r->k < frame.header_size) model_feed_framed(m, level + 1, changed, false);
  else model_feed(m, level + 1, model_packet(changed));
}

/* The model's `rewrite` makes two of each packet with an even size, and drops those with three bytes. */
static bool rewrite_hook(void *arg, const struct packet *p, struct buffer *out) {
  (void)arg;
  if (p->raw.size == 3) return true;
  return buffer_append(out, p->raw) && (p->raw.size % 2 || buffer_append(out, p->raw));
}

static void model_act(struct model *m, size_t level, struct slice bytes, size_t at) {
  struct rule_model *r = &m->rules[level];
  const struct action_model *a = &actions[r->action];
  struct slice rest;
  switch (a->kind) {
  case PASSES: model_feed(m, level + 1, model_packet(bytes)); break;
  case ENDS:
    model_split_at(m, level, bytes, at, &rest);
    model_finish(m, level, a->end);
    break;
  case INJECTS: model_inject(m, level, bytes, at); break;
  case STALLS:
    model_split_at(m, level, bytes, at, &rest);
    r->stopped = true;
    break;
  case SWALLOWS:
    model_split_at(m, level, bytes, at, &rest);
    r->swallows = true;
    break;
  case DROPS: break;
  case HOLDS: buffer_append(&r->held, bytes); break;
  case COPIES:
    for (int64_t i = 0; i <= r->k; i++) model_feed(m, level + 1, model_packet(bytes));
    break;
  case OVERTAKES:
    buffer_append(&r->behind, bytes);
    r->ahead = (uint64_t)r->k;
    break;
  case TRUNCATES:
    if (r->k) model_feed(m, level + 1, model_bytes(slice_first(bytes, (size_t)r->k), false));
    break;
  case CORRUPTS: model_corrupt(m, level, bytes); break;
  default:
    if (bytes.size == 3) break;
    model_feed(m, level + 1, model_packet(bytes));
    if (bytes.size % 2 == 0) model_feed(m, level + 1, model_packet(bytes));
  }
}

/* A packet that the rule may mean. True: it was acted on. */
static bool model_meets(struct model *m, size_t level, struct slice bytes) {
  struct rule_model *r = &m->rules[level];
  const struct action_model *a = &actions[r->action];
  size_t at;
  if (!model_matches(r, bytes)) return false;
  bool possible = model_place(r, bytes.size, a->after, &at);
  if (a->kind == TRUNCATES || a->kind == CORRUPTS) possible = (size_t)r->k < bytes.size;
  if (!model_counts(r) || !possible || buffer_size(&r->behind)) return false;
  r->fired++;
  model_act(m, level, bytes, at);
  return true;
}

static void model_overtaken(struct model *m, size_t level) {
  struct slice late = model_keep(m, buffer_slice(&m->rules[level].behind));
  buffer_fini(&m->rules[level].behind);
  model_feed(m, level + 1, model_packet(late));
}

static void model_meets_end(struct model *m, size_t level, struct item item) {
  struct rule_model *r = &m->rules[level];
  const struct action_model *a = &actions[r->action];
  if (buffer_size(&r->behind)) model_overtaken(m, level);
  if (!r->on_end || !model_counts(r)) {
    model_feed(m, level + 1, item);
    return;
  }
  r->fired++;
  switch (a->kind) {
  case DROPS:
  case HOLDS:
  case STALLS: break;
  case ENDS: model_finish(m, level, a->end); break;
  case INJECTS: model_feed_framed(m, level + 1, model_injected(a), false); /* fall through */
  default: model_feed(m, level + 1, item);
  }
}

static void model_feed(struct model *m, size_t level, struct item item) {
  if (level < m->shut) return;
  if (level && (item.begins || item.completes)) m->rules[level - 1].mid = item.begins;
  if (level == m->count) {
    if (!m->end) buffer_append(&m->out, item.bytes);
    if (item.end > m->end) m->end = item.end;
    return;
  }
  struct rule_model *r = &m->rules[level];
  if (r->stopped || (r->swallows && !item.end)) return;
  struct slice kept = model_keep(m, buffer_slice(&r->kept));
  buffer_fini(&r->kept);
  if (kept.size) model_feed(m, level + 1, model_beginning(kept));
  if (level < m->shut) return;
  bool wanted = item.bytes.size && !r->on_end && (r->types >> (item.bytes.data[0] >> 4) & 1);
  if (item.begins && wanted) buffer_append(&r->kept, item.bytes);
  else if (item.end) model_meets_end(m, level, item);
  else if (r->on_end || !item.packet || !model_meets(m, level, item.bytes)) {
    model_feed(m, level + 1, item);
    if (item.completes && buffer_size(&r->behind) && --r->ahead == 0) model_overtaken(m, level);
  }
}

/* What is held goes on, rule by rule, once all else has; behind a part of a packet nothing can. */
static void model_release(struct model *m) {
  for (size_t i = 0; i < m->count; i++) {
    struct slice held = model_keep(m, buffer_slice(&m->rules[i].held));
    if (!m->rules[i].mid && i >= m->shut) model_feed_framed(m, i + 1, held, true);
  }
}

/* A rule on bytes, on the whole stream at once. */
static void model_stream(struct rule_model *r, struct buffer *stream, enum chain_end *end, bool *stopped) {
  const struct action_model *a = &actions[r->action];
  struct slice all = buffer_slice(stream);
  size_t at = (size_t)r->at;
  bool acts = at < all.size || (at == all.size && at > 0 && a->kind != CORRUPTS && a->kind != TRUNCATES);
  struct buffer out;
  if (!acts) return;
  buffer_init(&out, 1 << 22);
  buffer_append(&out, slice_first(all, at));
  switch (a->kind) {
  case ENDS:
  case STALLS:
    *stopped = a->kind == STALLS;
    *end = a->end;
    break;
  case SWALLOWS:
  case TRUNCATES: break;
  case INJECTS: buffer_append(&out, model_injected(a)); /* fall through */
  default: buffer_append(&out, slice_from(all, at));
  }
  if (a->kind == CORRUPTS) out.data[out.start + at] ^= (uint8_t)(1u << r->bit);
  buffer_fini(stream);
  *stream = out;
}

/* Rules at random, as text and for the model. */

#define PICK(rng, array) array[rng_below(rng, sizeof array / sizeof array[0])]

static void random_which(struct rng *rng, struct rule_model *r, struct printer *to) {
  static const char *const words[] = { NULL, "size", "id", "topic a/#", "dup", "qos", "retain" };
  bool flag;
  r->which = rng_below(rng, 3) ? 0 : (int)rng_below(rng, 7);
  flag = r->which == 4 || r->which == 6;
  r->value = r->which == 1 ? (int64_t)rng_below(rng, 12) : (int64_t)rng_below(rng, flag ? 2 : 4);
  if (r->which == 0) return;
  printer_put(to, " %s", words[r->which]);
  if (flag) printer_put(to, r->value ? " true" : " false");
  else if (r->which != 3) printer_put(to, " %d", (int)r->value);
}

static void random_occurrence(struct rng *rng, struct rule_model *r, struct printer *to) {
  static const char *const words[] = { "", "first", "nth", "every", "range", "times" };
  r->occurrence = rng_below(rng, 6);
  r->n = 1 + rng_below(rng, 4);
  r->m = rng_below(rng, 3);
  if (r->occurrence == ALL) return;
  printer_put(to, " %s", words[r->occurrence]);
  if (r->occurrence != FIRST) printer_put(to, " %d", (int)r->n);
  if (r->occurrence == RANGE) printer_put(to, " %d", (int)(r->n + r->m));
}

static void random_position(struct rng *rng, struct rule_model *r, struct printer *to) {
  r->position = actions[r->action].placed ? rng_below(rng, 4) : DEFAULT;
  r->at = (int64_t)rng_below(rng, 12) - 4;
  if (r->position == BEFORE) printer_put(to, " before");
  if (r->position == AFTER) printer_put(to, " after_packet");
  if (r->position == AT) printer_put(to, " at_byte %d", (int)r->at);
}

static void random_action(struct rng *rng, struct rule_model *r, struct printer *to) {
  int kind = actions[r->action].kind;
  r->k = (int64_t)(kind == COPIES || kind == OVERTAKES ? 1 + rng_below(rng, 3) : rng_below(rng, 8));
  r->bit = (int64_t)rng_below(rng, 8);
  printer_put(to, " %s", actions[r->action].text);
  if (kind == CORRUPTS) printer_put(to, " byte=%d,bit=%d", (int)r->k, (int)r->bit);
  else if (kind == COPIES || kind == OVERTAKES || kind == TRUNCATES) printer_put(to, " %d", (int)r->k);
}

/* On bytes: positions are those of the stream. */
static void random_bytes_rule(struct rng *rng, struct rule_model *r, struct printer *to) {
  int kind = actions[r->action].kind;
  r->at = (int64_t)rng_below(rng, 60);
  r->bit = (int64_t)rng_below(rng, 8);
  printer_put(to, "both bytes");
  if (kind == CORRUPTS) {
    printer_put(to, " corrupt byte=%d,bit=%d", (int)r->at, (int)r->bit);
  } else if (kind == TRUNCATES) {
    printer_put(to, " truncate %d", (int)r->at);
  } else if (kind != PASSES || actions[r->action].placed) {
    printer_put(to, " at_byte %d %s", (int)r->at, actions[r->action].text);
  } else {
    printer_put(to, " %s", actions[r->action].text);
  }
}

static void random_rule(struct rng *rng, struct rule_model *r, bool bytes) {
  static const struct {
    const char *name;
    uint32_t types;
  } whats[] = { { "any", 0xffff },
                { "PUBLISH", 1 << SPEC_PUBLISH },
                { "PUBACK", 1 << SPEC_PUBACK },
                { "PINGREQ", 1 << SPEC_PINGREQ },
                { "PUBLISH,PUBACK", 1 << SPEC_PUBLISH | 1 << SPEC_PUBACK } };
  struct printer to;
  size_t what = rng_below(rng, 5);
  memset(r, 0, sizeof *r);
  buffer_init(&r->behind, 1 << 16);
  buffer_init(&r->kept, 1 << 16);
  buffer_init(&r->held, 1 << 16);
  printer_init(&to, r->text, sizeof r->text);
  do r->action = rng_below(rng, ACTIONS);
  while (bytes && !actions[r->action].bytes);
  if (bytes) {
    random_bytes_rule(rng, r, &to);
    return;
  }
  r->types = whats[what].types;
  r->on_end = actions[r->action].ends && rng_below(rng, 8) == 0;
  printer_put(&to, "both %s", r->on_end ? "close" : whats[what].name);
  if (!r->on_end) random_which(rng, r, &to);
  random_occurrence(rng, r, &to);
  if (r->on_end) {
    printer_put(&to, " %s", actions[r->action].text);
    return;
  }
  random_position(rng, r, &to);
  random_action(rng, r, &to);
}

/* Selectors that no packet of the rule can meet are refused: another one, then. */
static void random_good_rule(struct rng *rng, struct rule_model *r, bool bytes) {
  struct rule *good = NULL;
  struct err err;
  while (!good) {
    random_rule(rng, r, bytes);
    good = rule_parse(r->text, &err);
    if (!good && !strstr(err.text, "can never match")) fail_msg("%s: %s", r->text, err.text);
  }
  rule_free(good);
}

static void random_stream(struct rng *rng, struct buffer *to) {
  static const char *const topics[] = { "a", "a/b", "$s", "x/y/z" };
  for (uint64_t n = rng_below(rng, 14); n > 0; n--) {
    uint8_t any[8] = { (uint8_t)(rng_next(rng) & 0xff), (uint8_t)rng_below(rng, 6), 0, (uint8_t)rng_below(rng, 4) };
    uint8_t qos = (uint8_t)rng_below(rng, 3), ack[4] = { 0x40, 2, 0, (uint8_t)rng_below(rng, 4) };
    size_t before = buffer_size(to);
    switch (rng_below(rng, 6)) {
    case 0: buffer_append(to, slice_of(any, 2u + any[1])); break;
    case 1:
    case 2: buffer_append(to, slice_of(ack, 4)); break;
    case 3: buffer_append(to, slice_of("\xc0\x00", 2)); break;
    default:
      injectrig_publish(to, PICK(rng, topics), qos, qos ? (uint16_t)rng_below(rng, 4) : 0, rng_below(rng, 30));
      to->data[to->start + before] |= (uint8_t)(rng_below(rng, 2) << 3 | rng_below(rng, 2));
    }
  }
  if (rng_below(rng, 4) == 0) buffer_append(to, slice_of("\x30\x50\x00\x01", 1 + rng_below(rng, 4)));
  if (rng_below(rng, 12) == 0) buffer_append(to, slice_of("\x30\xff\xff\xff\xff\x01zz", 1 + rng_below(rng, 8)));
}

/* One round. */

struct round {
  struct rule_model bytes[RULES_MAX];
  size_t bytes_count;
  struct model m;
  struct buffer stream;
  enum chain_direction d;
  bool all; /* the model let everything by up to the end */
};

static bool model_is_stopped(const struct model *m) {
  for (size_t i = 0; i < m->count; i++)
    if (m->rules[i].stopped) return true;
  return m->shut > 0;
}

/* How much of a packet begun there is that is not known to be one: kept back where rules on packets are behind. */
static size_t model_kept_back(const struct model *m, struct slice bytes) {
  struct frame frame;
  enum frame_result known = FRAME_OK;
  while (bytes.size && (known = frame_read(bytes, &frame)) == FRAME_OK && frame.size <= bytes.size)
    bytes = slice_from(bytes, frame.size);
  return m->count && known == FRAME_NEED_MORE ? bytes.size : 0;
}

static void model_streams(struct round *r, struct buffer *stream, enum chain_end *end, bool *stopped) {
  for (size_t i = 0; i < r->bytes_count; i++) model_stream(&r->bytes[i], stream, end, stopped);
}

/* In: rules on bytes, then packets. Out: the other way round. Then, if the way is free, what is held, and the end. */
static void round_model(struct round *r) {
  struct buffer in, out;
  enum chain_end end = CHAIN_NONE;
  bool stopped = false;
  buffer_init(&in, 1 << 22);
  buffer_append(&in, buffer_slice(&r->stream));
  if (r->d == CHAIN_IN) model_streams(r, &in, &end, &stopped);
  struct slice all = buffer_slice(&in);
  size_t kept = model_kept_back(&r->m, all);
  model_feed_framed(&r->m, 0, slice_first(all, all.size - kept), true);
  r->all = !stopped && !end && !model_is_stopped(&r->m);
  if (r->d == CHAIN_OUT) {
    buffer_init(&out, 1 << 22);
    buffer_append(&out, buffer_slice(&r->m.out));
    model_streams(r, &out, &end, &stopped);
    r->all = r->all && !end && !stopped;
    buffer_fini(&out);
  }
  if (r->all) model_release(&r->m);
  if (r->all) end = CHAIN_FIN;
  if (end) model_feed_framed(&r->m, 0, slice_from(all, all.size - kept), true);
  if (end) model_feed(&r->m, 0, (struct item){ .end = end });
  if (r->d == CHAIN_OUT) model_streams(r, &r->m.out, &r->m.end, &stopped);
  buffer_fini(&in);
}

/* After all else has gone on. */
static void round_release(const struct round *r, struct injectrig *rig, struct scope_rule *const *rules) {
  injectrig_until(rig, FOREVER_NS);
  for (size_t i = 0; i < r->m.count; i++) {
    if (actions[r->m.rules[i].action].kind != HOLDS) continue;
    scope_release(rules[i], SIZE_MAX);
    injectrig_until(rig, rig->now_ns + FOREVER_NS);
  }
}

static void round_engine(struct round *r, struct injectrig *rig, struct rng *cuts) {
  struct slice rest = buffer_slice(&r->stream);
  injectrig_init(rig, true);
  struct rule_hooks hooks = { .rewrite = rewrite_hook };
  struct scope_rule *rules[RULES_MAX];
  for (size_t i = 0; i < r->bytes_count; i++) injectrig_rule(rig, r->bytes[i].text);
  for (size_t i = 0; i < r->m.count; i++) rules[i] = injectrig_rule_with(rig, r->m.rules[i].text, &hooks);
  while (rest.size) {
    size_t n = cuts ? 1 + rng_below(cuts, rng_below(cuts, 3) ? 3 : 200) : rest.size;
    struct slice cut = slice_first(rest, n);
    size_t taken = injectrig_feed(rig, r->d, cut);
    rest = slice_from(rest, taken);
    if (taken < cut.size) break;
    if (cuts && rng_below(cuts, 4) == 0) injectrig_until(rig, rig->now_ns + (int64_t)rng_below(cuts, 8000000));
  }
  if (r->all && rest.size) fail_msg("%zu bytes were not taken", rest.size);
  if (r->all) round_release(r, rig, rules);
  if (r->all) injectrig_end(rig, r->d, CHAIN_FIN);
  injectrig_until(rig, rig->now_ns + FOREVER_NS);
}

static void round_begin(struct round *r, struct rng *rng) {
  memset(r, 0, sizeof *r);
  r->d = rng_below(rng, 2) ? CHAIN_OUT : CHAIN_IN;
  r->m.count = rng_below(rng, RULES_MAX);
  r->bytes_count = rng_below(rng, 3) ? 0 : 1 + rng_below(rng, 2);
  buffer_init(&r->stream, 1 << 20);
  buffer_init(&r->m.out, 1 << 22);
  buffer_init(&r->m.pool, 1 << 22);
  buffer_reserve(&r->m.pool, 1 << 21); /* so that slices of it stay where they are */
  for (size_t i = 0; i < r->m.count; i++) random_good_rule(rng, &r->m.rules[i], false);
  for (size_t i = 0; i < r->bytes_count; i++) random_good_rule(rng, &r->bytes[i], true);
  random_stream(rng, &r->stream);
}

static void round_fini(struct round *r) {
  for (size_t i = 0; i < r->m.count; i++) {
    buffer_fini(&r->m.rules[i].behind);
    buffer_fini(&r->m.rules[i].kept);
    buffer_fini(&r->m.rules[i].held);
  }
  buffer_fini(&r->stream);
  buffer_fini(&r->m.out);
  buffer_fini(&r->m.pool);
}

static void round_check(struct round *r, const struct injectrig *rig, int number) {
  struct slice got = buffer_slice(&rig->got[r->d]), want = buffer_slice(&r->m.out);
  if (slice_equal(got, want) && rig->ends[r->d] == r->m.end) return;
  print_error("round %d, direction %d, end %d, wanted %d\n", number, r->d, rig->ends[r->d], r->m.end);
  for (size_t i = 0; i < r->bytes_count; i++) print_error("%s\n", r->bytes[i].text);
  for (size_t i = 0; i < r->m.count; i++) print_error("%s\n", r->m.rules[i].text);
  struct slice rows[] = { buffer_slice(&r->stream), want, got };
  for (size_t row = 0; row < 3; row++) {
    for (size_t i = 0; i < rows[row].size && i < 200; i++) print_error("%02x", rows[row].data[i]);
    print_error(" (%zu)\n", rows[row].size);
  }
  fail();
}

static void test_4_segmentation_does_not_matter(void **state) {
  (void)state;
  struct rng rng = { 7 };
  unsigned fired[ACTIONS] = { 0 };
  for (int number = 0; number < ROUNDS; number++) {
    struct round r;
    round_begin(&r, &rng);
    round_model(&r);
    for (int cut = 0; cut < 3; cut++) {
      struct injectrig rig;
      round_engine(&r, &rig, cut ? &rng : NULL);
      round_check(&r, &rig, number);
      injectrig_fini(&rig);
    }
    for (size_t i = 0; i < r.m.count; i++) fired[r.m.rules[i].action] += r.m.rules[i].fired > 0;
    round_fini(&r);
  }
  for (size_t i = 0; i < ACTIONS; i++)
    if (fired[i] < ROUNDS / 200) fail_msg("%s fired in %u rounds only", actions[i].text, fired[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_4_segmentation_does_not_matter) };
  return cmocka_run_group_tests_name("segmentation", tests, NULL, NULL);
}
