/* url: where a broker is.
 *
 * tcp://user:password@host:port, mqtt://, ssl://, mqtts://, ws://, wss:// and unix:///path. Host: a name, an IPv4
 * address, or an IPv6 address in brackets. A missing port is the scheme's (1883, 8883, 80, 443). Port 0 is for
 * listening: a free one. %-escapes are undone in the user, the password and the path of a Unix socket; the path of a
 * WebSocket keeps them.
 */
#ifndef MQRIG_URL_H
#define MQRIG_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define URL_HOST_MAX      255
#define URL_PATH_MAX      1024
#define URL_USER_MAX      255 /* bytes, also of the password */
#define URL_UNIX_PATH_MAX 107 /* what the kernel's socket address holds */

enum url_scheme { URL_TCP, URL_MQTT, URL_SSL, URL_MQTTS, URL_WS, URL_WSS, URL_UNIX, URL_SCHEMES };

struct url {
  enum url_scheme scheme;
  bool tls, websocket;
  bool has_user, has_password;
  char user[URL_USER_MAX + 1], password[URL_USER_MAX + 1];
  char host[URL_HOST_MAX + 1]; /* without brackets; empty for unix */
  uint16_t port;
  char path[URL_PATH_MAX + 1]; /* of unix and ws ("/" if there is none); else empty */
};

/* False with a sentence that names what is wrong, at which column, and what was expected. */
bool url_parse(const char *text, struct url *out, struct err *err);

/* "tcp", "unix" */
const char *url_scheme_name(enum url_scheme scheme);

/* The URL again, with its port and without user and password; returns what snprintf would. */
int url_format(const struct url *u, char *to, unsigned size);

#endif
