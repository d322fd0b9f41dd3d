#include "fault/pace.h"

#define PACE_SECOND_NS 1000000000

void pace_begin(struct pace *p, uint64_t rate, int64_t arrived_ns) {
  __int128 through = (__int128)p->passed * PACE_SECOND_NS;
  if (through > (__int128)(arrived_ns - p->begin_ns) * (int64_t)rate) return;
  p->begin_ns = arrived_ns;
  p->passed = 0;
}

static size_t pace_piece(uint64_t rate, size_t size) {
  uint64_t piece = rate / PACE_PIECES_S;
  return piece == 0 ? 1 : piece < size ? (size_t)piece : size;
}

size_t pace_due(const struct pace *p, uint64_t rate, size_t size, int64_t now_ns) {
  if (now_ns <= p->begin_ns) return 0;
  unsigned __int128 through = (unsigned __int128)(now_ns - p->begin_ns) * rate / PACE_SECOND_NS;
  if (through <= p->passed) return 0;
  unsigned __int128 due = through - p->passed;
  if (due >= size) return size;
  size_t piece = pace_piece(rate, size);
  return (size_t)due / piece * piece;
}

int64_t pace_next_ns(const struct pace *p, uint64_t rate, size_t size) {
  unsigned __int128 bytes = (unsigned __int128)p->passed + pace_piece(rate, size);
  return p->begin_ns + (int64_t)((bytes * PACE_SECOND_NS + rate - 1) / rate);
}
