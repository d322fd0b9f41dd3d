/* Packets that go by together are counted and met as if each had gone through all stages. */
#include "injectrig.h"

#define RULES_MAX 3

struct outcome {
  struct buffer out;
  char log[4096];
  uint64_t seen[RULES_MAX], fired[RULES_MAX];
};

static void packets(struct buffer *to) {
  static const char *const topics[] = { "a", "b/c", "long/long/long" };
  buffer_init(to, 1 << 20);
  injectrig_connect(to, "client");
  for (uint16_t i = 0; i < 120; i++) {
    injectrig_publish(to, topics[i % 3], i % 3, i + 1, i % 7 == 0 ? 400 : i % 11);
    if (i % 5 == 0) buffer_append(to, slice_of("\xc0\0", 2));
    if (i % 8 == 0) buffer_append(to, slice_of("\x40\2\0\7", 4));
  }
}

/* The bytes are offered `piece` at a time. */
static void run(const char *const rules[RULES_MAX], size_t piece, bool up, struct outcome *o) {
  struct injectrig rig;
  struct scope_rule *handles[RULES_MAX] = { NULL };
  struct buffer bytes;
  enum chain_direction d = up ? CHAIN_OUT : CHAIN_IN;
  packets(&bytes);
  injectrig_init(&rig, true);
  for (int i = 0; i < RULES_MAX && rules[i]; i++) handles[i] = injectrig_rule(&rig, rules[i]);
  struct slice rest = buffer_slice(&bytes);
  while (rest.size) {
    struct slice some = slice_first(rest, piece);
    if (injectrig_feed(&rig, d, some) < some.size) break;
    rest = slice_from(rest, some.size);
  }
  injectrig_until(&rig, rig.now_ns + 1000000000);
  *o = (struct outcome){ .out = rig.got[d] };
  buffer_init(&rig.got[d], 0);
  memcpy(o->log, rig.log, sizeof o->log);
  for (int i = 0; i < RULES_MAX && handles[i]; i++) {
    o->seen[i] = scope_seen(handles[i]);
    o->fired[i] = scope_fired(handles[i]);
  }
  injectrig_fini(&rig);
  buffer_fini(&bytes);
}

static void same_as_one_by_one(void **state) {
  static const char *const lists[][RULES_MAX] = {
    { "both PUBLISH nth 1000000 may_fire drop" },
    { "both PUBLISH nth 7 drop" },
    { "both PUBLISH every 10 at_byte 3 delay 1ms" },
    { "both PUBLISH topic b/# every 3 drop", "both any nth 50 rst" },
    { "both PUBLISH nth 20 drop", "both PUBLISH nth 20 drop", "both PUBLISH nth 20 drop" },
    { "both PINGREQ drop", "both PUBLISH prob 0.1 may_fire drop", "both PUBACK nth 3 dup 2" },
    { "both PUBLISH every 9 hold", "both PUBLISH size 300 drop" },
    { "both PUBLISH client nobody drop", "both PUBLISH client client nth 5 inject hex:c000" },
    { "both close drop", "both PUBLISH range 3 5 drop" },
    { "both PUBLISH first drop", "both PUBLISH range 5 9 prob 0.5 may_fire drop", "both any every 7 times 3 drop" },
    { "both PUBLISH nth 30 across drop", "both PUBLISH every 4 qos 1 drop", "both PUBLISH nth 40 at_byte 600 delay 1ms" },
    { "both PUBLISH nth 3 drop", "both PUBLISH range 50 60 after #1 delay 2ms", "both PINGREQ nth 9 at_byte 1 fin" },
  };
  (void)state;
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (int up = 0; up < 2; up++) {
      struct outcome one, some;
      run(lists[i], 1, up, &one);
      for (size_t piece = 7; piece < 1 << 20; piece = piece * 5 + 2) {
        run(lists[i], piece, up, &some);
        if (!slice_equal(buffer_slice(&one.out), buffer_slice(&some.out))) fail_msg("%s: other bytes", lists[i][0]);
        assert_string_equal(one.log, some.log);
        assert_memory_equal(one.seen, some.seen, sizeof one.seen);
        assert_memory_equal(one.fired, some.fired, sizeof one.fired);
        buffer_fini(&some.out);
      }
      buffer_fini(&one.out);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(same_as_one_by_one) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
