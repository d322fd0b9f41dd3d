#include "host/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORPHANS_NAME_MAX 16 /* digits of a process's number */

/* A process has one set of children, and a signal handler sees statics only. */
static struct {
  pid_t former[ORPHANS_FORMER_MAX];
  unsigned former_count;
  bool adopted, overrun;
} orphans;

/* What getdents64 gives; the C library's readdir allocates, which a signal handler must not. */
struct orphans_entry {
  uint64_t inode;
  int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[];
};

/* The number that a name of digits stands for; 0: it is none. */
static pid_t orphans_number(const char *name) {
  long n = 0;
  size_t i = 0;
  for (; name[i]; i++) {
    if (name[i] < '0' || name[i] > '9' || i == ORPHANS_NAME_MAX) return 0;
    n = n * 10 + (name[i] - '0');
  }
  return (pid_t)n;
}

/* "17 (a name) S 4 ...": the 4. The name may hold anything, its ')' is the last one. */
static pid_t orphans_parent(const char *name) {
  char path[ORPHANS_NAME_MAX + 16] = "/proc/", text[512];
  memcpy(path + 6, name, strlen(name));
  memcpy(path + 6 + strlen(name), "/stat", sizeof "/stat");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  ssize_t at = size;
  while (at > 0 && text[at - 1] != ')') at--;
  if (at <= 0 || at + 3 >= size) return 0;
  long parent = 0;
  for (at += 3; at < size && text[at] >= '0' && text[at] <= '9'; at++) parent = parent * 10 + (text[at] - '0');
  return (pid_t)parent;
}

/* Calls `each` for every child there is now. */
static void orphans_walk(void (*each)(void *arg, pid_t pid), void *arg) {
  _Alignas(struct orphans_entry) char block[8192];
  pid_t self = getpid();
  int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  long size;
  while ((size = syscall(SYS_getdents64, fd, block, sizeof block)) > 0) {
    for (long at = 0; at < size;) {
      const struct orphans_entry *e = (const void *)(block + at);
      pid_t pid = orphans_number(e->name);
      if (pid && orphans_parent(e->name) == self) each(arg, pid);
      at += e->size;
    }
  }
  close(fd);
}

/* Whether there is any child: cheap, where the walk is not. */
static bool orphans_has_children(void) {
  siginfo_t any;
  return waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void orphans_remember(void *arg, pid_t pid) {
  (void)arg;
  if (orphans.former_count == ORPHANS_FORMER_MAX) orphans.overrun = true;
  else orphans.former[orphans.former_count++] = pid;
}

void orphans_adopt(void) {
  if (orphans.adopted) return;
  orphans.adopted = true;
  orphans.former_count = 0;
  orphans.overrun = false;
  if (orphans_has_children()) orphans_walk(orphans_remember, NULL);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void orphans_forked(void) {
  orphans.adopted = false;
}

static bool orphans_is_former(pid_t pid) {
  for (unsigned i = 0; i < orphans.former_count; i++) {
    if (orphans.former[i] == pid) return true;
  }
  return false;
}

struct orphans_round {
  bool (*is_known)(pid_t pid);
  unsigned ended;
};

static void orphans_end_one(void *arg, pid_t pid) {
  struct orphans_round *round = arg;
  if (orphans_is_former(pid) || (round->is_known && round->is_known(pid))) return;
  if (getpgid(pid) == pid) kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  round->ended++;
}

void orphans_end(bool (*is_known)(pid_t pid)) {
  if (!orphans.adopted || orphans.overrun) return;
  struct orphans_round round = { is_known, 0 };
  unsigned before;
  do { /* what has ended may have left others */
    before = round.ended;
    if (orphans_has_children()) orphans_walk(orphans_end_one, &round);
  } while (round.ended > before && round.ended < ORPHANS_MAX);
}
