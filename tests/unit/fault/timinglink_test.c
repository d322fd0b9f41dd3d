#include "proxyrig.h"

/* Times over real sockets, by the system's clock. timing_test.c has them exact and long, by deadlines alone. */

#define PIECES 200
#define GAP_NS 5000000
#define SOME   20

/* The earliest of some pieces, compared with where the plan has it. A busy machine makes pieces late, not all of them.
 */
static int64_t earliest(const int64_t *at_ns, int from) {
  int64_t least_ns = INT64_MAX;
  for (int i = from; i < from + SOME; i++) {
    int64_t off_ns = at_ns[i] - i * (int64_t)GAP_NS;
    if (off_ns < least_ns) least_ns = off_ns;
  }
  return least_ns;
}

/* A second of pieces, each five milliseconds after the last: those at the end are as late as those at the beginning. */
static void pieces_do_not_drift(void **state) {
  struct proxyrig r;
  int client, upstream, came = 0;
  int64_t at_ns[PIECES];
  uint8_t byte[PIECES] = { 0 };
  (void)state;
  proxyrig_open(&r);
  proxyrig_rule(&r, "up bytes split 1 5ms");
  proxyrig_pair(&r, &client, &upstream);
  proxyrig_send(client, slice_of(byte, sizeof byte));
  TURN_UNTIL(&r, ({
    for (; came < PIECES && proxyrig_read(upstream, byte, 1) == 1; came++) at_ns[came] = net_now(r.net);
    came == PIECES;
  }));
  int64_t drift_ns = earliest(at_ns, PIECES - SOME) - earliest(at_ns, 0);
  assert_in_range(drift_ns + GAP_NS, GAP_NS - 1000000, GAP_NS + 1000000);
  close(client);
  close(upstream);
  proxyrig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(pieces_do_not_drift) };
  return cmocka_run_group_tests_name("timinglink", tests, NULL, NULL);
}
