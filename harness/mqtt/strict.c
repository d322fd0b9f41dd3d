#include "mqtt/strict.h"

#include "mqtt/topic.h"
#include "base/utf8.h"

struct strict_list {
  struct strict_violation *out;
  size_t count;
};

/* A text field: the clause that it is UTF-8 (NULL if only 1.5.3 says so), and the sentences. */
struct strict_text {
  const char *clause, *ill_formed, *surrogate, *null;
};

#define TEXT(clause, name)                                                                                             \
  { clause, name " is not well-formed UTF-8", name " has a surrogate", name " has U+0000" }

static const struct strict_text strict_protocol_name = TEXT(NULL, "the protocol name");
static const struct strict_text strict_client_id = TEXT("3.1.1:3.1.3-4", "the client identifier");
static const struct strict_text strict_will_topic = TEXT("3.1.1:3.1.3-10", "the will topic");
static const struct strict_text strict_username = TEXT("3.1.1:3.1.3-11", "the user name");
static const struct strict_text strict_topic = TEXT("3.1.1:3.3.2-1", "the topic name");
static const struct strict_text strict_subscribe_filter = TEXT("3.1.1:3.8.3-1", "a topic filter");
static const struct strict_text strict_unsubscribe_filter = TEXT("3.1.1:3.10.3-1", "a topic filter");

/* A long list that breaks one rule again and again breaks it once. */
static void strict_if(struct strict_list *l, bool broken, const char *clause, const char *text) {
  if (!broken) return;
  for (size_t i = 0; i < l->count; i++)
    if (!strcmp(l->out[i].clause, clause) && !strcmp(l->out[i].text, text)) return;
  if (l->count < STRICT_VIOLATIONS_MAX) l->out[l->count++] = (struct strict_violation){ clause, text };
}

static void strict_check_text(struct strict_list *l, struct slice text, const struct strict_text *t) {
  enum utf8_fault fault;
  size_t at, size;
  while ((fault = utf8_check(text, &at)) != UTF8_GOOD) {
    const char *sentence = fault == UTF8_NULL ? t->null : fault == UTF8_SURROGATE ? t->surrogate : t->ill_formed;
    strict_if(l, true, fault == UTF8_NULL ? "3.1.1:1.5.3-2" : "3.1.1:1.5.3-1", sentence);
    if (t->clause) strict_if(l, true, t->clause, sentence);
    text = slice_from(text, at);
    utf8_next(text, &size);
    text = slice_from(text, size);
  }
}

static bool strict_holds(struct slice text, char c) {
  return text.size && memchr(text.data, c, text.size);
}

static void strict_check_name(struct strict_list *l, struct slice name, const struct strict_text *t) {
  strict_check_text(l, name, t);
  strict_if(l, strict_holds(name, 0), "3.1.1:4.7.3-2", t->null);
  strict_if(l, name.size == 0, "3.1.1:4.7.3-1", "the topic name is empty");
  strict_if(l, strict_holds(name, '+') || strict_holds(name, '#'), "3.1.1:4.7.1-1", "the topic name has a wildcard");
}

static void strict_check_filter(struct strict_list *l, struct slice filter, const struct strict_text *t) {
  strict_check_text(l, filter, t);
  strict_if(l, strict_holds(filter, 0), "3.1.1:4.7.3-2", t->null);
  strict_if(l, filter.size == 0, "3.1.1:4.7.3-1", "a topic filter is empty");
  strict_if(l, topic_misplaces_hash(filter), "3.1.1:4.7.1-2", "a # is not the whole last level of its topic filter");
  strict_if(l, topic_misplaces_plus(filter), "3.1.1:4.7.1-3", "a + is not a whole level of its topic filter");
}

static void strict_connect_flags(struct strict_list *l, const struct packet *p) {
  bool qos = !p->has_will && p->will.qos, retain = !p->has_will && p->will.retain;
  strict_if(l, p->connect_flags & 1, "3.1.1:3.1.2-3", "the reserved connect flag is set");
  strict_if(l, qos || retain, "3.1.1:3.1.2-11", "will flags are set without the will flag");
  strict_if(l, qos, "3.1.1:3.1.2-13", "will QoS is set without the will flag");
  strict_if(l, p->will.qos == 3, "3.1.1:3.1.2-14", "will QoS is 3");
  strict_if(l, retain, "3.1.1:3.1.2-15", "will retain is set without the will flag");
  strict_if(l, p->has_password && !p->has_username, "3.1.1:3.1.2-22", "a password without a user name");
}

static void strict_connect(struct strict_list *l, const struct packet *p) {
  strict_check_text(l, p->protocol_name, &strict_protocol_name);
  strict_if(l, !slice_equal(p->protocol_name, slice_text("MQTT")), "3.1.1:3.1.2-1", "the protocol name is not MQTT");
  strict_if(l, p->protocol_version != SPEC_3_1_1, "3.1.1:3.1.2-2", "the protocol level is not 4");
  strict_connect_flags(l, p);
  strict_check_text(l, p->client_id, &strict_client_id);
  strict_if(l, p->client_id.size == 0 && !p->clean, "3.1.1:3.1.3-7", "no client identifier, and clean session is 0");
  if (p->has_will) strict_check_name(l, p->will.topic, &strict_will_topic);
  if (p->has_username) strict_check_text(l, p->username, &strict_username);
}

static void strict_connack(struct strict_list *l, const struct packet *p) {
  strict_if(l, p->connack_flags & 0xfe, "3.1.1:x3.2.2-a", "reserved acknowledge flags are set");
  strict_if(l, p->session_present && p->reason_code, "3.1.1:3.2.2-4", "session present is 1 in a refusal");
  strict_if(l, p->reason_code > 5, "3.1.1:3.2.2-6", "the return code is reserved");
}

static void strict_publish(struct strict_list *l, const struct packet *p) {
  bool dup = p->dup && p->qos == 0, wildcard = strict_holds(p->topic, '+') || strict_holds(p->topic, '#');
  strict_if(l, dup, "3.1.1:3.3.1-2", "DUP is 1 at QoS 0");
  strict_if(l, dup, "3.1.1:4.3.1-1", "DUP is 1 at QoS 0");
  strict_if(l, p->qos > 2, "3.1.1:3.3.1-4", "QoS is 3");
  strict_check_name(l, p->topic, &strict_topic);
  strict_if(l, wildcard, "3.1.1:3.3.2-2", "the topic name has a wildcard");
  strict_if(l, p->qos && !p->packet_id, "3.1.1:2.3.1-1", "the packet identifier is 0");
}

/* No PUBLISH or request has identifier 0, so an acknowledgement with it repeats none. */
static void strict_no_id(struct strict_list *l, const struct packet *p, const char *clause) {
  strict_if(l, p->packet_id == 0, clause, "the packet identifier is 0");
}

static void strict_ack(struct strict_list *l, const struct packet *p) {
  strict_no_id(l, p, p->type == SPEC_PUBCOMP ? "3.1.1:4.3.3-2" : "3.1.1:2.3.1-6");
}

static void strict_subscribe(struct strict_list *l, const struct packet *p) {
  struct slice items = p->items;
  struct packet_subscription entry;
  strict_no_id(l, p, "3.1.1:2.3.1-1");
  strict_if(l, items.size == 0, "3.1.1:3.8.3-3", "there is no topic filter");
  while (packet_next_subscription(&items, &entry)) {
    strict_check_filter(l, entry.filter, &strict_subscribe_filter);
    strict_if(l, entry.options & 0xfc, "3.1.1:3.8.3-4", "reserved bits beside a requested QoS are set");
    strict_if(l, entry.qos == 3, "3.1.1:3.8.3-4", "a requested QoS is 3");
  }
}

static void strict_suback(struct strict_list *l, const struct packet *p) {
  strict_no_id(l, p, "3.1.1:2.3.1-7");
  strict_no_id(l, p, "3.1.1:3.8.4-2");
  strict_if(l, p->items.size == 0, "3.1.1:3.8.4-5", "there is no return code");
  for (size_t i = 0; i < p->items.size; i++) {
    uint8_t code = p->items.data[i];
    strict_if(l, code > 2 && code != 0x80, "3.1.1:3.9.3-2", "a return code is none of 0, 1, 2 and 128");
  }
}

static void strict_unsubscribe(struct strict_list *l, const struct packet *p) {
  struct slice items = p->items, filter;
  strict_no_id(l, p, "3.1.1:2.3.1-1");
  strict_if(l, items.size == 0, "3.1.1:3.10.3-2", "there is no topic filter");
  while (packet_next_filter(&items, &filter)) strict_check_filter(l, filter, &strict_unsubscribe_filter);
}

static void strict_unsuback(struct strict_list *l, const struct packet *p) {
  strict_no_id(l, p, "3.1.1:2.3.1-7");
  strict_no_id(l, p, "3.1.1:3.10.4-4");
}

/* PINGREQ, PINGRESP and DISCONNECT are all fixed header. 5.0 gets a table of its own. */
static void (*const strict_bodies[SPEC_TYPES])(struct strict_list *, const struct packet *) = {
  [SPEC_CONNECT] = strict_connect,   [SPEC_CONNACK] = strict_connack,
  [SPEC_PUBLISH] = strict_publish,   [SPEC_PUBACK] = strict_ack,
  [SPEC_PUBREC] = strict_ack,        [SPEC_PUBREL] = strict_ack,
  [SPEC_PUBCOMP] = strict_ack,       [SPEC_SUBSCRIBE] = strict_subscribe,
  [SPEC_SUBACK] = strict_suback,     [SPEC_UNSUBSCRIBE] = strict_unsubscribe,
  [SPEC_UNSUBACK] = strict_unsuback,
};

static void strict_header(struct strict_list *l, const struct packet *p, enum spec_role sender) {
  const struct spec_packet *row = spec_packet(p->type);
  const char *flags = row->flags ? "reserved flags are not 0010" : "reserved flags are not 0000";
  bool broken = p->type != SPEC_PUBLISH && p->flags != row->flags;
  strict_if(l, !(row->senders & sender), "3.1.1:x2.2.1-a", "this end does not send packets of this type");
  strict_if(l, broken, "3.1.1:2.2.2-1", flags);
  strict_if(l, broken, row->clause, flags);
}

size_t strict_check(const struct packet *p, enum spec_role sender, struct strict_violation out[STRICT_VIOLATIONS_MAX]) {
  struct strict_list list = { out, 0 };
  if (p->version == SPEC_5_0) return 0;
  bool reserved = !spec_packet(p->type) || !spec_packet(p->type)->senders;
  strict_if(&list, reserved, "3.1.1:x2.2.1-b", "this packet type is reserved");
  if (reserved) return list.count;
  strict_header(&list, p, sender);
  if (strict_bodies[p->type]) strict_bodies[p->type](&list, p);
  return list.count;
}
