#include "fault/distribution.h"

#include "base/rng.h"
#include "fault/value.h"

struct distribution_row {
  const char *name;
  unsigned args; /* the first is in the unit */
  bool shaped;   /* the second is a plain number */
  int64_t (*draw)(const struct distribution *d, struct rng *rng);
};

static int64_t distribution_constant(const struct distribution *d, struct rng *rng) {
  (void)rng;
  return d->a;
}

static int64_t distribution_uniform(const struct distribution *d, struct rng *rng) {
  return d->a + (int64_t)rng_below(rng, (uint64_t)(d->b - d->a) + 1);
}

/* The sum of twelve uniform numbers is nearly normal, with deviation 1: no logarithm, no root. */
static int64_t distribution_normal(const struct distribution *d, struct rng *rng) {
  int64_t sum = -6 * (INT64_C(1) << 32);
  for (int i = 0; i < 12; i++) sum += (int64_t)(rng_next(rng) >> 32);
  int64_t off = (int64_t)((__int128)sum * d->b / (INT64_C(1) << 32));
  return d->a + off < 0 ? 0 : d->a + off;
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
  return (int64_t)((((unsigned __int128)log * ln2) >> 32) * (uint64_t)d->a >> 32);
}

/* 2^(1/2), 2^(1/4), 2^(1/8) and so on, with 62 bits behind the point. */
static const uint64_t distribution_roots[32] = {
  0x5a827999fcef3242, 0x4c1bf828c6dc54b8, 0x45cae0f1f545eb73, 0x42d561b3e6243d8a, 0x4166c34c5615d0ec,
  0x40b268f9de0183ba, 0x4058f6a7ecccd5b6, 0x402c6be96af2fb58, 0x4016321b687027a8, 0x400b18178ba33b14,
  0x40058bce410147e8, 0x4002c5d7bff71daf, 0x400162e807ee7e5b, 0x4000b1730df6a524, 0x400058b9497b8152,
  0x40002c5c955dd701, 0x4000162e46d6f26c, 0x40000b1722757b1b, 0x4000058b90fd3e0c, 0x400002c5c86f3f26,
  0x40000162e433c79b, 0x400000b17218edd0, 0x40000058b90c3968, 0x4000002c5c860d54, 0x400000162e4302d2,
  0x4000000b17218073, 0x400000058b90bffc, 0x40000002c5c85fef, 0x4000000162e42ff3, 0x40000000b17217f9,
  0x4000000058b90bfc, 0x400000002c5c85fe,
};

/* 2 to the power of a fraction with 32 bits, with 62 bits behind the point. */
static uint64_t distribution_exp2(uint32_t part) {
  uint64_t product = UINT64_C(1) << 62;
  for (unsigned i = 0; i < 32; i++) {
    if (!(part >> (31 - i) & 1)) continue;
    product = (uint64_t)(((unsigned __int128)product * distribution_roots[i]) >> 62);
  }
  return product;
}

/* a / u^(1/b): as a power of two. */
static int64_t distribution_pareto(const struct distribution *d, struct rng *rng) {
  uint64_t log = distribution_minus_log2((rng_next(rng) >> 1) | 1);
  unsigned __int128 power = (unsigned __int128)log * VALUE_RATIO_ONE / (uint64_t)d->b;
  uint64_t once = (uint64_t)(((unsigned __int128)(uint64_t)d->a * distribution_exp2((uint32_t)power)) >> 62);
  unsigned __int128 doublings = power >> 32;
  if (doublings >= 57 || once > (uint64_t)DISTRIBUTION_MAX >> doublings) return d->a ? DISTRIBUTION_MAX : 0;
  return (int64_t)(once << doublings);
}

static const struct distribution_row distribution_rows[DISTRIBUTION_SHAPES] = {
  [DISTRIBUTION_CONSTANT] = { "fixed", 1, false, distribution_constant },
  [DISTRIBUTION_UNIFORM] = { "uniform", 2, false, distribution_uniform },
  [DISTRIBUTION_NORMAL] = { "normal", 2, false, distribution_normal },
  [DISTRIBUTION_EXPONENTIAL] = { "exponential", 1, false, distribution_exponential },
  [DISTRIBUTION_PARETO] = { "pareto", 2, true, distribution_pareto },
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

/* A plain number, above 0. */
static bool distribution_number(struct slice text, int64_t *out) {
  return value_number(text, out) && *out > 0;
}

static bool distribution_args(struct slice inside, const struct distribution_row *row,
                              const struct distribution_unit *unit, struct distribution *out) {
  if (row->args == 1) return unit->parse(distribution_trim(inside), &out->a);
  const uint8_t *comma = memchr(inside.data, ',', inside.size);
  if (!comma) return false;
  size_t first = (size_t)(comma - inside.data);
  bool (*second)(struct slice, int64_t *) = row->shaped ? distribution_number : unit->parse;
  return unit->parse(distribution_trim(slice_first(inside, first)), &out->a) &&
         second(distribution_trim(slice_from(inside, first + 1)), &out->b);
}

bool distribution_parse(struct slice text, const struct distribution_unit *unit, struct distribution *out) {
  *out = (struct distribution){ .shape = DISTRIBUTION_CONSTANT };
  if (unit->parse(text, &out->a)) return true;
  for (unsigned shape = DISTRIBUTION_CONSTANT; shape < DISTRIBUTION_SHAPES; shape++) {
    const struct distribution_row *row = &distribution_rows[shape];
    struct slice inside;
    if (!distribution_inside(text, row->name, &inside)) continue;
    out->shape = shape;
    return distribution_args(inside, row, unit, out) && (shape != DISTRIBUTION_UNIFORM || out->a <= out->b);
  }
  return false;
}

void distribution_print(const struct distribution *d, const struct distribution_unit *unit, struct printer *to) {
  const struct distribution_row *row = &distribution_rows[d->shape];
  bool plain = d->shape == DISTRIBUTION_CONSTANT;
  if (!plain) printer_put(to, "%s(", row->name);
  unit->put(to, d->a);
  if (row->args == 2) {
    printer_put(to, ",");
    if (row->shaped) value_put_number(to, d->b);
    else unit->put(to, d->b);
  }
  if (!plain) printer_put(to, ")");
}

int64_t distribution_draw(const struct distribution *d, uint64_t bits) {
  struct rng rng = { bits };
  int64_t drawn = distribution_rows[d->shape].draw(d, &rng);
  return drawn < DISTRIBUTION_MAX ? drawn : DISTRIBUTION_MAX;
}
