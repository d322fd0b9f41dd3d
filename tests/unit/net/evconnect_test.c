#include "worldrig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/evconnect.h"
#include "net/names.h"

/* Listeners of one port on several addresses of this host; a deaf one has a full backlog and answers no more. */

#define PLACES_MAX 8

struct places {
  int fds[PLACES_MAX], fills[2 * PLACES_MAX];
  int count, filled;
  uint16_t port;
};

static socklen_t place_address(const char *host, uint16_t port, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
  struct sockaddr_in *v4 = (struct sockaddr_in *)to;
  if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
  }
  memset(to, 0, sizeof *to);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  assert_int_equal(inet_pton(AF_INET, host, &v4->sin_addr), 1);
  return sizeof *v4;
}

static void places_add(struct places *p, const char *host, bool deaf) {
  struct sockaddr_storage a;
  socklen_t size = place_address(host, p->port, &a);
  int on = 1, fd = socket(a.ss_family, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (a.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
  assert_int_equal(listen(fd, deaf ? 0 : 10), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
  p->port = ntohs(((struct sockaddr_in *)&a)->sin_port);
  p->fds[p->count++] = fd;
  for (int i = 0; deaf && i < 2; i++) {
    int fill = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(fill, (struct sockaddr *)&a, size);
    p->fills[p->filled++] = fill;
  }
}

static void places_fini(struct places *p) {
  for (int i = 0; i < p->count; i++) close(p->fds[i]);
  for (int i = 0; i < p->filled; i++) close(p->fills[i]);
}

static void stand_for(const char *addresses) {
  char list[200], *rest = list;
  snprintf(list, sizeof list, "%s", addresses);
  names_forget(net_names(world), "broker.test");
  for (char *a; (a = strsep(&rest, " "));) assert_true(names_answer(net_names(world), "broker.test", a, NULL));
}

static int64_t begin(struct seat *s, const struct places *p, int64_t timeout_ns) {
  char url[64];
  snprintf(url, sizeof url, "tcp://broker.test:%u", p->port);
  seat_connect(s, url, timeout_ns);
  return net_now(world);
}

static void assert_peer(const struct seat *s, const struct places *p, const char *host) {
  char text[64];
  snprintf(text, sizeof text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, p->port);
  assert_string_equal(stream_peer(s->stream), text);
}

/* Whoever answers first stays; each waits ADDRESS_NEXT_NS for the one before it, or less where that has failed.
 */
static void test_race(void **state) {
  (void)state;
  static const struct {
    const char *addresses, *winner;
    int waits;
  } rows[] = {
    { "127.0.0.1 127.0.0.2", "127.0.0.1", 0 },
    { "127.0.0.2 127.0.0.1", "127.0.0.1", 1 },
    { "127.0.0.2 127.0.0.3 127.0.0.1", "127.0.0.1", 2 },
    { "127.0.0.4 127.0.0.1", "127.0.0.1", 0 },                     /* refused */
    { "127.0.0.2 127.0.0.4 127.0.0.1", "127.0.0.1", 1 },           /* refused while another is under way */
    { "127.0.0.2 127.0.0.1 ::1", "::1", 1 },                       /* the families by turns */
    { "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4", "127.0.0.1", 0 }, /* only one is begun */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct places p = { .count = 0 };
    struct seat s;
    places_add(&p, "127.0.0.1", false);
    places_add(&p, "::1", false);
    places_add(&p, "127.0.0.2", true);
    places_add(&p, "127.0.0.3", true);
    stand_for(rows[i].addresses);
    int64_t began_ns = begin(&s, &p, PATIENCE_NS);
    UNTIL(s.opened || s.ends);
    if (!s.opened) fail_msg("%s: %s", rows[i].addresses, s.why.text);
    assert_peer(&s, &p, rows[i].winner);
    assert_true(s.opened_ns - began_ns >= rows[i].waits * ADDRESS_NEXT_NS);
    seat_fini(&s);
    places_fini(&p);
  }
}

/* An address that was slow is not given up for the next. */
static void test_slow_one_wins(void **state) {
  (void)state;
  struct places p = { .count = 0 };
  struct seat s;
  places_add(&p, "127.0.0.2", true);
  stand_for("127.0.0.2 127.0.0.4");
  begin(&s, &p, PATIENCE_NS);
  turns_for(2 * ADDRESS_NEXT_NS);
  assert_int_equal(s.opened + s.ends, 0);
  /* What filled the backlog goes; the system asks again by itself. */
  for (int i = 0; i < 2; i++) {
    int fd = accept4(p.fds[0], NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0) close(fd);
  }
  listen(p.fds[0], 10);
  UNTIL(s.opened || s.ends);
  assert_int_equal(s.opened, 1);
  assert_peer(&s, &p, "127.0.0.2");
  seat_fini(&s);
  places_fini(&p);
}

/* When none answers, all of them have the whole time; when all refuse, the last says so. */
static void test_none(void **state) {
  (void)state;
  struct places p = { .count = 0 };
  struct seat s;
  places_add(&p, "127.0.0.2", true);
  places_add(&p, "127.0.0.3", true);
  stand_for("127.0.0.2 127.0.0.3");
  int64_t began_ns = begin(&s, &p, 400 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_TIMEOUT);
  assert_true(s.ended_ns - began_ns >= 400 * MS);
  assert_non_null(strstr(s.why.text, "connecting to broker.test"));
  seat_fini(&s);
  stand_for("127.0.0.4 127.0.0.5 127.0.0.6");
  begin(&s, &p, PATIENCE_NS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_REFUSED);
  assert_non_null(strstr(s.why.text, "127.0.0.6"));
  assert_non_null(strstr(s.why.text, "address 3 of 3"));
  seat_fini(&s);
  /* Given up in the middle. */
  stand_for("127.0.0.2 127.0.0.3");
  begin(&s, &p, PATIENCE_NS);
  turns_for(ADDRESS_NEXT_NS + 10 * MS);
  seat_fini(&s);
  places_fini(&p);
}

/* What is told of a name comes when its delay is over, or never. */
static void test_told(void **state) {
  (void)state;
  struct places p = { .count = 0 };
  struct seat s;
  places_add(&p, "127.0.0.1", false);
  stand_for("127.0.0.1");
  assert_true(names_delay(net_names(world), "broker.test", 60 * MS, NULL));
  int64_t began_ns = begin(&s, &p, PATIENCE_NS);
  UNTIL(s.opened);
  assert_true(s.opened_ns - began_ns >= 60 * MS);
  seat_fini(&s);
  assert_true(names_fail(net_names(world), "broker.test", "SERVFAIL", NULL));
  began_ns = begin(&s, &p, PATIENCE_NS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_UNREACHABLE);
  assert_true(s.ended_ns - began_ns >= 60 * MS);
  assert_non_null(strstr(s.why.text, "broker.test was not found: the name server failed (SERVFAIL, as told)"));
  seat_fini(&s);
  assert_true(names_fail(net_names(world), "broker.test", "TIMEOUT", NULL));
  begin(&s, &p, 100 * MS);
  UNTIL(s.ends);
  assert_int_equal(s.end, STREAM_TIMEOUT);
  assert_non_null(strstr(s.why.text, "looking up broker.test"));
  seat_fini(&s);
  /* A delay alone: then it is looked up as ever. */
  assert_true(names_delay(net_names(world), "localhost", 60 * MS, NULL));
  char url[64];
  snprintf(url, sizeof url, "tcp://localhost:%u", p.port);
  seat_connect(&s, url, PATIENCE_NS);
  UNTIL(s.opened);
  seat_fini(&s);
  names_forget(net_names(world), "localhost");
  places_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    WORLDRIG_REAL(test_race),
    WORLDRIG_REAL(test_slow_one_wins),
    WORLDRIG_REAL(test_none),
    WORLDRIG_REAL(test_told),
  };
  return cmocka_run_group_tests_name("evconnect", tests, NULL, NULL);
}
