#include "net/usage.h"

#include <stdio.h>

#include "net/driver.h"

static struct net *usage_part(struct net *n, size_t i) {
  if (n->ops->part) return n->ops->part(n, i);
  return i == 0 ? n : NULL;
}

static size_t usage_count(const struct list_node *list) {
  size_t count = 0;
  for (struct list_node *n = list_first(list); n; n = list_next(list, n)) count++;
  return count;
}

struct usage usage_of(struct net *n) {
  struct net *world = n->turner, *part;
  struct usage u = { .streams = usage_count(&world->streams), .listeners = usage_count(&world->listeners) };
  for (size_t i = 0; (part = usage_part(world, i)); i++) u.timers += part->timers.count;
  return u;
}

/* " of c1", where there are hosts. */
static const char *usage_owner(const struct net *n, char to[NET_NAME_MAX + 8]) {
  to[0] = 0;
  if (n->name) snprintf(to, NET_NAME_MAX + 8, " of %.*s", NET_NAME_MAX, n->name);
  return to;
}

static void usage_list_stream(const struct stream *s, void (*line)(void *arg, const char *text), void *arg) {
  char text[USAGE_LINE_MAX], owner[NET_NAME_MAX + 8];
  const char *local = stream_local(s), *peer = stream_peer(s);
  usage_owner(s->net, owner);
  if (local[0] || peer[0]) snprintf(text, sizeof text, "a connection%s, %s to %s", owner, local, peer);
  else snprintf(text, sizeof text, "a connection%s, which is not open", owner);
  line(arg, text);
}

static void usage_list_listener(const struct net_listener *l, void (*line)(void *arg, const char *text), void *arg) {
  char text[USAGE_LINE_MAX], owner[NET_NAME_MAX + 8], url[URL_PATH_MAX + 300];
  url_format(&l->url, url, sizeof url);
  snprintf(text, sizeof text, "a listener%s at %.300s", usage_owner(l->net, owner), url);
  line(arg, text);
}

static void usage_list_timers(const struct net *n, void (*line)(void *arg, const char *text), void *arg) {
  char text[USAGE_LINE_MAX], owner[NET_NAME_MAX + 8];
  for (size_t i = 0; i < n->timers.count; i++) {
    int64_t left_ns = n->timers.nodes[i]->at_ns - net_now(n);
    snprintf(text, sizeof text, "a timer%s, due in %.3f s", usage_owner(n, owner), (double)left_ns / 1e9);
    line(arg, text);
  }
}

void usage_list(struct net *n, void (*line)(void *arg, const char *text), void *arg) {
  struct net *world = n->turner, *part;
  for (struct list_node *s = list_first(&world->streams); s; s = list_next(&world->streams, s))
    usage_list_stream(LIST_OWNER(s, struct stream, owned), line, arg);
  for (struct list_node *l = list_first(&world->listeners); l; l = list_next(&world->listeners, l))
    usage_list_listener(LIST_OWNER(l, struct net_listener, owned), line, arg);
  for (size_t i = 0; (part = usage_part(world, i)); i++) usage_list_timers(part, line, arg);
}
