/* hostrig: what the tests of clients and peers share: a real world, a peer, a client that writes down its events. */
#ifndef MQRIG_HOSTRIG_H
#define MQRIG_HOSTRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "host/client.h"
#include "host/peer.h"
#include "host/rawclient.h"
#include "mqtt/encode.h"
#include "net/evnet.h"

#define HOSTRIG_LIMIT_NS 20000000000
#define HOSTRIG_LOG_MAX  4096

/* Turns the loop until the condition holds; fails at this line if it does not in time. */
#define TURN_UNTIL(n, condition)                                                                                       \
  do {                                                                                                                 \
    struct err turn_err_;                                                                                              \
    int64_t turn_limit_ = net_now(n) + HOSTRIG_LIMIT_NS;                                                               \
    while (!(condition)) {                                                                                             \
      assert_true(net_now(n) < turn_limit_);                                                                           \
      assert_true(net_turn(n, turn_limit_, &turn_err_));                                                               \
    }                                                                                                                  \
  } while (0)

/* A client and what happened to it: "connected 0|result 1 -11|lost -1|". */
struct hostrig_client {
  struct client *client;
  char log[HOSTRIG_LOG_MAX];
  size_t used, results;
  void (*hook)(struct hostrig_client *c, const struct session_event *e); /* may be NULL */
  void *hook_arg;
};

struct hostrig {
  struct net *net;
  struct timeline *timeline;
  struct peer *peer;
  struct hostrig_client a, b;
  unsigned swallow; /* packet types, as bits, that the peer's script answers with silence */
  size_t accepted, ended;
  char why[256];
};

static void hostrig_event(void *arg, const struct session_event *e) {
  static const char *const names[] = { "connected",  "lost",         "disconnected", "result",
                                       "subscribed", "unsubscribed", "message" };
  struct hostrig_client *c = arg;
  size_t room = sizeof c->log - c->used;
  char *to = c->log + c->used;
  int n = 0;
  if (e->type == SESSION_EVENT_RESULT) c->results++;
  if (e->type == SESSION_EVENT_MESSAGE) {
    n = snprintf(to, room, "message %.*s %.*s|", (int)e->packet->topic.size, (const char *)e->packet->topic.data,
                 (int)e->packet->payload.size, (const char *)e->packet->payload.data);
  } else if (e->type == SESSION_EVENT_RESULT) {
    n = snprintf(to, room, "result %d %d|", (int)e->user, e->code);
  } else if (e->type == SESSION_EVENT_DISCONNECTED) {
    n = snprintf(to, room, "disconnected|");
  } else {
    n = snprintf(to, room, "%s %d|", names[e->type], e->code);
  }
  c->used += (size_t)n < room ? (size_t)n : 0;
  if (c->hook) c->hook(c, e);
}

static enum peer_verdict hostrig_packet(void *arg, struct peer_conn *c, const struct packet *p) {
  struct hostrig *r = arg;
  (void)c;
  return r->swallow & (1u << p->type) ? PEER_HANDLED : PEER_DEFAULT;
}

static void hostrig_accepted(void *arg, struct peer_conn *c) {
  struct hostrig *r = arg;
  (void)c;
  r->accepted++;
}

static void hostrig_ended(void *arg, struct peer_conn *c, const char *why) {
  struct hostrig *r = arg;
  (void)c;
  r->ended++;
  snprintf(r->why, sizeof r->why, "%s", why);
}

static const struct peer_handler hostrig_peer = { .accepted = hostrig_accepted,
                                                  .packet = hostrig_packet,
                                                  .ended = hostrig_ended };

static inline void hostrig_open(struct hostrig *r, const char *url, const struct session_options *options) {
  struct err err;
  struct url u;
  *r = (struct hostrig){ 0 };
  assert_non_null(r->net = evnet_new(&err));
  r->timeline = timeline_new(net_now(r->net));
  assert_true(url_parse(url, &u, &err));
  r->peer = peer_new(r->net, r->timeline, "peer", &u, NULL, NULL, NULL, &hostrig_peer, r, &err);
  if (!r->peer) fail_msg("%s", err.text);
  static const struct session_options none;
  r->a.client = client_new(r->net, r->timeline, "a", options ? options : &none, hostrig_event, &r->a);
  r->b.client = client_new(r->net, r->timeline, "b", &none, hostrig_event, &r->b);
}

static inline void hostrig_close(struct hostrig *r) {
  client_free(r->a.client);
  client_free(r->b.client);
  peer_free(r->peer);
  timeline_free(r->timeline);
  net_free(r->net);
}

static inline void hostrig_start(struct hostrig *r, struct hostrig_client *c, const char *id, bool clean) {
  struct err err;
  struct session_connect o = {
    .client_id = slice_text(id), .clean = clean, .timeout_ns = 5000000000, .version = SPEC_3_1_1, .keepalive_s = 60
  };
  if (!client_connect(c->client, peer_url(r->peer), NULL, &o, &err)) fail_msg("%s", err.text);
}

static inline void hostrig_connect(struct hostrig *r, struct hostrig_client *c, const char *id) {
  hostrig_start(r, c, id, true);
  TURN_UNTIL(r->net, client_state(c->client) == SESSION_CONNECTED && c->used);
}

static inline uint16_t hostrig_publish(struct hostrig_client *c, const char *topic, uint8_t qos, uint64_t user) {
  uint16_t id = 0;
  struct session_publish p = { .topic = slice_text(topic), .payload = slice_text("hello"), .qos = qos, .user = user };
  assert_int_equal(client_publish(c->client, &p, &id), SESSION_ACCEPTED);
  return id;
}

/* Whether a packet of that participant is on the timeline. */
static inline bool hostrig_saw(const struct hostrig *r, uint32_t who, enum timeline_kind kind, unsigned type) {
  struct timeline_entry e;
  return timeline_find(r->timeline, 0, who, kind, type, &e);
}

/* How often a text stands on the timeline, in an entry of that kind. */
static inline size_t hostrig_count(const struct hostrig *r, enum timeline_kind kind, const char *text) {
  struct timeline_entry e;
  size_t count = 0;
  for (uint64_t after = 0; timeline_find(r->timeline, after, 0, kind, 0, &e); after = e.number) {
    count += memmem(e.bytes.data, e.bytes.size, text, strlen(text)) != NULL;
  }
  return count;
}

#endif
