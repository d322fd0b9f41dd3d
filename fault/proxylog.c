#include "fault/proxylog.h"

#include <inttypes.h>
#include <stdio.h>

#include "fault/scope_fields.h"
#include "base/utf8.h"

void proxylog_init(struct proxylog *l, int64_t now_ns, void (*line)(void *arg, const char *text), void *arg) {
  *l = (struct proxylog){ .began_ns = now_ns, .line = line, .arg = arg };
  buffer_init(&l->text, PROXYLOG_LINE_MAX);
}

void proxylog_fini(struct proxylog *l) {
  buffer_fini(&l->text);
}

/* Putting a line together. Pieces that do not fit are left out as a whole. */

static void proxylog_put(struct proxylog *l, const char *text) {
  buffer_append(&l->text, slice_text(text));
}

static void proxylog_number(struct proxylog *l, const char *before, uint64_t n) {
  char text[128];
  snprintf(text, sizeof text, "%s%" PRIu64, before, n);
  proxylog_put(l, text);
}

static void proxylog_seconds(struct proxylog *l, const char *before, int64_t ns) {
  char text[128];
  snprintf(text, sizeof text, "%s%" PRId64 ".%03d", before, ns / 1000000000, (int)(ns % 1000000000 / 1000000));
  proxylog_put(l, text);
}

/* One byte of a text, as it stands between quotes. `plain`: it is part of well-formed UTF-8. */
static void proxylog_byte(struct proxylog *l, uint8_t byte, bool plain) {
  char text[8];
  bool safe = byte >= ' ' && byte != 0x7f && byte != '"' && byte != '\\' && (byte < 0x80 || plain);
  const char *escape = l->json ? "\\u%04x" : "\\x%02x";
  if (safe) buffer_append(&l->text, slice_of(&byte, 1));
  else if (byte == '"' || byte == '\\') snprintf(text, sizeof text, "\\%c", byte);
  else snprintf(text, sizeof text, escape, byte);
  if (!safe) proxylog_put(l, text);
}

static void proxylog_quoted(struct proxylog *l, struct slice s) {
  bool plain = utf8_check(s, NULL) == UTF8_GOOD;
  proxylog_put(l, "\"");
  for (size_t i = 0; i < s.size; i++) proxylog_byte(l, s.data[i], plain);
  proxylog_put(l, "\"");
}

static void proxylog_member(struct proxylog *l, const char *name, const char *text) {
  proxylog_put(l, ",\"");
  proxylog_put(l, name);
  proxylog_put(l, "\":");
  proxylog_quoted(l, slice_text(text));
}

static void proxylog_end(struct proxylog *l) {
  if (l->json) proxylog_put(l, "}");
  buffer_append(&l->text, slice_of("", 1));
  l->line(l->arg, (const char *)buffer_slice(&l->text).data);
  buffer_fini(&l->text);
}

/* "{"event":"ended","s":1.250" or "   1.250 s  ". */
static void proxylog_begin(struct proxylog *l, const char *event, int64_t now_ns) {
  char text[64];
  int64_t at_ns = now_ns - l->began_ns;
  if (l->json) {
    proxylog_put(l, "{\"event\":");
    proxylog_quoted(l, slice_text(event));
    proxylog_seconds(l, ",\"s\":", at_ns);
    return;
  }
  snprintf(text, sizeof text, "%5" PRId64 ".%03d s  ", at_ns / 1000000000, (int)(at_ns % 1000000000 / 1000000));
  proxylog_put(l, text);
}

/* Whose proxy's line it is, if that has a name. */
static void proxylog_proxy(struct proxylog *l, const struct proxy *p, const char *behind) {
  const char *name = proxy_name(p);
  if (!name[0]) return;
  if (l->json) {
    proxylog_member(l, "proxy", name);
    return;
  }
  for (size_t i = 0; name[i]; i++) proxylog_byte(l, (uint8_t)name[i], true);
  proxylog_put(l, behind);
}

static void proxylog_conn(struct proxylog *l, const struct proxy_conn *c) {
  if (c) proxylog_proxy(l, proxy_conn_proxy(c), "");
  if (c) proxylog_number(l, l->json ? ",\"connection\":" : "#", proxy_conn_number(c));
}

/* Things that happen. */

static void proxylog_url(struct proxylog *l, const char *name, const char *before, const struct url *u) {
  char text[URL_HOST_MAX + URL_PATH_MAX + 32];
  url_format(u, text, sizeof text);
  if (l->json) {
    proxylog_member(l, name, text);
  } else {
    proxylog_put(l, before);
    proxylog_put(l, text);
  }
}

void proxylog_listening(struct proxylog *l, const struct proxy *p, int64_t now_ns, uint64_t seed) {
  size_t rules = proxy_scope(p)->live;
  proxylog_begin(l, "listening", now_ns);
  proxylog_proxy(l, p, ": ");
  proxylog_url(l, "listen", "listening at ", proxy_url(p));
  proxylog_url(l, "upstream", ", upstream ", proxy_upstream(p));
  proxylog_number(l, l->json ? ",\"rules\":" : ", ", rules);
  if (!l->json) proxylog_put(l, rules == 1 ? " rule" : " rules");
  proxylog_number(l, l->json ? ",\"seed\":" : ", seed ", seed);
  proxylog_end(l);
}

void proxylog_ca(struct proxylog *l, const char *path, int64_t now_ns) {
  proxylog_begin(l, "ca", now_ns);
  if (l->json) {
    proxylog_member(l, "file", path);
  } else {
    proxylog_put(l, "the certificate to listen with is of a CA made for this run, which clients trust by ");
    proxylog_put(l, path);
  }
  proxylog_end(l);
}

void proxylog_accepted(struct proxylog *l, const struct proxy_conn *c) {
  if (l->quiet) return;
  proxylog_begin(l, "accepted", proxy_conn_began_ns(c));
  proxylog_conn(l, c);
  if (l->json) {
    proxylog_member(l, "from", proxy_conn_client(c));
  } else {
    proxylog_put(l, " from ");
    proxylog_put(l, proxy_conn_client(c));
  }
  proxylog_end(l);
}

void proxylog_fired(struct proxylog *l, const struct proxy_conn *c, const struct scope_firing *f) {
  char rule[RULE_TEXT_MAX];
  if (l->quiet) return;
  rule_print(scope_rule_of(f->rule), rule, sizeof rule);
  proxylog_begin(l, "fired", f->at_ns);
  proxylog_conn(l, c);
  if (l->json) {
    if (f->toxic) proxylog_member(l, "toxic", f->toxic);
    proxylog_member(l, "rule", rule);
    proxylog_member(l, "direction", f->up ? "up" : "down");
    if (f->packet_index) proxylog_number(l, ",\"packet\":", f->packet_index);
    proxylog_number(l, ",\"offset\":", f->stream_offset);
  } else {
    proxylog_put(l, " !! ");
    if (f->toxic) {
      proxylog_put(l, "toxic ");
      proxylog_quoted(l, slice_text(f->toxic));
      proxylog_put(l, ": ");
    }
    proxylog_put(l, rule);
    if (f->packet_index) proxylog_number(l, f->up ? ", at packet up " : ", at packet down ", f->packet_index);
    if (f->conn) proxylog_number(l, ", byte ", f->stream_offset);
  }
  proxylog_end(l);
}

static void proxylog_client(struct proxylog *l, struct slice id) {
  if (!id.size) return;
  proxylog_put(l, l->json ? ",\"client_id\":" : " ");
  proxylog_quoted(l, l->json ? id : slice_first(id, PROXYLOG_ID_MAX));
}

/* What went up and down, of connections or of all. */
static void proxylog_traffic(struct proxylog *l, const struct relay_counts *c) {
  proxylog_number(l, l->json ? ",\"packets_up\":" : "; packets up ", c->packets_up);
  proxylog_number(l, l->json ? ",\"packets_down\":" : " down ", c->packets_down);
  proxylog_number(l, l->json ? ",\"bytes_up\":" : ", bytes up ", c->bytes_up);
  proxylog_number(l, l->json ? ",\"bytes_down\":" : " down ", c->bytes_down);
}

void proxylog_ended(struct proxylog *l, const struct proxy_conn *c, int64_t now_ns, const char *why) {
  struct relay_counts counts = relay_counts(proxy_conn_relay(c));
  if (l->quiet) return;
  proxylog_begin(l, "ended", now_ns);
  proxylog_conn(l, c);
  proxylog_client(l, relay_client_id(proxy_conn_relay(c)));
  proxylog_seconds(l, l->json ? ",\"lasted_s\":" : " ended after ", now_ns - proxy_conn_began_ns(c));
  if (l->json) {
    proxylog_member(l, "why", why);
  } else {
    proxylog_put(l, " s: ");
    proxylog_put(l, why);
  }
  proxylog_traffic(l, &counts);
  proxylog_end(l);
}

void proxylog_trouble(struct proxylog *l, int64_t now_ns, const struct err *why) {
  proxylog_begin(l, "trouble", now_ns);
  if (l->json) proxylog_member(l, "why", why->text);
  else proxylog_put(l, why->text);
  proxylog_end(l);
}

static void proxylog_rule(struct proxylog *l, const struct proxy *p, const struct scope_rule *r, int64_t now_ns) {
  char text[RULE_TEXT_MAX];
  struct err why;
  rule_print(r->rule, text, sizeof text);
  proxylog_begin(l, "rule", now_ns);
  proxylog_proxy(l, p, ": ");
  if (l->json) {
    proxylog_member(l, "rule", text);
  } else {
    proxylog_put(l, "rule ");
    proxylog_put(l, text);
  }
  proxylog_number(l, l->json ? ",\"seen\":" : ": seen ", scope_seen(r));
  proxylog_number(l, l->json ? ",\"fired\":" : ", fired ", scope_fired(r));
  bool met = scope_met(r, &why);
  if (l->json) proxylog_put(l, met ? ",\"met\":true" : ",\"met\":false");
  else if (!met) proxylog_put(l, ", but was to fire more often");
  proxylog_end(l);
}

void proxylog_summary(struct proxylog *l, const struct proxy *p, uint64_t toxics, int64_t now_ns) {
  const struct scope *s = proxy_scope(p);
  struct proxy_counts c = proxy_counts(p);
  struct relay_counts traffic = {
    .bytes_up = c.bytes_up, .bytes_down = c.bytes_down, .packets_up = c.packets_up, .packets_down = c.packets_down
  };
  uint64_t firings = toxics;
  for (size_t i = 0; i < s->count; i++) {
    firings += scope_fired(s->rules[i]);
    if (!s->rules[i]->removed) proxylog_rule(l, p, s->rules[i], now_ns);
  }
  proxylog_begin(l, "summary", now_ns);
  proxylog_proxy(l, p, ": ");
  proxylog_number(l, l->json ? ",\"connections\":" : "connections ", c.connections);
  proxylog_number(l, l->json ? ",\"open\":" : ", open ", c.open);
  proxylog_number(l, l->json ? ",\"unreached\":" : ", not connected to the upstream ", c.unreached);
  proxylog_number(l, l->json ? ",\"firings\":" : ", firings ", firings);
  proxylog_traffic(l, &traffic);
  proxylog_end(l);
}
