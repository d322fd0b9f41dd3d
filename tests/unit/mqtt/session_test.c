#include "tests/unit/mqtt/session_rig.h"

#include "base/rng.h"
#include "tests/fuzz/session_drive.h"

static void lost(struct session_rig *r, int reason) {
  assert_true(session_gave_up(r->s));
  assert_int_equal(session_output(r->s, r->now_ns).size, 0);
  assert_int_equal(session_deadline(r->s), INT64_MAX);
  session_rig_lose(r, SESSION_END_LOCAL);
  session_rig_code(r, SESSION_EVENT_LOST, reason);
  session_rig_quiet(r);
  assert_int_equal(session_state(r->s), SESSION_IDLE);
}

static void refused(struct session_rig *r, int code) {
  session_rig_code(r, SESSION_EVENT_CONNECTED, code);
  assert_int_equal(session_state(r->s), SESSION_DISCONNECTING);
  assert_true(session_gave_up(r->s));
  session_rig_lose(r, SESSION_END_LOCAL);
  session_rig_quiet(r);
  assert_int_equal(session_state(r->s), SESSION_IDLE);
}

/* Every first packet but a good CONNACK ends the attempt with -1; a refusal with its own code, whatever it is. */
static void test_connack(void **state) {
  (void)state;
  static const struct {
    uint8_t bytes[4];
    int code;
    bool clean;
  } rows[] = {
    { { 0x20, 2, 0, 1 }, 1, true },        { { 0x20, 2, 0, 5 }, 5, true },   { { 0x20, 2, 0, 255 }, 255, true },
    { { 0x20, 2, 1, 0 }, -1, true },       { { 0x20, 2, 2, 0 }, -1, false }, { { 0x20, 2, 1, 3 }, -1, false },
    { { 0x20, 1, 0, 0 }, -1, true },       { { 0x20, 3, 0, 0 }, -1, true },  { { 0x21, 2, 0, 0 }, -1, true },
    { { 0x40, 2, 0, 1 }, -1, true },       { { 0xd0, 0, 0, 0 }, -1, true },  { { 0x00, 0, 0, 0 }, -1, true },
    { { 0x30, 255, 255, 255 }, -1, true },
  };
  struct session_rig r;
  session_rig_init(&r, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    session_rig_begin(&r, rows[i].clean, 0);
    assert_int_equal(session_state(r.s), SESSION_CONNECTING);
    session_rig_write_all(&r);
    session_rig_feed(&r, rows[i].bytes, 4);
    if (i == 12) session_rig_feed_bytes(&r, 0x7f); /* a PUBLISH of 256 MB */
    refused(&r, rows[i].code);
  }
  for (int end = SESSION_END_FAILED; end <= SESSION_END_LOCAL; end++) {
    session_rig_begin(&r, true, 0);
    session_rig_lose(&r, (enum session_end)end);
    session_rig_code(&r, SESSION_EVENT_CONNECTED, -1);
    session_rig_quiet(&r);
  }
  session_rig_begin(&r, true, 0);
  assert_int_equal(session_deadline(r.s), r.now_ns + 10 * SESSION_RIG_S);
  session_rig_tick(&r, 10 * SESSION_RIG_S - 1);
  assert_false(session_wants_close(r.s));
  session_rig_tick(&r, 1);
  session_rig_drain(&r);
  refused(&r, -1);
  session_rig_begin(&r, true, 0);
  session_close(r.s, r.now_ns);
  assert_int_equal(session_state(r.s), SESSION_IDLE);
  session_rig_drain(&r);
  session_rig_code(&r, SESSION_EVENT_CONNECTED, -1);
  session_rig_fini(&r);
}

static void test_connect_packet(void **state) {
  (void)state;
  static const uint8_t expected[] = { 0x10, 28, 0,   4, 'M', 'Q', 'T', 'T', 4, 0xee, 0, 60, 0,   1,   'i',
                                      0,    1,  't', 0, 2,   'w', 'm', 0,   1, 'u',  0, 3,  'p', 'w', 'd' };
  struct session_connect c = { .client_id = slice_text("i"),
                               .username = slice_text("u"),
                               .password = slice_text("pwd") };
  struct session_rig r;
  session_rig_init(&r, NULL);
  c.has_username = c.has_password = c.has_will = c.clean = true;
  c.will = (struct packet_will){ slice_text("t"), slice_text("wm"), { 0 }, 1, true };
  c.keepalive_s = 60;
  c.version = SPEC_3_1_1;
  session_connect(r.s, &c, 0);
  assert_int_equal(session_deadline(r.s), INT64_MAX);
  struct slice out = session_output(r.s, 0);
  assert_int_equal(out.size, sizeof expected);
  assert_memory_equal(out.data, expected, sizeof expected);
  session_rig_fini(&r);
}

/* Each loses the connection for the reason that it is, however it is cut into pieces. */
static void test_inbound_errors(void **state) {
  (void)state;
  static const struct {
    int reason;
    size_t size;
    uint8_t bytes[12];
  } rows[] = {
    { -4, 2, { 0x00, 0 } },                      /* reserved type */
    { -4, 2, { 0xf0, 0 } },                      /* AUTH */
    { -4, 2, { 0xc0, 0 } },                      /* PINGREQ */
    { -4, 2, { 0xe0, 0 } },                      /* DISCONNECT */
    { -4, 4, { 0x20, 2, 0, 0 } },                /* a second CONNACK */
    { -4, 2, { 0x41, 2 } },                      /* reserved flags */
    { -4, 2, { 0x60, 2 } },                      /* PUBREL without its flag */
    { -4, 3, { 0x40, 3, 0 } },                   /* PUBACK too long */
    { -4, 2, { 0x40, 1 } },                      /* too short */
    { -4, 4, { 0x40, 2, 0, 0 } },                /* identifier 0 */
    { -4, 2, { 0xd0, 1 } },                      /* PINGRESP with a body */
    { -4, 5, { 0x90, 0xff, 0xff, 0xff, 0x7f } }, /* SUBACK of 256 MB */
    { -4, 5, { 0x30, 0xff, 0xff, 0xff, 0xff } }, /* length of five bytes */
    { -4, 5, { 0x90, 3, 0, 1, 3 } },             /* granted QoS 3 */
    { -4, 1, { 0x36 } },                         /* QoS 3 */
    { -4, 1, { 0x38 } },                         /* DUP at QoS 0 */
    { -4, 2, { 0x30, 1 } },                      /* no room for a topic */
    { -4, 4, { 0x30, 4, 0, 3 } },                /* topic past the end */
    { -4, 4, { 0x30, 2, 0, 0 } },                /* empty topic */
    { -4, 6, { 0x30, 4, 0, 2, 'a', '#' } },      /* wildcard */
    { -4, 6, { 0x30, 4, 0, 2, 'a', 0xff } },     /* not UTF-8 */
    { -4, 6, { 0x30, 4, 0, 2, 'a', 0 } },        /* U+0000 */
    { -4, 7, { 0x32, 5, 0, 1, 'a', 0, 0 } },     /* identifier 0 */
    { -3, 5, { 0x30, 0xff, 0xff, 0xff, 0x7f } }, /* 256 MB */
    { -3, 4, { 0x30, 104, 0, 1 } },              /* a byte over the limit of 100 */
    { -3, 4, { 0x32, 106, 0, 1 } },
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (size_t piece = 1; piece <= rows[i].size; piece++) {
      struct session_rig r;
      session_rig_init(&r, &(struct session_options){ .message_max = 100 });
      session_rig_connect(&r, true, false, 0);
      for (size_t at = 0; at < rows[i].size; at += piece) {
        size_t n = rows[i].size - at < piece ? rows[i].size - at : piece;
        session_rig_feed(&r, rows[i].bytes + at, n);
      }
      if (!session_gave_up(r.s)) fail_msg("row %zu, pieces of %zu: not lost", i, piece);
      lost(&r, rows[i].reason);
      session_rig_fini(&r);
    }
  }
}

/* Whatever the pieces, the same messages, once each; the partial packet is what is missing its end. */
static void test_inbound_pieces(void **state) {
  (void)state;
  uint8_t stream[400];
  struct buffer b;
  buffer_init(&b, sizeof stream);
  for (int i = 0; i < 6; i++) {
    struct packet p = {
      .type = SPEC_PUBLISH, .version = SPEC_3_1_1, .topic = slice_text("top/ic"), .qos = (uint8_t)(i % 3)
    };
    p.packet_id = p.qos ? (uint16_t)(i + 1) : 0;
    p.payload = slice_first(slice_text("payload of some length"), (size_t)i * 4);
    p.flags = packet_flags(&p);
    assert_true(encode_packet(&b, &p));
  }
  size_t size = buffer_size(&b);
  memcpy(stream, buffer_slice(&b).data, size);
  buffer_fini(&b);
  for (size_t piece = 1; piece <= size; piece++) {
    struct session_rig r;
    size_t messages = 0, whole = 0;
    session_rig_init(&r, NULL);
    session_rig_connect(&r, true, false, 0);
    for (size_t at = 0; at < size; at += piece) {
      size_t n = size - at < piece ? size - at : piece;
      struct slice rest = slice_of(stream + at, n);
      while (rest.size) {
        struct session_event e;
        rest = slice_from(rest, session_feed(r.s, rest, 0));
        while (session_next(r.s, &e)) {
          assert_int_equal(e.type, SESSION_EVENT_MESSAGE);
          assert_int_equal(e.packet->payload.size, messages * 4);
          assert_int_equal(e.packet->qos, messages % 3);
          assert_int_equal(session_partial_in(r.s).size, 0);
          whole += e.packet->raw.size;
          messages++;
        }
        size_t seen = at + n - rest.size;
        struct slice partial = session_partial_in(r.s);
        assert_int_equal(partial.size, seen - whole);
        if (partial.size) assert_memory_equal(partial.data, stream + whole, partial.size);
      }
    }
    assert_int_equal(messages, 6);
    session_rig_write_all(&r);
    session_rig_expect_sent(&r, SPEC_PUBACK, 2);
    session_rig_expect_sent(&r, SPEC_PUBREC, 3);
    session_rig_expect_sent(&r, SPEC_PUBACK, 5);
    session_rig_expect_sent(&r, SPEC_PUBREC, 6);
    session_rig_fini(&r);
  }
}

/* A QoS 2 message is delivered once, also over a resumed session, and again after PUBREL or without the session. */
static void test_exactly_once(void **state) {
  (void)state;
  static const uint8_t publish[] = { 0x34, 5, 0, 1, 'a', 0, 9 }, again[] = { 0x3c, 5, 0, 1, 'a', 0, 9 };
  struct session_rig r;
  session_rig_init(&r, NULL);
  session_rig_connect(&r, false, false, 0);
  session_rig_feed(&r, publish, sizeof publish);
  assert_false(session_rig_event(&r, SESSION_EVENT_MESSAGE).packet.dup);
  session_rig_feed(&r, again, sizeof again);
  session_rig_quiet(&r);
  session_rig_lose(&r, SESSION_END_FAILED);
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  session_rig_connect(&r, false, true, 0);
  session_rig_feed(&r, again, sizeof again);
  session_rig_quiet(&r);
  session_rig_ack(&r, SPEC_PUBREL, 9);
  session_rig_ack(&r, SPEC_PUBREL, 9);
  session_rig_ack(&r, SPEC_PUBREL, 10); /* unknown: answered all the same, else the broker would ask for ever */
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_PUBREC, 9);
  session_rig_expect_sent(&r, SPEC_PUBCOMP, 9);
  session_rig_expect_sent(&r, SPEC_PUBCOMP, 9);
  session_rig_expect_sent(&r, SPEC_PUBCOMP, 10);
  session_rig_feed(&r, publish, sizeof publish);
  session_rig_event(&r, SESSION_EVENT_MESSAGE);
  session_rig_lose(&r, SESSION_END_FAILED);
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  session_rig_connect(&r, false, false, 0);
  session_rig_feed(&r, again, sizeof again);
  session_rig_event(&r, SESSION_EVENT_MESSAGE);
  session_rig_lose(&r, SESSION_END_FAILED);
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  session_rig_connect(&r, true, false, 0);
  session_rig_feed(&r, publish, sizeof publish);
  session_rig_event(&r, SESSION_EVENT_MESSAGE);
  session_rig_lose(&r, SESSION_END_FAILED); /* a clean session ends here, with what it knew */
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  session_rig_connect(&r, false, true, 0);
  session_rig_feed(&r, publish, sizeof publish);
  session_rig_event(&r, SESSION_EVENT_MESSAGE);
  session_rig_fini(&r);
}

/* An acknowledgement that does not fit completes nothing, is counted, and the connection stays. */
static void test_acknowledgements_that_do_not_fit(void **state) {
  (void)state;
  struct session_rig r;
  struct packet_subscription topic = { slice_text("a"), 1, 1 };
  session_rig_init(&r, NULL);
  session_rig_connect(&r, true, false, 0);
  session_rig_publish(&r, 1, 1);
  session_rig_ack(&r, SPEC_PUBACK, 1); /* before it was written */
  session_rig_write(&r, 5);
  session_rig_ack(&r, SPEC_PUBACK, 1);
  session_rig_publish(&r, 2, 2);
  assert_int_equal(session_subscribe(r.s, &topic, 1, 3, 0), 0);
  session_rig_feed_bytes(&r, 0x90, 3, 0, 3, 1); /* before it was written */
  session_rig_write_all(&r);
  session_rig_ack(&r, SPEC_PUBREC, 1);
  session_rig_ack(&r, SPEC_PUBCOMP, 1);
  session_rig_ack(&r, SPEC_PUBACK, 2);
  session_rig_ack(&r, SPEC_PUBCOMP, 2);
  session_rig_ack(&r, SPEC_PUBACK, 3);
  session_rig_ack(&r, SPEC_PUBACK, 4);
  session_rig_ack(&r, SPEC_UNSUBACK, 3);
  session_rig_feed_bytes(&r, 0x90, 3, 0, 1, 0);
  session_rig_quiet(&r);
  assert_int_equal(session_stats(r.s).unknown_acks, 11);
  assert_int_equal(session_stats(r.s).unknown_type, SPEC_SUBACK);
  assert_int_equal(session_stats(r.s).unknown_id, 1);
  session_rig_ack(&r, SPEC_PUBACK, 1);
  session_rig_result(&r, 1, 0);
  session_rig_ack(&r, SPEC_PUBREC, 2);
  session_rig_ack(&r, SPEC_PUBREC, 2); /* a repetition is answered with PUBREL again */
  session_rig_ack(&r, SPEC_PUBCOMP, 2);
  session_rig_result(&r, 2, 0);
  session_rig_feed_bytes(&r, 0x90, 3, 0, 3, 0x80);
  struct session_rig_event e = session_rig_event(&r, SESSION_EVENT_SUBSCRIBED);
  assert_int_equal(e.user, 3);
  assert_int_equal(e.code_count, 1);
  assert_int_equal(e.codes[0], 0x80);
  assert_int_equal(session_stats(r.s).unknown_acks, 11);
  session_rig_fini(&r);
}

static void test_subscribe_codes(void **state) {
  (void)state;
  struct packet_subscription topics[2] = { { slice_text("a"), 1, 1 }, { slice_text("b/#"), 2, 2 } };
  struct slice filters[2] = { topics[0].filter, topics[1].filter };
  struct session_rig r;
  session_rig_init(&r, NULL);
  assert_int_equal(session_subscribe(r.s, topics, 2, 1, 0), SESSION_DISCONNECTED);
  assert_int_equal(session_unsubscribe(r.s, filters, 2, 1, 0), SESSION_DISCONNECTED);
  session_rig_connect(&r, false, false, 0);
  assert_int_equal(session_subscribe(r.s, topics, 2, 1, 0), 0);
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_SUBSCRIBE, 1);
  session_rig_feed_bytes(&r, 0x90, 4, 0, 1, 1, 2);
  assert_int_equal(session_rig_event(&r, SESSION_EVENT_SUBSCRIBED).code_count, 2);
  assert_int_equal(session_unsubscribe(r.s, filters, 2, 2, 0), 0);
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_UNSUBSCRIBE, 2);
  session_rig_ack(&r, SPEC_UNSUBACK, 2);
  session_rig_code(&r, SESSION_EVENT_UNSUBSCRIBED, 0);
  /* At a loss: written, mid-write, not begun; kept sessions do not keep them. */
  session_subscribe(r.s, topics, 1, 3, 0);
  session_unsubscribe(r.s, filters, 1, 4, 0);
  session_rig_write_all(&r);
  session_subscribe(r.s, topics, 1, 5, 0);
  session_rig_write(&r, 1);
  session_subscribe(r.s, topics, 1, 6, 0);
  session_unsubscribe(r.s, filters, 1, 7, 0);
  session_rig_lose(&r, SESSION_END_FAILED);
  session_rig_code(&r, SESSION_EVENT_SUBSCRIBED, -11);
  session_rig_code(&r, SESSION_EVENT_UNSUBSCRIBED, -1);
  session_rig_code(&r, SESSION_EVENT_SUBSCRIBED, -1);
  session_rig_code(&r, SESSION_EVENT_SUBSCRIBED, -3);
  session_rig_code(&r, SESSION_EVENT_UNSUBSCRIBED, -1);
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  assert_int_equal(session_stats(r.s).ids_used, 0);
  session_rig_connect(&r, false, true, 0);
  session_subscribe(r.s, topics, 2, 8, 0);
  session_rig_write_all(&r);
  session_rig_feed_bytes(&r, 0x90, 3, 0, 8, 1); /* one code for two topics */
  assert_true(session_gave_up(r.s));
  session_rig_fini(&r);
}

/* A subscription keeps its place among the messages, but does not wait for their window. */
static void test_subscribe_order(void **state) {
  (void)state;
  struct packet_subscription topic = { slice_text("a"), 0, 0 };
  static char payload[40000];
  struct session_publish large = { slice_text("t"), slice_of(payload, sizeof payload), 0, false, 1 };
  struct session_rig r;
  struct packet p;
  session_rig_init(&r, &(struct session_options){ .inflight_max = 1 });
  session_rig_connect(&r, true, false, 0);
  for (int i = 0; i < 4; i++) session_publish(r.s, &large, 0, NULL);
  session_subscribe(r.s, &topic, 1, 2, 0);
  session_publish(r.s, &large, 0, NULL);
  session_rig_write_all(&r);
  for (int i = 0; i < 6; i++) {
    assert_true(session_rig_sent(&r, &p));
    assert_int_equal(p.type, i == 4 ? SPEC_SUBSCRIBE : SPEC_PUBLISH);
  }
  r.count = 0;
  session_rig_publish(&r, 1, 3);
  session_rig_publish(&r, 1, 4);
  session_subscribe(r.s, &topic, 1, 5, 0);
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_PUBLISH, 2);
  session_rig_expect_sent(&r, SPEC_SUBSCRIBE, 4);
  session_rig_ack(&r, SPEC_PUBACK, 2);
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_PUBLISH, 3);
  session_rig_fini(&r);
}

static void test_keepalive(void **state) {
  (void)state;
  struct session_rig r;
  session_rig_init(&r, NULL);
  session_rig_connect(&r, true, false, 60);
  for (int round = 0; round < 3; round++) {
    int64_t quiet_ns = r.now_ns;
    assert_int_equal(session_deadline(r.s), quiet_ns + 60 * SESSION_RIG_S);
    session_rig_tick(&r, 40 * SESSION_RIG_S);
    session_rig_publish(&r, 0, 1); /* what is sent puts it off */
    session_rig_write_all(&r);
    r.count = 0;
    session_rig_tick(&r, 60 * SESSION_RIG_S - 1);
    assert_int_equal(session_output(r.s, 0).size, 0);
    session_rig_tick(&r, 1);
    session_rig_forget_sent(&r);
    session_rig_write_all(&r);
    session_rig_expect_sent(&r, SPEC_PINGREQ, 0);
    assert_int_equal(session_deadline(r.s), r.now_ns + 30 * SESSION_RIG_S);
    session_rig_feed_bytes(&r, 0xd0, 0);
  }
  session_rig_tick(&r, 60 * SESSION_RIG_S);
  session_rig_write_all(&r);
  session_rig_tick(&r, 30 * SESSION_RIG_S - 1);
  assert_false(session_wants_close(r.s));
  session_rig_tick(&r, 1);
  session_rig_drain(&r);
  lost(&r, -1);
  session_rig_connect(&r, true, false, 1);
  session_rig_tick(&r, SESSION_RIG_S);
  assert_int_equal(session_deadline(r.s), r.now_ns + SESSION_RIG_S);
  session_rig_fini(&r);
}

/* Raw bytes stand between packets, also when the transport takes them in pieces. */
static void test_raw_bytes(void **state) {
  (void)state;
  struct session_rig r;
  session_rig_init(&r, NULL);
  assert_false(session_raw(r.s, slice_text("x")));
  session_rig_connect(&r, true, false, 0);
  session_rig_publish(&r, 0, 1);
  session_rig_write(&r, 1);
  assert_true(session_raw(r.s, slice_text("\xff\xff\xff")));
  session_rig_publish(&r, 0, 2);
  size_t packet = 23;
  for (size_t written = 1; written < 2 * packet + 3; written++) {
    size_t begin = written < packet ? 0 : written < packet + 3 ? packet : packet + 3;
    assert_int_equal(session_partial_out(r.s).size, written - begin);
    session_rig_write(&r, 1);
  }
  assert_int_equal(session_partial_out(r.s).size, 0);
  assert_memory_equal(buffer_slice(&r.wire).data + packet, "\xff\xff\xff\x30", 4);
  session_rig_result(&r, 1, 0);
  session_rig_result(&r, 2, 0);
  session_rig_fini(&r);
}

static void test_limits(void **state) {
  (void)state;
  struct session_rig r;
  struct session_publish p = { slice_text("t"), slice_text("m"), 0, false, 9 };
  session_rig_init(&r,
                   &(struct session_options){ .inflight_max = 2, .buffered_max = 2, .out_per_s = 1, .out_burst = 6 });
  assert_int_equal(session_publish(r.s, &p, 0, NULL), SESSION_NOT_CONNECTED);
  session_rig_connect(&r, true, false, 0);
  session_rig_publish(&r, 1, 1);
  session_rig_publish(&r, 1, 2);
  assert_true(session_full(r.s));
  session_rig_write_all(&r);
  assert_false(session_full(r.s));
  session_rig_publish(&r, 2, 3);
  session_rig_publish(&r, 0, 4);
  session_rig_write_all(&r);
  assert_true(session_full(r.s)); /* behind a full window */
  assert_int_equal(session_rig_publish(&r, 2, 5), 0);
  assert_int_equal(session_rig_publish(&r, 0, 6), 0);
  session_rig_drain(&r);
  session_rig_result(&r, 5, -12);
  session_rig_result(&r, 6, -12);
  session_rig_ack(&r, SPEC_PUBACK, 1);
  session_rig_result(&r, 1, 0);
  session_rig_write_all(&r);
  session_rig_result(&r, 4, 0);
  session_rig_publish(&r, 0, 7);
  session_rig_publish(&r, 0, 8);
  assert_int_equal(session_publish(r.s, &p, r.now_ns, NULL), SESSION_RATE_LIMITED); /* the refused ones cost none */
  r.now_ns += SESSION_RIG_S;
  assert_int_equal(session_publish(r.s, &p, r.now_ns, NULL), SESSION_ACCEPTED);
  session_rig_fini(&r);
}

/* 65,535 in flight; then -10, before -12, but not at QoS 0; one acknowledgement makes room for exactly one. */
static void test_identifiers_run_out(void **state) {
  (void)state;
  struct session_rig r;
  struct session_publish p = { slice_text("t"), slice_text("0123456789abcdef"), 1, false, 0 };
  uint16_t id;
  struct session_event e;
  session_rig_init(&r, &(struct session_options){ .buffered_max = 70000 });
  session_rig_connect(&r, true, false, 0);
  for (uint32_t i = 1; i <= 65535; i++) {
    p.user = i;
    assert_int_equal(session_publish(r.s, &p, 0, &id), SESSION_ACCEPTED);
    assert_int_equal(id, i);
    if (i % 1000 == 0) session_rig_write_all(&r);
  }
  session_rig_write_all(&r);
  assert_int_equal(session_stats(r.s).inflight, 65535);
  struct packet_subscription topic = { slice_text("a"), 0, 0 };
  assert_int_equal(session_subscribe(r.s, &topic, 1, 1, 0), SESSION_NO_MORE_IDS);
  for (int i = 0; i < 5; i++) {
    p.user = 70000;
    assert_int_equal(session_publish(r.s, &p, 0, &id), SESSION_ACCEPTED);
    assert_int_equal(id, 0);
    session_rig_drain(&r);
    session_rig_result(&r, 70000, -10);
    session_rig_publish(&r, 0, 3);
    session_rig_write_all(&r);
    session_rig_result(&r, 3, 0);
    uint16_t freed = (uint16_t)(40000 - i * 1000);
    session_rig_ack(&r, SPEC_PUBACK, freed);
    session_rig_event(&r, SESSION_EVENT_RESULT);
    p.user = 65536 + (uint64_t)i;
    assert_int_equal(session_publish(r.s, &p, 0, &id), SESSION_ACCEPTED);
    assert_int_equal(id, freed);
  }
  session_rig_write_all(&r);
  session_lost(r.s, SESSION_END_FAILED, 0);
  uint64_t last = 0, results = 0;
  while (session_next(r.s, &e) && e.type == SESSION_EVENT_RESULT) {
    assert_true(e.user > last);
    assert_int_equal(e.code, -11);
    last = e.user;
    results++;
  }
  assert_int_equal(results, 65535);
  session_rig_fini(&r);
}

/* The answers of a broker that asks for ever while the transport takes nothing are bounded. */
static void test_replies_are_bounded(void **state) {
  (void)state;
  static const uint8_t publish[] = { 0x32, 5, 0, 1, 'a', 0, 9 };
  struct session_rig r;
  struct session_event e;
  bool is_lost = false;
  session_rig_init(&r, NULL);
  session_rig_connect(&r, true, false, 0);
  for (int i = 0; i < 2000000 && !is_lost; i++) {
    session_feed(r.s, slice_of(publish, sizeof publish), 0);
    while (session_next(r.s, &e)) is_lost = e.type == SESSION_EVENT_LOST;
  }
  assert_true(is_lost);
  assert_int_equal(e.code, SESSION_LOST_PROTOCOL);
  session_rig_fini(&r);
}

/* While disconnecting, acknowledgements count and nothing is delivered or answered. */
static void test_disconnecting(void **state) {
  (void)state;
  struct session_rig r;
  session_rig_init(&r, NULL);
  session_rig_connect(&r, false, false, 0);
  session_rig_publish(&r, 1, 1);
  session_rig_publish(&r, 2, 2);
  session_rig_write_all(&r);
  session_rig_forget_sent(&r);
  assert_true(session_disconnect(r.s, 0));
  session_rig_ack(&r, SPEC_PUBACK, 1);
  session_rig_result(&r, 1, 0);
  session_rig_ack(&r, SPEC_PUBREC, 2);
  session_rig_feed_bytes(&r, 0x34, 5, 0, 1, 'a', 0, 9);
  session_rig_quiet(&r);
  assert_false(session_raw(r.s, slice_text("x")));
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_DISCONNECT, 0);
  assert_int_equal(buffer_size(&r.wire), 0);
  session_rig_lose(&r, SESSION_END_LOCAL);
  session_rig_code(&r, SESSION_EVENT_DISCONNECTED, 0);
  session_rig_connect(&r, false, true, 0);
  session_rig_write_all(&r);
  session_rig_expect_sent(&r, SPEC_PUBREL, 2);
  session_rig_fini(&r);
}

/* Random commands with the invariants of the fuzz target. */
static void test_random_commands(void **state) {
  (void)state;
  struct rng rng = { 1 };
  uint8_t bytes[3000];
  for (int round = 0; round < 500; round++) {
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)rng_next(&rng);
    session_drive(bytes, 100 + rng_below(&rng, sizeof bytes - 100));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_connack),
    cmocka_unit_test(test_connect_packet),
    cmocka_unit_test(test_inbound_errors),
    cmocka_unit_test(test_inbound_pieces),
    cmocka_unit_test(test_exactly_once),
    cmocka_unit_test(test_acknowledgements_that_do_not_fit),
    cmocka_unit_test(test_subscribe_codes),
    cmocka_unit_test(test_subscribe_order),
    cmocka_unit_test(test_keepalive),
    cmocka_unit_test(test_raw_bytes),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_identifiers_run_out),
    cmocka_unit_test(test_replies_are_bounded),
    cmocka_unit_test(test_disconnecting),
    cmocka_unit_test(test_random_commands),
  };
  return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
