#include "mqtt/packet.h"

bool packet_next_filter(struct slice *items, struct slice *out) {
  if (items->size < 2) return false;
  size_t size = (size_t)items->data[0] << 8 | items->data[1];
  if (items->size - 2 < size) return false;
  *out = slice_of(items->data + 2, size);
  *items = slice_from(*items, 2 + size);
  return true;
}

bool packet_next_subscription(struct slice *items, struct packet_subscription *out) {
  struct slice rest = *items;
  if (!packet_next_filter(&rest, &out->filter) || rest.size == 0) return false;
  out->options = rest.data[0];
  out->qos = out->options & 3;
  *items = slice_from(rest, 1);
  return true;
}

uint8_t packet_flags(const struct packet *p) {
  if (p->type == SPEC_PUBLISH) return (uint8_t)((p->dup << 3) | ((p->qos & 3) << 1) | p->retain);
  const struct spec_packet *row = spec_packet(p->type);
  return row ? row->flags : 0;
}
