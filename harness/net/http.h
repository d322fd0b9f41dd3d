/* http: a request and what is answered to it, as values. The seam between whoever serves HTTP (evweb.h) and whoever
 * answers (fault/control.h), so that answers can be tested without a server.
 */
#ifndef MQRIG_HTTP_H
#define MQRIG_HTTP_H

#include "base/buffer.h"

#define HTTP_BODY_MAX   (1u << 20)
#define HTTP_ANSWER_MAX (64u << 20)

struct http_header {
  const char *name, *value;
};

/* Borrowed for the call. */
struct http_request {
  const char *method; /* "GET" */
  const char *target; /* "/proxies/mqtt?pretty", as it was sent */
  const struct http_header *headers;
  size_t header_count;
  struct slice body;
};

struct http_response {
  int status;
  const char *type;  /* Content-Type; static. NULL: there is no body */
  const char *allow; /* of a 405: the methods that there are; static or NULL */
  struct buffer body;
};

typedef void http_answer(void *arg, const struct http_request *q, struct http_response *r);

/* The value of the first header of that name (in any case), or NULL. */
const char *http_header(const struct http_request *q, const char *name);

/* A part of a path with its %-escapes undone, to be freed; NULL where they are none, or there is a zero byte. */
char *http_unescape(struct slice text);

void http_response_init(struct http_response *r);
void http_response_fini(struct http_response *r);

#endif
