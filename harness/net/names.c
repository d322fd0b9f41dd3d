#include "net/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

struct names {
  struct hash table;
  struct list_node all;
};

enum names_failure { NAMES_NONE, NAMES_NXDOMAIN, NAMES_NODATA, NAMES_SERVFAIL, NAMES_REFUSED, NAMES_TIMEOUT };

struct names_entry {
  struct hash_node found;
  struct list_node listed;
  enum names_failure failure;
  int64_t delay_ns;
  int count;
  struct address addresses[ADDRESS_MAX];
  char name[URL_HOST_MAX + 1];
};

static const struct {
  const char *how, *text;
} names_failures[] = {
  [NAMES_NXDOMAIN] = { "NXDOMAIN", "there is no such name" },
  [NAMES_NODATA] = { "NODATA", "it has no address" },
  [NAMES_SERVFAIL] = { "SERVFAIL", "the name server failed" },
  [NAMES_REFUSED] = { "REFUSED", "the name server refused to answer" },
  [NAMES_TIMEOUT] = { "TIMEOUT", "no name server answered" },
};

struct names *names_new(void) {
  struct names *n = mem_zero(sizeof *n);
  hash_init(&n->table);
  list_init(&n->all);
  return n;
}

static void names_remove(struct names *n, struct names_entry *e) {
  hash_remove(&n->table, &e->found);
  list_remove(&e->listed);
  free(e);
}

void names_free(struct names *n) {
  if (!n) return;
  for (struct list_node *l; (l = list_first(&n->all));) names_remove(n, LIST_OWNER(l, struct names_entry, listed));
  hash_fini(&n->table);
  free(n);
}

/* In small letters, and without the dot of the root; empty where it is no name. */
static void names_fold(char to[URL_HOST_MAX + 1], const char *name) {
  size_t size = strlen(name);
  if (size > URL_HOST_MAX) size = 0;
  if (size > 1 && name[size - 1] == '.') size--;
  for (size_t i = 0; i < size; i++) to[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]);
  to[size] = 0;
}

static struct names_entry *names_find(const struct names *n, const char *folded) {
  for (struct hash_node *h = hash_first(&n->table, hash_bytes(0, slice_text(folded))); h; h = hash_next(h)) {
    struct names_entry *e = LIST_OWNER(h, struct names_entry, found);
    if (strcmp(e->name, folded) == 0) return e;
  }
  return NULL;
}

static bool names_is_name(const char *folded) {
  struct address ignored[ADDRESS_MAX];
  struct url u = { .scheme = URL_TCP };
  memcpy(u.host, folded, strlen(folded) + 1);
  if (strcmp(folded, "localhost") == 0) return true;
  return *folded && !strchr(folded, ':') && address_literal(&u, ignored, NULL) == 0;
}

/* The entry of a name, made if there is none. NULL with a sentence. */
static struct names_entry *names_entry(struct names *n, const char *name, struct err *err) {
  char folded[URL_HOST_MAX + 1];
  names_fold(folded, name);
  struct names_entry *e = names_find(n, folded);
  if (e) return e;
  if (!names_is_name(folded)) {
    err_set(err, "\"%.100s\" is no name of a host", name);
    return NULL;
  }
  if (n->table.count >= NAMES_MAX) {
    err_set(err, "a world knows at most %d names", NAMES_MAX);
    return NULL;
  }
  e = mem_zero(sizeof *e);
  memcpy(e->name, folded, strlen(folded) + 1);
  hash_add(&n->table, &e->found, hash_bytes(0, slice_text(folded)));
  list_append(&n->all, &e->listed);
  return e;
}

bool names_answer(struct names *n, const char *name, const char *address, struct err *err) {
  struct address found[ADDRESS_MAX];
  struct url u = { .scheme = URL_TCP };
  names_fold(u.host, address);
  if (strcmp(u.host, "localhost") == 0 || address_literal(&u, found, NULL) != 1) {
    return err_set(err, "a name stands for an IPv4 or IPv6 address, not for \"%.100s\"", address);
  }
  struct names_entry *e = names_entry(n, name, err);
  if (!e) return false;
  if (e->count == ADDRESS_MAX) {
    return err_set(err, "a name stands for at most %d addresses, and %.100s for more", ADDRESS_MAX, name);
  }
  e->failure = NAMES_NONE;
  e->addresses[e->count++] = found[0];
  return true;
}

bool names_fail(struct names *n, const char *name, const char *how, struct err *err) {
  int failure = NAMES_TIMEOUT;
  while (failure && strcmp(names_failures[failure].how, how) != 0) failure--;
  if (!failure) {
    return err_set(err, "a name fails with NXDOMAIN, NODATA, SERVFAIL, REFUSED or TIMEOUT, not with \"%.50s\"", how);
  }
  struct names_entry *e = names_entry(n, name, err);
  if (!e) return false;
  e->failure = (enum names_failure)failure;
  e->count = 0;
  return true;
}

bool names_delay(struct names *n, const char *name, int64_t delay_ns, struct err *err) {
  struct names_entry *e = names_entry(n, name, err);
  if (e) e->delay_ns = delay_ns;
  return e != NULL;
}

void names_forget(struct names *n, const char *name) {
  char folded[URL_HOST_MAX + 1];
  names_fold(folded, name);
  struct names_entry *e = names_find(n, folded);
  if (e) names_remove(n, e);
}

bool names_ask(const struct names *n, const char *host, uint16_t port, struct names_told *to) {
  char folded[URL_HOST_MAX + 1];
  names_fold(folded, host);
  const struct names_entry *e = n ? names_find(n, folded) : NULL;
  if (!e) return false;
  to->delay_ns = e->failure == NAMES_TIMEOUT ? INT64_MAX : e->delay_ns;
  to->decided = e->failure || e->count;
  to->count = e->count;
  memcpy(to->addresses, e->addresses, (size_t)e->count * sizeof *e->addresses);
  for (int i = 0; i < e->count; i++) address_set_port(&to->addresses[i], port);
  if (e->failure) {
    err_set(&to->why, "the name %.200s was not found: %s (%s, as told)", host, names_failures[e->failure].text,
            names_failures[e->failure].how);
  }
  return true;
}
