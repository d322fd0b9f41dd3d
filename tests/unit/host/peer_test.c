#include "hostrig.h"

static const uint8_t connect_x[] = "\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01x";
#define CONNECT_X slice_of(connect_x, 15)

/* A connection without a session. */
struct raw {
  struct rawclient *client;
  bool opened, ended;
  enum stream_end end;
};

static void raw_opened(void *arg) {
  ((struct raw *)arg)->opened = true;
}

static void raw_ended(void *arg, enum stream_end end, const char *why) {
  struct raw *raw = arg;
  (void)why;
  raw->ended = true;
  raw->end = end;
}

static void raw_open(struct hostrig *r, struct raw *raw) {
  static const struct rawclient_handler handler = { .opened = raw_opened, .ended = raw_ended };
  struct err err;
  *raw = (struct raw){ 0 };
  raw->client = rawclient_new(r->net, r->timeline, "raw", peer_url(r->peer), NULL, 5000000000, &handler, raw, &err);
  if (!raw->client) fail_msg("%s", err.text);
}

/* Stops and starts at the same address; connections end, numbers go on, sessions stay until they are forgotten. */
static void test_stop_start(void **state) {
  (void)state;
  struct hostrig r;
  struct err err;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  uint16_t port = peer_url(r.peer)->port;
  assert_int_not_equal(port, 0);
  hostrig_start(&r, &r.a, "a", false);
  hostrig_connect(&r, &r.b, "b");
  TURN_UNTIL(r.net, client_state(r.a.client) == SESSION_CONNECTED);
  peer_stop(r.peer, false);
  assert_int_equal(r.ended, 2); /* at once */
  assert_null(peer_newest(r.peer));
  assert_null(peer_conn(r.peer, 1));
  assert_int_equal(broker_stats(peer_broker(r.peer)).connections, 0);
  assert_int_equal(broker_stats(peer_broker(r.peer)).sessions, 1);
  TURN_UNTIL(r.net, strstr(r.a.log, "lost -1") && strstr(r.b.log, "lost -1"));
  assert_int_equal(hostrig_count(&r, TIMELINE_END, "closed by the other end"), 2);
  peer_stop(r.peer, false);
  assert_true(peer_start(r.peer, &err));
  assert_true(peer_start(r.peer, &err));
  assert_int_equal(peer_url(r.peer)->port, port);
  hostrig_connect(&r, &r.a, "a");
  assert_int_equal(peer_count(r.peer), 3);
  assert_int_equal(peer_conn_number(peer_newest(r.peer)), 3);
  assert_ptr_equal(peer_conn(r.peer, 3), peer_newest(r.peer));
  assert_null(peer_conn(r.peer, 4));
  hostrig_close(&r);
}

/* One that is stopped says a last word on each connection, one that is killed does not. */
static void test_kill(void **state) {
  (void)state;
  for (int kill = 0; kill < 2; kill++) {
    struct hostrig r;
    hostrig_open(&r, "ws://127.0.0.1:0/mqtt", NULL);
    hostrig_connect(&r, &r.a, "a");
    if (kill) peer_kill(r.peer);
    else peer_stop(r.peer, false);
    assert_null(peer_newest(r.peer));
    TURN_UNTIL(r.net, strstr(r.a.log, "lost -1"));
    assert_int_equal(hostrig_count(&r, TIMELINE_END, "without a WebSocket Close"), kill);
    assert_int_equal(hostrig_count(&r, TIMELINE_END, "WebSocket Close 1000"), !kill);
    assert_int_equal(hostrig_count(&r, TIMELINE_END, "the peer was killed"), kill);
    hostrig_close(&r);
  }
}

/* What was written before a stop arrives; then the reset does. */
static void test_stop_with_reset(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  TURN_UNTIL(r.net, peer_newest(r.peer) && raw.opened);
  assert_true(peer_conn_send(peer_newest(r.peer), slice_text("bytes of a script")));
  peer_stop(r.peer, true);
  peer_stop(r.peer, true);
  assert_true(peer_start(r.peer, NULL));
  TURN_UNTIL(r.net, raw.ended);
  assert_int_equal(raw.end, STREAM_RESET);
  assert_true(slice_equal(rawclient_input(raw.client), slice_text("bytes of a script")));
  rawclient_free(raw.client);
  hostrig_close(&r);
}

/* Like a stopped process: connects and bytes are taken, nothing comes back until it goes on. */
static void test_pause(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  peer_pause(r.peer, true);
  hostrig_publish(&r.a, "t", 1, 1);
  raw_open(&r, &raw);
  assert_true(rawclient_send(raw.client, CONNECT_X));
  TURN_UNTIL(r.net, raw.opened && hostrig_saw(&r, rawclient_who(raw.client), TIMELINE_UP, SPEC_CONNECT));
  int64_t until_ns = net_now(r.net) + 20000000;
  while (net_now(r.net) < until_ns) assert_true(net_turn(r.net, until_ns, NULL));
  assert_int_equal(r.accepted, 1);
  assert_int_equal(r.a.results, 0);
  peer_pause(r.peer, false);
  TURN_UNTIL(r.net, r.a.results == 1 && rawclient_input(raw.client).size == 4);
  assert_string_equal(r.a.log, "connected 0|result 1 0|");
  rawclient_free(raw.client);
  peer_pause(r.peer, true);
  peer_stop(r.peer, false); /* a stopped one can be stopped for good */
  TURN_UNTIL(r.net, strstr(r.a.log, "lost"));
  hostrig_close(&r);
}

/* A connection that was stalled before a pause is so after it; and stopping ends it all the same. */
static void test_pause_and_stall(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  struct chain *chain = peer_conn_chain(peer_newest(r.peer));
  chain_stall(chain, CHAIN_STALL_NOW, true);
  peer_pause(r.peer, true);
  peer_pause(r.peer, false);
  hostrig_publish(&r.a, "t", 1, 1);
  int64_t until_ns = net_now(r.net) + 20000000;
  while (net_now(r.net) < until_ns) assert_true(net_turn(r.net, until_ns, NULL));
  assert_int_equal(r.a.results, 0);
  peer_pause(r.peer, true);
  chain_stall(chain, CHAIN_STALL_NOW, false);
  until_ns = net_now(r.net) + 20000000;
  while (net_now(r.net) < until_ns) assert_true(net_turn(r.net, until_ns, NULL));
  assert_int_equal(r.a.results, 0);
  peer_pause(r.peer, false);
  TURN_UNTIL(r.net, r.a.results == 1);
  chain_stall(chain, CHAIN_STALL_NOW, true);
  peer_stop(r.peer, false);
  TURN_UNTIL(r.net, strstr(r.a.log, "lost -1"));
  hostrig_close(&r);
}

/* The broker's wish to close is done behind its output, and the reason is told. */
static void test_broker_closes(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  rawclient_send(raw.client, CONNECT_X);
  rawclient_send(raw.client, CONNECT_X);
  TURN_UNTIL(r.net, raw.ended && r.ended == 1);
  assert_non_null(strstr(r.why, "MQTT-3.1.0-2"));
  assert_int_equal(hostrig_count(&r, TIMELINE_END, "MQTT-3.1.0-2"), 1);
  rawclient_free(raw.client);
  /* A second client of the same identifier takes over. */
  hostrig_connect(&r, &r.a, "same");
  hostrig_connect(&r, &r.b, "same");
  TURN_UNTIL(r.net, strstr(r.a.log, "lost -1"));
  assert_int_equal(client_state(r.b.client), SESSION_CONNECTED);
  assert_true(slice_equal(peer_conn_client_id(peer_newest(r.peer)), slice_text("same")));
  hostrig_close(&r);
}

/* Bytes in any pieces, and a half-close of the client with more to come from the broker. */
static void test_pieces_and_fin(void **state) {
  (void)state;
  struct hostrig r;
  struct raw raw;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  raw_open(&r, &raw);
  TURN_UNTIL(r.net, raw.opened && peer_newest(r.peer));
  struct peer_conn *c = peer_newest(r.peer);
  for (size_t i = 0; i < CONNECT_X.size; i++) {
    assert_true(slice_equal(peer_conn_partial_in(c), slice_first(CONNECT_X, i)));
    rawclient_send(raw.client, slice_first(slice_from(CONNECT_X, i), 1));
    TURN_UNTIL(r.net, peer_conn_partial_in(c).size == i + 1 || rawclient_input(raw.client).size);
  }
  TURN_UNTIL(r.net, rawclient_input(raw.client).size == 4);
  rawclient_send(raw.client, slice_of("\x32\x06\0\x01t\0\x07!", 8));
  rawclient_send(raw.client, slice_of("\xc0\0", 2));
  chain_flush(rawclient_chain(raw.client));
  chain_fin(rawclient_chain(raw.client), CHAIN_OUT);
  TURN_UNTIL(r.net, raw.ended && r.ended == 1);
  assert_true(slice_equal(slice_from(rawclient_input(raw.client), 4), slice_of("\x40\2\0\7\xd0\0", 6)));
  assert_string_equal(r.why, "closed by the other end");
  rawclient_free(raw.client);
  hostrig_close(&r);
}

/* A script. */

enum { ACT_NONE, ACT_FREE, ACT_STOP, ACT_RESET_STOP, ACT_RST, ACT_SEND, ACTS };

struct script {
  struct hostrig *rig;
  struct peer *peer;
  unsigned at; /* 0: accepted, a packet type, SPEC_TYPES: ended */
  int act;
  enum peer_verdict verdict;
  size_t done, ended;
};

static void script_act(struct script *s, struct peer_conn *c, unsigned at) {
  if (s->at != at || !s->peer || (s->act != ACT_SEND && s->done)) return;
  s->done++;
  if (s->act == ACT_STOP || s->act == ACT_RESET_STOP) peer_stop(s->peer, s->act == ACT_RESET_STOP);
  if (s->act == ACT_RST) chain_reset(peer_conn_chain(c));
  if (s->act == ACT_SEND) peer_conn_send(c, slice_of("\xd0\0", 2));
  if (s->act == ACT_FREE) {
    peer_free(s->peer);
    s->peer = NULL;
  }
}

static void script_accepted(void *arg, struct peer_conn *c) {
  script_act(arg, c, 0);
}

static enum peer_verdict script_packet(void *arg, struct peer_conn *c, const struct packet *p) {
  struct script *s = arg;
  assert_true(p->raw.size >= 2);
  script_act(s, c, p->type);
  return p->type == s->at ? s->verdict : PEER_DEFAULT;
}

static void script_ended(void *arg, struct peer_conn *c, const char *why) {
  struct script *s = arg;
  assert_non_null(why);
  s->ended++;
  script_act(s, c, SPEC_TYPES);
}

static void script_open(struct script *s, struct hostrig *r) {
  static const struct peer_handler handler = { .accepted = script_accepted,
                                               .packet = script_packet,
                                               .ended = script_ended };
  struct err err;
  struct url u;
  hostrig_open(r, "tcp://127.0.0.1:0", NULL);
  assert_true(url_parse("tcp://127.0.0.1:0", &u, &err));
  peer_free(r->peer);
  r->peer = s->peer = peer_new(r->net, r->timeline, "script", &u, NULL, NULL, NULL, &handler, s, &err);
  assert_non_null(s->peer);
}

static void run_script(unsigned at, int act, enum peer_verdict verdict) {
  struct hostrig r;
  struct script s = { .rig = &r, .at = at, .act = act, .verdict = verdict };
  struct raw raw[2];
  script_open(&s, &r);
  for (int i = 0; i < 2; i++) raw_open(&r, &raw[i]);
  uint8_t second[15];
  memcpy(second, connect_x, sizeof second);
  second[14] = 'y';
  rawclient_send(raw[0].client, CONNECT_X);
  rawclient_send(raw[1].client, slice_of(second, sizeof second));
  for (int i = 0; i < 2; i++) rawclient_send(raw[i].client, slice_of("\xc0\0\xc0\0\xe0\0", 6));
  TURN_UNTIL(r.net, raw[0].ended && raw[1].ended);
  if (s.peer) TURN_UNTIL(r.net, s.ended == peer_count(s.peer));
  assert_true(s.done || act == ACT_NONE);
  for (int i = 0; i < 2; i++) rawclient_free(raw[i].client);
  r.peer = s.peer;
  hostrig_close(&r);
}

/* Whatever a script does inside whichever handler, both clients see an end, and nothing breaks. */
static void test_anything_inside_handlers(void **state) {
  (void)state;
  static const unsigned places[] = { 0, SPEC_CONNECT, SPEC_PINGREQ, SPEC_DISCONNECT, SPEC_TYPES };
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    for (int act = ACT_FREE; act < ACTS; act++) {
      if (places[i] == SPEC_TYPES && act == ACT_SEND) continue;
      run_script(places[i], act, PEER_DEFAULT);
      if (places[i] == SPEC_CONNECT || places[i] == SPEC_PINGREQ) run_script(places[i], act, PEER_HANDLED);
    }
  }
}

/* The script answers a PINGREQ in the broker's place, packet by packet. */
static void test_handled(void **state) {
  (void)state;
  struct hostrig r;
  struct script s = { .rig = &r, .at = SPEC_PINGREQ, .act = ACT_SEND, .verdict = PEER_HANDLED };
  struct raw raw;
  script_open(&s, &r);
  raw_open(&r, &raw);
  rawclient_send(raw.client, CONNECT_X);
  rawclient_send(raw.client, slice_of("\xc0\0\xc0\0\xc0\0", 6));
  TURN_UNTIL(r.net, rawclient_input(raw.client).size >= 10);
  assert_true(slice_equal(rawclient_input(raw.client), slice_of("\x20\2\0\0\xd0\0\xd0\0\xd0\0", 10)));
  assert_int_equal(s.done, 3);
  rawclient_free(raw.client);
  TURN_UNTIL(r.net, s.ended == 1);
  hostrig_close(&r);
}

/* A packet over the limit is the broker's alone, and is not lost. */
static void test_large_packet(void **state) {
  (void)state;
  struct hostrig r;
  struct err err;
  size_t size = PEER_PACKET_MAX + 10000;
  uint8_t *payload = mem_zero(size);
  hostrig_open(&r, "tcp://127.0.0.1:0", &(struct session_options){ .message_max = 4 << 20 });
  struct packet_subscription topics[] = { { slice_text("t"), 0, 0 } };
  struct session_connect o = { .client_id = slice_text("a"), .clean = true, .timeout_ns = 5000000000 };
  o.version = SPEC_3_1_1;
  assert_true(client_connect(r.a.client, peer_url(r.peer), NULL, &o, &err));
  TURN_UNTIL(r.net, r.a.used);
  client_subscribe(r.a.client, topics, 1, 1);
  struct session_publish p = { .topic = slice_text("t"), .payload = slice_of(payload, size), .qos = 1, .user = 7 };
  assert_int_equal(client_publish(r.a.client, &p, NULL), SESSION_ACCEPTED);
  TURN_UNTIL(r.net, strstr(r.a.log, "result 7 0") && strstr(r.a.log, "message t"));
  free(payload);
  hostrig_close(&r);
}

/* A client that is cut off has its will published to the others. */
static void test_will(void **state) {
  (void)state;
  struct hostrig r;
  struct err err;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.b, "b");
  struct packet_subscription topics[] = { { slice_text("w"), 1, 1 } };
  client_subscribe(r.b.client, topics, 1, 1);
  TURN_UNTIL(r.net, strstr(r.b.log, "subscribed"));
  struct session_connect o = {
    .client_id = slice_text("a"), .clean = true, .timeout_ns = 5000000000, .version = SPEC_3_1_1, .has_will = true
  };
  o.will = (struct packet_will){ .topic = slice_text("w"), .payload = slice_text("gone"), .qos = 1 };
  assert_true(client_connect(r.a.client, peer_url(r.peer), NULL, &o, &err));
  TURN_UNTIL(r.net, r.a.used);
  chain_reset(client_chain(r.a.client));
  TURN_UNTIL(r.net, strstr(r.b.log, "message w gone|"));
  hostrig_close(&r);
}

static void test_kick(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  struct packet_subscription topics[] = { { slice_text("t"), 0, 0 } };
  client_subscribe(r.a.client, topics, 1, 1);
  TURN_UNTIL(r.net, strstr(r.a.log, "subscribed"));
  struct packet p = { .type = SPEC_PUBLISH, .topic = slice_text("t"), .payload = slice_text("kicked") };
  broker_publish(peer_broker(r.peer), &p, net_now(r.net));
  peer_kick(r.peer);
  TURN_UNTIL(r.net, strstr(r.a.log, "message t kicked|"));
  hostrig_close(&r);
}

static void test_port_in_use(void **state) {
  (void)state;
  struct hostrig r;
  struct err err = { "" };
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  assert_null(peer_new(r.net, NULL, "second", peer_url(r.peer), NULL, NULL, NULL, NULL, NULL, &err));
  assert_string_not_equal(err.text, "");
  hostrig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_stop_start),
    cmocka_unit_test(test_kill),
    cmocka_unit_test(test_stop_with_reset),
    cmocka_unit_test(test_pause),
    cmocka_unit_test(test_pause_and_stall),
    cmocka_unit_test(test_broker_closes),
    cmocka_unit_test(test_pieces_and_fin),
    cmocka_unit_test(test_anything_inside_handlers),
    cmocka_unit_test(test_handled),
    cmocka_unit_test(test_large_packet),
    cmocka_unit_test(test_will),
    cmocka_unit_test(test_kick),
    cmocka_unit_test(test_port_in_use),
  };
  return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
