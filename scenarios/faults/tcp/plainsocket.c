/* plainsocket: a TCP socket without mqrig, told what to do word by word, saying in a line each what came of it.
 *
 *   plainsocket listen:5 accept read          "port 40123", "accepted", "read 7 then ECONNRESET"
 *   plainsocket connect:1883 write:7 reset    "connected", "wrote 7", "reset"
 *
 * One connection at a time, on loopback. Nothing waits longer than PATIENCE_MS, but `go`, which waits for SIGHUP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS  20000
#define QUIET_MS     300
#define CONNECTS_MAX 100

static int plainsocket_listener = -1, plainsocket_fd = -1;
static long plainsocket_a, plainsocket_b; /* the numbers behind the word */
static char plainsocket_bytes[65536];

static short plainsocket_poll(int fd, short events, int timeout_ms) {
  struct pollfd p = { .fd = fd, .events = events };
  return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

static struct sockaddr_in plainsocket_address(long port) {
  return (struct sockaddr_in){ .sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static size_t plainsocket_next(long done, long all) {
  return (size_t)(all - done) < sizeof plainsocket_bytes ? (size_t)(all - done) : sizeof plainsocket_bytes;
}

/* listen:BACKLOG */
static void plainsocket_listen(void) {
  struct sockaddr_in a = plainsocket_address(0);
  socklen_t size = sizeof a;
  plainsocket_listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(plainsocket_listener, (struct sockaddr *)&a, size) || listen(plainsocket_listener, (int)plainsocket_a)) {
    printf("listen: %s\n", strerrorname_np(errno));
    return;
  }
  getsockname(plainsocket_listener, (struct sockaddr *)&a, &size);
  printf("port %d\n", ntohs(a.sin_port));
}

static void plainsocket_accept(void) {
  bool came = plainsocket_poll(plainsocket_listener, POLLIN, PATIENCE_MS);
  if (came) plainsocket_fd = accept(plainsocket_listener, NULL, NULL);
  printf(came ? "accepted\n" : "nobody came\n");
}

/* connect:PORT */
static void plainsocket_connect(void) {
  struct sockaddr_in a = plainsocket_address(plainsocket_a);
  plainsocket_fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(plainsocket_fd, (struct sockaddr *)&a, sizeof a)) printf("connect: %s\n", strerrorname_np(errno));
  else printf("connected\n");
}

/* connects:PORT:MS - one after the other, each given so long, until one is not answered; all stay open. */
static void plainsocket_connects(void) {
  struct sockaddr_in a = plainsocket_address(plainsocket_a);
  for (int count = 0; count < CONNECTS_MAX; count++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), why = 0;
    socklen_t size = sizeof why;
    bool done = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || plainsocket_poll(fd, POLLOUT, (int)plainsocket_b);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size);
    if (done && !why) continue;
    printf("%d connected, the next: %s\n", count, done ? strerrorname_np(why) : "no answer");
    return;
  }
  printf("all connected\n");
}

/* write:SIZE */
static void plainsocket_write(void) {
  long written = 0;
  ssize_t n = 0;
  while (written < plainsocket_a && n >= 0) {
    n = send(plainsocket_fd, plainsocket_bytes, plainsocket_next(written, plainsocket_a), MSG_NOSIGNAL);
    if (n > 0) written += n;
  }
  if (n < 0) printf("wrote %ld then %s\n", written, strerrorname_np(errno));
  else printf("wrote %ld\n", written);
}

/* fill:MOST - until nothing has been taken for QUIET_MS, or so much has. */
static void plainsocket_fill(void) {
  long written = 0;
  while (written < plainsocket_a && plainsocket_poll(plainsocket_fd, POLLOUT, QUIET_MS)) {
    ssize_t n =
        send(plainsocket_fd, plainsocket_bytes, plainsocket_next(written, plainsocket_a), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) written += n;
    if (n >= 0 || errno == EAGAIN) continue;
    printf("filled %ld then %s\n", written, strerrorname_np(errno));
    return;
  }
  printf("filled %ld\n", written);
}

/* read, read:SIZE - to the end, or so many bytes. */
static void plainsocket_read(void) {
  long got = 0, all = plainsocket_a ? plainsocket_a : INT64_MAX;
  ssize_t n = 1;
  while (n > 0 && got < all) {
    if (!plainsocket_poll(plainsocket_fd, POLLIN, PATIENCE_MS)) {
      printf("read %ld then nothing\n", got);
      return;
    }
    n = recv(plainsocket_fd, plainsocket_bytes, plainsocket_next(got, all), 0);
    if (n > 0) got += n;
  }
  if (n > 0) printf("read %ld\n", got);
  else printf("read %ld then %s\n", got, n == 0 ? "end" : strerrorname_np(errno));
}

/* Waits, without reading, until the other end has closed or reset. */
static void plainsocket_await(void) {
  printf(plainsocket_poll(plainsocket_fd, POLLRDHUP, PATIENCE_MS) ? "it ended\n" : "it did not end\n");
}

static void plainsocket_await_reset(void) {
  printf(plainsocket_poll(plainsocket_fd, 0, PATIENCE_MS) & (POLLERR | POLLHUP) ? "it was reset\n" : "no reset\n");
}

/* silent:MS - nothing comes for so long, neither bytes nor an end. */
static void plainsocket_silent(void) {
  short came = plainsocket_poll(plainsocket_fd, POLLIN | POLLRDHUP, (int)plainsocket_a);
  printf(!came                        ? "silent\n"
         : came & (POLLERR | POLLHUP) ? "not silent: reset\n"
         : came & POLLRDHUP           ? "not silent: closed\n"
                                      : "not silent: bytes\n");
}

static void plainsocket_shutdown(void) {
  shutdown(plainsocket_fd, SHUT_WR);
  printf("shut down\n");
}

static void plainsocket_close(void) {
  close(plainsocket_fd);
  printf("closed\n");
}

static void plainsocket_reset(void) {
  struct linger now = { 1, 0 };
  setsockopt(plainsocket_fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(plainsocket_fd);
  printf("reset\n");
}

/* Waits until the other kernel has all that was written. */
static void plainsocket_drain(void) {
  int unsent = 1;
  for (int ms = 0; unsent && ms < PATIENCE_MS; ms++) {
    ioctl(plainsocket_fd, SIOCOUTQ, &unsent);
    if (unsent) poll(NULL, 0, 1);
  }
  printf("unsent %d\n", unsent);
}

static void plainsocket_go(void) {
  sigset_t set;
  int got;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  printf("waiting\n");
  fflush(stdout);
  sigwait(&set, &got);
}

/* Whether this process may make connections vanish. */
static void plainsocket_repair(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  bool can = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
  printf("TCP_REPAIR: %s\n", can ? "yes" : strerrorname_np(errno));
  close(fd);
}

static const struct {
  const char *word;
  void (*act)(void);
} plainsocket_words[] = {
  { "listen", plainsocket_listen },
  { "accept", plainsocket_accept },
  { "connect", plainsocket_connect },
  { "connects", plainsocket_connects },
  { "write", plainsocket_write },
  { "fill", plainsocket_fill },
  { "read", plainsocket_read },
  { "await", plainsocket_await },
  { "await-reset", plainsocket_await_reset },
  { "silent", plainsocket_silent },
  { "shutdown", plainsocket_shutdown },
  { "close", plainsocket_close },
  { "reset", plainsocket_reset },
  { "drain", plainsocket_drain },
  { "go", plainsocket_go },
  { "repair", plainsocket_repair },
};

static bool plainsocket_do(const char *text) {
  size_t size = strcspn(text, ":");
  char *rest = (char *)(uintptr_t)text + size;
  plainsocket_a = *rest ? strtol(rest + 1, &rest, 10) : 0;
  plainsocket_b = *rest ? strtol(rest + 1, &rest, 10) : 0;
  for (size_t i = 0; i < sizeof plainsocket_words / sizeof plainsocket_words[0]; i++) {
    if (strlen(plainsocket_words[i].word) != size || memcmp(text, plainsocket_words[i].word, size) != 0) continue;
    plainsocket_words[i].act();
    fflush(stdout);
    return true;
  }
  fprintf(stderr, "plainsocket: there is no word \"%s\"\n", text);
  return false;
}

int main(int argc, char **argv) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (int i = 1; i < argc; i++) {
    if (!plainsocket_do(argv[i])) return 2;
  }
  return 0;
}
