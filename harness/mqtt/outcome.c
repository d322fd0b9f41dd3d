#include "mqtt/outcome.h"

struct outcome_row {
  int code;
  const char *text;
};

static const struct outcome_row outcome_rows[] = {
  { SESSION_SUCCESS, "success" },
  { SESSION_SOCKET_ERROR, "the socket failed" },
  { SESSION_LOST_RATE, "more messages came in than the rate limit allows" },
  { SESSION_DISCONNECTED, "disconnected before the operation began" },
  { SESSION_LOST_PROTOCOL, "the broker sent a malformed or out-of-place packet" },
  { SESSION_NO_MORE_IDS, "all 65,535 packet identifiers are in use" },
  { SESSION_INCOMPLETE, "the operation was cut short; whether it reached the broker is unknown" },
  { SESSION_MAX_BUFFERED, "too many messages are buffered" },
  { 128, "the broker refused the subscription" },
};

const char *outcome_text(int code) {
  if (code >= 1 && code <= 5) return spec_connack_text((unsigned)code);
  for (size_t i = 0; i < sizeof outcome_rows / sizeof outcome_rows[0]; i++) {
    if (outcome_rows[i].code == code) return outcome_rows[i].text;
  }
  return "unknown code";
}

enum session_code outcome_of_end(enum session_end end, uint64_t begin, uint64_t behind, uint64_t written,
                                 bool its_write) {
  bool failed = end == SESSION_END_FAILED || end == SESSION_END_WRITE;
  if (written >= behind) return SESSION_INCOMPLETE;
  if (written > begin) return failed ? SESSION_SOCKET_ERROR : SESSION_INCOMPLETE;
  return its_write && end == SESSION_END_WRITE ? SESSION_SOCKET_ERROR : SESSION_DISCONNECTED;
}
