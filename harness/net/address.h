/* evaddress: socket addresses of the real world: from URLs, and as text. */
#ifndef MQRIG_EVADDRESS_H
#define MQRIG_EVADDRESS_H

#include <netdb.h>
#include <sys/socket.h>

#include "net/url.h"

#define EVADDRESS_MAX 16 /* of one name; further ones are not tried */

struct evaddress {
  struct sockaddr_storage address;
  socklen_t size;
};

/* What can be told without asking anybody: literal addresses, "localhost" (both families, IPv4 first), Unix paths.
 * Returns how many, 0 for a name that has to be looked up, -1 with a sentence for what is no address. */
int evaddress_literal(const struct url *u, struct evaddress to[EVADDRESS_MAX], struct err *err);

/* From a result of getaddrinfo. */
int evaddress_list(const struct addrinfo *found, struct evaddress to[EVADDRESS_MAX]);

/* What of an address its text needs, in 20 bytes: each connection has two. All zero: none. */
struct evaddress_brief {
  uint16_t family, port;
  uint8_t host[16];
};

struct evaddress_brief evaddress_brief(const struct evaddress *a);
void evaddress_brief_text(const struct evaddress_brief *a, char *to, size_t size); /* of none: empty */

/* "127.0.0.1:1883", "[::1]:1883", "unix" */
void evaddress_text(const struct evaddress *a, char *to, size_t size);

/* The same, with the path of a Unix socket instead of "unix". */
void evaddress_full_text(const struct evaddress *a, char *to, size_t size);

uint16_t evaddress_port(const struct evaddress *a); /* 0 of a Unix socket */
void evaddress_set_port(struct evaddress *a, uint16_t port);

static inline bool evaddress_is_unix(const struct evaddress *a) {
  return a->address.ss_family == AF_UNIX;
}

#endif
