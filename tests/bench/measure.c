/* measure: runs a command and prints, behind what it prints, what it cost with all its children.
 *
 *   measure SECONDS COMMAND...
 *
 * Last line: whole_wall_s=N whole_cpu_s=N whole_rss_kib=N status=N. After so many seconds the command's process group
 * is killed; its status is 124 then.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "figure.h"

static pid_t measure_child;
static volatile sig_atomic_t measure_late;

static void measure_alarm(int signal_number) {
  measure_late = signal_number == SIGALRM;
  kill(-measure_child, SIGKILL);
}

static void measure_start(char **command) {
  pid_t parent = getpid();
  measure_child = fork();
  figure_need(measure_child >= 0, "fork");
  if (measure_child > 0) return;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  execvp(command[0], command);
  fprintf(stderr, "%s: not found\n", command[0]);
  _exit(127);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int64_t begin_ns = figure_now_ns();
  measure_start(argv + 2);
  setpgid(measure_child, measure_child);
  struct sigaction action = { .sa_handler = measure_alarm, .sa_flags = SA_RESTART };
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  alarm((unsigned)strtoul(argv[1], NULL, 10));
  int status = 0;
  struct rusage usage;
  figure_need(wait4(measure_child, &status, 0, &usage) == measure_child, "wait");
  int code = measure_late ? 124 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  printf("\nwhole_wall_s=%.6f whole_cpu_s=%.6f whole_rss_kib=%ld status=%d\n",
         (double)(figure_now_ns() - begin_ns) / 1e9, figure_usage_s(&usage), usage.ru_maxrss, code);
  return 0;
}
