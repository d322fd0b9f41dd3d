/* address: socket addresses, of both worlds: from URLs, and as text. */
#ifndef MQRIG_ADDRESS_H
#define MQRIG_ADDRESS_H

#include <netdb.h>
#include <sys/socket.h>

#include "net/url.h"

#define ADDRESS_MAX     16        /* of one name; further ones are not tried */
#define ADDRESS_NEXT_NS 250000000 /* to the next of them, where one does not answer: RFC 8305, 5 */

struct address {
  struct sockaddr_storage address;
  socklen_t size;
};

/* What can be told without asking anybody: literal addresses, "localhost" (both families, IPv4 first), Unix paths.
 * Returns how many, 0 for a name that has to be looked up, -1 with a sentence for what is no address. */
int address_literal(const struct url *u, struct address to[ADDRESS_MAX], struct err *err);

/* From a result of getaddrinfo. */
int address_list(const struct addrinfo *found, struct address to[ADDRESS_MAX]);

/* An address of the other family comes next to each, as long as there are any (RFC 8305, 4). */
void address_interleave(struct address *a, int count);

/* What of an address its text needs, in 20 bytes: each connection has two. All zero: none. */
struct address_brief {
  uint16_t family, port;
  uint8_t host[16];
};

struct address_brief address_brief(const struct address *a);
void address_brief_text(const struct address_brief *a, char *to, size_t size); /* of none: empty */

/* "127.0.0.1:1883", "[::1]:1883", "unix" */
void address_text(const struct address *a, char *to, size_t size);

/* The same, with the path of a Unix socket instead of "unix". */
void address_full_text(const struct address *a, char *to, size_t size);

uint16_t address_port(const struct address *a); /* 0 of a Unix socket */
void address_set_port(struct address *a, uint16_t port);

static inline bool address_is_unix(const struct address *a) {
  return a->address.ss_family == AF_UNIX;
}

#endif
