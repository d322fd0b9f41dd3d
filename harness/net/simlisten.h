/* simlisten: listeners of a virtual world. */
#ifndef MQRIG_SIMLISTEN_H
#define MQRIG_SIMLISTEN_H

#include "net/simend.h"

#define SIMLISTEN_BACKLOG    1024
#define SIMLISTEN_PASS_MAX   64    /* accepted in one turn */
#define SIMLISTEN_PORT_FIRST 20000 /* of those that are given out */
#define SIMLISTEN_PORTS      12768

struct simlisten;

struct simlisten *simlisten_find(const struct simworld *w, const struct address *a);
struct simhost *simlisten_host(const struct simlisten *l);

/* Somebody calls at this end (a SYN), which was asked first at `asked_ns`. */
void simlisten_call(struct simend *e, int64_t asked_ns);
/* The caller's last word came. */
void simlisten_called(struct simend *e);
/* One of its ends has no owner any more. */
void simlisten_left(struct simlisten *l, struct simend *e);

/* The operations of net_ops. */
struct net_listener *simlisten_new(struct net *n, const struct url *u, const struct net_listen_options *options,
                                   struct err *err);
void simlisten_pause(struct net_listener *l, bool paused);
bool simlisten_mute(struct net_listener *l, bool muted, struct err *err);
void simlisten_free(struct net_listener *l);

#endif
