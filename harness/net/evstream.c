#include "net/evstream.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/evconnect.h"
#include "net/evlisten.h"
#include "net/oscall.h"

static struct evstream *evstream_of(const struct stream *stream) {
  return (struct evstream *)stream;
}

static struct evstream *evstream_of_source(struct evloop_source *source) {
  return source->memory;
}

/* Closed by its owner: the memory is there until the handlers have returned. */
static bool evstream_is_gone(const struct evstream *s) {
  return s->reported || !s->stream.handler;
}

static void evstream_update(struct evstream *s) {
  bool alive = !s->connecting && !s->failed && !s->reported;
  evloop_want(&s->source, alive && !s->paused && !s->recv_waits, alive && s->stream.blocked && !s->send_waits);
}

void evstream_report(struct evstream *s, enum stream_end end, bool writing, const struct err *why) {
  s->reported = true;
  evstream_update(s);
  s->stream.handler->ended(s->stream.arg, end, writing, why);
}

static void evstream_fail(struct evstream *s, int why, bool writing) {
  s->failed = true;
  s->why = why;
  s->writing = writing;
  s->stream.blocked = false;
  evstream_update(s);
  if (!s->paused) evloop_raise(&s->source);
}

static void evstream_report_failure(struct evstream *s) {
  struct err why;
  err_set(&why, "%s %s: %s%s", s->writing ? "writing to" : "reading from", stream_peer(&s->stream), strerror(s->why),
          oscall_mark(s->told));
  evstream_report(s, stream_end_of(s->why), s->writing, &why);
}

/* The other end will send no more. A reset can still come: level-triggered readiness would be told in every turn from
 * now on, so only changes are listened to. */
static void evstream_read_fin(struct evstream *s) {
  s->fin = true;
  s->stream.handler->ended(s->stream.arg, STREAM_FIN, false, NULL);
  if (evstream_is_gone(s)) return;
  evloop_use_edge(&s->source);
  evstream_update(s);
}

/* After their FIN, read() tells 0 for ever: the error is asked for. */
static void evstream_read_after_fin(struct evstream *s) {
  int why = 0;
  socklen_t size = sizeof why;
  getsockopt(s->source.fd, SOL_SOCKET, SO_ERROR, &why, &size);
  if (why == 0) return;
  s->failed = true;
  s->why = why;
  evstream_report_failure(s);
}

/* Hooks. */

static void evstream_again(void *arg) {
  struct evstream *s = arg;
  bool send = s->send_waits;
  s->send_waits = s->recv_waits = false;
  if (send) s->stream.blocked = false;
  evstream_update(s);
  if (send) stream_want_write(&s->stream);
}

/* What the hook says instead of the system. While something waits, readiness is not listened to: it would be told in
 * every turn. */
static ssize_t evstream_told(struct evstream *s, int error, bool *waits) {
  if (oscall_is_passing(error)) {
    *waits = true;
    evstream_update(s);
    oscall_wait(s->stream.net, s->stream.hook, error, evstream_again, s);
  }
  s->told = !*waits;
  errno = error;
  return -1;
}

/* `out` becomes what the call was made with. */
static ssize_t evstream_send(struct evstream *s, struct slice *out) {
  struct oscall_verdict v;
  if (oscall_ask(s->stream.hook, OSCALL_SEND, out->size, &v)) {
    if (v.error) return evstream_told(s, v.error, &s->send_waits);
    *out = slice_first(*out, v.most);
  }
  return send(s->source.fd, out->data, out->size, MSG_NOSIGNAL);
}

/* What comes before a failure that is to be told already is only read. */
static ssize_t evstream_recv(struct evstream *s, uint8_t *buffer) {
  struct oscall_verdict v;
  size_t room = NET_READ_MAX;
  if (!s->failed && oscall_ask(s->stream.hook, OSCALL_RECV, room, &v)) {
    if (v.error) return evstream_told(s, v.error, &s->recv_waits);
    room = v.most;
  }
  return recv(s->source.fd, buffer, room, 0);
}

/* One pass: what is there, up to NET_READ_MAX. A write that failed has used up the socket's error: then the end of file
 * is the end of what came before it. */
static void evstream_read(struct evstream *s) {
  uint8_t *buffer = evstream_world(s)->buffer;
  ssize_t n = evstream_recv(s, buffer);
  if (n > 0) {
    if (s->failed) evloop_raise(&s->source);
    s->stream.handler->input(s->stream.arg, slice_of(buffer, (size_t)n));
  } else if (s->failed) {
    evstream_report_failure(s);
  } else if (n == 0) {
    evstream_read_fin(s);
  } else if (errno != EAGAIN && errno != EINTR) {
    s->failed = true;
    s->why = errno;
    evstream_report_failure(s);
  }
}

static void evstream_run(struct evloop_source *source, short what) {
  struct evstream *s = evstream_of_source(source);
  if (evstream_is_gone(s)) return;
  if (s->connecting) {
    evconnect_run(s);
    return;
  }
  if (what & EV_WRITE && s->stream.blocked) {
    s->stream.blocked = false;
    stream_want_write(&s->stream);
  }
  if (s->paused) return;
  if (s->failed) {
    if (s->fin) evstream_report_failure(s);
    else evstream_read(s);
  } else if (what & EV_READ) {
    if (s->fin) evstream_read_after_fin(s);
    else evstream_read(s);
  }
}

struct evstream *evstream_new(struct evworld *w) {
  struct evstream *s = mem_zero(sizeof *s);
  stream_init(&s->stream, &w->net);
  evloop_add(&w->loop, &s->source, s, evstream_run);
  return s;
}

void evstream_connected(struct evstream *s, const struct address *peer) {
  struct address a = { .size = sizeof a.address };
  s->connecting = NULL;
  if (getsockname(s->source.fd, (struct sockaddr *)&a.address, &a.size) == 0) s->local = address_brief(&a);
  s->peer = address_brief(peer);
  s->is_unix = address_is_unix(peer);
  if (s->shut) shutdown(s->source.fd, SHUT_WR);
  evstream_update(s);
}

/* True: there may be more to write. */
static bool evstream_write(struct evstream *s, size_t *budget) {
  struct slice out = s->stream.handler->output(s->stream.arg);
  if (evstream_is_gone(s) || s->shut || out.size == 0) return false;
  out = slice_first(out, *budget);
  ssize_t n = evstream_send(s, &out);
  if (n < 0) {
    if (errno == EINTR && !s->send_waits) return true;
    if (errno == EAGAIN || s->send_waits) s->stream.blocked = true;
    else evstream_fail(s, errno, true);
    return false;
  }
  s->stream.blocked = (size_t)n < out.size;
  *budget -= (size_t)n;
  s->stream.handler->wrote(s->stream.arg, (size_t)n);
  return !evstream_is_gone(s) && !s->stream.blocked && *budget > 0;
}

void evstream_flush(struct stream *stream) {
  struct evstream *s = evstream_of(stream);
  struct evloop *l = s->source.loop;
  size_t budget = STREAM_FLUSH_MAX;
  if (s->connecting || s->failed || s->shut || evstream_is_gone(s) || s->source.fd < 0 || s->send_waits) return;
  evloop_enter(l);
  s->stream.blocked = false;
  while (evstream_write(s, &budget)) continue;
  if (!evstream_is_gone(s)) {
    if (budget == 0) stream_want_write(stream);
    evstream_update(s);
  }
  evloop_leave(l);
}

void evstream_pause(struct stream *stream, bool paused) {
  struct evstream *s = evstream_of(stream);
  s->paused = paused;
  if (s->connecting) return;
  evstream_update(s);
  if (!paused && s->failed && !s->reported) evloop_raise(&s->source);
}

/* A Unix socket's bytes are in the other end's kernel as soon as they are written. */
size_t evstream_unsent(const struct stream *stream) {
  const struct evstream *s = evstream_of(stream);
  int n = 0;
  if (s->is_unix || s->connecting || ioctl(s->source.fd, SIOCOUTQ, &n) != 0 || n < 0) return 0;
  return (size_t)n;
}

void evstream_name(const struct stream *stream, bool peer, char *to, size_t size) {
  const struct evstream *s = evstream_of(stream);
  address_brief_text(peer ? &s->peer : &s->local, to, size);
}

void evstream_shutdown(struct stream *stream) {
  struct evstream *s = evstream_of(stream);
  s->shut = true;
  s->stream.blocked = false;
  if (s->connecting) return;
  shutdown(s->source.fd, SHUT_WR);
  evstream_update(s);
}

void evstream_size(int fd, size_t send, size_t receive) {
  int out = (int)send, in = (int)receive;
  if (fd < 0) return;
  if (send) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof out);
  if (receive) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof in);
}

void evstream_set_buffers(struct stream *stream, size_t send, size_t receive) {
  struct evstream *s = evstream_of(stream);
  if (s->connecting) evconnect_set_buffers(s, send, receive);
  else evstream_size(s->source.fd, send, receive);
}

static void evstream_free(struct evstream *s) {
  struct evworld *w = evstream_world(s);
  struct evlisten *l = s->listener;
  stream_fini(&s->stream);
  evconnect_free(s);
  s->stream.handler = NULL;
  s->listener = NULL;
  evloop_bury(&s->source);
  if (l) evlisten_ended(l);
  evworld_freed(w);
}

/* Leaving TCP_REPAIR sends a window probe, and that is answered at once. Without the capability nothing happens. */
void evstream_hurry(struct stream *stream) {
  int on = 1, off = 0;
  const struct evstream *s = evstream_of(stream);
  if (s->is_unix || s->connecting || s->source.fd < 0) return;
  if (setsockopt(s->source.fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0) return;
  setsockopt(s->source.fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off);
}

void evstream_close(struct stream *stream) {
  evstream_free(evstream_of(stream));
}

void evstream_reset(struct stream *stream) {
  struct evstream *s = evstream_of(stream);
  struct linger now = { .l_onoff = 1, .l_linger = 0 };
  if (s->source.fd >= 0) setsockopt(s->source.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  evstream_free(s);
}

static bool evstream_no_repair(struct err *err, int why) {
  return err_set(err, "a connection can vanish only with TCP_REPAIR, which needs the capability CAP_NET_ADMIN: %s",
                 strerror(why));
}

/* From here on the kernel neither answers nor ends the connection: what comes in is dropped unread by a filter of one
 * instruction, so that not even the other end's writes are told that nobody is here; TCP_REPAIR makes the close silent,
 * whenever it comes. */
static bool evstream_mute(int fd, struct err *err) {
  int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0) return evstream_no_repair(err, errno);
  evworld_deafen(fd, true);
  return true;
}

bool evstream_can_vanish(struct net *n, struct err *why) {
  struct evworld *w = evworld_of(n);
  int on = 1;
  if (w->vanish_error < 0) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return true; /* what is short now may not be when it counts */
    w->vanish_error = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0 ? 0 : errno;
    close(fd);
  }
  return w->vanish_error == 0 || evstream_no_repair(why, w->vanish_error);
}

bool evstream_vanish(struct stream *stream, struct err *err) {
  struct evstream *s = evstream_of(stream);
  if (s->is_unix) return err_set(err, "a connection over a Unix socket cannot vanish");
  if (!s->connecting && s->source.fd >= 0) {
    if (!evstream_mute(s->source.fd, err)) return false;
    evworld_keep_mute(evstream_world(s), evloop_release(&s->source));
  }
  evstream_free(s);
  return true;
}
