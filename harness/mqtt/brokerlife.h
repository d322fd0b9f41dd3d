/* brokerlife: how a connection of the built-in broker gets its session and how it ends.
 *
 * Private to the broker's files.
 */
#ifndef MQRIG_BROKERLIFE_H
#define MQRIG_BROKERLIFE_H

#include "mqtt/brokerconn.h"

/* A good CONNECT: takes the session over from another connection, resumes, makes or replaces it, keeps the will.
 * Returns session present. */
bool brokerlife_begin(struct broker_conn *c, const struct packet *connect, int64_t now_ns);

/* The connection is over as far as MQTT is concerned: its will is published, if it still has one, and its session is
 * let go. Harmless if it is over already. */
void brokerlife_end(struct broker_conn *c);

/* DISCONNECT: as brokerlife_end, without the will [MQTT-3.14.4-3]. */
void brokerlife_disconnect(struct broker_conn *c);

/* Ends it and wants the transport closed, for this reason; `clause` may be NULL. The first reason stays. */
void brokerlife_close(struct broker_conn *c, const char *text, const char *clause, int64_t now_ns);

/* Its timer is due: CONNECT did not come, it fell silent, or it does not take its last bytes. */
void brokerlife_due(struct broker_conn *c, int64_t now_ns);

#endif
