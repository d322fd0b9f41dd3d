/* err: the world's doing, told in a sentence.
 *
 * Functions that can fail for a reason outside the program return bool (or NULL) and fill the `struct err` that is
 * their last parameter. The sentence says what failed, where, and, where it helps, what to do. No trailing newline.
 */
#ifndef MQRIG_ERR_H
#define MQRIG_ERR_H

#include <stdbool.h>

#define ERR_TEXT_MAX 512

struct err {
  char text[ERR_TEXT_MAX];
};

/* Sets the sentence (cut at ERR_TEXT_MAX) and returns false, so that a function can end with it. `e` may be NULL. */
bool err_set(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
