/* The result codes: message state × QoS × how the connection ends × whether the session is kept, each against what the
 * table of result codes says. */
#include "tests/unit/mqtt/session_rig.h"

enum stage {
  WAITING,  /* not encoded: the window is full */
  ENCODED,  /* in the output, no byte handed over */
  PARTLY,   /* some bytes, not all */
  WRITTEN,  /* all bytes */
  RELEASED, /* QoS 2: PUBREC received, PUBREL due or sent */
  COMPLETE,
  STAGES
};

enum way {
  FAILED,
  FAILED_WRITE,
  FIN,
  KEEPALIVE,
  MALFORMED,
  RATE,
  TOO_LARGE,
  DISCONNECT,
  DISCONNECT_FAILED,
  CLOSE,
  WAYS
};

enum keeping { CLEAN, KEPT_PRESENT, KEPT_ABSENT, KEPT_CLEAN_AGAIN, KEPT_CLOSED, KEEPINGS };

struct cell {
  enum stage stage;
  uint8_t qos;
  enum way way;
  enum keeping keeping;
  size_t part; /* PARTLY: bytes handed over */
};

enum { BEFORE = 1, SUBJECT, BEHIND };

#define PENDING 99

/* The table, in its own words. `next_to_write`: a failed write would be this message's. */
static int code_of(enum stage stage, uint8_t qos, enum way way, bool next_to_write) {
  bool socket_error = way == FAILED || way == FAILED_WRITE || way == DISCONNECT_FAILED;
  switch (stage) {
  case COMPLETE: return 0;
  case RELEASED: return -11;
  case WRITTEN: return qos == 0 ? 0 : -11;
  case PARTLY: return socket_error ? -1 : -11;
  default: return way == FAILED_WRITE && next_to_write ? -1 : -3;
  }
}

/* On a kept session, after loss or disconnect, and then what the cell does next. */
static int code_of_kept(const struct cell *c) {
  bool in_flight = c->qos && c->stage >= PARTLY;
  bool touched = c->stage >= PARTLY;
  if (c->stage == COMPLETE || (c->stage == WRITTEN && c->qos == 0)) return 0;
  if (c->way == CLOSE) return code_of(c->stage, c->qos, CLOSE, false);
  switch (c->keeping) {
  case KEPT_PRESENT: return 0;
  case KEPT_ABSENT:
  case KEPT_CLEAN_AGAIN: return in_flight ? -11 : 0;
  default: return touched ? -11 : -3;
  }
}

static size_t size_of(uint8_t qos) {
  return 2 + 2 + 3 + (qos ? 2 : 0) + 16;
}

/* The message before is written and waits for PUBACK (QoS 1), the subject is at its stage, the one behind is accepted.
 */
static void reach(struct session_rig *r, const struct cell *c) {
  assert_int_equal(session_rig_publish(r, 1, BEFORE), 1);
  session_rig_write_all(r);
  uint16_t id = session_rig_publish(r, c->qos, SUBJECT);
  assert_int_equal(id, c->qos ? 2 : 0);
  if (c->stage == PARTLY) session_rig_write(r, c->part);
  if (c->stage >= WRITTEN) session_rig_write_all(r);
  if (c->stage == RELEASED) session_rig_ack(r, SPEC_PUBREC, id);
  if (c->stage == COMPLETE && c->qos == 1) session_rig_ack(r, SPEC_PUBACK, id);
  if (c->stage == COMPLETE && c->qos == 2) {
    session_rig_ack(r, SPEC_PUBREC, id);
    session_rig_write_all(r);
    session_rig_ack(r, SPEC_PUBCOMP, id);
  }
  if (c->stage == ENCODED || c->stage == PARTLY) session_output(r->s, r->now_ns);
  session_rig_publish(r, 1, BEHIND);
  session_rig_drain(r);
}

static void end_by_this_side(struct session_rig *r, int reason) {
  assert_true(session_gave_up(r->s));
  assert_int_equal(session_state(r->s), SESSION_DISCONNECTING);
  session_rig_lose(r, SESSION_END_LOCAL);
  assert_int_equal(r->events[r->count - 1].type, SESSION_EVENT_LOST);
  assert_int_equal(r->events[r->count - 1].code, reason);
  r->count--;
}

static void end_by_transport(struct session_rig *r, enum session_end end) {
  session_rig_lose(r, end);
  assert_int_equal(r->events[r->count - 1].type, SESSION_EVENT_LOST);
  assert_int_equal(r->events[r->count - 1].code, SESSION_LOST_SOCKET);
  r->count--;
}

static void end_disconnected(struct session_rig *r) {
  assert_int_equal(session_state(r->s), SESSION_IDLE);
  assert_int_equal(r->events[r->count - 1].type, SESSION_EVENT_DISCONNECTED);
  r->count--;
}

static void end(struct session_rig *r, const struct cell *c) {
  static const uint8_t publish[] = { 0x30, 4, 0, 1, 'a', 'x' };
  switch (c->way) {
  case FAILED: end_by_transport(r, SESSION_END_FAILED); break;
  case FAILED_WRITE: end_by_transport(r, SESSION_END_WRITE); break;
  case FIN: end_by_transport(r, SESSION_END_CLOSED); break;
  case KEEPALIVE:
    session_rig_tick(r, 60 * SESSION_RIG_S);
    assert_false(session_wants_close(r->s));
    session_rig_tick(r, 30 * SESSION_RIG_S);
    end_by_this_side(r, SESSION_LOST_SOCKET);
    break;
  case MALFORMED:
    session_rig_feed_bytes(r, 0x10, 0);
    end_by_this_side(r, SESSION_LOST_PROTOCOL);
    break;
  case RATE:
    session_rig_feed(r, publish, sizeof publish);
    assert_int_equal(r->events[--r->count].type, SESSION_EVENT_MESSAGE);
    session_rig_feed(r, publish, sizeof publish);
    end_by_this_side(r, SESSION_LOST_RATE);
    break;
  case TOO_LARGE:
    session_rig_feed_bytes(r, 0x30, 0xff, 0xff, 0xff, 0x7f);
    end_by_this_side(r, SESSION_LOST_TOO_LARGE);
    break;
  case DISCONNECT: /* the transport takes no more */
    assert_true(session_disconnect(r->s, r->now_ns));
    session_rig_tick(r, SESSION_DISCONNECT_TIMEOUT_NS);
    assert_true(session_gave_up(r->s));
    session_rig_lose(r, SESSION_END_LOCAL);
    end_disconnected(r);
    break;
  case DISCONNECT_FAILED:
    assert_true(session_disconnect(r->s, r->now_ns));
    session_rig_lose(r, SESSION_END_FAILED);
    end_disconnected(r);
    break;
  default:
    session_close(r->s, r->now_ns);
    session_rig_drain(r);
    break;
  }
  assert_int_equal(session_state(r->s), SESSION_IDLE);
}

/* A broker that acknowledges all there is, until nothing more comes. */
static void serve(struct session_rig *r) {
  while (session_rig_write_all(r)) {
    struct packet p;
    while (session_rig_sent(r, &p)) {
      unsigned type = p.type, qos = p.qos;
      uint16_t id = p.packet_id;
      if (type == SPEC_PUBLISH && qos == 1) session_rig_ack(r, SPEC_PUBACK, id);
      if (type == SPEC_PUBLISH && qos == 2) session_rig_ack(r, SPEC_PUBREC, id);
      if (type == SPEC_PUBREL) session_rig_ack(r, SPEC_PUBCOMP, id);
    }
  }
}

static void go_on(struct session_rig *r, const struct cell *c) {
  if (c->keeping == KEPT_CLOSED) {
    session_close(r->s, r->now_ns);
    session_rig_drain(r);
    return;
  }
  session_rig_begin(r, c->keeping == KEPT_CLEAN_AGAIN, 0);
  session_rig_write_all(r);
  session_rig_forget_sent(r);
  session_rig_feed_bytes(r, 0x20, 2, c->keeping == KEPT_PRESENT, 0);
  serve(r);
}

static void collect(struct session_rig *r, int codes[BEHIND + 1], uint64_t *last) {
  for (size_t i = 0; i < r->count; i++) {
    if (r->events[i].type == SESSION_EVENT_CONNECTED) continue;
    assert_int_equal(r->events[i].type, SESSION_EVENT_RESULT);
    uint64_t user = r->events[i].user;
    assert_int_equal(codes[user], PENDING); /* exactly one */
    codes[user] = r->events[i].code;
    assert_true(user > *last); /* in send order */
    *last = user;
  }
  r->count = 0;
}

static void check_code(const struct cell *c, const char *which, int got, int expected) {
  if (got == expected) return;
  fail_msg("%s: stage %d qos %d way %d keeping %d part %zu: got %d, expected %d", which, (int)c->stage, c->qos,
           (int)c->way, (int)c->keeping, c->part, got, expected);
}

/* What the one behind gets: waiting, or in the output behind a message that the failed write was for or is not. */
static int code_behind(const struct cell *c, bool kept) {
  bool subject_unwritten = c->stage <= PARTLY;
  if (kept) return c->way == CLOSE || c->keeping == KEPT_CLOSED ? -3 : 0;
  return code_of(c->stage == WAITING ? WAITING : ENCODED, 1, c->way, !subject_unwritten);
}

static int code_before(const struct cell *c, bool kept) {
  return kept && c->way != CLOSE && c->keeping == KEPT_PRESENT ? 0 : -11;
}

static void run(const struct cell *c) {
  struct session_rig r;
  struct session_options options = { .in_per_s = 1, .in_burst = 1, .inflight_max = c->stage == WAITING ? 1 : 0 };
  bool kept = c->keeping != CLEAN, blocked = c->stage == WAITING && c->qos == 0;
  int codes[BEHIND + 1] = { PENDING, PENDING, PENDING, PENDING };
  uint64_t last = 0;
  if (blocked) return; /* QoS 0 needs no window: the cell is that of ENCODED */
  session_rig_init(&r, &options);
  session_rig_connect(&r, !kept, false, 60);
  reach(&r, c);
  collect(&r, codes, &last);
  last = 0;
  end(&r, c);
  if (kept && c->way != CLOSE) assert_int_equal(r.count, 0);
  collect(&r, codes, &last);
  last = 0;
  if (kept) go_on(&r, c);
  if (kept && c->keeping == KEPT_CLOSED) collect(&r, codes, &last);
  for (size_t i = 0; i < r.count; i++) { /* completions come as they are acknowledged */
    if (r.events[i].type != SESSION_EVENT_RESULT) continue;
    assert_int_equal(codes[r.events[i].user], PENDING);
    codes[r.events[i].user] = r.events[i].code;
  }
  r.count = 0;
  bool next_to_write = c->stage == ENCODED;
  check_code(c, "before", codes[BEFORE], code_before(c, kept));
  check_code(c, "subject", codes[SUBJECT], kept ? code_of_kept(c) : code_of(c->stage, c->qos, c->way, next_to_write));
  check_code(c, "behind", codes[BEHIND], code_behind(c, kept));
  struct session_stats stats = session_stats(r.s);
  assert_int_equal(stats.inflight + stats.buffered + stats.ids_used, 0);
  session_close(r.s, r.now_ns);
  session_rig_drain(&r);
  assert_true(r.count == 0 || r.events[0].type != SESSION_EVENT_RESULT);
  session_rig_fini(&r);
}

static void test_every_cell(void **state) {
  (void)state;
  for (int stage = 0; stage < STAGES; stage++)
    for (uint8_t qos = 0; qos < 3; qos++)
      for (int way = 0; way < WAYS; way++)
        for (int keeping = 0; keeping < KEEPINGS; keeping++) {
          if (stage == RELEASED && qos != 2) continue;
          size_t parts = stage == PARTLY ? size_of(qos) - 1 : 1;
          for (size_t part = 1; part <= parts; part++)
            run(&(struct cell){ (enum stage)stage, qos, (enum way)way, (enum keeping)keeping, part });
        }
}

/* DISCONNECT and its DISCONNECTED: what is encoded goes out first, what waits does not. */
static void test_disconnect_goes_behind_what_is_encoded(void **state) {
  (void)state;
  struct session_rig r;
  session_rig_init(&r, &(struct session_options){ .inflight_max = 1 });
  session_rig_connect(&r, true, false, 0);
  session_rig_publish(&r, 0, 1);
  session_rig_publish(&r, 1, 2);
  session_rig_publish(&r, 1, 3);
  assert_true(session_disconnect(r.s, 0));
  assert_false(session_disconnect(r.s, 0));
  assert_int_equal(session_publish(r.s, &(struct session_publish){ .topic = slice_text("a") }, 0, NULL),
                   SESSION_NOT_CONNECTED);
  assert_false(session_wants_close(r.s));
  session_rig_write_all(&r);
  assert_true(session_wants_close(r.s));
  assert_false(session_gave_up(r.s));
  session_rig_expect_sent(&r, SPEC_PUBLISH, 0);
  session_rig_expect_sent(&r, SPEC_PUBLISH, 1);
  session_rig_expect_sent(&r, SPEC_DISCONNECT, 0);
  session_rig_lose(&r, SESSION_END_LOCAL);
  session_rig_result(&r, 1, 0);
  session_rig_result(&r, 2, -11);
  session_rig_result(&r, 3, -3);
  assert_int_equal(session_state(r.s), SESSION_IDLE);
  session_rig_code(&r, SESSION_EVENT_DISCONNECTED, 0);
  session_rig_quiet(&r);
  session_rig_fini(&r);
}

/* In flight again in the original order, with DUP and the same identifiers, before what is new; QoS 0 without DUP. */
static void test_resumption_order(void **state) {
  static const uint8_t qos[] = { 1, 2, 2, 1 };
  static const struct {
    unsigned type, packet_id, dup;
  } rows[] = { { SPEC_PUBLISH, 1, 1 }, { SPEC_PUBLISH, 2, 1 }, { SPEC_PUBREL, 3, 0 }, { SPEC_PUBLISH, 4, 1 },
               { SPEC_PUBLISH, 0, 0 }, { SPEC_PUBLISH, 5, 0 }, { SPEC_PUBLISH, 0, 0 } };
  struct session_rig r;
  struct packet p;
  (void)state;
  session_rig_init(&r, NULL);
  session_rig_connect(&r, false, false, 0);
  for (uint64_t user = 1; user <= 4; user++) session_rig_publish(&r, qos[user - 1], user);
  session_rig_write_all(&r);
  session_rig_ack(&r, SPEC_PUBREC, 3);
  session_rig_write_all(&r);
  session_rig_publish(&r, 0, 5);
  session_rig_publish(&r, 1, 6);
  session_rig_write(&r, 3); /* cuts the QoS 0 */
  assert_int_equal(session_partial_out(r.s).size, 3);
  session_rig_lose(&r, SESSION_END_FAILED);
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  session_rig_quiet(&r);
  assert_int_equal(session_stats(r.s).inflight, 4);
  assert_int_equal(session_stats(r.s).buffered, 2);
  for (int again = 0; again < 2; again++) { /* cut while resuming, and then once more */
    session_rig_connect(&r, false, true, 0);
    session_rig_write(&r, again ? SIZE_MAX : 30);
    if (!again) session_rig_lose(&r, SESSION_END_CLOSED);
    if (!again) session_rig_code(&r, SESSION_EVENT_LOST, -1);
  }
  session_rig_forget_sent(&r);
  session_rig_result(&r, 5, 0);
  session_rig_lose(&r, SESSION_END_FAILED);
  session_rig_code(&r, SESSION_EVENT_LOST, -1);
  session_rig_connect(&r, false, true, 0);
  session_rig_publish(&r, 0, 7);
  session_rig_write_all(&r);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (i == 4) continue; /* the QoS 0 has gone */
    assert_true(session_rig_sent(&r, &p));
    assert_int_equal(p.type, rows[i].type);
    assert_int_equal(p.packet_id, rows[i].packet_id);
    assert_int_equal(p.dup, rows[i].dup || i == 5); /* by now the last but one was handed over as well */
  }
  assert_false(session_rig_sent(&r, &p));
  session_rig_result(&r, 7, 0);
  session_rig_fini(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_cell),
    cmocka_unit_test(test_disconnect_goes_behind_what_is_encoded),
    cmocka_unit_test(test_resumption_order),
  };
  return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
