#include "net/stream.h"

#include <errno.h>

#include "net/driver.h"
#include "net/oscall.h"

void stream_init(struct stream *s, struct net *n) {
  s->net = n;
  s->hook = n->hook;
  n->hook = NULL;
}

static void stream_clean(struct stream *s) {
  if (!s->dirty_link) return;
  *s->dirty_link = s->dirty_next;
  if (s->dirty_next) s->dirty_next->dirty_link = s->dirty_link;
  else if (s->net->turner->dirty_end == &s->dirty_next) s->net->turner->dirty_end = s->dirty_link;
  s->dirty_link = NULL;
}

void stream_fini(struct stream *s) {
  stream_clean(s);
  oscall_drop(s->net, &s->hook);
}

enum stream_end stream_end_of(int why) {
  switch (why) {
  case ECONNRESET:
  case EPIPE:
  case ECONNABORTED: return STREAM_RESET;
  case ECONNREFUSED: return STREAM_REFUSED;
  case ENETUNREACH:
  case EHOSTUNREACH:
  case ENETDOWN:
  case EADDRNOTAVAIL:
  case EAFNOSUPPORT:
  case ENOENT:
  case ENOTDIR:
  case EACCES: return STREAM_UNREACHABLE;
  case ETIMEDOUT: return STREAM_TIMEOUT;
  default: return STREAM_FAILED;
  }
}

void stream_own(struct stream *s, const struct stream_handler *handler, void *arg) {
  s->handler = handler;
  s->arg = arg;
}

void stream_want_write(struct stream *s) {
  struct net *n = s->net->turner;
  if (s->dirty_link || s->blocked) return;
  s->dirty_next = NULL;
  s->dirty_link = n->dirty_end;
  *n->dirty_end = s;
  n->dirty_end = &s->dirty_next;
}

void stream_flush(struct stream *s) {
  stream_clean(s);
  s->net->ops->flush(s);
}

void stream_pause(struct stream *s, bool paused) {
  s->net->ops->pause(s, paused);
}

void stream_hurry(struct stream *s) {
  if (s->net->ops->hurry) s->net->ops->hurry(s);
}

size_t stream_unsent(const struct stream *s) {
  return s->net->ops->unsent(s);
}

void stream_shutdown(struct stream *s) {
  s->net->ops->shutdown(s);
}

void stream_set_buffers(struct stream *s, size_t send, size_t receive) {
  s->net->ops->set_buffers(s, send, receive);
}

void stream_close(struct stream *s) {
  list_remove(&s->owned);
  s->net->ops->close(s);
}

void stream_reset(struct stream *s) {
  list_remove(&s->owned);
  s->net->ops->reset(s);
}

bool stream_vanish(struct stream *s, struct err *err) {
  struct net *n = s->net->turner;
  list_remove(&s->owned);
  if (s->net->ops->vanish(s, err)) return true;
  list_append(&n->streams, &s->owned);
  return false;
}

static const char *stream_name(const struct stream *s, bool peer, char *to) {
  to[0] = 0;
  if (s->net->ops->name) s->net->ops->name(s, peer, to, NET_NAME_MAX);
  return to;
}

const char *stream_peer(const struct stream *s) {
  return stream_name(s, true, s->net->peer);
}

const char *stream_local(const struct stream *s) {
  return stream_name(s, false, s->net->local);
}
