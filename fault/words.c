#include "fault/words.h"

#include "mqtt/spec.h"

#define WORDS_TYPE(type) (UINT32_C(1) << (type))
#define WORDS_OF_PUBLISH WORDS_TYPE(SPEC_PUBLISH)
#define WORDS_WITH_ID                                                                                                  \
  (WORDS_TYPE(SPEC_PUBLISH) | WORDS_TYPE(SPEC_PUBACK) | WORDS_TYPE(SPEC_PUBREC) | WORDS_TYPE(SPEC_PUBREL) |            \
   WORDS_TYPE(SPEC_PUBCOMP) | WORDS_TYPE(SPEC_SUBSCRIBE) | WORDS_TYPE(SPEC_SUBACK) | WORDS_TYPE(SPEC_UNSUBSCRIBE) |    \
   WORDS_TYPE(SPEC_UNSUBACK))
#define WORDS_WITH_REASON                                                                                              \
  (WORDS_TYPE(SPEC_CONNACK) | WORDS_TYPE(SPEC_PUBACK) | WORDS_TYPE(SPEC_PUBREC) | WORDS_TYPE(SPEC_PUBREL) |            \
   WORDS_TYPE(SPEC_PUBCOMP) | WORDS_TYPE(SPEC_SUBACK) | WORDS_TYPE(SPEC_UNSUBACK) | WORDS_TYPE(SPEC_DISCONNECT) |      \
   WORDS_TYPE(SPEC_AUTH))

/* Places. */
#define WORDS_DATA    (WORDS_PACKETS | WORDS_BYTES)
#define WORDS_UP      (WORDS_DATA | WORDS_END)
#define WORDS_ALL     (WORDS_UP | WORDS_ENTRY)
#define WORDS_COUNTED (WORDS_PACKETS | WORDS_END | WORDS_ENTRY | WORDS_CALLS | WORDS_TLS)
#define WORDS_ANY     (WORDS_ALL | WORDS_CALLS | WORDS_TLS)

/* Arguments. */
#define WORDS_ONE(kind)                                                                                                \
  {                                                                                                                    \
    { kind, false }                                                                                                    \
  }
#define WORDS_MAYBE(kind)                                                                                              \
  {                                                                                                                    \
    { kind, true }                                                                                                     \
  }
#define WORDS_TWO(kind)                                                                                                \
  {                                                                                                                    \
    { kind, false }, {                                                                                                 \
      kind, false                                                                                                      \
    }                                                                                                                  \
  }
#define WORDS_WITH(kind, more)                                                                                         \
  {                                                                                                                    \
    { kind, false }, {                                                                                                 \
      more, true                                                                                                       \
    }                                                                                                                  \
  }
#define WORDS_ALONE WORDS_ONE(VALUE_NONE)

/* Sentences. */
#define WORDS_SELECTS "it looks into packets, and there is none here"
#define WORDS_COUNTS  "bytes have no occurrences: say where with at_byte"
#define WORDS_ENDS    "there is no connection yet: refuse it, or delay it"
#define WORDS_BEGUN   "times count from the beginning of a connection, and there is none yet"
#define WORDS_COMING                                                                                                   \
  "only what is coming in can be refused (connect, accept): a connection that is up can be ended by rst, fin or close"
#define WORDS_OF_TLS    "it is about TLS: say tls in place of packets"
#define WORDS_OWN_CALLS "only own system calls come up short or fail: sys send, or in Lua c.sys:on(\"send\")"

/* Rows, by the kind of word. */
#define WORDS_SELECTOR(name, kind, of)                                                                                 \
  { name, WORDS_WHICH, WORDS_ONE(kind), WORDS_PACKETS, WORDS_SELECTS, .types = of }
#define WORDS_OCCURS(name, args)                                                                                       \
  { name, WORDS_OCCURRENCE, args, WORDS_COUNTED, WORDS_COUNTS, .expects = true }
#define WORDS_PICKS(name, kind)                                                                                        \
  { name, WORDS_OCCURRENCE, WORDS_ONE(kind), WORDS_COUNTED, WORDS_COUNTS }
#define WORDS_PLACED(name, args, where, why)                                                                           \
  { name, WORDS_POSITION, args, where, why }
#define WORDS_ACTS(name, args, where, why)                                                                             \
  { name, WORDS_ACTION, args, where, why }
#define WORDS_ACTS_AT(name, args, where, why)                                                                          \
  { name, WORDS_ACTION, args, where, why, .placed = true }
#define WORDS_OBLIGES(name, args)                                                                                      \
  { name, WORDS_OBLIGATION, args, WORDS_ANY, "" }

static const struct words_row words_rows[WORDS_IDS] = {
  [WORDS_QOS] = WORDS_SELECTOR("qos", VALUE_QOS, WORDS_OF_PUBLISH),
  [WORDS_ID] = WORDS_SELECTOR("id", VALUE_PACKET_ID, WORDS_WITH_ID),
  [WORDS_TOPIC] = WORDS_SELECTOR("topic", VALUE_FILTER, WORDS_OF_PUBLISH),
  [WORDS_CLIENT] = { "client", WORDS_WHICH, WORDS_ONE(VALUE_TEXT), WORDS_PACKETS | WORDS_END,
                     "who the client is, is known from its packets only" },
  [WORDS_DUP] = WORDS_SELECTOR("dup", VALUE_FLAG, WORDS_OF_PUBLISH),
  [WORDS_RETAIN] = WORDS_SELECTOR("retain", VALUE_FLAG, WORDS_OF_PUBLISH),
  [WORDS_SIZE] = { "size", WORDS_WHICH, WORDS_WITH(VALUE_SIZE, VALUE_SIZE), WORDS_PACKETS, WORDS_SELECTS },
  [WORDS_REASON] = WORDS_SELECTOR("reason", VALUE_CODE, WORDS_WITH_REASON),
  [WORDS_PROP] = { "prop", WORDS_WHICH, WORDS_ONE(VALUE_TEXT), WORDS_PACKETS, WORDS_SELECTS,
                   .needs = "packets have properties in MQTT 5.0 only, and this version speaks 3.1.1" },
  [WORDS_WHERE] = { "where", WORDS_WHICH, WORDS_ALONE, WORDS_PACKETS, WORDS_SELECTS },

  [WORDS_AFTER] = { "after", WORDS_OCCURRENCE, WORDS_ONE(VALUE_TEXT), WORDS_ANY, "" },
  [WORDS_DURING] = { "during", WORDS_OCCURRENCE, WORDS_TWO(VALUE_DURATION), WORDS_UP, WORDS_BEGUN },
  [WORDS_AT] = { "at", WORDS_OCCURRENCE, WORDS_ONE(VALUE_DURATION), WORDS_UP, WORDS_BEGUN, .expects = true },
  [WORDS_FIRST] = WORDS_OCCURS("first", WORDS_ALONE),
  [WORDS_NTH] = WORDS_OCCURS("nth", WORDS_ONE(VALUE_COUNT)),
  [WORDS_RANGE] = WORDS_OCCURS("range", WORDS_TWO(VALUE_COUNT)),
  [WORDS_EVERY] = WORDS_OCCURS("every", WORDS_ONE(VALUE_COUNT)),
  [WORDS_PROB] = WORDS_PICKS("prob", VALUE_RATIO),
  [WORDS_TIMES] = WORDS_PICKS("times", VALUE_COUNT),
  [WORDS_ACROSS] = { "across", WORDS_COUNTING, WORDS_ALONE, WORDS_COUNTED, WORDS_COUNTS },

  [WORDS_AT_BYTE] = WORDS_PLACED("at_byte", WORDS_ONE(VALUE_OFFSET), WORDS_DATA, "there are no bytes here"),
  [WORDS_BEFORE] =
      WORDS_PLACED("before", WORDS_ALONE, WORDS_PACKETS, "it stands before a packet, and there is none here"),
  [WORDS_AFTER_PACKET] =
      WORDS_PLACED("after_packet", WORDS_ALONE, WORDS_PACKETS, "it stands behind a packet, and there is none here"),

  [WORDS_DELAY] = WORDS_ACTS_AT("delay", WORDS_ONE(VALUE_DISTRIBUTION), WORDS_ALL, ""),
  [WORDS_RATE] = WORDS_ACTS_AT("rate", WORDS_ONE(VALUE_PIECE), WORDS_DATA, "there are no bytes here to be slowed down"),
  [WORDS_SPLIT] = WORDS_ACTS_AT("split", WORDS_WITH(VALUE_PIECES, VALUE_DURATION), WORDS_DATA,
                                "there are no bytes here to be split"),
  [WORDS_COALESCE] = WORDS_ACTS("coalesce", WORDS_WITH(VALUE_GATHER, VALUE_DURATION), WORDS_DATA,
                                "there are no bytes here to be put together"),
  [WORDS_STALL] = WORDS_ACTS_AT("stall", WORDS_MAYBE(VALUE_DURATION), WORDS_UP, WORDS_ENDS),
  [WORDS_BLACKHOLE] =
      WORDS_ACTS_AT("blackhole", WORDS_MAYBE(VALUE_DURATION), WORDS_DATA, "there are no bytes here to be discarded"),
  [WORDS_CORRUPT] =
      WORDS_ACTS("corrupt", WORDS_MAYBE(VALUE_SPOT), WORDS_DATA, "there are no bytes here to be corrupted"),
  [WORDS_TRUNCATE] =
      WORDS_ACTS("truncate", WORDS_ONE(VALUE_OFFSET), WORDS_DATA, "there are no bytes here to be cut off"),

  [WORDS_RST] = WORDS_ACTS_AT("rst", WORDS_MAYBE(VALUE_WHO), WORDS_UP, WORDS_ENDS),
  [WORDS_FIN] = WORDS_ACTS_AT("fin", WORDS_MAYBE(VALUE_DIRECTION), WORDS_UP, WORDS_ENDS),
  [WORDS_CLOSE] = WORDS_ACTS_AT("close", WORDS_ALONE, WORDS_UP, WORDS_ENDS),
  [WORDS_SLOW_CLOSE] = WORDS_ACTS_AT("slow_close", WORDS_ONE(VALUE_DURATION), WORDS_UP, WORDS_ENDS),
  [WORDS_VANISH] = WORDS_ACTS_AT("vanish", WORDS_ALONE, WORDS_UP, WORDS_ENDS),

  [WORDS_REFUSE] = WORDS_ACTS("refuse", WORDS_ALONE, WORDS_ENTRY, WORDS_COMING),
  [WORDS_NO_ANSWER] = WORDS_ACTS("no_answer", WORDS_ALONE, WORDS_ENTRY,
                                 "only a connect goes unanswered (connect, accept): take vanish or stall for a "
                                 "connection that is up"),
  [WORDS_DEAD_UPSTREAM] = WORDS_ACTS("dead_upstream", WORDS_ALONE, WORDS_ENTRY,
                                     "it is about the way from a proxy to its upstream (connect, accept)"),

  [WORDS_DROP] = WORDS_ACTS("drop", WORDS_ALONE, WORDS_PACKETS | WORDS_END,
                            "it takes whole packets away, and a byte stream cannot lose any: take blackhole for "
                            "bytes, refuse for connections"),
  [WORDS_COPY] =
      WORDS_ACTS("dup", WORDS_ONE(VALUE_COPIES), WORDS_PACKETS, "it sends whole packets again, and there is none here"),
  [WORDS_OVERTAKE] = WORDS_ACTS("overtake", WORDS_MAYBE(VALUE_COUNT), WORDS_PACKETS,
                                "it puts packets behind others, and a byte stream keeps its order"),
  [WORDS_HOLD] = WORDS_ACTS("hold", WORDS_ALONE, WORDS_PACKETS | WORDS_END,
                            "it takes whole packets out of the stream: take stall for bytes, delay for connections"),
  [WORDS_REWRITE] =
      WORDS_ACTS("rewrite", WORDS_ALONE, WORDS_PACKETS, "it rewrites whole packets, and there is none here"),
  [WORDS_INJECT] = WORDS_ACTS_AT("inject", WORDS_ONE(VALUE_BYTES), WORDS_UP, WORDS_ENDS),

  [WORDS_SHORT] = WORDS_ACTS("short", WORDS_ONE(VALUE_PIECE), WORDS_CALLS, WORDS_OWN_CALLS),
  [WORDS_ERRNO] = WORDS_ACTS("errno", WORDS_ONE(VALUE_ERROR), WORDS_CALLS, WORDS_OWN_CALLS),
  [WORDS_FAIL] = WORDS_ACTS("fail", WORDS_ALONE, WORDS_CALLS, WORDS_OWN_CALLS),

  [WORDS_CERT] = WORDS_ACTS("cert", WORDS_ONE(VALUE_TEXT), WORDS_TLS, WORDS_OF_TLS),
  [WORDS_ALERT] = WORDS_ACTS("alert", WORDS_WITH(VALUE_TEXT, VALUE_TEXT), WORDS_TLS, WORDS_OF_TLS),
  [WORDS_STALL_AT] = WORDS_ACTS("stall_at", WORDS_WITH(VALUE_TEXT, VALUE_DURATION), WORDS_TLS, WORDS_OF_TLS),
  [WORDS_CLOSE_WITHOUT_NOTIFY] = WORDS_ACTS("close_without_notify", WORDS_ALONE, WORDS_TLS, WORDS_OF_TLS),

  [WORDS_MUST_FIRE] = WORDS_OBLIGES("must_fire", WORDS_MAYBE(VALUE_COUNT)),
  [WORDS_MAY_FIRE] = WORDS_OBLIGES("may_fire", WORDS_ALONE),
  [WORDS_NAME] = WORDS_OBLIGES("name", WORDS_ONE(VALUE_TEXT)),
};

#define WORDS_NEED_SIM "it exists in simulation only, and this is a real network"
#define WORDS_NEED_SYS "it is an own system call, which has no direction: say sys in place of one, in Lua c.sys"

static const struct {
  const char *name, *needs;
} words_absents[] = {
  { "loss", "packets of the network are lost in simulation only, and are sent again by TCP: what it costs is a delay" },
  { "partition", WORDS_NEED_SIM },
  { "oneway", WORDS_NEED_SIM },
  { "heal", WORDS_NEED_SIM },
  { "jump", WORDS_NEED_SIM },
  { "drift", WORDS_NEED_SIM },
  { "socket", WORDS_NEED_SYS },
  { "send", WORDS_NEED_SYS },
  { "recv", WORDS_NEED_SYS },
  { "alloc", WORDS_NEED_SYS },
};

const char *words_call(unsigned call) {
  return call == WORDS_ALLOC ? "alloc" : oscall_name((enum oscall)call);
}

const struct words_row *words_row(enum words_id id) {
  return &words_rows[id];
}

enum words_id words_find(struct slice name) {
  for (int id = 0; id < WORDS_IDS; id++)
    if (slice_equal(name, slice_text(words_rows[id].name))) return (enum words_id)id;
  return WORDS_IDS;
}

enum words_id words_twin(enum words_id id) {
  for (int other = 0; other < WORDS_IDS; other++)
    if (other != (int)id && strcmp(words_rows[other].name, words_rows[id].name) == 0) return (enum words_id)other;
  return WORDS_IDS;
}

const char *words_absent(struct slice name) {
  for (size_t i = 0; i < sizeof words_absents / sizeof words_absents[0]; i++)
    if (slice_equal(name, slice_text(words_absents[i].name))) return words_absents[i].needs;
  return NULL;
}
