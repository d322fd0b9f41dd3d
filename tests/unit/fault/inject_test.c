#include "injectrig.h"

#include "base/rng.h"

#define PING   slice_of("\xc0\x00", 2)
#define ACK(n) "\x40\x02\x00" n

/* A random run of packets. Some are malformed inside, some are a little longer; now and then the stream ends in the
 * middle of one. */
static void random_stream(struct rng *rng, struct buffer *to) {
  static const char *const topics[] = { "a", "a/b", "$s", "x/y/z" };
  if (rng_below(rng, 2)) injectrig_connect(to, "client");
  for (uint64_t n = rng_below(rng, 12); n > 0; n--) {
    uint8_t any[8] = { (uint8_t)(rng_next(rng) & 0xf0), (uint8_t)rng_below(rng, 6) };
    for (size_t i = 2; i < sizeof any; i++) any[i] = (uint8_t)rng_below(rng, 4);
    uint8_t qos = (uint8_t)rng_below(rng, 3);
    size_t size = (size_t)(rng_below(rng, 20) ? rng_below(rng, 40) : rng_below(rng, 3000));
    if (rng_below(rng, 3) == 0) buffer_append(to, slice_of(any, 2u + any[1]));
    else injectrig_publish(to, topics[rng_below(rng, 4)], qos, qos ? (uint16_t)(1 + rng_below(rng, 3)) : 0, size);
  }
  if (rng_below(rng, 4) == 0) buffer_append(to, slice_of("\x30\x50\x00\x01", 1 + rng_below(rng, 4)));
  if (rng_below(rng, 12) == 0) buffer_append(to, slice_of("\x30\xff\xff\xff\xff\x01zz", 1 + rng_below(rng, 8)));
}

static const char *const whats[] = { "PUBLISH", "PUBLISH",         "any",      "PUBACK,PUBREC",
                                     "CONNECT", "PINGREQ,PUBLISH", "SUBSCRIBE" };
static const char *const whiches[] = { "",        "nth 2",      "first",        "every 2",    "range 2 3",
                                       "qos 1",   "id 2",       "times 2",      "topic a/#",  "prob 0.5",
                                       "size 20", "client cl*", "nth 3 across", "qos 0 nth 1" };
static const char *const actions[] = {
  "drop",
  "hold",
  "inject hex:c000",
  "before inject hex:40020001",
  "at_byte 2 inject hex:99",
  "at_byte -1 inject \"zz\"",
  "rst",
  "at_byte 3 rst",
  "at_byte -2 fin",
  "after_packet close",
  "stall",
  "at_byte 3 stall",
  "blackhole",
  "at_byte 1 blackhole",
  "delay 5ms",
  "at_byte 2 delay 3ms",
  "after_packet delay 2ms",
  "split 2",
  "at_byte 1 split 3 1ms",
  "inject hex:3003",
  "delay 0",
};
static const char *const others[] = {
  "bytes at_byte 9 rst",
  "bytes split 3",
  "bytes delay 1ms",
  "bytes at_byte 20 stall",
  "bytes at_byte 5 inject hex:aabb",
  "bytes at_byte 7 blackhole",
  "bytes split 5 1ms",
  "bytes at_byte 12 delay 4ms",
  "close drop",
  "close delay 3ms",
  "close rst",
  "close inject hex:e000",
};
#define PICK(rng, array) array[rng_below(rng, sizeof array / sizeof array[0])]

static void random_rule(struct rng *rng, char *to, size_t size) {
  struct rule *good = NULL;
  while (!good) {
    if (rng_below(rng, 4) == 0) snprintf(to, size, "both %s", PICK(rng, others));
    else snprintf(to, size, "both %s %s %s", PICK(rng, whats), PICK(rng, whiches), PICK(rng, actions));
    good = rule_parse(to, NULL);
  }
  rule_free(good);
}

/* The same bytes, given in one way, with the rules in text. */
static void run(struct injectrig *rig, enum chain_direction d, char rules[][128], size_t count, struct slice bytes,
                struct rng *cuts) {
  injectrig_init(rig, true);
  for (size_t i = 0; i < count; i++) injectrig_rule(rig, rules[i]);
  size_t at = 0, taken = 0;
  while (at < bytes.size) {
    size_t n = cuts ? 1 + rng_below(cuts, rng_below(cuts, 3) ? 3 : 200) : bytes.size;
    struct slice cut = slice_first(slice_from(bytes, at), n);
    taken = injectrig_feed(rig, d, cut);
    if (taken < cut.size) break;
    at += cut.size;
  }
  if (at == bytes.size) injectrig_end(rig, d, CHAIN_FIN);
  injectrig_until(rig, NET_NEVER);
}

/* However the bytes are cut, the same bytes, the same end and the same firings come out. */
static void test_cuts(void **state) {
  (void)state;
  struct rng rng = { 5 };
  for (int round = 0; round < 3000; round++) {
    struct injectrig whole, cut;
    struct buffer stream;
    char rules[4][128];
    size_t count = rng_below(&rng, 5);
    enum chain_direction d = rng_below(&rng, 2) ? CHAIN_OUT : CHAIN_IN;
    buffer_init(&stream, 1 << 20);
    random_stream(&rng, &stream);
    for (size_t i = 0; i < count; i++) random_rule(&rng, rules[i], sizeof rules[i]);
    run(&whole, d, rules, count, buffer_slice(&stream), NULL);
    run(&cut, d, rules, count, buffer_slice(&stream), &rng);
    /* Coming in, a rule on bytes works on what the stream gave, however much of that a rule behind it stalls. */
    bool bytes = false, stall = false;
    for (size_t i = 0; i < count; i++) {
      bytes |= strstr(rules[i], "bytes") != NULL;
      stall |= strstr(rules[i], "stall") != NULL;
    }
    bool unordered = d == CHAIN_IN && bytes && stall;
    bool same = slice_equal(buffer_slice(&whole.got[d]), buffer_slice(&cut.got[d])) && whole.ends[d] == cut.ends[d] &&
                (unordered || strcmp(whole.log, cut.log) == 0);
    if (!same) {
      for (size_t i = 0; i < count; i++) print_error("%s\n", rules[i]);
      print_error("round %d, direction %d, ends %d %d\n%s\n%s\n", round, d, whole.ends[d], cut.ends[d], whole.log,
                  cut.log);
      injectrig_expect(&cut, d, buffer_slice(&whole.got[d]));
      fail();
    }
    injectrig_fini(&whole);
    injectrig_fini(&cut);
    buffer_fini(&stream);
  }
}

/* A plain model of rules on whole packets. */

enum model_action { MODEL_DROP, MODEL_BEFORE, MODEL_AFTER, MODEL_RST, MODEL_RST_AFTER, MODEL_ACTIONS };
static const char *const model_texts[] = { "drop", "before inject hex:c000", "inject hex:c000", "rst",
                                           "after_packet rst" };

struct model_rule {
  unsigned type, nth, seen;
  enum model_action action;
};

struct model {
  struct model_rule rules[4];
  size_t count;
  struct buffer out;
  bool ended;
};

static void model_packet(struct model *m, size_t from, struct slice packet) {
  for (size_t i = from; i < m->count && !m->ended; i++) {
    struct model_rule *r = &m->rules[i];
    if (packet.data[0] >> 4 != r->type || ++r->seen % r->nth != 0) continue;
    if (r->action == MODEL_DROP) return;
    if (r->action == MODEL_BEFORE) model_packet(m, i + 1, PING);
    if (r->action == MODEL_RST) m->ended = true;
    if (r->action == MODEL_AFTER || r->action == MODEL_RST_AFTER) {
      model_packet(m, i + 1, packet);
      if (r->action == MODEL_AFTER) model_packet(m, i + 1, PING);
      else m->ended = true;
      return;
    }
  }
  if (!m->ended) buffer_append(&m->out, packet);
}

static void test_model(void **state) {
  (void)state;
  struct rng rng = { 6 };
  static const uint8_t packets[][4] = { { 0xc0, 0 }, { 0x40, 2, 0, 1 }, { 0x50, 2, 0, 1 } };
  static const unsigned types[] = { 12, 4, 5 };
  for (int round = 0; round < 3000; round++) {
    struct injectrig rig;
    struct model m = { .count = rng_below(&rng, 5) };
    char text[128];
    buffer_init(&m.out, 1 << 16);
    injectrig_init(&rig, false);
    for (size_t i = 0; i < m.count; i++) {
      struct model_rule *r = &m.rules[i];
      *r =
          (struct model_rule){ PICK(&rng, types), 1 + (unsigned)rng_below(&rng, 3), 0, rng_below(&rng, MODEL_ACTIONS) };
      snprintf(text, sizeof text, "down %s every %u %s", spec_packet(r->type)->name, r->nth, model_texts[r->action]);
      injectrig_rule(&rig, text);
    }
    for (int n = 0; n < 12; n++) {
      const uint8_t *packet = packets[rng_below(&rng, 3)];
      struct slice bytes = slice_of(packet, 2u + packet[1]);
      model_packet(&m, 0, bytes);
      injectrig_feed(&rig, CHAIN_OUT, bytes);
    }
    injectrig_expect(&rig, CHAIN_OUT, buffer_slice(&m.out));
    assert_int_equal(rig.ends[CHAIN_OUT], m.ended ? CHAIN_RESET : CHAIN_NONE);
    injectrig_fini(&rig);
    buffer_fini(&m.out);
  }
}

/* Without rules bytes pass as they are, and a rule that comes in the middle of a packet knows where it is. */
static void test_installed_in_the_middle(void **state) {
  static const struct {
    const char *rule, *out;
    size_t size;
  } rows[] = {
    { "up PUBACK drop",
      "\x00\x01"
      "\xc0\x00",
      4 }, /* half of the first had gone: it goes on; the second is dropped */
    { "up PUBACK rst",
      "\x00\x01"
      "\xc0\x00",
      4 },
    { "up PUBACK at_byte 1 rst",
      "\x00\x01"
      "\xc0\x00\x40",
      5 },
    { "up PUBACK at_byte 2 rst", "", 0 },
    { "up PUBACK at_byte 3 rst", "\x00", 1 },
    { "up PUBACK id 1 after_packet rst", "\x00\x01", 2 },
    { "up PUBACK inject hex:d000",
      "\x00\x01"
      "\xd0\x00\xc0\x00" ACK("\2") "\xd0\x00",
      12 },
    { "up PUBACK id 1 inject hex:d000",
      "\x00\x01"
      "\xd0\x00\xc0\x00" ACK("\2"),
      10 },
    /* What cannot be dropped any more is not one of those that are counted. */
    { "up any nth 2 drop", "\x00\x01\xc0\x00", 4 },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (int early = 0; early < 2; early++) {
      struct injectrig rig;
      struct slice none = { 0 }, gone = slice_of("\x40\x02", 2);
      injectrig_init(&rig, true);
      if (early) {
        rig.filter->ops->free(rig.filter);
        rig.filter = inject_new(rig.scope, &rig, true, gone, none);
      } else {
        injectrig_feed(&rig, CHAIN_OUT, gone);
        injectrig_expect(&rig, CHAIN_OUT, gone);
      }
      injectrig_rule(&rig, rows[i].rule);
      injectrig_feed(&rig, CHAIN_OUT, slice_of("\x00", 1));
      injectrig_feed(&rig, CHAIN_OUT, slice_of("\x01\xc0\x00" ACK("\2"), 7));
      if (buffer_size(&rig.got[CHAIN_OUT]) != rows[i].size) print_error("%s: ", rows[i].rule);
      injectrig_expect(&rig, CHAIN_OUT, slice_of(rows[i].out, rows[i].size));
      injectrig_fini(&rig);
    }
  }
}

/* At any place of a stream, a rule put in and taken out again with nothing to do leaves the bytes as they are. */
static void test_rules_come_and_go(void **state) {
  (void)state;
  struct rng rng = { 8 };
  static const char *const idle[] = { "both any nth 1000 drop", "both PUBLISH hold",
                                      "both any delay 5ms",     "both bytes delay 2ms",
                                      "both bytes split 2 1ms", "both PUBLISH at_byte 3 stall",
                                      "both close hold",        "both PUBLISH at_byte 3 delay 1ms" };
  for (int round = 0; round < 1500; round++) {
    struct injectrig rig;
    struct buffer stream;
    struct scope_rule *rules[8] = { NULL };
    enum chain_direction d = rng_below(&rng, 2) ? CHAIN_OUT : CHAIN_IN;
    bool reorders = false;
    buffer_init(&stream, 1 << 20);
    random_stream(&rng, &stream);
    injectrig_init(&rig, true);
    struct slice rest = buffer_slice(&stream);
    while (rest.size) {
      size_t which = rng_below(&rng, 8);
      if (rules[which]) scope_remove(rules[which]);
      rules[which] = rules[which] ? NULL : injectrig_rule(&rig, idle[which]);
      reorders |= which == 1 && rules[which];
      struct slice cut = slice_first(rest, 1 + rng_below(&rng, 30));
      rest = slice_from(rest, injectrig_feed(&rig, d, cut));
      if (rng_below(&rng, 4) == 0) injectrig_until(&rig, rig.now_ns + 1000000);
    }
    for (size_t i = 0; i < 8; i++)
      if (rules[i]) scope_remove(rules[i]);
    injectrig_end(&rig, d, CHAIN_FIN);
    injectrig_until(&rig, NET_NEVER);
    if (!reorders) injectrig_expect(&rig, d, buffer_slice(&stream));
    assert_int_equal(rig.ends[d], CHAIN_FIN);
    injectrig_fini(&rig);
    buffer_fini(&stream);
  }
}

/* What is held counts; beyond the limit nothing is taken, and there is room again when it goes. */
static void test_back_pressure(void **state) {
  (void)state;
  struct injectrig rig;
  struct buffer b;
  buffer_init(&b, 1 << 20);
  injectrig_publish(&b, "a", 0, 0, 60000);
  injectrig_init(&rig, true);
  struct scope_rule *hold = injectrig_rule(&rig, "up PUBLISH hold");
  size_t taken = 0, n, packet = buffer_size(&b);
  while ((n = injectrig_feed(&rig, CHAIN_OUT, buffer_slice(&b))) == packet) taken += n;
  taken += n;
  assert_int_equal(taken, INJECT_HELD_MAX);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, PING), 0);
  assert_int_equal(injectrig_feed(&rig, CHAIN_IN, PING), 2);
  assert_int_equal(scope_release(hold, 2), 2);
  injectrig_drain(&rig);
  assert_int_equal(buffer_size(&rig.got[CHAIN_OUT]), 2 * packet);
  assert_int_equal(injectrig_feed(&rig, CHAIN_OUT, slice_from(buffer_slice(&b), n)), packet - n);
  injectrig_fini(&rig);

  injectrig_init(&rig, true);
  rig.stuck = true;
  for (taken = 0; (n = injectrig_feed(&rig, CHAIN_IN, buffer_slice(&b))) > 0;) taken += n;
  assert_int_equal(taken, INJECT_HELD_MAX);
  injectrig_fini(&rig);
  buffer_fini(&b);
}

/* A packet too large to be kept is known by its start, and passes in pieces. */
static void test_large(void **state) {
  static const struct {
    const char *rule;
    int64_t out; /* bytes that come out; negative: less than all */
    unsigned fired;
  } rows[] = {
    { "up PUBLISH topic b/# drop", 0, 0 },
    { "up PUBLISH topic a/# at_byte 200000 rst", 200000, 1 },
    { "up PUBLISH id 7 at_byte -1 rst", -1, 1 },
    { "up PUBLISH id 8 rst", 0, 0 },
    { "up PUBLISH qos 1 after_packet inject hex:c000", 2, 1 },
    { "up PUBLISH at_byte 70000 blackhole", 70000, 1 },
    { "up PUBLISH at_byte 70000 delay 1s", 0, 1 },
    { "up PUBLISH size 2M hold", 0, 0 },
    { "up bytes at_byte 1500000 rst", 1500000, 1 },
  };
  (void)state;
  struct buffer b;
  buffer_init(&b, 4 << 20);
  injectrig_publish(&b, "a/1", 1, 7, 2 << 20);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (size_t step = 7777; step <= 4u << 20; step *= 8) {
      struct injectrig rig;
      injectrig_init(&rig, true);
      injectrig_rule(&rig, rows[i].rule);
      for (size_t at = 0; at < buffer_size(&b); at += step)
        injectrig_feed(&rig, CHAIN_OUT, slice_first(slice_from(buffer_slice(&b), at), step));
      injectrig_until(&rig, NET_NEVER);
      int64_t all = (int64_t)buffer_size(&b), want = rows[i].out > 2 ? rows[i].out : all + rows[i].out;
      if ((int64_t)buffer_size(&rig.got[CHAIN_OUT]) != want || rig.fired != rows[i].fired)
        fail_msg("%s: %zu bytes, fired %u", rows[i].rule, buffer_size(&rig.got[CHAIN_OUT]), rig.fired);
      injectrig_fini(&rig);
    }
  }
  buffer_fini(&b);
}

/* Functions of a script that turn on the hand that feeds them. */

struct script {
  struct injectrig *rig;
  struct scope_rule *rule;
  int calls;
};

static bool adds_a_rule(void *arg, const struct packet *p) {
  struct script *s = arg;
  if (p->packet_id == 2) injectrig_rule(s->rig, "up PUBACK inject hex:c000");
  return false;
}

static bool removes_itself(void *arg, const struct packet *p) {
  struct script *s = arg;
  s->calls++;
  if (p->packet_id == 2) scope_remove(s->rule);
  return true;
}

static bool releases(void *arg, const struct packet *p) {
  struct script *s = arg;
  if (p->packet_id == 2) scope_release(s->rule, 0);
  return false;
}

static bool frees_the_filter(void *arg, const struct packet *p) {
  struct script *s = arg;
  if (p->packet_id != 2) return false;
  s->rig->filter->ops->free(s->rig->filter);
  s->rig->filter = NULL;
  scope_free(s->rig->scope);
  s->rig->scope = NULL;
  return false;
}

static bool feeds_again(void *arg, const struct packet *p) {
  struct script *s = arg;
  (void)p;
  assert_int_equal(s->rig->filter->ops->take(s->rig->filter, CHAIN_OUT, PING, 0), 0);
  assert_int_equal(s->rig->filter->ops->give(s->rig->filter, CHAIN_OUT, 0).size, 0);
  s->rig->filter->ops->end(s->rig->filter, CHAIN_IN, CHAIN_FIN, 0);
  return false;
}

/* What the function does shows from the next packet on, whether packets come one by one or all at once. */
static void test_scripts(void **state) {
  static const struct {
    bool (*where)(void *arg, const struct packet *p);
    const char *out;
    size_t size;
  } rows[] = {
    { adds_a_rule, ACK("\1") ACK("\2") ACK("\3") "\xc0\x00", 14 },
    { removes_itself, ACK("\3"), 4 },
    { feeds_again, ACK("\1") ACK("\2") ACK("\3"), 12 },
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (size_t step = 1; step <= 12; step++) {
      struct injectrig rig;
      struct script s = { .rig = &rig };
      injectrig_init(&rig, true);
      s.rule = injectrig_rule_with(&rig, "up PUBACK drop", &(struct rule_hooks){ .where = rows[i].where, .arg = &s });
      struct slice all = slice_of(ACK("\1") ACK("\2") ACK("\3"), 12);
      for (size_t at = 0; at < 12; at += step) {
        if (rows[i].where == feeds_again && rig.ends[CHAIN_IN]) break;
        injectrig_feed(&rig, CHAIN_OUT, slice_first(slice_from(all, at), step));
      }
      if (rows[i].where != feeds_again) injectrig_expect(&rig, CHAIN_OUT, slice_of(rows[i].out, rows[i].size));
      else assert_int_equal(rig.ends[CHAIN_IN], CHAIN_FIN);
      injectrig_fini(&rig);
    }
  }
}

static void test_script_releases(void **state) {
  (void)state;
  for (size_t step = 1; step <= 16; step++) {
    struct injectrig rig;
    struct script s = { .rig = &rig };
    injectrig_init(&rig, true);
    struct slice all = slice_of("\xc0\x00" ACK("\1") "\xc0\x00" ACK("\2") ACK("\3"), 16);
    injectrig_rule_with(&rig, "up PUBACK drop", &(struct rule_hooks){ .where = releases, .arg = &s });
    s.rule = injectrig_rule(&rig, "up PINGREQ hold");
    for (size_t at = 0; at < 16; at += step) injectrig_feed(&rig, CHAIN_OUT, slice_first(slice_from(all, at), step));
    injectrig_expect(&rig, CHAIN_OUT, slice_of(ACK("\1") ACK("\2") "\xc0\x00\xc0\x00" ACK("\3"), 16));
    injectrig_fini(&rig);
  }
}

static void test_script_frees(void **state) {
  (void)state;
  struct injectrig rig;
  struct script s = { .rig = &rig };
  injectrig_init(&rig, true);
  injectrig_rule_with(&rig, "up PUBACK drop", &(struct rule_hooks){ .where = frees_the_filter, .arg = &s });
  struct filter *f = rig.filter;
  f->ops->take(f, CHAIN_OUT, slice_of(ACK("\1") ACK("\2") ACK("\3"), 12), 0);
  assert_null(rig.filter);
  injectrig_fini(&rig);
}

/* A CLOSE of the owner behind a FIN that a rule made still gets through. */
static void test_close_after_fin(void **state) {
  (void)state;
  struct injectrig rig;
  injectrig_init(&rig, true);
  injectrig_rule(&rig, "up PINGREQ fin");
  injectrig_feed(&rig, CHAIN_OUT, PING);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_FIN);
  injectrig_end(&rig, CHAIN_OUT, CHAIN_CLOSE);
  assert_int_equal(rig.ends[CHAIN_OUT], CHAIN_CLOSE);
  injectrig_fini(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_cuts),
    cmocka_unit_test(test_model),
    cmocka_unit_test(test_installed_in_the_middle),
    cmocka_unit_test(test_rules_come_and_go),
    cmocka_unit_test(test_back_pressure),
    cmocka_unit_test(test_large),
    cmocka_unit_test(test_scripts),
    cmocka_unit_test(test_script_releases),
    cmocka_unit_test(test_script_frees),
    cmocka_unit_test(test_close_after_fin),
  };
  return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
