#include "net/ws.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

#define WS_PIECE        4096 /* bytes unpacked at a time */
#define WS_HEADER_MAX   14
#define WS_NO_STATUS    1005 /* of a Close without a code */
#define WS_REASON_MAX   123
#define WS_CLOSE_NORMAL 1000
#define WS_CLOSE_BREACH 1002
#define WS_CLOSE_TYPE   1003
#define WS_CLOSE_TEXT   1007
#define WS_CLOSE_LARGE  1009

struct ws {
  struct filter filter;
  struct wsopen *open;           /* NULL once the handshake is through */
  wslay_frame_context_ptr codec; /* exists while there is part of a frame in it: it is large */
  struct slice feed;             /* what the codec may read */
  struct buffer in, out, control, pong;
  struct rng rng;
  uint64_t frame_in_max;
  uint64_t left;     /* payload bytes to come of the frame in progress */
  size_t unread;     /* bytes that the codec has and has not given back */
  size_t head, tail; /* of the frame that goes out: bytes of its header, and of the owner's, that have not gone on */
  size_t passed;     /* the owner's bytes that have, and that it was not told of */
  int64_t parting_ns;
  enum chain_end came, asked; /* ends that arrived from either side */
  uint16_t code;              /* of the Close that came */
  uint8_t opcode;             /* of the frame in progress */
  bool server;
  bool inside;  /* a frame is in progress */
  bool message; /* a message is, whose last frame has not begun */
  bool pong_waits;
  bool close_came, close_sent;
  bool broken; /* the other end broke the protocol: the Close goes out, then the failure in */
  char *why;
  void (*note)(void *arg, const char *what);
  void *note_arg;
};

static struct ws *ws_cast(struct filter *f) {
  return (struct ws *)f;
}

/* The codec. Its callbacks read from `feed` and write to `out`. */

static ssize_t ws_read(uint8_t *to, size_t size, int flags, void *arg) {
  struct ws *w = arg;
  struct slice piece = slice_first(w->feed, size);
  (void)flags;
  if (piece.size) memcpy(to, piece.data, piece.size);
  w->feed = slice_from(w->feed, piece.size);
  return (ssize_t)piece.size;
}

static ssize_t ws_write(const uint8_t *from, size_t size, int flags, void *arg) {
  struct ws *w = arg;
  (void)flags;
  return buffer_append(&w->out, slice_of(from, size)) ? (ssize_t)size : -1;
}

static int ws_mask(uint8_t *to, size_t size, void *arg) {
  struct ws *w = arg;
  for (size_t i = 0; i < size; i++) to[i] = (uint8_t)rng_below(&w->rng, 256);
  return 0;
}

static wslay_frame_context_ptr ws_codec(struct ws *w) {
  static const struct wslay_frame_callbacks callbacks = { ws_write, ws_read, ws_mask };
  wslay_frame_context_ptr codec;
  int failed = wslay_frame_context_init(&codec, &callbacks, w);
  assert(!failed); /* but for want of memory */
  return codec;
}

/* Sending. There is room for it. A codec that has masked once masks ever after: each frame gets its own. */
static void ws_pack(struct ws *w, const struct ws_frame *f) {
  struct wslay_frame_iocb frame = {
    .fin = f->fin,
    .rsv = f->rsv,
    .opcode = f->opcode,
    .mask = w->server == f->unusual_mask,
    .payload_length = f->payload.size,
    .data = f->payload.data,
    .data_length = f->payload.size,
  };
  wslay_frame_context_ptr codec = ws_codec(w);
  ssize_t sent = wslay_frame_send(codec, &frame);
  assert(sent >= 0 && (size_t)sent == f->payload.size);
  wslay_frame_context_free(codec);
}

static void ws_pack_control(struct ws *w, uint8_t opcode, struct slice payload) {
  ws_pack(w, &(struct ws_frame){ .opcode = opcode, .fin = true, .payload = payload });
}

static void ws_part(struct ws *w, unsigned code, const char *reason) {
  uint8_t payload[2 + WS_REASON_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };
  struct slice text = slice_first(slice_text(reason), WS_REASON_MAX);
  if (w->open || w->close_sent) return;
  w->close_sent = true;
  if (text.size) memcpy(payload + 2, text.data, text.size);
  ws_pack_control(w, WS_CLOSE, slice_of(payload, code == WS_NO_STATUS ? 0 : 2 + text.size));
}

/* The end of it, with the sentence for the owner. */
static void ws_say(struct ws *w, enum stream_end how, const char *text) {
  free(w->why);
  w->why = mem_copy(slice_text(text));
  w->filter.why = w->why;
  w->filter.how = how;
}

static void ws_break(struct ws *w, unsigned code, int64_t now_ns, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void ws_break(struct ws *w, unsigned code, int64_t now_ns, const char *format, ...) {
  char text[ERR_TEXT_MAX];
  va_list args;
  if (w->broken) return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  w->broken = true;
  w->parting_ns = now_ns + WS_PARTING_NS;
  ws_part(w, code, text);
  ws_say(w, STREAM_FAILED, text);
}

static void ws_note(struct ws *w, const char *what, struct slice payload) {
  char text[WS_CONTROL_MAX + 64];
  if (!w->note) return;
  int n = snprintf(text, sizeof text, "WebSocket %s%s", what, payload.size ? ": " : "");
  for (size_t i = 0; i < payload.size; i++) {
    text[n++] = payload.data[i] >= ' ' && payload.data[i] < 0x7f ? (char)payload.data[i] : '?';
  }
  text[n] = 0;
  w->note(w->note_arg, text);
}

/* Receiving. */

static const char *ws_code_text(unsigned code) {
  static const char *const rows[] = { "normal closure",
                                      "going away",
                                      "protocol error",
                                      "unsupported data",
                                      "",
                                      "no code",
                                      "",
                                      "invalid data",
                                      "policy violation",
                                      "message too big",
                                      "extension needed",
                                      "internal error",
                                      "service restart",
                                      "try again later",
                                      "bad gateway" };
  if (code >= 1000 && code < 1000 + sizeof rows / sizeof *rows) return rows[code - 1000];
  return code >= 4000 ? "private" : "registered";
}

/* What may stand in a Close (RFC 6455, 7.4). */
static bool ws_is_code(unsigned code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

/* A zero byte is a character to WebSocket. */
static bool ws_is_text(struct slice text) {
  size_t size;
  for (; text.size; text = slice_from(text, size)) {
    enum utf8_fault fault = utf8_next(text, &size);
    if (fault == UTF8_ILL_FORMED || fault == UTF8_SURROGATE) return false;
  }
  return true;
}

static void ws_closed(struct ws *w, struct slice payload, int64_t now_ns) {
  char text[256], reason[WS_REASON_MAX + 1] = "";
  unsigned code = payload.size >= 2 ? payload.data[0] * 256u + payload.data[1] : WS_NO_STATUS;
  if (payload.size == 1 || (payload.size >= 2 && !ws_is_code(code))) {
    ws_break(w, WS_CLOSE_BREACH, now_ns, "a WebSocket Close with a bad code from the other end");
    return;
  }
  if (payload.size > 2 && !ws_is_text(slice_from(payload, 2))) {
    ws_break(w, WS_CLOSE_TEXT, now_ns, "a WebSocket Close from the other end whose reason is not UTF-8");
    return;
  }
  for (size_t i = 2; i < payload.size; i++) reason[i - 2] = payload.data[i] < ' ' ? '?' : (char)payload.data[i];
  snprintf(text, sizeof text, "closed by the other end: WebSocket Close %u (%s)%s%s", code, ws_code_text(code),
           *reason ? ": " : "", reason);
  w->close_came = true;
  w->code = (uint16_t)code;
  ws_say(w, STREAM_FIN, text);
}

/* Of those that find no room only the newest is answered (RFC 6455, 5.5.3). */
static void ws_pinged(struct ws *w, struct slice payload) {
  ws_note(w, "Ping", payload);
  if (w->close_sent) return;
  if (buffer_size(&w->out) + WS_HEADER_MAX + payload.size <= WS_PONGS_MAX) {
    ws_pack_control(w, WS_PONG, payload);
    return;
  }
  buffer_fini(&w->pong);
  buffer_append(&w->pong, payload);
  w->pong_waits = true;
}

static void ws_controlled(struct ws *w, int64_t now_ns) {
  struct slice payload = buffer_slice(&w->control);
  if (w->opcode == WS_PING) ws_pinged(w, payload);
  else if (w->opcode == WS_PONG) ws_note(w, "Pong", payload);
  else if (w->opcode == WS_CLOSE) ws_closed(w, payload, now_ns);
  buffer_consume(&w->control, payload.size);
}

static const char *ws_other(const struct ws *w) {
  return w->server ? "client" : "server";
}

/* Whether a frame may begin like this. */
static bool ws_check(struct ws *w, const struct wslay_frame_iocb *f, int64_t now_ns) {
  if (f->rsv) {
    ws_break(w, WS_CLOSE_BREACH, now_ns, "a WebSocket frame with reserved bits from the %s", ws_other(w));
  } else if (!f->mask == w->server) {
    ws_break(w, WS_CLOSE_BREACH, now_ns, "%s WebSocket frame from the %s", f->mask ? "a masked" : "an unmasked",
             ws_other(w));
  } else if (f->opcode == WS_TEXT) {
    /* [MQTT-6.0.0-1] */
    ws_break(w, WS_CLOSE_TYPE, now_ns, "a WebSocket text frame from the %s: MQTT goes in binary frames", ws_other(w));
  } else if (f->opcode == WS_CONTINUATION && !w->message) {
    ws_break(w, WS_CLOSE_BREACH, now_ns, "a WebSocket continuation of nothing from the %s", ws_other(w));
  } else if (f->opcode == WS_BINARY && w->message) {
    ws_break(w, WS_CLOSE_BREACH, now_ns, "a new WebSocket message within a fragmented one from the %s", ws_other(w));
  } else if ((f->opcode > WS_BINARY && f->opcode < WS_CLOSE) || f->opcode > WS_PONG) {
    ws_break(w, WS_CLOSE_BREACH, now_ns, "a WebSocket frame of the reserved kind %u from the %s", f->opcode,
             ws_other(w));
  } else if (f->payload_length > w->frame_in_max) {
    ws_break(w, WS_CLOSE_LARGE, now_ns, "a WebSocket frame of %llu bytes from the %s: %llu at most",
             (unsigned long long)f->payload_length, ws_other(w), (unsigned long long)w->frame_in_max);
  }
  return !w->broken;
}

static size_t ws_header_size(const struct wslay_frame_iocb *f) {
  size_t length = f->payload_length < 126 ? 0 : f->payload_length < 65536 ? 2 : 8;
  return 2 + length + (f->mask ? 4 : 0);
}

static void ws_begin(struct ws *w, const struct wslay_frame_iocb *f) {
  w->inside = true;
  w->opcode = f->opcode;
  w->left = f->payload_length;
  w->unread -= ws_header_size(f);
  if (f->opcode <= WS_BINARY) w->message = !f->fin;
}

/* A piece of a frame: all of it, perhaps. */
static void ws_got(struct ws *w, const struct wslay_frame_iocb *f, int64_t now_ns) {
  struct slice payload = slice_of(f->data, f->data_length);
  bool control = f->opcode >= WS_CLOSE;
  if (!w->inside) {
    if (!ws_check(w, f, now_ns)) return;
    ws_begin(w, f);
  }
  bool fits = buffer_append(control ? &w->control : &w->in, payload);
  assert(fits);
  w->unread -= payload.size;
  w->left -= payload.size;
  if (w->left) return;
  w->inside = false;
  if (control) ws_controlled(w, now_ns);
}

static bool ws_is_deaf(const struct ws *w) {
  return w->broken || w->close_came;
}

static void ws_unpack(struct ws *w, struct slice piece, int64_t now_ns) {
  if (!w->codec) w->codec = ws_codec(w);
  w->feed = piece;
  w->unread += piece.size;
  while (!ws_is_deaf(w)) {
    struct wslay_frame_iocb f = { 0 };
    ssize_t n = wslay_frame_recv(w->codec, &f);
    if (n == WSLAY_ERR_WANT_READ) break;
    if (n < 0) ws_break(w, WS_CLOSE_BREACH, now_ns, "a malformed WebSocket frame from the %s", ws_other(w));
    else ws_got(w, &f, now_ns);
  }
  if (w->inside || w->unread) return;
  wslay_frame_context_free(w->codec);
  w->codec = NULL;
}

/* The handshake's share of the bytes. */
static size_t ws_shake(struct ws *w, struct slice bytes, int64_t now_ns) {
  struct err why;
  size_t used;
  enum wsopen_result r = wsopen_take(w->open, bytes, &used, &w->out, &why);
  if (r == WSOPEN_BAD) ws_break(w, 0, now_ns, "%s", why.text);
  if (r == WSOPEN_DONE) {
    wsopen_free(w->open);
    w->open = NULL;
    ws_note(w, "open", slice_of(NULL, 0));
  }
  return used;
}

static size_t ws_take_in(struct ws *w, struct slice bytes, int64_t now_ns) {
  size_t taken = 0;
  if (w->open && !w->broken) taken = ws_shake(w, bytes, now_ns);
  while (taken < bytes.size && !ws_is_deaf(w) && buffer_size(&w->in) < WS_IN_MAX) {
    struct slice piece = slice_first(slice_from(bytes, taken), WS_PIECE);
    ws_unpack(w, piece, now_ns);
    taken += piece.size;
  }
  return ws_is_deaf(w) ? bytes.size : taken;
}

/* A frame's bytes are taken as they go on. */
static size_t ws_take_out(struct ws *w, struct slice bytes) {
  size_t done = w->passed;
  if (w->close_sent) return bytes.size;
  if (w->filter.settle) {
    done += w->tail;
    w->tail = 0;
  }
  if (done) {
    w->passed = 0;
    return done < bytes.size ? done : bytes.size;
  }
  if (w->filter.settle || w->open || w->broken || buffer_size(&w->out)) return 0;
  struct slice payload = slice_first(bytes, WS_FRAME_OUT);
  ws_pack(w, &(struct ws_frame){ .opcode = WS_BINARY, .fin = true, .payload = payload });
  w->head = buffer_size(&w->out) - payload.size;
  w->tail = payload.size;
  return 0;
}

/* How much of the owner's is in what went on: the frame stands first in `out`. */
static void ws_count(struct ws *w, size_t n) {
  size_t head = n < w->head ? n : w->head;
  size_t tail = n - head < w->tail ? n - head : w->tail;
  w->head -= head;
  w->tail -= tail;
  w->passed += tail;
}

/* The filter. */

static size_t ws_take(struct filter *f, enum chain_direction d, struct slice bytes, int64_t now_ns) {
  struct ws *w = ws_cast(f);
  return d == CHAIN_IN ? ws_take_in(w, bytes, now_ns) : ws_take_out(w, bytes);
}

static void ws_came(struct ws *w, enum chain_end end, int64_t now_ns) {
  w->came = end;
  if (end > CHAIN_CLOSE || ws_is_deaf(w)) return;
  if (w->open) ws_break(w, 0, now_ns, "closed by the other end during the WebSocket handshake");
  else if (!w->close_sent) ws_say(w, STREAM_FIN, "closed by the other end, without a WebSocket Close");
}

static void ws_end(struct filter *f, enum chain_direction d, enum chain_end end, int64_t now_ns) {
  struct ws *w = ws_cast(f);
  if (d == CHAIN_IN) {
    ws_came(w, end, now_ns);
  } else {
    w->asked = end;
    if (end <= CHAIN_CLOSE) ws_part(w, w->close_came ? w->code : WS_CLOSE_NORMAL, "");
  }
}

static struct slice ws_give(struct filter *f, enum chain_direction d, int64_t now_ns) {
  struct ws *w = ws_cast(f);
  (void)now_ns;
  if (d == CHAIN_IN) return buffer_slice(&w->in);
  if (w->pong_waits && !buffer_size(&w->out) && !w->close_sent) {
    w->pong_waits = false;
    ws_pack_control(w, WS_PONG, buffer_slice(&w->pong));
    buffer_fini(&w->pong);
  }
  return buffer_slice(&w->out);
}

static void ws_gave(struct filter *f, enum chain_direction d, size_t n, int64_t now_ns) {
  struct ws *w = ws_cast(f);
  (void)now_ns;
  buffer_consume(d == CHAIN_IN ? &w->in : &w->out, n);
  if (d == CHAIN_OUT) ws_count(w, n);
  if (w->broken && !buffer_size(&w->out) && f->chain) chain_kick(f->chain);
}

static enum chain_end ws_ends(struct filter *f, enum chain_direction d) {
  struct ws *w = ws_cast(f);
  if (d == CHAIN_OUT) return buffer_size(&w->out) ? CHAIN_NONE : w->asked;
  if (buffer_size(&w->in)) return CHAIN_NONE;
  if (w->broken) return buffer_size(&w->out) && w->parting_ns != NET_NEVER ? CHAIN_NONE : CHAIN_RESET;
  return w->close_came && w->came < CHAIN_FIN ? CHAIN_FIN : w->came;
}

static int64_t ws_deadline(struct filter *f) {
  return ws_cast(f)->parting_ns;
}

static void ws_tick(struct filter *f, int64_t now_ns) {
  struct ws *w = ws_cast(f);
  if (w->parting_ns <= now_ns) w->parting_ns = NET_NEVER;
}

static void ws_free(struct filter *f) {
  struct ws *w = ws_cast(f);
  wsopen_free(w->open);
  if (w->codec) wslay_frame_context_free(w->codec);
  buffer_fini(&w->in);
  buffer_fini(&w->out);
  buffer_fini(&w->control);
  buffer_fini(&w->pong);
  free(w->why);
  free(w);
}

static const char *ws_waits(const struct filter *f) {
  const struct ws *w = (const struct ws *)f;
  if (!w->open) return NULL;
  return w->server ? "a request" : "the answer to its request";
}

static const struct filter_ops ws_ops = {
  .name = "ws",
  .wraps = true,
  .take = ws_take,
  .end = ws_end,
  .give = ws_give,
  .gave = ws_gave,
  .ends = ws_ends,
  .deadline = ws_deadline,
  .tick = ws_tick,
  .waits = ws_waits,
  .free = ws_free,
};

struct filter *ws_new(bool server, const struct ws_options *options) {
  struct ws *w = mem_zero(sizeof *w);
  uint8_t nonce[WSOPEN_NONCE];
  w->filter.ops = &ws_ops;
  w->server = server;
  w->open = wsopen_new(server, &options->open);
  w->frame_in_max = options->frame_in_max ? options->frame_in_max : WS_FRAME_IN_MAX;
  w->rng.state = options->seed;
  w->note = options->note;
  w->note_arg = options->arg;
  w->parting_ns = NET_NEVER;
  buffer_init(&w->in, WS_IN_MAX + WS_PIECE);
  buffer_init(&w->out, WS_OUT_MAX + WS_FRAME_OUT + 2 * WSOPEN_HEAD_MAX);
  buffer_init(&w->control, WS_CONTROL_MAX);
  buffer_init(&w->pong, WS_CONTROL_MAX);
  ws_mask(nonce, sizeof nonce, w);
  if (!server) wsopen_ask(w->open, nonce, &w->out);
  return &w->filter;
}

/* For scripts. */

struct filter *ws_of(const struct chain *c) {
  return chain_find(c, &ws_ops);
}

bool ws_masks(const struct filter *f) {
  return !((const struct ws *)f)->server;
}

static bool ws_can_send(const struct ws *w, size_t size, struct err *err) {
  if (w->open) return err_set(err, "the WebSocket's handshake is not through");
  if (w->broken) return err_set(err, "the WebSocket has failed: %s", w->why);
  if (buffer_size(&w->out) + WS_HEADER_MAX + size <= WS_OUT_MAX) return true;
  return err_set(err, "more than %u bytes of frames would wait to be written", WS_OUT_MAX);
}

static void ws_kick(struct ws *w) {
  if (w->filter.chain) chain_kick(w->filter.chain);
}

bool ws_send(struct filter *f, const struct ws_frame *frame, struct err *err) {
  struct ws *w = ws_cast(f);
  if (!ws_can_send(w, frame->payload.size, err)) return false;
  if (frame->opcode >= WS_CLOSE && (!frame->fin || frame->payload.size > WS_CONTROL_MAX)) {
    return err_set(err, "a WebSocket control frame is one piece of at most %d bytes: send such a one as bytes",
                   WS_CONTROL_MAX);
  }
  ws_pack(w, frame);
  if (frame->opcode == WS_CLOSE) w->close_sent = true;
  ws_kick(w);
  return true;
}

bool ws_send_bytes(struct filter *f, struct slice bytes, struct err *err) {
  struct ws *w = ws_cast(f);
  if (!ws_can_send(w, bytes.size, err)) return false;
  buffer_append(&w->out, bytes);
  ws_kick(w);
  return true;
}
