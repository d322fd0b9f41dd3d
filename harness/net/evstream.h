/* evstream: streams of the real world: TCP and Unix sockets. */
#ifndef MQRIG_EVSTREAM_H
#define MQRIG_EVSTREAM_H

#include "net/address.h"
#include "net/evworld.h"

struct evconnect;
struct evlisten;

struct evstream {
  struct stream stream;
  struct evloop_source source;
  struct evconnect *connecting; /* NULL once connected */
  struct evlisten *listener;    /* where it was accepted, while that exists */
  bool is_unix, paused;
  bool shut;    /* our FIN was sent */
  bool fin;     /* theirs came */
  bool failed;  /* a call failed, for `why`; reported once what the kernel still has was read */
  bool writing; /* and that call was a write */
  bool told;    /* by a hook, not by the system */
  bool reported;
  bool send_waits, recv_waits; /* for the hook's timer */
  int why;
  struct address_brief peer, local;
};

static inline struct evworld *evstream_world(const struct evstream *s) {
  return evworld_of(s->stream.net);
}

/* A stream without a descriptor. */
struct evstream *evstream_new(struct evworld *w);

/* The descriptor is connected: names are taken, reading begins. */
void evstream_connected(struct evstream *s, const struct address *peer);

/* Tells the owner how it ended; nothing is told after that. The stream may be gone when it returns. */
void evstream_report(struct evstream *s, enum stream_end end, bool writing, const struct err *why);

/* Sizes of a socket's buffers; 0 leaves one alone, a descriptor below 0 does nothing. */
void evstream_size(int fd, size_t send, size_t receive);

/* The operations of net_ops. */
void evstream_flush(struct stream *stream);
void evstream_pause(struct stream *stream, bool paused);
size_t evstream_unsent(const struct stream *stream);
void evstream_hurry(struct stream *stream);
void evstream_name(const struct stream *stream, bool peer, char *to, size_t size);
void evstream_shutdown(struct stream *stream);
void evstream_set_buffers(struct stream *stream, size_t send, size_t receive);
void evstream_close(struct stream *stream);
void evstream_reset(struct stream *stream);
bool evstream_vanish(struct stream *stream, struct err *err);
bool evstream_can_vanish(struct net *n, struct err *why);

#endif
