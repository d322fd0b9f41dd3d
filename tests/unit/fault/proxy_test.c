#include <sys/resource.h>

#include "proxyrig.h"

/* Options that are wrong, and addresses that cannot be listened at. */

static struct proxy *try_new(struct proxyrig *r, const char *listen_url, const char *upstream, struct err *err) {
  struct proxy_options o = { .seed = 1 };
  assert_true(url_parse(listen_url, &o.listen, err));
  assert_true(url_parse(upstream, &o.upstream, err));
  return proxy_new(r->net, &o, NULL, NULL, err);
}

static void what_cannot_be_is_told(void **state) {
  struct proxyrig r;
  struct err err;
  char taken[64];
  (void)state;
  proxyrig_open(&r);
  snprintf(taken, sizeof taken, "tcp://127.0.0.1:%u", r.port);
  assert_null(try_new(&r, taken, "tcp://127.0.0.1:1", &err));
  assert_non_null(strstr(err.text, "in use"));
  assert_null(try_new(&r, "ws://127.0.0.1:0/mqtt?a", "tcp://127.0.0.1:1", &err));
  assert_non_null(strstr(err.text, "no query"));
  assert_null(try_new(&r, "ssl://127.0.0.1:0", "tcp://127.0.0.1:1", &err));
  assert_non_null(strstr(err.text, "the address to listen at: to listen at ssl:// takes tls"));
  assert_null(proxy_add_rule(r.proxy, "up PUBLISH nht 3 drop", &err));
  assert_non_null(strstr(err.text, "column 12"));
  proxyrig_close(&r);
}

static void upstream_is_not_the_proxy_itself(void **state) {
  struct proxyrig r;
  struct err err;
  char url[64];
  uint16_t port;
  (void)state;
  proxyrig_open(&r);
  close(proxyrig_listen(&port, 1));
  snprintf(url, sizeof url, "tcp://127.0.0.1:%u", port);
  assert_null(try_new(&r, url, url, &err));
  assert_non_null(strstr(err.text, "itself"));
  proxyrig_close(&r);
}

static void name_that_is_not_found_refuses_each_connection(void **state) {
  struct proxyrig r;
  struct err err;
  struct proxy_options o = { .seed = 1 };
  (void)state;
  assert_true(url_parse("tcp://no..such:1883", &o.upstream, &err));
  proxyrig_open_with(&r, &o);
  for (size_t i = 1; i <= 3; i++) {
    int client = proxyrig_client(&r);
    assert_int_equal(proxyrig_end(&r, client, NULL), ECONNRESET);
    TURN_UNTIL(&r, r.ended == i);
    assert_non_null(strstr(r.why, "no..such"));
    close(client);
  }
  assert_int_equal(proxy_counts(r.proxy).unreached, 3);
  proxyrig_close(&r);
}

/* Connections by number. */

static void connections_are_numbered(void **state) {
  struct proxyrig r;
  int client[3], upstream[3];
  (void)state;
  proxyrig_open(&r);
  for (int i = 0; i < 3; i++) proxyrig_pair(&r, &client[i], &upstream[i]);
  for (uint64_t n = 1; n <= 3; n++) assert_int_equal(proxy_conn_number(proxy_conn(r.proxy, n)), n);
  assert_null(proxy_conn(r.proxy, 0));
  assert_null(proxy_conn(r.proxy, 4));
  close(client[1]);
  close(upstream[1]);
  TURN_UNTIL(&r, r.ended == 1);
  assert_null(proxy_conn(r.proxy, 2));
  struct proxy_conn *c = proxy_next(r.proxy, NULL);
  assert_int_equal(proxy_conn_number(c), 1);
  c = proxy_next(r.proxy, c);
  assert_ptr_equal(c, proxy_newest(r.proxy));
  assert_int_equal(proxy_conn_number(c), 3);
  assert_null(proxy_next(r.proxy, c));
  assert_int_equal(proxy_counts(r.proxy).connections, 3);
  assert_int_equal(proxy_counts(r.proxy).open, 2);
  for (int i = 0; i < 3; i += 2) close(client[i]), close(upstream[i]);
  proxyrig_close(&r);
}

/* Rules that come while connections are up reach them; those of one connection reach no other. */

static void rules_come_and_go(void **state) {
  struct proxyrig r;
  int client, upstream, other, other_upstream;
  struct err err;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  struct scope_rule *rule = proxyrig_rule(&r, "up PINGREQ drop");
  proxyrig_pair(&r, &other, &other_upstream);
  proxyrig_send(client, slice_of("\xc0\0\xe0\0", 4));
  proxyrig_expect(&r, upstream, slice_of("\xe0\0", 2));
  proxyrig_send(other, slice_of("\xc0\0\xe0\0", 4));
  proxyrig_expect(&r, other_upstream, slice_of("\xe0\0", 2));
  assert_int_equal(scope_fired(rule), 2);
  assert_int_equal(r.fired, 2);
  assert_int_equal(proxy_counts(r.proxy).firings, 2);
  scope_remove(rule);
  proxyrig_send(client, slice_of("\xc0\0", 2));
  proxyrig_expect(&r, upstream, slice_of("\xc0\0", 2));
  struct scope *own = scope_new(1, NULL, NULL);
  struct scope_rule *one = scope_add(own, rule_parse("up PINGREQ drop", &err), &err);
  relay_join(proxy_conn_relay(proxy_conn(r.proxy, 2)), own, NULL);
  relay_join(proxy_conn_relay(proxy_conn(r.proxy, 2)), own, NULL);
  proxyrig_send(other, slice_of("\xc0\0\xe0\0", 4));
  proxyrig_expect(&r, other_upstream, slice_of("\xe0\0", 2));
  proxyrig_send(client, slice_of("\xc0\0", 2));
  proxyrig_expect(&r, upstream, slice_of("\xc0\0", 2));
  assert_int_equal(scope_fired(one), 1);
  close(client), close(upstream), close(other), close(other_upstream);
  proxyrig_close(&r);
  scope_free(own);
}

/* What is encrypted from end to end goes through as it is, in whatever pieces, though it looks like packets here and
 * there; whoever has rules on packets is told once. */
static void what_is_no_mqtt_is_let_through(void **state) {
  static const char hello[] = "\x16\x03\x01\0\x04\xc0\0\xe0\0\x30\0", request[] = "GET /mqtt HTTP/1.1\r\n";
  static const struct slice streams[] = { { (const uint8_t *)hello, 11 }, { (const uint8_t *)request, 20 } };
  struct proxyrig r;
  int client, upstream;
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    for (size_t cut = 1; cut < streams[i].size; cut++) {
      proxyrig_open(&r);
      struct scope_rule *rule = proxyrig_rule(&r, "both any drop");
      proxyrig_pair(&r, &client, &upstream);
      proxyrig_send(client, slice_first(streams[i], cut));
      if (cut >= 2) proxyrig_expect(&r, upstream, slice_first(streams[i], cut));
      proxyrig_send(client, slice_from(streams[i], cut));
      proxyrig_expect(&r, upstream, cut >= 2 ? slice_from(streams[i], cut) : streams[i]);
      proxyrig_rule(&r, "up PUBLISH drop");
      assert_int_equal(scope_fired(rule), 0);
      assert_int_equal(r.troubles, 1);
      assert_non_null(strstr(r.trouble, i ? "what goes through is HTTP" : "what goes through is TLS"));
      close(client), close(upstream);
      proxyrig_close(&r);
    }
  }
}

/* Rules that come later are told of, too; rules on bytes are none of this. */
static void blindness_is_told_when_it_matters(void **state) {
  struct proxyrig r;
  int client, upstream;
  (void)state;
  proxyrig_open(&r);
  proxyrig_rule(&r, "both bytes delay 0s");
  proxyrig_pair(&r, &client, &upstream);
  proxyrig_send(client, slice_of("\x16\x03\x01", 3));
  proxyrig_expect(&r, upstream, slice_of("\x16\x03\x01", 3));
  assert_int_equal(r.troubles, 0);
  proxyrig_rule(&r, "up PUBLISH drop");
  assert_int_equal(r.troubles, 1);
  close(client), close(upstream);
  proxyrig_close(&r);
}

static void upstream_that_wants_tls_is_named(void **state) {
  struct proxyrig r;
  int client, upstream;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &client, &upstream);
  proxyrig_send(client, slice_of("\xc0\0", 2));
  proxyrig_expect(&r, upstream, slice_of("\xc0\0", 2));
  proxyrig_send(upstream, slice_of("\x15\x03\x01\0\x02\x02\x46", 7));
  proxyrig_expect(&r, client, slice_of("\x15\x03\x01\0\x02\x02\x46", 7));
  close(upstream), close(client);
  TURN_UNTIL(&r, r.ended == 1);
  assert_string_equal(r.why, "the upstream speaks TLS, and the URL of the upstream is of another scheme than ssl://");
  proxyrig_close(&r);
}

static void rules_on_getting_in(void **state) {
  struct proxyrig r;
  int client;
  (void)state;
  proxyrig_open(&r);
  struct scope_rule *refusing = proxyrig_rule(&r, "up accept nth 2 refuse");
  struct scope_rule *slow = proxyrig_rule(&r, "up connect nth 2 delay 60ms");
  client = proxyrig_client(&r);
  TURN_UNTIL(&r, r.opened == 1);
  close(client);
  client = proxyrig_client(&r);
  assert_int_equal(proxyrig_end(&r, client, NULL), ECONNRESET);
  TURN_UNTIL(&r, scope_fired(refusing) == 1 && r.ended >= 1);
  close(client);
  int64_t began_ns = net_now(r.net);
  client = proxyrig_client(&r);
  TURN_UNTIL(&r, r.opened == 2);
  assert_true(net_now(r.net) - began_ns >= 60000000);
  assert_int_equal(scope_fired(slow), 1);
  assert_int_equal(r.fired, 2);
  close(client);
  proxyrig_close(&r);
}

/* The client is accepted and hears nothing, whatever it says, and the upstream of nobody. */
static void dead_upstream_is_silence(void **state) {
  struct proxyrig r;
  struct err err;
  (void)state;
  proxyrig_open(&r);
  proxyrig_rule(&r, "up accept dead_upstream");
  int client = proxyrig_client(&r);
  proxyrig_send_text(client, "hello");
  TURN_UNTIL(&r, r.fired == 1 && proxy_counts(r.proxy).bytes_up == 5);
  for (int i = 0; i < 10; i++) assert_true(net_turn(r.net, net_now(r.net) + PROXYRIG_LOOK_NS, &err));
  proxyrig_expect_silence(client);
  assert_int_equal(r.opened, 0);
  close(client);
  TURN_UNTIL(&r, r.ended == 1);
  proxyrig_close(&r);
}

/* Disabled and enabled. */

static void disable(bool reset) {
  struct proxyrig r;
  struct err err;
  int client, upstream;
  proxyrig_open(&r);
  uint16_t port = proxy_url(r.proxy)->port;
  proxyrig_pair(&r, &client, &upstream);
  proxy_disable(r.proxy, reset);
  assert_false(proxy_is_enabled(r.proxy));
  assert_int_equal(proxyrig_end(&r, client, NULL), reset ? ECONNRESET : 0);
  assert_int_equal(proxyrig_end(&r, upstream, NULL), reset ? ECONNRESET : 0);
  TURN_UNTIL(&r, r.ended);
  assert_string_equal(r.why, "the proxy was stopped");
  close(client);
  close(upstream);
  struct sockaddr_in a = proxyrig_address(port);
  int refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(refused, (struct sockaddr *)&a, sizeof a), -1);
  assert_int_equal(errno, ECONNREFUSED);
  close(refused);
  assert_true(proxy_enable(r.proxy, &err));
  assert_int_equal(proxy_url(r.proxy)->port, port);
  proxyrig_pair(&r, &client, &upstream);
  assert_int_equal(proxy_conn_number(proxy_newest(r.proxy)), 2);
  close(client);
  close(upstream);
  proxyrig_close(&r);
}

static void disabled_is_refused_and_enabled_goes_on(void **state) {
  (void)state;
  disable(false);
  disable(true);
}

/* A handler may end everything. */

static void free_it(struct proxyrig *r, struct proxy_conn *c) {
  (void)c;
  struct proxy *p = r->proxy;
  r->proxy = NULL;
  proxy_free(p);
}

static void handlers_may_free_the_proxy(void **state) {
  (void)state;
  for (int when = 0; when < 2; when++) {
    struct proxyrig r;
    proxyrig_open(&r);
    proxyrig_rule(&r, "up PUBLISH drop");
    if (when == 0) r.on_accepted = free_it;
    else r.on_ended = free_it;
    int client = proxyrig_client(&r);
    if (when == 1) {
      TURN_UNTIL(&r, r.opened);
      proxyrig_reset(client);
    }
    TURN_UNTIL(&r, !r.proxy && r.ended);
    if (when == 0) close(client);
    proxyrig_close(&r);
  }
}

static void reset_it(struct proxyrig *r, struct proxy_conn *c) {
  (void)r;
  relay_reset(proxy_conn_relay(c), "not this one");
}

static void handler_may_reset_what_was_accepted(void **state) {
  struct proxyrig r;
  (void)state;
  proxyrig_open(&r);
  r.on_accepted = reset_it;
  int client = proxyrig_client(&r);
  assert_int_equal(proxyrig_end(&r, client, NULL), ECONNRESET);
  TURN_UNTIL(&r, r.ended);
  assert_string_equal(r.why, "not this one");
  close(client);
  proxyrig_close(&r);
}

/* Many. */

#define MANY 2000

static void thousands_of_connections(void **state) {
  struct proxyrig r;
  static int clients[MANY], upstreams[MANY];
  struct rlimit limit, more;
  (void)state;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  more = (struct rlimit){ limit.rlim_max, limit.rlim_max };
  setrlimit(RLIMIT_NOFILE, &more);
  int many = limit.rlim_max >= 4 * MANY + 100 ? MANY : (int)(limit.rlim_max - 100) / 4;
  proxyrig_open(&r);
  for (int i = 0; i < many; i++) proxyrig_pair(&r, &clients[i], &upstreams[i]);
  assert_int_equal(proxy_counts(r.proxy).open, many);
  for (int round = 0; round < 3; round++) {
    struct scope_rule *rule = round == 1 ? proxyrig_rule(&r, "up PINGREQ nth 1000 drop") : NULL;
    for (int i = 0; i < many; i++) proxyrig_send(clients[i], slice_of("\xc0\0", 2));
    for (int i = 0; i < many; i++) proxyrig_expect(&r, upstreams[i], slice_of("\xc0\0", 2));
    for (int i = 0; i < many; i++) proxyrig_send(upstreams[i], slice_of("\xd0\0", 2));
    for (int i = 0; i < many; i++) proxyrig_expect(&r, clients[i], slice_of("\xd0\0", 2));
    if (rule) assert_int_equal(scope_seen(rule), many);
  }
  assert_int_equal(proxy_counts(r.proxy).packets_up, 3 * many);
  for (int i = 0; i < many; i++) {
    close(clients[i]);
    close(upstreams[i]);
  }
  TURN_UNTIL(&r, r.ended == (size_t)many);
  assert_null(proxy_newest(r.proxy));
  proxyrig_close(&r);
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void limit_of_connections_holds_back_and_goes_on(void **state) {
  struct proxyrig r;
  int client[4];
  struct err err;
  (void)state;
  proxyrig_open_with(&r, &(struct proxy_options){ .accepting = { .accept_max = 2 } });
  for (int i = 0; i < 4; i++) client[i] = proxyrig_client(&r);
  TURN_UNTIL(&r, r.opened == 2);
  for (int i = 0; i < 20; i++) assert_true(net_turn(r.net, net_now(r.net) + PROXYRIG_LOOK_NS, &err));
  assert_int_equal(r.accepted, 2);
  proxyrig_reset(client[0]);
  TURN_UNTIL(&r, r.opened == 3);
  proxyrig_reset(client[1]);
  TURN_UNTIL(&r, r.opened == 4);
  close(client[2]);
  close(client[3]);
  proxyrig_close(&r);
}

/* Each connection takes two: where the second cannot be had, that client is refused; nobody else notices. */
static void shortage_of_descriptors_is_told_and_passes(void **state) {
  struct proxyrig r;
  int client[40], first, first_upstream;
  struct rlimit limit, less;
  (void)state;
  proxyrig_open(&r);
  proxyrig_pair(&r, &first, &first_upstream);
  for (int i = 0; i < 40; i++) client[i] = proxyrig_client(&r);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  less = (struct rlimit){ (rlim_t)client[39] + 8, limit.rlim_max };
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
  TURN_UNTIL(&r, r.troubles || r.ended);
  proxyrig_send_text(first, "still here");
  proxyrig_expect_text(&r, first_upstream, "still here");
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  TURN_UNTIL(&r, r.accepted == 41 && r.opened + r.ended >= 41);
  for (int i = 0; i < 40; i++) close(client[i]);
  close(first);
  close(first_upstream);
  proxyrig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_cannot_be_is_told),
    cmocka_unit_test(upstream_is_not_the_proxy_itself),
    cmocka_unit_test(name_that_is_not_found_refuses_each_connection),
    cmocka_unit_test(connections_are_numbered),
    cmocka_unit_test(rules_come_and_go),
    cmocka_unit_test(what_is_no_mqtt_is_let_through),
    cmocka_unit_test(blindness_is_told_when_it_matters),
    cmocka_unit_test(upstream_that_wants_tls_is_named),
    cmocka_unit_test(rules_on_getting_in),
    cmocka_unit_test(dead_upstream_is_silence),
    cmocka_unit_test(disabled_is_refused_and_enabled_goes_on),
    cmocka_unit_test(handlers_may_free_the_proxy),
    cmocka_unit_test(handler_may_reset_what_was_accepted),
    cmocka_unit_test(thousands_of_connections),
    cmocka_unit_test(limit_of_connections_holds_back_and_goes_on),
    cmocka_unit_test(shortage_of_descriptors_is_told_and_passes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
