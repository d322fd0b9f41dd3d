#include "net/evconnect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/evresolve.h"
#include "net/oscall.h"

enum evconnect_state {
  EVCONNECT_LOOKUP,
  EVCONNECT_TRYING,
  EVCONNECT_READY, /* connected at once; told in the next turn */
  EVCONNECT_OVER,  /* none worked; told in the next turn */
};

/* Exists while connecting only: a connected stream does not carry its addresses around. */
struct evconnect {
  struct evstream *stream;
  enum evconnect_state state;
  struct evresolve *lookup;
  struct evaddress addresses[EVADDRESS_MAX];
  int count, next; /* addresses[next - 1] is being tried */
  struct net_timer timer;
  int64_t timeout_ns, deadline_ns;
  enum stream_end end; /* of the last that failed */
  struct err why;
  int shortage; /* errno, where that was for want of descriptors */
  bool told;    /* what the current address came to, by a hook, not by the system */
  char target[sizeof((struct url *)0)->path + 32];
};

static struct net *evconnect_net(const struct evconnect *c) {
  return c->stream->stream.net;
}

void evconnect_free(struct evstream *s) {
  struct evconnect *c = s->connecting;
  if (!c) return;
  s->connecting = NULL;
  evresolve_free(c->lookup);
  net_timer_clear(evconnect_net(c), &c->timer);
  free(c);
}

static void evconnect_over(struct evconnect *c) {
  c->state = EVCONNECT_OVER;
  net_timer_clear(evconnect_net(c), &c->timer);
  evloop_close(&c->stream->source);
  evloop_raise(&c->stream->source);
}

static void evconnect_note(struct evconnect *c, int why) {
  char target[sizeof c->target];
  const struct evaddress *a = &c->addresses[c->next - 1];
  evaddress_full_text(a, target, sizeof target);
  c->end = evstream_kind(why);
  if (evworld_is_shortage(why) && !c->told) {
    c->end = STREAM_FAILED;
    c->shortage = why;
    evworld_shortage(&c->why, why, "a connection");
  } else if (c->count > 1) {
    err_set(&c->why, "connecting to %s (%.100s, address %d of %d): %s%s", c->target, target, c->next, c->count,
            strerror(why), oscall_mark(c->told));
  } else {
    err_set(&c->why, "connecting to %s: %s%s", target, strerror(why), oscall_mark(c->told));
  }
}

/* An address that does not answer may use up its share of the time that is left, not all of it. */
static void evconnect_set_timer(struct evconnect *c) {
  int64_t now_ns = net_now(evconnect_net(c));
  int64_t left_ns = c->deadline_ns - now_ns;
  int to_try = c->count - c->next + 1;
  net_timer_set(evconnect_net(c), &c->timer, to_try > 1 && left_ns > 0 ? now_ns + left_ns / to_try : c->deadline_ns);
}

/* What the stream's hook says about the call, an errno; 0: nothing. */
static int evconnect_ask(struct evconnect *c, enum oscall call) {
  struct oscall_verdict v;
  c->told = oscall_ask(c->stream->stream.hook, call, 0, &v) && v.error;
  return c->told ? v.error : 0;
}

/* 0, or why there is no socket. */
static int evconnect_open(struct evconnect *c, const struct evaddress *a) {
  struct evloop_source *source = &c->stream->source;
  int on = 1;
  if (source->fd >= 0) return 0;
  int why = evconnect_ask(c, OSCALL_SOCKET);
  if (why) return why;
  int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  if (!evaddress_is_unix(a)) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  evloop_open(source, fd);
  return 0;
}

/* 0, EINPROGRESS, EAGAIN, or why not. A connect that is interrupted goes on by itself, so that it is made first. */
static int evconnect_dial(struct evconnect *c, const struct evaddress *a) {
  int told = evconnect_ask(c, OSCALL_CONNECT);
  bool made = told == 0 || told == EINTR || told == EINPROGRESS;
  if (!made) return told;
  int why = connect(c->stream->source.fd, (const struct sockaddr *)&a->address, a->size) == 0 ? 0 : errno;
  c->told = false;
  return why == 0 ? told : why;
}

/* Asks the current address; true unless that has failed already. */
static bool evconnect_try(struct evconnect *c) {
  int why = evconnect_open(c, &c->addresses[c->next - 1]);
  c->state = EVCONNECT_TRYING;
  if (why) {
    evconnect_note(c, why);
    return false;
  }
  why = evconnect_dial(c, &c->addresses[c->next - 1]);
  if (why == 0) {
    c->state = EVCONNECT_READY;
    net_timer_clear(evconnect_net(c), &c->timer);
    evloop_raise(&c->stream->source);
  } else if (why == EINPROGRESS || why == EINTR) {
    evconnect_set_timer(c);
    evloop_want(&c->stream->source, false, true);
  } else if (why == EAGAIN && evaddress_is_unix(&c->addresses[c->next - 1])) {
    int64_t again_ns = net_now(evconnect_net(c)) + EVCONNECT_AGAIN_NS;
    net_timer_set(evconnect_net(c), &c->timer, again_ns < c->deadline_ns ? again_ns : c->deadline_ns);
  } else {
    evconnect_note(c, why);
    return false;
  }
  return true;
}

static void evconnect_next(struct evconnect *c) {
  while (c->next < c->count) {
    evloop_close(&c->stream->source);
    c->next++;
    if (evconnect_try(c)) return;
  }
  evconnect_over(c);
}

static void evconnect_found(void *arg, const struct evaddress *found, int count, const struct err *why) {
  struct evconnect *c = arg;
  evresolve_free(c->lookup);
  c->lookup = NULL;
  c->count = count;
  memcpy(c->addresses, found, (size_t)count * sizeof *found);
  if (count == 0) {
    c->end = STREAM_UNREACHABLE;
    c->why = *why;
  }
  evconnect_next(c);
}

static bool evconnect_is_again(const struct evconnect *c, int64_t now_ns) {
  return c->state == EVCONNECT_TRYING && evaddress_is_unix(&c->addresses[c->next - 1]) && now_ns < c->deadline_ns;
}

/* The timer: a share of the time is over, or all of it, or a full backlog is asked again. */
static void evconnect_expired(void *arg) {
  struct evconnect *c = arg;
  int64_t now_ns = net_now(evconnect_net(c));
  if (evconnect_is_again(c, now_ns)) {
    if (!evconnect_try(c)) evconnect_over(c);
    return;
  }
  c->end = STREAM_TIMEOUT;
  err_set(&c->why, "connecting to %s: no answer within %.3g s", c->target, (double)c->timeout_ns / 1e9);
  if (c->state == EVCONNECT_LOOKUP || now_ns >= c->deadline_ns) {
    evresolve_free(c->lookup);
    c->lookup = NULL;
    evconnect_over(c);
  } else {
    evconnect_next(c);
  }
}

/* A connect to a free port of this host's ephemeral range may get that very port as its own, and so be connected to
 * itself. */
static bool evconnect_is_self(const struct evconnect *c) {
  struct evaddress own = { .size = sizeof own.address };
  const struct evaddress *a = &c->addresses[c->next - 1];
  if (evaddress_is_unix(a)) return false;
  getsockname(c->stream->source.fd, (struct sockaddr *)&own.address, &own.size);
  char from[64], to[64];
  evaddress_text(&own, from, sizeof from);
  evaddress_text(a, to, sizeof to);
  return strcmp(from, to) == 0;
}

static int evconnect_outcome(const struct evconnect *c) {
  int why = 0;
  socklen_t size = sizeof why;
  if (getsockopt(c->stream->source.fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0) return errno;
  return why == 0 && evconnect_is_self(c) ? ECONNREFUSED : why;
}

static void evconnect_opened(struct evconnect *c) {
  struct evstream *s = c->stream;
  struct evaddress peer = c->addresses[c->next - 1];
  evconnect_free(s);
  evstream_connected(s, &peer);
  if (!s->shut) stream_want_write(&s->stream);
  s->stream.handler->opened(s->stream.arg);
}

void evconnect_run(struct evstream *s, short what) {
  struct evconnect *c = s->connecting;
  if (c->state == EVCONNECT_OVER) {
    struct err why = c->why;
    enum stream_end end = c->end;
    evconnect_free(s);
    evstream_report(s, end, false, &why);
  } else if (c->state == EVCONNECT_READY) {
    evconnect_opened(c);
  } else if (c->state == EVCONNECT_TRYING && what) {
    int why = evconnect_outcome(c);
    if (why == 0) {
      evconnect_opened(c);
    } else {
      evconnect_note(c, why);
      evconnect_next(c);
    }
  }
}

/* Begins with the first address, or the look-up; what fails here is told in a turn, but for a shortage of descriptors.
 */
static bool evconnect_begin(struct evconnect *c, const struct url *u, struct err *err) {
  char doing[sizeof c->target + 32];
  int why = 0;
  net_timer_set(evconnect_net(c), &c->timer, c->deadline_ns);
  if (c->count) {
    evconnect_next(c);
    why = c->shortage;
  } else {
    c->lookup = evresolve_start(c->stream->source.loop, u->host, u->port, evconnect_found, c);
    if (!c->lookup) why = errno;
  }
  snprintf(doing, sizeof doing, "a connection to %s", c->target);
  return why == 0 || evworld_shortage(err, why, doing);
}

static void evconnect_name(struct evconnect *c, const struct url *u) {
  if (u->scheme == URL_UNIX) snprintf(c->target, sizeof c->target, "%s", u->path);
  else if (strchr(u->host, ':')) snprintf(c->target, sizeof c->target, "[%s]:%u", u->host, u->port);
  else snprintf(c->target, sizeof c->target, "%s:%u", u->host, u->port);
}

struct stream *evconnect_start(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err) {
  struct evaddress addresses[EVADDRESS_MAX];
  int count = evaddress_literal(u, addresses, err);
  if (count < 0) return NULL;
  struct evstream *s = evstream_new(evworld_of(n));
  struct evconnect *c = mem_zero(sizeof *c);
  s->connecting = c;
  c->stream = s;
  c->timeout_ns = timeout_ns;
  c->deadline_ns = net_now(n) + timeout_ns;
  c->count = count;
  memcpy(c->addresses, addresses, (size_t)count * sizeof *addresses);
  net_timer_init(&c->timer, evconnect_expired, c);
  evconnect_name(c, u);
  if (evconnect_begin(c, u, err)) return &s->stream;
  evstream_close(&s->stream);
  return NULL;
}
