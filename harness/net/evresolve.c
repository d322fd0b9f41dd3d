#include "net/evresolve.h"

#include <assert.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"

#define EVRESOLVE_CONF "/etc/resolv.conf"

struct evresolve {
  struct evloop_source source; /* without a descriptor: raised when there is an answer */
  struct evworld *world;
  struct evdns_getaddrinfo_request *request; /* NULL once it is answered */
  bool forgotten;
  struct address found[ADDRESS_MAX];
  int count, code;
  char host[URL_HOST_MAX + 1];
  void (*done)(void *arg, const struct address *found, int count, const struct err *why);
  void *arg;
};

/* One pass over what is ready. Without ONCE libevent would go on while anything is: a socket that is readable, and read
 * only later, would keep it here for ever. */
static void evresolve_pass(struct evworld *w) {
  event_base_loop(w->loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* evdns lives while something is looked up: it has sockets, and remembers its files. Half of a request that was
 * answered may still wait for its own end in the loop. */
static void evresolve_rest(struct evworld *w) {
  if (--w->lookups) return;
  evresolve_pass(w);
  evdns_base_free(w->dns, 0);
  w->dns = NULL;
}

/* What evdns has to complain about comes to whoever asked, as a name that was not found. */
static void evresolve_quiet(int is_warning, const char *text) {
  (void)is_warning;
  (void)text;
}

/* False with errno. Without descriptors evdns would have no name servers, and not say why. */
static bool evresolve_wake(struct evworld *w) {
  if (!w->dns) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    close(fd);
    evdns_set_log_fn(evresolve_quiet);
    w->dns = evdns_base_new(w->loop.base, 0);
    errno = ENOMEM;
    if (!w->dns) return false;
    evdns_base_resolv_conf_parse(w->dns, DNS_OPTIONS_ALL, EVRESOLVE_CONF);
  }
  w->lookups++;
  return true;
}

static void evresolve_finish(struct evresolve *r) {
  struct evworld *w = r->world;
  evloop_bury(&r->source);
  evresolve_rest(w);
}

/* IPv6 first (RFC 8305, 4), otherwise in the order in which they came. */
static void evresolve_keep(struct evresolve *r, const struct addrinfo *list) {
  struct address all[ADDRESS_MAX];
  int count = address_list(list, all);
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < count; i++) {
      if ((all[i].address.ss_family == AF_INET6) == (pass == 0)) r->found[r->count++] = all[i];
    }
  }
}

/* Called by libevent, or from within evdns_getaddrinfo: only keeps the answer. */
static void evresolve_answer(int code, struct evutil_addrinfo *list, void *arg) {
  struct evresolve *r = arg;
  r->request = NULL;
  r->code = code;
  if (list) evresolve_keep(r, list);
  if (list) evutil_freeaddrinfo(list);
  evloop_raise(&r->source);
}

static void evresolve_run(struct evloop_source *s, short what) {
  struct evresolve *r = (struct evresolve *)s;
  struct err why;
  (void)what;
  if (r->forgotten) {
    evresolve_finish(r);
    return;
  }
  err_set(&why, "the name %.200s was not found: %s", r->host, r->code ? gai_strerror(r->code) : "it has no address");
  r->done(r->arg, r->found, r->count, &why);
}

/* What never exists: below .invalid (RFC 6761, 6.4), or with a part that is empty (RFC 1035, 2.3.1). */
static bool evresolve_never(const char *host) {
  static const char never[] = ".invalid";
  size_t size = strlen(host), tail = sizeof never - 1;
  return host[0] == '.' || strstr(host, "..") || (size >= tail && strcasecmp(host + size - tail, never) == 0);
}

/* What the system takes for an address though we do not ("127.1"), and what never exists. */
static bool evresolve_known(struct evresolve *r, const char *port) {
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *list = NULL;
  bool known = evresolve_never(r->host);
  r->code = known ? EAI_NONAME : 0;
  if (!known && getaddrinfo(r->host, port, &hints, &list) == 0) {
    known = true;
    evresolve_keep(r, list);
    freeaddrinfo(list);
  }
  if (known) evloop_raise(&r->source);
  return known;
}

struct evresolve *
evresolve_start(struct evworld *w, const char *host, uint16_t port,
                void (*done)(void *arg, const struct address *found, int count, const struct err *why), void *arg) {
  struct evutil_addrinfo hints = { .ai_family = PF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP };
  char service[8];
  if (!evresolve_wake(w)) return NULL;
  struct evresolve *r = mem_zero(sizeof *r);
  evloop_add(&w->loop, &r->source, r, evresolve_run);
  r->world = w;
  r->done = done;
  r->arg = arg;
  snprintf(r->host, sizeof r->host, "%s", host);
  snprintf(service, sizeof service, "%u", port);
  if (evresolve_known(r, service)) return r;
  struct evdns_getaddrinfo_request *request = evdns_getaddrinfo(w->dns, host, service, &hints, evresolve_answer, r);
  if (request) r->request = request; /* else it is answered */
  return r;
}

void evresolve_free(struct evresolve *r) {
  if (!r) return;
  if (!r->request) {
    evresolve_finish(r);
    return;
  }
  r->forgotten = true;
  evdns_getaddrinfo_cancel(r->request);
}

void evresolve_drain(struct evworld *w) {
  while (w->lookups) {
    evresolve_pass(w);
    evloop_run(&w->loop);
  }
}
