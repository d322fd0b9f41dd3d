/* brokerin: bytes from a client, cut into packets, checked, and acted upon.
 *
 * Private to the broker's files. What is wrong with a packet ends the connection as early as it shows: by the first
 * byte, by the length, at last by the whole of it.
 */
#ifndef MQRIG_BROKERIN_H
#define MQRIG_BROKERIN_H

#include "mqtt/brokerconn.h"

void brokerin_feed(struct broker_conn *c, struct slice bytes, int64_t now_ns);

/* broker_note. */
void brokerin_note(struct broker_conn *c, struct slice packet, int64_t now_ns);

#endif
