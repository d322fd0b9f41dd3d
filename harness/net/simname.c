#include "net/simname.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct simname {
  struct hash_node found;
  struct list_node listed;
  bool known; /* else it stands for nothing */
  struct evaddress address;
  int64_t delay_ns;
  char name[URL_HOST_MAX + 1];
};

/* In small letters: names are the same in any. */
static void simname_fold(char to[URL_HOST_MAX + 1], const char *name) {
  size_t size = strlen(name);
  if (size > URL_HOST_MAX) size = URL_HOST_MAX;
  for (size_t i = 0; i < size; i++) to[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]);
  to[size] = 0;
}

static struct simname *simname_entry(const struct simworld *w, const char *folded) {
  for (struct hash_node *n = hash_first(&w->name_table, hash_bytes(0, slice_text(folded))); n; n = hash_next(n)) {
    struct simname *s = LIST_OWNER(n, struct simname, found);
    if (strcmp(s->name, folded) == 0) return s;
  }
  return NULL;
}

static bool simname_host(const struct simworld *w, const char *folded, struct evaddress *to) {
  struct url u = { .scheme = URL_TCP };
  struct simhost *h = simhost_named(w, folded);
  if (!h) return false;
  struct in_addr address = { htonl(h->address) };
  inet_ntop(AF_INET, &address, u.host, sizeof u.host);
  return evaddress_literal(&u, to, NULL) == 1;
}

static bool simname_answer(const struct simworld *w, const char *answer, struct evaddress *to, struct err *err) {
  struct evaddress found[EVADDRESS_MAX];
  struct url u = { .scheme = URL_TCP };
  simname_fold(u.host, answer);
  int count = evaddress_literal(&u, found, err);
  *to = found[0];
  if (count > 0 || (count == 0 && simname_host(w, u.host, to))) return true;
  return count == 0 && err_set(err, "a name stands for an address or a host of this world, not for \"%.100s\"", answer);
}

static struct simname *simname_add(struct simworld *w, const char *folded) {
  struct simname *s = mem_zero(sizeof *s);
  memcpy(s->name, folded, strlen(folded) + 1);
  hash_add(&w->name_table, &s->found, hash_bytes(0, slice_text(folded)));
  list_append(&w->names, &s->listed);
  return s;
}

bool simname_set(struct simworld *w, const char *name, const char *answer, int64_t delay_ns, struct err *err) {
  char folded[URL_HOST_MAX + 1];
  struct evaddress address = { 0 };
  simname_fold(folded, name);
  if (answer && !simname_answer(w, answer, &address, err)) return false;
  struct simname *s = simname_entry(w, folded);
  if (!s && w->name_table.count >= SIMNET_NAMES_MAX) {
    return err_set(err, "a virtual world knows at most %u names", SIMNET_NAMES_MAX);
  }
  if (!s) s = simname_add(w, folded);
  s->known = answer != NULL;
  s->address = address;
  s->delay_ns = delay_ns > 0 ? delay_ns : 0;
  return true;
}

void simname_free_all(struct simworld *w) {
  for (struct list_node *n = list_first(&w->names); n; n = list_first(&w->names)) {
    list_remove(n);
    free(LIST_OWNER(n, struct simname, listed));
  }
}

int simname_find(const struct simworld *w, const struct url *u, struct evaddress to[EVADDRESS_MAX], int64_t *delay_ns,
                 struct err *why) {
  char folded[URL_HOST_MAX + 1];
  simname_fold(folded, u->host);
  const struct simname *s = u->scheme == URL_UNIX ? NULL : simname_entry(w, folded);
  int count = s ? 0 : evaddress_literal(u, to, why);
  *delay_ns = s ? s->delay_ns : 0;
  if (s && s->known) to[count++] = s->address;
  else if (!s && count == 0 && simname_host(w, folded, &to[0])) count = 1;
  if (count == 0) err_set(why, "the name %.200s was not found: %s", u->host, gai_strerror(EAI_NONAME));
  for (int i = 0; i < count && u->scheme != URL_UNIX; i++) evaddress_set_port(&to[i], u->port);
  return count;
}
