/* pahopeer: a client of Paho C's asynchronous library, with the library's own threads. */
#ifndef MQRIG_PAHOPEER_H
#define MQRIG_PAHOPEER_H

#include <MQTTAsync.h>
#include <pthread.h>
#include <stdbool.h>

struct pahopeer {
  MQTTAsync client;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool up, failed;
  long inflight; /* as the caller counts it: pahopeer_send adds, an acknowledgement takes away */
  long seen;     /* the last number that came in a message */
  char *payload;
  int size;
};

/* Connects, and returns when it is. Ends the program where that fails. */
void pahopeer_open(struct pahopeer *p, int port, int size);

/* Wait until fewer than `window` are in flight; until the broker has said that it saw `count`. */
void pahopeer_wait(struct pahopeer *p, long window);
void pahopeer_wait_seen(struct pahopeer *p, long count);

/* The library's result. */
int pahopeer_send(struct pahopeer *p, int qos);

#endif
