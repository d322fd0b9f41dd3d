/* ruleparse: the sentence of a rule, taken apart. rule.h is the way in. */
#ifndef MQRIG_RULEPARSE_H
#define MQRIG_RULEPARSE_H

#include "fault/rule_fields.h"

struct rule *ruleparse_text(const char *text, struct err *err);

/* "bytes", "connect", "accept", "close" */
const char *ruleparse_place_name(enum words_place place);

#endif
