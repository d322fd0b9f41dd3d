#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fault/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any text is refused with a sentence, or it is a rule whose text gives the same text again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct err err = { "" };
  char *text = mem_copy(slice_of(data, size));
  struct rule *r = rule_parse(text, &err);
  free(text);
  if (!r) {
    assert(err.text[0]);
    return 0;
  }
  char once[RULE_TEXT_MAX], twice[RULE_TEXT_MAX];
  assert(rule_print(r, once, sizeof once) < RULE_TEXT_MAX);
  rule_free(r);
  r = rule_parse(once, &err);
  assert(r);
  rule_print(r, twice, sizeof twice);
  rule_free(r);
  assert(strcmp(once, twice) == 0);
  return 0;
}
