/* stub: the least broker that a client can publish to: CONNACK, SUBACK, PINGRESP, and acknowledgements if told to.
 *
 * Its own few lines of MQTT, not mqrig's, so that it measures mqrig and others alike. One thread, on loopback, 3.1.1.
 */
#ifndef MQRIG_STUB_H
#define MQRIG_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STUB_CONNECTIONS_MAX 64
#define STUB_BUFFER          65536 /* no packet may be larger */

struct stub_connection {
  int fd;
  size_t size;
  uint8_t bytes[STUB_BUFFER];
};

struct stub {
  int listener;
  uint16_t port;
  bool acknowledges; /* answers PUBLISH of QoS 1 with PUBACK */
  uint64_t published;
  int64_t first_ns; /* when the first byte of the first PUBLISH was read; 0: not yet */
  /* Called for each PUBLISH; may be NULL. */
  void (*on_publish)(struct stub *s, struct stub_connection *c);
  struct stub_connection *connections[STUB_CONNECTIONS_MAX];
  size_t count;
};

/* Listens at a free port. Ends the program where it cannot. */
void stub_open(struct stub *s);

/* Waits at most so long for something to come, and answers it. */
void stub_turn(struct stub *s, int timeout_ms);

/* Sends a PUBLISH with QoS 0; both are short texts. */
void stub_tell(struct stub_connection *c, const char *topic, const char *payload);

/* Forgets the connections. */
void stub_reset(struct stub *s);

#endif
