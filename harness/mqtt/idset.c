#include "mqtt/idset.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"

#define IDSET_PAGE (65536 / IDSET_PAGES)

struct idset_page {
  uint32_t count;
  uint64_t bits[IDSET_PAGE / 64];
};

void idset_init(struct idset *s) {
  *s = (struct idset){ 0 };
}

void idset_fini(struct idset *s) {
  for (size_t i = 0; i < IDSET_PAGES; i++) free(s->pages[i]);
  idset_init(s);
}

static uint64_t *idset_word(const struct idset *s, uint16_t id) {
  struct idset_page *page = s->pages[id / IDSET_PAGE];
  return page ? &page->bits[id % IDSET_PAGE / 64] : NULL;
}

static uint64_t idset_bit(uint16_t id) {
  return UINT64_C(1) << id % 64;
}

bool idset_has(const struct idset *s, uint16_t id) {
  const uint64_t *word = idset_word(s, id);
  return word && (*word & idset_bit(id));
}

bool idset_add(struct idset *s, uint16_t id) {
  struct idset_page **page = &s->pages[id / IDSET_PAGE];
  if (idset_has(s, id)) return false;
  if (!*page) *page = mem_zero(sizeof **page);
  *idset_word(s, id) |= idset_bit(id);
  (*page)->count++;
  return true;
}

void idset_remove(struct idset *s, uint16_t id) {
  struct idset_page **page = &s->pages[id / IDSET_PAGE];
  if (!idset_has(s, id)) return;
  *idset_word(s, id) &= ~idset_bit(id);
  if (--(*page)->count > 0) return;
  free(*page);
  *page = NULL;
}
