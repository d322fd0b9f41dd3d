/* pahofill PORT SIZE REFUSALS STEP LEVEL...: messages of QoS 1 that are never acknowledged, with Paho C.
 *
 * At each LEVEL the last STEP messages are timed, from the first of them to the broker's word that it has them. With
 * all LEVELs reached, REFUSALS further sends are timed, if the last one is 65,535.
 */
#include "figure.h"
#include "pahopeer.h"

/* The library accepts as many, and writes all but the last. */
#define PAHOFILL_FULL 65535

static void pahofill_to(struct pahopeer *p, long from, long to) {
  for (long i = from; i < to; i++) figure_need(pahopeer_send(p, 1) == MQTTASYNC_SUCCESS, "MQTTAsync_send");
  if (to > from) pahopeer_wait_seen(p, to < PAHOFILL_FULL ? to : PAHOFILL_FULL - 1);
}

static void pahofill_refusal(struct pahopeer *p) {
  struct figure_run run = figure_begin();
  int code = pahopeer_send(p, 1);
  printf("refusal=1 code=%d ", code);
  figure_end(run, 1);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  static struct pahopeer p;
  long refusals = strtol(argv[3], NULL, 10), step = strtol(argv[4], NULL, 10), at = 0;
  pahopeer_open(&p, (int)strtol(argv[1], NULL, 10), (int)strtol(argv[2], NULL, 10));
  struct figure_run all = figure_begin();
  long idle_kib = figure_rss_kib();
  for (int i = 5; i < argc; i++) {
    long level = strtol(argv[i], NULL, 10);
    pahofill_to(&p, at, level - step);
    struct figure_run run = figure_begin();
    pahofill_to(&p, level - step, at = level);
    printf("level=%ld ", level);
    figure_end(run, step);
  }
  printf("filled=%ld grown_kib=%ld ", at, figure_rss_kib() - idle_kib);
  figure_end(all, at);
  if (at == PAHOFILL_FULL) {
    for (long i = 0; i < refusals; i++) pahofill_refusal(&p);
  }
  _exit(0);
}
