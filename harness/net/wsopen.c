#include "net/wsopen.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "net/tlsdigest.h"

#define WSOPEN_KEY   25 /* characters of 16 bytes in base64, and a terminator */
#define WSOPEN_PROOF 29 /* of 20 bytes */
#define WSOPEN_GUID  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WSOPEN_SHOWN 100 /* characters of what the other end wrote, in a sentence */

struct wsopen {
  bool server;
  char *path, *host, *protocol, *headers, *accept; /* owned; path NULL: any, accept NULL: the right one */
  int status;
  char key[WSOPEN_KEY];
  struct buffer head;
};

/* One head, taken apart: its first line, and the lines behind it. */
struct wsopen_head {
  struct slice first, fields;
};

/* Text that came from outside, made fit for a sentence. */
struct wsopen_shown {
  char text[WSOPEN_SHOWN + 4];
};

static struct wsopen_shown wsopen_show(struct slice s) {
  struct wsopen_shown to = { "" };
  size_t n = s.size < WSOPEN_SHOWN ? s.size : WSOPEN_SHOWN;
  for (size_t i = 0; i < n; i++) to.text[i] = s.data[i] >= ' ' && s.data[i] < 0x7f ? (char)s.data[i] : '?';
  if (n < s.size) memcpy(to.text + n, "...", 4);
  return to;
}

/* Taking a head apart. */

static struct slice wsopen_trim(struct slice s) {
  while (s.size && (*s.data == ' ' || *s.data == '\t')) s = slice_from(s, 1);
  while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t')) s.size--;
  return s;
}

/* Takes what stands before `mark` off `*rest`, and the mark; all of it where there is none. */
static struct slice wsopen_cut(struct slice *rest, const char *mark) {
  const uint8_t *at = rest->size ? memmem(rest->data, rest->size, mark, strlen(mark)) : NULL;
  struct slice before = slice_first(*rest, at ? (size_t)(at - rest->data) : rest->size);
  *rest = slice_from(*rest, before.size + (at ? strlen(mark) : 0));
  return before;
}

static bool wsopen_same(struct slice s, const char *text) {
  return s.size == strlen(text) && (s.size == 0 || strncasecmp((const char *)s.data, text, s.size) == 0);
}

static bool wsopen_check_text(const char *what, const char *text, struct err *err) {
  if (!text) return true;
  if (strlen(text) > WSOPEN_FIELD_MAX) {
    return err_set(err, "%s of a WebSocket has at most %d bytes, this one has %zu", what, WSOPEN_FIELD_MAX,
                   strlen(text));
  }
  for (const char *c = text; *c; c++) {
    if ((unsigned char)*c < ' ' || *c == 0x7f) {
      return err_set(err, "%s of a WebSocket has a control character at byte %d", what, (int)(c - text) + 1);
    }
  }
  return true;
}

/* One line after another, each "Name: value". */
static bool wsopen_check_headers(const char *text, struct err *err) {
  struct slice rest = slice_text(text ? text : "");
  if (rest.size > WSOPEN_FIELD_MAX) {
    return err_set(err, "the headers of a WebSocket have at most %d bytes, these have %zu", WSOPEN_FIELD_MAX,
                   rest.size);
  }
  while (rest.size) {
    struct slice line = wsopen_cut(&rest, "\r\n");
    const uint8_t *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
    bool good =
        colon && colon > line.data && !memchr(line.data, '\n', line.size) && !memchr(line.data, '\r', line.size);
    if (!good) return err_set(err, "\"%s\" is no header of a WebSocket: Name: value", wsopen_show(line).text);
  }
  return true;
}

bool wsopen_check(const struct wsopen_options *o, struct err *err) {
  if (o->path && o->path[0] != '/') return err_set(err, "the path of a WebSocket begins with a slash: \"/mqtt\"");
  if (o->path && strchr(o->path, ' ')) return err_set(err, "the path of a WebSocket has no blank: write %%20");
  if (o->status && (o->status < 100 || o->status > 999)) {
    return err_set(err, "%d is no HTTP status: 100 to 999", o->status);
  }
  return wsopen_check_text("the path", o->path, err) && wsopen_check_text("the host", o->host, err) &&
         wsopen_check_text("the subprotocol", o->protocol, err) &&
         wsopen_check_text("the accept key", o->accept, err) && wsopen_check_headers(o->headers, err);
}

static char *wsopen_copy(const char *text, const char *otherwise) {
  if (!text) text = otherwise;
  if (!text) return NULL;
  assert(strlen(text) <= WSOPEN_FIELD_MAX);
  return mem_copy(slice_text(text));
}

struct wsopen *wsopen_new(bool server, const struct wsopen_options *options) {
  struct wsopen *w = mem_zero(sizeof *w);
  w->server = server;
  w->path = wsopen_copy(options->path, server ? NULL : "/");
  w->host = wsopen_copy(options->host, "localhost");
  w->protocol = wsopen_copy(options->protocol, "mqtt");
  w->headers = wsopen_copy(options->headers, "");
  w->accept = wsopen_copy(options->accept, NULL);
  w->status = options->status;
  buffer_init(&w->head, WSOPEN_HEAD_MAX);
  return w;
}

void wsopen_free(struct wsopen *w) {
  if (!w) return;
  free(w->path);
  free(w->host);
  free(w->protocol);
  free(w->headers);
  free(w->accept);
  buffer_fini(&w->head);
  free(w);
}

static void wsopen_print(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void wsopen_print(struct buffer *out, const char *format, ...) {
  char text[2 * WSOPEN_FIELD_MAX];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  assert(n >= 0 && (size_t)n < sizeof text);
  bool fits = buffer_append(out, slice_of(text, (size_t)n));
  assert(fits);
}

void wsopen_ask(struct wsopen *w, const uint8_t nonce[WSOPEN_NONCE], struct buffer *out) {
  tlsdigest_base64(slice_of(nonce, WSOPEN_NONCE), w->key, sizeof w->key);
  wsopen_print(out, "GET %s HTTP/1.1\r\n", w->path);
  wsopen_print(out, "Host: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", w->host);
  wsopen_print(out, "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", w->key);
  if (*w->protocol) wsopen_print(out, "Sec-WebSocket-Protocol: %s\r\n", w->protocol);
  wsopen_print(out, "%s\r\n", w->headers);
}

/* What proves that the server has read the key. */
static void wsopen_prove(const char *key, char to[WSOPEN_PROOF]) {
  char text[WSOPEN_KEY + sizeof WSOPEN_GUID];
  uint8_t digest[TLSDIGEST_SHA1_SIZE];
  snprintf(text, sizeof text, "%s" WSOPEN_GUID, key);
  tlsdigest_sha1(slice_text(text), digest);
  tlsdigest_base64(slice_of(digest, sizeof digest), to, WSOPEN_PROOF);
}

/* The value of the next field of that name; `*fields` is moved on behind it. */
static bool wsopen_field(struct slice *fields, const char *name, struct slice *value) {
  while (fields->size) {
    struct slice line = wsopen_cut(fields, "\r\n");
    if (!wsopen_same(wsopen_cut(&line, ":"), name)) continue;
    *value = wsopen_trim(line);
    return true;
  }
  return false;
}

/* Whether one of the fields of that name lists the word. */
static bool wsopen_lists(struct slice fields, const char *name, const char *word) {
  struct slice value;
  while (wsopen_field(&fields, name, &value)) {
    while (value.size) {
      if (wsopen_same(wsopen_trim(wsopen_cut(&value, ",")), word)) return true;
    }
  }
  return false;
}

/* Which of these fields stands there more than once, where once is all that may be, or NULL. [RFC 6455, 11.3] */
static const char *wsopen_repeated(struct slice fields, const char *const *names) {
  struct slice value;
  for (; *names; names++) {
    struct slice rest = fields;
    if (wsopen_field(&rest, *names, &value) && wsopen_field(&rest, *names, &value)) return *names;
  }
  return NULL;
}

/* The client's side: the answer. */

static bool wsopen_check_status(const struct wsopen *w, struct wsopen_head h, struct err *why) {
  struct slice rest = h.first, fields = h.fields, location;
  wsopen_cut(&rest, " ");
  struct slice status = wsopen_cut(&rest, " ");
  if (wsopen_same(status, "101")) return true;
  struct wsopen_shown path = wsopen_show(slice_text(w->path)), code = wsopen_show(status), phrase = wsopen_show(rest);
  bool moved = status.size && status.data[0] == '3' && wsopen_field(&fields, "Location", &location);
  struct wsopen_shown to = wsopen_show(moved ? location : slice_text(""));
  return err_set(why, "the WebSocket request for %s was answered with HTTP %s %s%s%s%s", path.text, code.text,
                 phrase.text, moved ? ", to " : "", to.text, moved ? " (redirects are not followed)" : "");
}

static bool wsopen_check_chosen(const struct wsopen *w, struct slice fields, struct err *why) {
  struct slice value, protocols = fields;
  if (!wsopen_field(&protocols, "Sec-WebSocket-Protocol", &value)) {
    if (!*w->protocol) return true;
    return err_set(why, "the server chose no WebSocket subprotocol: it may not speak %s", w->protocol);
  }
  if (wsopen_same(value, w->protocol)) return true;
  return err_set(why, "the server chose the WebSocket subprotocol \"%s\", not \"%s\"", wsopen_show(value).text,
                 w->protocol);
}

static bool wsopen_check_answer(const struct wsopen *w, struct wsopen_head h, struct err *why) {
  static const char *const single[] = { "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", NULL };
  char proof[WSOPEN_PROOF];
  struct slice value, accepts = h.fields, extensions = h.fields;
  if (!wsopen_check_status(w, h, why)) return false;
  if (!wsopen_lists(h.fields, "Upgrade", "websocket") || !wsopen_lists(h.fields, "Connection", "Upgrade")) {
    return err_set(why, "the server's answer 101 lacks \"Upgrade: websocket\" or \"Connection: Upgrade\"");
  }
  const char *repeated = wsopen_repeated(h.fields, single);
  if (repeated) return err_set(why, "the server's answer 101 has %s more than once", repeated);
  wsopen_prove(w->key, proof);
  if (!wsopen_field(&accepts, "Sec-WebSocket-Accept", &value)) {
    return err_set(why, "the server's answer 101 lacks Sec-WebSocket-Accept");
  }
  if (!slice_equal(value, slice_text(proof))) {
    return err_set(why, "the server's Sec-WebSocket-Accept is \"%s\", and does not fit the key, whose is \"%s\"",
                   wsopen_show(value).text, proof);
  }
  if (wsopen_field(&extensions, "Sec-WebSocket-Extensions", &value) && value.size) {
    return err_set(why, "the server uses a WebSocket extension that nobody offered: %s", wsopen_show(value).text);
  }
  return wsopen_check_chosen(w, h.fields, why);
}

/* The server's side: the request. */

static const char *wsopen_phrase(int status) {
  static const struct {
    int status;
    const char *phrase;
  } rows[] = {
    { 301, "Moved Permanently" },  { 302, "Found" },
    { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
    { 400, "Bad Request" },        { 401, "Unauthorized" },
    { 403, "Forbidden" },          { 404, "Not Found" },
    { 405, "Method Not Allowed" }, { 426, "Upgrade Required" },
    { 429, "Too Many Requests" },  { 431, "Request Header Fields Too Large" },
    { 502, "Bad Gateway" },        { 503, "Service Unavailable" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].status == status) return rows[i].phrase;
  }
  return "Refused";
}

static void wsopen_refuse(const struct wsopen *w, int status, const char *text, struct buffer *out) {
  wsopen_print(out, "HTTP/1.1 %d %s\r\n", status, wsopen_phrase(status));
  if (status == 426) wsopen_print(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  wsopen_print(out, "Content-Type: text/plain\r\nContent-Length: %zu\r\n", strlen(text) + 1);
  wsopen_print(out, "Connection: close\r\n%s\r\n", w->headers);
  wsopen_print(out, "%s\n", text);
}

/* Sets the sentence; returns the status to answer with. */
static int wsopen_wrong(struct err *why, int status, const char *text) {
  err_set(why, "a bad WebSocket request: %s", text);
  return status;
}

static int wsopen_check_first(const struct wsopen *w, struct slice rest, struct err *why) {
  struct slice method = wsopen_cut(&rest, " "), target = wsopen_cut(&rest, " "), path = target;
  if (!slice_equal(method, slice_text("GET"))) return wsopen_wrong(why, 405, "its method is not GET");
  if (!slice_equal(rest, slice_text("HTTP/1.1"))) return wsopen_wrong(why, 400, "it is not of HTTP/1.1");
  path = wsopen_cut(&path, "?");
  if (!w->path || slice_equal(path, slice_text(w->path))) return 0;
  err_set(why, "the WebSocket request was for %s; here is %s", wsopen_show(target).text, w->path);
  return 404;
}

/* 0, or what to answer instead of 101. `key` gets the client's. */
static int wsopen_check_request(const struct wsopen *w, struct wsopen_head h, char key[WSOPEN_KEY], struct err *why) {
  static const char *const single[] = { "Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", NULL };
  uint8_t nonce[WSOPEN_NONCE];
  struct slice value, hosts = h.fields, keys = h.fields;
  int status = wsopen_check_first(w, h.first, why);
  if (status) return status;
  if (wsopen_repeated(h.fields, single)) return wsopen_wrong(why, 400, "it has a field twice that may be there once");
  if (!wsopen_field(&hosts, "Host", &value)) return wsopen_wrong(why, 400, "it has no Host");
  if (!wsopen_lists(h.fields, "Upgrade", "websocket") || !wsopen_lists(h.fields, "Connection", "Upgrade")) {
    return wsopen_wrong(why, 426, "it does not ask for an upgrade to websocket");
  }
  if (!wsopen_lists(h.fields, "Sec-WebSocket-Version", "13")) return wsopen_wrong(why, 426, "its version is not 13");
  if (!wsopen_field(&keys, "Sec-WebSocket-Key", &value)) return wsopen_wrong(why, 400, "it has no Sec-WebSocket-Key");
  struct wsopen_shown shown = wsopen_show(value);
  shown.text[WSOPEN_KEY - 1] = 0;
  memcpy(key, shown.text, WSOPEN_KEY);
  if (value.size != WSOPEN_KEY - 1 || tlsdigest_unbase64(key, nonce, sizeof nonce) != WSOPEN_NONCE) {
    return wsopen_wrong(why, 400, "its Sec-WebSocket-Key is not 16 bytes in base64");
  }
  /* [MQTT-6.0.0-3]; what a peer chooses on purpose need not have been offered. */
  if (!wsopen_lists(h.fields, "Sec-WebSocket-Protocol", "mqtt")) {
    return wsopen_wrong(why, 400, "it does not offer the subprotocol mqtt");
  }
  return 0;
}

static bool wsopen_serve(const struct wsopen *w, struct wsopen_head h, struct buffer *out, struct err *why) {
  char key[WSOPEN_KEY], proof[WSOPEN_PROOF];
  int status = wsopen_check_request(w, h, key, why);
  if (status) {
    wsopen_refuse(w, status, why->text, out);
    return false;
  }
  if (w->status && w->status != 101) {
    wsopen_refuse(w, w->status, wsopen_phrase(w->status), out);
    return err_set(why, "the WebSocket request was answered with HTTP %d, as told", w->status);
  }
  wsopen_prove(key, proof);
  wsopen_print(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  wsopen_print(out, "Sec-WebSocket-Accept: %s\r\n", w->accept ? w->accept : proof);
  if (*w->protocol) wsopen_print(out, "Sec-WebSocket-Protocol: %s\r\n", w->protocol);
  wsopen_print(out, "%s\r\n", w->headers);
  return true;
}

/* Whether it begins like an answer, or like a method. */
static bool wsopen_is_http(const struct wsopen *w, struct slice head) {
  for (size_t i = 0; i < head.size; i++) {
    uint8_t c = head.data[i];
    if (w->server && i && c == ' ') return true;
    if (w->server ? c < 'A' || c > 'Z' : c != "HTTP/"[i]) return false;
  }
  return true;
}

static bool wsopen_check_start(const struct wsopen *w, struct err *why) {
  struct slice head = slice_first(buffer_slice(&w->head), 5);
  char hex[3 * 5 + 1] = "";
  if (wsopen_is_http(w, head)) return true;
  for (size_t i = 0; i < head.size; i++) snprintf(hex + 3 * i, 4, " %02x", head.data[i]);
  const char *what = "";
  if (head.data[0] == 0x16 || head.data[0] == 0x15) what = " (TLS?)";
  if (head.data[0] == (w->server ? 0x10 : 0x20)) what = " (MQTT without WebSocket?)";
  return err_set(why, "the other end does not speak HTTP, which WebSocket begins with: it sent%s%s", hex, what);
}

/* `head` ends with its empty line. */
static enum wsopen_result wsopen_judge(const struct wsopen *w, struct slice head, struct buffer *out, struct err *why) {
  struct slice rest = slice_first(head, head.size - 2);
  struct wsopen_head h = { .first = wsopen_cut(&rest, "\r\n"), .fields = rest };
  bool good = w->server ? wsopen_serve(w, h, out, why) : wsopen_check_answer(w, h, why);
  return good ? WSOPEN_DONE : WSOPEN_BAD;
}

/* How many of the bytes, which come behind those in `head`, belong to it: up to its empty line, or to what fits. */
static size_t wsopen_fit(struct wsopen *w, struct slice bytes, bool *whole) {
  size_t before = buffer_size(&w->head), from = before > 3 ? before - 3 : 0;
  bytes = slice_first(bytes, buffer_room(&w->head));
  buffer_append(&w->head, bytes);
  struct slice tail = slice_from(buffer_slice(&w->head), from);
  const uint8_t *mark = memmem(tail.data, tail.size, "\r\n\r\n", 4);
  *whole = mark != NULL;
  return mark ? from + (size_t)(mark - tail.data) + 4 - before : bytes.size;
}

enum wsopen_result wsopen_take(struct wsopen *w, struct slice bytes, size_t *used, struct buffer *out,
                               struct err *why) {
  size_t before = buffer_size(&w->head);
  bool whole;
  *used = wsopen_fit(w, bytes, &whole);
  if (!wsopen_check_start(w, why)) return WSOPEN_BAD;
  if (whole) return wsopen_judge(w, slice_first(buffer_slice(&w->head), before + *used), out, why);
  if (buffer_room(&w->head)) return WSOPEN_MORE;
  err_set(why, "the head of the WebSocket %s is longer than %d bytes", w->server ? "request" : "answer",
          WSOPEN_HEAD_MAX);
  if (w->server) wsopen_refuse(w, 431, why->text, out);
  return WSOPEN_BAD;
}
