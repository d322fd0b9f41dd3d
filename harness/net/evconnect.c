#include "net/evconnect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/evresolve.h"
#include "net/names.h"
#include "net/oscall.h"

enum evconnect_state {
  EVCONNECT_LOOKUP,
  EVCONNECT_TRYING,
  EVCONNECT_READY, /* connected at once; told in the next turn */
  EVCONNECT_OVER,  /* none worked; told in the next turn */
};

/* A connect to one address that is under way. */
struct evconnect_attempt {
  struct evloop_source source;
  struct evconnect *connect;
  int index; /* of the address */
};

/* Exists while connecting only: a connected stream does not carry its addresses around. */
struct evconnect {
  struct evstream *stream;
  enum evconnect_state state;
  struct evresolve *lookup;
  struct names_told *told; /* of the name, until its delay is over */
  struct url url;          /* what is looked up then */
  struct address addresses[ADDRESS_MAX];
  struct evconnect_attempt *attempts[ADDRESS_MAX];
  int count, next, running; /* addresses; of them begun; of those under way */
  int won;                  /* the address that is connected */
  size_t send_buffer, receive_buffer;
  struct net_timer timer;
  int64_t timeout_ns, deadline_ns;
  int64_t next_ns;     /* when the look-up goes on, or the next address is begun */
  enum stream_end end; /* of the last that failed */
  struct err why;
  int shortage; /* errno, where that was for want of descriptors */
  bool hooked;  /* what the current call came to, by a hook, not by the system */
  char target[sizeof((struct url *)0)->path + 32];
};

static struct net *evconnect_net(const struct evconnect *c) {
  return c->stream->stream.net;
}

static void evconnect_drop(struct evconnect *c, int index) {
  struct evconnect_attempt *a = c->attempts[index];
  if (!a) return;
  c->attempts[index] = NULL;
  c->running--;
  evloop_bury(&a->source);
}

static void evconnect_drop_all(struct evconnect *c) {
  for (int i = 0; i < c->next; i++) evconnect_drop(c, i);
}

void evconnect_free(struct evstream *s) {
  struct evconnect *c = s->connecting;
  if (!c) return;
  s->connecting = NULL;
  evconnect_drop_all(c);
  evresolve_free(c->lookup);
  free(c->told);
  net_timer_clear(evconnect_net(c), &c->timer);
  free(c);
}

static void evconnect_over(struct evconnect *c) {
  c->state = EVCONNECT_OVER;
  evconnect_drop_all(c);
  net_timer_clear(evconnect_net(c), &c->timer);
  evloop_raise(&c->stream->source);
}

static void evconnect_note(struct evconnect *c, int index, int why) {
  char target[sizeof c->target];
  address_full_text(&c->addresses[index], target, sizeof target);
  c->end = stream_end_of(why);
  if (evworld_is_shortage(why) && !c->hooked) {
    c->end = STREAM_FAILED;
    c->shortage = why;
    evworld_shortage(&c->why, why, "a connection");
  } else if (c->count > 1) {
    err_set(&c->why, "connecting to %s (%.100s, address %d of %d): %s%s", c->target, target, index + 1, c->count,
            strerror(why), oscall_mark(c->hooked));
  } else {
    err_set(&c->why, "connecting to %s: %s%s", target, strerror(why), oscall_mark(c->hooked));
  }
}

static void evconnect_set_timer(struct evconnect *c) {
  net_timer_set(evconnect_net(c), &c->timer, c->next_ns < c->deadline_ns ? c->next_ns : c->deadline_ns);
}

/* What the stream's hook says about the call, an errno; 0: nothing. */
static int evconnect_ask(struct evconnect *c, enum oscall call) {
  struct oscall_verdict v;
  c->hooked = oscall_ask(c->stream->stream.hook, call, 0, &v) && v.error;
  return c->hooked ? v.error : 0;
}

/* The descriptor of this address is the stream's from now on. */
static void evconnect_win(struct evconnect *c, int index) {
  int fd = evloop_release(&c->attempts[index]->source);
  c->won = index;
  c->state = EVCONNECT_READY;
  evconnect_drop_all(c);
  net_timer_clear(evconnect_net(c), &c->timer);
  evloop_open(&c->stream->source, fd);
}

static void evconnect_answered(struct evloop_source *s, short what);

/* 0, or why there is no socket. */
static int evconnect_open(struct evconnect *c, int index) {
  const struct address *a = &c->addresses[index];
  int on = 1;
  if (c->attempts[index]) return 0;
  int why = evconnect_ask(c, OSCALL_SOCKET);
  if (why) return why;
  int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  if (!address_is_unix(a)) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  evstream_size(fd, c->send_buffer, c->receive_buffer);
  struct evconnect_attempt *attempt = mem_zero(sizeof *attempt);
  evloop_add(c->stream->source.loop, &attempt->source, attempt, evconnect_answered);
  evloop_open(&attempt->source, fd);
  attempt->connect = c;
  attempt->index = index;
  c->attempts[index] = attempt;
  c->running++;
  return 0;
}

/* 0, EINPROGRESS, EAGAIN, or why not. A connect that is interrupted goes on by itself, so that it is made first. */
static int evconnect_dial(struct evconnect *c, int index) {
  const struct address *a = &c->addresses[index];
  int told = evconnect_ask(c, OSCALL_CONNECT);
  bool made = told == 0 || told == EINTR || told == EINPROGRESS;
  if (!made) return told;
  int why = connect(c->attempts[index]->source.fd, (const struct sockaddr *)&a->address, a->size) == 0 ? 0 : errno;
  c->hooked = false;
  return why == 0 ? told : why;
}

/* Asks an address; true unless that has failed already. */
static bool evconnect_try(struct evconnect *c, int index) {
  int64_t now_ns = net_now(evconnect_net(c));
  int why = evconnect_open(c, index);
  bool open = why == 0;
  c->state = EVCONNECT_TRYING;
  c->next_ns = c->next < c->count ? now_ns + ADDRESS_NEXT_NS : NET_NEVER;
  if (open) why = evconnect_dial(c, index);
  if (open && why == 0) {
    evconnect_win(c, index);
    evloop_raise(&c->stream->source);
    return true;
  }
  if (open && (why == EINPROGRESS || why == EINTR)) {
    evloop_want(&c->attempts[index]->source, false, true);
  } else if (open && why == EAGAIN && address_is_unix(&c->addresses[index])) {
    c->next_ns = now_ns + EVCONNECT_AGAIN_NS;
  } else {
    evconnect_note(c, index, why);
    evconnect_drop(c, index);
    return false;
  }
  evconnect_set_timer(c);
  return true;
}

/* Begins the next address, beside those under way. */
static void evconnect_next(struct evconnect *c) {
  while (c->next < c->count) {
    if (evconnect_try(c, c->next++)) return;
  }
  c->next_ns = NET_NEVER;
  if (c->running) evconnect_set_timer(c);
  else evconnect_over(c);
}

static void evconnect_found(void *arg, const struct address *found, int count, const struct err *why) {
  struct evconnect *c = arg;
  evresolve_free(c->lookup);
  c->lookup = NULL;
  c->count = count;
  memmove(c->addresses, found, (size_t)count * sizeof *found);
  address_interleave(c->addresses, count);
  if (count == 0) {
    c->end = STREAM_UNREACHABLE;
    c->why = *why;
  }
  evconnect_next(c);
}

/* False with errno where nothing could be started. */
static bool evconnect_look_up(struct evconnect *c) {
  c->next_ns = NET_NEVER;
  int count = address_literal(&c->url, c->addresses, &c->why);
  if (count) {
    evconnect_found(c, c->addresses, count, &c->why);
    return true;
  }
  evconnect_set_timer(c);
  c->lookup = evresolve_start(evstream_world(c->stream), c->url.host, c->url.port, evconnect_found, c);
  return c->lookup != NULL;
}

/* The delay that was told of a name is over. */
static void evconnect_told(struct evconnect *c) {
  struct names_told told = *c->told;
  free(c->told);
  c->told = NULL;
  if (told.decided) {
    evconnect_found(c, told.addresses, told.count, &told.why);
  } else if (!evconnect_look_up(c)) {
    c->end = STREAM_FAILED;
    evworld_shortage(&c->why, errno, "a connection");
    evconnect_over(c);
  }
}

static void evconnect_timed_out(struct evconnect *c) {
  c->end = STREAM_TIMEOUT;
  err_set(&c->why, "%s %s: no answer within %.3g s", c->state == EVCONNECT_LOOKUP ? "looking up" : "connecting to",
          c->target, (double)c->timeout_ns / 1e9);
  evconnect_over(c);
}

/* A name is known, the next address is to be begun, a full backlog is asked again, or all of the time is over. */
static void evconnect_expired(void *arg) {
  struct evconnect *c = arg;
  if (net_now(evconnect_net(c)) >= c->deadline_ns) evconnect_timed_out(c);
  else if (c->told) evconnect_told(c);
  else if (c->next < c->count) evconnect_next(c);
  else if (!evconnect_try(c, 0)) evconnect_over(c);
}

/* A connect to a free port of this host's ephemeral range may get that very port as its own, and so be connected to
 * itself. */
static bool evconnect_is_self(const struct evconnect_attempt *attempt) {
  struct address own = { .size = sizeof own.address };
  const struct address *a = &attempt->connect->addresses[attempt->index];
  if (address_is_unix(a)) return false;
  getsockname(attempt->source.fd, (struct sockaddr *)&own.address, &own.size);
  char from[64], to[64];
  address_text(&own, from, sizeof from);
  address_text(a, to, sizeof to);
  return strcmp(from, to) == 0;
}

static int evconnect_outcome(const struct evconnect_attempt *attempt) {
  int why = 0;
  socklen_t size = sizeof why;
  if (getsockopt(attempt->source.fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0) return errno;
  return why == 0 && evconnect_is_self(attempt) ? ECONNREFUSED : why;
}

static void evconnect_opened(struct evconnect *c) {
  struct evstream *s = c->stream;
  struct address peer = c->addresses[c->won];
  evconnect_free(s);
  evstream_connected(s, &peer);
  if (!s->shut) stream_want_write(&s->stream);
  s->stream.handler->opened(s->stream.arg);
}

/* The source of an attempt ran: it is connected, or has failed. The next address does not wait then. */
static void evconnect_answered(struct evloop_source *s, short what) {
  struct evconnect_attempt *attempt = (struct evconnect_attempt *)s;
  struct evconnect *c = attempt->connect;
  int index = attempt->index;
  if (!what) return;
  int why = evconnect_outcome(attempt);
  if (why == 0) {
    evconnect_win(c, index);
    evconnect_opened(c);
    return;
  }
  c->hooked = false;
  evconnect_note(c, index, why);
  evconnect_drop(c, index);
  evconnect_next(c);
}

void evconnect_set_buffers(struct evstream *s, size_t send, size_t receive) {
  struct evconnect *c = s->connecting;
  if (send) c->send_buffer = send;
  if (receive) c->receive_buffer = receive;
  for (int i = 0; i < c->next; i++) {
    if (c->attempts[i]) evstream_size(c->attempts[i]->source.fd, send, receive);
  }
}

void evconnect_run(struct evstream *s) {
  struct evconnect *c = s->connecting;
  if (c->state == EVCONNECT_OVER) {
    struct err why = c->why;
    enum stream_end end = c->end;
    evconnect_free(s);
    evstream_report(s, end, false, &why);
  } else if (c->state == EVCONNECT_READY) {
    evconnect_opened(c);
  }
}

/* Begins with what is told of the name, the first address, or the look-up; what fails here is told in a turn, but for a
 * shortage of descriptors. */
static bool evconnect_begin(struct evconnect *c, struct err *err) {
  char doing[sizeof c->target + 32];
  struct names_told told;
  bool started = true;
  if (c->url.scheme != URL_UNIX && names_ask(evconnect_net(c)->names, c->url.host, c->url.port, &told)) {
    int64_t now_ns = net_now(evconnect_net(c));
    c->told = mem_zero(sizeof *c->told);
    *c->told = told;
    c->next_ns = told.delay_ns < NET_NEVER - now_ns ? now_ns + told.delay_ns : NET_NEVER;
    evconnect_set_timer(c);
  } else {
    started = evconnect_look_up(c);
  }
  int why = started ? c->shortage : errno;
  snprintf(doing, sizeof doing, "a connection to %s", c->target);
  return why == 0 || evworld_shortage(err, why, doing);
}

static void evconnect_name(struct evconnect *c, const struct url *u) {
  if (u->scheme == URL_UNIX) snprintf(c->target, sizeof c->target, "%s", u->path);
  else if (strchr(u->host, ':')) snprintf(c->target, sizeof c->target, "[%s]:%u", u->host, u->port);
  else snprintf(c->target, sizeof c->target, "%s:%u", u->host, u->port);
}

struct stream *evconnect_start(struct net *n, const struct url *u, int64_t timeout_ns, struct err *err) {
  struct address ignored[ADDRESS_MAX];
  if (address_literal(u, ignored, err) < 0) return NULL;
  struct evstream *s = evstream_new(evworld_of(n));
  struct evconnect *c = mem_zero(sizeof *c);
  s->connecting = c;
  c->stream = s;
  c->url = *u;
  c->timeout_ns = timeout_ns;
  c->deadline_ns = net_now(n) + timeout_ns;
  net_timer_init(&c->timer, evconnect_expired, c);
  evconnect_name(c, u);
  if (evconnect_begin(c, err)) return &s->stream;
  evstream_close(&s->stream);
  return NULL;
}
