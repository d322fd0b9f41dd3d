/* simnet: a world in virtual time, from a seed: hosts, links between them, TCP and Unix sockets. The second driver.
 *
 * Each host is a `struct net` of its own: whoever makes a connection or a listener on it is at that host. The hosts of
 * a world share its time and its network. Only the main host is turned: that turns them all. A turn runs what is due at
 * one instant; when nothing is, time jumps to the next. No socket, no wall clock, no floating point: the same seed and
 * the same calls give the same bytes at the same times, on every machine.
 *
 * Every draw is a function of the seed, of what it is for, of the host and how many connections that host had made
 * before, and of its count on that connection: taking one thing out shifts nothing else.
 *
 * What it is made of: simworld (time, events, draws), simhost (clocks, timers), simname, simlink (what a way does to
 * what goes along it), simpipe (bytes one way), simend (one end of a connection), simarrive, simdial, simlisten.
 */
#ifndef MQRIG_SIMNET_H
#define MQRIG_SIMNET_H

#include "net/net.h"

#define SIMNET_EVENTS_MAX   1000000000u /* of a world, unless told otherwise: net_turn fails beyond it */
#define SIMNET_INSTANT_MAX  10000000u   /* events while time stands still: net_turn fails beyond it */
#define SIMNET_HOSTS_MAX    65534
#define SIMNET_WAKE_NS      50000        /* see simnet_link, and as much again at most, drawn anew each time */
#define SIMNET_LATE_NS      1            /* a program that waits wakes up this much after its time: nobody is exact */
#define SIMNET_SEND_MAX     (4u << 20)   /* a send buffer, unless set */
#define SIMNET_RECEIVE_MAX  (128u << 10) /* a receive buffer, unless set */
#define SIMNET_BUFFER_MIN   2048         /* however small it was set */
#define SIMNET_RETRY_NS     200000000 /* what was lost on the way is sent again after this, and after twice this, ... */
#define SIMNET_RETRY_SYN_NS 1000000000 /* a SYN likewise */
#define SIMNET_RETRIES_MAX  15         /* then the sender gives up: ETIMEDOUT, after 15 to 25 minutes as on Linux */

/* How often something happens: `part` times in `of`. All zero: never. */
struct simnet_ratio {
  uint32_t part, of;
};

struct simnet_options {
  uint64_t seed;
  uint64_t events_max; /* 0: SIMNET_EVENTS_MAX */
  int64_t start_ns;    /* what the clocks of its hosts begin with */
  bool in_order;       /* what is due at one instant runs in the order in which it was set, not shuffled */
  bool whole;          /* all bytes that are there are handed over at once, not a random first part of them */
};

/* The main host, called "main". `options` may be NULL: all zero. net_free ends the world with all hosts. */
struct net *simnet_new(const struct simnet_options *options);

/* The host of that name (1 to 63 of a-z 0-9 - _ .) in the world of `n`, made if there is none yet; NULL with a sentence
 * for what is no name, or too many. It lives as long as the world. Its name is found by connects: tcp://NAME:PORT. */
struct net *simnet_host(struct net *n, const char *name, struct err *err);
const char *simnet_host_name(const struct net *host);

/* Addresses. 127.0.0.1, ::1 and "localhost" are everybody's: whoever listens there is found from every host. Besides,
 * each host has an address of its own, which its name stands for: only that host can listen there. Port 0 is given out
 * in order. Unix paths are the world's. What other names stand for is told to net_names. */

/* What one way between two hosts does. One that was told no latency and no rate is as loopback: whatever is sent is in
 * the other end's kernel at once; its program learns of it after SIMNET_WAKE_NS or up to as much again. */
struct simnet_link {
  /* How long something takes, from 64 random bits. `latency_arg` must last as long as the setting. */
  int64_t (*latency)(const void *arg, uint64_t bits);
  const void *latency_arg;
  uint64_t bytes_per_s;          /* 0: no limit. All connections of the link share it */
  struct simnet_ratio loss;      /* of what is sent: it comes after all, a retry or more later */
  struct simnet_ratio refuse;    /* of connects this way: a reset in place of an answer */
  struct simnet_ratio no_answer; /* of connects this way: no answer at all, however often it asks */
  bool cut;                      /* nothing passes; whoever sends tries again, and gives up some day */
};

/* The way from one host to another (they may be the same). With both NULL that of all ways that were not set for
 * themselves. Holds from now on, also for connections that are there, and what waits for a way that is whole again is
 * tried again at its time. */
struct simnet_link simnet_link(struct net *n, const struct net *from, const struct net *to);
void simnet_set_link(struct net *n, const struct net *from, const struct net *to, const struct simnet_link *link);

/* The clock of one host: forward or back by that much; or its speed: `local` nanoseconds of it in `real` ones. Its
 * timers go by it. */
void simnet_jump(struct net *host, int64_t by_ns);
void simnet_drift(struct net *host, uint32_t local, uint32_t real);

/* The host's programs stand still (SIGSTOP): its timers, and what comes in to it; its kernel goes on: connects succeed
 * up to the backlog, bytes are taken until the buffers are full. Not for the main host. */
void simnet_stop(struct net *host, bool stopped);

/* When the next thing is due, of the network or a timer of any host, on the clock of `n`; NET_NEVER: nothing will ever
 * happen again by itself. Then net_turn until NET_NEVER fails and says so. */
int64_t simnet_next_ns(struct net *n);

/* What there is that may be waited for, a line each: connections with bytes on the way, connects, full backlogs. */
void simnet_waiting(struct net *n, void (*line)(void *arg, const char *text), void *arg);

/* All that has happened so far as one number: equal for equal runs. */
uint64_t simnet_hash(const struct net *n);

struct simnet_count {
  uint64_t events, connections, bytes, lost;
  size_t open; /* connections now */
};
struct simnet_count simnet_count(const struct net *n);

#endif
