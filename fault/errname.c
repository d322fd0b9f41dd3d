#include "fault/errname.h"

#include <errno.h>

#include "base/near.h"

/* Second names, which the system does not give back. */
static const struct {
  const char *name;
  int error;
} errname_others[] = { { "EWOULDBLOCK", EWOULDBLOCK }, { "ENOTSUP", ENOTSUP }, { "EDEADLOCK", EDEADLOCK } };

#define ERRNAME_OTHERS (sizeof errname_others / sizeof *errname_others)

int errname_find(struct slice name) {
  for (size_t i = 0; i < ERRNAME_OTHERS; i++)
    if (slice_equal(name, slice_text(errname_others[i].name))) return errname_others[i].error;
  for (int error = 1; error < ERRNAME_MAX; error++) {
    const char *known = strerrorname_np(error);
    if (known && slice_equal(name, slice_text(known))) return error;
  }
  return 0;
}

const char *errname_text(int error) {
  const char *name = strerrorname_np(error);
  return name ? name : "an error";
}

const char *errname_near(struct slice name) {
  const char *names[ERRNAME_MAX];
  char word[NEAR_WORD_MAX + 1];
  size_t n = 0;
  if (name.size > NEAR_WORD_MAX || memchr(name.data, '\0', name.size)) return NULL;
  memcpy(word, name.data, name.size);
  word[name.size] = '\0';
  for (int error = 1; error < ERRNAME_MAX; error++)
    if (strerrorname_np(error)) names[n++] = strerrorname_np(error);
  names[n] = NULL;
  return near_name(word, names);
}
