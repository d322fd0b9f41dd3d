#include "net/url.h"

#include <arpa/inet.h>
#include <stdarg.h>
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
#define URL_SHOWN 100

/* A part of the text that is being read, and where to say what is wrong with it. */
struct url_part {
  const char *text; /* all of it */
  const char *at;   /* the part */
  size_t size;
  struct err *err;
};

static struct url_part url_cut(struct url_part p, size_t from, size_t size) {
  p.at += from;
  p.size = size;
  return p;
}

static bool url_wrong(struct url_part p, size_t offset, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool url_wrong(struct url_part p, size_t offset, const char *format, ...) {
  char what[300];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return err_set(p.err, "%s, at column %zu of the URL", what, (size_t)(p.at - p.text) + offset + 1);
}

static int url_shown(struct url_part p) {
  return p.size < URL_SHOWN ? (int)p.size : URL_SHOWN;
}

static const char *url_find(struct url_part p, char c) {
  return p.size ? memchr(p.at, c, p.size) : NULL;
}

static bool url_characters(struct url_part p) {
  for (size_t i = 0; i < p.size; i++) {
    if ((unsigned char)p.at[i] <= ' ' || p.at[i] == 0x7f) {
      return url_wrong(p, i, "a blank or control character: write it %%%02X", (unsigned char)p.at[i]);
    }
  }
  return true;
}

static bool url_parse_scheme(struct url_part *p, struct url *out) {
  const char *mark = strstr(p->at, "://");
  if (!mark) {
    return err_set(p->err, "no scheme in the URL \"%.*s\": write tcp://%.*s, or unix:///path", url_shown(*p), p->at,
                   url_shown(*p), p->at);
  }
  size_t size = (size_t)(mark - p->at);
  for (int i = 0; i < URL_SCHEMES; i++) {
    if (strlen(url_rows[i].name) != size || strncasecmp(url_rows[i].name, p->at, size) != 0) continue;
    out->scheme = (enum url_scheme)i;
    out->tls = url_rows[i].tls;
    out->websocket = url_rows[i].websocket;
    out->port = url_rows[i].port;
    *p = url_cut(*p, size + 3, p->size - size - 3);
    return true;
  }
  return err_set(p->err, "unknown scheme \"%.*s\" in the URL: use one of tcp, mqtt, ssl, mqtts, ws, wss, unix",
                 url_shown(url_cut(*p, 0, size)), p->at);
}

/* %-escapes (RFC 3986, 2.1). */

static int url_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that an escape at `i` stands for; -1 with a sentence. */
static int url_escaped(struct url_part p, size_t i) {
  int high = i + 2 < p.size ? url_digit(p.at[i + 1]) : -1, low = high < 0 ? -1 : url_digit(p.at[i + 2]);
  if (low < 0) url_wrong(p, i, "a %% without two hexadecimal digits behind it (a %% itself is written %%25)");
  else if (high + low == 0) url_wrong(p, i, "%%00 stands for a zero byte, which cannot be in a URL");
  return low < 0 || high + low == 0 ? -1 : 16 * high + low;
}

static bool url_check_escapes(struct url_part p) {
  for (size_t i = 0; i < p.size; i++) {
    if (p.at[i] == '%' && url_escaped(p, i) < 0) return false;
  }
  return true;
}

/* `what` is too long for `max` bytes, or is put to `to` without its escapes. */
static bool url_unescape(struct url_part p, const char *what, char *to, size_t max) {
  size_t size = 0;
  for (size_t i = 0; i < p.size; i++) {
    int c = p.at[i] == '%' ? url_escaped(p, i) : p.at[i];
    if (p.at[i] == '%' && c < 0) return false;
    if (size == max) return url_wrong(p, 0, "%s has more than the %zu bytes that it may have", what, max);
    if (p.at[i] == '%') i += 2;
    to[size++] = (char)c;
  }
  to[size] = 0;
  return true;
}

/* The parts. */

static bool url_parse_unix(struct url_part p, struct url *out) {
  if (p.size == 0 || p.at[0] != '/') {
    return url_wrong(p, 0, "a Unix socket's URL has three slashes and a path, unix:///tmp/broker.sock");
  }
  return url_unescape(p, "the path of a Unix socket", out->path, URL_UNIX_PATH_MAX);
}

static bool url_parse_port(struct url_part p, struct url *out) {
  unsigned port = 0;
  bool ok = p.size >= 1 && p.size <= 5;
  for (size_t i = 0; ok && i < p.size; i++) {
    ok = p.at[i] >= '0' && p.at[i] <= '9';
    port = 10 * port + (unsigned)(p.at[i] - '0');
  }
  if (!ok || port > 65535) {
    return url_wrong(p, 0, "bad port \"%.*s\": a number from 0 to 65535", url_shown(p), p.at);
  }
  out->port = (uint16_t)port;
  return true;
}

static bool url_copy_host(struct url_part p, struct url *out) {
  if (p.size == 0) return url_wrong(p, 0, "no host: write tcp://localhost:1883");
  if (p.size > URL_HOST_MAX) {
    return url_wrong(p, 0, "the host has at most %d bytes, this one has %zu", URL_HOST_MAX, p.size);
  }
  memcpy(out->host, p.at, p.size);
  out->host[p.size] = 0;
  return true;
}

/* An address in brackets, perhaps with a zone: [fe80::1%eth0], or as RFC 6874 has it, [fe80::1%25eth0]. */
static bool url_parse_ipv6(struct url_part p, struct url *out) {
  struct in6_addr ignored;
  if (!url_copy_host(p, out)) return false;
  char *zone = strchr(out->host, '%');
  if (zone) *zone = 0;
  if (inet_pton(AF_INET6, out->host, &ignored) != 1) {
    return url_wrong(p, 0, "\"[%.*s]\" is no IPv6 address", url_shown(p), p.at);
  }
  if (!zone) return true;
  *zone++ = '%';
  size_t left = strlen(zone);
  if (left > 2 && strncmp(zone, "25", 2) == 0) {
    memmove(zone, zone + 2, left - 2);
    memset(zone + left - 2, 0, 2);
  }
  if (!*zone) return url_wrong(p, p.size, "no interface behind the %% of the address");
  return true;
}

static bool url_parse_name(struct url_part p, struct url *out) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  if (!url_copy_host(p, out)) return false;
  size_t good = strspn(out->host, allowed);
  if (!out->host[good]) return true;
  const char *hint = out->host[good] == ':' ? ": an IPv6 address is written in brackets, tcp://[::1]:1883" : "";
  return url_wrong(p, good, "'%c' cannot be in the host \"%.*s\"%s", out->host[good], url_shown(p), out->host, hint);
}

/* user, user:password */
static bool url_parse_user(struct url_part p, struct url *out) {
  const char *colon = url_find(p, ':');
  size_t size = colon ? (size_t)(colon - p.at) : p.size;
  out->has_user = true;
  out->has_password = colon != NULL;
  if (size == 0 && !colon) return url_wrong(p, 0, "no user name in front of the @");
  if (!url_unescape(url_cut(p, 0, size), "the user name", out->user, URL_USER_MAX)) return false;
  return !colon || url_unescape(url_cut(p, size + 1, p.size - size - 1), "the password", out->password, URL_USER_MAX);
}

/* What stands between "://" and the path: user:password@, host or [host], and perhaps a port. */
static bool url_parse_authority(struct url_part p, struct url *out) {
  const char *mark = p.size ? memrchr(p.at, '@', p.size) : NULL;
  if (mark) {
    size_t user = (size_t)(mark - p.at);
    if (!url_parse_user(url_cut(p, 0, user), out)) return false;
    p = url_cut(p, user + 1, p.size - user - 1);
  }
  bool brackets = p.size && p.at[0] == '[';
  const char *end = brackets ? url_find(p, ']') : p.size ? memrchr(p.at, ':', p.size) : NULL;
  if (brackets && !end) return url_wrong(p, 0, "no ] behind the IPv6 address");
  size_t host = end ? (size_t)(end - p.at) : p.size;
  if (brackets ? !url_parse_ipv6(url_cut(p, 1, host - 1), out) : !url_parse_name(url_cut(p, 0, host), out))
    return false;
  if (brackets) host++;
  if (host == p.size) return true;
  if (p.at[host] != ':') return url_wrong(p, host, "'%c' behind the host: a port is written :1883", p.at[host]);
  return url_parse_port(url_cut(p, host + 1, p.size - host - 1), out);
}

static bool url_parse_path(struct url_part p, struct url *out) {
  bool slash = out->websocket && (p.size == 0 || p.at[0] != '/');
  const char *fragment = url_find(p, '#');
  if (!out->websocket) {
    if (p.size == 0 || (p.size == 1 && p.at[0] == '/')) return true;
    return url_wrong(p, 0, "a %s URL has no path, but here is \"%.*s\"", url_scheme_name(out->scheme), url_shown(p),
                     p.at);
  }
  if (fragment) return url_wrong(p, (size_t)(fragment - p.at), "a fragment (#) is not sent to a server");
  for (size_t i = 0; i < p.size; i++) {
    unsigned char c = (unsigned char)p.at[i];
    if (c >= 0x80) return url_wrong(p, i, "a byte that is not ASCII: write it %%%02X", c);
  }
  if (p.size + slash > URL_PATH_MAX) {
    return url_wrong(p, 0, "the path has at most %d bytes, this one has %zu", URL_PATH_MAX, p.size + slash);
  }
  snprintf(out->path, sizeof out->path, "%s%.*s", slash ? "/" : "", (int)p.size, p.at);
  return url_check_escapes(p);
}

bool url_parse(const char *text, struct url *out, struct err *err) {
  struct url_part p = { text, text, strlen(text), err };
  memset(out, 0, sizeof *out);
  if (!url_characters(p) || !url_parse_scheme(&p, out)) return false;
  if (out->scheme == URL_UNIX) return url_parse_unix(p, out);
  size_t size = strcspn(p.at, "/?#");
  return url_parse_authority(url_cut(p, 0, size), out) && url_parse_path(url_cut(p, size, p.size - size), out);
}

/* A path of a file, as url_parse reads it. */
static void url_escape(const char *path, char to[3 * URL_UNIX_PATH_MAX + 1]) {
  for (; *path; path++) {
    unsigned char c = (unsigned char)*path;
    if (c > ' ' && c != 0x7f && c != '%') *to++ = (char)c;
    else to += snprintf(to, 4, "%%%02X", c);
  }
  *to = 0;
}

int url_format(const struct url *u, char *to, unsigned size) {
  const char *scheme = url_scheme_name(u->scheme);
  bool brackets = strchr(u->host, ':') != NULL;
  if (u->scheme == URL_UNIX) {
    char path[3 * URL_UNIX_PATH_MAX + 1];
    url_escape(u->path, path);
    return snprintf(to, size, "%s://%s", scheme, path);
  }
  return snprintf(to, size, "%s://%s%s%s:%u%s", scheme, brackets ? "[" : "", u->host, brackets ? "]" : "", u->port,
                  u->path);
}
