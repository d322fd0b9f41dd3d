/* pahopublish PORT QOS COUNT WINDOW SIZE: publishes with Paho C, with at most WINDOW messages in flight. */
#include "figure.h"
#include "pahopeer.h"

int main(int argc, char **argv) {
  long a[5] = { 0 };
  if (argc != 6) return 2;
  for (int i = 0; i < 5; i++) a[i] = strtol(argv[i + 1], NULL, 10);
  static struct pahopeer p;
  pahopeer_open(&p, (int)a[0], (int)a[4]);
  struct figure_run run = figure_begin();
  for (long left = a[2] - 1; left >= 0; left--) {
    /* The last is acknowledged also at QoS 0: a fence. */
    int qos = left || a[1] ? (int)a[1] : 1;
    pahopeer_wait(&p, a[3]);
    figure_need(pahopeer_send(&p, qos) == MQTTASYNC_SUCCESS, "MQTTAsync_send");
  }
  pahopeer_wait(&p, 1);
  figure_end(run, a[2]);
  _exit(0); /* the library's threads need not be taken down */
}
