/* The session: commands × inbound bytes × partial writes × time. */
#include "tests/fuzz/session_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  session_drive(data, size);
  return 0;
}
