#include "mqtt/brokersession.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mqtt/defect.h"
#include "mqtt/encode.h"

/* One message on its way to the client. */
struct brokersession_message {
  struct list_node row;
  struct message *message; /* NULL once PUBREC came: only PUBREL is sent from then on */
  uint64_t offset;         /* of the PUBLISH in its connection's output */
  uint16_t packet_id;
  uint8_t qos, state; /* enum handshake_state */
  bool retain;
  bool dup;  /* some of the PUBLISH was handed over on an earlier connection */
  bool sent; /* on this connection */
};

void brokersession_table_init(struct brokersession_table *t) {
  *t = (struct brokersession_table){ 0 };
  hash_init(&t->by_id);
  list_init(&t->all);
  subtree_init(&t->subtree);
}

void brokersession_clear(struct brokersession_table *t) {
  struct list_node *n;
  while ((n = list_first(&t->all))) brokersession_free(t, LIST_OWNER(n, struct brokersession, all));
}

void brokersession_table_fini(struct brokersession_table *t) {
  brokersession_clear(t);
  subtree_fini(&t->subtree);
  hash_fini(&t->by_id);
}

struct brokersession *brokersession_find(const struct brokersession_table *t, struct slice client_id) {
  struct hash_node *n = hash_first(&t->by_id, hash_bytes(0, client_id));
  for (; n; n = hash_next(n)) {
    struct brokersession *s = LIST_OWNER(n, struct brokersession, by_id);
    if (slice_equal(brokersession_client_id(s), client_id)) return s;
  }
  return NULL;
}

struct brokersession *brokersession_new(struct brokersession_table *t, struct slice client_id) {
  struct brokersession *s = mem_zero(sizeof *s + client_id.size);
  s->client_id_size = (uint32_t)client_id.size;
  if (client_id.size) memcpy(s->client_id, client_id.data, client_id.size);
  subtree_subscriber_init(&t->subtree, &s->subscriber);
  packetid_init(&s->ids);
  idset_init(&s->received);
  list_init(&s->messages);
  s->unsent = &s->messages;
  hash_add(&t->by_id, &s->by_id, hash_bytes(0, client_id));
  list_append(&t->all, &s->all);
  t->count++;
  return s;
}

/* Ends a message wherever it stands in the row. */
static void brokersession_end(struct brokersession *s, struct brokersession_message *m) {
  if (s->unsent == &m->row) s->unsent = m->row.next;
  if (m->state == HANDSHAKE_WAITING) s->waiting--;
  if (m->state == HANDSHAKE_WAITING && m->qos == 0) s->waiting_at_0--;
  if (m->packet_id) packetid_release(&s->ids, m->packet_id);
  list_remove(&m->row);
  message_drop(m->message);
  free(m);
}

static struct brokersession_message *brokersession_first(const struct brokersession *s) {
  struct list_node *n = list_first(&s->messages);
  return n ? LIST_OWNER(n, struct brokersession_message, row) : NULL;
}

static struct brokersession_message *brokersession_after(const struct brokersession *s,
                                                         const struct brokersession_message *m) {
  struct list_node *n = list_next(&s->messages, &m->row);
  return n ? LIST_OWNER(n, struct brokersession_message, row) : NULL;
}

void brokersession_free(struct brokersession_table *t, struct brokersession *s) {
  struct brokersession_message *m;
  assert(!s->conn);
  while ((m = brokersession_first(s))) brokersession_end(s, m);
  subtree_remove_all(&t->subtree, &s->subscriber);
  packetid_fini(&s->ids);
  idset_fini(&s->received);
  hash_remove(&t->by_id, &s->by_id);
  list_remove(&s->all);
  t->count--;
  free(s);
}

bool brokersession_push(struct brokersession *s, struct message *message, uint8_t qos, bool retain,
                        uint32_t waiting_max) {
  if (s->waiting >= waiting_max + (uint32_t)defect_is(DEFECT_QUEUE_OFF_BY_ONE)) return false;
  if (!s->conn && defect_is(DEFECT_QUEUE_LOST)) return true;
  struct brokersession_message *m = mem_zero(sizeof *m);
  m->message = message_keep(message);
  m->qos = qos;
  m->retain = retain;
  m->state = HANDSHAKE_WAITING;
  if (s->waiting && defect_is(DEFECT_QUEUE_OUT_OF_ORDER)) {
    struct list_node *last = s->messages.previous;
    list_append(last, &m->row); /* before it */
    if (s->unsent == last) s->unsent = &m->row;
  } else {
    list_append(&s->messages, &m->row);
  }
  if (!brokersession_pending(s)) s->unsent = &m->row;
  s->waiting++;
  if (qos == 0) s->waiting_at_0++;
  return true;
}

static void brokersession_encode(const struct brokersession_message *m, uint8_t type, struct buffer *out) {
  bool fits;
  if (type == SPEC_PUBREL) {
    fits = encode_ack(out, SPEC_PUBREL, m->packet_id);
  } else {
    struct packet p = { .type = SPEC_PUBLISH,
                        .version = SPEC_3_1_1,
                        .dup = m->dup,
                        .qos = m->qos,
                        .retain = m->retain,
                        .packet_id = m->packet_id,
                        .topic = message_topic(m->message),
                        .payload = message_payload(m->message) };
    if (p.payload.size && defect_is(DEFECT_PAYLOAD_ALTERED)) p.payload.size--;
    p.flags = packet_flags(&p);
    fits = encode_packet(out, &p);
  }
  assert(fits);
}

/* A waiting message goes out for the first time: above QoS 0 it is in flight from now on. */
static bool brokersession_begin(struct brokersession *s, struct brokersession_message *m, uint32_t inflight_max) {
  if (m->qos) {
    if (s->ids.count >= inflight_max) return false;
    m->packet_id = packetid_take(&s->ids, m);
    if (!m->packet_id) return false;
  }
  s->waiting--;
  if (m->qos == 0) s->waiting_at_0--;
  m->state = handshake_sent(m->qos);
  return true;
}

enum brokersession_sent brokersession_send(struct brokersession *s, struct buffer *out, uint64_t offset,
                                           uint32_t inflight_max) {
  struct brokersession_message *m;
  for (;; s->unsent = s->unsent->next) {
    if (!brokersession_pending(s)) return BROKERSESSION_NOTHING;
    m = LIST_OWNER(s->unsent, struct brokersession_message, row);
    if (!m->sent) break;
  }
  bool again = m->state != HANDSHAKE_WAITING;
  uint8_t type = again ? handshake_resend(m->state) : SPEC_PUBLISH;
  if (!again && !brokersession_begin(s, m, inflight_max)) return BROKERSESSION_NOTHING;
  brokersession_encode(m, type, out);
  m->sent = true;
  if (type == SPEC_PUBLISH) m->offset = offset;
  s->unsent = s->unsent->next;
  if (m->state == HANDSHAKE_DONE) brokersession_end(s, m);
  return again ? BROKERSESSION_AGAIN : BROKERSESSION_NEW;
}

struct handshake_step brokersession_acknowledged(struct brokersession *s, uint8_t type, uint16_t packet_id) {
  struct brokersession_message *m = packetid_find(&s->ids, packet_id);
  if (!m) return (struct handshake_step){ .fits = false };
  struct handshake_step step = handshake_acknowledged(m->state, type);
  if (!step.fits) return step;
  m->state = step.next;
  if (m->state == HANDSHAKE_DONE) {
    brokersession_end(s, m);
  } else {
    message_drop(m->message);
    m->message = NULL;
    m->sent = true; /* by the reply */
  }
  return step;
}

void brokersession_detach(struct brokersession *s, uint64_t offset) {
  for (struct brokersession_message *m = brokersession_first(s), *next; m; m = next) {
    next = brokersession_after(s, m);
    if (m->sent && m->message && m->offset < offset) m->dup = true;
    m->sent = false;
    if (m->qos == 0) brokersession_end(s, m);
  }
  s->unsent = s->messages.next;
}
