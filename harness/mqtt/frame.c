#include "mqtt/frame.h"

#define FRAME_LENGTH_BYTES_MAX 4 /* 3.1.1 section 2.2.3 */

enum frame_result frame_read(struct slice bytes, struct frame *out) {
  uint32_t length = 0;
  for (size_t i = 1; i <= FRAME_LENGTH_BYTES_MAX; i++) {
    if (i >= bytes.size) return FRAME_NEED_MORE;
    length |= (uint32_t)(bytes.data[i] & 0x7f) << (7 * (i - 1));
    if (bytes.data[i] < 0x80) {
      *out = (struct frame){ bytes.data[0], (uint8_t)(i + 1), (uint32_t)(i + 1) + length };
      return FRAME_OK;
    }
  }
  return FRAME_BAD;
}
