#include "stub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "figure.h"

void stub_open(struct stub *s) {
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  figure_need(s->listener >= 0, "socket");
  figure_need(bind(s->listener, (struct sockaddr *)&address, size) == 0, "bind");
  figure_need(listen(s->listener, STUB_CONNECTIONS_MAX) == 0, "listen");
  figure_need(getsockname(s->listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
  s->port = ntohs(address.sin_port);
}

static void stub_send(struct stub_connection *c, const uint8_t *bytes, size_t size) {
  while (size) {
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return; /* it is gone, which reading will tell */
    bytes += n;
    size -= (size_t)n;
  }
}

void stub_tell(struct stub_connection *c, const char *topic, const char *payload) {
  uint8_t packet[128] = { 0x30 };
  size_t named = strlen(topic), carried = strlen(payload);
  figure_need(named + carried < 100, "a short message");
  packet[1] = (uint8_t)(2 + named + carried);
  packet[3] = (uint8_t)named;
  memcpy(packet + 4, topic, named);
  memcpy(packet + 4 + named, payload, carried);
  stub_send(c, packet, 4 + named + carried);
}

static void stub_published(struct stub *s, struct stub_connection *c, const uint8_t *packet, size_t header) {
  s->published++;
  if (s->acknowledges && (packet[0] & 6) == 2) {
    const uint8_t *id = packet + header + 2 + (packet[header] << 8 | packet[header + 1]);
    stub_send(c, (uint8_t[]){ 0x40, 2, id[0], id[1] }, 4);
  }
  if (s->on_publish) s->on_publish(s, c);
}

static void stub_packet(struct stub *s, struct stub_connection *c, const uint8_t *packet, size_t header) {
  switch (packet[0] >> 4) {
  case 1: stub_send(c, (const uint8_t *)"\x20\x02\x00\x00", 4); break;
  case 3: stub_published(s, c, packet, header); break;
  case 8: stub_send(c, (uint8_t[]){ 0x90, 3, packet[header], packet[header + 1], 0 }, 5); break;
  case 12: stub_send(c, (const uint8_t *)"\xd0\x00", 2); break;
  default: break;
  }
}

/* Size of the whole packet at the start of the bytes, and of its fixed header; 0: not all there. */
static size_t stub_framed(const uint8_t *bytes, size_t size, size_t *header) {
  size_t remaining = 0;
  for (size_t i = 1; i < size && i <= 4; i++) {
    remaining |= (size_t)(bytes[i] & 127) << (7 * (i - 1));
    if (bytes[i] & 128) continue;
    *header = i + 1;
    return size >= i + 1 + remaining ? i + 1 + remaining : 0;
  }
  return 0;
}

static bool stub_read(struct stub *s, struct stub_connection *c) {
  ssize_t n = read(c->fd, c->bytes + c->size, sizeof c->bytes - c->size);
  if (n <= 0) return n < 0 && errno == EINTR;
  int64_t now_ns = figure_now_ns();
  c->size += (size_t)n;
  size_t taken = 0, header = 0, size;
  while (c->size > taken) {
    if (c->bytes[taken] >> 4 == 3 && !s->first_ns) s->first_ns = now_ns;
    size = stub_framed(c->bytes + taken, c->size - taken, &header);
    if (!size) break;
    stub_packet(s, c, c->bytes + taken, header);
    taken += size;
  }
  memmove(c->bytes, c->bytes + taken, c->size - taken);
  c->size -= taken;
  return c->size < sizeof c->bytes;
}

static void stub_drop(struct stub *s, size_t i) {
  close(s->connections[i]->fd);
  free(s->connections[i]);
  s->connections[i] = s->connections[--s->count];
}

static void stub_accept(struct stub *s) {
  int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
  if (fd < 0) return;
  struct stub_connection *c = s->count < STUB_CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
  figure_need(c != NULL, "room for a connection");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  c->fd = fd;
  s->connections[s->count++] = c;
}

void stub_turn(struct stub *s, int timeout_ms) {
  struct pollfd fds[STUB_CONNECTIONS_MAX + 1] = { { .fd = s->listener, .events = POLLIN } };
  size_t count = s->count;
  for (size_t i = 0; i < count; i++) fds[i + 1] = (struct pollfd){ .fd = s->connections[i]->fd, .events = POLLIN };
  if (poll(fds, count + 1, timeout_ms) <= 0) return;
  for (size_t i = count; i-- > 0;) {
    if (fds[i + 1].revents && !stub_read(s, s->connections[i])) stub_drop(s, i);
  }
  if (fds[0].revents) stub_accept(s);
}

void stub_reset(struct stub *s) {
  while (s->count) stub_drop(s, s->count - 1);
  s->published = 0;
  s->first_ns = 0;
}
