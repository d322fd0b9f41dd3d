#include "mqtt/describe.h"

#include <stdarg.h>
#include <stdio.h>

#include "mqtt/layout.h"
#include "base/utf8.h"

#define DESCRIBE_TOPIC_MAX   100
#define DESCRIBE_PAYLOAD_MAX 48
#define DESCRIBE_NAME_MAX    32

struct describe_out {
  char *to;
  size_t size, at, total; /* room, written, and what would have been */
  bool full;
};

static struct describe_out describe_begin(char *to, size_t size) {
  return (struct describe_out){ .to = to, .size = size, .full = size == 0 };
}

static void describe_end(struct describe_out *o) {
  if (o->size) o->to[o->at] = 0;
}

/* One character or escape: whole, or not at all. */
static void describe_unit(struct describe_out *o, const char *unit, size_t n) {
  o->total += n;
  if (o->full || o->at + n >= o->size) {
    o->full = true;
    return;
  }
  memcpy(o->to + o->at, unit, n);
  o->at += n;
}

static void describe_ascii(struct describe_out *o, const char *text) {
  for (; *text; text++) describe_unit(o, text, 1);
}

static void describe_print(struct describe_out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void describe_print(struct describe_out *o, const char *format, ...) {
  char text[64];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  describe_ascii(o, text);
}

static uint32_t describe_code_point(const uint8_t *c, size_t size) {
  static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
  uint32_t code = c[0] & masks[size];
  for (size_t i = 1; i < size; i++) code = code << 6 | (c[i] & 0x3f);
  return code;
}

/* Controls, characters that reorder or hide what is around them, and noncharacters, some of which XML forbids. */
static bool describe_is_printable(uint32_t code) {
  static const uint32_t hidden[][2] = {
    { 0, 0x1f },        { 0x7f, 0x9f },     { 0x61c, 0x61c },   { 0x200b, 0x200f }, { 0x2028, 0x202e },
    { 0x2060, 0x206f }, { 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
  };
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
    if (code >= hidden[i][0] && code <= hidden[i][1]) return false;
  return (code & 0xfffe) != 0xfffe;
}

static void describe_escape(struct describe_out *o, struct slice bytes) {
  char unit[5];
  for (size_t i = 0; i < bytes.size; i++) {
    snprintf(unit, sizeof unit, "\\x%02x", bytes.data[i]);
    describe_unit(o, unit, 4);
  }
}

static void describe_character(struct describe_out *o, struct slice c, bool good) {
  if (c.data[0] == '\\') {
    describe_unit(o, "\\\\", 2);
  } else if (good && describe_is_printable(describe_code_point(c.data, c.size))) {
    describe_unit(o, (const char *)c.data, c.size);
  } else {
    describe_escape(o, c);
  }
}

static void describe_bytes(struct describe_out *o, struct slice text, size_t most) {
  size_t size;
  for (size_t at = 0; at < text.size; at += size) {
    bool good = utf8_next(slice_from(text, at), &size) == UTF8_GOOD;
    if (at + size > most) {
      describe_ascii(o, "...");
      return;
    }
    describe_character(o, slice_of(text.data + at, size), good);
  }
}

size_t describe_text(struct slice text, size_t most, char *to, size_t size) {
  struct describe_out o = describe_begin(to, size);
  describe_bytes(&o, text, most);
  describe_end(&o);
  return o.at;
}

static void describe_quoted(struct describe_out *o, struct slice text, size_t most) {
  describe_unit(o, "\"", 1);
  describe_bytes(o, text, most);
  describe_unit(o, "\"", 1);
}

static void describe_sized(struct describe_out *o, struct slice bytes, size_t most) {
  describe_print(o, "%zu B", bytes.size);
  if (bytes.size == 0) return;
  describe_ascii(o, " ");
  describe_quoted(o, bytes, most);
}

/* The line of each type, behind its name. */

static void describe_connect(struct describe_out *o, const struct packet *p) {
  describe_ascii(o, " ");
  describe_quoted(o, p->client_id, DESCRIBE_TOPIC_MAX);
  if (!slice_equal(p->protocol_name, slice_text("MQTT"))) {
    describe_ascii(o, " protocol ");
    describe_quoted(o, p->protocol_name, DESCRIBE_PAYLOAD_MAX);
  }
  if (p->protocol_version != SPEC_3_1_1) describe_print(o, " level %u", p->protocol_version);
  describe_ascii(o, p->clean ? " clean" : "");
  describe_print(o, " keepalive %u", p->keepalive_s);
  if (p->has_will) {
    describe_print(o, " will q%u%s ", p->will.qos, p->will.retain ? " retain" : "");
    describe_quoted(o, p->will.topic, DESCRIBE_PAYLOAD_MAX);
    describe_ascii(o, " ");
    describe_sized(o, p->will.payload, DESCRIBE_PAYLOAD_MAX);
  }
  if (p->has_username) {
    describe_ascii(o, " username ");
    describe_quoted(o, p->username, DESCRIBE_PAYLOAD_MAX);
  }
  describe_ascii(o, p->has_password ? " password" : "");
}

static void describe_connack(struct describe_out *o, const struct packet *p) {
  describe_print(o, " %u", p->reason_code);
  if (p->version != SPEC_5_0) describe_print(o, " %s", spec_connack_text(p->reason_code));
  describe_ascii(o, p->session_present ? ", session present" : "");
}

static void describe_publish(struct describe_out *o, const struct packet *p) {
  describe_print(o, " q%u", p->qos);
  if (p->qos) describe_print(o, " id %u", p->packet_id);
  describe_ascii(o, p->dup ? " dup" : "");
  describe_ascii(o, p->retain ? " retain " : " ");
  describe_quoted(o, p->topic, DESCRIBE_TOPIC_MAX);
  describe_ascii(o, " ");
  describe_sized(o, p->payload, DESCRIBE_PAYLOAD_MAX);
}

static void describe_reason(struct describe_out *o, const struct packet *p) {
  if (p->reason_code) describe_print(o, " reason 0x%02x", p->reason_code);
}

static void describe_ack(struct describe_out *o, const struct packet *p) {
  describe_print(o, " id %u", p->packet_id);
  describe_reason(o, p);
}

static void describe_subscription(struct describe_out *o, const struct packet_subscription *s) {
  describe_quoted(o, s->filter, DESCRIBE_TOPIC_MAX);
  describe_print(o, " q%u", s->qos);
  if (s->options != s->qos) describe_print(o, " options 0x%02x", s->options);
}

/* A list can be longer than any line: what no longer fits is not walked. */

static void describe_subscribe(struct describe_out *o, const struct packet *p) {
  struct slice items = p->items;
  struct packet_subscription entry;
  describe_print(o, " id %u", p->packet_id);
  for (const char *between = " "; !o->full && packet_next_subscription(&items, &entry); between = ", ") {
    describe_ascii(o, between);
    describe_subscription(o, &entry);
  }
}

static void describe_unsubscribe(struct describe_out *o, const struct packet *p) {
  struct slice items = p->items, filter;
  describe_print(o, " id %u", p->packet_id);
  for (const char *between = " "; !o->full && packet_next_filter(&items, &filter); between = ", ") {
    describe_ascii(o, between);
    describe_quoted(o, filter, DESCRIBE_TOPIC_MAX);
  }
}

static void describe_codes(struct describe_out *o, const struct packet *p) {
  describe_print(o, " id %u", p->packet_id);
  for (size_t i = 0; !o->full && i < p->items.size; i++) describe_print(o, " %u", p->items.data[i]);
}

static void (*const describe_types[SPEC_TYPES])(struct describe_out *, const struct packet *) = {
  [SPEC_CONNECT] = describe_connect, [SPEC_CONNACK] = describe_connack,
  [SPEC_PUBLISH] = describe_publish, [SPEC_PUBACK] = describe_ack,
  [SPEC_PUBREC] = describe_ack,      [SPEC_PUBREL] = describe_ack,
  [SPEC_PUBCOMP] = describe_ack,     [SPEC_SUBSCRIBE] = describe_subscribe,
  [SPEC_SUBACK] = describe_codes,    [SPEC_UNSUBSCRIBE] = describe_unsubscribe,
  [SPEC_UNSUBACK] = describe_codes,  [SPEC_DISCONNECT] = describe_reason,
  [SPEC_AUTH] = describe_reason,
};

int describe_packet(const struct packet *p, char *to, size_t size) {
  struct describe_out o = describe_begin(to, size);
  const struct spec_packet *row = spec_packet(p->type);
  if (row) describe_ascii(&o, row->name);
  else describe_print(&o, "reserved type %u", p->type);
  if (p->flags != packet_flags(p)) describe_print(&o, " flags 0x%x", p->flags);
  if (row && describe_types[p->type]) describe_types[p->type](&o, p);
  describe_end(&o);
  return (int)o.total;
}

/* One value at a time, for describe_fields. */
struct describe_lines {
  void (*line)(void *arg, const char *name, const char *value);
  void *arg;
  struct describe_out out;
  char text[4 * DESCRIBE_VALUE_MAX + 64];
};

static struct describe_out *describe_value(struct describe_lines *l) {
  l->out = describe_begin(l->text, sizeof l->text);
  return &l->out;
}

static void describe_tell(struct describe_lines *l, const char *name) {
  describe_end(&l->out);
  l->line(l->arg, name, l->text);
}

static void describe_tell_item(struct describe_lines *l, const char *list, size_t n) {
  char name[DESCRIBE_NAME_MAX];
  snprintf(name, sizeof name, "%s[%zu]", list, n);
  describe_tell(l, name);
}

static void describe_number(struct describe_lines *l, const char *name, unsigned n) {
  describe_print(describe_value(l), "%u", n);
  describe_tell(l, name);
}

static void describe_hex(struct describe_lines *l, const char *name, unsigned n) {
  describe_print(describe_value(l), "0x%02x", n);
  describe_tell(l, name);
}

static void describe_truth(struct describe_lines *l, const char *name, bool truth) {
  describe_ascii(describe_value(l), truth ? "true" : "false");
  describe_tell(l, name);
}

static void describe_field_byte(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  describe_number(l, f->name, *(const uint8_t *)layout_in(p, f));
}

static void describe_field_int16(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  describe_number(l, f->name, *(const uint16_t *)layout_in(p, f));
}

static void describe_field_string(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  describe_quoted(describe_value(l), *(const struct slice *)layout_in(p, f), DESCRIBE_VALUE_MAX);
  describe_tell(l, f->name);
}

static void describe_field_binary(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  describe_sized(describe_value(l), *(const struct slice *)layout_in(p, f), DESCRIBE_VALUE_MAX);
  describe_tell(l, f->name);
}

static void describe_field_connect(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  describe_hex(l, f->name, layout_connect_flags(p));
  describe_truth(l, "clean", p->clean);
  if (!p->has_will) return;
  describe_number(l, "will.qos", p->will.qos);
  describe_truth(l, "will.retain", p->will.retain);
}

static void describe_field_connack(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  describe_hex(l, f->name, p->connack_flags);
  describe_truth(l, "session_present", p->session_present);
}

static void describe_field_subscriptions(struct describe_lines *l, const struct packet *p,
                                         const struct layout_field *f) {
  struct slice items = p->items;
  struct packet_subscription entry;
  for (size_t n = 1; packet_next_subscription(&items, &entry); n++) {
    describe_subscription(describe_value(l), &entry);
    describe_tell_item(l, f->name, n);
  }
}

static void describe_field_filters(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  struct slice items = p->items, filter;
  for (size_t n = 1; packet_next_filter(&items, &filter); n++) {
    describe_quoted(describe_value(l), filter, DESCRIBE_VALUE_MAX);
    describe_tell_item(l, f->name, n);
  }
}

static void describe_field_codes(struct describe_lines *l, const struct packet *p, const struct layout_field *f) {
  for (size_t n = 1; n <= p->items.size; n++) {
    describe_print(describe_value(l), "%u", p->items.data[n - 1]);
    describe_tell_item(l, f->name, n);
  }
}

typedef void describe_kind(struct describe_lines *l, const struct packet *p, const struct layout_field *f);

static describe_kind *const describe_kinds[LAYOUT_KINDS] = {
  [LAYOUT_BYTE] = describe_field_byte,
  [LAYOUT_INT16] = describe_field_int16,
  [LAYOUT_STRING] = describe_field_string,
  [LAYOUT_BINARY] = describe_field_binary,
  [LAYOUT_PROPERTIES] = describe_field_binary,
  [LAYOUT_LEVEL] = describe_field_byte,
  [LAYOUT_CONNECT_FLAGS] = describe_field_connect,
  [LAYOUT_CONNACK_FLAGS] = describe_field_connack,
  [LAYOUT_PAYLOAD] = describe_field_binary,
  [LAYOUT_SUBSCRIPTIONS] = describe_field_subscriptions,
  [LAYOUT_FILTERS] = describe_field_filters,
  [LAYOUT_CODES] = describe_field_codes,
};

void describe_fields(const struct packet *p, void (*line)(void *arg, const char *name, const char *value), void *arg) {
  struct describe_lines lines;
  lines.line = line;
  lines.arg = arg;
  const struct spec_packet *row = spec_packet(p->type);
  const struct layout_field *f = layout_of(p->type);
  if (row) describe_ascii(describe_value(&lines), row->name);
  else describe_print(describe_value(&lines), "%u", p->type);
  describe_tell(&lines, "type");
  describe_hex(&lines, "flags", p->flags);
  if (p->type == SPEC_PUBLISH) {
    describe_truth(&lines, "dup", p->dup);
    describe_number(&lines, "qos", p->qos);
    describe_truth(&lines, "retain", p->retain);
  }
  for (unsigned has = layout_has(p); f && f->kind != LAYOUT_END; f++)
    if (layout_wants(f, has)) describe_kinds[f->kind](&lines, p, f);
}
