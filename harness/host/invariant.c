#include "host/invariant.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "host/invbroker.h"
#include "host/invclient.h"
#include "host/invclock.h"
#include "host/invflow.h"
#include "host/invheal.h"
#include "host/invresult.h"
#include "host/invwire.h"

static const struct invariant_row invariant_rows[INVARIANT_COUNT] = {
  { "inv-01 opening", "a client's first packet is CONNECT, once; a broker's is CONNACK" },
  { "inv-02 farewell", "nothing is sent after DISCONNECT" },
  { "inv-03 form", "every packet sent is well-formed and within the receiver's maximum" },
  { "inv-04 identifier", "an exchange starts with an identifier that is not 0 and not in flight" },
  { "inv-05 answer", "every acknowledgement answers something, and everything that wants one gets one" },
  { "inv-06 dup", "DUP is 0 on the first sending and 1 on later ones, and never set at QoS 0" },
  { "inv-07 once", "nothing is sent again within one connection" },
  { "inv-08 resume",
    "with session present, all in flight is sent again, at its stage, in its order, before anything new" },
  { "inv-09 stage", "a message is not sent again once it is released" },
  { "inv-10 order", "acknowledgements go in the order of what they acknowledge" },
  { "inv-11 window", "no more is in flight than the receive maximum of the other end" },
  { "inv-12 alias", "a topic alias is in range, and has its topic before it is used" },
  { "inv-13 origin", "no message comes from nowhere, and none is altered" },
  { "inv-14 qos0", "a message at QoS 0 comes at most once" },
  { "inv-15 qos1", "a message at QoS 1 comes at least once where the session lasts" },
  { "inv-16 qos2", "a message at QoS 2 comes exactly once where the session lasts" },
  { "inv-17 sequence", "messages come first in the order in which they were sent, by publisher, topic and QoS" },
  { "inv-18 unsent", "what was told to be certainly not sent is not sent" },
  { "inv-19 retained", "a new subscription gets what was retained last, and nothing else has RETAIN" },
  { "inv-20 will", "a will is published exactly once when it is due, and never after a clean end" },
  { "inv-21 present", "session present tells the truth" },
  { "inv-22 session", "a resumed session has its subscriptions and its messages; a clean start has none" },
  { "inv-23 takeover", "a client identifier has one live connection" },
  { "inv-24 result", "every accepted send has exactly one result, a documented one, in order where a connection ends" },
  { "inv-25 success", "0 means that the acknowledgement came, or at QoS 0 that the last byte was handed over" },
  { "inv-26 exhaustion", "-10 comes when all identifiers are in use, and only then" },
  { "inv-27 states", "a client goes through its states as published, and is told each loss once" },
  { "inv-28 limits", "queues stay within their limits, and refuse nothing before" },
  { "inv-29 keepalive",
    "a client pings when it has sent nothing for its keepalive, and gives up when no answer comes" },
  { "inv-30 silence", "a broker closes a silent client at one and a half times its keepalive" },
  { "inv-31 timeout", "every connect has its outcome within its timeout" },
  { "inv-32 remains", "at the end all that was opened is closed" },
  { "inv-33 completion", "when all is well again, what is pending completes within the bound" },
  { "inv-34 recovery", "when all is well again, every client that should be connected is, within the bound" },
  { "inv-35 rest", "when nobody asks for anything, nothing but pings is sent" },
  { "inv-36 shelter", "a client to which nothing is done is not harmed by what is done to others" },
};

const struct invariant_row *invariant_row(unsigned number) {
  return number >= 1 && number <= INVARIANT_COUNT ? &invariant_rows[number - 1] : NULL;
}

struct invariant *invariant_new(const struct invariant_options *options) {
  struct invariant *v = mem_zero(sizeof *v);
  v->options = *options;
  list_init(&v->brokers);
  list_init(&v->clients);
  heap_init(&v->clocks);
  return v;
}

static void invariant_free_end(struct invend *end) {
  if (!end) return;
  invwire_end(end);
  free(end);
}

void invariant_free(struct invariant *v) {
  if (!v) return;
  for (struct list_node *n; (n = list_first(&v->clients));) invclient_free(v, LIST_OWNER(n, struct invclient, all));
  for (struct list_node *n; (n = list_first(&v->brokers));) invbroker_free(v, LIST_OWNER(n, struct invbroker, all));
  for (size_t i = 0; i < v->ends_capacity; i++) invariant_free_end(v->ends[i]);
  heap_fini(&v->clocks);
  free(v->ends);
  free(v->violations);
  free(v);
}

struct invend *invariant_end(struct invariant *v, uint32_t who) {
  if (who >= v->ends_capacity) {
    size_t capacity = v->ends_capacity ? v->ends_capacity : 16;
    while (capacity <= who) capacity *= 2;
    v->ends = mem_resize(v->ends, capacity * sizeof *v->ends);
    memset(v->ends + v->ends_capacity, 0, (capacity - v->ends_capacity) * sizeof *v->ends);
    v->ends_capacity = capacity;
  }
  if (!v->ends[who]) {
    v->ends[who] = mem_zero(sizeof *v->ends[who]);
    v->ends[who]->who = who;
    hash_init(&v->ends[who]->aliases);
  }
  return v->ends[who];
}

void invariant_breach(struct invariant *v, unsigned number, uint32_t who, uint64_t cause, const char *format, ...) {
  const struct invariant_violation *last = v->violations_count ? &v->violations[v->violations_count - 1] : NULL;
  if (v->violations_count == INVARIANT_VIOLATIONS_MAX) return;
  /* One breach is told once: what is wrong in one way is often wrong in others. */
  if (last && last->entry == v->number && last->who == who) return;
  v->violations = mem_resize(v->violations, (v->violations_count + 1) * sizeof *v->violations);
  struct invariant_violation *b = &v->violations[v->violations_count++];
  *b = (struct invariant_violation){ number, who, cause, v->number, v->now_ns, "" };
  va_list args;
  va_start(args, format);
  vsnprintf(b->text, sizeof b->text, format, args);
  va_end(args);
}

size_t invariant_violations(const struct invariant *v) {
  return v->violations_count;
}

const struct invariant_violation *invariant_violation(const struct invariant *v, size_t place) {
  assert(place < v->violations_count);
  return &v->violations[place];
}

/* Time. */

void invariant_set(struct invariant *v, struct invclock *c, int64_t at_ns) {
  if (!v->unclocked) heap_set(&v->clocks, &c->node, at_ns + v->options.slack_ns);
}

static void invariant_skew(struct invariant *v, int code) {
  for (struct heap_node *n; (n = heap_first(&v->clocks));) heap_clear(&v->clocks, n);
  v->skewed = v->number;
  if (code == 1) v->unclocked++;
  else if (code == 2 && v->unclocked) v->unclocked--;
}

void invariant_stop(struct invariant *v, struct invclock *c) {
  heap_clear(&v->clocks, &c->node);
}

/* What is due at a time may still come among the entries of that time. */
static void invariant_pass_time(struct invariant *v, int64_t now_ns) {
  struct heap_node *n;
  while ((n = heap_first(&v->clocks)) && n->at_ns < now_ns) {
    struct invclock *c = LIST_OWNER(n, struct invclock, node);
    v->now_ns = n->at_ns;
    heap_clear(&v->clocks, n);
    c->late(v, c);
  }
  v->now_ns = now_ns;
}

/* Entries. */

/* The connection ended within a packet that it was sending: what follows on the next one knows more of it. */
static void invariant_cut(struct invend *end, const struct event *e) {
  unsigned type = (unsigned)e->code >> 4 & 15, qos = (unsigned)e->code >> 1 & 3;
  if (end->client) end->client->cut = true;
  if (type != SPEC_PUBLISH || !qos) return;
  if (end->flow) end->flow->cut = true;
  if (end->client && !(end->flow->next != &end->flow->row && !e->packet_id)) invresult_cut(end->client, e->packet_id);
}

static void invariant_raw(struct invend *end) {
  if (!end || !end->role) return;
  invwire_distrust(end);
  if (end->conn) invbroker_distrust(end);
}

static void invariant_event(struct invariant *v, uint32_t who, const struct event *e) {
  struct invend *end = who ? invariant_end(v, who) : NULL;
  bool known = end && end->role;
  switch (e->what) {
  case EVENT_CLIENT:
    if (known || !end) break;
    end->role = SPEC_CLIENT;
    end->client = invclient_new(v, end, e);
    break;
  case EVENT_RAW: invariant_raw(end); break;
  case EVENT_CLOCKS: invariant_skew(v, e->code); break;
  case EVENT_UNREAD:
    if (known) end->deaf = true;
    break;
  case EVENT_UNFRAMED:
    if (known) invwire_unframed(v, end, e->code ? TIMELINE_DOWN : TIMELINE_UP);
    break;
  case EVENT_SCRIPTED:
    if (known) invwire_distrust(end);
    invbroker_event(v, who, e);
    break;
  case EVENT_CUT:
    if (known) invariant_cut(end, e);
    break;
  default:
    if (end && end->client) invclient_event(v, end, e);
    else invbroker_event(v, who, e);
  }
}

static void invariant_open(struct invariant *v, struct invend *end) {
  if (end->role) invwire_open(v, end);
}

static void invariant_over(struct invariant *v, struct invend *end, struct slice how) {
  if (!end->role) return;
  invwire_end(end);
  struct slice local = slice_text(TIMELINE_LOCAL_END);
  if (end->client) invclient_ended(v, end, slice_equal(slice_first(how, local.size), local));
  else invbroker_ended(v, end);
}

void invariant_feed(struct invariant *v, const struct timeline_entry *e) {
  if (v->finished || v->violations_count == INVARIANT_VIOLATIONS_MAX) return;
  v->last = v->number = e->number;
  invariant_pass_time(v, e->at_ns);
  invheal_entry(v, e);
  struct invend *end = e->who && e->who < v->ends_capacity ? v->ends[e->who] : NULL;
  switch (e->kind) {
  case TIMELINE_EVENT: invariant_event(v, e->who, &e->event); break;
  case TIMELINE_UP:
  case TIMELINE_DOWN:
    if (end && end->role) invwire_packet(v, end, e);
    break;
  case TIMELINE_OPEN:
    if (end) invariant_open(v, end);
    break;
  case TIMELINE_END:
    if (end) invariant_over(v, end, e->bytes);
    break;
  case TIMELINE_FAULT:
  case TIMELINE_NOTE:
  case TIMELINE_HIT: break;
  }
}

void invariant_follow(struct invariant *v, const struct timeline *t) {
  struct timeline_entry e;
  uint64_t next = v->last + 1;
  if (next < timeline_first(t)) next = timeline_first(t);
  for (; timeline_get(t, next, &e); next++) invariant_feed(v, &e);
}

void invariant_finish(struct invariant *v, int64_t now_ns) {
  if (v->finished) return;
  v->finished = true;
  v->number = 0;
  if (v->violations_count == INVARIANT_VIOLATIONS_MAX) return;
  invariant_pass_time(v, now_ns > v->now_ns ? now_ns : v->now_ns);
  invheal_finish(v);
}
