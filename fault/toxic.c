#include "fault/toxic.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/near.h"
#include "fault/rule_fields.h"
#include "fault/scope.h"
#include "net/net.h"

#define TOXIC_MS_NS INT64_C(1000000)
#define TOXIC_US_NS INT64_C(1000)

#define TOXIC_RATE_MAX INT64_C(1000000000) /* KB/s; more is not slower */

/* Rules. */

static void toxic_begin(const struct toxic *t, struct printer *to, const char *rest) {
  printer_put(to, "%s %s", t->up ? "up" : "down", rest);
}

static void toxic_latency(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  int64_t latency = t->numbers[0], jitter = t->numbers[1];
  toxic_begin(t, to, "bytes delay ");
  if (!jitter) {
    value_put_duration(to, latency * TOXIC_MS_NS);
    return;
  }
  printer_put(to, "uniform(");
  value_put_duration(to, (latency > jitter ? latency - jitter : 0) * TOXIC_MS_NS);
  printer_put(to, ",");
  value_put_duration(to, (latency + jitter) * TOXIC_MS_NS);
  printer_put(to, ")");
}

/* As with the original, 0 is no limit. */
static void toxic_bandwidth(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  if (!t->numbers[0]) return;
  toxic_begin(t, to, "bytes rate ");
  printer_put(to, "%lld", (long long)(t->numbers[0] < TOXIC_RATE_MAX ? t->numbers[0] : TOXIC_RATE_MAX) * 1000);
}

static void toxic_slow_close(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  toxic_begin(t, to, "close delay ");
  value_put_duration(to, t->numbers[0] * TOXIC_MS_NS);
}

static void toxic_timeout(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  toxic_begin(t, to, "bytes blackhole");
}

/* Until the reset nothing passes: what is taken away before that loses nothing. */
static void toxic_reset_peer(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  toxic_begin(t, to, "bytes stall");
}

static void toxic_slicer(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  long long size = t->numbers[0], variation = t->numbers[1];
  if (!size) return;
  toxic_begin(t, to, "bytes split ");
  if (variation) printer_put(to, "uniform(%lld,%lld)", size > variation ? size - variation : 1, size + variation);
  else printer_put(to, "%lld", size);
  if (!t->numbers[2]) return;
  printer_put(to, " ");
  value_put_duration(to, t->numbers[2] * TOXIC_US_NS);
}

static void toxic_limit_data(const struct toxic *t, uint64_t passed, struct printer *to) {
  toxic_begin(t, to, "bytes at_byte ");
  printer_put(to, "%llu close", (unsigned long long)passed + (unsigned long long)t->numbers[0]);
}

static void toxic_mqtt(const struct toxic *t, uint64_t passed, struct printer *to) {
  (void)passed;
  printer_put(to, "%s", t->texts[0] ? t->texts[0] : "");
}

static const struct toxic_row toxic_rows[] = {
  { .name = "latency", .attributes = { { .name = "latency" }, { .name = "jitter" } }, .rule = toxic_latency },
  { .name = "bandwidth", .attributes = { { .name = "rate" } }, .rule = toxic_bandwidth },
  { .name = "slow_close", .attributes = { { .name = "delay" } }, .rule = toxic_slow_close },
  { .name = "timeout",
    .attributes = { { .name = "timeout" } },
    .rule = toxic_timeout,
    .end = TOXIC_CLOSES,
    .zero_is_never = true,
    .loses = true },
  { .name = "reset_peer", .attributes = { { .name = "timeout" } }, .rule = toxic_reset_peer, .end = TOXIC_RESETS },
  { .name = "slicer",
    .attributes = { { .name = "average_size" }, { .name = "size_variation" }, { .name = "delay" } },
    .rule = toxic_slicer },
  { .name = "limit_data", .attributes = { { .name = "bytes" } }, .rule = toxic_limit_data },
  { .name = "mqtt", .attributes = { { .name = "rule", .is_text = true } }, .rule = toxic_mqtt, .owns_rule = true },
};

#define TOXIC_ROWS (sizeof toxic_rows / sizeof *toxic_rows)

const struct toxic_row *toxic_row(const char *type, struct err *err) {
  const char *names[TOXIC_ROWS + 1] = { NULL };
  for (size_t i = 0; i < TOXIC_ROWS; i++) {
    if (strcmp(toxic_rows[i].name, type) == 0) return &toxic_rows[i];
    names[i] = toxic_rows[i].name;
  }
  const char *near = near_name(type, names);
  err_set(err, "there is no toxic \"%.60s\"%s%s%s", type, near ? ", perhaps \"" : "", near ? near : "",
          near ? "\" is meant" : "");
  return NULL;
}

int toxic_attribute(const struct toxic_row *row, const char *name, struct err *err) {
  const char *names[TOXIC_ATTRIBUTES_MAX + 1] = { NULL };
  for (int i = 0; i < TOXIC_ATTRIBUTES_MAX && row->attributes[i].name; i++) {
    if (strcmp(row->attributes[i].name, name) == 0) return i;
    names[i] = row->attributes[i].name;
  }
  const char *near = near_name(name, names);
  err_set(err, "%s has no attribute \"%.60s\"%s%s%s", row->name, name, near ? ", perhaps \"" : "", near ? near : "",
          near ? "\" is meant" : "");
  return -1;
}

const char *toxic_stream(const struct toxic *t) {
  return t->up ? "upstream" : "downstream";
}

void toxic_copy(struct toxic *to, const struct toxic *from) {
  *to = *from;
  if (from->name) to->name = mem_copy(slice_text(from->name));
  for (int i = 0; i < TOXIC_ATTRIBUTES_MAX; i++) {
    if (from->texts[i]) to->texts[i] = mem_copy(slice_text(from->texts[i]));
  }
}

void toxic_fini(struct toxic *t) {
  free(t->name);
  for (int i = 0; i < TOXIC_ATTRIBUTES_MAX; i++) free(t->texts[i]);
  *t = (struct toxic){ 0 };
}

/* A scope of its own says what no connection could do. */
static bool toxic_check_rule(const char *text, struct err *err) {
  struct rule *rule = rule_parse(text, err);
  if (!rule) return false;
  struct scope *s = scope_new(0, NULL, NULL);
  bool ok = scope_add(s, rule, err) != NULL;
  scope_free(s);
  return ok;
}

bool toxic_is_shared(const struct toxic *t) {
  struct rule *rule = t->row->owns_rule && t->texts[0] ? rule_parse(t->texts[0], NULL) : NULL;
  bool shared = rule && ((rule->place & WORDS_ENTRY) || rule_term(rule, WORDS_ACROSS));
  if (rule) rule_free(rule);
  return shared;
}

bool toxic_check(const struct toxic *t, struct err *err) {
  char text[RULE_TEXT_MAX];
  struct printer p;
  struct err why;
  if (t->row->owns_rule && !t->texts[0]) return err_set(err, "a toxic mqtt has the attribute \"rule\": a rule's text");
  printer_init(&p, text, sizeof text);
  toxic_rule(t, 0, &p);
  if (p.length >= sizeof text) return err_set(err, "the rule has more than %d bytes", RULE_TEXT_MAX - 1);
  if (p.length && !toxic_check_rule(text, &why))
    return err_set(err, "%s: %s", t->row->owns_rule ? "rule" : t->row->name, why.text);
  if (t->toxicity == 0 || t->toxicity == VALUE_RATIO_ONE || !toxic_is_shared(t)) return true;
  return err_set(err, "a rule on connect or accept, or one that counts across connections, is for all of them: leave "
                      "toxicity at 1 and say prob in the rule");
}

void toxic_rule(const struct toxic *t, uint64_t passed, struct printer *to) {
  t->row->rule(t, passed, to);
}

int64_t toxic_clock_ns(const struct toxic *t) {
  if (!t->row->end || (t->row->zero_is_never && !t->numbers[0])) return NET_NEVER;
  return t->numbers[0] * TOXIC_MS_NS;
}
