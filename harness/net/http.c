#include "net/http.h"

#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"

const char *http_header(const struct http_request *q, const char *name) {
  for (size_t i = 0; i < q->header_count; i++) {
    if (strcasecmp(q->headers[i].name, name) == 0) return q->headers[i].value;
  }
  return NULL;
}

static int http_digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *http_unescape(struct slice text) {
  char *out = mem_copy(text);
  size_t size = 0;
  for (size_t i = 0; i < text.size; i++) {
    int c = text.data[i];
    if (c == '%') {
      int high = text.size - i > 2 ? http_digit(text.data[i + 1]) : -1;
      int low = text.size - i > 2 ? http_digit(text.data[i + 2]) : -1;
      c = high < 0 || low < 0 ? 0 : high * 16 + low;
      i += 2;
    }
    if (c == 0) {
      free(out);
      return NULL;
    }
    out[size++] = (char)c;
  }
  out[size] = 0;
  return out;
}

void http_response_init(struct http_response *r) {
  *r = (struct http_response){ .status = 200 };
  buffer_init(&r->body, HTTP_ANSWER_MAX);
}

void http_response_fini(struct http_response *r) {
  buffer_fini(&r->body);
}
