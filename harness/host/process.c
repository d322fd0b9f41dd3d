#include "host/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/orphans.h"

#define PROCESS_READ 65536
#define PROCESS_DRAIN_MAX                                                                                              \
  (1u << 20)                /* read after the exit: the most that a pipe can hold of what the child itself wrote */
#define PROCESS_STDERR_AT 2 /* places in `pipes` are PROCESS_STDOUT - 1 and PROCESS_STDERR - 1 */

struct process_pipe {
  int fd; /* -1: none, or at its end */
  struct evnet_watch *watch;
};

struct process {
  struct net *net;
  struct process_handler handler;
  void *arg;
  pid_t pid; /* not reaped before process_free, so that neither it nor its group's number is given to anybody else */
  int pidfd;
  struct evnet_watch *exit_watch;
  struct process_pipe pipes[PROCESS_STDERR_AT];
  unsigned depth; /* handlers that run */
  bool dead;      /* freed inside one of them */
  bool worker;
  struct process *next, **link; /* in process_all; link NULL: not in it */
};

static struct process *process_all; /* that run, or are not reaped yet */

static bool process_is_known(pid_t pid) {
  for (const struct process *p = process_all; p; p = p->next) {
    if (p->pid == pid) return true;
  }
  return false;
}

static void process_enlist(struct process *p) {
  p->next = process_all;
  p->link = &process_all;
  if (p->next) p->next->link = &p->next;
  process_all = p;
}

static void process_delist(struct process *p) {
  if (!p->link) return;
  *p->link = p->next;
  if (p->next) p->next->link = p->link;
  p->link = NULL;
}

void process_end_orphans(void) {
  orphans_end(process_is_known);
}

/* In the child. Only calls that are safe after fork, until exec. */

static void process_child_signals(void) {
  sigset_t none;
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Ties the child's life to its parent's, also if the parent died before prctl could know. */
static void process_child_begin(pid_t parent, int death_signal) {
  setpgid(0, 0);
  process_child_signals();
  prctl(PR_SET_PDEATHSIG, death_signal);
  if (getppid() != parent) _exit(127);
}

/* All but the standard three and `error_fd`, which goes by itself at exec. */
static void process_child_close(int error_fd) {
  if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
  long most = sysconf(_SC_OPEN_MAX);
  for (int fd = 3; fd < most; fd++) {
    if (fd != error_fd) close(fd);
  }
}

/* A descriptor that is one of the standard three already would be lost to the first dup2. */
static int process_above(int fd) {
  int above = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return above < 0 ? fd : above;
}

/* stdout and stderr become these. */
static void process_child_output(const int ends[2]) {
  int out = process_above(ends[0]), err = process_above(ends[1]);
  dup2(out, 1);
  dup2(err, 2);
}

/* stdin has nothing in it: one terminal cannot serve several, and who reads it in the background is stopped. */
static void process_child_input(void) {
  dup2(process_above(open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
}

static _Noreturn void process_child_exec(const char *const *argv, char **environment, const int ends[2], int error_fd,
                                         pid_t parent) {
  process_child_begin(parent, SIGKILL);
  error_fd = process_above(error_fd);
  process_child_output(ends);
  process_child_input();
  process_child_close(error_fd);
  execvpe(argv[0], (char *const *)(uintptr_t)argv, environment);
  int why = errno;
  ssize_t n = write(error_fd, &why, sizeof why);
  _exit(n == (ssize_t)sizeof why ? 127 : 126);
}

/* The environment with what is added: what comes first counts for getenv. */

static bool process_overridden(const char *entry, const char *const *added) {
  size_t key = strcspn(entry, "=") + 1;
  for (; added && *added; added++) {
    if (strncmp(entry, *added, key) == 0) return true;
  }
  return false;
}

static char **process_environment(const char *const *added) {
  size_t count = 0, used = 0;
  while (environ[count]) count++;
  for (const char *const *a = added; a && *a; a++) count++;
  char **all = mem_resize(NULL, (count + 1) * sizeof *all);
  for (const char *const *a = added; a && *a; a++) all[used++] = (char *)(uintptr_t)*a;
  for (char **e = environ; *e; e++) {
    if (!process_overridden(*e, added)) all[used++] = *e;
  }
  all[used] = NULL;
  return all;
}

/* In the parent: what happens to a child. */

static void process_close(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void process_pipe_fini(struct process_pipe *p) {
  if (p->watch) evnet_unwatch(p->watch);
  p->watch = NULL;
  process_close(&p->fd);
}

static void process_release(struct process *p) {
  process_delist(p);
  if (p->exit_watch) evnet_unwatch(p->exit_watch);
  process_close(&p->pidfd);
  for (int i = 0; i < PROCESS_STDERR_AT; i++) process_pipe_fini(&p->pipes[i]);
  free(p);
}

static void process_leave(struct process *p) {
  if (--p->depth == 0 && p->dead) process_release(p);
}

/* Reads once. Returns how much came; 0: nothing now, or the end. */
static size_t process_read(struct process *p, int i) {
  struct process_pipe *pipe = &p->pipes[i];
  char bytes[PROCESS_READ];
  if (pipe->fd < 0) return 0;
  ssize_t n = read(pipe->fd, bytes, sizeof bytes);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) {
    process_pipe_fini(pipe);
    return 0;
  }
  if (p->handler.output) p->handler.output(p->arg, (enum process_output)(i + 1), slice_of(bytes, (size_t)n));
  return (size_t)n;
}

static void process_readable(void *arg, int fd) {
  struct process *p = arg;
  p->depth++;
  for (int i = 0; i < PROCESS_STDERR_AT; i++) {
    if (p->pipes[i].fd == fd) {
      process_read(p, i);
      break;
    }
  }
  process_leave(p);
}

/* A grandchild may hold the pipe open and may even write on: what is in it now is taken, the end is not waited for. */
static void process_drain(struct process *p) {
  process_take_output(p);
  for (int i = 0; i < PROCESS_STDERR_AT && !p->dead; i++) process_pipe_fini(&p->pipes[i]);
}

void process_take_output(struct process *p) {
  p->depth++;
  for (int i = 0; i < PROCESS_STDERR_AT; i++) {
    size_t most = PROCESS_DRAIN_MAX, n;
    while (!p->dead && most && (n = process_read(p, i))) most -= n < most ? n : most;
  }
  process_leave(p);
}

/* Whether it has ended, and how. It stays a zombie. */
static bool process_ended(const struct process *p, siginfo_t *how) {
  *how = (siginfo_t){ 0 };
  int r;
  do r = waitid(P_PID, (id_t)p->pid, how, WEXITED | WNOHANG | WNOWAIT);
  while (r < 0 && errno == EINTR);
  return r == 0 && how->si_pid == p->pid;
}

static void process_exited(void *arg, int fd) {
  struct process *p = arg;
  siginfo_t how;
  (void)fd;
  if (!process_ended(p, &how)) return;
  p->depth++;
  evnet_unwatch(p->exit_watch);
  p->exit_watch = NULL;
  process_drain(p);
  if (p->worker) process_end_orphans();
  bool by_itself = how.si_code == CLD_EXITED;
  if (!p->dead && p->handler.exited) {
    p->handler.exited(p->arg, by_itself ? how.si_status : 0, by_itself ? 0 : how.si_status);
  }
  process_leave(p);
}

static struct process *process_new(struct net *n, const struct process_handler *handler, void *arg) {
  struct process *p = mem_zero(sizeof *p);
  p->net = n;
  if (handler) p->handler = *handler;
  p->arg = arg;
  p->pidfd = -1;
  for (int i = 0; i < PROCESS_STDERR_AT; i++) p->pipes[i].fd = -1;
  return p;
}

static void process_kill_now(pid_t pid) {
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL); /* it may not have its group yet */
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}

static void process_shortage(struct err *err, const char *what) {
  if (errno == EMFILE || errno == ENFILE) evnet_shortage(err, errno, what);
  else err_set(err, "cannot make the pipes of %s: %s", what, strerror(errno));
}

/* The child runs: watches it. On failure it is killed. */
static bool process_adopt(struct process *p, pid_t pid, struct err *err) {
  setpgid(pid, pid); /* both sides do, so that it holds from here on; EACCES after exec is fine */
  p->pid = pid;
  p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (p->pidfd < 0) {
    process_shortage(err, "a child process");
    process_kill_now(pid);
    return false;
  }
  fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
  process_enlist(p);
  p->exit_watch = evnet_watch(p->net, p->pidfd, process_exited, p);
  for (int i = 0; i < PROCESS_STDERR_AT; i++) {
    struct process_pipe *pipe = &p->pipes[i];
    if (pipe->fd >= 0) pipe->watch = evnet_watch(p->net, pipe->fd, process_readable, p);
  }
  return true;
}

/* Waits until exec has happened (true) or could not. */
static bool process_exec_happened(int error_fd, const char *name, struct err *err) {
  int why = 0;
  ssize_t n;
  do n = read(error_fd, &why, sizeof why);
  while (n < 0 && errno == EINTR);
  if (n == 0) return true;
  if (why == ENOENT && !strchr(name, '/')) return err_set(err, "cannot run \"%s\": not found in PATH", name);
  if (why == EACCES) return err_set(err, "cannot run \"%s\": not executable", name);
  return err_set(err, "cannot run \"%s\": %s", name, strerror(why));
}

/* Three pipes: ends[i][0] is read here, ends[i][1] is the child's. 0: stdout, 1: stderr, 2: why exec failed. */
static bool process_pipes(int ends[3][2], struct err *err) {
  for (int i = 0; i < 3; i++) {
    if (pipe2(ends[i], O_CLOEXEC) == 0) continue;
    process_shortage(err, "a child process");
    for (int k = 0; k < i; k++) {
      process_close(&ends[k][0]);
      process_close(&ends[k][1]);
    }
    return false;
  }
  fcntl(ends[0][0], F_SETFL, O_NONBLOCK);
  fcntl(ends[1][0], F_SETFL, O_NONBLOCK);
  return true;
}

static pid_t process_start(const char *const *argv, const char *const *environment, int ends[3][2], struct err *err) {
  char **all = process_environment(environment);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) process_child_exec(argv, all, (int[2]){ ends[0][1], ends[1][1] }, ends[2][1], parent);
  if (pid < 0) err_set(err, "cannot start \"%s\": %s", argv[0], strerror(errno));
  free(all);
  for (int i = 0; i < 3; i++) process_close(&ends[i][1]);
  if (pid > 0 && !process_exec_happened(ends[2][0], argv[0], err)) {
    process_kill_now(pid);
    pid = -1;
  }
  process_close(&ends[2][0]);
  return pid;
}

struct process *process_spawn(struct net *n, const char *const *argv, const char *const *environment,
                              const struct process_handler *handler, void *arg, struct err *err) {
  int ends[3][2];
  assert(argv[0]);
  if (!process_pipes(ends, err)) return NULL;
  struct process *p = process_new(n, handler, arg);
  pid_t pid = process_start(argv, environment, ends, err);
  p->pipes[0].fd = ends[0][0];
  p->pipes[1].fd = ends[1][0];
  if (pid > 0 && process_adopt(p, pid, err)) return p;
  process_release(p);
  return NULL;
}

struct process_body {
  int (*run)(void *arg, int channel);
  void *arg;
};

/* The parent has died, or somebody ends the worker: what it started goes with it, also what is in the background. */
static void process_worker_end(int number) {
  orphans_end(NULL);
  signal(number, SIG_DFL);
  raise(number); /* it is held back until this handler returns */
}

static _Noreturn void process_child_body(const struct process_body *body, int channel, const int output[2],
                                         pid_t parent) {
  process_all = NULL;
  orphans_forked();
  orphans_adopt();
  process_child_begin(parent, SIGTERM);
  signal(SIGTERM, process_worker_end);
  if (getppid() != parent) raise(SIGTERM); /* it died in between */
  signal(SIGINT, SIG_IGN);                 /* Ctrl-C is the parent's affair, which ends its workers in order */
  process_child_input();
  if (output[0] >= 0) process_child_output(output);
  int status = body->run(body->arg, channel);
  fflush(NULL);
  _exit(status);
}

/* ends[0], ends[1]: as process_pipes, or -1 where the worker keeps its parent's. ends[2]: the channel. */
static bool process_fork_ends(int ends[3][2], bool output, struct err *err) {
  for (int i = 0; i < 3; i++) ends[i][0] = ends[i][1] = -1;
  if (output && !process_pipes(ends, err)) return false;
  process_close(&ends[2][0]);
  process_close(&ends[2][1]);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[2]) == 0) return true;
  process_shortage(err, "a worker");
  for (int i = 0; i < 2; i++) {
    process_close(&ends[i][0]);
    process_close(&ends[i][1]);
  }
  return false;
}

static pid_t process_start_body(const struct process_body *body, int ends[3][2], struct err *err) {
  fflush(NULL); /* what is buffered would be written twice */
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 3; i++) process_close(&ends[i][0]);
    process_child_body(body, ends[2][1], (int[2]){ ends[0][1], ends[1][1] }, parent);
  }
  if (pid < 0) err_set(err, "cannot start a worker: %s", strerror(errno));
  for (int i = 0; i < 3; i++) process_close(&ends[i][1]);
  return pid;
}

struct process *process_fork(struct net *n, int (*body)(void *arg, int channel), void *body_arg, int *channel,
                             const struct process_handler *handler, void *arg, struct err *err) {
  int ends[3][2];
  if (!process_fork_ends(ends, handler && handler->output, err)) return NULL;
  struct process *p = process_new(n, handler, arg);
  p->worker = true;
  orphans_adopt();
  pid_t pid = process_start_body(&(struct process_body){ body, body_arg }, ends, err);
  p->pipes[0].fd = ends[0][0];
  p->pipes[1].fd = ends[1][0];
  if (pid > 0 && process_adopt(p, pid, err)) {
    *channel = ends[2][0];
    return p;
  }
  process_close(&ends[2][0]);
  process_release(p);
  return NULL;
}

pid_t process_pid(const struct process *p) {
  return p->pid;
}

bool process_running(const struct process *p) {
  siginfo_t how;
  return !process_ended(p, &how);
}

bool process_signal(struct process *p, int signal) {
  return process_running(p) && kill(-p->pid, signal) == 0;
}

void process_free(struct process *p) {
  if (!p || p->dead) return;
  process_kill_now(p->pid);
  if (p->worker) {
    process_delist(p);
    process_end_orphans();
  }
  p->dead = true;
  if (!p->depth) process_release(p);
}
