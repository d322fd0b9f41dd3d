#include "fault/distribution.h"

#include "base/rng.h"
#include "fault/value.h"

struct distribution_row {
  const char *name;
  unsigned args;
  int64_t (*draw)(const struct distribution *d, struct rng *rng);
};

static int64_t distribution_constant(const struct distribution *d, struct rng *rng) {
  (void)rng;
  return d->a_ns;
}

static int64_t distribution_uniform(const struct distribution *d, struct rng *rng) {
  return d->a_ns + (int64_t)rng_below(rng, (uint64_t)(d->b_ns - d->a_ns) + 1);
}

/* The sum of twelve uniform numbers is nearly normal, with deviation 1: no logarithm, no root. */
static int64_t distribution_normal(const struct distribution *d, struct rng *rng) {
  int64_t sum = -6 * (INT64_C(1) << 32);
  for (int i = 0; i < 12; i++) sum += (int64_t)(rng_next(rng) >> 32);
  int64_t off_ns = (int64_t)((__int128)sum * d->b_ns / (INT64_C(1) << 32));
  return d->a_ns + off_ns < 0 ? 0 : d->a_ns + off_ns;
}

/* -log2 of (x / 2^63) with 32 bits behind the point, for x from 1 to 2^63: the bits of a logarithm come from squaring
 * again and again. */
static uint64_t distribution_minus_log2(uint64_t x) {
  uint64_t whole = 0, part = 0;
  while (!(x >> 63)) {
    x <<= 1;
    whole++;
  }
  for (int bit = 31; bit >= 0; bit--) {
    unsigned __int128 square = (unsigned __int128)x * x;
    bool carry = (square >> 127) != 0;
    x = (uint64_t)(square >> (carry ? 64 : 63));
    if (carry) part |= UINT64_C(1) << bit;
  }
  return (whole << 32) - part;
}

static int64_t distribution_exponential(const struct distribution *d, struct rng *rng) {
  const uint64_t ln2 = 2977044472; /* 2^32 times the natural logarithm of 2 */
  uint64_t log = distribution_minus_log2((rng_next(rng) >> 1) | 1);
  return (int64_t)((((unsigned __int128)log * ln2) >> 32) * (uint64_t)d->a_ns >> 32);
}

static const struct distribution_row distribution_rows[DISTRIBUTION_SHAPES] = {
  [DISTRIBUTION_CONSTANT] = { NULL, 1, distribution_constant },
  [DISTRIBUTION_UNIFORM] = { "uniform", 2, distribution_uniform },
  [DISTRIBUTION_NORMAL] = { "normal", 2, distribution_normal },
  [DISTRIBUTION_EXPONENTIAL] = { "exponential", 1, distribution_exponential },
};

static struct slice distribution_trim(struct slice s) {
  while (s.size && s.data[0] == ' ') s = slice_from(s, 1);
  while (s.size && s.data[s.size - 1] == ' ') s.size--;
  return s;
}

/* What stands between the parentheses behind the name. */
static bool distribution_inside(struct slice text, const char *name, struct slice *inside) {
  struct slice head = slice_text(name);
  if (text.size < head.size + 2 || memcmp(text.data, head.data, head.size) != 0) return false;
  if (text.data[head.size] != '(' || text.data[text.size - 1] != ')') return false;
  *inside = slice_of(text.data + head.size + 1, text.size - head.size - 2);
  return true;
}

static bool distribution_args(struct slice inside, unsigned args, struct distribution *out) {
  if (args == 1) return value_duration(distribution_trim(inside), &out->a_ns);
  const uint8_t *comma = memchr(inside.data, ',', inside.size);
  if (!comma) return false;
  size_t first = (size_t)(comma - inside.data);
  return value_duration(distribution_trim(slice_first(inside, first)), &out->a_ns) &&
         value_duration(distribution_trim(slice_from(inside, first + 1)), &out->b_ns);
}

bool distribution_parse(struct slice text, struct distribution *out) {
  *out = (struct distribution){ .shape = DISTRIBUTION_CONSTANT };
  if (value_duration(text, &out->a_ns)) return true;
  for (unsigned shape = DISTRIBUTION_UNIFORM; shape < DISTRIBUTION_SHAPES; shape++) {
    const struct distribution_row *row = &distribution_rows[shape];
    struct slice inside;
    if (!distribution_inside(text, row->name, &inside)) continue;
    out->shape = shape;
    return distribution_args(inside, row->args, out) && (shape != DISTRIBUTION_UNIFORM || out->a_ns <= out->b_ns);
  }
  return false;
}

void distribution_print(const struct distribution *d, struct printer *to) {
  const struct distribution_row *row = &distribution_rows[d->shape];
  if (row->name) printer_put(to, "%s(", row->name);
  value_put_duration(to, d->a_ns);
  if (row->args == 2) {
    printer_put(to, ",");
    value_put_duration(to, d->b_ns);
  }
  if (row->name) printer_put(to, ")");
}

int64_t distribution_draw(const struct distribution *d, uint64_t bits) {
  struct rng rng = { bits };
  return distribution_rows[d->shape].draw(d, &rng);
}
