/* mosquittopeer: libmosquitto as it is used at its fastest: one thread, its own loop by hand.
 *
 *   mosquittopeer publish PORT QOS COUNT WINDOW SIZE
 *   mosquittopeer idle PORT CLIENTS
 *   mosquittopeer connect PORT COUNT
 *
 * With BENCH_CA in the environment over TLS; that file says whom to trust.
 */
#include <mosquitto.h>
#include <poll.h>
#include <string.h>

#include "figure.h"

struct mosquittopeer {
  struct mosquitto *client;
  long inflight;
  bool up;
};

static void mosquittopeer_connected(struct mosquitto *client, void *arg, int code) {
  struct mosquittopeer *p = arg;
  (void)client;
  figure_need(code == 0, "the connection");
  p->up = true;
}

static void mosquittopeer_published(struct mosquitto *client, void *arg, int packet_id) {
  struct mosquittopeer *p = arg;
  (void)client, (void)packet_id;
  p->inflight--;
}

static void mosquittopeer_turn(struct mosquittopeer *p, int timeout_ms) {
  bool writes = mosquitto_want_write(p->client);
  struct pollfd fd = { .fd = mosquitto_socket(p->client), .events = (short)(POLLIN | (writes ? POLLOUT : 0)) };
  figure_need(poll(&fd, 1, timeout_ms) >= 0, "poll");
  if (fd.revents & POLLIN) figure_need(mosquitto_loop_read(p->client, 1) == 0, "reading");
  if (fd.revents & POLLOUT) figure_need(mosquitto_loop_write(p->client, 1) == 0, "writing");
}

static void mosquittopeer_open(struct mosquittopeer *p, int port, int number) {
  char id[32];
  snprintf(id, sizeof id, "bench-mosquitto-%d", number);
  p->client = mosquitto_new(id, true, p);
  figure_need(p->client != NULL, "mosquitto_new");
  mosquitto_connect_callback_set(p->client, mosquittopeer_connected);
  mosquitto_publish_callback_set(p->client, mosquittopeer_published);
  mosquitto_max_inflight_messages_set(p->client, 0);
  mosquitto_int_option(p->client, MOSQ_OPT_TCP_NODELAY, 1);
  const char *ca = getenv("BENCH_CA");
  if (ca) figure_need(mosquitto_tls_set(p->client, ca, NULL, NULL, NULL, NULL) == 0, "mosquitto_tls_set");
  figure_need(mosquitto_connect(p->client, "127.0.0.1", port, 600) == 0, "mosquitto_connect");
  while (!p->up) mosquittopeer_turn(p, 5000);
}

/* The last message is acknowledged also at QoS 0: a fence, behind which the broker has them all. */
static void mosquittopeer_publish(int port, int qos, long count, long window, int size) {
  static struct mosquittopeer p;
  char *payload = malloc((size_t)size);
  figure_need(payload != NULL, "memory");
  memset(payload, 'x', (size_t)size);
  mosquittopeer_open(&p, port, 0);
  struct figure_run run = figure_begin();
  long left = count;
  while (left || p.inflight) {
    while (left && p.inflight < window && !mosquitto_want_write(p.client)) {
      left--;
      p.inflight++;
      int with = left || qos ? qos : 1;
      figure_need(mosquitto_publish(p.client, NULL, "bench/000", size, payload, with, false) == 0, "mosquitto_publish");
    }
    bool ready = left && p.inflight < window && !mosquitto_want_write(p.client);
    if (left || p.inflight) mosquittopeer_turn(&p, ready ? 0 : 5000);
  }
  figure_end(run, count);
}

static void mosquittopeer_idle(int port, int clients) {
  struct mosquittopeer *all = calloc((size_t)clients, sizeof *all);
  figure_need(all != NULL, "memory");
  mosquittopeer_open(&all[0], port, 0);
  long before_kib = figure_rss_kib();
  for (int i = 1; i < clients; i++) mosquittopeer_open(&all[i], port, i);
  printf("clients=%d each_kib=%.3f\n", clients, (double)(figure_rss_kib() - before_kib) / (clients - 1));
}

static void mosquittopeer_connect(int port, long count) {
  struct figure_run run = figure_begin();
  for (long i = 0; i < count; i++) {
    struct mosquittopeer p = { 0 };
    mosquittopeer_open(&p, port, 0);
    figure_need(mosquitto_disconnect(p.client) == 0, "mosquitto_disconnect");
    while (mosquitto_want_write(p.client)) mosquittopeer_turn(&p, 5000);
    mosquitto_destroy(p.client);
  }
  figure_end(run, count);
}

int main(int argc, char **argv) {
  long a[6] = { 0 };
  for (int i = 2; i < argc && i < 8; i++) a[i - 2] = strtol(argv[i], NULL, 10);
  mosquitto_lib_init();
  if (argc == 7 && !strcmp(argv[1], "publish")) mosquittopeer_publish((int)a[0], (int)a[1], a[2], a[3], (int)a[4]);
  else if (argc == 4 && !strcmp(argv[1], "idle")) mosquittopeer_idle((int)a[0], (int)a[1]);
  else if (argc == 4 && !strcmp(argv[1], "connect")) mosquittopeer_connect((int)a[0], a[1]);
  else return 2;
  return 0;
}
