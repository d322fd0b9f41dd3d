#include "net/segment.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

#define SEGMENT_TCP    6
#define SEGMENT_WINDOW 0xffff

#define SEGMENT_PORT_FIRST 2048     /* of those made up */
#define SEGMENT_SPACING    16000000 /* between the first sequence numbers of two conversations */

/* Of a SYN: the largest segment; a window scale of 14, so that no window is ever full [RFC 9293 3.2, RFC 7323 2.2]. */
static const uint8_t segment_options[] = { 2, 4, SEGMENT_PAYLOAD_MAX >> 8, SEGMENT_PAYLOAD_MAX & 0xff, 1, 3, 3, 14 };

static bool segment_parse_port(struct slice text, uint16_t *out) {
  uint32_t port = 0;
  if (!text.size || text.size > 5) return false;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    port = port * 10 + (text.data[i] - '0');
  }
  *out = (uint16_t)port;
  return port <= UINT16_MAX;
}

bool segment_parse(struct slice text, struct segment_end *out, bool *ipv6) {
  char host[INET6_ADDRSTRLEN + 1];
  size_t colon = text.size;
  while (colon > 0 && text.data[colon - 1] != ':') colon--;
  if (!colon || !segment_parse_port(slice_from(text, colon), &out->port)) return false;
  struct slice name = slice_first(text, colon - 1);
  *ipv6 = name.size >= 2 && name.data[0] == '[' && name.data[name.size - 1] == ']';
  if (*ipv6) name = slice_of(name.data + 1, name.size - 2);
  if (name.size >= sizeof host) return false;
  if (name.size) memcpy(host, name.data, name.size);
  host[name.size] = 0;
  return inet_pton(*ipv6 ? AF_INET6 : AF_INET, host, out->address) == 1;
}

void segment_address(struct segment_link *l, struct slice client, struct slice broker) {
  bool ipv6 = false;
  *l = (struct segment_link){ 0 };
  if (!segment_parse(client, &l->ends[0], &l->ipv6)) {
    l->ends[0] = (struct segment_end){ 0 };
    segment_parse(slice_text("127.0.0.1:0"), &l->ends[0], &l->ipv6);
  }
  if (!segment_parse(broker, &l->ends[1], &ipv6) || ipv6 != l->ipv6) l->ends[1] = l->ends[0];
  l->ends[1].port = SEGMENT_BROKER_PORT;
}

uint16_t segment_port(uint32_t n) {
  return (uint16_t)(SEGMENT_PORT_FIRST + n % (UINT16_MAX - SEGMENT_PORT_FIRST));
}

bool segment_is_same(const struct segment_link *a, const struct segment_link *b) {
  const struct segment_end *mine = &a->ends[0], *other = &b->ends[0];
  return a->ipv6 == b->ipv6 && mine->port == other->port &&
         memcmp(mine->address, other->address, sizeof mine->address) == 0;
}

void segment_number(struct segment_link *l, uint32_t n) {
  l->ends[0].next = n * SEGMENT_SPACING;
  l->ends[1].next = l->ends[0].next + SEGMENT_SPACING / 2;
}

static void segment_put(uint8_t **at, uint32_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; i--) *(*at)++ = (uint8_t)(value >> (8 * i));
}

static void segment_copy(uint8_t **at, const void *bytes, size_t size) {
  if (size) memcpy(*at, bytes, size);
  *at += size;
}

/* The Internet checksum [RFC 1071], begun: words of two bytes, an odd last one filled up. */
static uint64_t segment_sum(uint64_t sum, const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i + 1 < size; i += 2) sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  return size % 2 ? sum + ((uint32_t)bytes[size - 1] << 8) : sum;
}

static void segment_checksum(uint8_t *to, uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  segment_put(&to, (uint32_t)~sum & 0xffff, 2);
}

/* Addresses that are nobody's: administered locally. */
static void segment_ethernet(uint8_t **at, const struct segment_link *link, unsigned from) {
  segment_put(at, 0x02000000, 4);
  segment_put(at, 2 - from, 2);
  segment_put(at, 0x02000000, 4);
  segment_put(at, 1 + from, 2);
  segment_put(at, link->ipv6 ? 0x86dd : 0x0800, 2);
}

static size_t segment_address_size(const struct segment_link *link) {
  return link->ipv6 ? 16 : 4;
}

static void segment_ip(uint8_t **at, const struct segment_link *link, unsigned from, size_t size) {
  uint8_t *begin = *at;
  size_t address = segment_address_size(link);
  if (link->ipv6) {
    segment_put(at, 0x60000000, 4);
    segment_put(at, (uint32_t)size, 2);
    segment_put(at, SEGMENT_TCP << 8 | 64, 2);
  } else {
    segment_put(at, 0x4500, 2);
    segment_put(at, (uint32_t)size + 20, 2);
    segment_put(at, 0x00004000, 4); /* not to be fragmented */
    segment_put(at, 64 << 8 | SEGMENT_TCP, 2);
    segment_put(at, 0, 2);
  }
  segment_copy(at, link->ends[from].address, address);
  segment_copy(at, link->ends[!from].address, address);
  if (!link->ipv6) segment_checksum(begin + 10, segment_sum(0, begin, 20));
}

static void segment_tcp(uint8_t **at, const struct segment_link *link, unsigned from, unsigned flags) {
  const struct segment_end *me = &link->ends[from], *other = &link->ends[!from];
  size_t options = flags & SEGMENT_SYN ? sizeof segment_options : 0;
  segment_put(at, me->port, 2);
  segment_put(at, other->port, 2);
  segment_put(at, me->next, 4);
  segment_put(at, flags & SEGMENT_ACK ? other->next : 0, 4);
  segment_put(at, (uint32_t)(20 + options) / 4 << 12 | flags, 2);
  segment_put(at, SEGMENT_WINDOW, 2);
  segment_put(at, 0, 4); /* checksum, urgent pointer */
  segment_copy(at, segment_options, options);
}

void segment_write(struct buffer *to, struct segment_link *link, unsigned from, unsigned flags, struct slice payload) {
  size_t address = segment_address_size(link);
  size_t size = 20 + (flags & SEGMENT_SYN ? sizeof segment_options : 0) + payload.size;
  uint8_t *frame = buffer_reserve(to, 14 + (link->ipv6 ? 40 : 20) + size), *at = frame;
  assert(payload.size <= SEGMENT_PAYLOAD_MAX && frame);
  segment_ethernet(&at, link, from);
  segment_ip(&at, link, from, size);
  uint8_t *tcp = at;
  segment_tcp(&at, link, from, flags);
  segment_copy(&at, payload.data, payload.size);
  uint64_t sum = segment_sum(SEGMENT_TCP + size, tcp - 2 * address, 2 * address);
  segment_checksum(tcp + 16, segment_sum(sum, tcp, size));
  buffer_commit(to, (size_t)(at - frame));
  link->ends[from].next += (uint32_t)payload.size + ((flags & (SEGMENT_SYN | SEGMENT_FIN)) != 0);
}
