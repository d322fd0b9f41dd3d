/* simlink: the way from one virtual host to another: how long what is sent takes, and whether it arrives. */
#ifndef MQRIG_SIMLINK_H
#define MQRIG_SIMLINK_H

#include "net/simhost.h"

struct simend;

struct simlink {
  struct hash_node found;
  struct list_node listed;
  const struct simhost *from, *to; /* NULL: of Unix sockets */
  struct simnet_link own;
  bool set;              /* else it is as all links that were not */
  int64_t free_ns;       /* when what was sent before has left, at the link's rate */
  struct list_node held; /* ends to which something comes that was lost on it, and is sent again */
};

/* Found, or made. */
struct simlink *simlink_between(struct simworld *w, const struct simhost *from, const struct simhost *to);
struct simlink *simlink_new(struct simworld *w, const struct simhost *from, const struct simhost *to);
void simlink_free(struct simlink *l);

const struct simnet_link *simlink_settings(const struct simworld *w, const struct simlink *l);
/* NULL: of all that were not set. What a link had lost goes by what it is like now when it is sent again next. */
void simlink_set(struct simworld *w, struct simlink *l, const struct simnet_link *settings);

/* What is sent is there at once: nothing was said about how long it takes. */
bool simlink_is_instant(const struct simworld *w, const struct simlink *l);

/* When `size` bytes that leave now arrive. `key` and `occurrence` name the draw. */
int64_t simlink_arrival(struct simworld *w, struct simlink *l, size_t size, uint64_t key, uint64_t occurrence);

/* When a program notices what has just come this way. */
int64_t simlink_noticed(const struct simworld *w, const struct simlink *l, uint64_t key, uint64_t occurrence);

#endif
