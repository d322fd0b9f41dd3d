/* ws: WebSocket (RFC 6455) as a filter: the owner's bytes in binary frames, behind the opening handshake.
 *
 * Frames and packets know nothing of each other (MQTT 6.0): a frame carries what there is to write, up to WS_FRAME_OUT
 * bytes, and what comes in frames is handed on as it comes. Nothing is taken from the owner before the handshake is
 * through; then what is in a frame is taken as the frame goes on, byte by byte.
 *
 * A Close from the other end goes in as CHAIN_FIN with its code as the sentence; an end of the owner's goes out behind
 * a Close: 1000, or the code of the one that came. There is no half of a WebSocket: what the owner writes after its
 * CHAIN_FIN is lost, as on any stream. A breach of the protocol by the other end is answered with a Close (1002, 1003,
 * 1007, 1009) and goes in as STREAM_FAILED with the sentence; so does a handshake that fails. Pings are answered; of
 * more than WS_PONGS_MAX bytes of answers that wait only the newest.
 */
#ifndef MQRIG_WS_H
#define MQRIG_WS_H

#include "net/chain.h"
#include "net/wsopen.h"

#define WS_FRAME_OUT 65536 /* payload bytes of one frame that is sent */
#define WS_FRAME_IN_MAX                                                                                                \
  268435460                  /* payload bytes of one that comes: the largest packet of MQTT; a longer one is 1009 */
#define WS_IN_MAX      65536 /* bytes for the owner that it has not taken; then no more are unpacked */
#define WS_OUT_MAX     (1u << 20) /* bytes of frames by ws_send that wait */
#define WS_PONGS_MAX   4096
#define WS_CONTROL_MAX 125
#define WS_PARTING_NS  1000000000 /* for the Close after a breach to be taken by the transport */

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_options {
  struct wsopen_options open;
  uint64_t frame_in_max; /* 0: WS_FRAME_IN_MAX */
  uint64_t seed;         /* of the key and the masks */
  /* Is told that the handshake is through, of pings and of pongs. May be NULL. */
  void (*note)(void *arg, const char *what);
  void *arg;
};

/* `options` have passed wsopen_check; copied. */
struct filter *ws_new(bool server, const struct ws_options *options);

/* The WebSocket of a chain, or NULL. */
struct filter *ws_of(const struct chain *c);

/* A frame as one likes it, right or wrong, behind those that wait: of scripts. */
struct ws_frame {
  uint8_t opcode; /* 0 to 15 */
  uint8_t rsv;    /* 0 to 7 */
  bool fin;
  bool unusual_mask; /* a client's goes unmasked, a server's masked */
  struct slice payload;
};

/* Whether this end masks its frames: a client does. */
bool ws_masks(const struct filter *f);
/* False with a sentence: the handshake is not through, too much waits, or a control frame that is not whole or longer
 * than WS_CONTROL_MAX (send its bytes by ws_send_bytes). Behind a WS_CLOSE nothing of the owner's goes out. */
bool ws_send(struct filter *f, const struct ws_frame *frame, struct err *err);
/* Bytes in the place of frames. */
bool ws_send_bytes(struct filter *f, struct slice bytes, struct err *err);
#endif
