/* lclient: an mqtt client as Lua holds it: what the mqtt API (lmqtt) and the scenario library (core.client_*) share.
 *
 * The userdata's user values keep the handlers, the timeline, and, once there was one, a table of the callbacks of
 * pending operations by reference number, which is what the client is given. Numbers go from 1 and are used again: in
 * the slot of a free one stands the next free one.
 */
#ifndef MQRIG_LCLIENT_H
#define MQRIG_LCLIENT_H

#include "bind/lscope.h"
#include "bind/lworld.h"
#include "host/client.h"

#define LCLIENT "mqrig.mqttclient"

/* The user values. */
enum lclient_slot {
  LCLIENT_ON_CONNECT = 1,
  LCLIENT_ON_LOST,
  LCLIENT_ON_MESSAGE,
  LCLIENT_ON_DISCONNECTED,
  LCLIENT_TIMELINE,
  LCLIENT_CALLBACKS,
  LCLIENT_SLOTS = LCLIENT_CALLBACKS,
};

struct lclient {
  struct lworld_item item;
  struct lworld *world;
  struct client *client;
  char *client_id; /* of the last connect */
  uint32_t message_max;
  int refs, free_ref; /* how many there are; the first free one, or 0 */
  bool imp;           /* profile = "imp" */
  bool joined;        /* the link's filter is in the present chain */
  struct lscope *link;
};

/* The client at that index; raises where there is none. */
struct lclient *lclient_check(lua_State *L, int index);

/* Keeps the function at `index` (nil: 0) until lclient_event calls it. `single`: it is to be called with one granted
 * mode, not with a list. */
uint64_t lclient_ref(lua_State *L, int client, int index, bool single);
void lclient_unref(lua_State *L, int client, uint64_t user); /* 0: nothing */

void lclient_event(void *arg, const struct session_event *e);

/* Publishes with the client, a topic and a payload that stand at these indices; `fn` at `callback` or nil. Raises when
 * not connected or rate limited. Returns the packet identifier or 0. */
uint16_t lclient_publish(lua_State *L, int client, int topic, int payload, uint8_t qos, bool retain, int callback);

/* Raises for what createmessage forbids. */
void lclient_check_message(lua_State *L, const struct lclient *c, int topic, int payload, lua_Integer qos);

/* True if a client of profile imp other than this one is connected or connecting. */
bool lclient_other_imp(const struct lclient *c);
void lclient_set_running(struct lclient *c, bool running);

void lclient_open(lua_State *L);

#endif
