#include "host/invwire.h"

#include <stdlib.h>

#include "base/mem.h"
#include "host/invbroker.h"
#include "host/invclient.h"
#include "host/invclock.h"
#include "host/invflow.h"
#include "host/invprop.h"
#include "mqtt/decode.h"
#include "mqtt/strict.h"

struct invwire_alias {
  struct hash_node by_alias;
};

static void invwire_forget_aliases(struct invend *end) {
  for (unsigned id = 1; end->aliases.count && id <= UINT16_MAX; id++) {
    struct hash_node *n = hash_first(&end->aliases, id);
    if (!n) continue;
    hash_remove(&end->aliases, n);
    free(LIST_OWNER(n, struct invwire_alias, by_alias));
  }
}

void invwire_open(struct invariant *v, struct invend *end) {
  invwire_forget_aliases(end);
  end->connection = ++v->connections;
  end->open = end->judged = true;
  end->began = end->greeted = end->over = end->deaf = false;
  end->limits = (struct invlimits){ 0 };
  end->keepalive_s = 0;
  end->version = SPEC_3_1_1;
}

void invwire_end(struct invend *end) {
  end->open = false;
  invwire_forget_aliases(end);
}

void invwire_distrust(struct invend *end) {
  end->judged = false;
  if (end->flow) end->flow->trusted = false;
}

/* 1 and 2: how a conversation begins and ends. */
static void invwire_check_place(struct invariant *v, struct invend *end, const struct packet *p) {
  bool client = end->role == SPEC_CLIENT;
  unsigned first = client ? SPEC_CONNECT : SPEC_CONNACK;
  bool fits = p->type == first || (!client && p->type == SPEC_AUTH);
  const char *name = spec_packet(p->type)->name;
  if (end->over) invariant_breach(v, 2, end->who, end->last_sent, "%s was sent after DISCONNECT", name);
  else if (!end->began && !fits) invariant_breach(v, 1, end->who, 0, "the first packet is %s", name);
  else if (end->greeted && p->type == first) invariant_breach(v, 1, end->who, 0, "%s was sent twice", name);
}

/* 3, but for what has an invariant of its own: DUP at QoS 0 is 6, identifier 0 is 4. */
static void invwire_check_form(struct invariant *v, const struct invend *end, const struct packet *p) {
  struct strict_violation broken[STRICT_VIOLATIONS_MAX];
  size_t count = strict_check(p, (enum spec_role)end->role, broken);
  if (end->limits.packet_max && p->raw.size > end->limits.packet_max)
    invariant_breach(v, 3, end->who, 0, "%s has %zu bytes, and the other end takes %u", spec_packet(p->type)->name,
                     p->raw.size, end->limits.packet_max);
  if (!count) return;
  bool dup = p->type == SPEC_PUBLISH && p->dup && p->qos == 0;
  unsigned number = dup ? 6 : strcmp(broken[0].text, "the packet identifier is 0") == 0 ? 4 : 3;
  invariant_breach(v, number, end->who, 0, "%s: %s [%s]",
                   spec_packet(p->type) ? spec_packet(p->type)->name : "a packet", broken[0].text, broken[0].clause);
}

/* 12, and what 11 and 3 are measured by: 5.0. */
static void invwire_check_alias(struct invariant *v, struct invend *end, const struct packet *p) {
  uint32_t alias;
  if (end->version != SPEC_5_0 || !invprop_find(p->properties, INVPROP_TOPIC_ALIAS, &alias)) return;
  if (alias == 0 || alias > end->limits.alias_max) {
    invariant_breach(v, 12, end->who, 0, "topic alias %u, and the other end takes 1 to %u", alias,
                     end->limits.alias_max);
  } else if (p->topic.size && !hash_first(&end->aliases, alias)) {
    struct invwire_alias *a = mem_zero(sizeof *a);
    hash_add(&end->aliases, &a->by_alias, alias);
  } else if (!p->topic.size && !hash_first(&end->aliases, alias)) {
    invariant_breach(v, 12, end->who, 0, "topic alias %u was used before it was given a topic", alias);
  }
}

/* What the other end's CONNECT or CONNACK says that it takes. */
static void invwire_learn(struct invend *end, const struct packet *p) {
  uint32_t value;
  if (p->type == SPEC_CONNECT) end->version = p->protocol_version == SPEC_5_0 ? SPEC_5_0 : SPEC_3_1_1;
  if (end->version != SPEC_5_0) return;
  end->limits.receive_max = UINT16_MAX;
  if (invprop_find(p->properties, INVPROP_RECEIVE_MAXIMUM, &value)) end->limits.receive_max = (uint16_t)value;
  if (invprop_find(p->properties, INVPROP_TOPIC_ALIAS_MAXIMUM, &value)) end->limits.alias_max = (uint16_t)value;
  if (invprop_find(p->properties, INVPROP_PACKET_MAXIMUM, &value)) end->limits.packet_max = value;
}

/* What the flow of a session makes of it; a PUBLISH that begins something is then looked for among what was asked for.
 */
static void invwire_flow(struct invariant *v, struct invend *end, const struct packet *p, uint64_t content) {
  bool flows = end->flow && end->flow->trusted;
  bool begins = p->type == SPEC_PUBLISH && !(end->flow && invflow_repeats(end->flow, p, content));
  uint64_t answers = flows && end->judged ? invflow_sent(v, end, p, content) : 0;
  if (end->role == SPEC_CLIENT) invclient_sent(v, end, p, content, begins);
  else invbroker_sent(v, end, p, content, begins);
  if (answers && end->conn) invbroker_answered(v, end, answers);
}

static void invwire_out(struct invariant *v, struct invend *end, const struct packet *p) {
  uint64_t content = p->type == SPEC_PUBLISH ? event_content(p->topic, p->payload) : 0;
  if (end->judged) {
    invwire_check_place(v, end, p);
    invwire_check_form(v, end, p);
    invwire_check_alias(v, end, p);
  }
  if (p->type == SPEC_CONNECT) {
    end->version = p->protocol_version == SPEC_5_0 ? SPEC_5_0 : SPEC_3_1_1;
    end->keepalive_s = p->keepalive_s;
  }
  invclock_sent(v, end, p);
  invwire_flow(v, end, p, content);
  end->began = true;
  end->greeted |= p->type == SPEC_CONNECT || p->type == SPEC_CONNACK;
  if (p->type == SPEC_DISCONNECT) end->over = true;
  end->last_sent = v->number;
  end->sent_ns = v->now_ns;
}

/* What is wrong with a packet ends the connection that it came on: nothing behind it counts. */
static bool invwire_is_good(const struct invend *end, const struct packet *p) {
  struct strict_violation broken[STRICT_VIOLATIONS_MAX];
  return strict_check(p, end->role == SPEC_CLIENT ? SPEC_BROKER : SPEC_CLIENT, broken) == 0;
}

static void invwire_in(struct invariant *v, struct invend *end, const struct packet *p) {
  if (p->type == SPEC_CONNECT || p->type == SPEC_CONNACK) invwire_learn(end, p);
  invclock_heard(v, end, p);
  if (end->role == SPEC_CLIENT) invclient_received(v, end, p);
  else invbroker_received(v, end, p);
  end->heard_ns = v->now_ns;
  /* Whoever is about to disconnect takes no message any more. */
  bool ignored = p->type == SPEC_PUBLISH && end->client && end->client->state != INVCLIENT_CONNECTED;
  if (end->flow && !end->deaf && !ignored) invflow_received(v, end, p);
}

static void invwire_unreadable(struct invariant *v, struct invend *end, bool out, enum decode_result result,
                               const struct decode_fault *fault) {
  if (!out) {
    end->deaf = true;
  } else if (result == DECODE_BAD && end->judged) {
    invariant_breach(v, 3, end->who, 0, "a packet that cannot be taken apart: %s", fault->text);
  }
  /* Of one that is too large only the beginning is known. */
  if (result == DECODE_NEED_MORE) invwire_distrust(end);
}

void invwire_unframed(struct invariant *v, struct invend *end, enum timeline_kind direction) {
  bool out = (direction == TIMELINE_UP) == (end->role == SPEC_CLIENT);
  if (!out) end->deaf = true;
  else if (end->open && end->judged) invariant_breach(v, 3, end->who, 0, "bytes that are no packet");
  if (out) invwire_distrust(end);
}

void invwire_packet(struct invariant *v, struct invend *end, const struct timeline_entry *e) {
  struct packet p;
  struct decode_fault fault;
  bool out = (e->kind == TIMELINE_UP) == (end->role == SPEC_CLIENT);
  if (!end->open || (!out && end->deaf)) return;
  enum decode_result result = decode_packet(e->bytes, (enum spec_version)end->version, &p, &fault);
  if (result != DECODE_OK) invwire_unreadable(v, end, out, result, &fault);
  else if (out) invwire_out(v, end, &p);
  else if (invwire_is_good(end, &p)) invwire_in(v, end, &p);
  else end->deaf = true;
}
