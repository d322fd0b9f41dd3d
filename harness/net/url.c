#include "net/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct url_row {
  const char *name;
  bool tls, websocket;
  uint16_t port;
};

static const struct url_row url_rows[URL_SCHEMES] = {
  [URL_TCP] = { "tcp", false, false, 1883 }, [URL_MQTT] = { "mqtt", false, false, 1883 },
  [URL_SSL] = { "ssl", true, false, 8883 },  [URL_MQTTS] = { "mqtts", true, false, 8883 },
  [URL_WS] = { "ws", false, true, 80 },      [URL_WSS] = { "wss", true, true, 443 },
  [URL_UNIX] = { "unix", false, false, 0 },
};

const char *url_scheme_name(enum url_scheme scheme) {
  return url_rows[scheme].name;
}

/* Text that came from outside, short enough for a sentence. */
#define URL_SHOWN "%.100s"

static bool url_characters(const char *text, struct err *err) {
  for (const char *c = text; *c; c++) {
    if ((unsigned char)*c <= ' ' || *c == 0x7f) {
      return err_set(err, "a blank or control character at column %d of the URL", (int)(c - text) + 1);
    }
  }
  return true;
}

static bool url_parse_scheme(const char *text, struct url *out, const char **rest, struct err *err) {
  const char *mark = strstr(text, "://");
  if (!mark) {
    return err_set(err, "no scheme in the URL \"" URL_SHOWN "\": write tcp://%.100s, or unix:///path", text, text);
  }
  size_t size = (size_t)(mark - text);
  for (int i = 0; i < URL_SCHEMES; i++) {
    if (strlen(url_rows[i].name) != size || strncasecmp(url_rows[i].name, text, size) != 0) continue;
    out->scheme = (enum url_scheme)i;
    out->tls = url_rows[i].tls;
    out->websocket = url_rows[i].websocket;
    out->port = url_rows[i].port;
    *rest = mark + 3;
    return true;
  }
  return err_set(err, "unknown scheme \"%.*s\" in the URL: use one of tcp, mqtt, ssl, mqtts, ws, wss, unix",
                 (int)(size < 100 ? size : 100), text);
}

static bool url_parse_unix(const char *rest, struct url *out, struct err *err) {
  size_t size = strlen(rest);
  if (rest[0] != '/') return err_set(err, "a Unix socket's URL has three slashes and a path: unix:///tmp/broker.sock");
  if (size > URL_UNIX_PATH_MAX) {
    return err_set(err, "the path of a Unix socket has at most %d bytes, this one has %zu: " URL_SHOWN "...",
                   URL_UNIX_PATH_MAX, size, rest);
  }
  memcpy(out->path, rest, size + 1);
  return true;
}

static bool url_parse_port(const char *text, size_t size, struct url *out, struct err *err) {
  unsigned port = 0;
  bool ok = size >= 1 && size <= 5;
  for (size_t i = 0; ok && i < size; i++) {
    ok = text[i] >= '0' && text[i] <= '9';
    port = 10 * port + (unsigned)(text[i] - '0');
  }
  if (!ok || port > 65535) {
    return err_set(err, "bad port \"%.*s\" in the URL: a number from 0 to 65535", (int)(size < 20 ? size : 20), text);
  }
  out->port = (uint16_t)port;
  return true;
}

/* An address in brackets, perhaps with a zone: [fe80::1%eth0]. */
static bool url_check_ipv6(const char *host, struct err *err) {
  char address[URL_HOST_MAX + 1];
  struct in6_addr ignored;
  size_t size = strcspn(host, "%");
  memcpy(address, host, size);
  address[size] = 0;
  if (inet_pton(AF_INET6, address, &ignored) == 1) return true;
  return err_set(err, "\"[" URL_SHOWN "]\" in the URL is no IPv6 address", host);
}

static bool url_check_name(const char *host, struct err *err) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  size_t good = strspn(host, allowed);
  if (!host[good]) return true;
  return err_set(err, "'%c' cannot be in the host \"" URL_SHOWN "\" of a URL%s", host[good], host,
                 host[good] == ':' ? ": an IPv6 address is written in brackets, tcp://[::1]:1883" : "");
}

static bool url_copy_host(const char *host, size_t size, struct url *out, struct err *err) {
  if (size == 0) return err_set(err, "no host in the URL: write tcp://localhost:1883");
  if (size > URL_HOST_MAX)
    return err_set(err, "the host of a URL has at most %d bytes, this one has %zu", URL_HOST_MAX, size);
  memcpy(out->host, host, size);
  out->host[size] = 0;
  return true;
}

/* What stands between "://" and the path: host, [host], and perhaps a port. */
static bool url_parse_authority(const char *text, size_t size, struct url *out, struct err *err) {
  const char *end = text + size, *host_end, *host = text;
  if (memchr(text, '@', size)) {
    return err_set(err, "the URL holds a user name: give it by the options username and password");
  }
  if (size && text[0] == '[') {
    host_end = memchr(text, ']', size);
    if (!host_end) return err_set(err, "no ] behind the IPv6 address in the URL");
    host++;
    if (!url_copy_host(host, (size_t)(host_end - host), out, err) || !url_check_ipv6(out->host, err)) return false;
    host_end++;
  } else {
    host_end = memrchr(text, ':', size);
    if (!host_end) host_end = end;
    if (!url_copy_host(host, (size_t)(host_end - host), out, err) || !url_check_name(out->host, err)) return false;
  }
  if (host_end == end) return true;
  if (*host_end != ':') return err_set(err, "'%c' behind the host in the URL: a port is written :1883", *host_end);
  return url_parse_port(host_end + 1, (size_t)(end - host_end) - 1, out, err);
}

static bool url_parse_path(const char *path, struct url *out, struct err *err) {
  size_t size = strlen(path) + (out->websocket && path[0] != '/');
  if (size > URL_PATH_MAX)
    return err_set(err, "the path of a URL has at most %d bytes, this one has %zu", URL_PATH_MAX, size);
  if (!out->websocket) {
    if (size == 0 || (size == 1 && path[0] == '/')) return true;
    return err_set(err, "a %s URL has no path, but here is \"" URL_SHOWN "\"", url_scheme_name(out->scheme), path);
  }
  snprintf(out->path, sizeof out->path, "%s%s", path[0] == '/' ? "" : "/", path);
  return true;
}

bool url_parse(const char *text, struct url *out, struct err *err) {
  const char *rest = text;
  memset(out, 0, sizeof *out);
  if (!url_characters(text, err) || !url_parse_scheme(text, out, &rest, err)) return false;
  if (out->scheme == URL_UNIX) return url_parse_unix(rest, out, err);
  size_t size = strcspn(rest, "/?#");
  return url_parse_authority(rest, size, out, err) && url_parse_path(rest + size, out, err);
}

int url_format(const struct url *u, char *to, unsigned size) {
  const char *scheme = url_scheme_name(u->scheme);
  bool brackets = strchr(u->host, ':') != NULL;
  if (u->scheme == URL_UNIX) return snprintf(to, size, "%s://%s", scheme, u->path);
  return snprintf(to, size, "%s://%s%s%s:%u%s", scheme, brackets ? "[" : "", u->host, brackets ? "]" : "", u->port,
                  u->path);
}
