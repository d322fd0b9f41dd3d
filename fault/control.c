#include "fault/control.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "fault/controljson.h"
#include "fault/controlmetrics.h"

#define CONTROL_SEGMENTS_MAX 4
#define CONTROL_JSON         "application/json"

struct control {
  struct fleet *fleet;
  char host[URL_HOST_MAX + 1]; /* where it listens */
  bool loopback;
  char *hosts[CONTROL_HOSTS_MAX];
  size_t host_count;
  char allow[64]; /* for a 405 */
};

/* A request on its way: the names in the path, and what they mean. */
struct control_call {
  struct control *control;
  const struct http_request *request;
  struct http_response *response;
  const char *proxy, *toxic;
  struct fleet_member *member;
};

/* Answers. */

static void control_put_json(struct http_response *r, int status, json_t *v) {
  char *text = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(9));
  json_decref(v);
  r->status = status;
  r->type = CONTROL_JSON;
  buffer_append(&r->body, slice_text(text ? text : "{}"));
  free(text);
}

static void control_fail(struct http_response *r, int status, const char *why) {
  json_t *text = json_string(why), *v = json_object();
  json_object_set_new(v, "error", text ? text : json_string("the reason is no UTF-8"));
  json_object_set_new(v, "status", json_integer(status));
  control_put_json(r, status, v);
}

static void control_fail_by(struct http_response *r, enum fleet_problem problem, const struct err *why) {
  static const int status[] = { [FLEET_WRONG] = 400, [FLEET_UNKNOWN] = 404, [FLEET_TAKEN] = 409, [FLEET_FAILED] = 500 };
  control_fail(r, status[problem], why->text);
}

static void control_done(struct http_response *r) {
  r->status = 204;
}

/* The body, or NULL when the request was answered with what is wrong with it. */
static json_t *control_body(struct control_call *k) {
  struct err err;
  json_t *v = controljson_read(k->request->body, &err);
  if (!v) control_fail(k->response, 400, err.text);
  return v;
}

/* Who may ask. */

static bool control_is_loopback(const char *host) {
  struct in_addr v4;
  if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return strcmp(host, "::1") == 0 || strcasecmp(host, "localhost") == 0;
}

static bool control_is_address(const char *host) {
  struct in6_addr any;
  return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* The host of "host", "host:port", "[host]:port". */
static bool control_take_host(const char *header, char host[URL_HOST_MAX + 1]) {
  bool bracket = header[0] == '[';
  size_t size = bracket ? strcspn(header + 1, "]") : strcspn(header, ":");
  if (size > URL_HOST_MAX) return false;
  memcpy(host, header + bracket, size);
  host[size] = 0;
  return true;
}

static bool control_knows_host(const struct control *c, const char *header) {
  char host[URL_HOST_MAX + 1];
  if (!control_take_host(header, host)) return false;
  if (control_is_loopback(host) || strcasecmp(host, c->host) == 0) return true;
  if (!c->loopback && control_is_address(host)) return true;
  for (size_t i = 0; i < c->host_count; i++) {
    if (strcasecmp(host, c->hosts[i]) == 0) return true;
  }
  return false;
}

/* A page that a browser shows must not reach this, and neither one that has given its name the address of this machine.
 * Sec-Fetch-Mode alone is no sign of a browser: Node.js sends it. */
static const char *control_refusal(const struct control *c, const struct http_request *q) {
  const char *agent = http_header(q, "User-Agent"), *host = http_header(q, "Host");
  if (agent && strncmp(agent, "Mozilla/", 8) == 0) return "User agent not allowed: this is not for browsers";
  if (http_header(q, "Origin") || http_header(q, "Sec-Fetch-Site"))
    return "a request made by a web page is not allowed: this is not for browsers";
  if (host && !control_knows_host(c, host)) return "the Host header names another host: use localhost or the address";
  return NULL;
}

/* Routes. */

static void control_version(struct control_call *k) {
  json_t *v = json_object();
  json_object_set_new(v, "version", json_string(CONTROL_API_VERSION));
  json_object_set_new(v, "mqrig", json_string(MQRIG_VERSION));
  control_put_json(k->response, 200, v);
}

static void control_metrics(struct control_call *k) {
  k->response->type = CONTROLMETRICS_TYPE;
  controlmetrics_write(k->control->fleet, &k->response->body);
}

static void control_proxies(struct control_call *k) {
  json_t *v = json_object();
  for (size_t i = 0; i < fleet_count(k->control->fleet); i++) {
    const struct fleet_member *m = fleet_member(k->control->fleet, i);
    json_object_set_new(v, m->name, controljson_of_member(m));
  }
  control_put_json(k->response, 200, v);
}

static void control_create(struct control_call *k) {
  struct fleet_order order = { 0 };
  struct fleet_member *m;
  struct err err;
  json_t *v = control_body(k);
  if (!v) return;
  enum fleet_problem problem = FLEET_WRONG;
  if (controljson_order(v, &order, &err)) problem = fleet_create(k->control->fleet, &order, &m, &err);
  if (problem) control_fail_by(k->response, problem, &err);
  else control_put_json(k->response, 201, controljson_of_member(m));
  fleet_order_fini(&order);
  json_decref(v);
}

static bool control_read_orders(const json_t *v, struct fleet_order *orders, size_t *count, struct err *err) {
  struct err why;
  for (*count = 0; *count < json_array_size(v); ++*count) {
    if (controljson_order(json_array_get(v, *count), &orders[*count], &why)) continue;
    return err_set(err, "%s (proxy %zu)", why.text, ++*count);
  }
  return true;
}

static void control_put_orders(struct control_call *k, const struct fleet_order *orders, size_t count) {
  json_t *v = json_object(), *list = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(list, controljson_of_member(fleet_find(k->control->fleet, orders[i].name)));
  json_object_set_new(v, "proxies", list);
  control_put_json(k->response, 201, v);
}

static void control_populate(struct control_call *k) {
  struct err err;
  json_t *v = control_body(k);
  if (!v) return;
  size_t count = 0;
  struct fleet_order *orders = mem_zero((json_array_size(v) + 1) * sizeof *orders);
  enum fleet_problem problem = FLEET_WRONG;
  if (!json_is_array(v)) err_set(&err, "bad request body: an array of proxies is wanted");
  else if (control_read_orders(v, orders, &count, &err))
    problem = fleet_populate(k->control->fleet, orders, count, &err);
  if (problem) control_fail_by(k->response, problem, &err);
  else control_put_orders(k, orders, count);
  for (size_t i = 0; i < count; i++) fleet_order_fini(&orders[i]);
  free(orders);
  json_decref(v);
}

static void control_reset(struct control_call *k) {
  struct err err;
  enum fleet_problem problem = fleet_reset(k->control->fleet, &err);
  if (problem) control_fail_by(k->response, problem, &err);
  else control_done(k->response);
}

static void control_show(struct control_call *k) {
  control_put_json(k->response, 200, controljson_of_member(k->member));
}

static void control_update(struct control_call *k) {
  struct err err;
  const char *listen = NULL, *upstream = NULL;
  bool enabled = proxy_is_enabled(k->member->proxy);
  json_t *v = control_body(k);
  if (!v) return;
  enum fleet_problem problem = FLEET_WRONG;
  if (!json_is_object(v)) err_set(&err, "bad request body: an object is wanted");
  else if (controljson_text(v, "listen", &listen, &err) && controljson_text(v, "upstream", &upstream, &err) &&
           controljson_flag(v, "enabled", &enabled, &err))
    problem = fleet_update(k->member, listen && listen[0] ? listen : NULL, upstream && upstream[0] ? upstream : NULL,
                           enabled, &err);
  if (problem) control_fail_by(k->response, problem, &err);
  else control_show(k);
  json_decref(v);
}

static void control_delete(struct control_call *k) {
  fleet_delete(k->control->fleet, k->member);
  control_done(k->response);
}

static void control_toxics(struct control_call *k) {
  control_put_json(k->response, 200, controljson_of_toxics(k->member->infect));
}

static void control_put_toxic(struct control_call *k, const char *name) {
  control_put_json(k->response, 200, controljson_of_toxic(infect_find(k->member->infect, name)));
}

static void control_add_toxic(struct control_call *k) {
  struct infect *i = k->member->infect;
  struct toxic t;
  struct err err;
  json_t *v = control_body(k);
  if (!v) return;
  bool ok = controljson_toxic(v, &t, &err);
  if (!ok) {
    control_fail(k->response, 400, err.text);
  } else if (infect_find(i, t.name)) {
    control_fail(k->response, 409, "toxic already exists");
  } else if (infect_count(i) >= INFECT_TOXICS_MAX) {
    control_fail(k->response, 400, "the proxy has as many toxics as it can have");
  } else {
    const char *name = t.name;
    infect_add(i, &t);
    control_put_toxic(k, name);
    t = (struct toxic){ 0 };
  }
  toxic_fini(&t);
  json_decref(v);
}

static void control_show_toxic(struct control_call *k) {
  control_put_toxic(k, k->toxic);
}

static void control_update_toxic(struct control_call *k) {
  struct toxic t;
  struct err err;
  json_t *v = control_body(k);
  if (!v) return;
  toxic_copy(&t, infect_find(k->member->infect, k->toxic));
  if (controljson_change(v, &t, &err)) {
    infect_update(k->member->infect, &t);
    control_put_toxic(k, k->toxic);
  } else {
    toxic_fini(&t);
    control_fail(k->response, 400, err.text);
  }
  json_decref(v);
}

static void control_remove_toxic(struct control_call *k) {
  infect_remove(k->member->infect, k->toxic);
  control_done(k->response);
}

enum control_method { CONTROL_GET, CONTROL_POST, CONTROL_PATCH, CONTROL_DELETE, CONTROL_METHODS };

static const char *const control_methods[CONTROL_METHODS] = { "GET", "POST", "PATCH", "DELETE" };

/* "*" is a name: first of a proxy, then of a toxic. */
struct control_route {
  const char *segments[CONTROL_SEGMENTS_MAX];
  void (*answer[CONTROL_METHODS])(struct control_call *k);
};

static const struct control_route control_routes[] = {
  { { "version" }, { control_version } },
  { { "metrics" }, { control_metrics } },
  { { "populate" }, { NULL, control_populate } },
  { { "reset" }, { NULL, control_reset } },
  { { "proxies" }, { control_proxies, control_create } },
  { { "proxies", "*" }, { control_show, control_update, control_update, control_delete } },
  { { "proxies", "*", "toxics" }, { control_toxics, control_add_toxic } },
  { { "proxies", "*", "toxics", "*" },
    { control_show_toxic, control_update_toxic, control_update_toxic, control_remove_toxic } },
};

/* Paths. */

struct control_path {
  char *segments[CONTROL_SEGMENTS_MAX + 1];
  size_t count;
};

static void control_path_fini(struct control_path *p) {
  for (size_t i = 0; i < p->count; i++) free(p->segments[i]);
}

/* False: no path that there could be. */
static bool control_split(const char *target, struct control_path *p) {
  size_t size = strcspn(target, "?#");
  const char *end = target + size;
  p->count = 0;
  while (target < end && *target == '/' && p->count < CONTROL_SEGMENTS_MAX) {
    size_t n = strcspn(++target, "/?#");
    char *segment = http_unescape(slice_of(target, n));
    if (!segment) return false;
    p->segments[p->count++] = segment;
    target += n;
  }
  return target == end && p->count > 0;
}

static bool control_matches(const struct control_route *route, const struct control_path *p) {
  for (size_t i = 0; i < CONTROL_SEGMENTS_MAX; i++) {
    const char *want = route->segments[i];
    if (i >= p->count || !want) return i >= p->count && !want;
    if (strcmp(want, "*") != 0 && strcmp(want, p->segments[i]) != 0) return false;
  }
  return true;
}

static const struct control_route *control_find(const struct control_path *p) {
  for (size_t i = 0; i < sizeof control_routes / sizeof *control_routes; i++) {
    if (control_matches(&control_routes[i], p)) return &control_routes[i];
  }
  return NULL;
}

static void control_refuse_method(struct control_call *k, const struct control_route *route) {
  char *allow = k->control->allow;
  allow[0] = 0;
  for (int m = 0; m < CONTROL_METHODS; m++) {
    size_t size = strlen(allow);
    if (route->answer[m])
      snprintf(allow + size, sizeof k->control->allow - size, "%s%s", size ? ", " : "", control_methods[m]);
  }
  k->response->allow = allow;
  control_fail(k->response, 405, "method not allowed");
}

/* The proxy and the toxic that the path names are there, or the request was answered. */
static bool control_resolve(struct control_call *k, const struct control_path *p) {
  k->proxy = p->count > 1 ? p->segments[1] : NULL;
  k->toxic = p->count > 3 ? p->segments[3] : NULL;
  k->member = k->proxy ? fleet_find(k->control->fleet, k->proxy) : NULL;
  bool found = !k->proxy || k->member;
  if (!found) control_fail(k->response, 404, "proxy not found");
  else if (k->toxic && !infect_find(k->member->infect, k->toxic)) control_fail(k->response, 404, "toxic not found");
  else return true;
  return false;
}

static void control_route(struct control_call *k, const struct control_path *p) {
  const struct control_route *route = control_find(p);
  if (!route) {
    control_fail(k->response, 404, "there is nothing at this path");
    return;
  }
  for (int m = 0; m < CONTROL_METHODS; m++) {
    if (!route->answer[m] || strcmp(control_methods[m], k->request->method) != 0) continue;
    if (control_resolve(k, p)) route->answer[m](k);
    return;
  }
  control_refuse_method(k, route);
}

void control_answer(void *arg, const struct http_request *q, struct http_response *r) {
  struct control_call k = { .control = arg, .request = q, .response = r };
  struct control_path path;
  const char *refusal = control_refusal(arg, q);
  if (refusal) {
    control_fail(r, 403, refusal);
    return;
  }
  if (control_split(q->target, &path)) control_route(&k, &path);
  else control_fail(r, 404, "there is nothing at this path");
  control_path_fini(&path);
}

/* Life. */

struct control *control_new(struct fleet *f, const struct url *listen) {
  struct control *c = mem_zero(sizeof *c);
  c->fleet = f;
  c->loopback = control_is_loopback(listen->host);
  snprintf(c->host, sizeof c->host, "%s", listen->host);
  return c;
}

void control_free(struct control *c) {
  if (!c) return;
  for (size_t i = 0; i < c->host_count; i++) free(c->hosts[i]);
  free(c);
}

bool control_allow_host(struct control *c, const char *name) {
  if (c->host_count == CONTROL_HOSTS_MAX) return false;
  c->hosts[c->host_count++] = mem_copy(slice_text(name));
  return true;
}

bool control_address(const char *text, struct url *out, struct err *err) {
  char url[URL_HOST_MAX + 32];
  struct err why;
  bool is_port = text[0] && text[strspn(text, "0123456789")] == 0;
  const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
  bool has_port = colon && (!bracket || colon > bracket);
  if (strstr(text, "://")) return url_parse(text, out, err);
  if (is_port) snprintf(url, sizeof url, "tcp://127.0.0.1:%s", text);
  else if (has_port) snprintf(url, sizeof url, "tcp://%s%s", colon == text ? "127.0.0.1" : "", text);
  else snprintf(url, sizeof url, "tcp://%s:%d", text, CONTROL_PORT);
  return url_parse(url, out, &why) ||
         err_set(err, "\"%.100s\" is no address for the control interface: %s", text, why.text);
}
