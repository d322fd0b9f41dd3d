/* oscall: hooks on the system calls of one stream or listener: asked before each of them, they make it fail or come up
 * short. For whoever tests what a program does then.
 *
 * A driver asks at the place of the call (oscall_ask), and takes the answer for the system's: there is no other path
 * for errors that were made up. Who has no hook pays one branch a call.
 */
#ifndef MQRIG_OSCALL_H
#define MQRIG_OSCALL_H

#include <errno.h>

#include "net/net.h"

/* What is told to have been interrupted, or to have to wait (EINTR, EAGAIN), is tried again after this: a hook may mean
 * every call, and must not keep the turn from ending. */
#define OSCALL_AGAIN_NS 1000000
/* An accept that was denied for any other reason is tried again after this. */
#define OSCALL_LATER_NS 250000000

/* Behind the sentence of an error that a hook made, so that nobody looks for its cause elsewhere. */
#define OSCALL_MARK " (injected)"

enum oscall { OSCALL_SOCKET, OSCALL_CONNECT, OSCALL_ACCEPT, OSCALL_SEND, OSCALL_RECV, OSCALLS };

struct oscall_verdict {
  int error;   /* an errno: the call is not made; 0: it is */
  size_t most; /* bytes, of send and recv */
};

/* Part of whatever decides. */
struct oscall_hook {
  /* `size`: bytes that send has, or that recv has room for; 0 of the others. An accept is asked about only if there is
   * a connection to be had. False: nothing is said about this call. Must not call the stream, or the net. */
  bool (*ask)(struct oscall_hook *h, enum oscall call, size_t size, struct oscall_verdict *v);
  void (*gone)(struct oscall_hook *h); /* the stream or listener is: releases the hook */
  struct net_timer again;              /* the driver's */
};

/* A hook is taken over by the stream or listener that it is put on, and stays. Not where there is one. */
void oscall_on_stream(struct stream *s, struct oscall_hook *h);
void oscall_on_listener(struct net_listener *l, struct oscall_hook *h);
bool oscall_hooks_stream(const struct stream *s);
bool oscall_hooks_listener(const struct net_listener *l);

/* As net_connect, with a hook (or NULL) from the first call on. */
struct stream *oscall_connect(struct net *n, const struct url *u, int64_t timeout_ns, struct oscall_hook *h,
                              struct err *err);

const char *oscall_name(enum oscall call);

/* For drivers. */

static inline bool oscall_ask(struct oscall_hook *h, enum oscall call, size_t size, struct oscall_verdict *v) {
  return h && h->ask(h, call, size, v);
}

static inline bool oscall_is_passing(int error) {
  return error == EAGAIN || error == EINTR;
}

/* Errors of accept with which the system takes the connection away; with others it stays. */
static inline bool oscall_ends_connection(int error) {
  return error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static inline int64_t oscall_delay_ns(int error) {
  return oscall_is_passing(error) ? OSCALL_AGAIN_NS : OSCALL_LATER_NS;
}

/* Calls `again` after the delay of that error, once however often it is said till then. */
void oscall_wait(struct net *n, struct oscall_hook *h, int error, void (*again)(void *arg), void *arg);

static inline const char *oscall_mark(bool told) {
  return told ? OSCALL_MARK : "";
}

void oscall_drop(struct net *n, struct oscall_hook **h);

#endif
