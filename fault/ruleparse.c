#include "fault/ruleparse.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/near.h"

#define RULEPARSE_SHOWN_MAX     40 /* of a token in a sentence */
#define RULEPARSE_WHAT          "what it is about (packet names with commas, any, bytes, connect, accept, close, tls)"
#define RULEPARSE_WHERE_OR_WHAT "a direction (up, down, both), sys, or " RULEPARSE_WHAT
#define RULEPARSE_CALLS         "an own system call (socket, connect, accept, send, recv, alloc)"

struct ruleparse_token {
  struct slice text; /* without quotes */
  size_t column;     /* from 1 */
  bool quoted, end;
};

struct ruleparse {
  const char *text;
  size_t at;
  struct rule *rule;
  struct ruleparse_token action; /* where it stands, for sentences about the whole */
  struct err *err;
};

static const struct {
  const char *name;
  enum words_place place;
} ruleparse_places[] = { { "bytes", WORDS_BYTES },
                         { "connect", WORDS_CONNECT },
                         { "accept", WORDS_ACCEPT },
                         { "close", WORDS_END },
                         { "tls", WORDS_TLS } };
static const struct {
  const char *name;
  unsigned directions;
} ruleparse_directions[] = { { "up", RULE_UP }, { "down", RULE_DOWN }, { "both", RULE_BOTH } };

#define RULEPARSE_COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

const char *ruleparse_place_name(enum words_place place) {
  for (size_t i = 0; i < RULEPARSE_COUNT_OF(ruleparse_places); i++)
    if (ruleparse_places[i].place == place) return ruleparse_places[i].name;
  return place == WORDS_CALLS ? "own system calls" : "any";
}

static bool ruleparse_is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of a word: at a space that is not between parentheses. */
static size_t ruleparse_word_end(const char *text, size_t at) {
  int depth = 0;
  for (; text[at] && (depth > 0 || !ruleparse_is_space(text[at])); at++) depth += (text[at] == '(') - (text[at] == ')');
  return at;
}

/* The closing quote, or the terminator where there is none. */
static size_t ruleparse_quote_end(const char *text, size_t at) {
  for (; text[at] && text[at] != '"'; at++)
    if (text[at] == '\\' && text[at + 1]) at++;
  return at;
}

static bool ruleparse_fail(struct ruleparse *p, const struct ruleparse_token *t, const char *expected,
                           const char *near) {
  int shown = t->text.size > RULEPARSE_SHOWN_MAX ? RULEPARSE_SHOWN_MAX : (int)t->text.size;
  const char *cut = t->text.size > RULEPARSE_SHOWN_MAX ? "..." : "";
  const char *guess = near ? near : "";
  const char *before = near ? "; did you mean \"" : "", *behind = near ? "\"?" : "";
  if (t->end) return err_set(p->err, "column %zu: the rule ends here; expected %s", t->column, expected);
  return err_set(p->err, "column %zu: \"%.*s%s\": expected %s%s%s%s", t->column, shown, (const char *)t->text.data, cut,
                 expected, before, guess, behind);
}

/* Something that is understood and makes no sense. */
static bool ruleparse_refuse(struct ruleparse *p, const struct ruleparse_token *t, const char *what, const char *why) {
  return err_set(p->err, "column %zu: \"%.*s\" %s: %s", t->column, (int)t->text.size, (const char *)t->text.data, what,
                 why);
}

/* Reads the token at p->at without moving on; `*next` is where the one behind it starts. */
static bool ruleparse_peek(struct ruleparse *p, struct ruleparse_token *out, size_t *next) {
  size_t at = p->at;
  while (ruleparse_is_space(p->text[at])) at++;
  *out = (struct ruleparse_token){ .column = at + 1, .end = p->text[at] == '\0', .quoted = p->text[at] == '"' };
  size_t start = at + out->quoted;
  size_t end = out->quoted ? ruleparse_quote_end(p->text, start) : ruleparse_word_end(p->text, start);
  out->text = slice_of(p->text + start, end - start);
  *next = end + (out->quoted && p->text[end]);
  if (out->quoted && !p->text[end])
    return err_set(p->err, "column %zu: a quote that is opened here is not closed", out->column);
  if (out->quoted && p->text[*next] && !ruleparse_is_space(p->text[*next]))
    return err_set(p->err, "column %zu: expected a space behind the closing quote", *next + 1);
  return true;
}

static unsigned ruleparse_find_direction(struct slice name) {
  for (size_t i = 0; i < RULEPARSE_COUNT_OF(ruleparse_directions); i++)
    if (slice_equal(name, slice_text(ruleparse_directions[i].name))) return ruleparse_directions[i].directions;
  return 0;
}

/* An optional direction: without one it is both. In its place `sys`: own system calls. */
static bool ruleparse_direction(struct ruleparse *p) {
  struct ruleparse_token t;
  size_t next;
  if (!ruleparse_peek(p, &t, &next)) return false;
  p->rule->directions = t.quoted ? 0 : ruleparse_find_direction(t.text);
  if (!t.quoted && slice_equal(t.text, slice_text("sys"))) p->rule->place = WORDS_CALLS;
  if (p->rule->directions || p->rule->place) p->at = next;
  if (!p->rule->directions) p->rule->directions = RULE_BOTH;
  return true;
}

/* The nearest of these names (NULL ends) to what stands there. */
static const char *ruleparse_near(struct slice word, const char *const *names) {
  char text[NEAR_WORD_MAX + 1];
  if (word.size >= sizeof text || memchr(word.data, '\0', word.size)) return NULL;
  memcpy(text, word.data, word.size);
  text[word.size] = '\0';
  return near_name(text, names);
}

static bool ruleparse_fail_what(struct ruleparse *p, const struct ruleparse_token *t, bool first) {
  const char *names[SPEC_TYPES + 2 * RULEPARSE_COUNT_OF(ruleparse_places) + 1];
  size_t n = 0;
  for (unsigned type = SPEC_CONNECT; type < SPEC_TYPES; type++) names[n++] = spec_packet(type)->name;
  for (size_t i = 0; i < RULEPARSE_COUNT_OF(ruleparse_places); i++) names[n++] = ruleparse_places[i].name;
  for (size_t i = 0; first && i < RULEPARSE_COUNT_OF(ruleparse_directions); i++)
    names[n++] = ruleparse_directions[i].name;
  if (first) names[n++] = "sys";
  names[n] = NULL;
  return ruleparse_fail(p, t, first ? RULEPARSE_WHERE_OR_WHAT : RULEPARSE_WHAT, ruleparse_near(t->text, names));
}

/* The next name between commas; its data is NULL when there is none any more. */
static struct ruleparse_token ruleparse_name(const struct ruleparse_token *t, struct slice *rest) {
  const uint8_t *comma = rest->size ? memchr(rest->data, ',', rest->size) : NULL;
  size_t size = comma ? (size_t)(comma - rest->data) : rest->size;
  struct ruleparse_token name = { slice_first(*rest, size), t->column + (size_t)(rest->data - t->text.data), false,
                                  false };
  *rest = comma ? slice_from(*rest, size + 1) : slice_of(NULL, 0);
  return name;
}

static bool ruleparse_type(struct ruleparse *p, const struct ruleparse_token *name, bool first) {
  unsigned type = spec_type_of(name->text);
  if (!type) return ruleparse_fail_what(p, name, first);
  p->rule->types |= UINT32_C(1) << type;
  return true;
}

static bool ruleparse_call(struct ruleparse *p, const struct ruleparse_token *name) {
  const char *names[WORDS_ALLOC + 2] = { NULL };
  for (unsigned call = 0; call <= WORDS_ALLOC; call++) {
    names[call] = words_call(call);
    if (!slice_equal(name->text, slice_text(names[call]))) continue;
    p->rule->calls |= RULE_CALL(call);
    return true;
  }
  return ruleparse_fail(p, name, RULEPARSE_CALLS, ruleparse_near(name->text, names));
}

/* Behind `sys`. */
static bool ruleparse_calls(struct ruleparse *p, const struct ruleparse_token *t, size_t next) {
  if (t->end || t->quoted) return ruleparse_fail(p, t, RULEPARSE_CALLS, NULL);
  p->at = next;
  struct slice rest = t->text;
  while (rest.data) {
    struct ruleparse_token name = ruleparse_name(t, &rest);
    if (!ruleparse_call(p, &name)) return false;
  }
  return true;
}

/* A word of the whole vocabulary that can do nothing here. */
static bool ruleparse_is_absent(struct ruleparse *p, const struct ruleparse_token *t) {
  const char *needs = t->quoted ? NULL : words_absent(t->text);
  if (needs) ruleparse_refuse(p, t, "cannot be done", needs);
  return needs != NULL;
}

static bool ruleparse_what(struct ruleparse *p) {
  struct ruleparse_token t;
  size_t next;
  bool first = p->at == 0;
  if (!ruleparse_peek(p, &t, &next)) return false;
  if (p->rule->place == WORDS_CALLS) return ruleparse_calls(p, &t, next);
  if (t.end || t.quoted) return ruleparse_fail_what(p, &t, first);
  if (ruleparse_is_absent(p, &t)) return false;
  p->at = next;
  for (size_t i = 0; i < RULEPARSE_COUNT_OF(ruleparse_places); i++) {
    if (!slice_equal(t.text, slice_text(ruleparse_places[i].name))) continue;
    p->rule->place = ruleparse_places[i].place;
    return true;
  }
  p->rule->place = WORDS_PACKETS;
  if (slice_equal(t.text, slice_text("any"))) {
    p->rule->types = RULE_ANY;
    return true;
  }
  struct slice rest = t.text;
  while (rest.data) {
    struct ruleparse_token name = ruleparse_name(&t, &rest);
    if (!ruleparse_type(p, &name, first)) return false;
  }
  return true;
}

/* All names of these parts, for "expected". */
static void ruleparse_names(char *to, size_t size, unsigned parts) {
  struct printer out;
  const char *comma = "";
  printer_init(&out, to, size);
  for (int id = 0; id < WORDS_IDS; id++) {
    const struct words_row *row = words_row((enum words_id)id);
    if (!(row->part & parts)) continue;
    printer_put(&out, "%s%s", comma, row->name);
    comma = " ";
  }
}

static bool ruleparse_fail_word(struct ruleparse *p, const struct ruleparse_token *t) {
  const char *known[WORDS_IDS + 1] = { NULL };
  char names[320], expected[400];
  bool has_action = rule_action(p->rule) != NULL;
  unsigned parts = has_action ? WORDS_OBLIGATION : WORDS_ACTION;
  struct printer out;
  for (int id = 0; id < WORDS_IDS; id++) known[id] = words_row((enum words_id)id)->name;
  ruleparse_names(names, sizeof names, parts);
  printer_init(&out, expected, sizeof expected);
  printer_put(&out, has_action ? "an obligation (%s) or the end" : "a selector, a position or an action (%s)", names);
  return ruleparse_fail(p, t, expected, ruleparse_near(t->text, known));
}

static bool ruleparse_check_place(struct ruleparse *p, const struct ruleparse_token *t, const struct words_row *row) {
  char what[64];
  struct printer out;
  if (row->places & p->rule->place) return true;
  printer_init(&out, what, sizeof what);
  printer_put(&out, "makes no sense on %s", ruleparse_place_name(p->rule->place));
  return ruleparse_refuse(p, t, what,
                          p->rule->place == WORDS_CALLS
                              ? "they can be counted (first nth range every prob times across, after), and come up "
                                "short or fail (short errno fail)"
                              : row->elsewhere);
}

static bool ruleparse_check_types(struct ruleparse *p, const struct ruleparse_token *t, const struct words_row *row) {
  if (p->rule->place != WORDS_PACKETS || !row->types || (p->rule->types & row->types)) return true;
  return ruleparse_refuse(p, t, "can never match", "no packet named here has such a field");
}

static bool ruleparse_check_repeat(struct ruleparse *p, const struct ruleparse_token *t, enum words_id id) {
  for (size_t i = 0; i < p->rule->term_count; i++) {
    const struct words_row *had = words_row(p->rule->terms[i].word), *row = words_row(id);
    if (had == row) return ruleparse_refuse(p, t, "is there already", "each word stands once");
    if (had->part == WORDS_ACTION && row->part == WORDS_ACTION)
      return ruleparse_refuse(p, t, "is a second action", "a rule has one; install another rule for it");
    if (had->part == WORDS_POSITION && row->part == WORDS_POSITION)
      return ruleparse_refuse(p, t, "is a second position", "a rule acts at one place");
  }
  return true;
}

/* Whether what stands next can be the first argument of the word. */
static bool ruleparse_suits(struct ruleparse *p, enum words_id id) {
  struct ruleparse_token t;
  struct value v = { 0 };
  size_t next;
  bool suits = ruleparse_peek(p, &t, &next) && !t.end && value_parse(words_row(id)->args[0].kind, t.text, t.quoted, &v);
  value_fini(&v);
  return suits;
}

/* Of two words of one name the one that what stands next belongs to: `dup true` selects, `dup 2` acts. */
static bool ruleparse_resolve(struct ruleparse *p, enum words_id *id) {
  enum words_id twin = words_twin(*id);
  struct ruleparse_token t;
  size_t next;
  char expected[160];
  struct printer out;
  if (twin == WORDS_IDS || ruleparse_suits(p, *id)) return true;
  if (ruleparse_suits(p, twin)) {
    *id = twin;
    return true;
  }
  if (!ruleparse_peek(p, &t, &next)) return false;
  printer_init(&out, expected, sizeof expected);
  printer_put(&out, "%s (a selector), or %s (an action)", value_expected(words_row(*id)->args[0].kind),
              value_expected(words_row(twin)->args[0].kind));
  return ruleparse_fail(p, &t, expected, NULL);
}

static bool ruleparse_arg(struct ruleparse *p, const struct words_arg *arg, struct value *out) {
  struct ruleparse_token t;
  size_t next;
  if (!ruleparse_peek(p, &t, &next)) return false;
  if (arg->optional && (t.end || (!t.quoted && words_find(t.text) != WORDS_IDS))) return true;
  if (t.end || !value_parse(arg->kind, t.text, t.quoted, out)) {
    return ruleparse_fail(p, &t, value_expected(arg->kind), t.end ? NULL : value_near(arg->kind, t.text));
  }
  p->at = next;
  return true;
}

static bool ruleparse_term(struct ruleparse *p, const struct ruleparse_token *t) {
  enum words_id id = t->quoted ? WORDS_IDS : words_find(t->text);
  if (id == WORDS_IDS) return ruleparse_is_absent(p, t) ? false : ruleparse_fail_word(p, t);
  if (!ruleparse_resolve(p, &id)) return false;
  const struct words_row *row = words_row(id);
  if (!ruleparse_check_repeat(p, t, id) || !ruleparse_check_place(p, t, row) || !ruleparse_check_types(p, t, row))
    return false;
  struct rule_term *term = rule_add_term(p->rule, id);
  for (size_t a = 0; a < WORDS_ARGS_MAX && row->args[a].kind; a++)
    if (!ruleparse_arg(p, &row->args[a], &term->args[a])) return false;
  if (row->part == WORDS_ACTION) p->action = *t;
  return true;
}

static bool ruleparse_terms(struct ruleparse *p) {
  for (;;) {
    struct ruleparse_token t;
    size_t next;
    if (!ruleparse_peek(p, &t, &next)) return false;
    if (t.end) return rule_action(p->rule) ? true : ruleparse_fail_word(p, &t);
    p->at = next;
    if (!ruleparse_term(p, &t)) return false;
  }
}

/* What only shows once the sentence is complete: each of these is false with a sentence. */

static bool ruleparse_check_position(struct ruleparse *p) {
  const struct rule *r = p->rule;
  bool placed = rule_term(r, WORDS_AT_BYTE) || rule_term(r, WORDS_BEFORE) || rule_term(r, WORDS_AFTER_PACKET);
  if (placed && !words_row(rule_action(r)->word)->placed)
    return ruleparse_refuse(p, &p->action, "takes no position", "it acts on whole packets, or says itself where");
  return true;
}

static bool ruleparse_is_negative(const struct rule *r, enum words_id word) {
  const struct rule_term *t = rule_term(r, word);
  return t && (t->args[0].number < 0 || t->args[0].spot.byte < 0);
}

/* Rules on bytes know neither an end to count from nor fields. */
static bool ruleparse_check_bytes(struct ruleparse *p) {
  const struct rule *r = p->rule;
  const struct rule_term *corrupt = rule_term(r, WORDS_CORRUPT);
  if (r->place != WORDS_BYTES) {
    if (!corrupt || spot_fits(&corrupt->args[0].spot, r->types)) return true;
    return ruleparse_refuse(p, &p->action, "can never happen", "no packet named here has such a field");
  }
  if (ruleparse_is_negative(r, WORDS_AT_BYTE) || ruleparse_is_negative(r, WORDS_TRUNCATE) ||
      ruleparse_is_negative(r, WORDS_CORRUPT))
    return ruleparse_refuse(p, &p->action, "cannot be placed",
                            "bytes are counted from the start of the connection, which has no end to count from");
  if (corrupt && corrupt->args[0].spot.field)
    return ruleparse_refuse(p, &p->action, "cannot be placed", "bytes have no fields: name packets, or say which byte");
  return true;
}

static bool ruleparse_in_order(const struct rule *r, enum words_id word) {
  const struct rule_term *t = rule_term(r, word);
  return !t || !t->args[1].given || t->args[0].number <= t->args[1].number;
}

static bool ruleparse_check_order(struct ruleparse *p) {
  const struct rule *r = p->rule;
  if (ruleparse_in_order(r, WORDS_RANGE) && ruleparse_in_order(r, WORDS_SIZE) && ruleparse_in_order(r, WORDS_DURING))
    return true;
  return ruleparse_refuse(p, &p->action, "can never happen",
                          "the second number of range, size or during is below the first");
}

static bool ruleparse_check_contradictions(struct ruleparse *p) {
  static const enum words_id counting[] = { WORDS_FIRST, WORDS_NTH, WORDS_RANGE, WORDS_EVERY, WORDS_DURING };
  const struct rule *r = p->rule;
  if (rule_term(r, WORDS_MUST_FIRE) && rule_term(r, WORDS_MAY_FIRE))
    return ruleparse_refuse(p, &p->action, "cannot be judged", "must_fire and may_fire contradict each other");
  for (size_t i = 0; rule_term(r, WORDS_AT) && i < RULEPARSE_COUNT_OF(counting); i++) {
    if (rule_term(r, counting[i]))
      return ruleparse_refuse(p, &p->action, "can never happen",
                              "`at` means the first from that time on, which first, nth, range, every and during "
                              "contradict");
  }
  return true;
}

/* What the calls cannot come to. */
static bool ruleparse_check_calls(struct ruleparse *p) {
  const struct rule *r = p->rule;
  const struct rule_term *error = rule_term(r, WORDS_ERRNO);
  bool allocates = r->calls & RULE_CALL(WORDS_ALLOC);
  int why = error ? (int)error->args[0].number : 0;
  if (rule_term(r, WORDS_SHORT) && r->calls & ~(RULE_CALL(OSCALL_SEND) | RULE_CALL(OSCALL_RECV)))
    return ruleparse_refuse(p, &p->action, "makes no sense here",
                            "only send and recv move bytes, and can come up short");
  if (allocates && error && why != ENOMEM && why != ENOBUFS)
    return ruleparse_refuse(p, &p->action, "makes no sense on alloc", "memory is lacking with ENOMEM or ENOBUFS");
  return true;
}

static bool ruleparse_check_whole(struct ruleparse *p) {
  return ruleparse_check_position(p) && ruleparse_check_bytes(p) && ruleparse_check_order(p) &&
         ruleparse_check_contradictions(p) && ruleparse_check_calls(p);
}

struct rule *ruleparse_text(const char *text, struct err *err) {
  struct ruleparse p = { .text = text, .err = err };
  if (strlen(text) >= RULE_TEXT_MAX) {
    err_set(err, "the rule is longer than %d bytes", RULE_TEXT_MAX - 1);
    return NULL;
  }
  p.rule = mem_zero(sizeof *p.rule);
  if (ruleparse_direction(&p) && ruleparse_what(&p) && ruleparse_terms(&p) && ruleparse_check_whole(&p)) return p.rule;
  rule_free(p.rule);
  return NULL;
}
