/* near: the known name that a mistyped one most likely meant. */
#ifndef MQRIG_NEAR_H
#define MQRIG_NEAR_H

#define NEAR_WORD_MAX 64 /* longer words have no near name */

/* The nearest of `names` (NULL ends) by edit distance, if it is near enough to be worth suggesting; else NULL. */
const char *near_name(const char *word, const char *const *names);

#endif
