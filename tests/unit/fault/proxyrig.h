/* proxyrig: a proxy on loopback between plain sockets of the system's own, for tests. What happens is written down. */
#ifndef MQRIG_PROXYRIG_H
#define MQRIG_PROXYRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "fault/record.h"
#include "mqtt/encode.h"
#include "net/evnet.h"

#define PROXYRIG_LIMIT_NS 20000000000
#define PROXYRIG_LOOK_NS  1000000 /* between looks at plain sockets, which nobody tells of */

/* Turns the loop until the condition holds; fails at this line if it does not in time. */
#define TURN_UNTIL(rig, condition)                                                                                     \
  do {                                                                                                                 \
    struct err turn_err_;                                                                                              \
    int64_t turn_limit_ = net_now((rig)->net) + PROXYRIG_LIMIT_NS;                                                     \
    while (!(condition)) {                                                                                             \
      assert_true(net_now((rig)->net) < turn_limit_);                                                                  \
      assert_true(net_turn((rig)->net, net_now((rig)->net) + PROXYRIG_LOOK_NS, &turn_err_));                           \
    }                                                                                                                  \
  } while (0)

struct proxyrig {
  struct net *net;
  struct proxy *proxy;
  struct record *record; /* NULL: nothing is recorded */
  int listener;          /* the upstream's */
  uint16_t port;
  size_t accepted, opened, fired, ended, troubles;
  char why[512], trouble[512]; /* the last */
  void (*on_accepted)(struct proxyrig *r, struct proxy_conn *c);
  void (*on_ended)(struct proxyrig *r, struct proxy_conn *c);
};

static void proxyrig_accepted(void *arg, struct proxy_conn *c) {
  struct proxyrig *r = arg;
  r->accepted++;
  if (r->record) proxy_conn_set_tag(c, record_begin(r->record, c));
  if (r->on_accepted) r->on_accepted(r, c);
}

static void proxyrig_opened(void *arg, struct proxy_conn *c) {
  struct proxyrig *r = arg;
  r->opened++;
  if (r->record) record_opened(proxy_conn_tag(c));
}

static void proxyrig_fired(void *arg, struct proxy_conn *c, const struct scope_firing *f) {
  struct proxyrig *r = arg;
  assert_non_null(c);
  r->fired++;
  if (r->record) record_fired(proxy_conn_tag(c), f);
}

static void proxyrig_ended(void *arg, struct proxy_conn *c, const char *why) {
  struct proxyrig *r = arg;
  r->ended++;
  snprintf(r->why, sizeof r->why, "%s", why);
  if (r->record) record_end(proxy_conn_tag(c), why);
  if (r->on_ended) r->on_ended(r, c);
}

static void proxyrig_trouble(void *arg, const struct err *why) {
  struct proxyrig *r = arg;
  r->troubles++;
  snprintf(r->trouble, sizeof r->trouble, "%s", why->text);
}

static const struct proxy_handler proxyrig_handler = { .accepted = proxyrig_accepted,
                                                       .opened = proxyrig_opened,
                                                       .fired = proxyrig_fired,
                                                       .ended = proxyrig_ended,
                                                       .trouble = proxyrig_trouble };

static inline struct sockaddr_in proxyrig_address(uint16_t port) {
  return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static inline void proxyrig_small(int fd, int size) {
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

static inline int proxyrig_listen(uint16_t *port, int backlog) {
  struct sockaddr_in a = proxyrig_address(0);
  socklen_t size = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(fd, backlog), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
  *port = ntohs(a.sin_port);
  return fd;
}

static inline void proxyrig_url(struct url *u, uint16_t port) {
  char text[64];
  struct err err;
  snprintf(text, sizeof text, "tcp://127.0.0.1:%u", port);
  assert_true(url_parse(text, u, &err));
}

/* `o`: may be NULL; its addresses are filled in. */
static inline void proxyrig_open_with(struct proxyrig *r, const struct proxy_options *o) {
  struct err err;
  struct proxy_options options = { .seed = 1 };
  *r = (struct proxyrig){ 0 };
  if (o) options = *o;
  assert_non_null(r->net = evnet_new(&err));
  r->listener = proxyrig_listen(&r->port, 4096);
  proxyrig_url(&options.listen, 0);
  if (!options.upstream.host[0]) proxyrig_url(&options.upstream, r->port);
  r->proxy = proxy_new(r->net, &options, &proxyrig_handler, r, &err);
  if (!r->proxy) fail_msg("%s", err.text);
}

static inline void proxyrig_open(struct proxyrig *r) {
  proxyrig_open_with(r, NULL);
}

static inline void proxyrig_close(struct proxyrig *r) {
  proxy_free(r->proxy);
  net_free(r->net);
  close(r->listener);
}

static inline struct scope_rule *proxyrig_rule(struct proxyrig *r, const char *text) {
  struct err err;
  struct scope_rule *rule = proxy_add_rule(r->proxy, text, &err);
  if (!rule) fail_msg("%s: %s", text, err.text);
  return rule;
}

/* A connected plain socket; the proxy may not have accepted it yet. `small`: its buffers, or 0. */
static inline int proxyrig_client_with(struct proxyrig *r, int small) {
  struct sockaddr_in a = proxyrig_address(proxy_url(r->proxy)->port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  if (small) proxyrig_small(fd, small);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

static inline int proxyrig_client(struct proxyrig *r) {
  return proxyrig_client_with(r, 0);
}

/* The upstream's end of the next connection. */
static inline int proxyrig_accept(struct proxyrig *r) {
  size_t opened = r->opened;
  TURN_UNTIL(r, r->opened > opened || r->opened == r->accepted);
  int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(fd >= 0);
  return fd;
}

static inline void proxyrig_pair(struct proxyrig *r, int *client, int *upstream) {
  size_t opened = r->opened;
  *client = proxyrig_client(r);
  TURN_UNTIL(r, r->opened > opened);
  *upstream = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(*upstream >= 0);
}

static inline void proxyrig_send(int fd, struct slice bytes) {
  assert_int_equal(send(fd, bytes.data, bytes.size, MSG_NOSIGNAL), (ssize_t)bytes.size);
}

static inline void proxyrig_send_text(int fd, const char *text) {
  proxyrig_send(fd, slice_text(text));
}

static inline ssize_t proxyrig_read(int fd, void *to, size_t size) {
  return recv(fd, to, size, MSG_DONTWAIT);
}

/* These bytes come next. */
static inline void proxyrig_expect(struct proxyrig *r, int fd, struct slice want) {
  uint8_t *got = malloc(want.size + 1);
  size_t have = 0;
  TURN_UNTIL(r, ({
               ssize_t n = proxyrig_read(fd, got + have, want.size - have);
               if (n == 0) fail_msg("end of file after %zu bytes of %zu", have, want.size);
               if (n < 0 && errno != EAGAIN) fail_msg("%s after %zu bytes of %zu", strerror(errno), have, want.size);
               if (n > 0) have += (size_t)n;
               have == want.size;
             }));
  assert_memory_equal(got, want.data, want.size);
  free(got);
}

static inline void proxyrig_expect_text(struct proxyrig *r, int fd, const char *text) {
  proxyrig_expect(r, fd, slice_text(text));
}

/* Reads on until the end: 0 for an end of file, or errno. `*bytes`: how many came before. */
static inline int proxyrig_end(struct proxyrig *r, int fd, size_t *bytes) {
  static uint8_t ignored[65536];
  size_t count = 0;
  ssize_t n = 1;
  TURN_UNTIL(r, ({
               n = proxyrig_read(fd, ignored, sizeof ignored);
               if (n > 0) count += (size_t)n;
               n == 0 || (n < 0 && errno != EAGAIN);
             }));
  if (bytes) *bytes = count;
  return n == 0 ? 0 : errno;
}

/* Nothing has come and nothing has ended so far. */
static inline void proxyrig_expect_silence(int fd) {
  uint8_t byte;
  assert_int_equal(proxyrig_read(fd, &byte, 1), -1);
  assert_int_equal(errno, EAGAIN);
}

static inline void proxyrig_reset(int fd) {
  struct linger now = { .l_onoff = 1, .l_linger = 0 };
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

/* Packets. */

static inline void proxyrig_publish(struct buffer *to, const char *topic, size_t size) {
  char *payload = malloc(size + 1);
  memset(payload, 'p', size + 1);
  struct packet p = { .type = SPEC_PUBLISH, .version = SPEC_3_1_1 };
  p.topic = slice_text(topic);
  p.payload = slice_of(payload, size);
  assert_true(encode_packet(to, &p));
  free(payload);
}

static inline void proxyrig_connect(struct buffer *to, const char *client_id) {
  struct packet p = { .type = SPEC_CONNECT, .version = SPEC_3_1_1, .clean = true };
  p.protocol_version = 4;
  p.protocol_name = slice_text("MQTT");
  p.client_id = slice_text(client_id);
  assert_true(encode_packet(to, &p));
}

#endif
