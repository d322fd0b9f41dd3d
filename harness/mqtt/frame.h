/* frame: where packets begin and end in a stream of bytes.
 *
 * Looks at the fixed header only: type, flags, remaining length. Needs no memory besides itself.
 */
#ifndef MQRIG_FRAME_H
#define MQRIG_FRAME_H

#include "base/slice.h"

enum frame_result { FRAME_OK, FRAME_NEED_MORE, FRAME_BAD };

struct frame {
  uint8_t first;       /* the first byte: type << 4 | flags */
  uint8_t header_size; /* 2 to 5 */
  uint32_t size;       /* of the whole packet, header included; up to 268,435,460 */
};

/* Reads the fixed header at the start of `bytes`. NEED_MORE: fewer bytes than the header has. BAD: a remaining length
 * of more than four bytes [2.2.3]. OK says nothing about whether the body is there. */
enum frame_result frame_read(struct slice bytes, struct frame *out);

#endif
