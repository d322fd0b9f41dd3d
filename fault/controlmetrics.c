#include "fault/controlmetrics.h"

#include <stdarg.h>
#include <stdio.h>

#define CONTROLMETRICS_LABEL_MAX (2 * (URL_PATH_MAX + 300))

static void controlmetrics_put(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void controlmetrics_put(struct buffer *out, const char *format, ...) {
  char text[4 * CONTROLMETRICS_LABEL_MAX];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  buffer_append(out, slice_of(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

static const char *controlmetrics_label(const char *text, char to[CONTROLMETRICS_LABEL_MAX]) {
  size_t n = 0;
  for (; *text && n + 3 < CONTROLMETRICS_LABEL_MAX; text++) {
    if (*text == '"' || *text == '\\') to[n++] = '\\';
    to[n++] = *text;
  }
  to[n] = 0;
  return to;
}

/* One row a metric: its value for a proxy. `direction`: the label, or NULL. */
struct controlmetrics_row {
  const char *name, *type, *help, *direction;
  uint64_t (*value)(const struct fleet_member *m, const struct proxy_counts *c);
};

static uint64_t controlmetrics_bytes_up(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->bytes_up;
}

static uint64_t controlmetrics_bytes_down(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->bytes_down;
}

static uint64_t controlmetrics_packets_up(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->packets_up;
}

static uint64_t controlmetrics_packets_down(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->packets_down;
}

static uint64_t controlmetrics_connections(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->connections;
}

static uint64_t controlmetrics_open(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->open;
}

static uint64_t controlmetrics_unreached(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)m;
  return c->unreached;
}

static uint64_t controlmetrics_firings(const struct fleet_member *m, const struct proxy_counts *c) {
  return c->firings + infect_fired(m->infect);
}

static uint64_t controlmetrics_toxics(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)c;
  return infect_count(m->infect);
}

static uint64_t controlmetrics_enabled(const struct fleet_member *m, const struct proxy_counts *c) {
  (void)c;
  return proxy_is_enabled(m->proxy);
}

static const struct controlmetrics_row controlmetrics_rows[] = {
  { "toxiproxy_proxy_received_bytes_total", "counter", "Bytes that came in.", "upstream", controlmetrics_bytes_up },
  { "toxiproxy_proxy_sent_bytes_total", "counter", "Bytes that went out.", "downstream", controlmetrics_bytes_down },
  { "mqrig_proxy_bytes_total", "counter", "Bytes as the clients see them.", "upstream", controlmetrics_bytes_up },
  { "mqrig_proxy_bytes_total", NULL, NULL, "downstream", controlmetrics_bytes_down },
  { "mqrig_proxy_packets_total", "counter", "MQTT packets as the clients see them.", "upstream",
    controlmetrics_packets_up },
  { "mqrig_proxy_packets_total", NULL, NULL, "downstream", controlmetrics_packets_down },
  { "mqrig_proxy_connections_total", "counter", "Connections accepted.", NULL, controlmetrics_connections },
  { "mqrig_proxy_connections_open", "gauge", "Connections that are up.", NULL, controlmetrics_open },
  { "mqrig_proxy_unreached_total", "counter", "Connections whose upstream could not be reached.", NULL,
    controlmetrics_unreached },
  { "mqrig_proxy_firings_total", "counter", "Times that rules and toxics have acted.", NULL, controlmetrics_firings },
  { "mqrig_proxy_toxics", "gauge", "Toxics that are on.", NULL, controlmetrics_toxics },
  { "mqrig_proxy_enabled", "gauge", "Whether the proxy listens.", NULL, controlmetrics_enabled },
};

static void controlmetrics_line(const struct controlmetrics_row *row, const struct fleet_member *m,
                                struct buffer *out) {
  char listen[URL_PATH_MAX + 300], name[CONTROLMETRICS_LABEL_MAX], upstream[CONTROLMETRICS_LABEL_MAX];
  struct proxy_counts counts = proxy_counts(m->proxy);
  fleet_listen(m, listen, sizeof listen);
  controlmetrics_put(out, "%s{", row->name);
  if (row->direction) controlmetrics_put(out, "direction=\"%s\",", row->direction);
  controlmetrics_put(out, "listener=\"%s\",proxy=\"%s\",upstream=\"%s\"} %llu\n", listen,
                     controlmetrics_label(m->name, name), controlmetrics_label(m->upstream, upstream),
                     (unsigned long long)row->value(m, &counts));
}

void controlmetrics_write(const struct fleet *f, struct buffer *out) {
  for (size_t i = 0; i < sizeof controlmetrics_rows / sizeof *controlmetrics_rows; i++) {
    const struct controlmetrics_row *row = &controlmetrics_rows[i];
    if (row->type) controlmetrics_put(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, row->type);
    for (size_t k = 0; k < fleet_count(f); k++) controlmetrics_line(row, fleet_member(f, k), out);
  }
}
