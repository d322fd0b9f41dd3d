#include "mqtt/packetid.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define PACKETID_WORDS (PACKETID_PAGE / 64)

struct packetid_page {
  uint64_t used[PACKETID_WORDS];
  uint32_t count; /* identifiers in use; in page 0 without the 0 */
  void *owners[PACKETID_PAGE];
};

struct packetid_book {
  struct packetid_page *pages[PACKETID_PAGES]; /* NULL where nothing is in use */
  uint64_t full[PACKETID_PAGES / 64];          /* a bit for each page without a free identifier */
};

void packetid_init(struct packetid *ids) {
  *ids = (struct packetid){ 0 };
}

void packetid_fini(struct packetid *ids) {
  for (size_t i = 0; ids->book && i < PACKETID_PAGES; i++) free(ids->book->pages[i]);
  free(ids->book);
  packetid_init(ids);
}

/* The first bit from `from` on that is clear in `words`, or -1. */
static int packetid_first_clear(const uint64_t *words, size_t count, unsigned from) {
  for (size_t i = from / 64; i < count; i++) {
    uint64_t clear = ~words[i];
    if (i == from / 64) clear &= ~UINT64_C(0) << (from % 64);
    if (clear) return (int)(i * 64) + __builtin_ctzll(clear);
  }
  return -1;
}

/* The first free identifier of the page that is not below `from`, or -1. 0 counts as used. */
static int packetid_free_in(const struct packetid *ids, unsigned page, unsigned from) {
  if (!ids->book || !ids->book->pages[page]) return page == 0 && from == 0 ? 1 : (int)from;
  return packetid_first_clear(ids->book->pages[page]->used, PACKETID_WORDS, from);
}

/* The first free identifier from `from` on without wrapping, or 0. */
static uint16_t packetid_free_from(const struct packetid *ids, unsigned from) {
  int page = (int)(from / PACKETID_PAGE);
  int bit = packetid_free_in(ids, (unsigned)page, from % PACKETID_PAGE);
  if (bit < 0 && page + 1 < PACKETID_PAGES) {
    page = packetid_first_clear(ids->book->full, PACKETID_PAGES / 64, (unsigned)page + 1);
    if (page >= 0) bit = packetid_free_in(ids, (unsigned)page, 0);
  }
  return bit < 0 ? 0 : (uint16_t)(page * PACKETID_PAGE + bit);
}

static struct packetid_page *packetid_page_for(struct packetid *ids, unsigned page) {
  if (!ids->book) ids->book = mem_zero(sizeof *ids->book);
  struct packetid_page **p = &ids->book->pages[page];
  if (!*p) {
    *p = mem_zero(sizeof **p);
    if (page == 0) (*p)->used[0] = 1;
  }
  return *p;
}

static void packetid_use(struct packetid *ids, uint16_t id, void *owner) {
  assert(owner);
  unsigned page = id / PACKETID_PAGE, bit = id % PACKETID_PAGE;
  struct packetid_page *p = packetid_page_for(ids, page);
  p->used[bit / 64] |= UINT64_C(1) << (bit % 64);
  p->owners[bit] = owner;
  p->count++;
  ids->count++;
  bool full = p->count == (page == 0 ? PACKETID_PAGE - 1 : PACKETID_PAGE);
  if (full) ids->book->full[page / 64] |= UINT64_C(1) << (page % 64);
}

uint16_t packetid_take(struct packetid *ids, void *owner) {
  if (packetid_full(ids)) return 0;
  uint16_t id = ids->last == PACKETID_MAX ? 0 : packetid_free_from(ids, ids->last + 1u);
  if (!id) id = packetid_free_from(ids, 1);
  packetid_use(ids, id, owner);
  ids->last = id;
  return id;
}

bool packetid_take_this(struct packetid *ids, uint16_t id, void *owner) {
  if (id == 0 || packetid_find(ids, id)) return false;
  packetid_use(ids, id, owner);
  return true;
}

void *packetid_find(const struct packetid *ids, uint16_t id) {
  const struct packetid_page *page = ids->book ? ids->book->pages[id / PACKETID_PAGE] : NULL;
  return page ? page->owners[id % PACKETID_PAGE] : NULL;
}

void packetid_release(struct packetid *ids, uint16_t id) {
  if (!packetid_find(ids, id)) return;
  unsigned page = id / PACKETID_PAGE, bit = id % PACKETID_PAGE;
  struct packetid_book *book = ids->book;
  struct packetid_page *p = book->pages[page];
  p->used[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
  p->owners[bit] = NULL;
  book->full[page / 64] &= ~(UINT64_C(1) << (page % 64));
  if (--p->count == 0) {
    free(p);
    book->pages[page] = NULL;
  }
  if (--ids->count == 0) {
    free(book);
    ids->book = NULL;
  }
}
