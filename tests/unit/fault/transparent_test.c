/* A proxy is transparent where no rule matches: long random streams both ways at once, cut at random on their way in,
 * come out byte for byte. Threads with plain blocking sockets at both ends make the streams and know them. */
#include "proxyrig.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define BLOCK_MAX 70000

/* The same seed gives the same stream at both ends. */
struct source {
  struct rng rng;
  bool packets;
  uint8_t block[BLOCK_MAX];
  size_t size, at;
  uint64_t left;
};

struct end {
  int fd, over;
  struct source *source;
  uint64_t cuts; /* seed */
  const char *failed;
};

static atomic_int running;

static void fill(struct source *s, size_t from, size_t size) {
  for (size_t i = from; i < size; i += 8) {
    uint64_t word = rng_next(&s->rng);
    memcpy(s->block + i, &word, 8);
  }
}

/* A packet of a random type: most are short, some long. */
static size_t begin_packet(struct source *s) {
  uint64_t draw = rng_next(&s->rng);
  size_t most = (size_t)1 << (draw >> 8) % 17, body = (draw >> 32) % most, n = body, at = 1;
  s->block[0] = (uint8_t)(draw % 15 + 1) << 4;
  do {
    s->block[at++] = (uint8_t)(n & 127) | (n > 127 ? 128 : 0);
    n >>= 7;
  } while (n);
  s->size = at + body;
  return at;
}

static struct slice next(struct source *s) {
  if (s->at == s->size) {
    size_t from = 0;
    s->size = 65536;
    s->at = 0;
    if (s->packets) from = begin_packet(s);
    fill(s, from, s->size);
    if (s->size > s->left) s->size = s->left;
    s->left -= s->size;
  }
  return slice_from(slice_of(s->block, s->size), s->at);
}

static void done(struct end *e, const char *failed) {
  uint64_t one = 1;
  e->failed = failed;
  atomic_fetch_sub(&running, 1);
  if (write(e->over, &one, sizeof one) != sizeof one) e->failed = "eventfd";
}

/* Writes the stream: long pieces, and now and then single bytes. */
static void *writer(void *arg) {
  struct end *e = arg;
  struct rng rng = { e->cuts };
  uint8_t piece[32768];
  for (;;) {
    uint64_t draw = rng_next(&rng);
    size_t most = draw % 16 == 0 ? 1 + (draw >> 8) % 9 : 1 + (draw >> 8) % sizeof piece, have = 0;
    struct slice some;
    while (have < most && (some = next(e->source)).size) {
      some = slice_first(some, most - have);
      memcpy(piece + have, some.data, some.size);
      e->source->at += some.size;
      have += some.size;
    }
    if (!have) break;
    for (size_t at = 0; at < have;) {
      ssize_t n = send(e->fd, piece + at, have - at, MSG_NOSIGNAL);
      if (n <= 0) return done(e, "a write failed"), NULL;
      at += (size_t)n;
    }
  }
  shutdown(e->fd, SHUT_WR);
  return done(e, NULL), NULL;
}

static void *reader(void *arg) {
  struct end *e = arg;
  uint8_t *got = malloc(262144);
  const char *failed = NULL;
  ssize_t n;
  while (!failed && (n = recv(e->fd, got, 262144, 0)) != 0) {
    if (n < 0) failed = "a read failed";
    for (size_t at = 0; !failed && at < (size_t)n;) {
      struct slice want = slice_first(next(e->source), (size_t)n - at);
      if (!want.size) failed = "more came than was sent";
      else if (memcmp(got + at, want.data, want.size) != 0) failed = "other bytes came than were sent";
      e->source->at += want.size;
      at += want.size;
    }
  }
  if (!failed && next(e->source).size) failed = "less came than was sent";
  free(got);
  return done(e, failed), NULL;
}

static void looked(void *arg, int fd) {
  uint64_t count;
  (void)arg;
  if (read(fd, &count, sizeof count) < 0) fail_msg("eventfd");
}

static void run(bool packets, const char *rule, uint64_t bytes, uint64_t seed) {
  struct proxyrig r;
  struct err err;
  int client, upstream, over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_t threads[4];
  struct source *sources = calloc(4, sizeof *sources);
  proxyrig_open(&r);
  if (rule) proxyrig_rule(&r, rule);
  proxyrig_pair(&r, &client, &upstream);
  struct evnet_watch *watch = evnet_watch(r.net, over, looked, NULL);
  struct end ends[4] = { { .fd = client }, { .fd = upstream }, { .fd = upstream }, { .fd = client } };
  atomic_store(&running, 4);
  for (uint64_t i = 0; i < 4; i++) {
    sources[i] = (struct source){ .rng = { seed + i / 2 }, .packets = packets, .left = bytes };
    ends[i].over = over;
    ends[i].source = &sources[i];
    ends[i].cuts = seed + 10 + i;
    assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? reader : writer, &ends[i]), 0);
  }
  int64_t limit_ns = net_now(r.net) + 300000000000;
  while (atomic_load(&running) || !r.ended) {
    assert_true(net_now(r.net) < limit_ns);
    assert_true(net_turn(r.net, net_now(r.net) + 1000000000, &err));
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    if (ends[i].failed) fail_msg("%s %s: %s", i % 2 ? "reader" : "writer", i < 2 ? "up" : "down", ends[i].failed);
  }
  struct proxy_counts c = proxy_counts(r.proxy);
  assert_int_equal(c.bytes_up, bytes);
  assert_int_equal(c.bytes_down, bytes);
  if (packets) assert_true(c.packets_up > 10);
  evnet_unwatch(watch);
  close(client);
  close(upstream);
  close(over);
  free(sources);
  proxyrig_close(&r);
}

/* TRANSPARENT_MIB of each kind, each way; the bench runs more. */
static uint64_t amount(uint64_t mib) {
  const char *given = getenv("TRANSPARENT_MIB");
  return (given ? strtoull(given, NULL, 10) : mib) << 20;
}

static void packets_without_rules(void **state) {
  (void)state;
  run(true, NULL, amount(256), 1);
}

static void other_bytes_without_rules(void **state) {
  (void)state;
  run(false, NULL, amount(64), 2);
}

static void packets_past_rules_that_do_not_match(void **state) {
  (void)state;
  run(true, "both PUBLISH nth 1000000000 may_fire drop", amount(8), 3);
}

static void other_bytes_past_rules_that_do_not_match(void **state) {
  (void)state;
  run(false, "both PUBLISH nth 1000000000 may_fire drop", amount(16), 4);
}

static void packets_that_are_split(void **state) {
  (void)state;
  run(true, "both any split 1000", amount(4), 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(packets_without_rules),
    cmocka_unit_test(other_bytes_without_rules),
    cmocka_unit_test(packets_past_rules_that_do_not_match),
    cmocka_unit_test(other_bytes_past_rules_that_do_not_match),
    cmocka_unit_test(packets_that_are_split),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
