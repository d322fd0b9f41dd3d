/* firstpublish: from the start of a program to its first PUBLISH on the wire, against a stub broker.
 *
 *   firstpublish REPEATS COMMAND...     an argument that contains @PORT gets the stub's port there
 *
 * Prints runs=N median_ms=N least_ms=N most_ms=N. The command is left to end by itself, and killed after 10 s.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "figure.h"
#include "stub.h"

#define FIRSTPUBLISH_RUNS_MAX 1000
#define FIRSTPUBLISH_LIMIT_NS INT64_C(10000000000)

static char *firstpublish_argument(char *argument, uint16_t port) {
  char *mark = strstr(argument, "@PORT"), *text = NULL;
  if (!mark) return argument;
  figure_need(asprintf(&text, "%.*s%u%s", (int)(mark - argument), argument, port, mark + 5) > 0, "memory");
  return text;
}

static double firstpublish_once(struct stub *s, char **command) {
  extern char **environ;
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
  pid_t child = 0;
  int64_t begin_ns = figure_now_ns();
  figure_need(posix_spawnp(&child, command[0], &quiet, NULL, command, environ) == 0, command[0]);
  posix_spawn_file_actions_destroy(&quiet);
  bool running = true;
  while (running && figure_now_ns() < begin_ns + FIRSTPUBLISH_LIMIT_NS) {
    stub_turn(s, 2);
    running = waitpid(child, NULL, WNOHANG) == 0;
  }
  if (running) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
  }
  stub_turn(s, 0); /* what it wrote just before it ended */
  double after_ms = s->first_ns ? (double)(s->first_ns - begin_ns) / 1e6 : -1;
  stub_reset(s);
  figure_need(after_ms >= 0, "the command published nothing: it");
  return after_ms;
}

static int firstpublish_order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  static struct stub s = { .acknowledges = true };
  static double ms[FIRSTPUBLISH_RUNS_MAX];
  size_t runs = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
  if (runs == 0 || runs > FIRSTPUBLISH_RUNS_MAX) return 2;
  stub_open(&s);
  for (char **argument = argv + 2; *argument; argument++) *argument = firstpublish_argument(*argument, s.port);
  for (size_t i = 0; i < runs; i++) ms[i] = firstpublish_once(&s, argv + 2);
  qsort(ms, runs, sizeof *ms, firstpublish_order);
  printf("runs=%zu median_ms=%.3f least_ms=%.3f most_ms=%.3f\n", runs, ms[runs / 2], ms[0], ms[runs - 1]);
  return 0;
}
