/* rule: one fault as a sentence: where, what, which, position, action, obligation.
 *
 * The text form is canonical: `up PUBLISH nth 3 at_byte 7 rst`. rule_parse and rule_print are inverse. A rule is an
 * open value once parsed; what it needs beyond text (functions of a script) hangs on it as hooks.
 */
#ifndef MQRIG_RULE_H
#define MQRIG_RULE_H

#include "base/buffer.h"
#include "base/err.h"
#include "mqtt/packet.h"

#define RULE_TEXT_MAX 4096 /* with the terminator */

/* Directions. */
#define RULE_UP   1u
#define RULE_DOWN 2u
#define RULE_BOTH (RULE_UP | RULE_DOWN)

struct rule; /* its fields are listed in rule_fields.h, for the engine */

/* What a script adds. `where` is a selector (rules that have it get the word `where`), `rewrite` is what that action
 * calls. Called while bytes are on their way: must not wait. `free` releases `arg` with the rule. */
struct rule_hooks {
  bool (*where)(void *arg, const struct packet *p);
  /* Appends the packet that goes on instead; nothing appended drops it. False: an error was reported, the packet stays.
   */
  bool (*rewrite)(void *arg, const struct packet *p, struct buffer *out);
  void (*free)(void *arg);
  void *arg;
};

/* NULL with a sentence: the column, what stands there, what was expected, a near name if there is one. */
struct rule *rule_parse(const char *text, struct err *err);
void rule_free(struct rule *r);
void rule_set_hooks(struct rule *r, const struct rule_hooks *hooks); /* takes over hooks->arg */

/* The canonical text; returns what snprintf would. */
int rule_print(const struct rule *r, char *to, size_t size);

#endif
