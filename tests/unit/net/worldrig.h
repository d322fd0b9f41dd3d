/* worldrig: a world of its own around each test: a real one, or the test in one of each kind. */
#ifndef MQRIG_WORLDRIG_H
#define MQRIG_WORLDRIG_H

#include "net/evnet.h"
#include "net/simnet.h"
#include "seat.h"

static bool is_virtual;

static inline int worldrig_real(void **state) {
  struct err err;
  (void)state;
  is_virtual = false;
  world = evnet_new(&err);
  return world ? 0 : -1;
}

static inline int worldrig_virtual(void **state) {
  (void)state;
  is_virtual = true;
  world = simnet_new(NULL);
  return 0;
}

static inline int worldrig_fini(void **state) {
  (void)state;
  net_free(world);
  return 0;
}

/* Lets what is on its way arrive. */
static inline void settle(void) {
  turns_for(is_virtual ? 100 * MS : 5 * MS);
}

/* More than a connection takes at once. */
static uint8_t pattern[8 << 20];

static inline void fill_pattern(void) {
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (uint8_t)(i * 7 + i / 251);
}

#define WORLDRIG_REAL(test) cmocka_unit_test_setup_teardown(test, worldrig_real, worldrig_fini)

#define WORLDRIG_BOTH(test)                                                                                            \
  { "real " #test, test, worldrig_real, worldrig_fini, NULL }, {                                                       \
    "virtual " #test, test, worldrig_virtual, worldrig_fini, NULL                                                      \
  }

#endif
