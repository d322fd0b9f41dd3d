/* process: a child process of the real world: a mosquitto, a client under test, a worker of the runner.
 *
 * A child never outlives mqrig: it gets SIGKILL from the kernel when its parent dies, however that happens, it has a
 * process group of its own (Ctrl-C reaches mqrig only), default signal dispositions, nothing on its standard input, and
 * no descriptors but the three standard ones. A worker gets SIGTERM instead, whose handler takes along all that the
 * worker has started; what a killed worker leaves is ended by its parent (orphans.h).
 */
#ifndef MQRIG_PROCESS_H
#define MQRIG_PROCESS_H

#include <sys/types.h>

#include "net/evnet.h"

struct process;

enum process_output { PROCESS_STDOUT = 1, PROCESS_STDERR = 2 };

struct process_handler {
  void (*output)(void *arg, enum process_output which, struct slice text); /* as it comes, not cut into lines */
  /* Once, after the last output that was there when it ended (a grandchild may hold the pipe open: it is not waited
   * for). Signal 0: exited by itself. */
  void (*exited)(void *arg, int status, int signal);
};

/* argv ends with NULL; argv[0] is looked up in PATH. `environment` may be NULL (this one's), else "K=V" strings and
 * NULL, added to it. Not found or not executable: NULL, and the sentence says which. */
struct process *process_spawn(struct net *n, const char *const *argv, const char *const *environment,
                              const struct process_handler *handler, void *arg, struct err *err);

/* A worker: a forked copy that runs `body` and exits with what it returns. `*channel` is a stream socket between the
 * two: the parent's end is returned here, the child's is given to body. The child must give up inherited worlds
 * (evnet_abandon). With a handler for output the worker's stdout and stderr go there, without one they stay the
 * parent's. SIGINT is ignored in a worker. */
struct process *process_fork(struct net *n, int (*body)(void *arg, int channel), void *body_arg, int *channel,
                             const struct process_handler *handler, void *arg, struct err *err);

pid_t process_pid(const struct process *p);
bool process_running(const struct process *p);
/* To the process and what it has started in its group: a wrapper script and its program stop together. False if it is
 * gone. */
bool process_signal(struct process *p, int signal);
/* Gives what it has written so far to the handler now: for who hears from it on another way, and wants that first. */
void process_take_output(struct process *p);
/* Ends what nobody holds any more: children of children that have gone, and what was started without process_spawn. */
void process_end_orphans(void);
/* Kills its group, also what has outlived it, and reaps it; no handler is called. */
void process_free(struct process *p);

#endif
