#include <assert.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "mqtt/broker.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "mqtt/idset.h"
#include "mqtt/strict.h"

/* Bytes, commands and time over a few connections. The input is a row of commands, each a byte and what it takes from
 * the input itself. What the broker sends is looked at as a client sees it: well-formed packets that a broker may send,
 * CONNACK first and nothing behind a refusal, no identifier given again while it is in flight. */

enum { CONNS = 5, TEXTS = 8 };

static const char *const broker_fuzz_ids[TEXTS] = { "a", "b", "c", "", "a", "\xef\xbb\xbf", "b", "d" };
static const char *const broker_fuzz_topics[TEXTS] = { "t", "a/b", "a", "$x/y", "$SYS/z", "a//", "/", "a/b/c" };
static const char *const broker_fuzz_filters[TEXTS] = { "t", "#", "+/b", "a/#", "$x/+", "a/+/c", "a//", "bad#" };

/* One transport as its client sees it. */
struct broker_fuzz_conn {
  struct broker_conn *conn; /* NULL: none */
  struct buffer up, down;   /* not yet whole packets */
  struct idset inflight;
  bool accepted, refused, lost_up;
};

struct broker_fuzz {
  struct broker *broker;
  struct broker_fuzz_conn conns[CONNS];
  struct slice input;
  int64_t now_ns;
};

static uint8_t broker_fuzz_byte(struct broker_fuzz *f) {
  if (!f->input.size) return 0;
  uint8_t byte = f->input.data[0];
  f->input = slice_from(f->input, 1);
  return byte;
}

/* The client's own acknowledgements end what is in flight. */
static void broker_fuzz_watch_up(struct broker_fuzz_conn *c, struct slice bytes) {
  struct packet p;
  enum decode_result result = DECODE_NEED_MORE;
  if (c->lost_up) return;
  assert(buffer_append(&c->up, bytes));
  while (buffer_size(&c->up) && (result = decode_packet(buffer_slice(&c->up), SPEC_3_1_1, &p, NULL)) == DECODE_OK) {
    if (p.type == SPEC_PUBACK || p.type == SPEC_PUBCOMP) idset_remove(&c->inflight, p.packet_id);
    buffer_consume(&c->up, p.raw.size);
  }
  c->lost_up = result == DECODE_BAD;
}

static void broker_fuzz_check_down(struct broker_fuzz_conn *c, const struct packet *p) {
  struct strict_violation violations[STRICT_VIOLATIONS_MAX];
  assert(strict_check(p, SPEC_BROKER, violations) == 0);
  assert(!c->refused);
  assert((p->type == SPEC_CONNACK) == !c->accepted);
  c->accepted = true;
  if (p->type == SPEC_CONNACK && p->reason_code) c->refused = true;
  if (p->type == SPEC_PUBLISH && p->qos) assert(idset_add(&c->inflight, p->packet_id));
}

static void broker_fuzz_watch_down(struct broker_fuzz_conn *c, struct slice bytes) {
  struct packet p;
  enum decode_result result = DECODE_NEED_MORE;
  assert(buffer_append(&c->down, bytes));
  while (buffer_size(&c->down) && (result = decode_packet(buffer_slice(&c->down), SPEC_3_1_1, &p, NULL)) == DECODE_OK) {
    broker_fuzz_check_down(c, &p);
    buffer_consume(&c->down, p.raw.size);
  }
  assert(result != DECODE_BAD);
  assert(slice_equal(broker_partial_out(c->conn), buffer_slice(&c->down)));
}

static void broker_fuzz_take(struct broker_fuzz *f, struct broker_fuzz_conn *c, size_t most) {
  struct slice out = slice_first(broker_output(c->conn, f->now_ns), most);
  if (!out.size) return;
  uint8_t *copy = malloc(out.size);
  memcpy(copy, out.data, out.size);
  broker_wrote(c->conn, out.size, f->now_ns);
  broker_fuzz_watch_down(c, slice_of(copy, out.size));
  free(copy);
}

static void broker_fuzz_gone(struct broker_fuzz *f, struct broker_fuzz_conn *c) {
  if (!c->conn) return;
  broker_gone(c->conn, f->now_ns);
  buffer_fini(&c->up);
  buffer_fini(&c->down);
  idset_fini(&c->inflight);
  *c = (struct broker_fuzz_conn){ 0 };
}

static struct broker_fuzz_conn *broker_fuzz_open(struct broker_fuzz *f, struct broker_fuzz_conn *c) {
  if (c->conn) return c;
  buffer_init(&c->up, 1 << 24);
  buffer_init(&c->down, 1 << 26);
  c->conn = broker_accept(f->broker, c, f->now_ns);
  return c;
}

static void broker_fuzz_feed(struct broker_fuzz *f, struct broker_fuzz_conn *c, struct slice bytes) {
  if (!bytes.size) return;
  broker_fuzz_watch_up(c, bytes);
  broker_feed(c->conn, bytes, f->now_ns);
}

/* A packet from what the byte says, good for the most part. */
static struct packet broker_fuzz_packet(struct broker_fuzz *f, uint8_t type, struct buffer *items) {
  uint8_t how = broker_fuzz_byte(f), which = how % TEXTS;
  struct packet p = { .type = type, .version = SPEC_3_1_1, .packet_id = (uint16_t)(how >> 5) };
  p.topic = slice_text(broker_fuzz_topics[which]);
  p.payload = slice_first(f->input, how >> 3 & 7);
  p.qos = type == SPEC_PUBLISH ? broker_fuzz_byte(f) % 3 : 0;
  p.retain = type == SPEC_PUBLISH && (how & 0x40);
  p.protocol_name = slice_text("MQTT");
  p.protocol_version = 4;
  p.client_id = slice_text(broker_fuzz_ids[which]);
  p.clean = how >> 3 & 1;
  p.has_will = how >> 4 & 1;
  if (p.has_will)
    p.will = (struct packet_will){ p.topic, p.payload, slice_of(NULL, 0), (uint8_t)((how >> 5) % 3), how >> 7 };
  p.keepalive_s = how >> 6;
  if (type == SPEC_SUBSCRIBE) encode_subscription(items, slice_text(broker_fuzz_filters[which]), (how >> 3) % 3);
  if (type == SPEC_UNSUBSCRIBE) encode_filter(items, slice_text(broker_fuzz_filters[which]));
  p.items = buffer_slice(items);
  p.flags = packet_flags(&p);
  return p;
}

static void broker_fuzz_good(struct broker_fuzz *f, struct broker_fuzz_conn *c, uint8_t type, bool noted) {
  struct buffer items, bytes;
  buffer_init(&items, 1000);
  buffer_init(&bytes, 1000);
  struct packet p = broker_fuzz_packet(f, type, &items);
  bool has = encode_packet(&bytes, &p);
  assert(has);
  if (noted && !broker_partial_in(c->conn).size) {
    bool attached = broker_conn_client_id(c->conn).size > 0;
    broker_note(c->conn, buffer_slice(&bytes), f->now_ns);
    if (!attached && broker_conn_client_id(c->conn).size) c->accepted = true; /* the script sends CONNACK */
    if (type == SPEC_PUBACK || type == SPEC_PUBCOMP) idset_remove(&c->inflight, p.packet_id);
  } else if (!noted) {
    broker_fuzz_feed(f, c, buffer_slice(&bytes));
  }
  buffer_fini(&items);
  buffer_fini(&bytes);
}

static void broker_fuzz_later(struct broker_fuzz *f, int64_t by_ns) {
  f->now_ns += by_ns;
  broker_tick(f->broker, f->now_ns);
  assert(broker_deadline(f->broker) > f->now_ns);
}

static void broker_fuzz_everywhere(struct broker_fuzz *f) {
  struct broker_conn *conn;
  while ((conn = broker_next_output(f->broker))) {
    struct broker_fuzz_conn *c = broker_conn_user(conn);
    assert(c->conn == conn);
    while (broker_output(conn, f->now_ns).size) broker_fuzz_take(f, c, SIZE_MAX);
    if (broker_wants_close(conn, NULL)) broker_fuzz_gone(f, c);
  }
}

static void broker_fuzz_forget(struct broker_fuzz *f) {
  for (int i = 0; i < CONNS; i++) broker_fuzz_gone(f, &f->conns[i]);
  broker_forget(f->broker);
  struct broker_stats stats = broker_stats(f->broker);
  assert(!stats.connections && !stats.sessions && !stats.retained && !stats.subscriptions);
}

static void broker_fuzz_publish(struct broker_fuzz *f) {
  struct buffer none;
  buffer_init(&none, 1000);
  struct packet p = broker_fuzz_packet(f, SPEC_PUBLISH, &none);
  broker_publish(f->broker, &p, f->now_ns);
}

static void broker_fuzz_command(struct broker_fuzz *f) {
  uint8_t command = broker_fuzz_byte(f);
  struct broker_fuzz_conn *c = broker_fuzz_open(f, &f->conns[(command >> 4) % CONNS]);
  switch (command & 15) {
  case 0: broker_fuzz_gone(f, c); break;
  case 1: broker_fuzz_later(f, broker_fuzz_byte(f) * INT64_C(100000000)); break;
  case 2: broker_fuzz_take(f, c, broker_fuzz_byte(f)); break;
  case 3: broker_fuzz_everywhere(f); break;
  case 4: broker_fuzz_good(f, c, SPEC_CONNECT, false); break;
  case 5: broker_fuzz_good(f, c, SPEC_SUBSCRIBE, false); break;
  case 6:
  case 7: broker_fuzz_good(f, c, SPEC_PUBLISH, false); break;
  case 8: broker_fuzz_good(f, c, SPEC_PUBACK, false); break;
  case 9: broker_fuzz_good(f, c, SPEC_PUBREC, false); break;
  case 10: broker_fuzz_good(f, c, SPEC_PUBCOMP, false); break;
  case 11: broker_fuzz_good(f, c, SPEC_PUBREL, false); break;
  case 12: broker_fuzz_good(f, c, broker_fuzz_byte(f) & 1 ? SPEC_UNSUBSCRIBE : SPEC_DISCONNECT, false); break;
  case 13: broker_fuzz_good(f, c, 1 + broker_fuzz_byte(f) % 14, true); break;
  case 14:
    if (broker_fuzz_byte(f) == 0) broker_fuzz_forget(f);
    else broker_fuzz_publish(f);
    break;
  default: {
    size_t most = broker_fuzz_byte(f);
    struct slice bytes = slice_first(f->input, most);
    f->input = slice_from(f->input, bytes.size);
    broker_fuzz_feed(f, c, bytes);
  }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct broker_fuzz f = { .broker = broker_new(&(struct broker_options){ 6, 300, 3, NULL, NULL }),
                           .input = slice_of(data, size) };
  while (f.input.size) broker_fuzz_command(&f);
  broker_fuzz_everywhere(&f);
  broker_fuzz_forget(&f);
  broker_free(f.broker);
  return 0;
}
