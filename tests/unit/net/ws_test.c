#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/ws.h"

/* Both ends in memory, each a filter without a chain; a test moves the bytes. */

#define WIRE_MAX (4u << 20)

struct end {
  struct filter *f;
  struct buffer got; /* by its owner */
};

static void end_init(struct end *e, bool server, const struct ws_options *options) {
  static const struct ws_options none;
  e->f = ws_new(server, options ? options : &none);
  buffer_init(&e->got, WIRE_MAX);
}

static void end_fini(struct end *e) {
  e->f->ops->free(e->f);
  buffer_fini(&e->got);
}

/* Gives the owner what is for it. */
static void end_deliver(struct end *e) {
  struct slice in = e->f->ops->give(e->f, CHAIN_IN, 0);
  buffer_append(&e->got, in);
  e->f->ops->gave(e->f, CHAIN_IN, in.size, 0);
}

/* All of the bytes, in pieces. */
static void end_feed(struct end *e, struct slice bytes, size_t piece) {
  while (bytes.size) {
    struct slice part = slice_first(bytes, piece);
    size_t n = e->f->ops->take(e->f, CHAIN_IN, part, 0);
    end_deliver(e);
    bytes = slice_from(bytes, n);
  }
}

/* What is on its way out, moved to `wire`. */
static void end_pull(struct end *e, struct buffer *wire) {
  for (;;) {
    struct slice out = e->f->ops->give(e->f, CHAIN_OUT, 0);
    if (!out.size) return;
    assert_true(buffer_append(wire, out));
    e->f->ops->gave(e->f, CHAIN_OUT, out.size, 0);
  }
}

static void end_pass(struct end *from, struct end *to) {
  struct buffer wire;
  buffer_init(&wire, WIRE_MAX);
  end_pull(from, &wire);
  end_feed(to, buffer_slice(&wire), SIZE_MAX);
  buffer_fini(&wire);
}

/* The owner's bytes, taken as they go on. */
static void end_write(struct end *e, struct slice bytes, struct buffer *wire) {
  while (bytes.size) {
    assert_int_equal(e->f->ops->take(e->f, CHAIN_OUT, bytes, 0), 0);
    end_pull(e, wire);
    size_t n = e->f->ops->take(e->f, CHAIN_OUT, bytes, 0);
    assert_true(n > 0);
    bytes = slice_from(bytes, n);
  }
}

struct pair {
  struct end client, server;
};

static void pair_init(struct pair *p, const struct ws_options *client, const struct ws_options *server) {
  end_init(&p->client, false, client);
  end_init(&p->server, true, server);
}

static void pair_open(struct pair *p) {
  end_pass(&p->client, &p->server);
  end_pass(&p->server, &p->client);
}

static void pair_fini(struct pair *p) {
  end_fini(&p->client);
  end_fini(&p->server);
}

static void assert_got(struct end *e, const char *text) {
  assert_true(slice_equal(buffer_slice(&e->got), slice_text(text)));
}

static enum chain_end end_in(struct end *e) {
  return e->f->ops->ends(e->f, CHAIN_IN);
}

/* Nothing is taken before the handshake is through; then it is taken and arrives. */
static void test_open(void **state) {
  (void)state;
  struct pair p;
  struct buffer wire;
  pair_init(&p, NULL, NULL);
  buffer_init(&wire, WIRE_MAX);
  struct filter *c = p.client.f;
  assert_int_equal(c->ops->take(c, CHAIN_OUT, slice_text("early"), 0), 0);
  end_pass(&p.client, &p.server);
  assert_int_equal(c->ops->take(c, CHAIN_OUT, slice_text("early"), 0), 0);
  end_pass(&p.server, &p.client);
  end_write(&p.client, slice_text("up"), &wire);
  assert_int_equal(buffer_size(&wire), 2 + 4 + 2);
  assert_memory_equal(buffer_slice(&wire).data, "\x82\x82", 2);
  end_feed(&p.server, buffer_slice(&wire), SIZE_MAX);
  assert_got(&p.server, "up");
  buffer_consume(&wire, buffer_size(&wire));
  end_write(&p.server, slice_text("down"), &wire);
  assert_true(slice_equal(buffer_slice(&wire), slice_of("\x82\x04"
                                                        "down",
                                                        6)));
  buffer_fini(&wire);
  pair_fini(&p);
}

/* A conversation: the head, and frames of every length of header, fragments, a ping between them. */
static void converse(struct buffer *wire, struct buffer *said, bool server) {
  struct pair p;
  static const size_t sizes[] = { 0, 1, 125, 126, 127, 300 };
  uint8_t bytes[300];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
  pair_init(&p, NULL, NULL);
  struct end *from = server ? &p.server : &p.client;
  if (server) end_pass(&p.client, &p.server);
  end_pull(from, wire);
  if (server) end_feed(&p.client, buffer_slice(wire), SIZE_MAX);
  else end_feed(&p.server, buffer_slice(wire), SIZE_MAX), end_pass(&p.server, &p.client);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct slice part = slice_of(bytes, sizes[i]);
    struct ws_frame begin = { .opcode = WS_BINARY, .payload = slice_first(part, 5) };
    struct ws_frame ping = { .opcode = WS_PING, .fin = true, .payload = slice_first(part, 3) };
    struct ws_frame rest = { .opcode = WS_CONTINUATION, .fin = true, .payload = part };
    assert_true(ws_send(from->f, &begin, NULL) && ws_send(from->f, &ping, NULL) && ws_send(from->f, &rest, NULL));
    end_pull(from, wire);
    end_write(from, part, wire);
    buffer_append(said, begin.payload);
    buffer_append(said, part);
    buffer_append(said, part);
  }
  pair_fini(&p);
}

/* The other end of that conversation: its handshake comes from an own seed of 0, so the keys are the same. */
static void listen_to(struct slice wire, bool server, size_t cut, size_t piece, struct slice said) {
  struct pair p;
  pair_init(&p, NULL, NULL);
  if (server) end_pass(&p.client, &p.server);
  struct end *to = server ? &p.client : &p.server;
  end_feed(to, slice_first(wire, cut), piece);
  end_feed(to, slice_from(wire, cut), piece);
  assert_int_equal(end_in(to), CHAIN_NONE);
  assert_true(slice_equal(buffer_slice(&to->got), said));
  pair_fini(&p);
}

/* Cut anywhere, the same arrives. */
static void test_every_cut(void **state) {
  (void)state;
  for (int server = 0; server < 2; server++) {
    struct buffer wire, said;
    buffer_init(&wire, WIRE_MAX);
    buffer_init(&said, WIRE_MAX);
    converse(&wire, &said, server);
    for (size_t cut = 0; cut <= buffer_size(&wire); cut++) {
      listen_to(buffer_slice(&wire), server, cut, SIZE_MAX, buffer_slice(&said));
    }
    for (size_t piece = 1; piece < 20; piece++) {
      listen_to(buffer_slice(&wire), server, 0, piece, buffer_slice(&said));
    }
    buffer_fini(&wire);
    buffer_fini(&said);
  }
}

/* A megabyte in frames of at most WS_FRAME_OUT bytes, read by an owner that takes nothing for a while. */
static void test_large(void **state) {
  (void)state;
  struct pair p;
  struct buffer wire;
  size_t size = 1u << 20;
  uint8_t *bytes = mem_zero(size);
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i >> 8 ^ i);
  pair_init(&p, NULL, NULL);
  pair_open(&p);
  buffer_init(&wire, WIRE_MAX);
  end_write(&p.client, slice_of(bytes, size), &wire);
  assert_int_equal(buffer_size(&wire), size + size / WS_FRAME_OUT * 14);
  struct slice rest = buffer_slice(&wire);
  struct filter *s = p.server.f;
  while (rest.size) {
    size_t n = s->ops->take(s, CHAIN_IN, rest, 0);
    struct slice in = s->ops->give(s, CHAIN_IN, 0);
    assert_true(in.size <= WS_IN_MAX + 4096);
    if (n == 0) end_deliver(&p.server);
    rest = slice_from(rest, n);
  }
  end_deliver(&p.server);
  assert_true(slice_equal(buffer_slice(&p.server.got), slice_of(bytes, size)));
  buffer_fini(&wire);
  pair_fini(&p);
  free(bytes);
}

/* What is in a frame is taken as it goes on, byte by byte; what was sent of a script between does not count; and all of
 * it when it has to be settled. */
static void test_taken(void **state) {
  (void)state;
  struct slice bytes = slice_text("hello, and more");
  for (int settle = 0; settle < 2; settle++) {
    for (size_t piece = 1; piece < 25; piece++) {
      struct pair p;
      pair_init(&p, NULL, NULL);
      pair_open(&p);
      struct filter *c = p.client.f;
      size_t gone = 0, taken = 0, whole = 6 + bytes.size;
      assert_int_equal(c->ops->take(c, CHAIN_OUT, bytes, 0), 0);
      assert_true(ws_send(c, &(struct ws_frame){ .opcode = WS_PING, .fin = true }, NULL));
      while (c->ops->give(c, CHAIN_OUT, 0).size) {
        size_t n = slice_first(c->ops->give(c, CHAIN_OUT, 0), piece).size;
        c->ops->gave(c, CHAIN_OUT, n, 0);
        gone += n;
        c->settle = settle;
        if (taken < bytes.size) taken += c->ops->take(c, CHAIN_OUT, slice_from(bytes, taken), 0);
        c->settle = false;
        size_t due = gone < 6 ? 0 : gone < whole ? gone - 6 : bytes.size;
        assert_int_equal(taken, settle ? bytes.size : due);
      }
      assert_int_equal(taken, bytes.size);
      pair_fini(&p);
    }
  }
}

/* Keys and masks come of the seed. */
static void test_seed(void **state) {
  (void)state;
  struct buffer wires[3];
  for (int i = 0; i < 3; i++) {
    struct pair p;
    buffer_init(&wires[i], WIRE_MAX);
    pair_init(&p, &(struct ws_options){ .seed = i / 2 }, NULL);
    end_pull(&p.client, &wires[i]);
    end_feed(&p.server, buffer_slice(&wires[i]), SIZE_MAX);
    end_pass(&p.server, &p.client);
    end_write(&p.client, slice_text("masked"), &wires[i]);
    pair_fini(&p);
  }
  assert_true(slice_equal(buffer_slice(&wires[0]), buffer_slice(&wires[1])));
  assert_false(slice_equal(buffer_slice(&wires[0]), buffer_slice(&wires[2])));
  for (int i = 0; i < 3; i++) buffer_fini(&wires[i]);
}

struct breach {
  struct ws_frame frames[3];
  unsigned code;
  const char *why;
};

#define FRAME(o, f)                                                                                                    \
  {                                                                                                                    \
    .opcode = (o), .fin = (f), .payload = {(const uint8_t *)"abc", 3 }                                                 \
  }

/* The code that stands in the Close which this end sends, 0: none. */
static unsigned sent_code(struct end *e) {
  struct buffer wire;
  buffer_init(&wire, WIRE_MAX);
  end_pull(e, &wire);
  struct slice out = buffer_slice(&wire);
  unsigned code = 0;
  if (out.size >= 4 && out.data[0] == 0x88 && (out.data[1] & 0x7f)) {
    const uint8_t *payload = out.data + (out.data[1] & 0x80 ? 6 : 2), *mask = out.data + 2;
    bool masked = out.data[1] & 0x80;
    code = (payload[0] ^ (masked ? mask[0] : 0u)) * 256u + (payload[1] ^ (masked ? mask[1] : 0u));
  }
  buffer_fini(&wire);
  return code;
}

/* Each breach, either way: answered with its code, and told in a sentence once the Close is on its way. */
static void test_breaches(void **state) {
  (void)state;
  static const struct breach rows[] = {
    { { FRAME(WS_TEXT, true) }, 1003, "a WebSocket text frame from the" },
    { { FRAME(WS_CONTINUATION, true) }, 1002, "continuation of nothing" },
    { { FRAME(WS_BINARY, false), FRAME(WS_BINARY, true) }, 1002, "a new WebSocket message within a fragmented one" },
    { { FRAME(3, true) }, 1002, "reserved kind 3" },
    { { FRAME(11, true) }, 1002, "reserved kind 11" },
    { { { .opcode = WS_BINARY, .fin = true, .rsv = 4 } }, 1002, "reserved bits" },
    { { { .opcode = WS_BINARY, .fin = true, .unusual_mask = true } }, 1002, "masked WebSocket frame from the" },
    { { { .opcode = WS_BINARY, .fin = true, .payload = { (const uint8_t *)"0123456789a", 11 } } },
      1009,
      "a WebSocket frame of 11 bytes" },
    { { { .opcode = WS_CLOSE, .fin = true, .payload = { (const uint8_t *)"\x03", 1 } } }, 1002, "bad code" },
    { { { .opcode = WS_CLOSE, .fin = true, .payload = { (const uint8_t *)"\x03\xed", 2 } } }, 1002, "bad code" },
    { { { .opcode = WS_CLOSE, .fin = true, .payload = { (const uint8_t *)"\x03\xe8 \xff", 4 } } }, 1007, "not UTF-8" },
    { { { .opcode = WS_CLOSE, .fin = true, .payload = { (const uint8_t *)"\x03\xe8\xc3", 3 } } }, 1007, "not UTF-8" },
  };
  for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
    const struct breach *b = &rows[i / 2];
    struct ws_options o = { .frame_in_max = 10 };
    struct pair p;
    pair_init(&p, &o, &o);
    pair_open(&p);
    struct end *from = i % 2 ? &p.server : &p.client, *to = i % 2 ? &p.client : &p.server;
    for (int k = 0; k < 3 && (b->frames[k].fin || b->frames[k].payload.size); k++) {
      assert_true(ws_send(from->f, &b->frames[k], NULL));
    }
    end_pass(from, to);
    assert_int_equal(end_in(to), CHAIN_NONE);
    assert_int_equal(sent_code(to), b->code);
    assert_int_equal(end_in(to), CHAIN_RESET);
    assert_int_equal(to->f->how, STREAM_FAILED);
    if (!strstr(to->f->why, b->why)) fail_msg("%s: %s", b->why, to->f->why);
    pair_fini(&p);
  }
}

/* What no codec would make: a control frame in pieces, a length not in its shortest form. */
static void test_malformed(void **state) {
  (void)state;
  static const char *const rows[] = { "\x09\x01x", "\x89\x7e\x01\x00", "\x82\x7e\x00\x05hello",
                                      "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00" };
  static const size_t sizes[] = { 3, 4, 9, 10 };
  for (size_t i = 0; i < 4; i++) {
    struct pair p;
    pair_init(&p, NULL, NULL);
    pair_open(&p);
    assert_true(ws_send_bytes(p.server.f, slice_of(rows[i], sizes[i]), NULL));
    end_pass(&p.server, &p.client);
    assert_int_equal(sent_code(&p.client), 1002);
    assert_string_equal(p.client.f->why, "a malformed WebSocket frame from the server");
    pair_fini(&p);
  }
}

/* A failure does not wait for ever for its Close to go out. */
static void test_parting(void **state) {
  (void)state;
  struct pair p;
  pair_init(&p, NULL, NULL);
  pair_open(&p);
  assert_true(ws_send(p.server.f, &(struct ws_frame){ .opcode = WS_TEXT, .fin = true }, NULL));
  end_pass(&p.server, &p.client);
  struct filter *c = p.client.f;
  assert_int_equal(end_in(&p.client), CHAIN_NONE);
  assert_int_equal(c->ops->deadline(c), WS_PARTING_NS);
  c->ops->tick(c, WS_PARTING_NS);
  assert_int_equal(end_in(&p.client), CHAIN_RESET);
  assert_int_equal(c->ops->deadline(c), NET_NEVER);
  pair_fini(&p);
}

/* A Close is the end of what comes, its code the reason; what this end writes on still goes out, with its own Close. */
static void test_close(void **state) {
  (void)state;
  static const struct {
    struct slice payload;
    const char *why;
    unsigned code; /* of the answer; 0: none */
  } rows[] = {
    { { NULL, 0 }, "closed by the other end: WebSocket Close 1005 (no code)", 0 },
    { { (const uint8_t *)"\x03\xe8", 2 }, "closed by the other end: WebSocket Close 1000 (normal closure)", 1000 },
    { { (const uint8_t *)"\x03\xf1too\nbig", 9 },
      "closed by the other end: WebSocket Close 1009 (message too big): too?big",
      1009 },
    { { (const uint8_t *)"\x0f\xa0", 2 }, "closed by the other end: WebSocket Close 4000 (private)", 4000 },
    { { (const uint8_t *)"\x0f\xa0\xc3\xa4\0", 5 },
      "closed by the other end: WebSocket Close 4000 (private): \xc3\xa4?",
      4000 },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct pair p;
    struct buffer wire;
    struct ws_frame data = FRAME(WS_BINARY, true);
    struct ws_frame close = { .opcode = WS_CLOSE, .fin = true, .payload = rows[i].payload };
    pair_init(&p, NULL, NULL);
    pair_open(&p);
    buffer_init(&wire, WIRE_MAX);
    assert_true(ws_send(p.server.f, &data, NULL) && ws_send(p.server.f, &close, NULL));
    assert_true(ws_send(p.server.f, &data, NULL));
    end_pass(&p.server, &p.client);
    assert_got(&p.client, "abc");
    assert_int_equal(end_in(&p.client), CHAIN_FIN);
    assert_int_equal(p.client.f->how, STREAM_FIN);
    assert_string_equal(p.client.f->why, rows[i].why);
    end_write(&p.client, slice_text("still"), &wire);
    end_feed(&p.server, buffer_slice(&wire), SIZE_MAX);
    assert_got(&p.server, "still");
    p.client.f->ops->end(p.client.f, CHAIN_OUT, CHAIN_CLOSE, 0);
    assert_int_equal(p.client.f->ops->ends(p.client.f, CHAIN_OUT), CHAIN_NONE);
    assert_int_equal(sent_code(&p.client), rows[i].code);
    assert_int_equal(p.client.f->ops->ends(p.client.f, CHAIN_OUT), CHAIN_CLOSE);
    buffer_fini(&wire);
    pair_fini(&p);
  }
}

/* The stream ends: in the handshake that is a failure, later an end without a Close; a reset stays one. */
static void test_stream_ends(void **state) {
  (void)state;
  struct pair p;
  pair_init(&p, NULL, NULL);
  p.client.f->ops->end(p.client.f, CHAIN_IN, CHAIN_FIN, 0);
  end_pass(&p.client, &p.server);
  assert_int_equal(end_in(&p.client), CHAIN_RESET);
  assert_string_equal(p.client.f->why, "closed by the other end during the WebSocket handshake");
  pair_fini(&p);
  pair_init(&p, NULL, NULL);
  pair_open(&p);
  p.client.f->ops->end(p.client.f, CHAIN_IN, CHAIN_FIN, 0);
  assert_int_equal(end_in(&p.client), CHAIN_FIN);
  assert_string_equal(p.client.f->why, "closed by the other end, without a WebSocket Close");
  p.server.f->ops->end(p.server.f, CHAIN_IN, CHAIN_RESET, 0);
  assert_int_equal(end_in(&p.server), CHAIN_RESET);
  assert_null(p.server.f->why);
  p.server.f->ops->end(p.server.f, CHAIN_OUT, CHAIN_RESET, 0);
  assert_int_equal(p.server.f->ops->ends(p.server.f, CHAIN_OUT), CHAIN_RESET);
  assert_int_equal(sent_code(&p.server), 0);
  pair_fini(&p);
}

/* Pings are answered with what they carry, within a bound when the answers are not read: then the newest comes last. */
static void test_pings(void **state) {
  (void)state;
  struct pair p;
  struct buffer wire;
  size_t answers = 0;
  char text[WS_CONTROL_MAX + 1] = "";
  pair_init(&p, NULL, NULL);
  pair_open(&p);
  buffer_init(&wire, WIRE_MAX);
  for (int i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "%0*d", WS_CONTROL_MAX, i);
    struct ws_frame ping = { .opcode = WS_PING, .fin = true, .payload = slice_text(text) };
    assert_true(ws_send(p.client.f, &ping, NULL));
  }
  end_pass(&p.client, &p.server);
  assert_true(p.server.f->ops->give(p.server.f, CHAIN_OUT, 0).size <= WS_PONGS_MAX);
  end_pull(&p.server, &wire);
  for (struct slice rest = buffer_slice(&wire); rest.size; rest = slice_from(rest, 2 + WS_CONTROL_MAX)) {
    assert_memory_equal(rest.data, "\x8a\x7d", 2);
    memcpy(text, rest.data + 2, WS_CONTROL_MAX);
    answers++;
    assert_true(atol(text) == (long)answers - 1 || atol(text) == 999);
  }
  assert_int_equal(atol(text), 999);
  assert_int_equal(answers, WS_PONGS_MAX / (2 + WS_CONTROL_MAX) + 1);
  buffer_fini(&wire);
  pair_fini(&p);
}

/* The limits of what a script may send. */
static void test_send_limits(void **state) {
  (void)state;
  struct pair p;
  struct err err;
  uint8_t *bytes = mem_zero(WS_OUT_MAX);
  struct ws_frame frame = { .opcode = WS_BINARY, .fin = true, .payload = slice_of(bytes, WS_OUT_MAX - 14) };
  pair_init(&p, NULL, NULL);
  assert_false(ws_send(p.client.f, &frame, &err));
  assert_string_equal(err.text, "the WebSocket's handshake is not through");
  pair_open(&p);
  assert_true(ws_send(p.client.f, &frame, &err));
  assert_false(ws_send_bytes(p.client.f, slice_of(bytes, 1), &err));
  assert_non_null(strstr(err.text, "1048576 bytes"));
  frame = (struct ws_frame){ .opcode = WS_PING, .fin = true, .payload = slice_of(bytes, WS_CONTROL_MAX + 1) };
  assert_false(ws_send(p.server.f, &frame, &err));
  assert_non_null(strstr(err.text, "at most 125 bytes"));
  frame = (struct ws_frame){ .opcode = WS_PING };
  assert_false(ws_send(p.server.f, &frame, &err));
  pair_fini(&p);
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_open),        cmocka_unit_test(test_every_cut), cmocka_unit_test(test_large),
    cmocka_unit_test(test_taken),       cmocka_unit_test(test_seed),      cmocka_unit_test(test_breaches),
    cmocka_unit_test(test_malformed),   cmocka_unit_test(test_parting),   cmocka_unit_test(test_close),
    cmocka_unit_test(test_stream_ends), cmocka_unit_test(test_pings),     cmocka_unit_test(test_send_limits),
  };
  return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
