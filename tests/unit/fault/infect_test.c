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

static void test_latency(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  struct pair p = pair_open(&c);
  toxic_put(&c, "{'type':'latency','attributes':{'latency':60}}");
  int64_t began_ns = net_now(c.rig.net);
  proxyrig_send_text(p.client, "up");
  proxyrig_expect_text(&c.rig, p.upstream, "up");
  proxyrig_send_text(p.upstream, "down");
  proxyrig_expect_text(&c.rig, p.client, "down");
  assert_true(net_now(c.rig.net) - began_ns >= 60 * INFECT_TEST_MS);
  pair_close(p);
  controlrig_close(&c);
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
  struct controlrig c;
  static char text[100001];
  (void)state;
  memset(text, 'x', sizeof text - 1);
  controlrig_open(&c);
  controlrig_proxy(&c);
  for (size_t i = 0; i < sizeof toxics / sizeof *toxics; i++) {
    struct pair p = pair_open(&c);
    toxic_put(&c, toxics[i]);
    proxyrig_send_text(p.client, text);
    turn_for(&c, 5 * INFECT_TEST_MS);
    toxic_take(&c, "t");
    proxyrig_expect_text(&c.rig, p.upstream, text);
    proxyrig_send_text(p.client, "more");
    proxyrig_expect_text(&c.rig, p.upstream, "more");
    pair_close(p);
  }
  controlrig_close(&c);
}

static void test_bandwidth(void **state) {
  struct controlrig c;
  static char text[20001];
  (void)state;
  memset(text, 'x', sizeof text - 1);
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'type':'bandwidth','attributes':{'rate':100}}");
  struct pair p = pair_open(&c);
  int64_t began_ns = net_now(c.rig.net);
  proxyrig_send_text(p.upstream, text);
  proxyrig_expect_text(&c.rig, p.client, text);
  int64_t took_ns = net_now(c.rig.net) - began_ns;
  assert_true(took_ns >= 200 * INFECT_TEST_MS && took_ns < 2000 * INFECT_TEST_MS);
  pair_close(p);
  controlrig_close(&c);
}

static void test_slow_close(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'type':'slow_close','attributes':{'delay':60}}");
  struct pair p = pair_open(&c);
  int64_t began_ns = net_now(c.rig.net);
  proxyrig_send_text(p.upstream, "last");
  shutdown(p.upstream, SHUT_WR);
  proxyrig_expect_text(&c.rig, p.client, "last");
  assert_int_equal(proxyrig_end(&c.rig, p.client, NULL), 0);
  assert_true(net_now(c.rig.net) - began_ns >= 60 * INFECT_TEST_MS);
  /* Half-closed only: the other way goes on. */
  proxyrig_send_text(p.client, "still");
  proxyrig_expect_text(&c.rig, p.upstream, "still");
  pair_close(p);
  controlrig_close(&c);
}

static void test_timeout(void **state) {
  struct controlrig c;
  size_t bytes;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  struct pair p = pair_open(&c);
  toxic_put(&c, "{'type':'timeout','attributes':{'timeout':40}}");
  int64_t began_ns = net_now(c.rig.net);
  proxyrig_send_text(p.upstream, "never");
  assert_int_equal(proxyrig_end(&c.rig, p.client, &bytes), 0);
  assert_int_equal(bytes, 0);
  assert_true(net_now(c.rig.net) - began_ns >= 39 * INFECT_TEST_MS);
  pair_close(p);
  controlrig_close(&c);
}

/* Without a time it swallows until it is removed. A connection with a hole is closed then, one without goes on. */
static void test_timeout_without_end(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  struct pair hurt = pair_open(&c), whole = pair_open(&c);
  toxic_put(&c, "{'name':'t','type':'timeout','stream':'upstream'}");
  proxyrig_send_text(hurt.client, "swallowed");
  turn_for(&c, 10 * INFECT_TEST_MS);
  proxyrig_expect_silence(hurt.upstream);
  toxic_take(&c, "t");
  assert_int_equal(proxyrig_end(&c.rig, hurt.client, NULL), 0);
  proxyrig_send_text(whole.client, "fine");
  proxyrig_expect_text(&c.rig, whole.upstream, "fine");
  pair_close(hurt);
  pair_close(whole);
  controlrig_close(&c);
}

static void test_reset_peer(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  struct pair p = pair_open(&c);
  toxic_put(&c, "{'name':'t','type':'reset_peer'}");
  assert_int_equal(proxyrig_end(&c.rig, p.client, NULL), ECONNRESET);
  assert_int_equal(proxyrig_end(&c.rig, p.upstream, NULL), ECONNRESET);
  pair_close(p);
  int later = proxyrig_client(&c.rig);
  assert_int_equal(proxyrig_end(&c.rig, later, NULL), ECONNRESET);
  close(later);
  close(accept4(c.rig.listener, NULL, NULL, SOCK_CLOEXEC));
  controlrig_want(&c, 200, "POST", "/proxies/p/toxics/t", "{'attributes':{'timeout':40}}");
  p = pair_open(&c);
  int64_t began_ns = net_now(c.rig.net);
  assert_int_equal(proxyrig_end(&c.rig, p.client, NULL), ECONNRESET);
  assert_true(net_now(c.rig.net) - began_ns >= 35 * INFECT_TEST_MS);
  pair_close(p);
  controlrig_close(&c);
}

static void test_reset_peer_of_nobody_does_nothing(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'type':'reset_peer','toxicity':0}");
  struct pair p = pair_open(&c);
  proxyrig_send_text(p.client, "one");
  proxyrig_expect_text(&c.rig, p.upstream, "one");
  shutdown(p.client, SHUT_WR);
  assert_int_equal(proxyrig_end(&c.rig, p.upstream, NULL), 0);
  proxyrig_send_text(p.upstream, "two");
  proxyrig_expect_text(&c.rig, p.client, "two");
  shutdown(p.upstream, SHUT_WR);
  assert_int_equal(proxyrig_end(&c.rig, p.client, NULL), 0);
  pair_close(p);
  controlrig_close(&c);
}

static void test_slicer(void **state) {
  struct controlrig c;
  char text[1001];
  (void)state;
  memset(text, 'x', 1000);
  text[1000] = 0;
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'type':'slicer','attributes':{'average_size':100,'delay':5000}}");
  struct pair p = pair_open(&c);
  int64_t began_ns = net_now(c.rig.net);
  proxyrig_send_text(p.upstream, text);
  proxyrig_expect_text(&c.rig, p.client, text);
  assert_true(net_now(c.rig.net) - began_ns >= 40 * INFECT_TEST_MS);
  pair_close(p);
  controlrig_close(&c);
}

/* The sizes of pieces vary; nothing is lost. A variation as large as the size leaves pieces of a byte at least. */
static void test_slicer_varies(void **state) {
  struct controlrig c;
  char text[2001];
  (void)state;
  memset(text, 'x', 2000);
  text[2000] = 0;
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'type':'slicer','attributes':{'average_size':50,'size_variation':50,'delay':1000}}");
  struct pair p = pair_open(&c);
  int64_t began_ns = net_now(c.rig.net);
  proxyrig_send_text(p.upstream, text);
  proxyrig_expect_text(&c.rig, p.client, text);
  assert_true(net_now(c.rig.net) - began_ns >= 19 * INFECT_TEST_MS);
  pair_close(p);
  controlrig_close(&c);
}

static void test_limit_data(void **state) {
  struct controlrig c;
  size_t bytes;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  struct pair p = pair_open(&c);
  proxyrig_send_text(p.upstream, "before");
  proxyrig_expect_text(&c.rig, p.client, "before");
  toxic_put(&c, "{'name':'t','type':'limit_data','attributes':{'bytes':5}}");
  proxyrig_send_text(p.upstream, "123");
  proxyrig_expect_text(&c.rig, p.client, "123");
  proxyrig_send_text(p.upstream, "456");
  assert_int_equal(proxyrig_end(&c.rig, p.client, &bytes), 0);
  assert_int_equal(bytes, 2);
  pair_close(p);
  controlrig_want(&c, 200, "POST", "/proxies/p/toxics/t", "{'attributes':{'bytes':0}}");
  p = pair_open(&c);
  proxyrig_send_text(p.upstream, "1");
  assert_int_equal(proxyrig_end(&c.rig, p.client, &bytes), 0);
  assert_int_equal(bytes, 0);
  pair_close(p);
  controlrig_close(&c);
}

static void test_mqtt(void **state) {
  struct controlrig c;
  struct buffer packets, wanted;
  (void)state;
  buffer_init(&packets, 1 << 16);
  buffer_init(&wanted, 1 << 16);
  proxyrig_connect(&packets, "c");
  proxyrig_connect(&wanted, "c");
  proxyrig_publish(&packets, "drop/me", 10);
  proxyrig_publish(&packets, "keep", 10);
  proxyrig_publish(&wanted, "keep", 10);
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'type':'mqtt','attributes':{'rule':'up PUBLISH topic drop/# drop'}}");
  controlrig_has(&c, "'attributes':{'rule':'up PUBLISH topic drop/# drop'}");
  struct pair p = pair_open(&c);
  proxyrig_send(p.client, buffer_slice(&packets));
  proxyrig_expect(&c.rig, p.upstream, buffer_slice(&wanted));
  assert_int_equal(infect_fired(fleet_find(c.fleet, "p")->infect), 1);
  pair_close(p);
  controlrig_close(&c);
  buffer_fini(&packets);
  buffer_fini(&wanted);
}

static void test_a_rule_on_accept_is_for_all(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  toxic_put(&c, "{'name':'t','type':'mqtt','attributes':{'rule':'accept refuse'}}");
  int refused = proxyrig_client(&c.rig);
  assert_int_equal(proxyrig_end(&c.rig, refused, NULL), ECONNRESET);
  close(refused);
  toxic_take(&c, "t");
  struct pair p = pair_open(&c);
  pair_close(p);
  controlrig_close(&c);
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

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_latency),
    cmocka_unit_test(test_removing_loses_no_byte),
    cmocka_unit_test(test_bandwidth),
    cmocka_unit_test(test_slow_close),
    cmocka_unit_test(test_timeout),
    cmocka_unit_test(test_timeout_without_end),
    cmocka_unit_test(test_reset_peer),
    cmocka_unit_test(test_reset_peer_of_nobody_does_nothing),
    cmocka_unit_test(test_slicer),
    cmocka_unit_test(test_slicer_varies),
    cmocka_unit_test(test_limit_data),
    cmocka_unit_test(test_mqtt),
    cmocka_unit_test(test_a_rule_on_accept_is_for_all),
    cmocka_unit_test(test_toxicity_is_drawn_from_the_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
