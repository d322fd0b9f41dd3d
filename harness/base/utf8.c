#include "base/utf8.h"

struct utf8_lead {
  uint8_t from, to; /* first bytes */
  uint8_t size;     /* bytes of the character */
  uint8_t second_from, second_to;
  enum utf8_fault fault; /* what a whole character of the row is */
};

/* The well-formed byte sequences of the Unicode standard (its table 3-7), with the surrogates as a row of their own. */
static const struct utf8_lead utf8_leads[] = {
  { 0x01, 0x7f, 1, 0, 0, UTF8_GOOD },
  { 0x00, 0x00, 1, 0, 0, UTF8_NULL },
  { 0xc2, 0xdf, 2, 0x80, 0xbf, UTF8_GOOD },
  { 0xe0, 0xe0, 3, 0xa0, 0xbf, UTF8_GOOD },
  { 0xe1, 0xec, 3, 0x80, 0xbf, UTF8_GOOD },
  { 0xed, 0xed, 3, 0x80, 0x9f, UTF8_GOOD },
  { 0xed, 0xed, 3, 0xa0, 0xbf, UTF8_SURROGATE },
  { 0xee, 0xef, 3, 0x80, 0xbf, UTF8_GOOD },
  { 0xf0, 0xf0, 4, 0x90, 0xbf, UTF8_GOOD },
  { 0xf1, 0xf3, 4, 0x80, 0xbf, UTF8_GOOD },
  { 0xf4, 0xf4, 4, 0x80, 0x8f, UTF8_GOOD },
};

static bool utf8_fits(const struct utf8_lead *row, struct slice text) {
  if (text.data[0] < row->from || text.data[0] > row->to || text.size < row->size) return false;
  if (row->size > 1 && (text.data[1] < row->second_from || text.data[1] > row->second_to)) return false;
  for (size_t i = 2; i < row->size; i++)
    if ((text.data[i] & 0xc0) != 0x80) return false;
  return true;
}

enum utf8_fault utf8_next(struct slice text, size_t *size) {
  for (size_t i = 0; i < sizeof utf8_leads / sizeof *utf8_leads; i++) {
    if (!utf8_fits(&utf8_leads[i], text)) continue;
    *size = utf8_leads[i].size;
    return utf8_leads[i].fault;
  }
  *size = 1;
  return UTF8_ILL_FORMED;
}

/* How many bytes at the start are plain ASCII without U+0000, as far as whole words tell. */
static size_t utf8_skip_ascii(struct slice text) {
  size_t i = 0;
  for (uint64_t word; text.size - i >= sizeof word; i += sizeof word) {
    memcpy(&word, text.data + i, sizeof word);
    if ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) break;
  }
  return i;
}

enum utf8_fault utf8_check(struct slice text, size_t *offset) {
  size_t at = text.size ? utf8_skip_ascii(text) : 0, size = 0;
  enum utf8_fault fault = UTF8_GOOD;
  for (; at < text.size; at += size) {
    size = 1;
    if (text.data[at] - 1u < 0x7f) continue;
    fault = utf8_next(slice_from(text, at), &size);
    if (fault != UTF8_GOOD) break;
  }
  if (fault != UTF8_GOOD && offset) *offset = at;
  return fault;
}

const char *utf8_fault_text(enum utf8_fault fault) {
  static const char *const texts[] = {
    [UTF8_GOOD] = "well-formed UTF-8",
    [UTF8_ILL_FORMED] = "ill-formed UTF-8",
    [UTF8_SURROGATE] = "a surrogate",
    [UTF8_NULL] = "U+0000",
  };
  return texts[fault];
}
