#include "net/oscall.h"

#include <assert.h>

#include "net/driver.h"

static const char *const oscall_names[OSCALLS] = {
  [OSCALL_SOCKET] = "socket", [OSCALL_CONNECT] = "connect", [OSCALL_ACCEPT] = "accept",
  [OSCALL_SEND] = "send",     [OSCALL_RECV] = "recv",
};

const char *oscall_name(enum oscall call) {
  return oscall_names[call];
}

void oscall_on_stream(struct stream *s, struct oscall_hook *h) {
  assert(!s->hook);
  s->hook = h;
}

void oscall_on_listener(struct net_listener *l, struct oscall_hook *h) {
  assert(!l->hook);
  l->hook = h;
}

bool oscall_hooks_stream(const struct stream *s) {
  return s->hook != NULL;
}

bool oscall_hooks_listener(const struct net_listener *l) {
  return l->hook != NULL;
}

/* The stream that the driver makes takes the hook along (stream_init); if it makes none, nobody does. */
struct stream *oscall_connect(struct net *n, const struct url *u, int64_t timeout_ns, struct oscall_hook *h,
                              struct err *err) {
  n->hook = h;
  struct stream *s = net_connect(n, u, timeout_ns, NULL, NULL, err);
  oscall_drop(n, &n->hook);
  return s;
}

void oscall_wait(struct net *n, struct oscall_hook *h, int error, void (*again)(void *arg), void *arg) {
  if (heap_holds(&h->again.node)) return;
  net_timer_init(&h->again, again, arg);
  net_timer_set(n, &h->again, net_now(n) + oscall_delay_ns(error));
}

void oscall_drop(struct net *n, struct oscall_hook **h) {
  struct oscall_hook *hook = *h;
  if (!hook) return;
  *h = NULL;
  net_timer_clear(n, &hook->again);
  hook->gone(hook);
}
