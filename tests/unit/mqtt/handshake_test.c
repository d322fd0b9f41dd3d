#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mqtt/handshake.h"

/* The acknowledgements that move a sender on; every other one fits nowhere and changes nothing. */
static void test_acknowledged(void **state) {
  (void)state;
  static const struct {
    enum handshake_state from;
    uint8_t type;
    enum handshake_state to;
    uint8_t reply;
  } rows[] = {
    { HANDSHAKE_PUBACK_DUE, SPEC_PUBACK, HANDSHAKE_DONE, 0 },
    { HANDSHAKE_PUBREC_DUE, SPEC_PUBREC, HANDSHAKE_PUBCOMP_DUE, SPEC_PUBREL },
    { HANDSHAKE_PUBCOMP_DUE, SPEC_PUBREC, HANDSHAKE_PUBCOMP_DUE, SPEC_PUBREL },
    { HANDSHAKE_PUBCOMP_DUE, SPEC_PUBCOMP, HANDSHAKE_DONE, 0 },
  };
  size_t fitting = 0;
  for (int from = HANDSHAKE_WAITING; from <= HANDSHAKE_DONE; from++) {
    for (unsigned type = 0; type < 20; type++) {
      struct handshake_step step = handshake_acknowledged((enum handshake_state)from, (uint8_t)type);
      bool fits = false;
      for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((int)rows[i].from != from || rows[i].type != type) continue;
        fits = true;
        assert_int_equal(step.next, rows[i].to);
        assert_int_equal(step.reply, rows[i].reply);
      }
      assert_int_equal(step.fits, fits);
      if (!fits) assert_int_equal(step.next, from);
      if (!fits) assert_int_equal(step.reply, 0);
      fitting += fits;
    }
  }
  assert_int_equal(fitting, sizeof rows / sizeof rows[0]);
}

static void test_the_rest(void **state) {
  (void)state;
  assert_int_equal(handshake_sent(0), HANDSHAKE_DONE);
  assert_int_equal(handshake_sent(1), HANDSHAKE_PUBACK_DUE);
  assert_int_equal(handshake_sent(2), HANDSHAKE_PUBREC_DUE);
  assert_int_equal(handshake_resend(HANDSHAKE_WAITING), 0);
  assert_int_equal(handshake_resend(HANDSHAKE_PUBACK_DUE), SPEC_PUBLISH);
  assert_int_equal(handshake_resend(HANDSHAKE_PUBREC_DUE), SPEC_PUBLISH);
  assert_int_equal(handshake_resend(HANDSHAKE_PUBCOMP_DUE), SPEC_PUBREL);
  assert_int_equal(handshake_resend(HANDSHAKE_DONE), 0);
  assert_int_equal(handshake_answer(0), 0);
  assert_int_equal(handshake_answer(1), SPEC_PUBACK);
  assert_int_equal(handshake_answer(2), SPEC_PUBREC);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_acknowledged), cmocka_unit_test(test_the_rest) };
  return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
