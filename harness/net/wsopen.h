/* wsopen: the opening handshake of WebSocket (RFC 6455, 4): an HTTP/1.1 upgrade. Sans I/O, either end.
 *
 * What comes in is given to wsopen_take until it says that the handshake is through, or why it is not. What a server
 * does wrong on purpose stands in its options.
 */
#ifndef MQRIG_WSOPEN_H
#define MQRIG_WSOPEN_H

#include "base/buffer.h"
#include "base/err.h"

#define WSOPEN_HEAD_MAX  8192 /* bytes of a request or of an answer, its empty line included */
#define WSOPEN_NONCE     16   /* bytes of a key, before base64 */
#define WSOPEN_FIELD_MAX 2048 /* bytes of each text in the options */

/* Copied. NULL or 0: the default. */
struct wsopen_options {
  const char *path;     /* client: what is asked for ("/"); server: the only one there is (any) */
  const char *host;     /* client: "localhost:8080" */
  const char *protocol; /* offered or chosen ("mqtt"); empty: none */
  const char *headers;  /* more lines of the request or answer, each with its CRLF */
  int status;           /* server: answered instead of 101 */
  const char *accept;   /* server: answered instead of what follows from the key */
};

enum wsopen_result { WSOPEN_MORE, WSOPEN_DONE, WSOPEN_BAD };

struct wsopen;

/* False with a sentence where an option cannot stand in a request or an answer. */
bool wsopen_check(const struct wsopen_options *options, struct err *err);

/* The options have passed wsopen_check. */
struct wsopen *wsopen_new(bool server, const struct wsopen_options *options);
void wsopen_free(struct wsopen *w);

/* A client's request: `out` has room for 2 * WSOPEN_HEAD_MAX. */
void wsopen_ask(struct wsopen *w, const uint8_t nonce[WSOPEN_NONCE], struct buffer *out);

/* `*used` of the bytes belong to the handshake: all, unless it is DONE. A server's answer goes to `out`, also with BAD,
 * where `why` is the sentence. */
enum wsopen_result wsopen_take(struct wsopen *w, struct slice bytes, size_t *used, struct buffer *out, struct err *why);

#endif
