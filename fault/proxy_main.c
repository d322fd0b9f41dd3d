/* mqrig-proxy: the fault proxy as a program of its own, without Lua. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/near.h"
#include "fault/control.h"
#include "fault/proxylog.h"
#include "fault/proxytls.h"
#include "fault/record.h"
#include "fault/scope_fields.h"
#include "net/evnet.h"
#include "net/evweb.h"

enum { PROXY_MAIN_UNMET = 1, PROXY_MAIN_USAGE = 2, PROXY_MAIN_ENVIRONMENT = 5 };

#define PROXY_MAIN_SPARE 32 /* descriptors that are not for connections */

struct proxy_main {
  struct net *net;
  struct proxy *proxy; /* NULL: only what is made by the control interface */
  struct fleet *fleet;
  struct control *control;
  struct evweb *web;
  struct url control_at;
  bool controlled;
  const char *control_hosts[CONTROL_HOSTS_MAX];
  size_t control_host_count;
  struct proxylog log;
  const char *capture; /* a file's name, or NULL */
  struct record *record;
  struct proxy_options options;
  struct proxytls tls;
  const char *addresses[2]; /* LISTEN, UPSTREAM */
  int address_count;
  struct rule **rules;
  size_t rule_count;
  struct evnet_watch *signals;
  bool json, quiet, over, printed;
  const char *answer; /* --help, --version */
};

struct proxy_main_option {
  const char *name, *argument, *help;
  bool (*take)(struct proxy_main *m, const char *value, struct err *err);
};

static const char proxy_main_usage[] =
    "usage: mqrig-proxy LISTEN UPSTREAM [options]\n       mqrig-proxy --control ADDR [options]\n";

/* Options. */

static bool proxy_main_fault(struct proxy_main *m, const char *value, struct err *err) {
  struct err why;
  struct rule *r = rule_parse(value, &why);
  if (!r) return err_set(err, "--fault \"%.100s\": %s", value, why.text);
  m->rules = mem_resize(m->rules, (m->rule_count + 1) * sizeof *m->rules);
  m->rules[m->rule_count++] = r;
  return true;
}

/* A whole number from `least` to `most`. */
static bool proxy_main_number(const char *name, const char *value, uint64_t least, uint64_t most, uint64_t *out,
                              struct err *err) {
  char *end;
  errno = 0;
  *out = strtoull(value, &end, 10);
  if (value[0] >= '0' && value[0] <= '9' && !*end && !errno && *out >= least && *out <= most) return true;
  return err_set(err, "--%s is a whole number from %llu to %llu, not \"%.40s\"", name, (unsigned long long)least,
                 (unsigned long long)most, value);
}

static bool proxy_main_seed(struct proxy_main *m, const char *value, struct err *err) {
  return proxy_main_number("seed", value, 0, UINT64_MAX, &m->options.seed, err);
}

static bool proxy_main_max_connections(struct proxy_main *m, const char *value, struct err *err) {
  uint64_t n;
  if (!proxy_main_number("max-connections", value, 1, UINT32_MAX, &n, err)) return false;
  m->options.accepting.accept_max = (uint32_t)n;
  return true;
}

static bool proxy_main_connect_timeout(struct proxy_main *m, const char *value, struct err *err) {
  if (value_duration(slice_text(value), &m->options.connect_timeout_ns) && m->options.connect_timeout_ns > 0)
    return true;
  return err_set(err, "--connect-timeout is a duration (5s, 250ms), not \"%.40s\"", value);
}

static bool proxy_main_refuse_by(struct proxy_main *m, const char *value, struct err *err) {
  m->options.closes = strcmp(value, "close") == 0;
  if (m->options.closes || strcmp(value, "reset") == 0) return true;
  return err_set(err, "--refuse-by is reset or close, not \"%.40s\"", value);
}

static bool proxy_main_control(struct proxy_main *m, const char *value, struct err *err) {
  return m->controlled = control_address(value, &m->control_at, err);
}

static bool proxy_main_control_host(struct proxy_main *m, const char *value, struct err *err) {
  if (m->control_host_count == CONTROL_HOSTS_MAX)
    return err_set(err, "--control-host can be given %d times", CONTROL_HOSTS_MAX);
  m->control_hosts[m->control_host_count++] = value;
  return true;
}

static bool proxy_main_capture(struct proxy_main *m, const char *value, struct err *err) {
  m->capture = value;
  return value[0] || err_set(err, "--capture needs the name of a file");
}

static bool proxy_main_json(struct proxy_main *m, const char *value, struct err *err) {
  (void)value, (void)err;
  return m->json = true;
}

static bool proxy_main_quiet(struct proxy_main *m, const char *value, struct err *err) {
  (void)value, (void)err;
  return m->quiet = true;
}

static bool proxy_main_help(struct proxy_main *m, const char *value, struct err *err) {
  (void)value, (void)err;
  m->answer = "help";
  return true;
}

static bool proxy_main_version(struct proxy_main *m, const char *value, struct err *err) {
  (void)value, (void)err;
  m->answer = "version";
  return true;
}

static const struct proxy_main_option proxy_main_options[] = {
  { "fault", "RULE", "a fault rule, such as \"up PUBLISH nth 3 at_byte 7 rst\"; may be given often", proxy_main_fault },
  { "seed", "N", "what draws of rules begin with (default: by chance; it is printed)", proxy_main_seed },
  { "max-connections", "N", "accept no more than so many at once (default: what the limit of descriptors allows)",
    proxy_main_max_connections },
  { "connect-timeout", "D", "for connecting to the upstream (default 10s)", proxy_main_connect_timeout },
  { "refuse-by", "reset|close", "what a client sees where the upstream cannot be reached (default reset)",
    proxy_main_refuse_by },
  { "control", "ADDR",
    "serve Toxiproxy's HTTP interface there: a port of 127.0.0.1, or host:port; LISTEN and UPSTREAM,\n"
    "                             which may then be left out, are its proxy \"mqtt\"",
    proxy_main_control },
  { "control-host", "NAME", "a host name by which the interface may be called, besides localhost and addresses",
    proxy_main_control_host },
  { "capture", "FILE", "write what goes through as packets for an analyser (pcapng), faults as comments",
    proxy_main_capture },
  { "json", NULL, "print JSON lines", proxy_main_json },
  { "quiet", NULL, "print no line for connections and firings", proxy_main_quiet },
  { "help", NULL, "show this help", proxy_main_help },
  { "version", NULL, "show the version", proxy_main_version },
};
#define PROXY_MAIN_OPTIONS (sizeof proxy_main_options / sizeof *proxy_main_options)

static void proxy_main_print_tls(void) {
  char left[64];
  const struct proxytls_option *o;
  printf("\nLISTEN and UPSTREAM can be ssl://, mqtts://, ws:// and wss://, too. TLS ends here and begins anew; where "
         "both\n"
         "are tcp:// it goes through as it is, and rules on packets see none. Where no certificate is given to listen\n"
         "with, one is made for the run, and the file with its CA is named.\n"
         "--tls-NAME is about the clients' side, --upstream-tls-NAME about the upstream's:\n\n");
  for (size_t i = 0; (o = proxytls_option(i)); i++) {
    snprintf(left, sizeof left, "%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("  %-26s %s\n", left, o->help);
  }
}

static void proxy_main_print_help(void) {
  char left[64];
  printf("%s\nStands between MQTT clients and a broker, and breaks what its rules say.\n\n", proxy_main_usage);
  printf("  %-26s where to listen: 127.0.0.1:1884, ssl://[::1]:8884, unix:///tmp/proxy.sock; port 0: a free one\n",
         "LISTEN");
  printf("  %-26s the broker, in the same forms\n\n", "UPSTREAM");
  for (size_t i = 0; i < PROXY_MAIN_OPTIONS; i++) {
    const struct proxy_main_option *o = &proxy_main_options[i];
    snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("  %-26s %s\n", left, o->help);
  }
  proxy_main_print_tls();
  printf("\nSIGUSR1 prints the counts so far; SIGINT and SIGTERM end it, with a summary.\n"
         "Exit status: 0 ended by a signal, 1 a rule with must_fire did not fire as often, 2 wrong usage,\n"
         "5 the environment (an address that cannot be listened at, a capture that cannot be written).\n");
}

static const struct proxy_main_option *proxy_main_find(const char *name, size_t size) {
  for (size_t i = 0; i < PROXY_MAIN_OPTIONS; i++) {
    const struct proxy_main_option *o = &proxy_main_options[i];
    if (strlen(o->name) == size && strncmp(o->name, name, size) == 0) return o;
  }
  return NULL;
}

static bool proxy_main_unknown(const char *argument, struct err *err) {
  const char *names[PROXY_MAIN_OPTIONS + PROXYTLS_NAMES_MAX + 1] = { NULL };
  for (size_t i = 0; i < PROXY_MAIN_OPTIONS; i++) names[i] = proxy_main_options[i].name;
  proxytls_names(names + PROXY_MAIN_OPTIONS);
  const char *near = near_name(argument + strspn(argument, "-"), names);
  if (near) return err_set(err, "unknown option \"%.60s\", did you mean \"--%s\"?", argument, near);
  return err_set(err, "unknown option \"%.60s\"", argument);
}

/* `--name value` and `--name=value`. `*next`: what stands behind it, or NULL. */
static bool proxy_main_option(struct proxy_main *m, const char *argument, char ***next, struct err *err) {
  const char *value = strchr(argument, '=');
  size_t size = value ? (size_t)(value - argument) - 2 : strlen(argument) - 2;
  enum proxytls_side side;
  if (strcmp(argument, "-h") == 0) return proxy_main_help(m, NULL, err);
  const struct proxy_main_option *o = argument[1] == '-' ? proxy_main_find(argument + 2, size) : NULL;
  const struct proxytls_option *tls = argument[1] == '-' && !o ? proxytls_find(argument + 2, size, &side) : NULL;
  if (!o && !tls) return proxy_main_unknown(argument, err);
  const char *wanted = o ? o->argument : tls->argument;
  int length = (int)size + 2;
  if (!wanted && value) return err_set(err, "%.*s takes no value", length, argument);
  if (wanted && !value && !**next)
    return err_set(err, "%.*s needs a value: %.*s %s", length, argument, length, argument, wanted);
  if (value) value++;
  else if (wanted) value = *(*next)++;
  return o ? o->take(m, value, err) : proxytls_set(&m->tls, tls, side, value, err);
}

/* A URL, or an address without the scheme: "127.0.0.1:1884", ":1884". */
static bool proxy_main_address(const char *text, const char *what, struct url *out, struct err *err) {
  char with[URL_HOST_MAX + URL_PATH_MAX];
  struct err why;
  const char *scheme = strstr(text, "://") ? "" : text[0] == ':' ? "tcp://localhost" : "tcp://";
  if (strlen(text) + 32 > sizeof with) return err_set(err, "%s is too long", what);
  snprintf(with, sizeof with, "%s%s", scheme, text);
  if (url_parse(with, out, &why)) return true;
  return err_set(err, "%s \"%.100s\": %s", what, text, why.text);
}

static bool proxy_main_parse(struct proxy_main *m, char **argv, struct err *err) {
  while (*argv) {
    const char *argument = *argv++;
    if (argument[0] == '-' && argument[1]) {
      if (!proxy_main_option(m, argument, &argv, err)) return false;
    } else if (m->address_count == 2) {
      return err_set(err, "what is \"%.60s\"? The two addresses are there already", argument);
    } else {
      m->addresses[m->address_count++] = argument;
    }
  }
  if (m->answer) return true;
  if (m->controlled && m->address_count == 0 && m->rule_count == 0) return true;
  if (m->address_count < 2) return err_set(err, "%s is missing", m->address_count ? "UPSTREAM" : "LISTEN");
  return proxy_main_address(m->addresses[0], "LISTEN", &m->options.listen, err) &&
         proxy_main_address(m->addresses[1], "UPSTREAM", &m->options.upstream, err);
}

/* Events. */

static void proxy_main_line(void *arg, const char *text) {
  struct proxy_main *m = arg;
  m->printed = true;
  puts(text);
}

static void proxy_main_accepted(void *arg, struct proxy_conn *c) {
  struct proxy_main *m = arg;
  proxylog_accepted(&m->log, c);
  if (m->record) proxy_conn_set_tag(c, record_begin(m->record, c));
}

static void proxy_main_opened(void *arg, struct proxy_conn *c) {
  (void)arg;
  if (proxy_conn_tag(c)) record_opened(proxy_conn_tag(c));
}

static void proxy_main_fired(void *arg, struct proxy_conn *c, const struct scope_firing *f) {
  struct proxy_main *m = arg;
  proxylog_fired(&m->log, c, f);
  if (c && proxy_conn_tag(c)) record_fired(proxy_conn_tag(c), f);
}

static void proxy_main_ended(void *arg, struct proxy_conn *c, const char *why) {
  struct proxy_main *m = arg;
  proxylog_ended(&m->log, c, net_now(m->net), why);
  record_end(proxy_conn_tag(c), why);
}

static void proxy_main_trouble(void *arg, const struct err *why) {
  struct proxy_main *m = arg;
  proxylog_trouble(&m->log, net_now(m->net), why);
}

static const struct proxy_handler proxy_main_handler = {
  .accepted = proxy_main_accepted,
  .opened = proxy_main_opened,
  .fired = proxy_main_fired,
  .ended = proxy_main_ended,
  .trouble = proxy_main_trouble,
};

static void proxy_main_summary(struct proxy_main *m) {
  bool adopted = m->fleet && m->proxy && fleet_holds(m->fleet, m->proxy);
  if (m->proxy && !adopted) proxylog_summary(&m->log, m->proxy, 0, net_now(m->net));
  if (m->fleet) fleet_summary(m->fleet, &m->log, net_now(m->net));
}

static void proxy_main_signal(void *arg, int fd) {
  struct proxy_main *m = arg;
  struct signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGUSR1) proxy_main_summary(m);
    if (info.ssi_signo != SIGUSR1) m->over = true;
  }
}

/* Running. */

static int proxy_main_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* As many connections as the system allows, and no more than there are descriptors for: each takes two. */
static void proxy_main_limits(struct proxy_main *m) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  size_t left = evnet_descriptors_left(), most = left > PROXY_MAIN_SPARE + 2 ? (left - PROXY_MAIN_SPARE) / 2 : 1;
  if (!m->options.accepting.accept_max) m->options.accepting.accept_max = most > UINT32_MAX ? 0 : (uint32_t)most;
}

static bool proxy_main_start_control(struct proxy_main *m, struct err *err) {
  m->fleet = fleet_new(m->net, &m->options, &proxy_main_handler, m);
  m->control = control_new(m->fleet, &m->control_at);
  for (size_t i = 0; i < m->control_host_count; i++) control_allow_host(m->control, m->control_hosts[i]);
  if (m->proxy) fleet_adopt(m->fleet, "mqtt", m->proxy);
  m->web = evweb_new(m->net, &m->control_at, control_answer, m->control, err);
  return m->web != NULL;
}

/* What the time is since 1970 where the net's clock is 0. */
static int64_t proxy_main_epoch_ns(const struct proxy_main *m) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - net_now(m->net);
}

static bool proxy_main_start_capture(struct proxy_main *m, struct err *err) {
  if (m->capture) m->record = record_new(m->net, m->capture, proxy_main_epoch_ns(m), "mqrig-proxy", err);
  return m->record || !m->capture;
}

static bool proxy_main_start(struct proxy_main *m, struct err *err) {
  if (!proxytls_publish(&m->tls, err) || !proxy_main_start_capture(m, err)) return false;
  if (m->address_count) m->proxy = proxy_new(m->net, &m->options, &proxy_main_handler, m, err);
  if (m->address_count && !m->proxy) return false;
  return !m->controlled || proxy_main_start_control(m, err);
}

/* False: the capture could not be written. */
static bool proxy_main_stop(struct proxy_main *m, struct err *err) {
  evweb_free(m->web);
  control_free(m->control);
  fleet_free(m->fleet);
  proxy_free(m->proxy);
  proxytls_drop(&m->options);
  bool good = !m->record || record_close(m->record, err);
  record_drop(m->record);
  return good;
}

/* False: the rule cannot be used here; `m->rules` from there on are the caller's still. */
static bool proxy_main_add_rules(struct proxy_main *m, struct err *err) {
  for (size_t i = 0; i < m->rule_count; i++) {
    struct rule *r = m->rules[i];
    m->rules[i] = NULL;
    if (!scope_add(proxy_scope(m->proxy), r, err)) return false;
  }
  return true;
}

/* Whether each must_fire was met. */
static bool proxy_main_is_met(const struct proxy_main *m) {
  const struct scope *s = m->proxy ? proxy_scope(m->proxy) : NULL;
  bool met = true;
  for (size_t i = 0; s && i < s->count; i++) {
    met &= !rule_term(s->rules[i]->rule, WORDS_MUST_FIRE) || scope_met(s->rules[i], NULL);
  }
  return met;
}

static int proxy_main_fail(int status, const struct err *why) {
  fflush(stdout);
  fprintf(stderr, "mqrig-proxy: %s\n", why->text);
  if (status == PROXY_MAIN_USAGE) fprintf(stderr, "Try: mqrig-proxy --help\n");
  return status;
}

static void proxy_main_tell_control(struct proxy_main *m) {
  char at[URL_PATH_MAX + 300], text[sizeof at + 64];
  if (!m->web) return;
  const struct url *u = evweb_url(m->web);
  bool v6 = strchr(u->host, ':') != NULL;
  snprintf(at, sizeof at, "http://%s%s%s:%u", v6 ? "[" : "", u->host, v6 ? "]" : "", u->port);
  snprintf(text, sizeof text, m->json ? "{\"event\":\"control\",\"url\":\"%s\"}" : "control at %s", at);
  proxy_main_line(m, text);
}

static int proxy_main_serve(struct proxy_main *m, int signals) {
  struct err err;
  int status = 0;
  if (m->tls.path[0]) proxylog_ca(&m->log, m->tls.path, net_now(m->net));
  if (m->proxy) proxylog_listening(&m->log, m->proxy, net_now(m->net), m->options.seed);
  proxy_main_tell_control(m);
  m->signals = evnet_watch(m->net, signals, proxy_main_signal, m);
  while (!m->over && !status) {
    if (m->printed) fflush(stdout);
    m->printed = false;
    if (!net_turn(m->net, NET_NEVER, &err)) status = proxy_main_fail(PROXY_MAIN_ENVIRONMENT, &err);
  }
  evnet_unwatch(m->signals);
  if (m->proxy) proxy_disable(m->proxy, false);
  proxy_main_summary(m);
  if (!status && !proxy_main_is_met(m)) status = PROXY_MAIN_UNMET;
  return status;
}

static int proxy_main_run(struct proxy_main *m) {
  struct err err;
  int status = PROXY_MAIN_ENVIRONMENT, signals = proxy_main_signals();
  proxy_main_limits(m);
  m->net = evnet_new(&err);
  if (!m->net) return proxy_main_fail(status, &err);
  proxylog_init(&m->log, net_now(m->net), proxy_main_line, m);
  m->log.json = m->json;
  m->log.quiet = m->quiet;
  if (!proxytls_make(&m->tls, m->net, &m->options, !m->controlled, &err))
    status = proxy_main_fail(PROXY_MAIN_USAGE, &err);
  else if (!proxy_main_start(m, &err)) status = proxy_main_fail(status, &err);
  else if (!proxy_main_add_rules(m, &err)) status = proxy_main_fail(PROXY_MAIN_USAGE, &err);
  else status = proxy_main_serve(m, signals);
  if (!proxy_main_stop(m, &err) && !status) status = proxy_main_fail(PROXY_MAIN_ENVIRONMENT, &err);
  proxylog_fini(&m->log);
  net_free(m->net);
  close(signals);
  return status;
}

int main(int argc, char **argv) {
  struct proxy_main m = { 0 };
  struct err err;
  int status = 0;
  (void)argc;
  proxytls_init(&m.tls);
  if (getrandom(&m.options.seed, sizeof m.options.seed, 0) < 0) m.options.seed = 1;
  m.options.seed >>= 33; /* short enough to be typed */
  if (!proxy_main_parse(&m, argv + 1, &err)) status = proxy_main_fail(PROXY_MAIN_USAGE, &err);
  else if (m.answer && m.answer[0] == 'h') proxy_main_print_help();
  else if (m.answer) printf("mqrig-proxy %s\n", MQRIG_VERSION);
  else status = proxy_main_run(&m);
  for (size_t i = 0; i < m.rule_count; i++) rule_free(m.rules[i]);
  free(m.rules);
  proxytls_fini(&m.tls);
  if (fflush(stdout) != 0 && !status) status = PROXY_MAIN_ENVIRONMENT;
  return status;
}
