#include "fault/rule_fields.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fault/ruleparse.h"

_Static_assert(WORDS_IDS <= 64, "a rule has a bit for each word");

const struct rule_term *rule_term(const struct rule *r, enum words_id word) {
  if (!(r->words >> word & 1)) return NULL;
  for (size_t i = 0; i < r->term_count; i++)
    if (r->terms[i].word == word) return &r->terms[i];
  return NULL;
}

const struct rule_term *rule_action(const struct rule *r) {
  for (size_t i = 0; i < r->term_count; i++)
    if (words_row(r->terms[i].word)->part == WORDS_ACTION) return &r->terms[i];
  return NULL;
}

struct rule_term *rule_add_term(struct rule *r, enum words_id word) {
  size_t at = r->term_count;
  r->terms = mem_resize(r->terms, (r->term_count + 1) * sizeof *r->terms);
  while (at > 0 && r->terms[at - 1].word > word) at--;
  memmove(r->terms + at + 1, r->terms + at, (r->term_count - at) * sizeof *r->terms);
  r->terms[at] = (struct rule_term){ .word = word };
  r->term_count++;
  r->words |= UINT64_C(1) << word;
  return &r->terms[at];
}

bool rule_is_entry(const struct rule *r) {
  uint32_t connected = RULE_CALL(OSCALL_SEND) | RULE_CALL(OSCALL_RECV) | RULE_CALL(WORDS_ALLOC);
  return r->place == WORDS_CALLS ? !(r->calls & connected) : (r->place & WORDS_ENTRY) != 0;
}

uint64_t rule_owes(const struct rule *r) {
  const struct rule_term *must = rule_term(r, WORDS_MUST_FIRE);
  if (must) return must->args[0].given ? (uint64_t)must->args[0].number : 1;
  if (rule_term(r, WORDS_MAY_FIRE)) return 0;
  for (size_t i = 0; i < r->term_count; i++)
    if (words_row(r->terms[i].word)->expects) return 1;
  return 0;
}

void rule_free(struct rule *r) {
  if (!r) return;
  rule_set_hooks(r, &(struct rule_hooks){ 0 });
  for (size_t i = 0; i < r->term_count; i++)
    for (size_t a = 0; a < WORDS_ARGS_MAX; a++) value_fini(&r->terms[i].args[a]);
  free(r->terms);
  free(r);
}

void rule_set_hooks(struct rule *r, const struct rule_hooks *hooks) {
  if (r->hooks.free) r->hooks.free(r->hooks.arg);
  r->hooks = *hooks;
  if (hooks->where && !rule_term(r, WORDS_WHERE)) rule_add_term(r, WORDS_WHERE);
}

static void rule_print_direction(const struct rule *r, struct printer *to) {
  static const char *const names[] = { "", "up ", "down ", "both " };
  if (r->place & (WORDS_ENTRY | WORDS_CALLS)) return;
  if (r->place == WORDS_TLS && r->directions == RULE_BOTH) return;
  printer_put(to, "%s", names[r->directions]);
}

static void rule_print_calls(const struct rule *r, struct printer *to) {
  const char *comma = "sys ";
  for (unsigned call = 0; call <= WORDS_ALLOC; call++) {
    if (!(r->calls & RULE_CALL(call))) continue;
    printer_put(to, "%s%s", comma, words_call(call));
    comma = ",";
  }
}

static void rule_print_types(const struct rule *r, struct printer *to) {
  const char *comma = "";
  if (r->types == RULE_ANY) {
    printer_put(to, "any");
    return;
  }
  for (unsigned type = SPEC_CONNECT; type < SPEC_TYPES; type++) {
    if (!(r->types >> type & 1)) continue;
    printer_put(to, "%s%s", comma, spec_packet(type)->name);
    comma = ",";
  }
}

static void rule_print_term(const struct rule_term *t, struct printer *to) {
  const struct words_row *row = words_row(t->word);
  printer_put(to, " %s", row->name);
  for (size_t a = 0; a < WORDS_ARGS_MAX; a++) {
    if (!t->args[a].given) continue;
    printer_put(to, " ");
    value_print(row->args[a].kind, &t->args[a], to);
  }
}

int rule_print(const struct rule *r, char *to, size_t size) {
  struct printer p;
  printer_init(&p, to, size);
  rule_print_direction(r, &p);
  if (r->place == WORDS_PACKETS) rule_print_types(r, &p);
  else if (r->place == WORDS_CALLS) rule_print_calls(r, &p);
  else printer_put(&p, "%s", ruleparse_place_name(r->place));
  for (size_t i = 0; i < r->term_count; i++) rule_print_term(&r->terms[i], &p);
  return (int)p.length;
}

struct rule *rule_parse(const char *text, struct err *err) {
  struct rule *r = ruleparse_text(text, err);
  if (!r) return NULL;
  if (rule_print(r, NULL, 0) < RULE_TEXT_MAX) return r;
  rule_free(r);
  err_set(err, "the rule is longer than %d bytes in its canonical form", RULE_TEXT_MAX - 1);
  return NULL;
}
