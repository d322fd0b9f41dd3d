#include "host/invheal.h"

#include "host/invbroker.h"
#include "host/invclient.h"

static const char *const invheal_resources[] = { "descriptors", "timers", "connections", "bytes of buffers",
                                                 "listeners" };

/* 32: what is there at the end was there at the beginning. */
static void invheal_resource(struct invariant *v, const struct event *e) {
  if (e->code < 0 || e->code >= EVENT_RESOURCES) return;
  struct invresource *r = &v->resources[e->code];
  if (e->packet_id == 0) {
    *r = (struct invresource){ e->value, v->number, true };
  } else if (r->known && e->value > r->value) {
    invariant_breach(v, 32, 0, r->entry, "%s at the end: %llu, at the beginning: %llu", invheal_resources[e->code],
                     (unsigned long long)e->value, (unsigned long long)r->value);
  }
}

/* 33 and 34: the bound is over. What was begun since is not looked at. */
static void invheal_check_client(struct invariant *v, const struct invclient *c) {
  const struct invclient_operation *o = invclient_first(c);
  if (o && o->entry < v->healed)
    invariant_breach(v, 33, c->end->who, o->entry, "%s had no result when all had been well for %.3f s",
                     o->request ? "a request" : "a message", (double)v->bound_ns / 1e9);
  bool begun = c->state == INVCLIENT_CONNECTING || c->state == INVCLIENT_DISCONNECTING;
  if (begun && c->dialed < v->healed && !c->wanted)
    invariant_breach(v, 33, c->end->who, c->dialed, "it was still %s when all had been well for %.3f s",
                     c->state == INVCLIENT_CONNECTING ? "connecting" : "disconnecting", (double)v->bound_ns / 1e9);
  if (c->wanted && c->state != INVCLIENT_CONNECTED)
    invariant_breach(v, 34, c->end->who, v->healed,
                     "it should be connected, and is not, when all has been well for %.3f s",
                     (double)v->bound_ns / 1e9);
}

static void invheal_check_bound(struct invariant *v) {
  if (!v->healed || v->bounded || v->now_ns <= v->healed_ns + v->bound_ns + v->options.slack_ns) return;
  v->bounded = true;
  for (struct list_node *n = list_first(&v->clients); n; n = list_next(&v->clients, n))
    invheal_check_client(v, LIST_OWNER(n, struct invclient, all));
}

bool invheal_is_half_open(const struct invariant *v, const struct invend *end) {
  return v->healed && end->heard_ns <= v->healed_ns;
}

/* 35: nothing but pings when nobody asks for anything. */
static void invheal_check_quiet(struct invariant *v, const struct timeline_entry *e) {
  const struct invend *end = e->who && e->who < v->ends_capacity ? v->ends[e->who] : NULL;
  bool packet = e->kind == TIMELINE_UP || e->kind == TIMELINE_DOWN;
  unsigned type = packet && e->bytes.size ? e->bytes.data[0] >> 4 : 0;
  if (packet && type != SPEC_PINGREQ && type != SPEC_PINGRESP)
    invariant_breach(v, 35, e->who, v->quiet, "%s went over a connection, and nobody had asked for anything",
                     spec_packet(type) ? spec_packet(type)->name : "a packet");
  else if (e->kind == TIMELINE_END && end && invheal_is_half_open(v, end)) v->quiet = 0;
  else if (e->kind == TIMELINE_OPEN || e->kind == TIMELINE_END)
    invariant_breach(v, 35, e->who, v->quiet, "a connection %s, and nobody had asked for anything",
                     e->kind == TIMELINE_OPEN ? "opened" : "ended");
  else return;
  v->quiet = 0;
}

/* Everybody had the time to finish what was begun: nothing is owed or waited for any more. */
static void invheal_settle(struct invariant *v) {
  for (struct list_node *n = list_first(&v->clients); n; n = list_next(&v->clients, n)) {
    struct invclient *c = LIST_OWNER(n, struct invclient, all);
    if (!invheal_is_half_open(v, c->end)) invclient_settle(v, c);
  }
  for (struct list_node *n = list_first(&v->brokers); n; n = list_next(&v->brokers, n))
    invbroker_settle(v, LIST_OWNER(n, struct invbroker, all));
}

void invheal_entry(struct invariant *v, const struct timeline_entry *e) {
  invheal_check_bound(v);
  if (v->quiet) invheal_check_quiet(v, e);
  if (e->kind != TIMELINE_EVENT) return;
  switch (e->event.what) {
  case EVENT_HEALED:
    v->healed = e->number;
    v->healed_ns = e->at_ns;
    v->bound_ns = (int64_t)e->event.value;
    v->bounded = false;
    break;
  case EVENT_QUIET: v->quiet = e->event.value ? e->number : 0; break;
  case EVENT_SETTLED: invheal_settle(v); break;
  case EVENT_RESOURCE: invheal_resource(v, &e->event); break;
  default: break;
  }
}

void invheal_finish(struct invariant *v) {
  invheal_check_bound(v);
}
