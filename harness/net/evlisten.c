#include "net/evlisten.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/names.h"
#include "net/evstream.h"
#include "net/oscall.h"

static struct evlisten *evlisten_of(struct net_listener *l) {
  return (struct evlisten *)l;
}

static struct evworld *evlisten_world(const struct evlisten *l) {
  return evworld_of(l->listener.net);
}

static bool evlisten_is_full(const struct evlisten *l) {
  return l->accept_max && l->alive >= l->accept_max;
}

static void evlisten_update(struct evlisten *l) {
  if (!l->closed) evloop_want(&l->source, !l->paused && !l->starving_link && !evlisten_is_full(l), false);
}

static void evlisten_fed(struct evlisten *l) {
  if (!l->starving_link) return;
  *l->starving_link = l->starving_next;
  if (l->starving_next) l->starving_next->starving_link = l->starving_link;
  l->starving_link = NULL;
  net_timer_clear(l->listener.net, &l->retry);
}

/* Readiness would be told in every turn: it is not listened to until a descriptor of ours was closed, or that time has
 * passed. False: so it is already. */
static bool evlisten_hold(struct evlisten *l, int64_t delay_ns) {
  struct evworld *w = evlisten_world(l);
  bool held = l->starving_link != NULL;
  if (!held) {
    l->starving_next = w->starving;
    if (w->starving) w->starving->starving_link = &l->starving_next;
    l->starving_link = &w->starving;
    w->starving = l;
  }
  net_timer_set(&w->net, &l->retry, net_now(&w->net) + delay_ns);
  evlisten_update(l);
  return !held;
}

static void evlisten_starve(struct evlisten *l, int why) {
  if (!evlisten_hold(l, EVLISTEN_RETRY_NS) || !l->listener.handler->trouble) return;
  char url[URL_PATH_MAX + 300], doing[sizeof url + 64];
  struct err err;
  url_format(&l->listener.url, url, sizeof url);
  snprintf(doing, sizeof doing, "the next connection to %.300s", url);
  evworld_shortage(&err, why, doing);
  l->listener.handler->trouble(l->listener.arg, &err);
}

static void evlisten_accepted(struct evlisten *l, int fd, const struct address *peer) {
  struct evstream *s = evstream_new(evlisten_world(l));
  s->listener = l;
  l->alive++;
  evloop_open(&s->source, fd);
  evstream_connected(s, peer);
  net_accepted(&l->listener, &s->stream);
}

/* What concerns one connection only, or passes: the next may be fine. */
static bool evlisten_is_passing(int why) {
  return why == ECONNABORTED || why == EINTR || why == EPROTO || why == EPERM || why == ENETDOWN ||
         why == ENETUNREACH || why == EHOSTUNREACH || why == ETIMEDOUT;
}

/* What the hook says of the connection that is there, if one is; 0: nothing. */
static int evlisten_ask(struct evlisten *l) {
  struct oscall_verdict v;
  struct pollfd there = { .fd = l->source.fd, .events = POLLIN };
  if (!l->listener.hook || poll(&there, 1, 0) != 1) return 0;
  return oscall_ask(l->listener.hook, OSCALL_ACCEPT, 0, &v) ? v.error : 0;
}

/* As the system would; true: there may be another. */
static bool evlisten_deny(struct evlisten *l, int why) {
  struct linger now = { .l_onoff = 1, .l_linger = 0 };
  if (!oscall_ends_connection(why)) {
    evlisten_hold(l, oscall_delay_ns(why));
    return false;
  }
  int fd = accept4(l->source.fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return false;
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
  return true;
}

/* True: there may be another. */
static bool evlisten_accept(struct evlisten *l) {
  struct address peer = { .size = sizeof peer.address };
  int told = evlisten_ask(l);
  if (told) return evlisten_deny(l, told);
  int fd = accept4(l->source.fd, (struct sockaddr *)&peer.address, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  int why = fd < 0 ? errno : 0;
  if (evworld_is_shortage(why)) {
    evlisten_starve(l, why);
    return false;
  }
  evlisten_fed(l);
  if (fd < 0) return evlisten_is_passing(why);
  if (l->is_unix) peer.address.ss_family = AF_UNIX;
  evlisten_accepted(l, fd, &peer);
  return true;
}

static void evlisten_run(struct evloop_source *source, short what) {
  struct evlisten *l = source->memory;
  (void)what;
  for (int i = 0; i < EVLISTEN_PASS_MAX; i++) {
    if (l->closed || l->paused || evlisten_is_full(l) || !evlisten_accept(l)) break;
  }
  evlisten_update(l);
}

static void evlisten_retry(void *arg) {
  struct evlisten *l = arg;
  evloop_raise(&l->source);
}

static bool evlisten_resolve(const struct names *names, const struct url *u, struct address *to, struct err *err) {
  struct address found[ADDRESS_MAX];
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;
  struct names_told told;
  int count = address_literal(u, found, err);
  if (count < 0) return false;
  if (u->scheme != URL_UNIX && names_ask(names, u->host, u->port, &told) && told.decided) {
    if (told.count == 0) return err_set(err, "cannot listen: %s", told.why.text);
    *to = told.addresses[0];
    return true;
  }
  if (count == 0) {
    int why = getaddrinfo(u->host, NULL, &hints, &list);
    count = address_list(list, found);
    if (list) freeaddrinfo(list);
    if (count == 0) {
      return err_set(err, "cannot listen at %.200s: the name was not found: %s", u->host,
                     why ? gai_strerror(why) : "no address");
    }
    address_set_port(&found[0], u->port);
  }
  *to = found[0];
  return true;
}

/* A Unix socket's file that nobody listens at any more, left by a process that was killed. */
static bool evlisten_is_stale(const struct address *a) {
  struct stat st;
  if (lstat(((const struct sockaddr_un *)&a->address)->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) return false;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool refused = connect(fd, (const struct sockaddr *)&a->address, a->size) != 0 && errno == ECONNREFUSED;
  close(fd);
  return refused;
}

static bool evlisten_bind(int fd, const struct address *a) {
  const struct sockaddr *address = (const struct sockaddr *)&a->address;
  if (bind(fd, address, a->size) == 0) return true;
  if (errno != EADDRINUSE || !address_is_unix(a)) return false;
  bool stale = evlisten_is_stale(a);
  errno = EADDRINUSE;
  if (!stale) return false;
  unlink(((const struct sockaddr_un *)&a->address)->sun_path);
  return bind(fd, address, a->size) == 0;
}

/* Accepted sockets inherit all of these but SO_REUSEADDR's effect. */
static void evlisten_set(int fd, const struct address *a, const struct net_listen_options *o) {
  int on = 1, out = (int)o->send_buffer, in = (int)o->receive_buffer;
  if (!address_is_unix(a)) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (a->address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (out) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof out);
  if (in) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof in);
}

static bool evlisten_refuse(const struct address *a, int why, struct err *err) {
  char where[URL_UNIX_PATH_MAX + 64];
  address_full_text(a, where, sizeof where);
  switch (why) {
  case EADDRINUSE:
    return err_set(err, "cannot listen at %s: somebody else does already (the address is in use)", where);
  case EACCES:
    if (address_port(a) && address_port(a) < 1024) {
      return err_set(err, "cannot listen at %s: a port below 1024 needs a privilege", where);
    }
    break;
  case EADDRNOTAVAIL: return err_set(err, "cannot listen at %s: this machine does not have that address", where);
  }
  return err_set(err, "cannot listen at %s: %s", where, strerror(why));
}

/* The descriptor, or -1. */
static int evlisten_socket(const struct address *a, const struct net_listen_options *o, struct err *err) {
  int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    if (evworld_is_shortage(errno)) evworld_shortage(err, errno, "a listener");
    else evlisten_refuse(a, errno, err);
    return -1;
  }
  evlisten_set(fd, a, o);
  int backlog = o->backlog == NET_BACKLOG_NONE ? 0 : o->backlog ? o->backlog : EVLISTEN_BACKLOG;
  if (evlisten_bind(fd, a) && listen(fd, backlog) == 0) return fd;
  evlisten_refuse(a, errno, err);
  close(fd);
  return -1;
}

static void evlisten_remember(struct evlisten *l, const struct address *a) {
  struct address got = { .size = sizeof got.address };
  struct stat st;
  l->is_unix = address_is_unix(a);
  if (!l->is_unix) {
    getsockname(l->source.fd, (struct sockaddr *)&got.address, &got.size);
    l->listener.url.port = address_port(&got);
  } else if (lstat(l->listener.url.path, &st) == 0) {
    l->device = st.st_dev;
    l->inode = st.st_ino;
  }
}

struct net_listener *evlisten_new(struct net *n, const struct url *u, const struct net_listen_options *options,
                                  struct err *err) {
  struct address a;
  if (!evlisten_resolve(n->names, u, &a, err)) return NULL;
  int fd = evlisten_socket(&a, options, err);
  if (fd < 0) return NULL;
  struct evlisten *l = mem_zero(sizeof *l);
  l->listener.net = n;
  l->listener.url = *u;
  l->accept_max = options->accept_max;
  net_timer_init(&l->retry, evlisten_retry, l);
  evloop_add(&evworld_of(n)->loop, &l->source, l, evlisten_run);
  evloop_open(&l->source, fd);
  evlisten_remember(l, &a);
  evlisten_update(l);
  return &l->listener;
}

void evlisten_pause(struct net_listener *listener, bool paused) {
  struct evlisten *l = evlisten_of(listener);
  l->paused = paused;
  evlisten_update(l);
}

bool evlisten_mute(struct net_listener *listener, bool muted, struct err *err) {
  struct evlisten *l = evlisten_of(listener);
  if (l->is_unix) return err_set(err, "who connects to a Unix socket is always answered");
  return evworld_deafen(l->source.fd, muted) ||
         err_set(err,
                 "a connect can go unanswered only with a filter on the socket, which the system refuses here "
                 "(without the capability CAP_NET_ADMIN): %s",
                 strerror(errno));
}

static void evlisten_remove_file(const struct evlisten *l) {
  struct stat st;
  if (!l->is_unix || l->source.fd < 0 || lstat(l->listener.url.path, &st) != 0) return;
  if (st.st_dev == l->device && st.st_ino == l->inode) unlink(l->listener.url.path);
}

/* Its streams count themselves off, so that it stays, closed, until the last has ended. */
void evlisten_free(struct net_listener *listener) {
  struct evlisten *l = evlisten_of(listener);
  struct evworld *w = evlisten_world(l);
  assert(!l->closed);
  evlisten_fed(l);
  oscall_drop(listener->net, &listener->hook);
  evlisten_remove_file(l);
  evloop_close(&l->source);
  l->closed = true;
  if (l->alive == 0) evloop_bury(&l->source);
  evworld_freed(w);
}

void evlisten_ended(struct evlisten *l) {
  l->alive--;
  if (!l->closed) evlisten_update(l);
  else if (l->alive == 0) evloop_bury(&l->source);
}
