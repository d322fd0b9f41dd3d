#include "net/evworld.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/evlisten.h"

bool evworld_deafen(int fd, bool deaf) {
  struct sock_filter drop[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
  struct sock_fprog program = { .len = 1, .filter = drop };
  int none = 0;
  if (deaf) return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
  return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) == 0 || errno == ENOENT;
}

void evworld_freed(struct evworld *w) {
  for (struct evlisten *l = w->starving; l; l = l->starving_next) evloop_raise(&l->source);
}

void evworld_keep_mute(struct evworld *w, int fd) {
  unsigned place = w->mute_next++ % EVWORLD_MUTE_MAX;
  if (w->mute_count == EVWORLD_MUTE_MAX) close(w->mute[place]);
  else w->mute_count++;
  w->mute[place] = fd;
}

bool evworld_is_mute(const struct evworld *w, int fd) {
  for (unsigned i = 0; i < w->mute_count; i++) {
    if (w->mute[i] == fd) return true;
  }
  return false;
}

void evworld_close_mute(struct evworld *w) {
  for (unsigned i = 0; i < w->mute_count; i++) close(w->mute[i]);
  w->mute_count = w->mute_next = 0;
}

bool evworld_shortage(struct err *err, int why, const char *doing) {
  struct rlimit limit = { 0 };
  getrlimit(RLIMIT_NOFILE, &limit);
  if (why != EMFILE) return err_set(err, "the system has no descriptor left for %s: %s", doing, strerror(why));
  return err_set(
      err, "no descriptor left for %s: the limit of this process is %llu; raise it with ulimit -n (up to %llu here)",
      doing, (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
}
