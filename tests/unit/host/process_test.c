#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/process.h"

#define LIMIT_NS 10000000000
#define ARGV(...)                                                                                                      \
  (const char *const[]) {                                                                                              \
    __VA_ARGS__, NULL                                                                                                  \
  }

struct child {
  struct net *net;
  struct process *process;
  char text[3][200000]; /* by enum process_output */
  size_t used[3];
  int exits, status, signal;
  int free_at; /* 1: output, 2: exit */
};

static void child_output(void *arg, enum process_output which, struct slice text) {
  struct child *c = arg;
  assert_int_equal(c->exits, 0);
  assert_true(c->used[which] + text.size < sizeof c->text[which]);
  memcpy(c->text[which] + c->used[which], text.data, text.size);
  c->used[which] += text.size;
  if (c->free_at != 1) return;
  process_free(c->process);
  c->process = NULL;
}

static void child_exited(void *arg, int status, int signal) {
  struct child *c = arg;
  c->exits++;
  c->status = status;
  c->signal = signal;
  assert_false(process_running(c->process));
  if (c->free_at != 2) return;
  process_free(c->process);
  c->process = NULL;
}

static const struct process_handler child_handler = { child_output, child_exited };

static struct child *child_new(void) {
  static struct child c;
  memset(&c, 0, sizeof c);
  assert_non_null(c.net = evnet_new(NULL));
  return &c;
}

static struct child *child_run(const char *const *argv, const char *const *environment) {
  struct child *c = child_new();
  struct err err;
  c->process = process_spawn(c->net, argv, environment, &child_handler, c, &err);
  if (!c->process) fail_msg("%s", err.text);
  return c;
}

#define TURN_UNTIL(c, condition)                                                                                       \
  do {                                                                                                                 \
    int64_t limit_ = net_now((c)->net) + LIMIT_NS;                                                                     \
    while (!(condition)) {                                                                                             \
      assert_true(net_now((c)->net) < limit_);                                                                         \
      assert_true(net_turn((c)->net, limit_, NULL));                                                                   \
    }                                                                                                                  \
  } while (0)

static void child_end(struct child *c) {
  process_free(c->process);
  net_free(c->net);
}

static void test_output(void **state) {
  (void)state;
  struct child *c = child_run(ARGV("sh", "-c", "echo out; echo err >&2; echo $ADDED $PATH; exit 7"),
                              ARGV("ADDED=yes", "PATH=/bin:/usr/bin"));
  TURN_UNTIL(c, c->exits);
  assert_int_equal(c->status, 7);
  assert_int_equal(c->signal, 0);
  assert_string_equal(c->text[PROCESS_STDOUT], "out\nyes /bin:/usr/bin\n");
  assert_string_equal(c->text[PROCESS_STDERR], "err\n");
  assert_false(process_signal(c->process, SIGTERM));
  child_end(c);
}

/* All that a child wrote comes before its exit, also more than a pipe holds. */
static void test_much_output(void **state) {
  (void)state;
  struct child *c = child_run(ARGV("sh", "-c", "head -c 150000 /dev/zero"), NULL);
  TURN_UNTIL(c, c->exits);
  assert_int_equal(c->used[PROCESS_STDOUT], 150000);
  child_end(c);
}

static void test_signal(void **state) {
  (void)state;
  struct child *c = child_run(ARGV("sleep", "1000"), NULL);
  assert_true(process_running(c->process));
  assert_true(process_signal(c->process, SIGSTOP));
  assert_true(process_signal(c->process, SIGCONT));
  assert_true(process_signal(c->process, SIGTERM));
  TURN_UNTIL(c, c->exits);
  assert_int_equal(c->signal, SIGTERM);
  child_end(c);
}

static void test_not_found(void **state) {
  (void)state;
  struct child *c = child_new();
  struct err err;
  assert_null(process_spawn(c->net, ARGV("no-such-program-here"), NULL, &child_handler, c, &err));
  assert_string_equal(err.text, "cannot run \"no-such-program-here\": not found in PATH");
  assert_null(process_spawn(c->net, ARGV("/no/such"), NULL, &child_handler, c, &err));
  assert_string_equal(err.text, "cannot run \"/no/such\": No such file or directory");
  assert_null(process_spawn(c->net, ARGV("/etc/passwd"), NULL, &child_handler, c, &err));
  assert_string_equal(err.text, "cannot run \"/etc/passwd\": not executable");
  net_free(c->net);
}

/* Signals blocked or ignored here, and descriptors open here, are none of the child's business. */
static void test_clean_child(void **state) {
  (void)state;
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, &old);
  signal(SIGUSR1, SIG_IGN);
  int leak = open("/dev/null", O_RDONLY); /* no O_CLOEXEC */
  struct child *c = child_run(ARGV("sh", "-c",
                                   "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; ps -o pgid= -p $$ "
                                   ">/dev/null; echo group $(cut -d' ' -f5 /proc/$$/stat) $$"),
                              NULL);
  TURN_UNTIL(c, c->exits);
  close(leak);
  signal(SIGUSR1, SIG_DFL);
  sigprocmask(SIG_SETMASK, &old, NULL);
  char group[64];
  snprintf(group, sizeof group, "group %d %d\n", (int)process_pid(c->process), (int)process_pid(c->process));
  assert_non_null(strstr(c->text[PROCESS_STDOUT], "SigBlk:\t0000000000000000"));
  assert_non_null(strstr(c->text[PROCESS_STDOUT], "SigIgn:\t0000000000000000"));
  assert_non_null(strstr(c->text[PROCESS_STDOUT], "\n0\n1\n2\n"));
  char other[16];
  snprintf(other, sizeof other, "\n%d\n", leak);
  if (leak > 2) assert_null(strstr(c->text[PROCESS_STDOUT], other));
  assert_non_null(strstr(c->text[PROCESS_STDOUT], group));
  child_end(c);
}

/* A grandchild that holds the pipe open does not keep the exit back, and goes when its parent's handle goes. */
static void test_grandchild(void **state) {
  (void)state;
  struct child *c = child_run(ARGV("sh", "-c", "sleep 1000 & echo $!"), NULL);
  TURN_UNTIL(c, c->exits);
  pid_t grandchild = (pid_t)atoi(c->text[PROCESS_STDOUT]);
  assert_true(grandchild > 1);
  struct pollfd watched = { .fd = (int)syscall(SYS_pidfd_open, grandchild, 0), .events = POLLIN };
  assert_true(watched.fd >= 0);
  assert_int_equal(poll(&watched, 1, 0), 0);
  child_end(c);
  assert_int_equal(poll(&watched, 1, 10000), 1);
  close(watched.fd);
}

static void test_free_inside(void **state) {
  (void)state;
  for (int at = 1; at <= 2; at++) {
    struct child *c = child_run(ARGV("sh", "-c", "echo x; exec sleep 0.01"), NULL);
    c->free_at = at;
    TURN_UNTIL(c, !c->process);
    child_end(c);
  }
}

/* Freed while it runs: it is killed and reaped, without a handler. */
static void test_free_running(void **state) {
  (void)state;
  struct child *c = child_run(ARGV("sleep", "1000"), NULL);
  pid_t pid = process_pid(c->process);
  process_signal(c->process, SIGSTOP);
  child_end(c);
  assert_int_equal(c->exits, 0);
  assert_int_equal(kill(pid, 0), -1);
}

static void middle_run(int to_parent) {
  struct child *c = child_new();
  c->process = process_spawn(c->net, ARGV("sleep", "1000"), NULL, &child_handler, c, NULL);
  pid_t pid = c->process ? process_pid(c->process) : 0;
  if (write(to_parent, &pid, sizeof pid) != (ssize_t)sizeof pid) _exit(1);
  for (;;) pause();
}

/* A child dies with its parent, however that dies. */
static void test_parent_killed(void **state) {
  (void)state;
  int ends[2];
  pid_t pid = 0;
  assert_int_equal(pipe(ends), 0);
  fflush(NULL);
  pid_t middle = fork();
  if (middle == 0) middle_run(ends[1]);
  assert_true(middle > 0);
  assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
  assert_true(pid > 1);
  struct pollfd watched = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
  assert_true(watched.fd >= 0);
  assert_int_equal(poll(&watched, 1, 0), 0);
  kill(middle, SIGKILL);
  assert_int_equal(poll(&watched, 1, 10000), 1);
  waitpid(middle, NULL, 0);
  close(watched.fd);
  close(ends[0]);
  close(ends[1]);
}

/* Workers. */

static int worker_body(void *arg, int channel) {
  struct child *c = arg;
  char text[32] = "";
  evnet_abandon(c->net);
  if (read(channel, text, sizeof text - 1) <= 0) return 1;
  raise(SIGINT); /* ignored */
  printf("worker heard %s", text);
  if (write(channel, "done", 4) != 4) return 2;
  return 42;
}

static void run_worker(const struct process_handler *handler, const char *heard) {
  struct child *c = child_new();
  int channel = -1;
  char answer[8] = "";
  c->process = process_fork(c->net, worker_body, c, &channel, handler, c, NULL);
  assert_non_null(c->process);
  assert_int_equal(write(channel, "hello", 5), 5);
  TURN_UNTIL(c, c->exits);
  assert_int_equal(c->status, 42);
  assert_int_equal(read(channel, answer, sizeof answer), 4);
  assert_string_equal(answer, "done");
  assert_int_equal(read(channel, answer, sizeof answer), 0);
  assert_string_equal(c->text[PROCESS_STDOUT], heard);
  close(channel);
  child_end(c);
}

static void test_worker(void **state) {
  (void)state;
  run_worker(&child_handler, "worker heard hello");
}

/* Without a handler for output a worker writes where its parent does. */
static void test_worker_keeps_stdout(void **state) {
  (void)state;
  char text[64] = "";
  int ends[2], saved = dup(1);
  assert_int_equal(pipe(ends), 0);
  fflush(stdout);
  dup2(ends[1], 1);
  close(ends[1]);
  const struct process_handler handler = { NULL, child_exited };
  run_worker(&handler, "");
  fflush(stdout);
  dup2(saved, 1);
  close(saved);
  assert_true(read(ends[0], text, sizeof text - 1) > 0);
  assert_string_equal(text, "worker heard hello");
  close(ends[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_output),
    cmocka_unit_test(test_much_output),
    cmocka_unit_test(test_signal),
    cmocka_unit_test(test_not_found),
    cmocka_unit_test(test_clean_child),
    cmocka_unit_test(test_grandchild),
    cmocka_unit_test(test_free_inside),
    cmocka_unit_test(test_free_running),
    cmocka_unit_test(test_parent_killed),
    cmocka_unit_test(test_worker),
    cmocka_unit_test(test_worker_keeps_stdout),
  };
  return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
