/* brokerroute: how a message gets from its publisher to those who subscribe.
 *
 * Private to the broker's files. One copy of a message serves all who wait for it, and none is made if nobody does.
 */
#ifndef MQRIG_BROKERROUTE_H
#define MQRIG_BROKERROUTE_H

#include "mqtt/brokerconn.h"

/* To everybody who subscribes, and into the retained messages where the packet says so. */
void brokerroute_publish(struct broker *b, const struct packet *publish);

/* The same for what a client sent: $SYS belongs to the broker, and is not published to by clients. */
void brokerroute_from_client(struct broker *b, const struct packet *publish);

/* A will, from a client. */
void brokerroute_will(struct broker *b, struct message *will);

/* A new subscription gets the retained messages [MQTT-3.3.1-6]. False once its queue is full: no use in going on. */
bool brokerroute_retained(struct broker *b, struct brokersession *s, struct slice filter, uint8_t qos);

/* Moves what waits in the session to its connection as far as there is room. */
void brokerroute_pump(struct broker *b, struct brokersession *s);

#endif
