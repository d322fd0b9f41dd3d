/* stream: one connection of a world: bytes both ways, ends, back-pressure. Part of the seam net.h.
 *
 * The owner of a stream provides a `struct stream_handler` and pulls nothing: bytes that came are pushed at it, bytes
 * to write are asked of it. Streams come from net_connect and net_listen; the owner ends each with one of stream_close,
 * stream_reset and stream_vanish.
 */
#ifndef MQRIG_STREAM_H
#define MQRIG_STREAM_H

#include "base/err.h"
#include "base/slice.h"

#define STREAM_FLUSH_MAX (1u << 20) /* bytes written of one stream in one go, before others have their turn */

struct stream;

/* How a stream ended. */
enum stream_end {
  STREAM_FIN,         /* the other end finished sending; writing still works */
  STREAM_RESET,       /* ECONNRESET, EPIPE */
  STREAM_REFUSED,     /* while connecting: nobody listens */
  STREAM_UNREACHABLE, /* while connecting: no route, no such name or path */
  STREAM_TIMEOUT,     /* while connecting, or ETIMEDOUT */
  STREAM_FAILED,      /* anything else: `why` tells */
};

/* What the owner of a stream provides. All run inside net_turn, but for `output` and `wrote`, which stream_flush calls
 * too. Any of them may end the stream that they are called for, and others. */
struct stream_handler {
  void (*opened)(void *arg);                    /* connected; not called for accepted streams */
  void (*input)(void *arg, struct slice bytes); /* takes all; stream_pause stops more */
  struct slice (*output)(void *arg);            /* what to write next; empty: nothing now */
  void (*wrote)(void *arg, size_t n);           /* the first n bytes of that were taken by the transport */
  /* STREAM_FIN: nothing more comes in, the stream lives on, for writing; `why` is NULL. Anything else: the stream has
   * failed, nothing is called again and the owner closes it. All input received before was handed over first, also when
   * it was a write that failed (`writing`); while the stream is paused both wait. */
  void (*ended)(void *arg, enum stream_end end, bool writing, const struct err *why);
};

/* Sets or replaces the owner: for an accepted stream, inside `accepted`. */
void stream_own(struct stream *s, const struct stream_handler *handler, void *arg);

/* There is something to write: `output` is asked at the end of this turn, and again whenever the transport takes more.
 */
void stream_want_write(struct stream *s);

/* Writes now as much as the transport takes. Failure is reported later, by `ended` in a turn. */
void stream_flush(struct stream *s);

/* Stops and starts reading: the window closes. A reset is not noticed while reading is stopped, unless by a write. */
void stream_pause(struct stream *s, bool paused);

/* Bytes written that the other end's kernel has not acknowledged yet. */
size_t stream_unsent(const struct stream *s);

/* Asks the other end's kernel to acknowledge now what it has, where this system can: a delayed acknowledgement takes up
 * to 40 ms. */
void stream_hurry(struct stream *s);

/* FIN: no more writing, `output` is not asked again; reading goes on. */
void stream_shutdown(struct stream *s);

/* Sizes of the kernel's buffers, 0 leaves one alone. For accepted streams best set on the listener. */
void stream_set_buffers(struct stream *s, size_t send, size_t receive);

/* End the stream and free it; no handler is called any more. close: in order, what the transport took still goes out.
 * reset: RST now. vanish: neither FIN nor RST; false with a sentence, and the stream untouched, where that cannot be
 * done. */
void stream_close(struct stream *s);
void stream_reset(struct stream *s);
bool stream_vanish(struct stream *s, struct err *err);

/* "127.0.0.1:53412", or "unix"; of the other end and of this one; empty while not connected. Borrowed
 * until the same is asked of another stream. */
const char *stream_peer(const struct stream *s);
const char *stream_local(const struct stream *s);

#endif
