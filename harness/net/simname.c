#include "net/simname.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/names.h"

static bool simname_host(const struct simworld *w, const struct url *u, struct address *to) {
  struct url address = { .scheme = URL_TCP, .port = u->port };
  char name[URL_HOST_MAX + 1] = "";
  for (size_t i = 0; u->host[i]; i++) {
    name[i] = (char)(u->host[i] >= 'A' && u->host[i] <= 'Z' ? u->host[i] + 'a' - 'A' : u->host[i]);
  }
  const struct simhost *h = simhost_named(w, name);
  if (!h) return false;
  struct in_addr v4 = { htonl(h->address) };
  inet_ntop(AF_INET, &v4, address.host, sizeof address.host);
  return address_literal(&address, to, NULL) == 1;
}

int simname_find(struct simworld *w, const struct url *u, struct address to[ADDRESS_MAX], int64_t *delay_ns,
                 struct err *why) {
  struct names_told told = { 0 };
  bool known = u->scheme != URL_UNIX && names_ask(w->main->net.names, u->host, u->port, &told);
  *delay_ns = told.delay_ns;
  if (known && told.decided) {
    *why = told.why;
    memcpy(to, told.addresses, (size_t)told.count * sizeof *to);
    return told.count;
  }
  int count = address_literal(u, to, why);
  if (count == 0 && simname_host(w, u, &to[0])) return 1;
  if (count == 0) err_set(why, "the name %.200s was not found: there is no such host in this world", u->host);
  return count;
}
