#include "host/rawclient.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "host/tap.h"

/* What filters hold, and one read, may come on top of the limit before the stream stops. */
#define RAWCLIENT_SLACK   (8u << 20)
#define RAWCLIENT_OUT_MAX (64u << 20)

struct rawclient {
  struct net *net;
  struct timeline *timeline;
  struct chain *chain; /* NULL once it has ended */
  struct rawclient_handler handler;
  void *arg;
  struct tap *tap;
  struct buffer in, out;
  uint32_t who;
  uint16_t depth; /* handlers that run */
  bool open, paused, dead;
};

static int64_t rawclient_now(const struct rawclient *c) {
  return net_now(c->net);
}

static void rawclient_leave(struct rawclient *c) {
  if (--c->depth || !c->dead) return;
  tap_free(c->tap);
  buffer_fini(&c->in);
  buffer_fini(&c->out);
  free(c);
}

static void rawclient_drop(struct rawclient *c, const char *why) {
  struct chain *chain = c->chain;
  if (!chain) return;
  c->chain = NULL;
  c->open = false;
  if (c->timeline) timeline_note(c->timeline, rawclient_now(c), c->who, TIMELINE_END, "%s", why);
  chain_free(chain);
}

static void rawclient_opened(void *arg) {
  struct rawclient *c = arg;
  const struct stream *s = chain_stream(c->chain);
  c->open = true;
  if (c->timeline && s) {
    timeline_note(c->timeline, rawclient_now(c), c->who, TIMELINE_OPEN, "%s to %s", stream_local(s), stream_peer(s));
  }
  chain_want_write(c->chain);
  c->depth++;
  if (c->handler.opened) c->handler.opened(c->arg);
  rawclient_leave(c);
}

static void rawclient_tell_end(struct rawclient *c, enum stream_end end, const char *why) {
  c->depth++;
  if (c->handler.ended) c->handler.ended(c->arg, end, why);
  rawclient_leave(c);
}

static void rawclient_received(void *arg, struct slice bytes) {
  struct rawclient *c = arg;
  tap_pass(c->tap, TIMELINE_DOWN, bytes, rawclient_now(c));
  if (!buffer_append(&c->in, bytes)) {
    rawclient_drop(c, "more came in than is kept");
    rawclient_tell_end(c, STREAM_FAILED, "more came in than is kept");
    return;
  }
  if (!c->paused && buffer_size(&c->in) >= RAWCLIENT_IN_MAX) chain_pause(c->chain, c->paused = true);
  c->depth++;
  if (c->handler.input) c->handler.input(c->arg);
  rawclient_leave(c);
}

static struct slice rawclient_output(void *arg) {
  struct rawclient *c = arg;
  return buffer_slice(&c->out);
}

static void rawclient_wrote(void *arg, size_t n) {
  struct rawclient *c = arg;
  tap_pass(c->tap, TIMELINE_UP, slice_first(buffer_slice(&c->out), n), rawclient_now(c));
  buffer_consume(&c->out, n);
}

static void rawclient_ended(void *arg, enum stream_end end, bool writing, const struct err *why) {
  struct rawclient *c = arg;
  const char *text = chain_end_text(end, why);
  (void)writing;
  /* After a FIN the connection lives on, for writing, unless a filter has closed it. */
  if (end != STREAM_FIN || !chain_stream(c->chain)) rawclient_drop(c, text);
  else if (c->timeline) timeline_note(c->timeline, rawclient_now(c), c->who, TIMELINE_NOTE, "%s", text);
  rawclient_tell_end(c, end, text);
}

static const struct stream_handler rawclient_stream = {
  .opened = rawclient_opened,
  .input = rawclient_received,
  .output = rawclient_output,
  .wrote = rawclient_wrote,
  .ended = rawclient_ended,
};

static void rawclient_note(void *arg, const char *what) {
  struct rawclient *c = arg;
  if (c->timeline) timeline_note(c->timeline, rawclient_now(c), c->who, TIMELINE_NOTE, "%s", what);
}

static bool rawclient_dial(struct rawclient *c, const struct url *u, const struct transport_options *given,
                           int64_t timeout_ns, struct err *err) {
  struct transport_options transport = given ? *given : (struct transport_options){ 0 };
  transport.note = rawclient_note;
  transport.arg = c;
  c->chain = chain_new(c->net, &rawclient_stream, c);
  if (!transport_client(c->chain, c->net, u, &transport, err)) return false;
  struct stream *s = net_connect(c->net, u, timeout_ns, NULL, NULL, err);
  if (s) chain_attach(c->chain, s);
  return s != NULL;
}

struct rawclient *rawclient_new(struct net *n, struct timeline *timeline, const char *name, const struct url *u,
                                const struct transport_options *transport, int64_t timeout_ns,
                                const struct rawclient_handler *handler, void *arg, struct err *err) {
  struct rawclient *c = mem_zero(sizeof *c);
  c->net = n;
  c->timeline = timeline;
  c->handler = *handler;
  c->arg = arg;
  c->who = timeline ? timeline_who(timeline, name) : 0;
  c->tap = tap_new(timeline, c->who);
  buffer_init(&c->in, RAWCLIENT_IN_MAX + RAWCLIENT_SLACK);
  buffer_init(&c->out, RAWCLIENT_OUT_MAX);
  if (rawclient_dial(c, u, transport, timeout_ns, err)) return c;
  chain_free(c->chain);
  tap_free(c->tap);
  free(c);
  return NULL;
}

void rawclient_free(struct rawclient *c) {
  if (!c || c->dead) return;
  if (c->open) chain_flush(c->chain);
  c->depth++;
  rawclient_drop(c, "closed by this end");
  c->dead = true;
  rawclient_leave(c);
}

bool rawclient_send(struct rawclient *c, struct slice bytes) {
  if (!c->chain || !buffer_append(&c->out, bytes)) return false;
  if (!c->open) return true;
  chain_want_write(c->chain);
  chain_flush(c->chain); /* so that an end that comes next comes behind it */
  return true;
}

struct slice rawclient_input(const struct rawclient *c) {
  return buffer_slice(&c->in);
}

void rawclient_take(struct rawclient *c, size_t n) {
  buffer_consume(&c->in, n);
  if (c->chain && c->paused && buffer_size(&c->in) < RAWCLIENT_IN_MAX) chain_pause(c->chain, c->paused = false);
}

struct chain *rawclient_chain(const struct rawclient *c) {
  return c->chain;
}

uint32_t rawclient_who(const struct rawclient *c) {
  return c->who;
}
