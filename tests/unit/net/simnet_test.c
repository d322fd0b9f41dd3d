#include "seat.h"

#include <stdio.h>

#include "base/rng.h"
#include "net/names.h"
#include "net/simnet.h"

#define S 1000000000ll

/* What only the virtual world has; what both drivers do is in seam_test.c. */

static int64_t latency_exactly(const void *arg, uint64_t bits) {
  (void)bits;
  return *(const int64_t *)arg;
}

static const int64_t ten_ms = 10 * MS;

static struct net *host(const char *name) {
  struct err err;
  struct net *h = simnet_host(world, name, &err);
  if (!h) fail_msg("%s", err.text);
  return h;
}

static void set_link(const char *from, const char *to, struct simnet_link link) {
  simnet_set_link(world, from ? host(from) : NULL, to ? host(to) : NULL, &link);
}

static void cut(const char *from, const char *to, bool is_cut) {
  struct simnet_link link = simnet_link(world, host(from), host(to));
  link.cut = is_cut;
  set_link(from, to, link);
}

/* All ways take exactly 10 ms. */
static void use_ten_ms(void) {
  set_link(NULL, NULL, (struct simnet_link){ .latency = latency_exactly, .latency_arg = &ten_ms });
}

/* Time and links. */

/* A link that was told nothing is as loopback: bytes, ends and connects are in the other kernel at once, its program
 * learns of them a little later. */
static void test_loopback(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  struct seat *other = &p->seats[0];
  int64_t begin_ns = net_now(world);
  assert_in_range(s.opened_ns, SIMNET_WAKE_NS, 2 * SIMNET_WAKE_NS);
  seat_send(&s, "unread");
  stream_flush(s.stream);
  assert_int_equal(stream_unsent(s.stream), 0);
  stream_close(other->stream);
  other->stream = NULL;
  seat_send(&s, "finds the reset");
  stream_flush(s.stream);
  assert_int_equal(net_now(world), begin_ns);
  assert_int_equal(s.ends, 0);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  assert_true(s.writing);
  assert_in_range(s.ended_ns - begin_ns, SIMNET_WAKE_NS, 2 * SIMNET_WAKE_NS);
  seat_fini(&s);
  porter_close(p);
}

/* A connect takes there and back, a byte one way; time is nowhere in between. */
static void test_latency(void **state) {
  (void)state;
  struct seat s;
  use_ten_ms();
  struct porter *p = porter_open_at(host("broker"), "tcp://127.0.0.1:0", NULL);
  assert_int_equal(net_now(world), 0);
  seat_connect_from(host("client"), &s, p->url, S);
  UNTIL(s.opened);
  assert_int_equal(s.opened_ns, 20 * MS);
  seat_send(&s, "x");
  UNTIL(p->count && seat_got(&p->seats[0]));
  assert_int_equal(p->seats[0].input_ns, 30 * MS);
  assert_int_equal(net_now(host("client")), 30 * MS);
  seat_fini(&s);
  porter_close(p);
}

/* A refusal takes there and back too; an address that nobody has is known at once. */
static void test_nobody_there(void **state) {
  (void)state;
  struct seat s;
  use_ten_ms();
  seat_connect_from(host("client"), &s, "tcp://127.0.0.1:7", S);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_REFUSED);
  assert_int_equal(s.ended_ns, 20 * MS);
  seat_fini(&s);
  seat_connect_from(host("client"), &s, "tcp://192.0.2.1:7", S);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_UNREACHABLE);
  assert_int_equal(s.ended_ns, 20 * MS);
  assert_string_equal(s.why.text, "connecting to 192.0.2.1:7: No route to host");
  seat_fini(&s);
}

/* The connections of a link share its rate. */
static void test_rate(void **state) {
  (void)state;
  static uint8_t bytes[50000];
  struct seat s[2];
  set_link("client", "broker", (struct simnet_link){ .latency = latency_exactly, .latency_arg = &ten_ms });
  struct porter *p = porter_open_at(host("broker"), "tcp://127.0.0.1:0", NULL);
  for (int i = 0; i < 2; i++) seat_connect_from(host("client"), &s[i], p->url, S);
  UNTIL(p->count == 2);
  struct simnet_link slow = simnet_link(world, host("client"), host("broker"));
  slow.bytes_per_s = 100000;
  set_link("client", "broker", slow);
  int64_t begin_ns = net_now(world);
  for (int i = 0; i < 2; i++) seat_write(&s[i], bytes, sizeof bytes);
  UNTIL(seat_got(&p->seats[0]) > 10000);
  assert_in_range(net_now(world) - begin_ns, 100 * MS, 900 * MS);
  UNTIL(seat_got(&p->seats[0]) == sizeof bytes && seat_got(&p->seats[1]) == sizeof bytes);
  assert_in_range(net_now(world) - begin_ns, 1010 * MS, 1011 * MS);
  for (int i = 0; i < 2; i++) seat_fini(&s[i]);
  porter_close(p);
}

/* Nothing passes a cut; when it is whole again, what was lost comes by the retry that is due next. The way back is
 * another. */
static void test_partition(void **state) {
  (void)state;
  struct seat s;
  use_ten_ms();
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  struct seat *other = &p->seats[0];
  turns_for(S);
  int64_t begin_ns = net_now(world);
  cut("client", "broker", true);
  seat_send(&s, "up");
  seat_send(other, "down");
  turns_for(S);
  assert_int_equal(seat_got(&s), 4);
  assert_int_equal(s.input_ns, begin_ns + 10 * MS);
  assert_int_equal(seat_got(other), 0);
  assert_int_equal(stream_unsent(s.stream), 2);
  assert_int_equal(stream_unsent(other->stream), 4); /* the acknowledgement does not pass either */
  cut("client", "broker", false);
  UNTIL(seat_got(other) == 2);
  /* Sent at 0, again at 0.2, 0.6, 1.4: that one passes. */
  assert_int_equal(other->input_ns, begin_ns + 1410 * MS);
  turns_for(S);
  assert_int_equal(stream_unsent(s.stream), 0);
  assert_int_equal(stream_unsent(other->stream), 0);
  seat_fini(&s);
  porter_close(p);
}

/* A connect through a cut asks again after 1 s, 3 s, ... */
static void test_connect_through_cut(void **state) {
  (void)state;
  struct seat s;
  use_ten_ms();
  struct porter *p = porter_open_at(host("broker"), "tcp://127.0.0.1:0", NULL);
  cut("client", "broker", true);
  seat_connect_from(host("client"), &s, p->url, 500 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_TIMEOUT);
  assert_int_equal(s.ended_ns, 500 * MS + SIMNET_LATE_NS);
  seat_fini(&s);
  seat_connect_from(host("client"), &s, p->url, 10 * S);
  turns_for(2 * S);
  cut("client", "broker", false);
  UNTIL(s.opened);
  assert_int_equal(s.opened_ns, 500 * MS + SIMNET_LATE_NS + 3 * S + 20 * MS);
  seat_fini(&s);
  porter_close(p);
}

/* Whoever gets no answer gives up, after 15 retries: through a cut, to somebody who has vanished, and where only the
 * acknowledgements are lost. Who has nothing to send notices nothing. */
static void test_give_up(void **state) {
  (void)state;
  for (int kind = 0; kind < 3; kind++) {
    struct seat s;
    struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
    struct seat *other = &p->seats[0];
    turns_for(S);
    int64_t begin_ns = net_now(world);
    if (kind == 0) cut("client", "broker", true);
    if (kind == 1) cut("broker", "client", true);
    if (kind == 2) {
      assert_true(stream_vanish(other->stream, NULL));
      other->stream = NULL;
    }
    turns_for(10000 * S);
    assert_int_equal(s.ends, 0);
    seat_send(&s, "anybody?");
    turns_for(1000 * S);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.end, STREAM_TIMEOUT);
    assert_in_range(s.ended_ns - begin_ns - 10000 * S, 924 * S, 925 * S);
    assert_int_equal(seat_got(other), kind == 1 ? 8 : 0);
    assert_int_equal(other->ends, 0);
    cut("client", "broker", false);
    cut("broker", "client", false);
    seat_fini(&s);
    porter_close(p);
  }
}

/* Whom a reset does not reach is reset when it writes. */
static void test_reset_is_lost(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  cut("broker", "client", true);
  stream_reset(p->seats[0].stream);
  p->seats[0].stream = NULL;
  turns_for(S);
  cut("broker", "client", false);
  turns_for(100 * S);
  assert_int_equal(s.ends, 0);
  seat_send(&s, "still there?");
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  seat_fini(&s);
  porter_close(p);
}

/* Loss is delay: all of it arrives, once, in order, and some of it late. */
static void test_loss(void **state) {
  (void)state;
  struct seat s;
  set_link(NULL, NULL, (struct simnet_link){ .loss = { 1, 4 } });
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  struct seat *other = &p->seats[0];
  uint8_t next = 0;
  int late = 0;
  for (int i = 0; i < 200; i++) {
    int64_t begin_ns = net_now(world);
    seat_write(&s, &next, 1);
    next++;
    UNTIL(seat_got(other) == next);
    late += other->input_ns - begin_ns > SIMNET_RETRY_NS / 2;
  }
  for (int i = 0; i < 200; i++) assert_int_equal(buffer_slice(&other->in).data[i], i);
  assert_in_range(late, 25, 75);
  assert_true(simnet_count(world).lost > 25);
  seat_fini(&s);
  porter_close(p);
}

/* What a link had lost goes by what it loses now, when it is sent again next; that its latency changes is no reason. */
static void test_loss_ends(void **state) {
  (void)state;
  struct seat s;
  use_ten_ms();
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  struct seat *other = &p->seats[0];
  turns_for(S);
  int64_t begin_ns = net_now(world);
  set_link(NULL, NULL, (struct simnet_link){ .loss = { 1, 1 }, .latency = latency_exactly, .latency_arg = &ten_ms });
  seat_send(&s, "one");
  stream_flush(s.stream);
  turns_for(S);
  seat_send(&s, "two");
  stream_flush(s.stream);
  turns_for(4 * S);
  set_link(NULL, NULL, (struct simnet_link){ .loss = { 1, 1 } });
  assert_int_equal(seat_got(other), 0);
  use_ten_ms();
  UNTIL(seat_got(other) == 6);
  /* Sent at 0, again at 0.2, 0.6, 1.4, 3, 6.2; the second, sent at 1 and last at 4, again at 7.2. */
  assert_in_range(other->input_ns - begin_ns, 7210 * MS, 7211 * MS);
  turns_for(S);
  assert_int_equal(stream_unsent(s.stream), 0);
  seat_fini(&s);
  porter_close(p);
}

/* Connects that are refused, or not answered, as often as the link was told. */
static void test_connect_outcomes(void **state) {
  (void)state;
  struct porter *p = porter_open_at(host("broker"), "tcp://127.0.0.1:0", NULL);
  int refused = 0, silent = 0, opened = 0;
  set_link("client", "broker", (struct simnet_link){ .refuse = { 1, 4 }, .no_answer = { 1, 4 } });
  for (int i = 0; i < 200; i++) {
    struct seat s;
    seat_connect_from(host("client"), &s, p->url, S);
    UNTIL(s.opened || s.ends);
    opened += s.opened;
    refused += s.ends && s.end == STREAM_REFUSED;
    silent += s.ends && s.end == STREAM_TIMEOUT;
    seat_fini(&s);
  }
  assert_int_equal(opened + refused + silent, 200);
  assert_in_range(silent, 30, 70);
  assert_in_range(refused, 20, 60);
  porter_close(p);
}

/* Buffers: what fits is the two of them, and not a byte more. */
static void test_buffers(void **state) {
  (void)state;
  static uint8_t bytes[100000];
  struct net_listen_options options = { .receive_buffer = 5000, .send_buffer = 7000 };
  struct porter *p = porter_open_at(world, "tcp://127.0.0.1:0", &options);
  struct seat s;
  seat_connect(&s, p->url, S);
  stream_set_buffers(s.stream, 12000, 6000);
  UNTIL(s.opened && p->count);
  stream_pause(s.stream, true);
  stream_pause(p->seats[0].stream, true);
  seat_write(&s, bytes, sizeof bytes);
  seat_write(&p->seats[0], bytes, sizeof bytes);
  turns_for(S);
  assert_int_equal(sizeof bytes - buffer_size(&s.out), 17000);
  assert_int_equal(sizeof bytes - buffer_size(&p->seats[0].out), 13000);
  assert_int_equal(stream_unsent(s.stream), 12000);
  stream_pause(s.stream, false);
  stream_pause(p->seats[0].stream, false);
  UNTIL(seat_got(&s) == sizeof bytes && seat_got(&p->seats[0]) == sizeof bytes);
  seat_fini(&s);
  porter_close(p);
}

/* Hosts. */

/* A host that stands still: its kernel takes connects and bytes, its programs do nothing. */
static void test_stop(void **state) {
  (void)state;
  struct seat s, late;
  struct net_timer timer;
  int rings = 0;
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  struct seat *other = &p->seats[0];
  net_timer_init(&timer, (void (*)(void *))abort, &rings);
  net_timer_set(host("broker"), &timer, net_now(host("broker")) + MS);
  simnet_stop(host("broker"), true);
  seat_send(&s, "hello?");
  seat_send(other, "never mind");
  seat_connect_from(host("client"), &late, p->url, S);
  turns_for(100 * S);
  assert_int_equal(buffer_size(&s.out), 0);
  assert_int_equal(stream_unsent(s.stream), 0);
  assert_int_equal(late.opened, 1);
  assert_int_equal(p->count, 1);
  assert_int_equal(seat_got(other) + seat_got(&s), 0);
  net_timer_clear(host("broker"), &timer);
  simnet_stop(host("broker"), false);
  UNTIL(p->count == 2 && seat_got(other) == 6 && seat_got(&s) == 10);
  seat_fini(&s);
  seat_fini(&late);
  porter_close(p);
}

struct alarm {
  struct net_timer timer;
  int64_t world_ns;
};

static void alarm_ring(void *arg) {
  struct alarm *a = arg;
  a->world_ns = net_now(world);
}

/* Timers go by the clock of their host: it runs faster, slower, it jumps forward and back. */
static void test_clocks(void **state) {
  (void)state;
  static const struct {
    uint32_t local, real;
    int64_t jump_ns, rings_ns;
  } cases[] = { { 1, 1, 0, 6 * S },
                { 2, 1, 0, 3 * S },
                { 1, 3, 0, 18 * S },
                { 1, 1, 4 * S, 2 * S },
                { 1, 1, -4 * S, 10 * S },
                { 1, 1, 60 * S, 1 * S },
                { 1000001, 1000000, 0, 5999994001 } };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char name[20];
    struct alarm a;
    snprintf(name, sizeof name, "node%zu", i);
    struct net *node = host(name);
    int64_t begin_ns = net_now(world);
    net_timer_init(&a.timer, alarm_ring, &a);
    simnet_drift(node, cases[i].local, cases[i].real);
    net_timer_set(node, &a.timer, net_now(node) + 6 * S);
    if (cases[i].jump_ns) {
      turns_for(S);
      simnet_jump(node, cases[i].jump_ns);
    }
    turns_for(30 * S);
    assert_int_equal(a.world_ns - begin_ns, cases[i].rings_ns + SIMNET_LATE_NS);
    if (cases[i].jump_ns) assert_int_equal(net_now(node), net_now(world) + cases[i].jump_ns);
  }
}

/* Names of hosts are names of their addresses, where only they can listen. */
static void test_names(void **state) {
  (void)state;
  struct net *a = host("broker.a"), *b = host("broker.b");
  struct porter *at_a = porter_open_at(a, "tcp://broker.a:1883", NULL);
  struct porter *at_b = porter_open_at(b, "tcp://broker.b:1883", NULL);
  struct seat s, t;
  struct err err;
  expect_no_listen("tcp://broker.a:1883", "does not have that address");
  seat_connect_from(host("client"), &s, "tcp://Broker.B:1883", S);
  UNTIL(s.opened && at_b->count);
  assert_string_equal(stream_peer(s.stream), "10.0.0.3:1883");
  assert_string_equal(stream_peer(at_b->seats[0].stream), stream_local(s.stream));
  seat_fini(&s);
  /* A name of its own, which takes its time, and stands for another later. */
  assert_true(names_answer(net_names(host("client")), "Example.org", "10.0.0.2", &err));
  assert_true(names_delay(net_names(world), "example.ORG.", 50 * MS, &err));
  seat_connect(&s, "tcp://example.org:1883", S);
  seat_connect(&t, "tcp://example.org:1883", 20 * MS);
  UNTIL(s.opened && t.ends);
  assert_int_equal(t.end, STREAM_TIMEOUT);
  assert_true(s.opened_ns >= 50 * MS);
  assert_string_equal(stream_peer(s.stream), "10.0.0.2:1883");
  seat_fini(&s);
  seat_fini(&t);
  assert_true(names_fail(net_names(world), "example.org", "NXDOMAIN", &err));
  assert_true(names_fail(net_names(world), "localhost", "SERVFAIL", &err));
  for (int i = 0; i < 2; i++) {
    seat_connect(&s, i ? "tcp://example.org" : "tcp://localhost", S);
    UNTIL(s.ends);
    assert_int_equal(s.end, STREAM_UNREACHABLE);
    assert_non_null(strstr(s.why.text, "was not found"));
    seat_fini(&s);
  }
  assert_null(simnet_host(world, "No Name", &err));
  assert_non_null(strstr(err.text, "\"No Name\""));
  assert_ptr_equal(simnet_host(world, "broker.a", &err), a);
  porter_close(at_a);
  porter_close(at_b);
}

/* Ends of a world. */

static void collect(void *arg, const char *text) {
  buffer_append(arg, slice_text(text));
  buffer_append(arg, slice_of("\n", 2));
}

/* Nothing left that could happen is told, not waited for; and what there is that somebody may wait for. */
static void test_deadlock(void **state) {
  (void)state;
  struct seat s;
  struct err err;
  struct buffer text;
  buffer_init(&text, 10000);
  struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
  turns_for(S);
  assert_int_equal(simnet_next_ns(world), NET_NEVER);
  assert_false(net_turn(world, NET_NEVER, &err));
  assert_non_null(strstr(err.text, "nothing will ever happen again"));
  stream_pause(p->seats[0].stream, true);
  seat_send(&s, "1234567");
  assert_int_equal(simnet_next_ns(world), net_now(world));
  turn(net_now(world));
  assert_int_equal(simnet_next_ns(world), NET_NEVER);
  simnet_waiting(world, collect, &text);
  assert_string_equal((const char *)buffer_slice(&text).data,
                      "127.0.0.1:32768 to 127.0.0.1:20000: connected; client to broker: 0 bytes not sent, 0 on the "
                      "way, 7 not read\n");
  buffer_fini(&text);
  seat_fini(&s);
  porter_close(p);
}

static void bounce(void *arg) {
  struct alarm *a = arg;
  net_timer_set(host("bouncer"), &a->timer, net_now(host("bouncer")));
}

/* A world without end is ended: by how much has happened, and by how much at one instant. */
static void test_limits(void **state) {
  (void)state;
  struct simnet_options options = { .events_max = 1000 };
  struct net *kept = world;
  struct alarm a;
  struct err err;
  world = simnet_new(&options);
  net_timer_init(&a.timer, bounce, &a);
  bounce(&a);
  int n = 0;
  while (net_turn(world, NET_NEVER, &err)) n++;
  assert_int_equal(n, 1000);
  assert_string_equal(err.text, "the virtual network has had 1000 events, its limit");
  net_timer_clear(host("bouncer"), &a.timer);
  net_free(world);
  world = kept;
}

/* Determinism. */

struct tale {
  uint64_t hash;
  int64_t client_ns[40]; /* when the clients got their answers */
  unsigned parts;
};

/* Some clients send to an echo; with what is lost, cut and healed. `without` leaves one client out. */
static struct tale tell(uint64_t seed, const struct simnet_options *more, int without) {
  struct simnet_options options = more ? *more : (struct simnet_options){ 0 };
  struct net *kept = world;
  struct tale tale = { 0 };
  struct seat s[4];
  options.seed = seed;
  world = simnet_new(&options);
  set_link(NULL, NULL, (struct simnet_link){ .loss = { 1, 10 } });
  struct porter *p = porter_open_at(host("broker"), "tcp://127.0.0.1:1883", NULL);
  for (int i = 0; i < 4; i++) {
    char name[20];
    snprintf(name, sizeof name, "client%d", i);
    if (i != without) seat_connect_from(host(name), &s[i], p->url, 60 * S);
  }
  turns_for(100 * S);
  for (int round = 0; round < 10; round++) {
    if (round == 5) cut("client1", "broker", true);
    for (int i = 0; i < 4; i++) {
      if (i != without) seat_send(&s[i], "a message of some length, so that it may come in parts");
    }
    turns_for(S);
    cut("client1", "broker", false);
    for (size_t i = 0; i < p->count; i++) {
      seat_write(&p->seats[i], buffer_slice(&p->seats[i].in).data, seat_got(&p->seats[i]));
      buffer_fini(&p->seats[i].in);
    }
    turns_for(10 * S);
    for (int i = 0; i < 4; i++) {
      if (i != without) tale.client_ns[round * 4 + i] = s[i].input_ns;
    }
  }
  for (int i = 0; i < 4; i++) {
    if (i == without) continue;
    tale.parts += s[i].inputs;
    seat_fini(&s[i]);
  }
  porter_close(p);
  tale.hash = simnet_hash(world);
  net_free(world);
  world = kept;
  return tale;
}

/* The same seed gives the same, another something else. */
static void test_same_seed(void **state) {
  (void)state;
  struct tale first = tell(1, NULL, -1), again = tell(1, NULL, -1), other = tell(2, NULL, -1);
  assert_memory_equal(&first, &again, sizeof first);
  assert_int_not_equal(first.hash, other.hash);
  assert_memory_not_equal(first.client_ns, other.client_ns, sizeof first.client_ns);
}

/* Taking one client out changes nothing for the others. */
static void test_draws_are_named(void **state) {
  (void)state;
  struct tale all = tell(3, NULL, -1), less = tell(3, NULL, 1);
  for (int i = 0; i < 40; i++) {
    if (i % 4 != 1) assert_int_equal(all.client_ns[i], less.client_ns[i]);
  }
  assert_int_not_equal(all.hash, less.hash);
}

/* Bytes come in parts, unless told otherwise. */
static void test_parts(void **state) {
  (void)state;
  struct simnet_options whole = { .whole = true };
  struct tale parts = tell(4, NULL, -1), wholes = tell(4, &whole, -1);
  assert_true(wholes.parts <= 40);
  assert_true(parts.parts > 45);
}

static void note_order(void *arg) {
  struct alarm *a = arg;
  static int order;
  a->world_ns = ++order;
}

/* What is due at one instant comes in an order that the seed gives, or, if wanted, in that of being set. */
static void test_shuffle(void **state) {
  (void)state;
  struct net *kept = world;
  int swaps[2] = { 0, 0 };
  for (uint64_t seed = 0; seed < 20; seed++) {
    for (int in_order = 0; in_order < 2; in_order++) {
      struct simnet_options options = { .seed = seed, .in_order = in_order };
      struct alarm a[2];
      world = simnet_new(&options);
      for (int i = 0; i < 2; i++) {
        net_timer_init(&a[i].timer, note_order, &a[i]);
        net_timer_set(host(i ? "b" : "a"), &a[i].timer, S);
      }
      turns_for(2 * S);
      swaps[in_order] += a[1].world_ns < a[0].world_ns;
      net_free(world);
    }
  }
  world = kept;
  assert_in_range(swaps[0], 4, 16);
  assert_int_equal(swaps[1], 0);
}

/* Randomness is the seed's. */
static void test_random(void **state) {
  (void)state;
  struct net *other = simnet_new(&(struct simnet_options){ .seed = 7 });
  struct net *same = simnet_new(&(struct simnet_options){ .seed = 7 });
  uint8_t a[21], b[21], c[21];
  net_random(other, a, sizeof a);
  net_random(same, b, sizeof b);
  net_random(world, c, sizeof c);
  assert_memory_equal(a, b, sizeof a);
  assert_memory_not_equal(a, c, sizeof a);
  net_random(same, b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
  net_free(other);
  net_free(same);
}

/* A quiet connection is no event, however long; a day passes in one turn. */
static void test_quiet(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  turns_for(S);
  uint64_t events = simnet_count(world).events;
  turns = 0;
  turns_for(86400 * S);
  assert_int_equal(turns, 1);
  assert_int_equal(simnet_count(world).events, events);
  seat_fini(&s);
  porter_close(p);
  assert_int_equal(simnet_count(world).open, 0);
}

/* Random life: nothing is lost, doubled, or out of order, whatever the world does to it. */
static void test_random_life(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    struct simnet_options options = { .seed = seed };
    struct rng rng = { seed };
    struct net *kept = world;
    struct seat s;
    uint8_t sent = 0;
    world = simnet_new(&options);
    struct porter *p = seat_pair_between(host("client"), host("broker"), &s);
    struct seat *other = &p->seats[0];
    set_link(NULL, NULL, (struct simnet_link){ .loss = { (uint32_t)rng_below(&rng, 3), 8 } });
    stream_set_buffers(s.stream, 3000, 3000);
    stream_set_buffers(other->stream, 3000, 3000);
    for (int step = 0; step < 200; step++) {
      switch (rng_below(&rng, 6)) {
      case 0: cut("client", "broker", rng_below(&rng, 2)); break;
      case 1: cut("broker", "client", rng_below(&rng, 2)); break;
      case 2: stream_pause(other->stream, rng_below(&rng, 2)); break;
      case 3: simnet_stop(host("broker"), rng_below(&rng, 2)); break;
      case 4: turns_for((int64_t)rng_below(&rng, 2 * S)); break;
      default:
        for (uint64_t n = rng_below(&rng, 2000); n; n--) buffer_append(&s.out, slice_of(&(uint8_t){ sent++ }, 1));
        stream_want_write(s.stream);
      }
    }
    cut("client", "broker", false);
    cut("broker", "client", false);
    simnet_stop(host("broker"), false);
    stream_pause(other->stream, false);
    stream_want_write(s.stream);
    turns_for(1000 * S);
    assert_int_equal(s.ends + other->ends, 0);
    assert_int_equal(buffer_size(&s.out), 0);
    assert_int_equal((uint8_t)seat_got(other), sent);
    for (size_t i = 0; i < seat_got(other); i++) assert_int_equal(buffer_slice(&other->in).data[i], (uint8_t)i);
    seat_fini(&s);
    porter_close(p);
    net_free(world);
    world = kept;
  }
}

/* Anything may be done to anything at any time; in the end nothing is left, and the same seed did the same. */

enum { STAGE_SEATS = 12 };

struct stage {
  struct rng rng;
  struct porter *porter; /* or NULL */
  struct seat seats[STAGE_SEATS];
};

static struct net *stage_host(struct stage *g) {
  static const char *const names[] = { "main", "a", "b", "c" };
  return host(names[rng_below(&g->rng, 4)]);
}

static void stage_link(struct stage *g) {
  struct simnet_link link = { .loss = { (uint32_t)rng_below(&g->rng, 3), 6 }, .cut = rng_below(&g->rng, 3) == 0 };
  if (rng_below(&g->rng, 2)) {
    link.latency = latency_exactly;
    link.latency_arg = &ten_ms;
  }
  if (rng_below(&g->rng, 4) == 0) link.bytes_per_s = 1 + rng_below(&g->rng, 100000);
  if (rng_below(&g->rng, 4) == 0) link.refuse = (struct simnet_ratio){ 1, 3 };
  if (rng_below(&g->rng, 4) == 0) link.no_answer = (struct simnet_ratio){ 1, 3 };
  struct net *from = stage_host(g), *to = stage_host(g);
  if (rng_below(&g->rng, 4)) simnet_set_link(world, from, to, &link);
  else simnet_set_link(world, NULL, NULL, &link);
}

static void stage_listen(struct stage *g) {
  struct net_listen_options options = { .backlog = NET_BACKLOG_NONE + (int)rng_below(&g->rng, 3),
                                        .accept_max = (uint32_t)rng_below(&g->rng, 3) };
  if (g->porter) porter_close(g->porter);
  g->porter = porter_open_at(stage_host(g), rng_below(&g->rng, 4) ? "tcp://127.0.0.1:0" : "unix:///stage", &options);
}

static void stage_end(struct stage *g, struct seat *s) {
  if (!s->stream) return;
  switch (rng_below(&g->rng, 3)) {
  case 0: stream_close(s->stream); break;
  case 1: stream_reset(s->stream); break;
  default:
    if (!stream_vanish(s->stream, NULL)) return;
  }
  s->stream = NULL;
}

static void stage_connect(struct stage *g, struct seat *s) {
  char url[300];
  if (s->stream || !g->porter) return;
  seat_fini(s);
  snprintf(url, sizeof url, "%s", g->porter->url);
  seat_connect_from(stage_host(g), s, url, (int64_t)rng_below(&g->rng, 3 * S));
  s->close_in = "oiOwe   "[rng_below(&g->rng, 8)];
  s->victim = &g->seats[rng_below(&g->rng, STAGE_SEATS)];
  if (s->victim == s) s->victim = NULL;
}

static void stage_write(struct stage *g, struct seat *s) {
  static uint8_t bytes[200000];
  if (!s->stream || buffer_size(&s->out) > 8u << 20) return;
  buffer_append(&s->out, slice_of(bytes, rng_below(&g->rng, 2) ? rng_below(&g->rng, 100) : rng_below(&g->rng, 200000)));
  if (rng_below(&g->rng, 2)) stream_want_write(s->stream);
  else stream_flush(s->stream);
}

static struct seat *stage_seat(struct stage *g) {
  size_t other = g->porter ? g->porter->count : 0, i = rng_below(&g->rng, STAGE_SEATS + other);
  return i < STAGE_SEATS ? &g->seats[i] : &g->porter->seats[i - STAGE_SEATS];
}

static void stage_step(struct stage *g) {
  struct seat *s = stage_seat(g);
  struct net *h = stage_host(g);
  bool yes = rng_below(&g->rng, 2);
  switch (rng_below(&g->rng, 16)) {
  case 0:
    if (yes) stage_link(g);
    else simnet_set_link(world, NULL, NULL, &(struct simnet_link){ .cut = false });
    break;
  case 1:
    if (yes || !g->porter) stage_listen(g);
    break;
  case 2: stage_end(g, s); break;
  case 3:
  case 4:
  case 5: stage_connect(g, &g->seats[rng_below(&g->rng, STAGE_SEATS)]); break;
  case 6:
  case 7: stage_write(g, s); break;
  case 8:
    if (s->stream) stream_pause(s->stream, yes);
    break;
  case 9:
    if (s->stream) stream_shutdown(s->stream);
    break;
  case 10:
    if (s->stream) stream_set_buffers(s->stream, rng_below(&g->rng, 9000), rng_below(&g->rng, 9000));
    break;
  case 11:
    if (g->porter) net_listener_pause(g->porter->listener, yes);
    break;
  case 12:
    if (g->porter) net_listener_mute(g->porter->listener, yes, NULL);
    break;
  case 13:
    if (h != world) simnet_stop(h, yes && rng_below(&g->rng, 2));
    break;
  case 14: simnet_jump(h, (int64_t)rng_below(&g->rng, 2 * S) - S); break;
  default: turns_for((int64_t)rng_below(&g->rng, yes ? MS : 100 * S));
  }
}

static uint64_t stage_play(uint64_t seed) {
  static struct stage g;
  struct net *kept = world;
  world = simnet_new(&(struct simnet_options){ .seed = seed });
  memset(&g, 0, sizeof g);
  g.rng.state = seed;
  for (int i = 0; i < STAGE_SEATS; i++) seat_init(&g.seats[i]);
  for (int step = 0; step < 1500; step++) stage_step(&g);
  if (g.porter) porter_close(g.porter);
  for (int i = 0; i < STAGE_SEATS; i++) seat_fini(&g.seats[i]);
  turns_for(S);
  assert_int_equal(simnet_count(world).open, 0);
  assert_int_equal(simnet_next_ns(world), NET_NEVER);
  uint64_t hash = simnet_hash(world);
  net_free(world);
  world = kept;
  return hash;
}

static void test_anything(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) assert_int_equal(stage_play(seed), stage_play(seed));
}

static int set_up(void **state) {
  (void)state;
  world = simnet_new(&(struct simnet_options){ .seed = 1 });
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  net_free(world);
  return 0;
}

#define SIMNET_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
    SIMNET_TEST(test_loopback),
    SIMNET_TEST(test_latency),
    SIMNET_TEST(test_nobody_there),
    SIMNET_TEST(test_rate),
    SIMNET_TEST(test_partition),
    SIMNET_TEST(test_connect_through_cut),
    SIMNET_TEST(test_give_up),
    SIMNET_TEST(test_reset_is_lost),
    SIMNET_TEST(test_loss),
    SIMNET_TEST(test_loss_ends),
    SIMNET_TEST(test_connect_outcomes),
    SIMNET_TEST(test_buffers),
    SIMNET_TEST(test_stop),
    SIMNET_TEST(test_clocks),
    SIMNET_TEST(test_names),
    SIMNET_TEST(test_deadlock),
    SIMNET_TEST(test_limits),
    SIMNET_TEST(test_same_seed),
    SIMNET_TEST(test_draws_are_named),
    SIMNET_TEST(test_parts),
    SIMNET_TEST(test_shuffle),
    SIMNET_TEST(test_random),
    SIMNET_TEST(test_quiet),
    SIMNET_TEST(test_random_life),
    SIMNET_TEST(test_anything),
  };
  return cmocka_run_group_tests_name("simnet", tests, NULL, NULL);
}
