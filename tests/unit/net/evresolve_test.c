/* A name server of our own, in name spaces of our own: its port is 53, and /etc/resolv.conf names it. */
#include "worldrig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTION 12 /* where it begins in a message (RFC 1035, 4.1) */

static int server_fd, listener_fd;
static unsigned asked;
static bool apart; /* we have name spaces of our own */

static bool put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0) close(fd);
  return good;
}

static bool cover(const char *path, const char *text) {
  char name[64];
  snprintf(name, sizeof name, "/tmp/evresolve_test.%d", (int)getpid());
  bool good = put(name, text) && mount(name, path, NULL, MS_BIND, NULL) == 0;
  unlink(name);
  return good;
}

static bool go_apart(void) {
  struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0) return false;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  bool good = ioctl(fd, SIOCSIFFLAGS, &lo) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
  close(fd);
  return good && cover("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n") &&
         cover("/etc/hosts", "127.0.0.1 localhost hosted.test\n");
}

/* One record; the name is a pointer to the question's. */
static size_t record(uint8_t *to, uint16_t type, const void *data, uint16_t size) {
  uint8_t head[12] = { 0xc0, QUESTION, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)size };
  memcpy(to, head, sizeof head);
  memcpy(to + sizeof head, data, size);
  return sizeof head + size;
}

/* What the first label of the name says is done. */
static void serve(void *arg, int fd) {
  uint8_t message[512], v4[4] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
  struct sockaddr_in from;
  socklen_t from_size = sizeof from;
  (void)arg;
  ssize_t n = recvfrom(fd, message, sizeof message - 64, 0, (struct sockaddr *)&from, &from_size);
  if (n < QUESTION + 5) return;
  asked++;
  const char *label = (const char *)message + QUESTION + 1;
  size_t size = QUESTION + strlen(label) + 2 + 4;
  uint16_t type = message[size - 3];
  message[2] = 0x85;
  message[3] = 0x80;
  memset(message + 6, 0, 6);
  if (strncasecmp(label, "silent", 6) == 0) return;
  if (strncasecmp(label, "none", 4) == 0) message[3] |= 3;
  else if (strncasecmp(label, "failing", 7) == 0) message[3] |= 2;
  else if (type == 1 && strncasecmp(label, "six", 3) != 0) message[7] = 1, size += record(message + size, 1, v4, 4);
  else if (type == 28 && strncasecmp(label, "four", 4) != 0) message[7] = 1, size += record(message + size, 28, v6, 16);
  sendto(fd, message, size, 0, (struct sockaddr *)&from, from_size);
}

static uint16_t port;

static void connect_to(struct seat *s, const char *name, int64_t timeout_ns) {
  char url[200];
  snprintf(url, sizeof url, "tcp://%s:%u", name, port);
  seat_connect(s, url, timeout_ns);
}

/* Both families, one, from /etc/hosts, in any case. */
static void test_found(void **state) {
  (void)state;
  static const char *const rows[][2] = {
    { "both.test", "[::1]" }, { "four.test", "127.0.0.1" },   { "six.test", "[::1]" },
    { "BOTH.Test", "[::1]" }, { "hosted.test", "127.0.0.1" },
  };
  if (!apart) skip();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct seat s;
    char peer[64];
    connect_to(&s, rows[i][0], PATIENCE_NS);
    UNTIL(s.opened || s.ends);
    if (!s.opened) fail_msg("%s: %s", rows[i][0], s.why.text);
    snprintf(peer, sizeof peer, "%s:%u", rows[i][1], port);
    assert_string_equal(stream_peer(s.stream), peer);
    seat_fini(&s);
  }
}

static void test_not_found(void **state) {
  (void)state;
  static const char *const rows[] = { "none.test", "failing.test", "nohost.invalid" };
  if (!apart) skip();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct seat s;
    char text[64];
    connect_to(&s, rows[i], PATIENCE_NS);
    UNTIL(s.ends);
    assert_int_equal(s.end, STREAM_UNREACHABLE);
    snprintf(text, sizeof text, "the name %s was not found: ", rows[i]);
    if (!strstr(s.why.text, text)) fail_msg("%s", s.why.text);
    seat_fini(&s);
  }
}

/* A server that is silent: the connect's own timeout, while other names are looked up. */
static void test_silent(void **state) {
  (void)state;
  struct seat s, t;
  if (!apart) skip();
  connect_to(&s, "silent.test", 300 * MS);
  connect_to(&t, "both.test", PATIENCE_NS);
  UNTIL(t.opened);
  assert_int_equal(s.ends, 0);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_TIMEOUT);
  assert_non_null(strstr(s.why.text, "looking up silent.test"));
  seat_fini(&s);
  seat_fini(&t);
}

/* Forgotten at any time, and the world ends with one under way. Nothing is left open. */
static void test_forgotten(void **state) {
  (void)state;
  struct seat s[100];
  if (!apart) skip();
  size_t before = evnet_descriptors_left();
  for (int i = 0; i < 100; i++) connect_to(&s[i], i % 2 ? "both.test" : "silent.test", PATIENCE_NS);
  for (int i = 0; i < 100; i += 3) seat_fini(&s[i]);
  UNTIL(asked > 0);
  for (int i = 1; i < 100; i += 3) seat_fini(&s[i]);
  turns_for(20 * MS);
  for (int i = 2; i < 100; i += 3) seat_fini(&s[i]);
  turns_for(20 * MS);
  assert_int_equal(evnet_descriptors_left(), before);
  connect_to(&s[0], "silent.test", PATIENCE_NS);
  turns_for(5 * MS);
  seat_fini(&s[0]);
}

static struct evnet_watch *watch;

static int setup(void **state) {
  asked = 0;
  if (worldrig_real(state) != 0) return -1;
  if (apart) watch = evnet_watch(world, server_fd, serve, NULL);
  return 0;
}

static int teardown(void **state) {
  evnet_unwatch(watch);
  watch = NULL;
  return worldrig_fini(state);
}

static void open_server(void) {
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
  socklen_t size = sizeof any;
  server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  assert_int_equal(bind(server_fd, (struct sockaddr *)&a, sizeof a), 0);
  listener_fd = socket(AF_INET6, SOCK_STREAM, 0);
  assert_int_equal(bind(listener_fd, (struct sockaddr *)&any, sizeof any), 0);
  assert_int_equal(listen(listener_fd, 100), 0);
  getsockname(listener_fd, (struct sockaddr *)&any, &size);
  port = ntohs(any.sin6_port);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_found, setup, teardown),
    cmocka_unit_test_setup_teardown(test_not_found, setup, teardown),
    cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
    cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
  };
  apart = go_apart();
  if (apart) open_server();
  else puts("no name spaces of our own here: nothing is tested");
  return cmocka_run_group_tests_name("evresolve", tests, NULL, NULL);
}
