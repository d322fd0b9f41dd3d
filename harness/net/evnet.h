/* evnet: the real world on libevent: raw events, own buffers, non-blocking sockets, monotonic time.
 *
 * What it is made of: evloop (readiness and waiting), evstream, evconnect, evlisten, evresolve.
 */
#ifndef MQRIG_EVNET_H
#define MQRIG_EVNET_H

#include "net/net.h"

/* NULL with a sentence if the system gives no event base. Free with net_free. */
struct net *evnet_new(struct err *err);

/* In a child after fork: gives the parent's world up without touching what the two share: this process's copies of the
 * streams' and listeners' descriptors are closed, those watched stay the caller's, the parent's epoll set and the
 * connections do not notice. Streams, listeners and watches of the world may still be freed, or left; net_turn and
 * net_free must not be called on it again. */
void evnet_abandon(struct net *n);

/* A descriptor of the real world besides streams: a pipe, a pidfd, a signal pipe. `ready` runs in a turn whenever it
 * can be read (or has ended). The descriptor stays the caller's: unwatch it before closing it. Free inside `ready` is
 * fine. */
struct evnet_watch;
struct evnet_watch *evnet_watch(struct net *n, int fd, void (*ready)(void *arg, int fd), void *arg);
void evnet_unwatch(struct evnet_watch *w);

/* Each descriptor of this process that is a socket or another object of the kernel, with what the system calls it
 * ("socket:[4711]"). Not files and pipes, which may be Lua's, nor what is kept of streams that have vanished. */
void evnet_descriptors(const struct net *n, void (*one)(void *arg, int fd, const char *text), void *arg);

/* Descriptors that may be opened still: the limit less those open, about. For clear errors before 20,000 clients. */
size_t evnet_descriptors_left(void);
/* Writes the sentence for an errno of open, socket or pipe: which limit it was, and how to raise it. Returns false. */
bool evnet_shortage(struct err *err, int why, const char *doing);

#endif
