/* proxyflow: what a forwarder costs. Starts it, sends PUBLISH packets through it on one connection to a socket of its
 * own, and prints the forwarder's CPU time.
 *
 *   proxyflow SIZE COUNT MODE LISTEN_PORT UPSTREAM_PORT COMMAND...
 *
 * SIZE: of a payload. MODE: stream (as fast as it goes, many packets a write), writes (the same, each packet by a write
 * of its own, as clients do), or echo (one packet, which the other end sends back, and then the next). The command must
 * listen at LISTEN_PORT of 127.0.0.1 and connect to UPSTREAM_PORT. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECE_MAX 262144

struct flow {
  int from, to;
  const unsigned char *packet;
  size_t size, count;
  size_t batch_max; /* bytes of a write */
};

static void fail(const char *what) {
  fprintf(stderr, "proxyflow: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *port) {
  return (struct sockaddr_in){ .sin_family = AF_INET,
                               .sin_port = htons((unsigned short)strtoul(port, NULL, 10)),
                               .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static unsigned char *make_packet(size_t payload, size_t *size) {
  size_t body = 2 + 5 + payload, at = 1;
  unsigned char *p = malloc(body + 5);
  p[0] = 0x30;
  for (size_t n = body; at == 1 || n; n >>= 7) p[at++] = (unsigned char)((n & 127) | (n > 127 ? 128 : 0));
  memcpy(p + at, "\0\5bench", 7);
  memset(p + at + 7, 'x', payload);
  *size = at + body;
  return p;
}

static void write_all(int fd, const unsigned char *bytes, size_t size) {
  while (size) {
    ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
    if (n <= 0) fail("send");
    bytes += n;
    size -= (size_t)n;
  }
}

static void read_all(int fd, size_t size) {
  static __thread unsigned char ignored[PIECE_MAX];
  while (size) {
    ssize_t n = recv(fd, ignored, size < sizeof ignored ? size : sizeof ignored, 0);
    if (n <= 0) fail("recv");
    size -= (size_t)n;
  }
}

static void *send_stream(void *arg) {
  const struct flow *f = arg;
  size_t batch = f->size < f->batch_max ? f->batch_max / f->size : 1, sent = 0;
  unsigned char *many = malloc(batch * f->size);
  for (size_t i = 0; i < batch; i++) memcpy(many + i * f->size, f->packet, f->size);
  while (sent < f->count) {
    size_t n = f->count - sent < batch ? f->count - sent : batch;
    write_all(f->from, many, n * f->size);
    sent += n;
  }
  free(many);
  return NULL;
}

static void stream(struct flow *f) {
  pthread_t sender;
  pthread_create(&sender, NULL, send_stream, f);
  read_all(f->to, f->size * f->count);
  pthread_join(sender, NULL);
}

static void *answer(void *arg) {
  const struct flow *f = arg;
  for (size_t i = 0; i < f->count; i++) {
    read_all(f->to, f->size);
    write_all(f->to, f->packet, f->size);
  }
  return NULL;
}

static void echo(struct flow *f) {
  pthread_t other;
  pthread_create(&other, NULL, answer, f);
  for (size_t i = 0; i < f->count; i++) {
    write_all(f->from, f->packet, f->size);
    read_all(f->from, f->size);
  }
  pthread_join(other, NULL);
}

static pid_t start(char **argv) {
  pid_t pid = fork();
  if (pid) return pid;
  execvp(argv[0], argv);
  fail(argv[0]);
  return 0;
}

/* The forwarder listens once a connect succeeds. */
static int dial(const char *port, double limit_s) {
  struct sockaddr_in a = address(port);
  int on = 1;
  for (double until_s = now_s() + limit_s; now_s() < until_s; poll(NULL, 0, 5)) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
  }
  fail("the forwarder does not listen");
  return -1;
}

int main(int argc, char **argv) {
  struct rusage used;
  struct flow f = { 0 };
  int on = 1, status;
  if (argc < 7) return 2;
  struct sockaddr_in a = address(argv[5]);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 8) != 0) fail("listen");
  f.packet = make_packet(strtoul(argv[1], NULL, 10), &f.size);
  f.count = strtoul(argv[2], NULL, 10);
  pid_t pid = start(argv + 6);
  f.from = dial(argv[4], 10);
  f.to = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  setsockopt(f.to, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  double began_s = now_s();
  f.batch_max = strcmp(argv[3], "writes") == 0 ? 1 : PIECE_MAX;
  if (strcmp(argv[3], "echo") == 0) echo(&f);
  else stream(&f);
  double took_s = now_s() - began_s;
  close(f.from);
  close(f.to);
  kill(pid, SIGTERM);
  if (wait4(pid, &status, 0, &used) != pid) fail("wait");
  double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  printf("%.3f %.3f %.3f\n", cpu_s, (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6, took_s);
  return 0;
}
