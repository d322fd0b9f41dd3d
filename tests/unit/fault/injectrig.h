/* injectrig: a filter between two ends that take everything, for tests. Bytes, ends and firings are written down. */
#ifndef MQRIG_INJECTRIG_H
#define MQRIG_INJECTRIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "fault/inject.h"
#include "mqtt/encode.h"

#define INJECTRIG_GOT_MAX (16u << 20)

struct injectrig {
  struct scope *scope;
  struct filter *filter;
  int64_t now_ns;
  struct buffer got[2];
  enum chain_end ends[2];
  unsigned pieces[2]; /* gives that were not empty */
  bool stuck;         /* nobody takes what is given */
  char log[4096];     /* firings: "drop PUBLISH#1@0 " */
  unsigned fired;
};

static inline void injectrig_fired(void *arg, const struct scope_firing *f) {
  struct injectrig *rig = arg;
  size_t used = strlen(rig->log);
  rig->fired++;
  if (used + 64 > sizeof rig->log) return;
  snprintf(rig->log + used, sizeof rig->log - used, "%s %s #%llu @%llu; ", f->up ? "up" : "down", f->text,
           (unsigned long long)f->packet_index, (unsigned long long)f->stream_offset);
}

static inline void injectrig_init(struct injectrig *rig, bool out_is_up) {
  struct slice none = { 0 };
  memset(rig, 0, sizeof *rig);
  rig->scope = scope_new(1, injectrig_fired, rig);
  buffer_init(&rig->got[0], INJECTRIG_GOT_MAX);
  buffer_init(&rig->got[1], INJECTRIG_GOT_MAX);
  rig->filter = inject_new(rig->scope, rig, out_is_up, none, none);
}

static inline void injectrig_fini(struct injectrig *rig) {
  if (rig->filter) rig->filter->ops->free(rig->filter);
  scope_free(rig->scope);
  buffer_fini(&rig->got[0]);
  buffer_fini(&rig->got[1]);
}

static inline struct scope_rule *injectrig_rule_with(struct injectrig *rig, const char *text,
                                                     const struct rule_hooks *hooks) {
  struct err err = { "" };
  struct rule *r = rule_parse(text, &err);
  if (!r) fail_msg("%s: %s", text, err.text);
  if (hooks) rule_set_hooks(r, hooks);
  struct scope_rule *installed = scope_add(rig->scope, r, &err);
  if (!installed) fail_msg("%s: %s", text, err.text);
  return installed;
}

static inline struct scope_rule *injectrig_rule(struct injectrig *rig, const char *text) {
  return injectrig_rule_with(rig, text, NULL);
}

static inline void injectrig_drain(struct injectrig *rig) {
  const struct filter_ops *ops = rig->filter->ops;
  for (int d = CHAIN_OUT; d <= CHAIN_IN && !rig->stuck; d++) {
    struct slice bytes;
    while ((bytes = ops->give(rig->filter, d, rig->now_ns)).size) {
      assert_true(rig->ends[d] == CHAIN_NONE);
      assert_true(buffer_append(&rig->got[d], bytes));
      rig->pieces[d]++;
      ops->gave(rig->filter, d, bytes.size, rig->now_ns);
    }
    rig->ends[d] = ops->ends(rig->filter, d);
  }
}

/* Gives the bytes in; returns how many were taken. */
static inline size_t injectrig_feed(struct injectrig *rig, enum chain_direction d, struct slice bytes) {
  size_t taken = 0, n = 1;
  while (taken < bytes.size && n > 0) {
    n = rig->filter->ops->take(rig->filter, d, slice_from(bytes, taken), rig->now_ns);
    taken += n;
    injectrig_drain(rig);
  }
  return taken;
}

static inline void injectrig_end(struct injectrig *rig, enum chain_direction d, enum chain_end end) {
  rig->filter->ops->end(rig->filter, d, end, rig->now_ns);
  injectrig_drain(rig);
}

/* Time goes on to that moment, with a tick at each deadline. */
static inline void injectrig_until(struct injectrig *rig, int64_t until_ns) {
  injectrig_drain(rig);
  for (;;) {
    int64_t next_ns = rig->filter->ops->deadline(rig->filter);
    if (next_ns > until_ns || next_ns == NET_NEVER) break;
    if (next_ns > rig->now_ns) rig->now_ns = next_ns;
    rig->filter->ops->tick(rig->filter, rig->now_ns);
    injectrig_drain(rig);
    assert_true(rig->filter->ops->deadline(rig->filter) > rig->now_ns);
  }
  if (until_ns != NET_NEVER) rig->now_ns = until_ns;
}

/* What came out that way is this, and is forgotten. */
static inline void injectrig_expect(struct injectrig *rig, enum chain_direction d, struct slice want) {
  struct slice got = buffer_slice(&rig->got[d]);
  if (!slice_equal(got, want)) {
    for (size_t i = 0; i < got.size && i < 200; i++) print_error("%02x", got.data[i]);
    print_error(" (%zu bytes), wanted ", got.size);
    for (size_t i = 0; i < want.size && i < 200; i++) print_error("%02x", want.data[i]);
    fail_msg(" (%zu bytes)", want.size);
  }
  buffer_fini(&rig->got[d]);
}

/* Packets. */

static inline void injectrig_publish(struct buffer *to, const char *topic, uint8_t qos, uint16_t id, size_t size) {
  char *payload = malloc(size + 1);
  memset(payload, 'p', size + 1);
  struct packet p = { .type = SPEC_PUBLISH, .version = SPEC_3_1_1, .qos = qos, .packet_id = id };
  p.topic = slice_text(topic);
  p.payload = slice_of(payload, size);
  p.flags = packet_flags(&p);
  assert_true(encode_packet(to, &p));
  free(payload);
}

static inline void injectrig_connect(struct buffer *to, const char *client_id) {
  struct packet p = { .type = SPEC_CONNECT, .version = SPEC_3_1_1, .clean = true };
  p.protocol_version = 4;
  p.protocol_name = slice_text("MQTT");
  p.client_id = slice_text(client_id);
  assert_true(encode_packet(to, &p));
}

#endif
