#include "controlrig.h"

static void test_version(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_want(&c, 200, "GET", "/version", "");
  controlrig_has(&c, "'version':'" CONTROL_API_VERSION "'");
  controlrig_close(&c);
}

static void test_a_proxy_from_cradle_to_grave(void **state) {
  struct controlrig c;
  char want[64], body[128];
  (void)state;
  controlrig_open(&c);
  controlrig_want(&c, 200, "GET", "/proxies", "");
  assert_string_equal(c.body, "{}");
  controlrig_proxy(&c);
  snprintf(want, sizeof want, "'listen':'127.0.0.1:%u'", proxy_url(c.rig.proxy)->port);
  controlrig_has(&c, want);
  snprintf(want, sizeof want, "'upstream':'127.0.0.1:%u'", c.rig.port);
  controlrig_has(&c, want);
  controlrig_has(&c, "'enabled':true");
  controlrig_has(&c, "'toxics':[]");
  controlrig_want(&c, 200, "GET", "/proxies/p", "");
  controlrig_has(&c, "'name':'p'");
  controlrig_want(&c, 200, "GET", "/proxies", "");
  controlrig_has(&c, "{'p':{");
  snprintf(body, sizeof body, "{'name':'p','upstream':'127.0.0.1:%u'}", c.rig.port);
  controlrig_want(&c, 409, "POST", "/proxies", body);
  controlrig_has(&c, "{'error':'proxy already exists','status':409}");
  controlrig_want(&c, 204, "DELETE", "/proxies/p", "");
  assert_string_equal(c.body, "");
  controlrig_want(&c, 404, "GET", "/proxies/p", "");
  controlrig_has(&c, "{'error':'proxy not found','status':404}");
  controlrig_close(&c);
}

static void test_disabled_and_enabled(void **state) {
  struct controlrig c;
  int client, upstream;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  uint16_t port = proxy_url(c.rig.proxy)->port;
  proxyrig_pair(&c.rig, &client, &upstream);
  controlrig_want(&c, 200, "POST", "/proxies/p", "{'enabled':false}");
  controlrig_has(&c, "'enabled':false");
  assert_int_equal(proxyrig_end(&c.rig, client, NULL), 0);
  struct sockaddr_in a = proxyrig_address(port);
  int refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(refused, (struct sockaddr *)&a, sizeof a), -1);
  assert_int_equal(errno, ECONNREFUSED);
  close(refused);
  close(client);
  close(upstream);
  controlrig_want(&c, 200, "PATCH", "/proxies/p", "{'enabled':true}");
  assert_int_equal(proxy_url(c.rig.proxy)->port, port);
  proxyrig_pair(&c.rig, &client, &upstream);
  close(client);
  close(upstream);
  controlrig_close(&c);
}

static void test_moved(void **state) {
  struct controlrig c;
  char body[128], taken[128];
  uint16_t other;
  int client, first, fd = proxyrig_listen(&other, 8);
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  uint16_t port = proxy_url(c.rig.proxy)->port;
  proxyrig_pair(&c.rig, &client, &first);
  close(first);
  snprintf(body, sizeof body, "{'upstream':'127.0.0.1:%u'}", other);
  controlrig_want(&c, 200, "POST", "/proxies/p", body);
  assert_int_equal(proxyrig_end(&c.rig, client, NULL), 0);
  close(client);
  size_t opened = c.rig.opened;
  client = proxyrig_client(&c.rig);
  TURN_UNTIL(&c.rig, c.rig.opened > opened);
  int upstream = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
  assert_true(upstream >= 0);
  close(upstream);
  close(client);
  /* What cannot be is not done, and the old address goes on. */
  snprintf(taken, sizeof taken, "{'listen':'127.0.0.1:%u'}", other);
  controlrig_want(&c, 500, "POST", "/proxies/p", taken);
  assert_int_equal(proxy_url(c.rig.proxy)->port, port);
  assert_true(proxy_is_enabled(c.rig.proxy));
  controlrig_want(&c, 400, "POST", "/proxies/p", "{'listen':'nonsense'}");
  close(fd);
  controlrig_close(&c);
}

static void test_toxics(void **state) {
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  controlrig_want(&c, 200, "POST", "/proxies/p/toxics", "{'type':'latency','attributes':{'latency':1000}}");
  assert_string_equal(c.body, "{\"attributes\":{\"latency\":1000,\"jitter\":0},\"name\":\"latency_downstream\","
                              "\"type\":\"latency\",\"stream\":\"downstream\",\"toxicity\":1}");
  controlrig_want(&c, 409, "POST", "/proxies/p/toxics", "{'type':'latency'}");
  controlrig_has(&c, "toxic already exists");
  controlrig_want(&c, 200, "POST", "/proxies/p/toxics",
                  "{'name':'cut','type':'limit_data','stream':'upstream','toxicity':0.25,'attributes':{'bytes':7.0}}");
  controlrig_has(&c, "'toxicity':0.25");
  controlrig_want(&c, 200, "PATCH", "/proxies/p/toxics/cut", "{'attributes':{'bytes':8},'type':'ignored'}");
  controlrig_has(&c, "{'bytes':8}");
  controlrig_has(&c, "'toxicity':0.25");
  controlrig_want(&c, 200, "POST", "/proxies/p/toxics/cut", "{'toxicity':1}");
  controlrig_has(&c, "{'bytes':8}");
  controlrig_want(&c, 200, "GET", "/proxies/p/toxics", "");
  assert_true(strstr(c.body, "limit_data") < strstr(c.body, "latency"));
  controlrig_want(&c, 200, "GET", "/proxies/p/toxics/cut", "");
  controlrig_want(&c, 204, "DELETE", "/proxies/p/toxics/cut", "");
  controlrig_want(&c, 404, "DELETE", "/proxies/p/toxics/cut", "");
  controlrig_has(&c, "{'error':'toxic not found','status':404}");
  controlrig_want(&c, 404, "POST", "/proxies/q/toxics", "{'type':'latency'}");
  controlrig_want(&c, 200, "POST", "/proxies/p", "{'enabled':false}");
  controlrig_want(&c, 204, "POST", "/reset", "");
  controlrig_want(&c, 200, "GET", "/proxies/p", "");
  controlrig_has(&c, "'enabled':true,'toxics':[]");
  controlrig_close(&c);
}

static void test_bad_bodies(void **state) {
  static const struct {
    const char *target, *body, *why;
  } rows[] = {
    { "/proxies", "", "it is empty" },
    { "/proxies", "{", "line 1" },
    { "/proxies", "{} {}", "end of file expected" },
    { "/proxies", "[]", "a proxy is an array" },
    { "/proxies", "{'name':1}", "a string is wanted" },
    { "/proxies", "{'upstream':'a:1'}", "missing required field: name" },
    { "/proxies", "{'name':'x'}", "missing required field: upstream" },
    { "/proxies", "{'name':'a/b','upstream':'a:1'}", "no '/'" },
    { "/proxies", "{'name':'x','upstream':'a'}", "has no port" },
    { "/proxies", "{'name':'x','upstream':'a:99999'}", "0 to 65535" },
    { "/proxies", "{'name':'x','upstream':'a:1','listen':'no'}", "listen" },
    { "/proxies", "{'name':'x','upstream':'a:1','enabled':1}", "true or false" },
    { "/proxies", "{'name':'x','upstream':'a:1','toxics':[{'type':'latncy'}]}", "\"latency\\\" is meant" },
    { "/proxies/p/toxics", "{}", "invalid toxic type" },
    { "/proxies/p/toxics", "[]", "an object is wanted" },
    { "/proxies/p/toxics", "{'type':'latency','stream':'sideways'}", "can be either upstream or downstream" },
    { "/proxies/p/toxics", "{'type':'latency','attributes':{'latncy':1}}", "\"latency\\\" is meant" },
    { "/proxies/p/toxics", "{'type':'latency','attributes':{'latency':-1}}", "a whole number" },
    { "/proxies/p/toxics", "{'type':'latency','attributes':{'latency':1.5}}", "a whole number" },
    { "/proxies/p/toxics", "{'type':'latency','attributes':{'latency':1e300}}", "a whole number" },
    { "/proxies/p/toxics", "{'type':'latency','attributes':{'latency':'1'}}", "a string" },
    { "/proxies/p/toxics", "{'type':'latency','attributes':7}", "an object is wanted" },
    { "/proxies/p/toxics", "{'type':'latency','toxicity':2}", "from 0 to 1" },
    { "/proxies/p/toxics", "{'type':'mqtt'}", "a rule's text" },
    { "/proxies/p/toxics", "{'type':'mqtt','attributes':{'rule':'up PUBLISH drp'}}", "drop" },
    { "/proxies/p/toxics", "{'type':'mqtt','toxicity':0.5,'attributes':{'rule':'accept refuse'}}", "prob" },
    { "/populate", "{}", "an array of proxies" },
    { "/populate", "[{'name':'x','upstream':'a:1'},{'name':'y'}]", "upstream (proxy 2)" },
    { "/populate", "[{'name':'x','upstream':'a:1'},{'name':'x','upstream':'a:1'}]", "two proxies" },
  };
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    controlrig_want(&c, 400, "POST", rows[i].target, rows[i].body);
    if (!strstr(c.body, rows[i].why)) fail_msg("%s: no %s in %s", rows[i].body, rows[i].why, c.body);
    controlrig_has(&c, "'status':400}");
  }
  assert_int_equal(fleet_count(c.fleet), 1);
  assert_int_equal(infect_count(fleet_find(c.fleet, "p")->infect), 0);
  controlrig_close(&c);
}

static void test_paths_and_methods(void **state) {
  static const char *const nowhere[] = {
    "/",       "",    "/prox", "/proxies/", "/version/x", "/proxies/p/toxic", "/proxies/p/toxics/t/u", "/proxies/%zz",
    "proxies", "/%00"
  };
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) controlrig_want(&c, 404, "GET", nowhere[i], "");
  controlrig_want(&c, 405, "DELETE", "/proxies", "");
  assert_string_equal(c.allow, "GET, POST");
  controlrig_want(&c, 405, "PUT", "/proxies/p", "");
  assert_string_equal(c.allow, "GET, POST, PATCH, DELETE");
  controlrig_want(&c, 405, "GET", "/reset", "");
  controlrig_want(&c, 405, "OPTIONS", "/version", "");
  controlrig_want(&c, 200, "GET", "/proxies/%70?pretty", "");
  controlrig_close(&c);
}

static void test_browsers_and_foreign_hosts_are_refused(void **state) {
  static const struct http_header bad[] = {
    { "User-Agent", "Mozilla/5.0 (X11)" },
    { "Origin", "http://localhost:8474" },
    { "Origin", "null" },
    { "Sec-Fetch-Site", "same-origin" },
    { "Host", "evil.example:8474" },
    { "Host", "localhost.evil.example" },
    { "Host", "192.168.1.1" },
    { "host", "" },
    { "Host", "[2001:db8::1]:1" },
  };
  static const struct http_header good[] = {
    { "Host", "localhost" },       { "Host", "127.0.0.1:8474" }, { "Host", "127.8.0.1" },   { "Host", "[::1]:8474" },
    { "User-Agent", "curl/7.88" }, { "Sec-Fetch-Mode", "cors" }, { "Host", "LOCALHOST:1" },
  };
  struct controlrig c;
  (void)state;
  controlrig_open(&c);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(controlrig_ask_as(&c, "GET", "/version", "", &bad[i], 1), 403);
    controlrig_has(&c, "'status':403}");
  }
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(controlrig_ask_as(&c, "GET", "/version", "", &good[i], 1), 200);
  assert_true(control_allow_host(c.control, "faults"));
  struct http_header named = { "Host", "faults:8474" };
  assert_int_equal(controlrig_ask_as(&c, "GET", "/version", "", &named, 1), 200);
  controlrig_close(&c);
}

static void test_populate_is_all_or_nothing(void **state) {
  struct controlrig c;
  char body[512];
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  uint16_t port = proxy_url(c.rig.proxy)->port;
  /* The second takes the address of "p", which stays: nothing of it is done. */
  snprintf(body, sizeof body,
           "[{'name':'q','listen':'127.0.0.1:0','upstream':'127.0.0.1:1'},"
           "{'name':'r','listen':'127.0.0.1:%u','upstream':'127.0.0.1:1'}]",
           port);
  controlrig_want(&c, 500, "POST", "/populate", body);
  assert_int_equal(fleet_count(c.fleet), 1);
  /* "p" gives its address to itself, with another upstream and toxics. */
  snprintf(body, sizeof body,
           "[{'name':'q','upstream':'127.0.0.1:1','enabled':false},{'name':'p','listen':'127.0.0.1:%u',"
           "'upstream':'127.0.0.1:2','toxics':[{'type':'latency'},{'type':'timeout','stream':'upstream'}]}]",
           port);
  controlrig_want(&c, 201, "POST", "/populate", body);
  controlrig_has(&c, "{'proxies':[{'name':'q'");
  controlrig_has(&c, "'upstream':'127.0.0.1:2'");
  assert_int_equal(infect_count(fleet_find(c.fleet, "p")->infect), 2);
  assert_false(proxy_is_enabled(fleet_find(c.fleet, "q")->proxy));
  /* Asked again it changes nothing. */
  struct proxy *same = fleet_find(c.fleet, "p")->proxy;
  snprintf(body, sizeof body, "[{'name':'p','listen':'127.0.0.1:%u','upstream':'127.0.0.1:2'}]", port);
  controlrig_want(&c, 201, "POST", "/populate", body);
  assert_ptr_equal(fleet_find(c.fleet, "p")->proxy, same);
  assert_int_equal(infect_count(fleet_find(c.fleet, "p")->infect), 2);
  controlrig_close(&c);
}

static void test_metrics(void **state) {
  struct controlrig c;
  int client, upstream;
  (void)state;
  controlrig_open(&c);
  controlrig_proxy(&c);
  proxyrig_pair(&c.rig, &client, &upstream);
  proxyrig_send_text(client, "12345");
  proxyrig_expect_text(&c.rig, upstream, "12345");
  controlrig_want(&c, 200, "GET", "/metrics", "");
  controlrig_has(&c, "# TYPE toxiproxy_proxy_received_bytes_total counter\n");
  controlrig_has(&c, "toxiproxy_proxy_received_bytes_total{direction='upstream',listener='127.0.0.1:");
  controlrig_has(&c, "'} 5\n");
  close(client);
  close(upstream);
  controlrig_close(&c);
}

static void test_an_adopted_proxy_outlives_the_fleet(void **state) {
  struct controlrig c;
  struct proxyrig r;
  struct err err;
  struct url at;
  (void)state;
  proxyrig_open(&r);
  memset(&c, 0, sizeof c);
  struct fleet *fleet = fleet_new(r.net, &(struct proxy_options){ .seed = 1 }, NULL, NULL);
  assert_true(url_parse("tcp://127.0.0.1:1", &at, &err));
  c.fleet = fleet;
  c.control = control_new(fleet, &at);
  fleet_adopt(fleet, "mine", r.proxy);
  controlrig_want(&c, 200, "POST", "/proxies/mine/toxics", "{'type':'latency'}");
  controlrig_want(&c, 204, "DELETE", "/proxies/mine", "");
  assert_false(proxy_is_enabled(r.proxy));
  control_free(c.control);
  fleet_free(fleet);
  proxyrig_close(&r);
}

static void test_addresses_of_the_interface(void **state) {
  static const char *const rows[][2] = { { "9000", "tcp://127.0.0.1:9000" }, { ":9000", "tcp://127.0.0.1:9000" },
                                         { "0.0.0.0:1", "tcp://0.0.0.0:1" }, { "localhost", "tcp://localhost:8474" },
                                         { "[::1]", "tcp://[::1]:8474" },    { "[::1]:5", "tcp://[::1]:5" } };
  struct url u;
  struct err err;
  char text[128];
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_true(control_address(rows[i][0], &u, &err));
    url_format(&u, text, sizeof text);
    assert_string_equal(text, rows[i][1]);
  }
  assert_false(control_address("a b", &u, &err));
  assert_false(control_address("1:x", &u, &err));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_version),
    cmocka_unit_test(test_a_proxy_from_cradle_to_grave),
    cmocka_unit_test(test_disabled_and_enabled),
    cmocka_unit_test(test_moved),
    cmocka_unit_test(test_toxics),
    cmocka_unit_test(test_bad_bodies),
    cmocka_unit_test(test_paths_and_methods),
    cmocka_unit_test(test_browsers_and_foreign_hosts_are_refused),
    cmocka_unit_test(test_populate_is_all_or_nothing),
    cmocka_unit_test(test_metrics),
    cmocka_unit_test(test_an_adopted_proxy_outlives_the_fleet),
    cmocka_unit_test(test_addresses_of_the_interface),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
