/* syscall: rules on own system calls: `sys send nth 3 short 4`.
 *
 * The hook of one connection, or of one listener, which asks the rules of its scope before each call and keeps their
 * counts. It is released with the stream or listener that it is put on.
 */
#ifndef MQRIG_SYSCALL_H
#define MQRIG_SYSCALL_H

#include "fault/scope.h"
#include "net/oscall.h"

/* `conn` is in the firings, as inject_new's. The scope stays until the hook has gone. */
struct oscall_hook *syscall_new(struct scope *s, const struct net *n, void *conn);

#endif
