#include "net/evweb.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/address.h"
#include "net/evworld.h"

/* A request that is all there and waits for the turn. */
struct evweb_pending {
  struct evweb_pending *next;
  struct evhttp_request *request;
};

struct evweb {
  struct evloop_source source; /* raised when something is pending */
  struct net *net;
  struct evhttp *http;
  struct evconnlistener *listener;
  struct net_timer timer; /* for the next sweep */
  http_answer *answer;
  void *arg;
  struct url url;
  struct evweb_pending *pending, **pending_end;
  struct list_node conns;
  unsigned open;
};

/* evhttp tells nobody when a connection has gone. It uses a bufferevent of ours, to which we hold a reference, and
 * looks after itself: one that has let go of it has taken its callbacks off. */
struct evweb_conn {
  struct list_node node;
  struct evweb *web;
  struct bufferevent *events;
  struct net_timer timer;
};

/* evhttp then sees an end of file and cleans up. */
static void evweb_conn_late(void *arg) {
  struct evweb_conn *c = arg;
  int fd = bufferevent_getfd(c->events);
  if (fd >= 0) shutdown(fd, SHUT_RDWR);
}

static void evweb_conn_wait(struct evweb_conn *c) {
  net_timer_set(c->web->net, &c->timer, net_now(c->web->net) + EVWEB_REQUEST_NS);
}

static bool evweb_conn_is_gone(const struct evweb_conn *c) {
  bufferevent_data_cb reads, writes;
  bufferevent_event_cb ends;
  bufferevent_getcb(c->events, &reads, &writes, &ends, NULL);
  return !ends;
}

static void evweb_conn_free(struct evweb_conn *c) {
  list_remove(&c->node);
  net_timer_clear(c->web->net, &c->timer);
  c->web->open--;
  bufferevent_decref(c->events);
  free(c);
}

/* Releases what has gone; looked for when something happens, and every EVWEB_SWEEP_NS while there are connections. */
static void evweb_sweep(void *arg) {
  struct evweb *w = arg;
  for (struct list_node *n = list_first(&w->conns), *next; n; n = next) {
    struct evweb_conn *c = LIST_OWNER(n, struct evweb_conn, node);
    next = list_next(&w->conns, n);
    if (evweb_conn_is_gone(c)) evweb_conn_free(c);
  }
  if (w->open < EVWEB_CONNECTIONS_MAX) evconnlistener_enable(w->listener);
  net_timer_set(w->net, &w->timer, w->open ? net_now(w->net) + EVWEB_SWEEP_NS : NET_NEVER);
}

static struct bufferevent *evweb_accepted(struct event_base *base, void *arg) {
  struct evweb *w = arg;
  struct evweb_conn *c = mem_zero(sizeof *c);
  c->web = w;
  c->events = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_incref(c->events);
  net_timer_init(&c->timer, evweb_conn_late, c);
  list_append(&w->conns, &c->node);
  if (++w->open >= EVWEB_CONNECTIONS_MAX) evconnlistener_disable(w->listener);
  evloop_raise(&w->source); /* its time begins in the turn */
  return c->events;
}

static struct evweb_conn *evweb_conn_of(const struct evweb *w, struct evhttp_request *q) {
  struct evhttp_connection *connection = evhttp_request_get_connection(q);
  struct bufferevent *events = connection ? evhttp_connection_get_bufferevent(connection) : NULL;
  for (struct list_node *n = list_first(&w->conns); n; n = list_next(&w->conns, n)) {
    struct evweb_conn *c = LIST_OWNER(n, struct evweb_conn, node);
    if (c->events == events) return c;
  }
  return NULL;
}

/* Inside libevent: only noted here. */
static void evweb_requested(struct evhttp_request *q, void *arg) {
  struct evweb *w = arg;
  struct evweb_pending *p = mem_zero(sizeof *p);
  p->request = q;
  *w->pending_end = p;
  w->pending_end = &p->next;
  evloop_raise(&w->source);
}

static const char *evweb_method(enum evhttp_cmd_type type) {
  switch (type) {
  case EVHTTP_REQ_GET: return "GET";
  case EVHTTP_REQ_POST: return "POST";
  case EVHTTP_REQ_HEAD: return "HEAD";
  case EVHTTP_REQ_PUT: return "PUT";
  case EVHTTP_REQ_DELETE: return "DELETE";
  case EVHTTP_REQ_OPTIONS: return "OPTIONS";
  case EVHTTP_REQ_TRACE: return "TRACE";
  case EVHTTP_REQ_CONNECT: return "CONNECT";
  case EVHTTP_REQ_PATCH: return "PATCH";
  default: return "";
  }
}

static void evweb_reply(struct evhttp_request *q, struct http_response *r) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(q);
  struct slice body = buffer_slice(&r->body);
  struct evbuffer *out = evhttp_request_get_output_buffer(q);
  if (r->type) evhttp_add_header(headers, "Content-Type", r->type);
  if (r->allow) evhttp_add_header(headers, "Allow", r->allow);
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  if (body.size) evbuffer_add(out, body.data, body.size);
  evhttp_send_reply(q, r->status, NULL, NULL);
}

static void evweb_answer(struct evweb *w, struct evhttp_request *q) {
  struct evbuffer *in = evhttp_request_get_input_buffer(q);
  struct http_header headers[EVWEB_HEADER_LINES];
  size_t count = 0, size = evbuffer_get_length(in);
  for (struct evkeyval *h = evhttp_request_get_input_headers(q)->tqh_first; h && count < EVWEB_HEADER_LINES;
       h = h->next.tqe_next)
    headers[count++] = (struct http_header){ h->key, h->value };
  struct http_request request = { .method = evweb_method(evhttp_request_get_command(q)),
                                  .target = evhttp_request_get_uri(q),
                                  .headers = headers,
                                  .header_count = count,
                                  .body = slice_of(size ? evbuffer_pullup(in, -1) : NULL, size) };
  struct http_response response;
  http_response_init(&response);
  w->answer(w->arg, &request, &response);
  struct evweb_conn *c = evweb_conn_of(w, q);
  if (c) evweb_conn_wait(c);
  evweb_reply(q, &response);
  http_response_fini(&response);
}

static struct evhttp_request *evweb_pop(struct evweb *w) {
  struct evweb_pending *p = w->pending;
  if (!p) return NULL;
  struct evhttp_request *q = p->request;
  w->pending = p->next;
  if (!w->pending) w->pending_end = &w->pending;
  free(p);
  return q;
}

static void evweb_run(struct evloop_source *s, short what) {
  struct evweb *w = s->memory;
  (void)what;
  for (struct list_node *n = list_first(&w->conns); n; n = list_next(&w->conns, n)) {
    struct evweb_conn *c = LIST_OWNER(n, struct evweb_conn, node);
    if (!heap_holds(&c->timer.node)) evweb_conn_wait(c);
  }
  for (struct evhttp_request *q; (q = evweb_pop(w));) evweb_answer(w, q);
  evweb_sweep(w);
}

/* Listening. */

/* Without descriptors readiness would be told for ever. */
static void evweb_cannot_accept(struct evconnlistener *l, void *arg) {
  struct evweb *w = arg;
  evconnlistener_disable(l);
  net_timer_set(w->net, &w->timer, net_now(w->net) + EVWEB_SWEEP_NS);
}

static bool evweb_address(const struct url *u, struct address *out, struct err *err) {
  struct address found[ADDRESS_MAX];
  if (u->scheme != URL_TCP)
    return err_set(err, "HTTP is served at a tcp:// address, not %s://", url_scheme_name(u->scheme));
  int count = address_literal(u, found, err);
  if (count < 0) return false;
  if (count == 0) return err_set(err, "HTTP is served at an address or localhost, not at a name: %.200s", u->host);
  *out = found[0];
  return true;
}

static bool evweb_listen(struct evweb *w, struct err *err) {
  struct address a;
  if (!evweb_address(&w->url, &a, err)) return false;
  w->listener = evconnlistener_new_bind(evworld_of(w->net)->loop.base, NULL, w,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                        EVWEB_CONNECTIONS_MAX, (struct sockaddr *)&a.address, (int)a.size);
  if (!w->listener) {
    char text[URL_PATH_MAX + 300];
    int why = errno;
    url_format(&w->url, text, sizeof text);
    return err_set(err, "cannot listen at %.300s: %s", text, strerror(why));
  }
  a.size = sizeof a.address;
  if (getsockname(evconnlistener_get_fd(w->listener), (struct sockaddr *)&a.address, &a.size) == 0)
    w->url.port = address_port(&a);
  evhttp_bind_listener(w->http, w->listener);
  evconnlistener_set_error_cb(w->listener, evweb_cannot_accept);
  return true;
}

static void evweb_configure(struct evweb *w) {
  evhttp_set_max_headers_size(w->http, EVWEB_HEADERS_MAX);
  evhttp_set_max_body_size(w->http, HTTP_BODY_MAX);
  evhttp_set_timeout(w->http, EVWEB_REQUEST_NS / 1000000000);
  evhttp_set_allowed_methods(w->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                                          EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
                                          EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
  evhttp_set_bevcb(w->http, evweb_accepted, w);
  evhttp_set_gencb(w->http, evweb_requested, w);
}

struct evweb *evweb_new(struct net *n, const struct url *u, http_answer *answer, void *arg, struct err *err) {
  struct evweb *w = mem_zero(sizeof *w);
  *w = (struct evweb){ .net = n, .answer = answer, .arg = arg, .url = *u };
  w->pending_end = &w->pending;
  list_init(&w->conns);
  net_timer_init(&w->timer, evweb_sweep, w);
  evloop_add(&evworld_of(n)->loop, &w->source, w, evweb_run);
  w->http = evhttp_new(evworld_of(n)->loop.base);
  evweb_configure(w);
  if (evweb_listen(w, err)) return w;
  evweb_free(w);
  return NULL;
}

const struct url *evweb_url(const struct evweb *w) {
  return &w->url;
}

void evweb_free(struct evweb *w) {
  if (!w) return;
  while (evweb_pop(w)) continue; /* evhttp frees them */
  net_timer_clear(w->net, &w->timer);
  evhttp_free(w->http);
  for (struct list_node *n; (n = list_first(&w->conns));) evweb_conn_free(LIST_OWNER(n, struct evweb_conn, node));
  evloop_bury(&w->source);
}
