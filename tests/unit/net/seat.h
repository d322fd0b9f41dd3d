/* seat: one end of a connection as a test drives it, on any driver; and porter: a listener that seats whoever comes.
 *
 * `world` is the driver under test; time is its time.
 */
#ifndef MQRIG_SEAT_H
#define MQRIG_SEAT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "net/net.h"

#define MS           1000000ll
#define PATIENCE_NS  20000000000ll /* a test that waits longer, in the world's time, has failed */
#define PORTER_SEATS 1100

struct seat {
  struct stream *stream;
  struct buffer in, out;
  unsigned opened, inputs, fins, ends;
  enum stream_end end;
  bool writing;
  struct err why;
  int64_t opened_ns, input_ns, ended_ns; /* when, by the clock of `at` */
  struct net *at;
  char close_in;       /* o i O w e: the handler in which the stream is closed, */
  struct seat *victim; /* and this one reset with it */
};

static struct net *world;
static unsigned turns;

static inline void turn(int64_t until_ns) {
  struct err err;
  turns++;
  if (!net_turn(world, until_ns, &err)) fail_msg("%s", err.text);
}

#define UNTIL(condition)                                                                                               \
  do {                                                                                                                 \
    int64_t give_up_ns = net_now(world) + PATIENCE_NS;                                                                 \
    while (!(condition)) {                                                                                             \
      if (net_now(world) >= give_up_ns) fail_msg("waited for %s in vain", #condition);                                 \
      turn(give_up_ns);                                                                                                \
    }                                                                                                                  \
  } while (0)

static inline void turns_for(int64_t ns) {
  for (int64_t end_ns = net_now(world) + ns; net_now(world) < end_ns;) turn(end_ns);
}

static inline void seat_maybe_close(struct seat *s, char in) {
  if (s->close_in != in) return;
  stream_close(s->stream);
  s->stream = NULL;
  if (!s->victim || !s->victim->stream) return;
  stream_reset(s->victim->stream);
  s->victim->stream = NULL;
}

static inline void seat_opened(void *arg) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  s->opened++;
  s->opened_ns = net_now(s->at);
  seat_maybe_close(s, 'o');
}

static inline void seat_input(void *arg, struct slice bytes) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  assert_int_equal(s->fins + s->ends, 0);
  assert_true(bytes.size > 0 && bytes.size <= NET_READ_MAX);
  s->inputs++;
  s->input_ns = net_now(s->at);
  buffer_append(&s->in, bytes);
  seat_maybe_close(s, 'i');
}

static inline struct slice seat_output(void *arg) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  struct slice out = buffer_slice(&s->out);
  if (out.size) seat_maybe_close(s, 'O');
  return out;
}

static inline void seat_wrote(void *arg, size_t n) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  buffer_consume(&s->out, n);
  seat_maybe_close(s, 'w');
}

static inline void seat_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct seat *s = arg;
  assert_non_null(s->stream);
  assert_int_equal(s->ends, 0);
  s->ended_ns = net_now(s->at);
  if (end == STREAM_FIN) {
    s->fins++;
    assert_null(why);
  } else {
    s->ends++;
    s->end = end;
    s->writing = writing;
    s->why = *why;
  }
  seat_maybe_close(s, 'e');
}

static const struct stream_handler seat_handler = { seat_opened, seat_input, seat_output, seat_wrote, seat_ended };

static inline void seat_init(struct seat *s) {
  memset(s, 0, sizeof *s);
  s->at = world;
  buffer_init(&s->in, 64u << 20);
  buffer_init(&s->out, 64u << 20);
}

static inline void seat_fini(struct seat *s) {
  if (s->stream) stream_close(s->stream);
  s->stream = NULL;
  buffer_fini(&s->in);
  buffer_fini(&s->out);
}

static inline void seat_write(struct seat *s, const void *bytes, size_t size) {
  assert_true(buffer_append(&s->out, slice_of(bytes, size)));
  stream_want_write(s->stream);
}

static inline void seat_send(struct seat *s, const char *text) {
  seat_write(s, text, strlen(text));
}

static inline size_t seat_got(const struct seat *s) {
  return buffer_size(&s->in);
}

static inline struct url url_of(const char *text) {
  struct url u;
  struct err err;
  if (!url_parse(text, &u, &err)) fail_msg("%s", err.text);
  return u;
}

static inline void seat_connect_from(struct net *at, struct seat *s, const char *text, int64_t timeout_ns) {
  struct url u = url_of(text);
  seat_init(s);
  s->at = at;
  s->stream = net_connect(at, &u, timeout_ns, &seat_handler, s, &s->why);
  if (!s->stream) fail_msg("%s", s->why.text);
}

static inline void seat_connect(struct seat *s, const char *text, int64_t timeout_ns) {
  seat_connect_from(world, s, text, timeout_ns);
}

struct porter {
  struct net_listener *listener;
  struct net *at;
  struct seat seats[PORTER_SEATS];
  size_t count;
  unsigned troubles;
  struct err trouble;
  char url[300];
};

static inline void porter_accepted(void *arg, struct stream *stream) {
  struct porter *p = arg;
  assert_true(p->count < PORTER_SEATS);
  struct seat *s = &p->seats[p->count++];
  seat_init(s);
  s->at = p->at;
  s->stream = stream;
  stream_own(stream, &seat_handler, s);
}

static inline void porter_trouble(void *arg, const struct err *why) {
  struct porter *p = arg;
  p->troubles++;
  p->trouble = *why;
}

static const struct net_listener_handler porter_handler = { porter_accepted, porter_trouble };

static inline struct porter *porter_open_at(struct net *at, const char *text,
                                            const struct net_listen_options *options) {
  struct porter *p = calloc(1, sizeof *p);
  struct url u = url_of(text);
  struct err err;
  p->at = at;
  p->listener = net_listen(at, &u, options, &porter_handler, p, &err);
  if (!p->listener) fail_msg("%s", err.text);
  url_format(net_listener_url(p->listener), p->url, sizeof p->url);
  return p;
}

static inline struct porter *porter_open(const char *text) {
  return porter_open_at(world, text, NULL);
}

static inline void porter_close(struct porter *p) {
  net_listener_free(p->listener);
  for (size_t i = 0; i < p->count; i++) seat_fini(&p->seats[i]);
  free(p);
}

/* Connects `s` to a listener of its own; returns that with the other end as its first seat. */
static inline struct porter *seat_pair_between(struct net *from, struct net *to, struct seat *s) {
  struct porter *p = porter_open_at(to, "tcp://127.0.0.1:0", NULL);
  seat_connect_from(from, s, p->url, 5000 * MS);
  UNTIL(s->opened && p->count == 1);
  return p;
}

static inline struct porter *seat_pair(struct seat *s) {
  return seat_pair_between(world, world, s);
}

static inline void expect_no_listen(const char *text, const char *words) {
  struct url u = url_of(text);
  struct err err = { "" };
  assert_null(net_listen(world, &u, NULL, &porter_handler, NULL, &err));
  if (!strstr(err.text, words)) fail_msg("%s", err.text);
}

#endif
