/* proxylog: what a proxy does, told in lines: for people, or JSON objects for programs.
 *
 * A line for each connection that begins and that ends, for each firing and for each trouble; and a summary with a line
 * for each rule. What has to do with a proxy that has a name says so. Text that comes from a network is made safe to
 * print.
 */
#ifndef MQRIG_PROXYLOG_H
#define MQRIG_PROXYLOG_H

#include "base/buffer.h"
#include "fault/proxy.h"

#define PROXYLOG_LINE_MAX (1u << 17) /* with client identifiers, which have up to 64 KiB */
#define PROXYLOG_ID_MAX   64         /* bytes of a client's identifier that are shown to people */

struct proxylog {
  bool json;
  bool quiet; /* troubles and summaries only */
  int64_t began_ns;
  void (*line)(void *arg, const char *text); /* without a newline; borrowed for the call */
  void *arg;
  struct buffer text; /* of the line in progress */
};

void proxylog_init(struct proxylog *l, int64_t now_ns, void (*line)(void *arg, const char *text), void *arg);
void proxylog_fini(struct proxylog *l);

void proxylog_listening(struct proxylog *l, const struct proxy *p, int64_t now_ns, uint64_t seed);
/* The file with the CA that was made for the run. */
void proxylog_ca(struct proxylog *l, const char *path, int64_t now_ns);
void proxylog_accepted(struct proxylog *l, const struct proxy_conn *c);
void proxylog_fired(struct proxylog *l, const struct proxy_conn *c, const struct scope_firing *f);
void proxylog_ended(struct proxylog *l, const struct proxy_conn *c, int64_t now_ns, const char *why);
void proxylog_trouble(struct proxylog *l, int64_t now_ns, const struct err *why);

/* Counts so far, and each rule with its own. `toxics`: how often toxics have acted. */
void proxylog_summary(struct proxylog *l, const struct proxy *p, uint64_t toxics, int64_t now_ns);

#endif
