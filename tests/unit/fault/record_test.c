#include "proxyrig.h"

#define PACKETS     60
#define HEAD        54 /* Ethernet, IPv4 and TCP, without options */
#define COMMENTS    64
#define EPOCH_NS    INT64_C(1000000000000000000)
#define FLAG_FIN    1
#define FLAG_SYN    2
#define FLAG_RST    4
#define BLOCK_FRAME 6

/* What a file holds of one conversation: the bytes from each end, and the comments, each with the bytes of its frame.
 */
struct conversation {
  struct buffer from[2];
  unsigned flags[2];
  int64_t first_ns, last_ns;
  size_t comments, firsts[COMMENTS];
  char text[COMMENTS][256];
};

struct file {
  char path[64];
  struct buffer bytes;
  struct conversation of[2]; /* by interface */
};

static uint32_t number(const uint8_t *b) {
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void read_comments(struct conversation *c, const uint8_t *at, const uint8_t *end, size_t first) {
  while (at + 4 <= end && (at[0] | at[1] << 8) == 1) {
    size_t size = at[2] | (size_t)at[3] << 8;
    assert_true(c->comments < COMMENTS && size < sizeof c->text[0]);
    memcpy(c->text[c->comments], at + 4, size);
    c->text[c->comments][size] = 0;
    c->firsts[c->comments++] = first;
    at += 4 + (size + 3) / 4 * 4;
  }
}

static void read_frame(struct file *f, const uint8_t *block, size_t size) {
  struct conversation *c = &f->of[number(block + 8)];
  size_t length = number(block + 20), head = 34 + (size_t)(block[28 + 46] >> 4) * 4;
  const uint8_t *frame = block + 28;
  int end = (frame[34] << 8 | frame[35]) == 1883;
  int64_t at_ns = (int64_t)((uint64_t)number(block + 12) << 32 | number(block + 16));
  assert_true(at_ns >= c->last_ns);
  if (!c->first_ns) c->first_ns = at_ns;
  c->last_ns = at_ns;
  read_comments(c, block + 28 + (length + 3) / 4 * 4, block + size - 8, buffer_size(&c->from[end]));
  c->flags[end] |= frame[47];
  assert_true(buffer_append(&c->from[end], slice_of(frame + head, length - head)));
}

static void read_file(struct file *f) {
  FILE *in = fopen(f->path, "rb");
  uint8_t piece[65536];
  buffer_init(&f->bytes, 64u << 20);
  for (size_t n; (n = fread(piece, 1, sizeof piece, in)) > 0;)
    assert_true(buffer_append(&f->bytes, slice_of(piece, n)));
  fclose(in);
  for (int i = 0; i < 2; i++)
    for (int e = 0; e < 2; e++) buffer_init(&f->of[i].from[e], 64u << 20);
  struct slice rest = buffer_slice(&f->bytes);
  while (rest.size) {
    size_t size = number(rest.data + 4);
    assert_true(size >= 12 && size <= rest.size);
    if (number(rest.data) == BLOCK_FRAME) read_frame(f, rest.data, size);
    rest = slice_from(rest, size);
  }
}

static void open_rig(struct proxyrig *r, struct file *f) {
  struct err err;
  *f = (struct file){ .path = "/tmp/record_test_XXXXXX" };
  close(mkstemp(f->path));
  proxyrig_open(r);
  assert_non_null(r->record = record_new(r->net, f->path, EPOCH_NS - net_now(r->net), "a test", &err));
}

static void close_rig(struct proxyrig *r, struct file *f) {
  struct err err;
  proxy_disable(r->proxy, false);
  assert_true(record_close(r->record, &err));
  record_drop(r->record);
  proxyrig_close(r);
  read_file(f);
  unlink(f->path);
}

static void fini_file(struct file *f) {
  buffer_fini(&f->bytes);
  for (int i = 0; i < 2; i++)
    for (int e = 0; e < 2; e++) buffer_fini(&f->of[i].from[e]);
}

static void expect_bytes(const struct buffer *got, struct slice want) {
  assert_int_equal(buffer_size(got), want.size);
  assert_memory_equal(buffer_slice(got).data, want.data, want.size);
}

/* Sends all in random pieces, the loop turning in between, and reads what comes at the other end into `got`. */
static void send_in_pieces(struct proxyrig *r, struct rng *rng, int from, int to, struct slice bytes, size_t expected,
                           struct buffer *got) {
  uint8_t piece[65536];
  struct err err;
  while (buffer_size(got) < expected || bytes.size) {
    struct slice some = slice_first(bytes, 1 + (size_t)rng_below(rng, rng_below(rng, 2) ? 20 : 3000));
    ssize_t n = bytes.size ? send(from, some.data, some.size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n > 0) bytes = slice_from(bytes, (size_t)n);
    assert_true(net_turn(r->net, net_now(r->net) + PROXYRIG_LOOK_NS, &err));
    for (ssize_t in; (in = proxyrig_read(to, piece, sizeof piece)) > 0;)
      assert_true(buffer_append(got, slice_of(piece, (size_t)in)));
  }
}

/* A frame that begins there begins inside of this packet: where it came in one piece, at its first byte. */
static void expect_inside(const size_t *starts, size_t packet, size_t at) {
  assert_true(at >= starts[packet] && at < starts[packet + 1]);
}

/* However bytes are cut, each conversation has what its socket took and gave, and each firing is a comment on a frame
 * of the packet that it hit, where that came in. */
static void test_bytes_and_faults(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 8; seed++) {
    struct proxyrig r;
    struct file f;
    struct rng rng = { seed };
    struct buffer sent, want, got, back;
    size_t starts[PACKETS + 1];
    int client, upstream;
    buffer_init(&sent, 8u << 20);
    buffer_init(&want, 8u << 20);
    buffer_init(&got, 8u << 20);
    buffer_init(&back, 8u << 20);
    open_rig(&r, &f);
    proxyrig_rule(&r, "up PUBLISH every 10 drop");
    proxyrig_rule(&r, "up PUBLISH every 15 delay 1ms");
    proxyrig_rule(&r, "down PUBLISH nth 7 dup 1");
    proxyrig_pair(&r, &client, &upstream);
    for (size_t i = 0; i < PACKETS; i++) {
      size_t at = starts[i] = buffer_size(&sent);
      proxyrig_publish(&sent, "topic", (size_t)rng_below(&rng, rng_below(&rng, 10) ? 40 : 90000));
      if ((i + 1) % 10) assert_true(buffer_append(&want, slice_from(buffer_slice(&sent), at)));
    }
    starts[PACKETS] = buffer_size(&sent);
    send_in_pieces(&r, &rng, client, upstream, buffer_slice(&sent), buffer_size(&want), &got);
    send_in_pieces(&r, &rng, upstream, client, buffer_slice(&sent), buffer_size(&sent) + starts[7] - starts[6], &back);
    close(client);
    assert_int_equal(proxyrig_end(&r, upstream, NULL), 0);
    close(upstream);
    TURN_UNTIL(&r, r.ended == 1);
    size_t fired = r.fired;
    close_rig(&r, &f);
    expect_bytes(&f.of[0].from[0], buffer_slice(&sent));
    expect_bytes(&f.of[1].from[0], buffer_slice(&want));
    expect_bytes(&f.of[1].from[1], buffer_slice(&sent));
    expect_bytes(&f.of[0].from[1], buffer_slice(&back));
    size_t told = 0, ups = 0;
    for (int i = 0; i < 2; i++) {
      for (size_t n = 0; n < f.of[i].comments; n++) {
        if (strncmp(f.of[i].text[n], "!! ", 3) != 0) continue;
        told++;
        if (i == 1) expect_inside(starts, 6, f.of[i].firsts[n]);
        else if (strstr(f.of[i].text[n], "drop")) expect_inside(starts, 10 * ++ups - 1, f.of[i].firsts[n]);
      }
    }
    assert_int_equal(told, fired);
    assert_int_equal(fired, 6 + 3 + 1); /* of the 54 that are left every 15th */
    assert_int_equal(ups, 6);
    assert_true(f.of[0].flags[0] & FLAG_FIN && f.of[1].flags[0] & FLAG_FIN);
    assert_true(f.of[0].first_ns >= EPOCH_NS && f.of[0].last_ns < EPOCH_NS + PROXYRIG_LIMIT_NS);
    fini_file(&f);
    buffer_fini(&sent);
    buffer_fini(&want);
    buffer_fini(&got);
    buffer_fini(&back);
  }
}

/* A reset is one on both, the rule's comment stands on the packet that it cut; of a connection that never got to the
 * upstream there is one conversation, with the reason. */
static void test_ends(void **state) {
  struct proxyrig r;
  struct file f;
  int client, upstream;
  size_t bytes;
  (void)state;
  open_rig(&r, &f);
  proxyrig_rule(&r, "up PUBLISH nth 2 at_byte 3 rst");
  proxyrig_pair(&r, &client, &upstream);
  proxyrig_send(client, slice_of("\x30\x03\x00\x01\x61\x30\x03\x00\x01\x61", 10));
  assert_int_equal(proxyrig_end(&r, upstream, &bytes), ECONNRESET);
  assert_int_equal(bytes, 8);
  TURN_UNTIL(&r, r.ended == 1);
  close(client);
  close(upstream);
  close(r.listener);
  client = proxyrig_client(&r);
  TURN_UNTIL(&r, r.ended == 2);
  close(client);
  close_rig(&r, &f);
  assert_int_equal(buffer_size(&f.of[0].from[0]), 10);
  assert_int_equal(buffer_size(&f.of[1].from[0]), 8);
  assert_true(f.of[0].flags[1] & FLAG_RST && f.of[1].flags[0] & FLAG_RST);
  assert_int_equal(f.of[1].comments, 1);
  assert_int_equal(f.of[0].comments, 4);
  assert_string_equal(f.of[0].text[1], "!! up PUBLISH nth 2 at_byte 3 rst (cut off at byte 3)");
  assert_int_equal(f.of[0].firsts[1], 5);
  assert_non_null(strstr(f.of[0].text[2], "#2: from 127.0.0.1:"));
  assert_non_null(strstr(f.of[0].text[3], "refused"));
  fini_file(&f);
}

static void test_closed_early_and_unwritable(void **state) {
  struct proxyrig r;
  struct file f;
  struct err err;
  int client, upstream;
  (void)state;
  open_rig(&r, &f);
  assert_null(record_new(r.net, "/nowhere/x", 0, "", &err));
  assert_non_null(strstr(err.text, "/nowhere/x: No such file"));
  proxyrig_pair(&r, &client, &upstream);
  assert_true(record_close(r.record, &err));
  proxyrig_send_text(client, "late");
  proxyrig_expect_text(&r, upstream, "late");
  close(client);
  close(upstream);
  TURN_UNTIL(&r, r.ended == 1);
  close_rig(&r, &f);
  assert_int_equal(buffer_size(&f.of[0].from[0]), 0);
  fini_file(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bytes_and_faults),
    cmocka_unit_test(test_ends),
    cmocka_unit_test(test_closed_early_and_unwritable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
