#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/rng.h"
#include "fault/rule_fields.h"

/* What is written on the left is understood, and printed as on the right. */
static const char *const canonical[][2] = {
  { "up PUBLISH nth 3 at_byte 7 rst", "up PUBLISH nth 3 at_byte 7 rst" },
  { "PUBLISH drop", "both PUBLISH drop" },
  { "  down\tPUBACK   id 2  drop ", "down PUBACK id 2 drop" },
  { "down PUBACK,PUBLISH,PUBACK drop", "down PUBLISH,PUBACK drop" },
  { "up any delay 1500ms", "up any delay 1.5s" },
  { "up any delay 0.25", "up any delay 250ms" },
  { "up any delay 2m", "up any delay 120s" },
  { "up any delay 0", "up any delay 0s" },
  { "up any delay normal( 120ms , 30ms )", "up any delay normal(120ms,30ms)" },
  { "up any delay uniform(0.01,20ms)", "up any delay uniform(10ms,20ms)" },
  { "up any delay exponential(50ms)", "up any delay exponential(50ms)" },
  { "up bytes split 65536 10us", "up bytes split 64k 10us" },
  { "up bytes at_byte 1500 stall", "up bytes at_byte 1500 stall" },
  { "up PUBLISH first inject hex:C000 before", "up PUBLISH first before inject hex:c000" },
  { "up PUBLISH inject \"a\\x00\\\"\\n\"", "up PUBLISH inject hex:6100220a" },
  { "up drop PUBLISH", NULL },
  { "up PUBLISH drop every 2 times 3 prob 25% qos 1 dup true",
    "up PUBLISH qos 1 dup true every 2 prob 0.25 times 3 drop" },
  { "up PUBLISH topic a/+/c drop", "up PUBLISH topic a/+/c drop" },
  { "up PUBLISH topic \"a b/#\" drop", "up PUBLISH topic \"a b/#\" drop" },
  { "up PUBLISH client \"x*\" name \"my rule\" drop", "up PUBLISH client x* drop name \"my rule\"" },
  { "down CONNACK reason 0x05 close", "down CONNACK reason 5 close" },
  { "up PUBLISH size 64k 2M retain false hold", "up PUBLISH retain false size 64k 2M hold" },
  { "accept refuse", "accept refuse" },
  { "up connect nth 2 delay 1s", "connect nth 2 delay 1s" },
  { "down close drop", "down close drop" },
  { "up PUBLISH range 2 4 across must_fire 3 fin up", "up PUBLISH range 2 4 across fin up must_fire 3" },
  { "up PUBLISH first must_fire rst", "up PUBLISH first rst must_fire" },
  { "up PUBLISH first may_fire blackhole 2s", "up PUBLISH first blackhole 2s may_fire" },
  { "up PUBLISH at_byte -1 rst", "up PUBLISH at_byte -1 rst" },
  { "up PUBLISH where rewrite", "up PUBLISH where rewrite" },
  { "up any delay fixed(250ms)", "up any delay 250ms" },
  { "up any delay pareto( 10ms , 1.50 )", "up any delay pareto(10ms,1.5)" },
  { "up bytes rate 65536", "up bytes rate 64k" },
  { "up bytes split uniform( 1024, 2k) 10us", "up bytes split uniform(1k,2k) 10us" },
  { "up bytes split fixed(7)", "up bytes split 7" },
  { "up bytes at_byte 100 during 1s 2500ms rate 10", "up bytes during 1s 2.5s at_byte 100 rate 10" },
  { "both PUBLISH coalesce 1k 20ms", "both PUBLISH coalesce 1k 20ms" },
  { "up PUBLISH corrupt", "up PUBLISH corrupt" },
  { "up PUBLISH corrupt bit=7,byte=-1,field=topic", "up PUBLISH corrupt field=topic,byte=-1,bit=7" },
  { "up bytes corrupt byte=12", "up bytes corrupt byte=12" },
  { "up CONNECT corrupt field=will.topic first", "up CONNECT first corrupt field=will.topic" },
  { "down PUBLISH truncate -3", "down PUBLISH truncate -3" },
  { "up PUBLISH rst who=client", "up PUBLISH rst who=client" },
  { "up PUBLISH dup true dup 2", "up PUBLISH dup true dup 2" },
  { "up PUBLISH dup 2 dup false", "up PUBLISH dup false dup 2" },
  { "up PUBLISH overtake", "up PUBLISH overtake" },
  { "up PUBLISH nth 2 overtake 3", "up PUBLISH nth 2 overtake 3" },
  { "up PUBLISH slow_close 2 at_byte 1", "up PUBLISH at_byte 1 slow_close 2s" },
  { "close slow_close 1s", "both close slow_close 1s" },
  { "up bytes at 5s vanish", "up bytes at 5s vanish" },
  { "connect no_answer", "connect no_answer" },
  { "accept after cut dead_upstream", "accept after cut dead_upstream" },
  { "up PUBLISH first after \"the cut\" drop", "up PUBLISH after \"the cut\" first drop" },
  { "up PUBLISH prop content_type=json drop", "up PUBLISH prop content_type=json drop" },
  { "sys send nth 3 short 4", "sys send nth 3 short 4" },
  { "sys recv,send,recv every 2 short 1k", "sys send,recv every 2 short 1k" },
  { "sys connect first errno ECONNREFUSED", "sys connect first errno ECONNREFUSED" },
  { "sys send across errno EWOULDBLOCK times 2", "sys send times 2 across errno EAGAIN" },
  { "sys alloc prob 0.1 fail may_fire", "sys alloc prob 0.1 fail may_fire" },
  { "sys accept after cut fail must_fire 2", "sys accept after cut fail must_fire 2" },
};

static void test_canonical(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof canonical / sizeof canonical[0]; i++) {
    char text[RULE_TEXT_MAX];
    struct err err = { "" };
    struct rule *r = rule_parse(canonical[i][0], &err);
    if (!canonical[i][1]) {
      assert_null(r);
      continue;
    }
    if (!r) fail_msg("%s: %s", canonical[i][0], err.text);
    assert_int_equal(rule_print(r, text, sizeof text), strlen(canonical[i][1]));
    assert_string_equal(text, canonical[i][1]);
    rule_free(r);
  }
}

/* The sentence names the column, what stands there, what was expected, and a near name. */
static const struct {
  const char *text, *column, *says;
} wrong[] = {
  { "", "column 1:", "the rule ends here; expected a direction" },
  { "up", "column 3:", "expected what it is about" },
  { "upp PUBLISH drop", "column 1: \"upp\"", "did you mean \"up\"?" },
  { "up PUBLSH drop", "column 4: \"PUBLSH\"", "did you mean \"PUBLISH\"?" },
  { "up publish drop", "column 4: \"publish\"", "did you mean \"PUBLISH\"?" },
  { "up PUBLISH,PUBAK drop", "column 12: \"PUBAK\"", "did you mean \"PUBACK\"?" },
  { "up PUBLISH,,PUBACK drop", "column 12: \"\"", "packet names" },
  { "up PUBLISH nht 3 drop", "column 12: \"nht\"", "did you mean \"nth\"?" },
  { "up PUBLISH", "column 11:", "an action (delay rate split" },
  { "up PUBLISH nth", "column 15:", "the rule ends here; expected a number from 1" },
  { "up PUBLISH nth 0 drop", "column 16: \"0\"", "a number from 1" },
  { "up PUBLISH nth drop", "column 16: \"drop\"", "a number from 1" },
  { "up PUBLISH qos 4 drop", "column 16: \"4\"", "a QoS (0 to 3)" },
  { "up PUBLISH id 65536 drop", "column 15: \"65536\"", "a packet identifier" },
  { "up PUBLISH drop extra", "column 17: \"extra\"", "an obligation (must_fire may_fire name) or the end" },
  { "up PUBLISH drop rst", "column 17: \"rst\"", "second action" },
  { "up PUBLISH qos 1 qos 2 drop", "column 18: \"qos\"", "is there already" },
  { "up PUBLISH before at_byte 3 rst", "column 19: \"at_byte\"", "second position" },
  { "up PUBLISH delay 3parsecs", "column 18: \"3parsecs\"", "a duration (250ms, 1.5s)" },
  { "up PUBLISH delay uniform(2s,1s)", "column 18:", "a duration" },
  { "up PUBLISH delay 1.5ns", "column 18:", "a duration" },
  { "up PUBLISH inject 6202", "column 19: \"6202\"", "hex:6202" },
  { "up PUBLISH inject hex:620", "column 19:", "hex:6202" },
  { "up PUBLISH inject \"abc", "column 19:", "not closed" },
  { "up PUBLISH topic \"a\"b drop", "column 21:", "space behind the closing quote" },
  { "up PUBLISH topic a/#/b drop", "column 18: \"a/#/b\"", "a topic filter" },
  { "up PUBLISH refuse", "column 12: \"refuse\" makes no sense on any", "connect, accept" },
  { "accept rst", "column 8: \"rst\" makes no sense on accept", "refuse it, or delay it" },
  { "up bytes drop", "column 10: \"drop\" makes no sense on bytes", "blackhole" },
  { "up bytes nth 2 rst", "column 10: \"nth\"", "at_byte" },
  { "up bytes qos 1 rst", "column 10: \"qos\"", "packets" },
  { "up bytes at_byte -3 rst", "column 21: \"rst\"", "no end to count from" },
  { "up PINGREQ qos 1 drop", "column 12: \"qos\" can never match", "no packet named here" },
  { "up PUBLISH at_byte 3 drop", "column 22: \"drop\" takes no position", "whole packets" },
  { "up PUBLISH first drop must_fire may_fire", "column 18:", "contradict" },
  { "up PUBLISH range 4 2 drop", "column 22:", "below the first" },
  { "up PUBLISH split 0", "column 18: \"0\"", "from 1" },
  { "up PUBLISH split uniform(0,7)", "column 18: \"uniform(0,7)\"", "uniform(100,300)" },
  { "up PUBLISH split uniform(9,7)", "column 18:", "uniform(100,300)" },
  { "up PUBLISH split uniform(1ms,7ms)", "column 18:", "from 1" },
  { "close inject hex:00 at_byte 3", "column 21: \"at_byte\"", "no bytes here" },
  { "tls alert", "column 10: the rule ends here", "expected a word" },
  { "up any cert expired", "column 8: \"cert\" makes no sense on any", "about TLS" },
  { "tls drop", "column 5: \"drop\" makes no sense on tls", "" },
  { "up any loss 0.1", "column 8: \"loss\" cannot be done", "in simulation only" },
  { "up any partition", "column 8: \"partition\"", "in simulation only" },
  { "up PUBLISH dup", "column 15:", "true or false (a selector), or how many times more" },
  { "up PUBLISH dup drop", "column 16: \"drop\"", "(an action)" },
  { "up PUBLISH dup 1001", "column 16: \"1001\"", "1 to 1000" },
  { "up PUBLISH coalesce 2M", "column 21: \"2M\"", "from 1 to 1M" },
  { "up PUBLISH rate 0", "column 17: \"0\"", "from 1" },
  { "up PUBLISH rst client", "column 22:", "the rule ends here; expected a word" },
  { "up PUBLISH rst who=me", "column 16: \"who=me\"", "who=client" },
  { "up PUBLISH corrupt bit=8", "column 20: \"bit=8\"", "byte=3,bit=0" },
  { "up PUBLISH corrupt byte=1,byte=2", "column 20:", "byte=3,bit=0" },
  { "up PUBLISH corrupt field=topci", "column 20:", "field=topic" },
  { "up PUBACK corrupt field=topic", "column 11: \"corrupt\" can never happen", "no packet named here" },
  { "up bytes corrupt field=topic", "column 10: \"corrupt\" cannot be placed", "bytes have no fields" },
  { "up bytes truncate -1", "column 10: \"truncate\"", "no end to count from" },
  { "up PUBLISH at_byte 2 truncate 3", "column 22: \"truncate\" takes no position", "says itself where" },
  { "up PUBLISH during 2 1 drop", "column 23: \"drop\" can never happen", "below the first" },
  { "up PUBLISH at 2 nth 2 drop", "column 23: \"drop\" can never happen", "the first from that time on" },
  { "connect at 2 refuse", "column 9: \"at\" makes no sense on connect", "beginning of a connection" },
  { "up PUBLISH no_answer", "column 12: \"no_answer\" makes no sense", "vanish or stall" },
  { "connect vanish", "column 9: \"vanish\"", "no connection yet" },
  { "sys", "column 4:", "an own system call (socket, connect" },
  { "syss send fail", "column 1: \"syss\"", "did you mean \"sys\"?" },
  { "sys sned fail", "column 5: \"sned\"", "did you mean \"send\"?" },
  { "sys send,revc fail", "column 10: \"revc\"", "did you mean \"recv\"?" },
  { "sys PUBLISH fail", "column 5: \"PUBLISH\"", "an own system call" },
  { "sys \"send\" fail", "column 5: \"send\"", "an own system call" },
  { "up send fail", "column 4: \"send\" cannot be done", "say sys in place of one" },
  { "up PUBLISH fail", "column 12: \"fail\" makes no sense on any", "only own system calls" },
  { "sys send drop", "column 10: \"drop\" makes no sense on own system calls", "short errno fail" },
  { "sys send qos 1 fail", "column 10: \"qos\" makes no sense on own system calls", "first nth range" },
  { "sys send during 1 2 fail", "column 10: \"during\" makes no sense", "short errno fail" },
  { "sys send at_byte 3 fail", "column 10: \"at_byte\" makes no sense", "short errno fail" },
  { "sys send short", "column 15:", "a number of bytes from 1" },
  { "sys send short 0", "column 16: \"0\"", "a number of bytes from 1" },
  { "sys connect short 4", "column 13: \"short\" makes no sense here", "only send and recv move bytes" },
  { "sys send,accept short 4", "column 17: \"short\" makes no sense here", "only send and recv move bytes" },
  { "sys send errno", "column 15:", "the name of an error number" },
  { "sys send errno EINTRR", "column 16: \"EINTRR\"", "did you mean \"EINTR\"?" },
  { "sys send errno EPIP", "column 16: \"EPIP\"", "did you mean \"EPIPE\"?" },
  { "sys send errno 32", "column 16: \"32\"", "the name of an error number" },
  { "sys send errno 0", "column 16: \"0\"", "the name of an error number" },
  { "sys alloc errno EINTR", "column 11: \"errno\" makes no sense on alloc", "ENOMEM or ENOBUFS" },
  { "sys alloc short 4", "column 11: \"short\" makes no sense here", "only send and recv" },
  { "sys send short 4 fail", "column 18: \"fail\" is a second action", "another rule" },
};

static void test_errors(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct err err = { "" };
    struct rule *r = rule_parse(wrong[i].text, &err);
    if (r) fail_msg("%s: was accepted", wrong[i].text);
    if (strncmp(err.text, wrong[i].column, strlen(wrong[i].column)) != 0 || !strstr(err.text, wrong[i].says))
      fail_msg("%s: %s", wrong[i].text, err.text);
  }
}

static void test_too_long(void **state) {
  (void)state;
  char text[RULE_TEXT_MAX + 100] = "up PUBLISH name ";
  struct err err;
  memset(text + strlen(text), 'x', RULE_TEXT_MAX);
  assert_null(rule_parse(text, &err));
  /* Short enough as it is written, not so in its canonical form. */
  strcpy(text, "up PUBLISH inject \"");
  memset(text + strlen(text), 'x', RULE_TEXT_MAX / 2 + 20);
  text[RULE_TEXT_MAX / 2 + 20] = '"';
  text[RULE_TEXT_MAX / 2 + 21] = '\0';
  assert_null(rule_parse(text, &err));
  assert_non_null(strstr(err.text, "canonical"));
}

static const char *const samples[VALUE_KINDS][8] = {
  [VALUE_COUNT] = { "1", "7", "4294967296" },
  [VALUE_PACKET_ID] = { "0", "65535" },
  [VALUE_QOS] = { "0", "3" },
  [VALUE_CODE] = { "0", "0x80", "135" },
  [VALUE_OFFSET] = { "0", "-5", "1000000" },
  [VALUE_SIZE] = { "0", "1", "1k", "1.5k", "64M", "1G" },
  [VALUE_PIECE] = { "1", "3k", "1023" },
  [VALUE_PIECES] = { "1", "3k", "uniform(100,300)", "normal(1k,100)", "exponential(7)", "pareto(64k,1.5)", "fixed(9)" },
  [VALUE_GATHER] = { "1", "1000", "1M" },
  [VALUE_COPIES] = { "1", "1000" },
  [VALUE_RATIO] = { "0", "1", "0.000000001", "99.5%", "0.5" },
  [VALUE_DURATION] = { "0", "1ns", "1.001us", "250ms", "1.5", "3h", "0.123456789s" },
  [VALUE_DISTRIBUTION] = { "1s", "normal(1s,2ms)", "uniform(0s,1.5ms)", "exponential(7us)", "pareto(1ms,0.75)",
                           "fixed(3s)" },
  [VALUE_FLAG] = { "true", "false" },
  [VALUE_DIRECTION] = { "up", "down" },
  [VALUE_WHO] = { "who=client", "who=broker", "who=both" },
  [VALUE_ERROR] = { "EINTR", "EWOULDBLOCK", "ENOTSUP", "EPIPE" },
  [VALUE_SPOT] = { "byte=3", "bit=0,byte=-1", "field=packet_id", "field=topic,byte=0,bit=7", "bit=5" },
  [VALUE_TEXT] = { "x", "\"\"", "\"a b\"", "\"\\\\ \\\" \\t \\x7f \\xff\"", "drop",
                   "f(x"
                   ")" },
  [VALUE_FILTER] = { "a/b", "#", "\"a b/+\"", "+/x" },
  [VALUE_BYTES] = { "hex:00", "hex:FFfe", "\"text\"", "\"\\x00\\r\"" },
};

static const char *sample(struct rng *rng, enum value_kind kind) {
  size_t count = 0;
  while (count < 8 && samples[kind][count]) count++;
  return samples[kind][rng_below(rng, count)];
}

static void append_word(struct rng *rng, struct printer *to, enum words_id id) {
  const struct words_row *row = words_row(id);
  printer_put(to, " %s", row->name);
  for (size_t a = 0; a < WORDS_ARGS_MAX && row->args[a].kind; a++) {
    if (row->args[a].optional && rng_below(rng, 2)) break;
    printer_put(to, " %s", sample(rng, row->args[a].kind));
  }
}

static bool same_value(const struct value *a, const struct value *b) {
  const struct spot *s = &a->spot, *t = &b->spot;
  return a->given == b->given && a->number == b->number && a->distribution.shape == b->distribution.shape &&
         a->distribution.a == b->distribution.a && a->distribution.b == b->distribution.b && s->field == t->field &&
         s->has_byte == t->has_byte && s->has_bit == t->has_bit && s->byte == t->byte && s->bit == t->bit &&
         slice_equal(a->text, b->text);
}

static bool same_rule(const struct rule *a, const struct rule *b) {
  if (a->place != b->place || a->types != b->types || a->calls != b->calls || a->term_count != b->term_count)
    return false;
  if (!(a->place & (WORDS_ENTRY | WORDS_TLS)) && a->directions != b->directions) return false;
  for (size_t i = 0; i < a->term_count; i++) {
    if (a->terms[i].word != b->terms[i].word) return false;
    for (size_t k = 0; k < WORDS_ARGS_MAX; k++)
      if (!same_value(&a->terms[i].args[k], &b->terms[i].args[k])) return false;
  }
  return true;
}

/* Random sentences of all words: what is accepted prints to a text that is the same rule and prints the same. */
static void test_inverse(void **state) {
  (void)state;
  static const char *const whats[] = {
    "PUBLISH",   "any",   "bytes", "accept", "close", "connect", "PUBACK,PUBLISH", "CONNECT,AUTH,DISCONNECT",
    "recv,send", "alloc", "tls"
  };
  static const char *const wheres[] = { "", "up ", "down ", "both ", "sys " };
  unsigned met[WORDS_IDS] = { 0 };
  struct rng rng = { 11 };
  unsigned accepted = 0;
  for (int round = 0; round < 130000; round++) {
    char text[RULE_TEXT_MAX], once[RULE_TEXT_MAX], twice[RULE_TEXT_MAX];
    struct printer p;
    struct err err;
    printer_init(&p, text, sizeof text);
    printer_put(&p, "%s%s", wheres[rng_below(&rng, 5)], whats[rng_below(&rng, 11)]);
    for (uint64_t n = rng_below(&rng, 5); n > 0; n--) append_word(&rng, &p, (enum words_id)rng_below(&rng, WORDS_IDS));
    append_word(&rng, &p, (enum words_id)(WORDS_DELAY + rng_below(&rng, WORDS_MUST_FIRE - WORDS_DELAY)));
    if (words_find(slice_text("dup")) != WORDS_DUP || words_twin(WORDS_DUP) != WORDS_COPY) fail();
    struct rule *r = rule_parse(text, &err);
    if (!r) continue;
    accepted++;
    rule_print(r, once, sizeof once);
    struct rule *again = rule_parse(once, &err);
    if (!again) fail_msg("%s -> %s: %s", text, once, err.text);
    rule_print(again, twice, sizeof twice);
    assert_string_equal(once, twice);
    if (!same_rule(r, again)) fail_msg("%s -> %s: another rule", text, once);
    for (size_t i = 0; i < r->term_count; i++) met[r->terms[i].word]++;
    rule_free(r);
    rule_free(again);
  }
  assert_true(accepted > 10000);
  for (int id = 0; id < WORDS_IDS; id++)
    if (met[id] < 20) fail_msg("%s was accepted %u times only", words_row((enum words_id)id)->name, met[id]);
}

static void test_owes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint64_t owes;
  } rows[] = {
    { "up PUBLISH drop", 0 },           { "up PUBLISH nth 2 drop", 1 },       { "up PUBLISH nth 2 drop may_fire", 0 },
    { "up bytes at 5s rst", 1 },        { "up any during 1 2 drop", 0 },      { "up any after x drop", 0 },
    { "up PUBLISH drop must_fire", 1 }, { "up PUBLISH drop must_fire 5", 5 }, { "up PUBLISH prob 0.5 drop", 0 }
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct rule *r = rule_parse(rows[i].text, NULL);
    assert_int_equal(rule_owes(r), rows[i].owes);
    rule_free(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_canonical), cmocka_unit_test(test_errors),
                                      cmocka_unit_test(test_too_long), cmocka_unit_test(test_inverse),
                                      cmocka_unit_test(test_owes) };
  return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
