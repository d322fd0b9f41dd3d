#include "net/pcapng.h"

/* Block types, options and their values: draft-ietf-opsawg-pcapng, sections 3.5, 4.1, 4.2 and 4.3. */
#define PCAPNG_SECTION    0x0a0d0d0au
#define PCAPNG_INTERFACE  1u
#define PCAPNG_PACKET     6u
#define PCAPNG_MAGIC      0x1a2b3c4du
#define PCAPNG_ETHERNET   1u
#define PCAPNG_OPTION_END 0
#define PCAPNG_COMMENT    1
#define PCAPNG_NAME       2
#define PCAPNG_USERAPPL   4
#define PCAPNG_TSRESOL    9
#define PCAPNG_NANO       9 /* 10 to the power of -9 */

static void pcapng_number(FILE *to, uint64_t value, int bytes) {
  for (; bytes > 0; bytes--, value >>= 8) putc((int)(value & 0xff), to);
}

static size_t pcapng_padding(size_t size) {
  return (4 - size % 4) % 4;
}

static void pcapng_padded(FILE *to, struct slice bytes) {
  if (bytes.size) fwrite(bytes.data, 1, bytes.size, to);
  pcapng_number(to, 0, (int)pcapng_padding(bytes.size));
}

static size_t pcapng_padded_size(struct slice bytes) {
  return bytes.size + pcapng_padding(bytes.size);
}

/* Options. An empty one is left out, and without any so is the end of options. */

static size_t pcapng_option_size(struct slice value) {
  return value.size ? 4 + pcapng_padded_size(value) : 0;
}

static void pcapng_option(FILE *to, unsigned code, struct slice value) {
  if (!value.size) return;
  pcapng_number(to, code, 2);
  pcapng_number(to, value.size, 2);
  pcapng_padded(to, value);
}

static void pcapng_end_options(FILE *to, size_t options) {
  if (options) pcapng_number(to, PCAPNG_OPTION_END, 4);
}

/* UTF-8 is not cut inside a character. */
static struct slice pcapng_comment(struct slice text) {
  if (text.size <= PCAPNG_COMMENT_MAX) return text;
  size_t size = PCAPNG_COMMENT_MAX;
  while (size && (text.data[size] & 0xc0) == 0x80) size--;
  return slice_first(text, size);
}

/* A block is its type, its size, the body, and its size again. */
static size_t pcapng_block(FILE *to, uint32_t type, size_t body, size_t options) {
  size_t size = 12 + body + options + (options ? 4 : 0);
  pcapng_number(to, type, 4);
  pcapng_number(to, size, 4);
  return size;
}

static void pcapng_section(FILE *to, struct slice application, struct slice comment) {
  size_t options = pcapng_option_size(comment) + pcapng_option_size(application);
  size_t size = pcapng_block(to, PCAPNG_SECTION, 16, options);
  pcapng_number(to, PCAPNG_MAGIC, 4);
  pcapng_number(to, 1, 2); /* version 1.0 */
  pcapng_number(to, 0, 2);
  pcapng_number(to, UINT64_MAX, 8); /* the section's length is not told */
  pcapng_option(to, PCAPNG_COMMENT, comment);
  pcapng_option(to, PCAPNG_USERAPPL, application);
  pcapng_end_options(to, options);
  pcapng_number(to, size, 4);
}

void pcapng_begin(FILE *to, struct slice application, struct slice comment) {
  pcapng_section(to, pcapng_comment(application), pcapng_comment(comment));
}

void pcapng_interface(FILE *to, struct slice name) {
  static const uint8_t resolution = PCAPNG_NANO;
  struct slice nano = slice_of(&resolution, 1);
  size_t size = pcapng_block(to, PCAPNG_INTERFACE, 8, pcapng_option_size(name) + pcapng_option_size(nano));
  pcapng_number(to, PCAPNG_ETHERNET, 2);
  pcapng_number(to, 0, 2);
  pcapng_number(to, 0, 4); /* no limit on a frame */
  pcapng_option(to, PCAPNG_NAME, name);
  pcapng_option(to, PCAPNG_TSRESOL, nano);
  pcapng_end_options(to, 1);
  pcapng_number(to, size, 4);
}

void pcapng_packet(FILE *to, uint32_t interface, int64_t at_ns, struct slice frame, const struct slice *comments,
                   size_t count) {
  size_t options = 0;
  for (size_t i = 0; i < count; i++) options += pcapng_option_size(pcapng_comment(comments[i]));
  size_t size = pcapng_block(to, PCAPNG_PACKET, 20 + pcapng_padded_size(frame), options);
  pcapng_number(to, interface, 4);
  pcapng_number(to, (uint64_t)at_ns >> 32, 4);
  pcapng_number(to, (uint64_t)at_ns, 4);
  pcapng_number(to, frame.size, 4);
  pcapng_number(to, frame.size, 4);
  pcapng_padded(to, frame);
  for (size_t i = 0; i < count; i++) pcapng_option(to, PCAPNG_COMMENT, pcapng_comment(comments[i]));
  pcapng_end_options(to, options);
  pcapng_number(to, size, 4);
}
