#include "worldrig.h"

#include <stdio.h>
#include <unistd.h>

#include "net/chain.h"

/* How connections end, on every driver of the seam; all else is in seam_test.c. */

/* Seven bytes, then a reset at once: seven bytes arrive, then the reset. Also when reading is late. */
static void test_reset_after_bytes(void **state) {
  (void)state;
  for (int late = 0; late < 2; late++) {
    struct seat s;
    struct porter *p = seat_pair(&s);
    if (late) stream_pause(s.stream, true);
    buffer_append(&p->seats[0].out, slice_text("1234567"));
    stream_flush(p->seats[0].stream);
    stream_reset(p->seats[0].stream);
    p->seats[0].stream = NULL;
    if (late) {
      settle();
      turns = 0;
      settle();
      assert_true(turns < 3);
      assert_int_equal(s.inputs + s.ends, 0);
      stream_pause(s.stream, false);
    }
    UNTIL(s.ends);
    assert_int_equal(seat_got(&s), 7);
    assert_int_equal(s.end, STREAM_RESET);
    assert_false(s.writing);
    turns = 0;
    turns_for(2 * MS);
    assert_true(turns < 3);
    seat_fini(&s);
    porter_close(p);
  }
}

/* Megabytes, then a reset: what was not sent yet is gone. */
static void test_reset_loses_unsent(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  stream_pause(s.stream, true);
  seat_write(&p->seats[0], pattern, 3900000);
  settle();
  stream_reset(p->seats[0].stream);
  p->seats[0].stream = NULL;
  settle();
  stream_pause(s.stream, false);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  assert_true(seat_got(&s) > 0 && seat_got(&s) < 3900000);
  seat_fini(&s);
  porter_close(p);
}

/* It is a write that finds the reset: what had come is handed over first, and nothing is told inside stream_flush. */
static void test_write_finds_reset(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  stream_pause(s.stream, true);
  seat_send(&p->seats[0], "1234567");
  settle();
  stream_reset(p->seats[0].stream);
  p->seats[0].stream = NULL;
  settle();
  buffer_append(&s.out, slice_text("a message"));
  stream_flush(s.stream);
  stream_flush(s.stream);
  stream_want_write(s.stream);
  assert_int_equal(buffer_size(&s.out), 9);
  assert_int_equal(s.ends, 0);
  settle();
  assert_int_equal(s.inputs + s.ends, 0);
  stream_pause(s.stream, false);
  UNTIL(s.ends);
  assert_int_equal(seat_got(&s), 7);
  assert_int_equal(s.end, STREAM_RESET);
  assert_true(s.writing);
  assert_non_null(strstr(s.why.text, "writing to 127.0.0.1:"));
  seat_fini(&s);
  porter_close(p);
}

/* Closed with bytes unread: what was written before is read, then the reset. */
static void test_close_unread(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  struct seat *other = &p->seats[0];
  stream_pause(other->stream, true);
  seat_send(&s, "unread");
  settle();
  seat_send(other, "last words");
  settle();
  stream_close(other->stream);
  other->stream = NULL;
  UNTIL(s.ends);
  assert_int_equal(seat_got(&s), 10);
  assert_int_equal(s.fins, 0);
  assert_int_equal(s.end, STREAM_RESET);
  seat_fini(&s);
  porter_close(p);
}

/* FIN from the other end: this one stays writable, nothing turns, and a reset behind it is still noticed. */
static void test_half_close(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  struct seat *other = &p->seats[0];
  seat_send(other, "last");
  settle();
  stream_shutdown(other->stream);
  UNTIL(s.fins);
  assert_int_equal(seat_got(&s), 4);
  turns_for(MS);
  turns = 0;
  turns_for(5 * MS);
  assert_true(turns < 4);
  seat_send(&s, "answer");
  UNTIL(seat_got(other) == 6);
  seat_send(other, "never written");
  settle();
  assert_int_equal(seat_got(&s), 4);
  stream_reset(other->stream);
  other->stream = NULL;
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  assert_int_equal(s.fins, 1);
  seat_fini(&s);
  porter_close(p);
}

/* FIN from here, then theirs: nothing more is told, and nothing turns. */
static void test_both_closed(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  stream_shutdown(s.stream);
  UNTIL(p->seats[0].fins);
  stream_close(p->seats[0].stream);
  p->seats[0].stream = NULL;
  UNTIL(s.fins);
  turns_for(MS);
  turns = 0;
  turns_for(5 * MS);
  assert_true(turns < 4);
  assert_int_equal(s.ends, 0);
  seat_fini(&s);
  porter_close(p);
}

/* Their FIN is told before a reset that came behind it, however late; not where a write has met the reset. */
static void test_reset_behind_fin(void **state) {
  (void)state;
  for (int writes = 0; writes < 2; writes++) {
    struct seat s;
    struct porter *p = seat_pair(&s);
    stream_pause(s.stream, true);
    seat_send(&p->seats[0], "last");
    settle();
    stream_close(p->seats[0].stream);
    p->seats[0].stream = NULL;
    settle();
    seat_send(&s, "to nobody");
    settle();
    if (writes) seat_send(&s, "again");
    settle();
    stream_pause(s.stream, false);
    UNTIL(s.ends);
    assert_int_equal(seat_got(&s), 4);
    assert_int_equal(s.fins, !writes);
    assert_int_equal(s.end, STREAM_RESET);
    assert_int_equal(s.writing, writes);
    seat_fini(&s);
    porter_close(p);
  }
}

/* A large write behind their FIN gets through too. */
static void test_write_after_fin(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  fill_pattern();
  stream_shutdown(p->seats[0].stream);
  UNTIL(s.fins);
  stream_set_buffers(s.stream, 65536, 0);
  seat_write(&s, pattern, sizeof pattern);
  UNTIL(seat_got(&p->seats[0]) == sizeof pattern);
  assert_memory_equal(buffer_slice(&p->seats[0].in).data, pattern, sizeof pattern);
  seat_fini(&s);
  porter_close(p);
}

/* Who writes to somebody who has closed: the first write succeeds, the next fails. */
static void test_write_to_closed(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  stream_close(p->seats[0].stream);
  p->seats[0].stream = NULL;
  UNTIL(s.fins);
  stream_pause(s.stream, true);
  seat_send(&s, "first");
  turn(net_now(world));
  assert_int_equal(buffer_size(&s.out), 0);
  settle();
  assert_int_equal(s.ends, 0);
  seat_send(&s, "second");
  settle();
  assert_int_equal(buffer_size(&s.out), 6);
  stream_pause(s.stream, false);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_RESET);
  assert_true(s.writing);
  assert_non_null(strstr(s.why.text, "Broken pipe"));
  seat_fini(&s);
  porter_close(p);
}

/* Over a Unix socket already the first write fails; what had come is handed over before that is told. */
static void test_unix_write_to_closed(void **state) {
  (void)state;
  char url[100];
  struct seat s;
  snprintf(url, sizeof url, "unix:///tmp/seamend_test.%d", (int)getpid());
  struct porter *p = porter_open(url);
  net_listener_pause(p->listener, true);
  seat_connect(&s, url, 5000 * MS);
  UNTIL(s.opened);
  seat_send(&s, "early");
  UNTIL(buffer_size(&s.out) == 0);
  net_listener_pause(p->listener, false);
  UNTIL(p->count == 1 && seat_got(&p->seats[0]) == 5);
  stream_pause(s.stream, true);
  seat_send(&p->seats[0], "last words");
  settle();
  stream_close(p->seats[0].stream);
  p->seats[0].stream = NULL;
  settle();
  seat_send(&s, "first");
  settle();
  assert_int_equal(buffer_size(&s.out), 5);
  stream_pause(s.stream, false);
  UNTIL(s.ends);
  assert_int_equal(seat_got(&s), 10);
  assert_int_equal(s.end, STREAM_RESET);
  assert_true(s.writing);
  assert_non_null(strstr(s.why.text, "Broken pipe"));
  seat_fini(&s);
  porter_close(p);
}

/* Closed in order: what the transport took arrives, also when it takes its time. */
static void test_close_delivers(void **state) {
  (void)state;
  struct seat s;
  struct porter *p = seat_pair(&s);
  fill_pattern();
  stream_pause(p->seats[0].stream, true);
  seat_write(&s, pattern, 1000000);
  UNTIL(buffer_size(&s.out) == 0);
  stream_close(s.stream);
  s.stream = NULL;
  settle();
  stream_pause(p->seats[0].stream, false);
  UNTIL(p->seats[0].fins);
  assert_int_equal(seat_got(&p->seats[0]), 1000000);
  assert_memory_equal(buffer_slice(&p->seats[0].in).data, pattern, 1000000);
  assert_int_equal(p->seats[0].ends, 0);
  seat_fini(&s);
  porter_close(p);
}

/* Vanished: what was written before is read, and then not even a write is answered. */
static void test_vanish(void **state) {
  (void)state;
  struct seat s;
  struct err why = { "" }, err = { "" };
  struct porter *p = seat_pair(&s);
  struct seat *other = &p->seats[0];
  seat_send(other, "1234567");
  UNTIL(seat_got(&s) == 7);
  bool can = net_can_vanish(world, &why);
  bool did = stream_vanish(other->stream, &err);
  assert_int_equal(can, did);
  assert_string_equal(why.text, err.text);
  if (did) {
    other->stream = NULL;
    seat_send(&s, "x");
    settle();
    seat_send(&s, "y");
    settle();
    assert_int_equal(buffer_size(&s.out), 0);
    assert_int_equal(s.fins + s.ends, 0);
    assert_int_equal(stream_unsent(s.stream), 2);
  } else {
    assert_false(is_virtual);
    assert_non_null(strstr(why.text, "CAP_NET_ADMIN"));
  }
  seat_fini(&s);
  porter_close(p);
}

/* Through a chain: what was written is read at the other end before the reset. */
static void test_chain_reset(void **state) {
  (void)state;
  static uint8_t bytes[70000];
  for (size_t size = 7; size <= sizeof bytes; size += 69993) {
    struct seat s;
    struct porter *p = porter_open("tcp://127.0.0.1:0");
    struct url u = url_of(p->url);
    seat_init(&s);
    struct chain *c = chain_new(world, &seat_handler, &s);
    s.stream = net_connect(world, &u, 5000 * MS, NULL, NULL, &s.why);
    chain_attach(c, s.stream);
    UNTIL(s.opened && p->count);
    buffer_append(&s.out, slice_of(bytes, size));
    chain_flush(c);
    assert_int_equal(buffer_size(&s.out), 0);
    chain_reset(c);
    assert_int_equal(s.ends, 0);
    UNTIL(s.ends && p->seats[0].ends);
    assert_int_equal(s.end, STREAM_RESET);
    assert_null(chain_stream(c));
    assert_int_equal(seat_got(&p->seats[0]), size);
    assert_int_equal(p->seats[0].end, STREAM_RESET);
    chain_free(c);
    s.stream = NULL;
    seat_fini(&s);
    porter_close(p);
  }
}

/* Closing inside every handler, alone and together with another stream that is ready too. */
static void test_close_anywhere(void **state) {
  (void)state;
  for (const char *in = "oiOwe"; *in; in++) {
    for (int kind = 0; kind < 4; kind++) {
      struct porter *p = porter_open("tcp://127.0.0.1:0");
      struct seat s[2];
      for (int i = 0; i < 2; i++) {
        seat_connect(&s[i], p->url, 5000 * MS);
        s[i].close_in = *in;
        if (kind & 1) s[i].victim = &s[1 - i];
        buffer_append(&s[i].out, slice_text("output"));
      }
      for (size_t i = 0, done = 0; done < 2; turn(net_now(world) + MS)) {
        for (; i < p->count; i++) seat_send(&p->seats[i], "input");
        for (size_t k = 0; k < p->count; k++) {
          struct stream *stream = p->seats[k].stream;
          if (!stream || buffer_size(&p->seats[k].out)) continue;
          if (kind & 2) stream_reset(stream);
          else stream_close(stream);
          p->seats[k].stream = NULL;
        }
        done = 0;
        for (int k = 0; k < 2; k++) done += !s[k].stream || s[k].ends || s[k].fins;
      }
      for (int i = 0; i < 2; i++) seat_fini(&s[i]);
      porter_close(p);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WORLDRIG_BOTH(test_reset_after_bytes), WORLDRIG_BOTH(test_reset_loses_unsent),
    WORLDRIG_BOTH(test_write_finds_reset), WORLDRIG_BOTH(test_close_unread),
    WORLDRIG_BOTH(test_half_close),        WORLDRIG_BOTH(test_both_closed),
    WORLDRIG_BOTH(test_reset_behind_fin),  WORLDRIG_BOTH(test_write_after_fin),
    WORLDRIG_BOTH(test_write_to_closed),   WORLDRIG_BOTH(test_unix_write_to_closed),
    WORLDRIG_BOTH(test_close_delivers),    WORLDRIG_BOTH(test_vanish),
    WORLDRIG_BOTH(test_chain_reset),       WORLDRIG_BOTH(test_close_anywhere),
  };
  return cmocka_run_group_tests_name("seamend", tests, NULL, NULL);
}
