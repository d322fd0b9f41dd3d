#include "controlrig.h"

#define INFECT_TEST_MS 1000000

struct pair {
  int client, upstream;
};

static struct pair pair_open(struct controlrig *c) {
  struct pair p;
  proxyrig_pair(&c->rig, &p.client, &p.upstream);
  return p;
}

static void pair_close(struct pair p) {
  close(p.client);
  close(p.upstream);
}

static void toxic_put(struct controlrig *c, const char *body) {
  controlrig_want(c, 200, "POST", "/proxies/p/toxics", body);
}

static void toxic_take(struct controlrig *c, const char *name) {
  char target[256];
  snprintf(target, sizeof target, "/proxies/p/toxics/%s", name);
  controlrig_want(c, 204, "DELETE", target, "");
}

static void turn_for(struct controlrig *c, int64_t ns) {
  struct err err;
  int64_t until_ns = net_now(c->rig.net) + ns;
  while (net_now(c->rig.net) < until_ns) assert_true(net_turn(c->rig.net, until_ns, &err));
}

/* Sends a text into one end: it arrives at the other. Returns how long that took. */
static int64_t pass(struct controlrig *c, int from, int to, const char *text) {
  int64_t began_ns = net_now(c->rig.net);
  proxyrig_send_text(from, text);
  proxyrig_expect_text(&c->rig, to, text);
  return net_now(c->rig.net) - began_ns;
}

static const char *text_of(size_t size) {
  static char text[100001];
  assert_true(size < sizeof text);
  memset(text, 'x', size);
  text[size] = 0;
  return text;
}

static int set_up(void **state) {
  static struct controlrig c;
  controlrig_open(&c);
  controlrig_proxy(&c);
  *state = &c;
  return 0;
}

static int tear_down(void **state) {
  controlrig_close(*state);
  return 0;
}

static void test_latency(void **state) {
  struct controlrig *c = *state;
  struct pair p = pair_open(c);
  toxic_put(c, "{'type':'latency','attributes':{'latency':60}}");
  int64_t began_ns = net_now(c->rig.net);
  pass(c, p.client, p.upstream, "up");
  pass(c, p.upstream, p.client, "down");
  assert_true(net_now(c->rig.net) - began_ns >= 60 * INFECT_TEST_MS);
  pair_close(p);
}

/* What a toxic holds when it is taken out comes at once, in order, all of it. */
static void test_removing_loses_no_byte(void **state) {
  static const char *const toxics[] = {
    "{'name':'t','type':'latency','stream':'upstream','attributes':{'latency':600000}}",
    "{'name':'t','type':'reset_peer','stream':'upstream','attributes':{'timeout':600000}}",
    "{'name':'t','type':'slicer','stream':'upstream','attributes':{'average_size':1,'delay':60000000}}",
    "{'name':'t','type':'bandwidth','stream':'upstream','attributes':{'rate':1}}",
    "{'name':'t','type':'mqtt','attributes':{'rule':'up bytes stall'}}",
  };
  struct controlrig *c = *state;
  for (size_t i = 0; i < sizeof toxics / sizeof *toxics; i++) {
    struct pair p = pair_open(c);
    toxic_put(c, toxics[i]);
    proxyrig_send_text(p.client, text_of(100000));
    turn_for(c, 5 * INFECT_TEST_MS);
    toxic_take(c, "t");
    proxyrig_expect_text(&c->rig, p.upstream, text_of(100000));
    pass(c, p.client, p.upstream, "more");
    pair_close(p);
  }
}

static void test_bandwidth(void **state) {
  struct controlrig *c = *state;
  toxic_put(c, "{'type':'bandwidth','attributes':{'rate':100}}");
  struct pair p = pair_open(c);
  int64_t took_ns = pass(c, p.upstream, p.client, text_of(20000));
  assert_true(took_ns >= 200 * INFECT_TEST_MS && took_ns < 2000 * INFECT_TEST_MS);
  pair_close(p);
}

static void test_slow_close(void **state) {
  struct controlrig *c = *state;
  toxic_put(c, "{'type':'slow_close','attributes':{'delay':60}}");
  struct pair p = pair_open(c);
  int64_t began_ns = net_now(c->rig.net);
  proxyrig_send_text(p.upstream, "last");
  shutdown(p.upstream, SHUT_WR);
  proxyrig_expect_text(&c->rig, p.client, "last");
  assert_int_equal(proxyrig_end(&c->rig, p.client, NULL), 0);
  assert_true(net_now(c->rig.net) - began_ns >= 60 * INFECT_TEST_MS);
  /* Half-closed only: the other way goes on. */
  pass(c, p.client, p.upstream, "still");
  pair_close(p);
}

static void test_timeout(void **state) {
  struct controlrig *c = *state;
  size_t bytes;
  struct pair p = pair_open(c);
  toxic_put(c, "{'type':'timeout','attributes':{'timeout':40}}");
  int64_t began_ns = net_now(c->rig.net);
  proxyrig_send_text(p.upstream, "never");
  assert_int_equal(proxyrig_end(&c->rig, p.client, &bytes), 0);
  assert_int_equal(bytes, 0);
  assert_true(net_now(c->rig.net) - began_ns >= 39 * INFECT_TEST_MS);
  pair_close(p);
}

/* Without a time it swallows until it is removed. A connection with a hole is closed then, one without goes on. */
static void test_timeout_without_end(void **state) {
  struct controlrig *c = *state;
  struct pair hurt = pair_open(c), whole = pair_open(c);
  toxic_put(c, "{'name':'t','type':'timeout','stream':'upstream'}");
  proxyrig_send_text(hurt.client, "swallowed");
  turn_for(c, 10 * INFECT_TEST_MS);
  proxyrig_expect_silence(hurt.upstream);
  toxic_take(c, "t");
  assert_int_equal(proxyrig_end(&c->rig, hurt.client, NULL), 0);
  pass(c, whole.client, whole.upstream, "fine");
  pair_close(hurt);
  pair_close(whole);
}

static void test_reset_peer(void **state) {
  struct controlrig *c = *state;
  struct pair p = pair_open(c);
  toxic_put(c, "{'name':'t','type':'reset_peer'}");
  assert_int_equal(proxyrig_end(&c->rig, p.client, NULL), ECONNRESET);
  assert_int_equal(proxyrig_end(&c->rig, p.upstream, NULL), ECONNRESET);
  pair_close(p);
  int later = proxyrig_client(&c->rig);
  assert_int_equal(proxyrig_end(&c->rig, later, NULL), ECONNRESET);
  close(later);
  close(accept4(c->rig.listener, NULL, NULL, SOCK_CLOEXEC));
  controlrig_want(c, 200, "POST", "/proxies/p/toxics/t", "{'attributes':{'timeout':40}}");
  p = pair_open(c);
  int64_t began_ns = net_now(c->rig.net);
  assert_int_equal(proxyrig_end(&c->rig, p.client, NULL), ECONNRESET);
  assert_true(net_now(c->rig.net) - began_ns >= 35 * INFECT_TEST_MS);
  pair_close(p);
}

static void test_reset_peer_of_nobody_does_nothing(void **state) {
  struct controlrig *c = *state;
  toxic_put(c, "{'type':'reset_peer','toxicity':0}");
  struct pair p = pair_open(c);
  pass(c, p.client, p.upstream, "one");
  shutdown(p.client, SHUT_WR);
  assert_int_equal(proxyrig_end(&c->rig, p.upstream, NULL), 0);
  pass(c, p.upstream, p.client, "two");
  shutdown(p.upstream, SHUT_WR);
  assert_int_equal(proxyrig_end(&c->rig, p.client, NULL), 0);
  pair_close(p);
}

static void test_slicer(void **state) {
  struct controlrig *c = *state;
  toxic_put(c, "{'type':'slicer','attributes':{'average_size':100,'delay':5000}}");
  struct pair p = pair_open(c);
  assert_true(pass(c, p.upstream, p.client, text_of(1000)) >= 40 * INFECT_TEST_MS);
  pair_close(p);
}

/* The sizes of pieces vary; nothing is lost. A variation as large as the size leaves pieces of a byte at least. */
static void test_slicer_varies(void **state) {
  struct controlrig *c = *state;
  toxic_put(c, "{'type':'slicer','attributes':{'average_size':50,'size_variation':50,'delay':1000}}");
  struct pair p = pair_open(c);
  assert_true(pass(c, p.upstream, p.client, text_of(2000)) >= 19 * INFECT_TEST_MS);
  pair_close(p);
}

static void test_limit_data(void **state) {
  struct controlrig *c = *state;
  size_t bytes;
  struct pair p = pair_open(c);
  pass(c, p.upstream, p.client, "before");
  toxic_put(c, "{'name':'t','type':'limit_data','attributes':{'bytes':5}}");
  pass(c, p.upstream, p.client, "123");
  proxyrig_send_text(p.upstream, "456");
  assert_int_equal(proxyrig_end(&c->rig, p.client, &bytes), 0);
  assert_int_equal(bytes, 2);
  pair_close(p);
  controlrig_want(c, 200, "POST", "/proxies/p/toxics/t", "{'attributes':{'bytes':0}}");
  p = pair_open(c);
  proxyrig_send_text(p.upstream, "1");
  assert_int_equal(proxyrig_end(&c->rig, p.client, &bytes), 0);
  assert_int_equal(bytes, 0);
  pair_close(p);
}

static void test_mqtt(void **state) {
  struct controlrig *c = *state;
  struct buffer packets, wanted;
  buffer_init(&packets, 1 << 16);
  buffer_init(&wanted, 1 << 16);
  proxyrig_connect(&packets, "c");
  proxyrig_connect(&wanted, "c");
  proxyrig_publish(&packets, "drop/me", 10);
  proxyrig_publish(&packets, "keep", 10);
  proxyrig_publish(&wanted, "keep", 10);
  toxic_put(c, "{'type':'mqtt','attributes':{'rule':'up PUBLISH topic drop/# drop'}}");
  controlrig_has(c, "'attributes':{'rule':'up PUBLISH topic drop/# drop'}");
  struct pair p = pair_open(c);
  proxyrig_send(p.client, buffer_slice(&packets));
  proxyrig_expect(&c->rig, p.upstream, buffer_slice(&wanted));
  assert_int_equal(infect_fired(fleet_find(c->fleet, "p")->infect), 1);
  pair_close(p);
  buffer_fini(&packets);
  buffer_fini(&wanted);
}

static void test_a_rule_on_accept_is_for_all(void **state) {
  struct controlrig *c = *state;
  toxic_put(c, "{'name':'t','type':'mqtt','attributes':{'rule':'accept refuse'}}");
  int refused = proxyrig_client(&c->rig);
  assert_int_equal(proxyrig_end(&c->rig, refused, NULL), ECONNRESET);
  close(refused);
  toxic_take(c, "t");
  struct pair p = pair_open(c);
  pair_close(p);
}

enum { STRUCK_CONNECTIONS = 40 };

/* Which of the connections are struck, by a toxic that closes. */
static size_t struck(uint64_t seed, const char *toxicity, char out[STRUCK_CONNECTIONS]) {
  struct controlrig c;
  char body[128], byte;
  size_t count = 0;
  controlrig_open_seeded(&c, seed);
  controlrig_proxy(&c);
  snprintf(body, sizeof body, "{'type':'limit_data','toxicity':%s}", toxicity);
  toxic_put(&c, body);
  for (size_t i = 0; i < STRUCK_CONNECTIONS; i++) {
    struct pair p = pair_open(&c);
    proxyrig_send_text(p.upstream, "x");
    TURN_UNTIL(&c.rig, proxyrig_read(p.client, &byte, 1) >= 0 || (byte = 0, errno != EAGAIN));
    size_t ended = c.rig.ended;
    turn_for(&c, 2 * INFECT_TEST_MS);
    out[i] = c.rig.ended > ended || byte != 'x';
    count += (size_t)out[i];
    byte = 0;
    pair_close(p);
    turn_for(&c, 2 * INFECT_TEST_MS);
  }
  controlrig_close(&c);
  return count;
}

static void test_toxicity_is_drawn_from_the_seed(void **state) {
  char first[STRUCK_CONNECTIONS], again[STRUCK_CONNECTIONS], more[STRUCK_CONNECTIONS], other[STRUCK_CONNECTIONS];
  (void)state;
  size_t count = struck(7, "0.5", first);
  assert_true(count > 5 && count < 35);
  struck(7, "0.5", again);
  assert_memory_equal(first, again, sizeof first);
  struck(8, "0.5", other);
  assert_memory_not_equal(first, other, sizeof first);
  assert_true(struck(7, "0.9", more) > count);
  for (size_t i = 0; i < STRUCK_CONNECTIONS; i++) assert_true(more[i] >= first[i]);
}

#define INFECT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
    INFECT_TEST(test_latency),
    INFECT_TEST(test_removing_loses_no_byte),
    INFECT_TEST(test_bandwidth),
    INFECT_TEST(test_slow_close),
    INFECT_TEST(test_timeout),
    INFECT_TEST(test_timeout_without_end),
    INFECT_TEST(test_reset_peer),
    INFECT_TEST(test_reset_peer_of_nobody_does_nothing),
    INFECT_TEST(test_slicer),
    INFECT_TEST(test_slicer_varies),
    INFECT_TEST(test_limit_data),
    INFECT_TEST(test_mqtt),
    INFECT_TEST(test_a_rule_on_accept_is_for_all),
    cmocka_unit_test(test_toxicity_is_drawn_from_the_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
