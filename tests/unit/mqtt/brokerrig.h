/* brokerrig: a built-in broker and clients made of bytes, for the broker's tests.
 *
 * What a client is sent stands as text in the order of coming: "CONNACK 0 0; PUBLISH q1 a/b=hello id 1; closed". Each
 * packet of the broker's is checked against the standard on its way. One rig at a time.
 */
#ifndef MQRIG_BROKERRIG_H
#define MQRIG_BROKERRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "mqtt/broker.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "mqtt/strict.h"

#define BROKERRIG_TEXT_MAX 65536
#define BROKERRIG_S        1000000000ll

struct brokerrig_client {
  struct broker_conn *conn;
  struct buffer got; /* bytes that are no whole packet yet */
  char *text;
  size_t length;
  bool stalled; /* takes no output */
};

static struct broker *brokerrig_broker;
static int64_t brokerrig_now_ns;

static inline void brokerrig_open(const struct broker_options *options) {
  brokerrig_broker = broker_new(options);
  brokerrig_now_ns = 1000 * BROKERRIG_S;
}

static inline int brokerrig_close(void **state) {
  (void)state;
  broker_free(brokerrig_broker);
  brokerrig_broker = NULL;
  return 0;
}

static inline int brokerrig_setup(void **state) {
  (void)state;
  brokerrig_open(NULL);
  return 0;
}

static inline void brokerrig_say(struct brokerrig_client *c, const char *format, ...) {
  va_list args;
  char *at = c->text + c->length;
  size_t room = BROKERRIG_TEXT_MAX - c->length;
  va_start(args, format);
  int n = snprintf(at, room, "%s", c->length ? "; " : "");
  n += vsnprintf(at + n, room - (size_t)n, format, args);
  va_end(args);
  assert_true((size_t)n < room);
  c->length += (size_t)n;
}

static inline void brokerrig_show(struct brokerrig_client *c, const struct packet *p) {
  char id[20] = "", codes[400] = "";
  if (p->packet_id) snprintf(id, sizeof id, " id %u", p->packet_id);
  for (size_t i = 0; i < p->items.size && i < 100; i++) sprintf(codes + strlen(codes), " %u", p->items.data[i]);
  const char *name = spec_packet(p->type)->name;
  if (p->type == SPEC_CONNACK) {
    brokerrig_say(c, "%s %u %u", name, p->session_present, p->reason_code);
  } else if (p->type == SPEC_PUBLISH) {
    brokerrig_say(c, "%s q%u%s%s %.*s=%.*s%s", name, p->qos, p->dup ? " dup" : "", p->retain ? " retain" : "",
                  (int)p->topic.size, (const char *)p->topic.data, p->payload.size > 40 ? 40 : (int)p->payload.size,
                  (const char *)p->payload.data, id);
  } else {
    brokerrig_say(c, "%s%s%s", name, id, codes);
  }
}

static inline void brokerrig_receive(struct brokerrig_client *c, struct slice bytes) {
  struct packet p;
  struct strict_violation violations[STRICT_VIOLATIONS_MAX];
  assert_true(buffer_append(&c->got, bytes));
  while (buffer_size(&c->got) && decode_packet(buffer_slice(&c->got), SPEC_3_1_1, &p, NULL) == DECODE_OK) {
    if (strict_check(&p, SPEC_BROKER, violations)) fail_msg("%s: %s", violations[0].clause, violations[0].text);
    brokerrig_show(c, &p);
    buffer_consume(&c->got, p.raw.size);
  }
}

/* Hands at most `most` bytes of the output over. */
static inline void brokerrig_take(struct brokerrig_client *c, size_t most) {
  for (;;) {
    struct slice out = slice_first(broker_output(c->conn, brokerrig_now_ns), most);
    if (!out.size) break;
    size_t n = out.size;
    brokerrig_receive(c, out);
    broker_wrote(c->conn, n, brokerrig_now_ns);
    most -= n;
  }
}

/* Hands over everything that is to go to anybody. */
static inline void brokerrig_run(void) {
  struct broker_conn *conn;
  while ((conn = broker_next_output(brokerrig_broker))) {
    struct brokerrig_client *c = broker_conn_user(conn);
    if (!c->stalled) brokerrig_take(c, SIZE_MAX);
  }
}

static inline struct brokerrig_client *brokerrig_accept(void) {
  struct brokerrig_client *c = mem_zero(sizeof *c);
  c->text = mem_zero(BROKERRIG_TEXT_MAX);
  buffer_init(&c->got, 1u << 30);
  c->conn = broker_accept(brokerrig_broker, c, brokerrig_now_ns);
  return c;
}

/* The transport ends; `c` is no more. */
static inline void brokerrig_gone(struct brokerrig_client *c) {
  broker_gone(c->conn, brokerrig_now_ns);
  buffer_fini(&c->got);
  free(c->text);
  free(c);
  brokerrig_run();
}

static inline void brokerrig_bytes(struct brokerrig_client *c, const void *bytes, size_t size) {
  broker_feed(c->conn, slice_of(bytes, size), brokerrig_now_ns);
  brokerrig_run();
}

static inline void brokerrig_send(struct brokerrig_client *c, struct packet p) {
  struct buffer bytes;
  buffer_init(&bytes, 1u << 30);
  p.version = SPEC_3_1_1;
  p.flags |= packet_flags(&p);
  assert_true(encode_packet(&bytes, &p));
  brokerrig_bytes(c, buffer_slice(&bytes).data, buffer_size(&bytes));
  buffer_fini(&bytes);
}

static inline void brokerrig_ack(struct brokerrig_client *c, uint8_t type, uint16_t id) {
  brokerrig_send(c, (struct packet){ .type = type, .packet_id = id });
}

static inline struct packet brokerrig_connect_packet(const char *id, bool clean) {
  return (struct packet){ .type = SPEC_CONNECT,
                          .protocol_name = slice_text("MQTT"),
                          .protocol_version = 4,
                          .client_id = slice_text(id),
                          .clean = clean };
}

static inline struct packet brokerrig_will_packet(const char *id, bool clean, const char *topic, uint8_t qos,
                                                  bool retain) {
  struct packet p = brokerrig_connect_packet(id, clean);
  p.has_will = true;
  p.will = (struct packet_will){ slice_text(topic), slice_text("will"), slice_of(NULL, 0), qos, retain };
  return p;
}

/* What came since the last time is of no interest. */
static inline void brokerrig_skip(struct brokerrig_client *c) {
  c->length = 0;
  c->text[0] = 0;
}

/* What came since the last time, compared. "; closed" at the end: the broker wants it closed and nothing is left. */
static inline void brokerrig_expect(struct brokerrig_client *c, const char *text) {
  if (broker_wants_close(c->conn, NULL) && !broker_output(c->conn, brokerrig_now_ns).size) brokerrig_say(c, "closed");
  assert_int_equal(buffer_size(&c->got), 0);
  assert_string_equal(c->text, text);
  brokerrig_skip(c);
}

static inline void brokerrig_expect_why(struct brokerrig_client *c, const char *part) {
  const char *why = NULL;
  assert_true(broker_wants_close(c->conn, &why));
  if (!strstr(why, part)) fail_msg("\"%s\" does not say \"%s\"", why, part);
}

/* A client that was accepted; `present` as expected. */
static inline struct brokerrig_client *brokerrig_client(const char *id, bool clean, bool present) {
  struct brokerrig_client *c = brokerrig_accept();
  brokerrig_send(c, brokerrig_connect_packet(id, clean));
  brokerrig_expect(c, present ? "CONNACK 1 0" : "CONNACK 0 0");
  return c;
}

static inline struct brokerrig_client *brokerrig_with(struct packet connect) {
  struct brokerrig_client *c = brokerrig_accept();
  brokerrig_send(c, connect);
  brokerrig_expect(c, "CONNACK 0 0");
  return c;
}

static inline void brokerrig_subscribe(struct brokerrig_client *c, const char *filter, uint8_t qos) {
  struct buffer items;
  buffer_init(&items, 1u << 20);
  encode_subscription(&items, slice_text(filter), qos);
  brokerrig_send(c, (struct packet){ .type = SPEC_SUBSCRIBE, .packet_id = 900, .items = buffer_slice(&items) });
  buffer_fini(&items);
}

/* Subscribes and expects nothing but the grant. */
static inline void brokerrig_subscribed(struct brokerrig_client *c, const char *filter, uint8_t qos) {
  char granted[40];
  brokerrig_subscribe(c, filter, qos);
  snprintf(granted, sizeof granted, "SUBACK id 900 %u", qos);
  brokerrig_expect(c, granted);
}

static inline void brokerrig_unsubscribe(struct brokerrig_client *c, const char *filter) {
  struct buffer items;
  buffer_init(&items, 1u << 20);
  encode_filter(&items, slice_text(filter));
  brokerrig_send(c, (struct packet){ .type = SPEC_UNSUBSCRIBE, .packet_id = 901, .items = buffer_slice(&items) });
  buffer_fini(&items);
  brokerrig_expect(c, "UNSUBACK id 901");
}

static inline struct packet brokerrig_message(const char *topic, const char *payload, uint8_t qos, uint16_t id) {
  return (struct packet){
    .type = SPEC_PUBLISH, .topic = slice_text(topic), .payload = slice_text(payload), .qos = qos, .packet_id = id
  };
}

/* Publishes with the whole handshake, and takes its own packets out of what came. */
static inline void brokerrig_publish(struct brokerrig_client *c, const char *topic, const char *payload, uint8_t qos,
                                     bool retain) {
  struct packet p = brokerrig_message(topic, payload, qos, qos ? 77 : 0);
  p.retain = retain;
  brokerrig_send(c, p);
  if (qos == 0) brokerrig_expect(c, "");
  if (qos == 1) brokerrig_expect(c, "PUBACK id 77");
  if (qos < 2) return;
  brokerrig_expect(c, "PUBREC id 77");
  brokerrig_ack(c, SPEC_PUBREL, 77);
  brokerrig_expect(c, "PUBCOMP id 77");
}

static inline void brokerrig_later(int64_t by_ns) {
  brokerrig_now_ns += by_ns;
  broker_tick(brokerrig_broker, brokerrig_now_ns);
  brokerrig_run();
}

#endif
