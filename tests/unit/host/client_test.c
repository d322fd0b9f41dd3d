#include "hostrig.h"

#define A(r) client_who((r)->a.client)

static void test_publish_each_qos(void **state) {
  (void)state;
  static const unsigned packets[] = { SPEC_CONNECT, SPEC_CONNACK, SPEC_PUBLISH, SPEC_PUBLISH, SPEC_PUBLISH,
                                      SPEC_PUBACK,  SPEC_PUBREC,  SPEC_PUBREL,  SPEC_PUBCOMP };
  struct hostrig r;
  struct timeline_entry e;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  assert_int_equal(hostrig_publish(&r.a, "t", 0, 1), 0);
  assert_int_equal(hostrig_publish(&r.a, "t", 1, 2), 1);
  assert_int_equal(hostrig_publish(&r.a, "t", 2, 3), 2);
  assert_string_equal(r.a.log, "connected 0|"); /* never before the call has returned */
  TURN_UNTIL(r.net, r.a.results == 3);
  assert_string_equal(r.a.log, "connected 0|result 1 0|result 2 0|result 3 0|");
  uint64_t n = 0;
  for (size_t i = 0; i < sizeof packets / sizeof *packets;) {
    assert_true(timeline_get(r.timeline, ++n, &e));
    if (e.who != A(&r) || e.kind > TIMELINE_DOWN) continue;
    assert_int_equal(e.bytes.data[0] >> 4, packets[i++]);
  }
  assert_int_equal(hostrig_count(&r, TIMELINE_OPEN, " to 127.0.0.1:"), 2); /* at both ends */
  hostrig_close(&r);
}

static void test_subscribe(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  hostrig_connect(&r, &r.b, "b");
  struct packet_subscription topics[] = { { slice_text("x/+"), 2, 2 } };
  struct slice filter = slice_text("x/+");
  assert_int_equal(client_subscribe(r.b.client, topics, 1, 9), 0);
  TURN_UNTIL(r.net, strstr(r.b.log, "subscribed 0|"));
  for (uint8_t qos = 0; qos < 3; qos++) hostrig_publish(&r.a, "x/y", qos, qos);
  TURN_UNTIL(r.net, strstr(r.b.log, "message x/y hello|message x/y hello|message x/y hello|"));
  assert_int_equal(client_unsubscribe(r.b.client, &filter, 1, 9), 0);
  TURN_UNTIL(r.net, strstr(r.b.log, "unsubscribed 0|"));
  hostrig_close(&r);
}

static void publish_into_silence(struct hostrig *r) {
  hostrig_open(r, "tcp://127.0.0.1:0", NULL);
  r->swallow = 1u << SPEC_PUBLISH;
  hostrig_connect(r, &r->a, "a");
  hostrig_publish(&r->a, "t", 1, 1);
  hostrig_publish(&r->a, "t", 2, 2);
  TURN_UNTIL(r->net, r->peer && hostrig_count(r, TIMELINE_UP, "hello") == 4); /* sent, and come: two each */
}

static void test_disconnect(void **state) {
  (void)state;
  struct hostrig r;
  publish_into_silence(&r);
  assert_true(client_disconnect(r.a.client));
  assert_int_equal(client_state(r.a.client), SESSION_DISCONNECTING);
  TURN_UNTIL(r.net, client_state(r.a.client) == SESSION_IDLE);
  assert_string_equal(r.a.log, "connected 0|result 1 -11|result 2 -11|disconnected|");
  TURN_UNTIL(r.net, r.ended == 1);
  assert_true(hostrig_saw(&r, A(&r), TIMELINE_UP, SPEC_DISCONNECT));
  assert_false(client_disconnect(r.a.client));
  hostrig_connect(&r, &r.a, "a");
  hostrig_close(&r);
}

static void test_reset_by_peer(void **state) {
  (void)state;
  struct hostrig r;
  publish_into_silence(&r);
  chain_reset(peer_conn_chain(peer_newest(r.peer)));
  TURN_UNTIL(r.net, client_state(r.a.client) == SESSION_IDLE);
  assert_string_equal(r.a.log, "connected 0|result 1 -11|result 2 -11|lost -1|");
  assert_true(hostrig_count(&r, TIMELINE_END, "reset by the other end") >= 1);
  hostrig_close(&r);
}

static void test_fin_by_peer(void **state) {
  (void)state;
  struct hostrig r;
  publish_into_silence(&r);
  chain_fin(peer_conn_chain(peer_newest(r.peer)), CHAIN_OUT);
  TURN_UNTIL(r.net, client_state(r.a.client) == SESSION_IDLE);
  assert_string_equal(r.a.log, "connected 0|result 1 -11|result 2 -11|lost -1|");
  assert_int_equal(hostrig_count(&r, TIMELINE_END, "closed by the other end"), 1);
  TURN_UNTIL(r.net, r.ended == 1);
  hostrig_close(&r);
}

/* Nothing of a message has gone: it was never sent, whatever ends the connection. */
static void test_stalled_then_closed(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  chain_stall(client_chain(r.a.client), CHAIN_STALL_NOW, true);
  hostrig_publish(&r.a, "t", 1, 1);
  assert_true(net_turn(r.net, net_now(r.net), NULL));
  client_close(r.a.client);
  assert_string_equal(r.a.log, "connected 0|result 1 -3|"); /* inside the call */
  assert_int_equal(client_state(r.a.client), SESSION_IDLE);
  assert_null(client_chain(r.a.client));
  client_close(r.a.client);
  hostrig_connect(&r, &r.a, "a");
  hostrig_close(&r);
}

static void test_refused(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  peer_stop(r.peer, false);
  hostrig_start(&r, &r.a, "a", true);
  TURN_UNTIL(r.net, r.a.used);
  assert_string_equal(r.a.log, "connected -1|");
  assert_int_equal(client_state(r.a.client), SESSION_IDLE);
  assert_int_equal(hostrig_count(&r, TIMELINE_END, "refused"), 1);
  hostrig_close(&r);
}

static void test_connect_timeout(void **state) {
  (void)state;
  struct hostrig r;
  struct err err;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  r.swallow = 1u << SPEC_CONNECT;
  struct session_connect o = { .client_id = slice_text("a"), .timeout_ns = 50000000, .version = SPEC_3_1_1 };
  o.clean = true;
  assert_true(client_connect(r.a.client, peer_url(r.peer), NULL, &o, &err));
  TURN_UNTIL(r.net, r.a.used);
  assert_string_equal(r.a.log, "connected -1|");
  hostrig_close(&r);
}

static struct client_gate silent_gate(void *arg) {
  ++*(int *)arg;
  return (struct client_gate){ .silent = true };
}

/* A connect that nobody answers: nothing is dialled, and the timeout ends it. */
static void test_connect_in_silence(void **state) {
  (void)state;
  struct hostrig r;
  struct err err;
  int asked = 0;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  client_on_dial(r.a.client, silent_gate, &asked);
  struct session_connect o = { .client_id = slice_text("a"), .timeout_ns = 50000000, .version = SPEC_3_1_1 };
  int64_t begin_ns = net_now(r.net);
  assert_true(client_connect(r.a.client, peer_url(r.peer), NULL, &o, &err));
  TURN_UNTIL(r.net, r.a.used);
  assert_true(net_now(r.net) >= begin_ns + o.timeout_ns);
  assert_string_equal(r.a.log, "connected -1|");
  assert_int_equal(r.accepted, 0);
  assert_int_equal(asked, 1);
  assert_true(client_connect(r.a.client, peer_url(r.peer), NULL, &o, &err));
  client_close(r.a.client);
  hostrig_close(&r);
}

/* A burst on a healthy link is never refused, however small the buffer; on a link that takes nothing it is. */
static void test_buffered_max(void **state) {
  (void)state;
  struct hostrig r;
  struct session_options options = { .buffered_max = 10 };
  hostrig_open(&r, "tcp://127.0.0.1:0", &options);
  hostrig_connect(&r, &r.a, "a");
  for (int i = 0; i < 500; i++) hostrig_publish(&r.a, "t", 1, 1);
  TURN_UNTIL(r.net, r.a.results == 500);
  assert_null(strstr(r.a.log, "-"));
  chain_stall(client_chain(r.a.client), CHAIN_STALL_NOW, true);
  for (int i = 0; i < 10; i++) assert_int_not_equal(hostrig_publish(&r.a, "t", 1, 2), 0);
  assert_int_equal(hostrig_publish(&r.a, "t", 1, 3), 0);
  assert_int_equal(r.a.results, 500);
  r.a.used = 0;
  TURN_UNTIL(r.net, r.a.results == 501);
  assert_string_equal(r.a.log, "result 3 -12|");
  chain_stall(client_chain(r.a.client), CHAIN_STALL_NOW, false);
  TURN_UNTIL(r.net, r.a.results == 511);
  hostrig_close(&r);
}

/* All identifiers in flight; one acknowledgement makes one more send possible, at once. */
static void test_ids(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  r.swallow = 1u << SPEC_PUBLISH;
  hostrig_connect(&r, &r.a, "a");
  for (int i = 1; i <= SPEC_PACKET_ID_MAX; i++) assert_int_equal(hostrig_publish(&r.a, "t", 1, 1), i);
  r.a.used = 0;
  assert_int_equal(hostrig_publish(&r.a, "t", 1, 2), 0);
  TURN_UNTIL(r.net, r.a.results == 1);
  assert_string_equal(r.a.log, "result 2 -10|");
  TURN_UNTIL(r.net, client_stats(r.a.client).inflight == SPEC_PACKET_ID_MAX);
  assert_true(peer_conn_send(peer_newest(r.peer), slice_of("\x40\x02\x01\x00", 4)));
  TURN_UNTIL(r.net, r.a.results == 2);
  assert_int_equal(hostrig_publish(&r.a, "t", 1, 3), 256);
  assert_int_equal(hostrig_publish(&r.a, "t", 1, 4), 0);
  r.a.used = 0;
  client_close(r.a.client);
  assert_int_equal(r.a.results, 2 + SPEC_PACKET_ID_MAX + 1);
  hostrig_close(&r);
}

/* Closing, freeing and connecting again, inside each kind of event. */

enum { HOOK_CLOSE, HOOK_FREE, HOOK_PEER_FREE, HOOKS };

struct hook {
  struct hostrig *rig;
  enum session_event_type at;
  int what;
  bool done;
};

static void hook_fire(struct hostrig_client *c, const struct session_event *e) {
  struct hook *h = c->hook_arg;
  if (e->type != h->at || h->done) return;
  h->done = true;
  if (h->what == HOOK_CLOSE) client_close(c->client);
  if (h->what == HOOK_PEER_FREE) {
    peer_free(h->rig->peer);
    h->rig->peer = NULL;
  }
  if (h->what == HOOK_FREE) {
    client_free(c->client);
    c->client = NULL;
  }
}

static void run_hook(enum session_event_type at, int what) {
  struct hostrig r;
  struct hook h = { .rig = &r, .at = at, .what = what };
  struct packet_subscription topics[] = { { slice_text("t"), 1, 1 } };
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  r.a.hook = hook_fire;
  r.a.hook_arg = &h;
  hostrig_start(&r, &r.a, "a", true);
  TURN_UNTIL(r.net, h.done || client_state(r.a.client) == SESSION_CONNECTED);
  if (!h.done) {
    client_subscribe(r.a.client, topics, 1, 5);
    TURN_UNTIL(r.net, h.done || strstr(r.a.log, "subscribed"));
  }
  if (!h.done) {
    for (uint8_t i = 0; i < 20; i++) hostrig_publish(&r.a, "t", i % 3, i);
    TURN_UNTIL(r.net, h.done || (r.a.results == 20 && strstr(r.a.log, "message")));
  }
  if (!h.done && at == SESSION_EVENT_UNSUBSCRIBED) client_unsubscribe(r.a.client, &topics[0].filter, 1, 5);
  if (!h.done && at == SESSION_EVENT_LOST) peer_stop(r.peer, true);
  if (!h.done && at == SESSION_EVENT_DISCONNECTED) client_disconnect(r.a.client);
  TURN_UNTIL(r.net, h.done);
  assert_true(net_turn(r.net, net_now(r.net), NULL));
  if (r.a.client && what == HOOK_CLOSE) assert_int_equal(client_state(r.a.client), SESSION_IDLE);
  hostrig_close(&r);
}

static void test_end_inside_events(void **state) {
  (void)state;
  for (int what = 0; what < HOOKS; what++) {
    for (int at = SESSION_EVENT_CONNECTED; at <= SESSION_EVENT_MESSAGE; at++) {
      run_hook((enum session_event_type)at, what);
    }
  }
}

static void connect_again(struct hostrig_client *c, const struct session_event *e) {
  struct hostrig *r = c->hook_arg;
  if (e->type == SESSION_EVENT_LOST || e->type == SESSION_EVENT_DISCONNECTED) hostrig_start(r, c, "a", true);
}

static void test_connect_inside_events(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  r.a.hook = connect_again;
  r.a.hook_arg = &r;
  hostrig_connect(&r, &r.a, "a");
  chain_reset(peer_conn_chain(peer_newest(r.peer)));
  TURN_UNTIL(r.net, strstr(r.a.log, "lost -1|connected 0|"));
  client_disconnect(r.a.client);
  TURN_UNTIL(r.net, strstr(r.a.log, "disconnected|connected 0|"));
  assert_int_equal(r.accepted, 3);
  hostrig_close(&r);
}

/* Closes in the first result, and connects in the second: all of the old connection is told before the new one begins,
 * inside that call. */
static void close_and_connect(struct hostrig_client *c, const struct session_event *e) {
  struct hostrig *r = c->hook_arg;
  bool is_old = !strstr(c->log, "again");
  if (e->type == SESSION_EVENT_RESULT && e->user == 1) client_close(c->client);
  if (e->type == SESSION_EVENT_LOST) assert_int_equal(client_state(c->client), SESSION_IDLE);
  if (e->type != SESSION_EVENT_RESULT || e->user != 2 || !is_old) return;
  hostrig_start(r, c, "a", true);
  c->used += (size_t)snprintf(c->log + c->used, sizeof c->log - c->used, "again|");
}

static void test_connect_inside_close(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  r.swallow = 1u << SPEC_PUBLISH;
  hostrig_connect(&r, &r.a, "a");
  for (unsigned i = 1; i <= 3; i++) hostrig_publish(&r.a, "t", 1, i);
  TURN_UNTIL(r.net, hostrig_count(&r, TIMELINE_UP, "hello") == 6);
  r.a.hook = close_and_connect;
  r.a.hook_arg = &r;
  chain_reset(peer_conn_chain(peer_newest(r.peer)));
  TURN_UNTIL(r.net, strstr(r.a.log, "again|connected 0|"));
  assert_string_equal(r.a.log, "connected 0|result 1 -11|result 2 -11|result 3 -11|lost -1|again|connected 0|");
  hostrig_close(&r);
}

/* Who tries again when it fails: not while the client is being released. */
static void try_again(struct hostrig_client *c, const struct session_event *e) {
  struct hostrig *r = c->hook_arg;
  struct err err;
  struct session_connect o = { .client_id = slice_text("a"), .timeout_ns = 5000000000, .version = SPEC_3_1_1 };
  assert_int_equal(e->type, SESSION_EVENT_CONNECTED);
  assert_false(client_connect(c->client, peer_url(r->peer), NULL, &o, &err));
  assert_non_null(strstr(err.text, "being released"));
}

static void test_connect_inside_free(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  r.a.hook = try_again;
  r.a.hook_arg = &r;
  hostrig_start(&r, &r.a, "a", true);
  client_free(r.a.client);
  r.a.client = NULL;
  assert_string_equal(r.a.log, "connected -1|");
  hostrig_close(&r);
}

/* What an event borrows is there until its handler has returned, whatever that does. */
static void close_then_look(struct hostrig_client *c, const struct session_event *e) {
  uint8_t *expected = c->hook_arg;
  if (e->type != SESSION_EVENT_MESSAGE) return;
  client_close(c->client);
  assert_true(slice_equal(e->packet->payload, slice_of(expected, 200000)));
  c->hook_arg = NULL;
}

static void test_close_keeps_the_message(void **state) {
  (void)state;
  struct hostrig r;
  struct packet_subscription topics[] = { { slice_text("t"), 0, 0 } };
  uint8_t *payload = mem_zero(200000);
  memset(payload, 'x', 200000);
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  client_subscribe(r.a.client, topics, 1, 5);
  TURN_UNTIL(r.net, strstr(r.a.log, "subscribed"));
  r.a.hook = close_then_look;
  r.a.hook_arg = payload;
  r.a.used = 0;
  hostrig_connect(&r, &r.b, "b");
  struct session_publish p = { .topic = slice_text("t"), .payload = slice_of(payload, 200000) };
  assert_int_equal(client_publish(r.b.client, &p, NULL), SESSION_ACCEPTED);
  TURN_UNTIL(r.net, !r.a.hook_arg);
  hostrig_close(&r);
  free(payload);
}

/* The packet in progress, asked for inside an event, is what stands behind the packets that came with it. */
static void look_at_partial(struct hostrig_client *c, const struct session_event *e) {
  if (e->type != SESSION_EVENT_MESSAGE) return;
  assert_true(slice_equal(client_partial_in(c->client), slice_of("\x40\x02\x00", 3)));
  (*(int *)c->hook_arg)++;
}

static void test_partial_in(void **state) {
  (void)state;
  struct hostrig r;
  int messages = 0;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  r.a.hook = look_at_partial;
  r.a.hook_arg = &messages;
  peer_conn_send(peer_newest(r.peer), slice_of("\x30\x04\0\x01tx\x30\x04\0\x01ty\x40\x02\x00", 15));
  TURN_UNTIL(r.net, messages == 2);
  assert_true(slice_equal(client_partial_in(r.a.client), slice_of("\x40\x02\x00", 3)));
  hostrig_close(&r);
}

/* A persistent session goes on after a loss. */
static void test_resume(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_start(&r, &r.a, "a", false);
  TURN_UNTIL(r.net, r.a.used);
  r.swallow = 1u << SPEC_PUBLISH;
  hostrig_publish(&r.a, "t", 1, 1);
  TURN_UNTIL(r.net, hostrig_count(&r, TIMELINE_UP, "hello") == 2);
  peer_stop(r.peer, true);
  TURN_UNTIL(r.net, client_state(r.a.client) == SESSION_IDLE && strstr(r.a.log, "lost"));
  r.swallow = 0;
  assert_true(peer_start(r.peer, NULL));
  hostrig_start(&r, &r.a, "a", false);
  TURN_UNTIL(r.net, r.a.results == 1);
  assert_string_equal(r.a.log, "connected 0|lost -1|connected 0|result 1 0|");
  hostrig_close(&r);
}

static void test_unix(void **state) {
  (void)state;
  struct hostrig r;
  char directory[] = "/tmp/client_test.XXXXXX", url[80], path[64];
  assert_non_null(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/socket", directory);
  snprintf(url, sizeof url, "unix://%s", path);
  hostrig_open(&r, url, NULL);
  hostrig_connect(&r, &r.a, "a");
  hostrig_publish(&r.a, "t", 2, 1);
  TURN_UNTIL(r.net, r.a.results == 1);
  hostrig_close(&r);
  remove(path);
  assert_int_equal(remove(directory), 0);
}

/* Bytes as they are go out on the open connection, under whatever name the client has now. */
static void test_raw_and_name(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  assert_false(client_raw(r.a.client, slice_of("\xc0\0", 2)));
  hostrig_connect(&r, &r.a, "a");
  client_rename(r.a.client, "sensor");
  assert_string_equal(timeline_name(r.timeline, A(&r)), "sensor");
  assert_true(client_raw(r.a.client, slice_of("\xc0\0", 2)));
  TURN_UNTIL(r.net, hostrig_saw(&r, A(&r), TIMELINE_DOWN, SPEC_PINGRESP));
  assert_true(client_raw(r.a.client, slice_of("\x00\0", 2)));
  TURN_UNTIL(r.net, strstr(r.a.log, "lost -1"));
  hostrig_close(&r);
}

/* A filter that lets what goes out pass only at a certain time. */
struct late {
  struct filter base;
  struct buffer held[2];
  enum chain_end end[2];
  int64_t at_ns;
  bool due;
  void (*meddle)(void *arg); /* called inside take; may be NULL */
  void *arg;
};

static size_t late_take(struct filter *f, enum chain_direction d, struct slice bytes, int64_t now_ns) {
  (void)now_ns;
  struct late *l = (struct late *)f;
  bool fits = buffer_append(&l->held[d], bytes);
  if (l->meddle && d == CHAIN_OUT) l->meddle(l->arg);
  return fits ? bytes.size : 0;
}

static void late_end(struct filter *f, enum chain_direction d, enum chain_end end, int64_t now_ns) {
  (void)now_ns;
  ((struct late *)f)->end[d] = end;
}

static bool late_open(const struct late *l, enum chain_direction d) {
  return d == CHAIN_IN || l->due;
}

static struct slice late_give(struct filter *f, enum chain_direction d, int64_t now_ns) {
  struct late *l = (struct late *)f;
  (void)now_ns;
  return late_open(l, d) ? buffer_slice(&l->held[d]) : slice_of(NULL, 0);
}

static void late_gave(struct filter *f, enum chain_direction d, size_t n, int64_t now_ns) {
  (void)now_ns;
  buffer_consume(&((struct late *)f)->held[d], n);
}

static enum chain_end late_ends(struct filter *f, enum chain_direction d) {
  struct late *l = (struct late *)f;
  return late_open(l, d) && !buffer_size(&l->held[d]) ? l->end[d] : CHAIN_NONE;
}

static int64_t late_deadline(struct filter *f) {
  struct late *l = (struct late *)f;
  return l->due ? NET_NEVER : l->at_ns;
}

static void late_tick(struct filter *f, int64_t now_ns) {
  struct late *l = (struct late *)f;
  l->due = now_ns >= l->at_ns;
}

static void late_free(struct filter *f) {
  struct late *l = (struct late *)f;
  buffer_fini(&l->held[0]);
  buffer_fini(&l->held[1]);
  free(l);
}

static struct late *push_late(struct client *c, int64_t at_ns) {
  static const struct filter_ops ops = { "late",    late_take,     late_end,  late_give, late_gave,
                                         late_ends, late_deadline, late_tick, late_free };
  struct late *l = mem_zero(sizeof *l);
  l->base.ops = &ops;
  l->at_ns = at_ns;
  buffer_init(&l->held[0], 1 << 20);
  buffer_init(&l->held[1], 1 << 20);
  chain_push_inner(client_chain(c), &l->base);
  return l;
}

/* A filter holds DISCONNECT back: the client is not disconnected before it has gone, and then is. */
static void test_disconnect_held_back(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  int64_t at_ns = net_now(r.net) + 60000000;
  push_late(r.a.client, at_ns);
  client_disconnect(r.a.client);
  TURN_UNTIL(r.net, strstr(r.a.log, "disconnected|"));
  assert_true(net_now(r.net) >= at_ns);
  TURN_UNTIL(r.net, r.ended == 1);
  assert_int_equal(hostrig_count(&r, TIMELINE_UP, "\xe0"), 2); /* it came */
  hostrig_close(&r);
}

/* A filter that never lets go of it does not keep the client for ever. */
static void test_disconnect_kept_back(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  push_late(r.a.client, NET_NEVER);
  client_disconnect(r.a.client);
  TURN_UNTIL(r.net, strstr(r.a.log, "disconnected|"));
  hostrig_close(&r);
}

/* A filter that has more published while it takes: what it was given moves. */
static void publish_more(void *arg) {
  struct hostrig *r = arg;
  if (r->a.results || client_stats(r->a.client).buffered > 1) return;
  for (uint64_t i = 2; i <= 100; i++) hostrig_publish(&r->a, "t", 1, i);
}

static void test_publish_inside_a_filter(void **state) {
  (void)state;
  struct hostrig r;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  hostrig_connect(&r, &r.a, "a");
  struct late *l = push_late(r.a.client, net_now(r.net));
  l->meddle = publish_more;
  l->arg = &r;
  hostrig_publish(&r.a, "t", 1, 1);
  TURN_UNTIL(r.net, r.a.results == 100);
  assert_null(strstr(r.a.log, " -"));
  assert_int_equal(hostrig_count(&r, TIMELINE_UP, "hello"), 200);
  hostrig_close(&r);
}

static void test_many(void **state) {
  (void)state;
  enum { CLIENTS = 500 };
  struct hostrig r;
  char id[16];
  struct hostrig_client *all = mem_zero(CLIENTS * sizeof *all);
  size_t done = 0;
  hostrig_open(&r, "tcp://127.0.0.1:0", NULL);
  for (int i = 0; i < CLIENTS; i++) {
    snprintf(id, sizeof id, "c%d", i);
    all[i].client = client_new(r.net, r.timeline, id, &(struct session_options){ 0 }, hostrig_event, &all[i]);
    hostrig_start(&r, &all[i], id, true);
  }
  for (int i = 0; i < CLIENTS; i++) TURN_UNTIL(r.net, client_state(all[i].client) == SESSION_CONNECTED);
  for (int i = 0; i < CLIENTS; i++) hostrig_publish(&all[i], "t", 2, 1);
  for (int i = 0; i < CLIENTS; i++) {
    TURN_UNTIL(r.net, all[i].results == 1);
    done += strcmp(all[i].log, "connected 0|result 1 0|") == 0;
  }
  assert_int_equal(done, CLIENTS);
  assert_int_equal(broker_stats(peer_broker(r.peer)).connections, CLIENTS);
  for (int i = 0; i < CLIENTS; i++) client_free(all[i].client);
  TURN_UNTIL(r.net, r.ended == CLIENTS);
  free(all);
  hostrig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_publish_each_qos),
    cmocka_unit_test(test_subscribe),
    cmocka_unit_test(test_disconnect),
    cmocka_unit_test(test_reset_by_peer),
    cmocka_unit_test(test_fin_by_peer),
    cmocka_unit_test(test_stalled_then_closed),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_connect_timeout),
    cmocka_unit_test(test_connect_in_silence),
    cmocka_unit_test(test_buffered_max),
    cmocka_unit_test(test_ids),
    cmocka_unit_test(test_end_inside_events),
    cmocka_unit_test(test_connect_inside_events),
    cmocka_unit_test(test_connect_inside_close),
    cmocka_unit_test(test_connect_inside_free),
    cmocka_unit_test(test_close_keeps_the_message),
    cmocka_unit_test(test_raw_and_name),
    cmocka_unit_test(test_partial_in),
    cmocka_unit_test(test_resume),
    cmocka_unit_test(test_unix),
    cmocka_unit_test(test_disconnect_held_back),
    cmocka_unit_test(test_disconnect_kept_back),
    cmocka_unit_test(test_publish_inside_a_filter),
    cmocka_unit_test(test_many),
  };
  return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
