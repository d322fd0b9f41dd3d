/* What a child leaves behind is ended; what was there before, and what is known, is not. */
#include "host/orphans.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child that waits to be killed. */
static pid_t orphans_test_child(void) {
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  assert_true(pid > 0);
  return pid;
}

/* A child that starts another one, in a group of its own if wanted, tells its number and ends. */
static pid_t orphans_test_grandchild(bool own_group) {
  int ends[2];
  pid_t pid = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    pid = fork();
    if (pid == 0) {
      if (own_group) setsid();
      pid = getpid();
      if (write(ends[1], &pid, sizeof pid) != (ssize_t)sizeof pid) _exit(1);
      for (;;) pause();
    }
    _exit(0);
  }
  assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
  assert_int_equal(waitpid(child, NULL, 0), child);
  close(ends[0]);
  close(ends[1]);
  return pid;
}

static bool orphans_test_is_there(pid_t pid) {
  return kill(pid, 0) == 0;
}

static pid_t orphans_test_known_pid;

static bool orphans_test_is_known(pid_t pid) {
  return pid == orphans_test_known_pid;
}

static void orphans_test_ends_what_is_left(void **state) {
  (void)state;
  pid_t former = orphans_test_child();
  orphans_adopt();
  pid_t known = orphans_test_known_pid = orphans_test_child();
  pid_t one = orphans_test_grandchild(false), two = orphans_test_grandchild(true), own = orphans_test_child();
  orphans_end(orphans_test_is_known);
  assert_false(orphans_test_is_there(one));
  assert_false(orphans_test_is_there(two));
  assert_false(orphans_test_is_there(own));
  assert_true(orphans_test_is_there(known));
  orphans_end(NULL);
  assert_false(orphans_test_is_there(known));
  assert_true(orphans_test_is_there(former));
  kill(former, SIGKILL);
  assert_int_equal(waitpid(former, NULL, 0), former);
  orphans_end(NULL); /* none is there */
}

/* A process that has adopted nothing ends nothing. */
static void orphans_test_needs_adoption(void **state) {
  (void)state;
  pid_t child = orphans_test_child();
  orphans_forked();
  orphans_end(NULL);
  assert_true(orphans_test_is_there(child));
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(orphans_test_ends_what_is_left),
    cmocka_unit_test(orphans_test_needs_adoption),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
