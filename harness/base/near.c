#include "base/near.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static unsigned near_least(unsigned a, unsigned b, unsigned c) {
  unsigned least = a < b ? a : b;
  return least < c ? least : c;
}

/* Edits (insert, delete, replace) from one word to the other, letter case aside. */
static unsigned near_distance(const char *a, const char *b) {
  unsigned row[NEAR_WORD_MAX + 1];
  size_t width = strlen(b);
  for (size_t j = 0; j <= width; j++) row[j] = (unsigned)j;
  for (size_t i = 1; a[i - 1]; i++) {
    unsigned diagonal = row[0];
    row[0] = (unsigned)i;
    for (size_t j = 1; j <= width; j++) {
      unsigned replaced = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
      diagonal = row[j];
      row[j] = near_least(replaced, row[j] + 1, row[j - 1] + 1);
    }
  }
  return row[width];
}

/* Letters that both begin with: of equally near words the one that begins alike was meant. */
static unsigned near_beginning(const char *a, const char *b) {
  unsigned n = 0;
  while (a[n] && tolower((unsigned char)a[n]) == tolower((unsigned char)b[n])) n++;
  return n;
}

const char *near_name(const char *word, const char *const *names) {
  const char *best = NULL;
  size_t size = strlen(word);
  unsigned best_distance = (unsigned)(size / 3) + 2; /* one edit for a short word, a third of a long one */
  if (size > NEAR_WORD_MAX) return NULL;
  for (size_t i = 0; names[i]; i++) {
    if (strlen(names[i]) > NEAR_WORD_MAX) continue;
    unsigned distance = near_distance(word, names[i]);
    bool nearer = distance < best_distance ||
                  (best && distance == best_distance && near_beginning(word, names[i]) > near_beginning(word, best));
    if (nearer && distance < size) {
      best = names[i];
      best_distance = distance;
    }
  }
  return best;
}
