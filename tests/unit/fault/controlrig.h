/* controlrig: the control interface over a fleet on loopback, asked in memory, for tests. */
#ifndef MQRIG_CONTROLRIG_H
#define MQRIG_CONTROLRIG_H

#include "proxyrig.h"

#include "fault/control.h"

struct controlrig {
  struct proxyrig rig; /* rig.proxy: the one that was made last */
  struct fleet *fleet;
  struct control *control;
  int status;
  char body[65536]; /* of the last answer */
  char allow[64];
};

static inline void controlrig_open_seeded(struct controlrig *c, uint64_t seed) {
  struct err err;
  struct url at;
  struct proxy_options options = { .seed = seed };
  memset(c, 0, sizeof *c);
  assert_non_null(c->rig.net = evnet_new(&err));
  c->rig.listener = proxyrig_listen(&c->rig.port, 4096);
  c->fleet = fleet_new(c->rig.net, &options, &proxyrig_handler, &c->rig);
  assert_true(url_parse("tcp://127.0.0.1:8474", &at, &err));
  c->control = control_new(c->fleet, &at);
}

static inline void controlrig_open(struct controlrig *c) {
  controlrig_open_seeded(c, 1);
}

static inline void controlrig_close(struct controlrig *c) {
  control_free(c->control);
  fleet_free(c->fleet);
  net_free(c->rig.net);
  close(c->rig.listener);
}

static inline int controlrig_ask_as(struct controlrig *c, const char *method, const char *target, const char *body,
                                    const struct http_header *headers, size_t count) {
  struct http_response r;
  struct http_request q = { method, target, headers, count, slice_text(body) };
  http_response_init(&r);
  control_answer(c->control, &q, &r);
  struct slice s = buffer_slice(&r.body);
  assert_true(s.size < sizeof c->body);
  if (s.size) memcpy(c->body, s.data, s.size);
  c->body[s.size] = 0;
  snprintf(c->allow, sizeof c->allow, "%s", r.allow ? r.allow : "");
  assert_true((r.type != NULL) == (s.size > 0));
  http_response_fini(&r);
  return c->status = r.status;
}

static inline int controlrig_ask(struct controlrig *c, const char *method, const char *target, const char *body) {
  static const struct http_header host = { "Host", "localhost:8474" };
  return controlrig_ask_as(c, method, target, body, &host, 1);
}

/* As it must be. `body` with ' for ". */
static inline void controlrig_want(struct controlrig *c, int status, const char *method, const char *target,
                                   const char *body) {
  char text[16384];
  snprintf(text, sizeof text, "%s", body);
  for (char *t = text; *t; t++) {
    if (*t == '\'') *t = '"';
  }
  if (controlrig_ask(c, method, target, text) != status)
    fail_msg("%s %s %s: %d, not %d: %s", method, target, text, c->status, status, c->body);
}

static inline void controlrig_has(const struct controlrig *c, const char *part) {
  char text[1024];
  snprintf(text, sizeof text, "%s", part);
  for (char *t = text; *t; t++) {
    if (*t == '\'') *t = '"';
  }
  if (!strstr(c->body, text)) fail_msg("no %s in %s", text, c->body);
}

/* A proxy "p" to the rig's upstream. */
static inline void controlrig_proxy(struct controlrig *c) {
  char body[128];
  snprintf(body, sizeof body, "{'name':'p','upstream':'127.0.0.1:%u'}", c->rig.port);
  controlrig_want(c, 201, "POST", "/proxies", body);
  c->rig.proxy = fleet_find(c->fleet, "p")->proxy;
}

#endif
