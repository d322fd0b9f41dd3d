/* value: the arguments of a rule's words: counts, durations, sizes, texts, bytes. One table of kinds, each read and
 * printed by a row. */
#ifndef MQRIG_VALUE_H
#define MQRIG_VALUE_H

#include "fault/distribution.h"
#include "fault/spot.h"

#define VALUE_DURATION_MAX_NS DISTRIBUTION_MAX
#define VALUE_RATIO_ONE       1000000000 /* a ratio is in parts of this */
#define VALUE_GATHER_MAX      (1 << 20)  /* bytes put together */
#define VALUE_COPIES_MAX      1000

enum value_kind {
  VALUE_NONE,
  VALUE_COUNT,        /* from 1 */
  VALUE_PACKET_ID,    /* 0 to 65535 */
  VALUE_QOS,          /* 0 to 3 */
  VALUE_CODE,         /* 0 to 255 */
  VALUE_OFFSET,       /* whole, also negative */
  VALUE_SIZE,         /* bytes: 1500, 64k, 2M */
  VALUE_PIECE,        /* the same, from 1 */
  VALUE_PIECES,       /* such a size, or uniform(100,300) */
  VALUE_GATHER,       /* the same, to VALUE_GATHER_MAX */
  VALUE_COPIES,       /* 1 to VALUE_COPIES_MAX */
  VALUE_RATIO,        /* 0.25, 25% */
  VALUE_DURATION,     /* 250ms, 1.5s; a bare number is seconds */
  VALUE_DISTRIBUTION, /* a duration, or normal(120ms,30ms) */
  VALUE_FLAG,         /* true, false */
  VALUE_DIRECTION,    /* up, down */
  VALUE_WHO,          /* who=both, who=client, who=broker */
  VALUE_ERROR,        /* EINTR: an error number by its name */
  VALUE_SPOT,         /* field=topic,byte=3,bit=0 */
  VALUE_TEXT,         /* a word or "quoted" */
  VALUE_FILTER,       /* a topic filter */
  VALUE_BYTES,        /* hex:6202 or "quoted" */
  VALUE_KINDS
};

enum value_who { VALUE_BOTH, VALUE_CLIENT, VALUE_BROKER };

struct value {
  bool given;
  int64_t number; /* counts, bytes, nanoseconds, parts of VALUE_RATIO_ONE, flags; direction: 1 is up; enum value_who;
                     errno */
  struct distribution distribution;
  struct spot spot;
  struct slice text; /* owned */
};

/* Reads the token; `quoted`: it stands between quotes, which are not part of it, with its escapes. False: it is not of
 * that kind. */
bool value_parse(enum value_kind kind, struct slice token, bool quoted, struct value *out);
void value_print(enum value_kind kind, const struct value *v, struct printer *to);
void value_fini(struct value *v);

/* What is expected, for a sentence: "a duration (250ms, 1.5s)". */
const char *value_expected(enum value_kind kind);

/* Of VALUE_DISTRIBUTION. */
extern const struct distribution_unit value_durations;

/* The value that a mistyped one most likely meant, or NULL. */
const char *value_near(enum value_kind kind, struct slice token);

bool value_duration(struct slice token, int64_t *out_ns);
void value_put_duration(struct printer *to, int64_t ns);

/* A decimal number, in parts of VALUE_RATIO_ONE. */
bool value_number(struct slice token, int64_t *out);
void value_put_number(struct printer *to, int64_t number);

#endif
