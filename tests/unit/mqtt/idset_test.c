#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/rng.h"
#include "mqtt/idset.h"

/* All identifiers fit; random adding and removing agrees with a plain array; an empty set has no memory. */
static void test_set(void **state) {
  (void)state;
  static bool in[65536];
  struct idset s;
  struct rng rng = { 5 };
  idset_init(&s);
  for (int i = 0; i < 300000; i++) {
    uint16_t id = (uint16_t)rng_below(&rng, 65536);
    assert_int_equal(idset_has(&s, id), in[id]);
    if (rng_below(&rng, 3)) {
      assert_int_equal(idset_add(&s, id), !in[id]);
      in[id] = true;
    } else {
      idset_remove(&s, id);
      in[id] = false;
    }
  }
  for (uint32_t id = 0; id < 65536; id++) idset_add(&s, (uint16_t)id);
  for (uint32_t id = 0; id < 65536; id++) {
    assert_true(idset_has(&s, (uint16_t)id));
    idset_remove(&s, (uint16_t)id);
  }
  for (int i = 0; i < IDSET_PAGES; i++) assert_null(s.pages[i]);
  idset_add(&s, 65535);
  idset_fini(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_set) };
  return cmocka_run_group_tests_name("idset", tests, NULL, NULL);
}
