/* lmqtt: the mqtt API of the mission: createclient, its clients and their messages. */
#ifndef MQRIG_LMQTT_H
#define MQRIG_LMQTT_H

#include <lua.h>

/* Sets core.mqtt. */
void lmqtt_open(lua_State *L);

#endif
