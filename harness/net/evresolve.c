#include "net/evresolve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

/* Shared by the loop and the thread; the last of the two frees it. */
struct evresolve_request {
  atomic_int holders;
  int done_fd; /* an eventfd: the thread's word that the answer is there */
  char host[URL_HOST_MAX + 1], port[8];
  int code;
  struct addrinfo *found;
};

struct evresolve {
  struct evloop_source source; /* of a copy of done_fd */
  struct evresolve_request *request;
  void (*done)(void *arg, const struct evaddress *found, int count, const struct err *why);
  void *arg;
};

static void evresolve_drop(struct evresolve_request *q) {
  if (atomic_fetch_sub(&q->holders, 1) > 1) return;
  if (q->found) freeaddrinfo(q->found);
  close(q->done_fd);
  free(q);
}

static void *evresolve_thread(void *arg) {
  struct evresolve_request *q = arg;
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
  uint64_t one = 1;
  q->code = getaddrinfo(q->host, q->port, &hints, &q->found);
  ssize_t n = write(q->done_fd, &one, sizeof one);
  assert(n == sizeof one);
  evresolve_drop(q);
  return NULL;
}

static void evresolve_answer(struct evloop_source *s, short what) {
  struct evresolve *r = (struct evresolve *)s;
  struct evresolve_request *q = r->request;
  struct evaddress found[EVADDRESS_MAX];
  struct err why;
  uint64_t ignored;
  (void)what;
  if (read(s->fd, &ignored, sizeof ignored) != sizeof ignored) return;
  evloop_want(s, false, false);
  int count = evaddress_list(q->found, found);
  err_set(&why, "the name %.200s was not found: %s", q->host, q->code ? gai_strerror(q->code) : "it has no address");
  r->done(r->arg, found, count, &why);
}

/* Signals are for the main thread. */
static bool evresolve_run(struct evresolve_request *q) {
  pthread_t thread;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int why = pthread_create(&thread, NULL, evresolve_thread, q);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (why == 0) pthread_detach(thread);
  errno = why;
  return why == 0;
}

struct evresolve *
evresolve_start(struct evloop *l, const char *host, uint16_t port,
                void (*done)(void *arg, const struct evaddress *found, int count, const struct err *why), void *arg) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    int why = errno;
    if (fd >= 0) close(fd);
    errno = why;
    return NULL;
  }
  struct evresolve_request *q = mem_zero(sizeof *q);
  *q = (struct evresolve_request){ .holders = 2, .done_fd = fd };
  snprintf(q->host, sizeof q->host, "%s", host);
  snprintf(q->port, sizeof q->port, "%u", port);
  if (!evresolve_run(q)) {
    int why = errno;
    q->holders = 1;
    evresolve_drop(q);
    close(copy);
    errno = why;
    return NULL;
  }
  struct evresolve *r = mem_zero(sizeof *r);
  evloop_add(l, &r->source, r, evresolve_answer);
  evloop_open(&r->source, copy);
  evloop_want(&r->source, true, false);
  r->request = q;
  r->done = done;
  r->arg = arg;
  return r;
}

void evresolve_free(struct evresolve *r) {
  if (!r) return;
  evresolve_drop(r->request);
  evloop_bury(&r->source);
}
