#include "fault/value.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fault/errname.h"
#include "fault/rule.h"
#include "mqtt/topic.h"

struct value_row {
  const char *expected;
  bool (*parse)(struct slice token, struct value *out);
  bool (*parse_quoted)(struct slice token, struct value *out); /* NULL: has no quoted form */
  void (*print)(const struct value *v, struct printer *to);
};

struct value_unit {
  const char *name;
  int64_t factor;
};

static bool value_take_digits(struct slice *s, int64_t *out, size_t *digits) {
  *digits = 0;
  *out = 0;
  while (s->size && s->data[0] >= '0' && s->data[0] <= '9') {
    if (*out > (INT64_MAX - 9) / 10) return false;
    *out = *out * 10 + (s->data[0] - '0');
    *s = slice_from(*s, 1);
    (*digits)++;
  }
  return true;
}

static bool value_integer(struct slice token, int64_t low, int64_t high, int64_t *out) {
  bool negative = token.size && token.data[0] == '-';
  size_t digits;
  if (negative) token = slice_from(token, 1);
  if (!value_take_digits(&token, out, &digits) || digits == 0 || token.size) return false;
  if (negative) *out = -*out;
  return *out >= low && *out <= high;
}

/* `12.5` times the factor, exact or refused; what follows the number stays in *s. */
static bool value_decimal(struct slice *s, int64_t *whole, int64_t *part, int64_t *part_of) {
  size_t digits;
  *part = 0;
  *part_of = 1;
  if (!value_take_digits(s, whole, &digits) || digits == 0) return false;
  if (!s->size || s->data[0] != '.') return true;
  *s = slice_from(*s, 1);
  if (!value_take_digits(s, part, &digits) || digits == 0 || digits > 9) return false;
  while (digits--) *part_of *= 10;
  return true;
}

static bool value_scale(int64_t whole, int64_t part, int64_t part_of, int64_t factor, int64_t max, int64_t *out) {
  if (whole > max / factor || (__int128)part * factor % part_of != 0) return false;
  *out = whole * factor + (int64_t)((__int128)part * factor / part_of);
  return *out <= max;
}

static bool value_factor(struct slice name, const struct value_unit *units, size_t count, int64_t *factor) {
  for (size_t i = 0; i < count; i++) {
    if (!slice_equal(name, slice_text(units[i].name))) continue;
    *factor = units[i].factor;
    return true;
  }
  return false;
}

static bool value_with_unit(struct slice token, const struct value_unit *units, size_t count, int64_t max,
                            int64_t *out) {
  int64_t whole, part, part_of, factor;
  return value_decimal(&token, &whole, &part, &part_of) && value_factor(token, units, count, &factor) &&
         value_scale(whole, part, part_of, factor, max, out);
}

static const struct value_unit value_times[] = {
  { "s", 1000000000 },       { "ms", 1000000 },           { "us", 1000 }, { "ns", 1 }, { "", 1000000000 },
  { "m", 60 * 1000000000L }, { "h", 3600 * 1000000000L },
};
static const struct value_unit value_sizes[] = {
  { "", 1 }, { "k", 1 << 10 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "m", 1 << 20 }, { "G", 1 << 30 },
};
static const struct value_unit value_ratios[] = { { "", VALUE_RATIO_ONE }, { "%", VALUE_RATIO_ONE / 100 } };

#define VALUE_COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

bool value_duration(struct slice token, int64_t *out_ns) {
  return value_with_unit(token, value_times, VALUE_COUNT_OF(value_times), VALUE_DURATION_MAX_NS, out_ns);
}

/* `number` in units of `factor`, with as many places behind the point as it takes. */
static void value_put_decimal(struct printer *to, int64_t number, int64_t factor) {
  int64_t part = number % factor;
  printer_put(to, "%lld", (long long)(number / factor));
  if (part) printer_put(to, ".");
  while (part) {
    part *= 10;
    printer_put(to, "%d", (int)(part / factor));
    part %= factor;
  }
}

void value_put_duration(struct printer *to, int64_t ns) {
  size_t unit = 0; /* the first four are s, ms, us, ns */
  while (unit < 3 && ns < value_times[unit].factor) unit++;
  if (ns == 0) unit = 0;
  value_put_decimal(to, ns, value_times[unit].factor);
  printer_put(to, "%s", value_times[unit].name);
}

static const struct value_unit value_plain[] = { { "", VALUE_RATIO_ONE } };

bool value_number(struct slice token, int64_t *out) {
  return value_with_unit(token, value_plain, 1, INT64_C(1000000) * VALUE_RATIO_ONE, out);
}

void value_put_number(struct printer *to, int64_t number) {
  value_put_decimal(to, number, VALUE_RATIO_ONE);
}

static bool value_parse_count(struct slice token, struct value *out) {
  return value_integer(token, 1, INT64_MAX, &out->number);
}

static bool value_parse_packet_id(struct slice token, struct value *out) {
  return value_integer(token, 0, SPEC_PACKET_ID_MAX, &out->number);
}

static bool value_parse_qos(struct slice token, struct value *out) {
  return value_integer(token, 0, 3, &out->number);
}

static bool value_hex_digit(uint8_t c, unsigned *out) {
  if (c >= '0' && c <= '9') *out = c - '0';
  else if (c >= 'a' && c <= 'f') *out = c - 'a' + 10;
  else if (c >= 'A' && c <= 'F') *out = c - 'A' + 10;
  else return false;
  return true;
}

static bool value_hex_byte(const uint8_t *at, uint8_t *out) {
  unsigned high, low;
  if (!value_hex_digit(at[0], &high) || !value_hex_digit(at[1], &low)) return false;
  *out = (uint8_t)(high << 4 | low);
  return true;
}

static bool value_parse_code(struct slice token, struct value *out) {
  uint8_t byte;
  if (token.size != 4 || memcmp(token.data, "0x", 2) != 0) return value_integer(token, 0, 255, &out->number);
  if (!value_hex_byte(token.data + 2, &byte)) return false;
  out->number = byte;
  return true;
}

static bool value_parse_offset(struct slice token, struct value *out) {
  return value_integer(token, -INT64_MAX, INT64_MAX, &out->number);
}

static bool value_parse_size(struct slice token, struct value *out) {
  return value_with_unit(token, value_sizes, VALUE_COUNT_OF(value_sizes), INT64_C(1) << 40, &out->number);
}

static bool value_parse_piece(struct slice token, struct value *out) {
  return value_parse_size(token, out) && out->number > 0;
}

static void value_put_size(struct printer *to, int64_t n) {
  if (n && n % (1 << 20) == 0) printer_put(to, "%lldM", (long long)(n >> 20));
  else if (n && n % (1 << 10) == 0) printer_put(to, "%lldk", (long long)(n >> 10));
  else printer_put(to, "%lld", (long long)n);
}

static bool value_piece(struct slice token, int64_t *out) {
  struct value v;
  bool is_piece = value_parse_piece(token, &v);
  *out = v.number;
  return is_piece;
}

const struct distribution_unit value_durations = { value_duration, value_put_duration };
static const struct distribution_unit value_pieces = { value_piece, value_put_size };

static bool value_parse_pieces(struct slice token, struct value *out) {
  return distribution_parse(token, &value_pieces, &out->distribution);
}

static bool value_parse_gather(struct slice token, struct value *out) {
  return value_parse_piece(token, out) && out->number <= VALUE_GATHER_MAX;
}

static bool value_parse_copies(struct slice token, struct value *out) {
  return value_integer(token, 1, VALUE_COPIES_MAX, &out->number);
}

static bool value_parse_ratio(struct slice token, struct value *out) {
  return value_with_unit(token, value_ratios, VALUE_COUNT_OF(value_ratios), VALUE_RATIO_ONE, &out->number);
}

static bool value_parse_duration(struct slice token, struct value *out) {
  return value_duration(token, &out->number);
}

static bool value_parse_distribution(struct slice token, struct value *out) {
  return distribution_parse(token, &value_durations, &out->distribution);
}

static bool value_one_of(struct slice token, const char *one, const char *zero, int64_t *out) {
  *out = slice_equal(token, slice_text(one));
  return *out || slice_equal(token, slice_text(zero));
}

static bool value_parse_flag(struct slice token, struct value *out) {
  return value_one_of(token, "true", "false", &out->number);
}

static bool value_parse_direction(struct slice token, struct value *out) {
  return value_one_of(token, "up", "down", &out->number);
}

static const char *const value_whos[] = { "who=both", "who=client", "who=broker" }; /* by enum value_who */

static bool value_parse_who(struct slice token, struct value *out) {
  for (out->number = 0; out->number < (int64_t)VALUE_COUNT_OF(value_whos); out->number++)
    if (slice_equal(token, slice_text(value_whos[out->number]))) return true;
  return false;
}

static bool value_parse_spot(struct slice token, struct value *out) {
  return spot_parse(token, &out->spot);
}

static void value_keep(struct value *out, struct slice text) {
  out->text = slice_of(mem_copy(text), text.size);
}

static bool value_parse_word(struct slice token, struct value *out) {
  if (token.size > RULE_TEXT_MAX) return false;
  value_keep(out, token);
  return true;
}

struct value_escape {
  char letter;
  uint8_t byte;
};
static const struct value_escape value_escapes[] = {
  { 'n', '\n' }, { 'r', '\r' }, { 't', '\t' }, { '"', '"' }, { '\\', '\\' }
};

/* One character behind a backslash. Returns how many bytes it took, 0 if it is none. */
static size_t value_unescape(struct slice s, uint8_t *out) {
  if (s.size >= 3 && s.data[0] == 'x') return value_hex_byte(s.data + 1, out) ? 3 : 0;
  for (size_t i = 0; s.size && i < VALUE_COUNT_OF(value_escapes); i++) {
    if (value_escapes[i].letter != s.data[0]) continue;
    *out = value_escapes[i].byte;
    return 1;
  }
  return 0;
}

static bool value_parse_quoted(struct slice token, struct value *out) {
  uint8_t text[RULE_TEXT_MAX];
  size_t size = 0;
  if (token.size > sizeof text) return false;
  while (token.size) {
    uint8_t byte = token.data[0];
    token = slice_from(token, 1);
    if (byte == '\\') {
      size_t taken = value_unescape(token, &byte);
      if (!taken) return false;
      token = slice_from(token, taken);
    }
    text[size++] = byte;
  }
  value_keep(out, slice_of(text, size));
  return true;
}

static bool value_good_filter(struct value *out) {
  return topic_check_filter(out->text) == TOPIC_GOOD;
}

static bool value_parse_filter(struct slice token, struct value *out) {
  return value_parse_word(token, out) && value_good_filter(out);
}

static bool value_parse_filter_quoted(struct slice token, struct value *out) {
  return value_parse_quoted(token, out) && value_good_filter(out);
}

static bool value_parse_bytes(struct slice token, struct value *out) {
  uint8_t bytes[RULE_TEXT_MAX / 2];
  struct slice prefix = slice_text("hex:");
  if (token.size <= prefix.size || !slice_equal(slice_first(token, prefix.size), prefix)) return false;
  token = slice_from(token, prefix.size);
  if (token.size % 2 || token.size / 2 > sizeof bytes) return false;
  for (size_t i = 0; i < token.size; i += 2)
    if (!value_hex_byte(token.data + i, &bytes[i / 2])) return false;
  value_keep(out, slice_of(bytes, token.size / 2));
  return true;
}

static bool value_parse_bytes_quoted(struct slice token, struct value *out) {
  return token.size && value_parse_quoted(token, out);
}

static void value_print_number(const struct value *v, struct printer *to) {
  printer_put(to, "%lld", (long long)v->number);
}

static void value_print_size(const struct value *v, struct printer *to) {
  value_put_size(to, v->number);
}

static void value_print_ratio(const struct value *v, struct printer *to) {
  value_put_decimal(to, v->number, VALUE_RATIO_ONE);
}

static void value_print_duration(const struct value *v, struct printer *to) {
  value_put_duration(to, v->number);
}

static void value_print_distribution(const struct value *v, struct printer *to) {
  distribution_print(&v->distribution, &value_durations, to);
}

static void value_print_pieces(const struct value *v, struct printer *to) {
  distribution_print(&v->distribution, &value_pieces, to);
}

static void value_print_flag(const struct value *v, struct printer *to) {
  printer_put(to, v->number ? "true" : "false");
}

static void value_print_direction(const struct value *v, struct printer *to) {
  printer_put(to, v->number ? "up" : "down");
}

static void value_print_who(const struct value *v, struct printer *to) {
  printer_put(to, "%s", value_whos[v->number]);
}

static void value_print_spot(const struct value *v, struct printer *to) {
  spot_print(&v->spot, to);
}

static bool value_is_plain(uint8_t c) {
  return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '(';
}

static void value_put_escaped(struct printer *to, uint8_t c) {
  for (size_t i = 0; i < VALUE_COUNT_OF(value_escapes); i++) {
    if (value_escapes[i].byte != c) continue;
    printer_put(to, "\\%c", value_escapes[i].letter);
    return;
  }
  if (c >= ' ' && c < 0x7f) printer_put(to, "%c", c);
  else printer_put(to, "\\x%02x", c);
}

/* Without quotes where it can do without. */
static void value_print_text(const struct value *v, struct printer *to) {
  bool plain = v->text.size > 0;
  for (size_t i = 0; i < v->text.size; i++) plain = plain && value_is_plain(v->text.data[i]);
  if (plain) {
    printer_put(to, "%.*s", (int)v->text.size, (const char *)v->text.data);
    return;
  }
  printer_put(to, "\"");
  for (size_t i = 0; i < v->text.size; i++) value_put_escaped(to, v->text.data[i]);
  printer_put(to, "\"");
}

static void value_print_bytes(const struct value *v, struct printer *to) {
  printer_put(to, "hex:");
  for (size_t i = 0; i < v->text.size; i++) printer_put(to, "%02x", v->text.data[i]);
}

static bool value_parse_error(struct slice s, struct value *out) {
  out->number = errname_find(s);
  return out->number != 0;
}

static void value_print_error(const struct value *v, struct printer *to) {
  printer_put(to, "%s", errname_text((int)v->number));
}

static const struct value_row value_rows[VALUE_KINDS] = {
  [VALUE_COUNT] = { "a number from 1", value_parse_count, NULL, value_print_number },
  [VALUE_PACKET_ID] = { "a packet identifier (0 to 65535)", value_parse_packet_id, NULL, value_print_number },
  [VALUE_QOS] = { "a QoS (0 to 3)", value_parse_qos, NULL, value_print_number },
  [VALUE_CODE] = { "a reason code (0 to 255, or 0x80)", value_parse_code, NULL, value_print_number },
  [VALUE_OFFSET] = { "a number of bytes (7, or -1 for one before the end)", value_parse_offset, NULL,
                     value_print_number },
  [VALUE_SIZE] = { "a number of bytes (1500, 64k, 2M)", value_parse_size, NULL, value_print_size },
  [VALUE_PIECE] = { "a number of bytes from 1 (16, 64k, 2M)", value_parse_piece, NULL, value_print_size },
  [VALUE_PIECES] = { "a number of bytes from 1 (16, 64k) or uniform(100,300), normal(200,50), exponential(200), "
                     "pareto(100,1.5)",
                     value_parse_pieces, NULL, value_print_pieces },
  [VALUE_GATHER] = { "a number of bytes from 1 to 1M (1500, 64k)", value_parse_gather, NULL, value_print_size },
  [VALUE_COPIES] = { "how many times more (1 to 1000)", value_parse_copies, NULL, value_print_number },
  [VALUE_RATIO] = { "a probability (0.25 or 25%)", value_parse_ratio, NULL, value_print_ratio },
  [VALUE_DURATION] = { "a duration (250ms, 1.5s)", value_parse_duration, NULL, value_print_duration },
  [VALUE_DISTRIBUTION] = { "a duration (250ms, 1.5s) or uniform(10ms,20ms), normal(120ms,30ms), exponential(50ms), "
                           "pareto(10ms,1.5)",
                           value_parse_distribution, NULL, value_print_distribution },
  [VALUE_FLAG] = { "true or false", value_parse_flag, NULL, value_print_flag },
  [VALUE_DIRECTION] = { "up or down", value_parse_direction, NULL, value_print_direction },
  [VALUE_WHO] = { "who=client, who=broker or who=both", value_parse_who, NULL, value_print_who },
  [VALUE_ERROR] = { "the name of an error number (EINTR, ECONNRESET)", value_parse_error, NULL, value_print_error },
  [VALUE_SPOT] = { "what is corrupted (byte=3,bit=0 or field=topic, also together)", value_parse_spot, NULL,
                   value_print_spot },
  [VALUE_TEXT] = { "a word or a \"text\" in quotes", value_parse_word, value_parse_quoted, value_print_text },
  [VALUE_FILTER] = { "a topic filter (a/+/c, \"a b/#\")", value_parse_filter, value_parse_filter_quoted,
                     value_print_text },
  [VALUE_BYTES] = { "bytes (hex:6202, or \"text\" in quotes with \\x00)", value_parse_bytes, value_parse_bytes_quoted,
                    value_print_bytes },
};

bool value_parse(enum value_kind kind, struct slice token, bool quoted, struct value *out) {
  const struct value_row *row = &value_rows[kind];
  *out = (struct value){ .given = true };
  if (quoted ? row->parse_quoted && row->parse_quoted(token, out) : row->parse(token, out)) return true;
  value_fini(out);
  return false;
}

void value_print(enum value_kind kind, const struct value *v, struct printer *to) {
  value_rows[kind].print(v, to);
}

void value_fini(struct value *v) {
  free((void *)v->text.data);
  *v = (struct value){ 0 };
}

const char *value_expected(enum value_kind kind) {
  return value_rows[kind].expected;
}

const char *value_near(enum value_kind kind, struct slice token) {
  return kind == VALUE_ERROR ? errname_near(token) : NULL;
}
