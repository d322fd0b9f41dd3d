#include "pahopeer.h"

#include <stdio.h>
#include <string.h>

#include "figure.h"

static void pahopeer_connected(void *arg, MQTTAsync_successData *data) {
  struct pahopeer *p = arg;
  (void)data;
  pthread_mutex_lock(&p->lock);
  p->up = true;
  pthread_cond_signal(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

static void pahopeer_failed(void *arg, MQTTAsync_failureData *data) {
  struct pahopeer *p = arg;
  fprintf(stderr, "Paho reports failure %d\n", data ? data->code : 0);
  pthread_mutex_lock(&p->lock);
  p->failed = true;
  pthread_cond_signal(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

static void pahopeer_done(void *arg, MQTTAsync_successData *data) {
  struct pahopeer *p = arg;
  (void)data;
  pthread_mutex_lock(&p->lock);
  p->inflight--;
  pthread_cond_signal(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

static int pahopeer_message(void *arg, char *topic, int topic_size, MQTTAsync_message *message) {
  struct pahopeer *p = arg;
  char text[24] = "";
  (void)topic_size;
  if (message->payloadlen < (int)sizeof text) memcpy(text, message->payload, (size_t)message->payloadlen);
  pthread_mutex_lock(&p->lock);
  p->seen = strtol(text, NULL, 10);
  pthread_cond_signal(&p->changed);
  pthread_mutex_unlock(&p->lock);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

static void pahopeer_block(struct pahopeer *p) {
  pthread_cond_wait(&p->changed, &p->lock);
  figure_need(!p->failed, "Paho");
}

void pahopeer_open(struct pahopeer *p, int port, int size) {
  char url[64];
  snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
  *p = (struct pahopeer){ .size = size, .payload = malloc((size_t)size) };
  figure_need(p->payload != NULL, "memory");
  memset(p->payload, 'x', (size_t)size);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->changed, NULL);
  int code = MQTTAsync_create(&p->client, url, "bench-paho", MQTTCLIENT_PERSISTENCE_NONE, NULL);
  figure_need(code == MQTTASYNC_SUCCESS, "MQTTAsync_create");
  MQTTAsync_setCallbacks(p->client, p, NULL, pahopeer_message, NULL);
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
  options.keepAliveInterval = 0;
  options.cleansession = 1;
  options.maxInflight = 65535;
  options.onSuccess = pahopeer_connected;
  options.onFailure = pahopeer_failed;
  options.context = p;
  figure_need(MQTTAsync_connect(p->client, &options) == MQTTASYNC_SUCCESS, "MQTTAsync_connect");
  pthread_mutex_lock(&p->lock);
  while (!p->up) pahopeer_block(p);
  pthread_mutex_unlock(&p->lock);
}

void pahopeer_wait(struct pahopeer *p, long window) {
  pthread_mutex_lock(&p->lock);
  while (p->inflight >= window) pahopeer_block(p);
  pthread_mutex_unlock(&p->lock);
}

void pahopeer_wait_seen(struct pahopeer *p, long count) {
  pthread_mutex_lock(&p->lock);
  while (p->seen != count) pahopeer_block(p);
  pthread_mutex_unlock(&p->lock);
}

int pahopeer_send(struct pahopeer *p, int qos) {
  pthread_mutex_lock(&p->lock);
  p->inflight++;
  pthread_mutex_unlock(&p->lock);
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  options.onSuccess = pahopeer_done;
  options.onFailure = pahopeer_failed;
  options.context = p;
  return MQTTAsync_send(p->client, "bench/000", p->size, p->payload, qos, 0, &options);
}
