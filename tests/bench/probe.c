/* probe: helps to start a broker.
 *
 *   probe free              prints a TCP port of 127.0.0.1 that was free a moment ago
 *   probe wait PORT         returns when somebody accepts connections there; after 5 s in vain, with status 1
 *   probe keep SECONDS COMMAND...   prints pid=N and becomes the command, which the kernel ends when its parent ends or
 *                           so many seconds have passed
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "figure.h"
#include "stub.h"

static int probe_free(void) {
  static struct stub s;
  stub_open(&s);
  printf("%u\n", s.port);
  return 0;
}

static int probe_once(uint16_t port) {
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  figure_need(fd >= 0, "socket");
  int accepted = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  close(fd);
  return accepted;
}

static int probe_wait(uint16_t port) {
  int64_t until_ns = figure_now_ns() + INT64_C(5000000000);
  while (figure_now_ns() < until_ns) {
    if (probe_once(port)) return 0;
    poll(NULL, 0, 5);
  }
  return 1;
}

static int probe_keep(unsigned limit_s, char **command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(limit_s);
  printf("pid=%d\n", (int)getpid());
  fflush(stdout);
  execvp(command[0], command);
  fprintf(stderr, "%s: not found\n", command[0]);
  return 127;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "free")) return probe_free();
  if (!strcmp(what, "wait") && argc == 3) return probe_wait((uint16_t)strtoul(argv[2], NULL, 10));
  if (!strcmp(what, "keep") && argc > 3) return probe_keep((unsigned)strtoul(argv[2], NULL, 10), argv + 3);
  fputs("usage: probe free | wait PORT | keep SECONDS COMMAND...\n", stderr);
  return 2;
}
