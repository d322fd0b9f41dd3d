#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

static struct address address_v4(struct in_addr host, uint16_t port) {
  struct address a = { .size = sizeof(struct sockaddr_in) };
  struct sockaddr_in *to = (struct sockaddr_in *)&a.address;
  to->sin_family = AF_INET;
  to->sin_port = htons(port);
  to->sin_addr = host;
  return a;
}

static struct address address_v6(struct in6_addr host, uint32_t zone, uint16_t port) {
  struct address a = { .size = sizeof(struct sockaddr_in6) };
  struct sockaddr_in6 *to = (struct sockaddr_in6 *)&a.address;
  to->sin6_family = AF_INET6;
  to->sin6_port = htons(port);
  to->sin6_addr = host;
  to->sin6_scope_id = zone;
  return a;
}

static int address_unix(const char *path, struct address *to, struct err *err) {
  struct sockaddr_un *un = (struct sockaddr_un *)&to->address;
  size_t size = strlen(path);
  if (size > URL_UNIX_PATH_MAX) {
    err_set(err, "the path of a Unix socket has at most %d bytes, this one has %zu: %.100s...", URL_UNIX_PATH_MAX, size,
            path);
    return -1;
  }
  *to = (struct address){ .size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1) };
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, size);
  return 1;
}

static int address_zoned(const struct url *u, struct address *to, struct err *err) {
  char host[URL_HOST_MAX + 1];
  struct in6_addr v6;
  const char *zone = strchr(u->host, '%');
  size_t size = zone ? (size_t)(zone - u->host) : strlen(u->host);
  memcpy(host, u->host, size);
  host[size] = 0;
  if (inet_pton(AF_INET6, host, &v6) != 1) return 0;
  unsigned index = zone ? if_nametoindex(zone + 1) : 0;
  if (zone && !index) {
    err_set(err, "there is no network interface \"%.100s\" for the address %.100s", zone + 1, u->host);
    return -1;
  }
  *to = address_v6(v6, index, u->port);
  return 1;
}

int address_literal(const struct url *u, struct address to[ADDRESS_MAX], struct err *err) {
  struct in_addr v4;
  if (u->scheme == URL_UNIX) return address_unix(u->path, to, err);
  if (strcasecmp(u->host, "localhost") == 0) {
    to[0] = address_v4((struct in_addr){ htonl(INADDR_LOOPBACK) }, u->port);
    to[1] = address_v6(in6addr_loopback, 0, u->port);
    return 2;
  }
  if (inet_pton(AF_INET, u->host, &v4) == 1) {
    to[0] = address_v4(v4, u->port);
    return 1;
  }
  return strchr(u->host, ':') ? address_zoned(u, to, err) : 0;
}

int address_list(const struct addrinfo *found, struct address to[ADDRESS_MAX]) {
  int count = 0;
  for (; found && count < ADDRESS_MAX; found = found->ai_next) {
    if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
    to[count] = (struct address){ .size = found->ai_addrlen };
    memcpy(&to[count++].address, found->ai_addr, found->ai_addrlen);
  }
  return count;
}

uint16_t address_port(const struct address *a) {
  switch (a->address.ss_family) {
  case AF_INET: return ntohs(((const struct sockaddr_in *)&a->address)->sin_port);
  case AF_INET6: return ntohs(((const struct sockaddr_in6 *)&a->address)->sin6_port);
  default: return 0;
  }
}

void address_set_port(struct address *a, uint16_t port) {
  if (a->address.ss_family == AF_INET) ((struct sockaddr_in *)&a->address)->sin_port = htons(port);
  if (a->address.ss_family == AF_INET6) ((struct sockaddr_in6 *)&a->address)->sin6_port = htons(port);
}

void address_interleave(struct address *a, int count) {
  for (int i = 1; i < count; i++) {
    int other = i;
    while (other < count && a[other].address.ss_family == a[i - 1].address.ss_family) other++;
    if (other == count) return;
    struct address next = a[other];
    memmove(&a[i + 1], &a[i], (size_t)(other - i) * sizeof next);
    a[i] = next;
  }
}

struct address_brief address_brief(const struct address *a) {
  struct address_brief b = { .family = a->address.ss_family, .port = address_port(a) };
  if (b.family == AF_INET) memcpy(b.host, &((const struct sockaddr_in *)&a->address)->sin_addr, 4);
  if (b.family == AF_INET6) memcpy(b.host, &((const struct sockaddr_in6 *)&a->address)->sin6_addr, 16);
  return b;
}

void address_brief_text(const struct address_brief *a, char *to, size_t size) {
  char host[INET6_ADDRSTRLEN] = "?";
  switch (a->family) {
  case AF_UNSPEC: snprintf(to, size, "%s", ""); break;
  case AF_INET:
    inet_ntop(AF_INET, a->host, host, sizeof host);
    snprintf(to, size, "%s:%u", host, a->port);
    break;
  case AF_INET6:
    inet_ntop(AF_INET6, a->host, host, sizeof host);
    snprintf(to, size, "[%s]:%u", host, a->port);
    break;
  default: snprintf(to, size, "unix");
  }
}

void address_text(const struct address *a, char *to, size_t size) {
  struct address_brief b = address_brief(a);
  address_brief_text(&b, to, size);
}

void address_full_text(const struct address *a, char *to, size_t size) {
  if (address_is_unix(a)) snprintf(to, size, "%s", ((const struct sockaddr_un *)&a->address)->sun_path);
  else address_text(a, to, size);
}
