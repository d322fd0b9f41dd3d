/* control: the HTTP interface to a fleet of proxies, as Toxiproxy's clients speak it: its routes, JSON, status codes
 * and error bodies. What goes beyond it: the toxic "mqtt", whose attribute "rule" is a rule's text; "toxics" in the
 * bodies that create proxies; and sentences that say what is wrong, and where.
 *
 * It is for programs on this machine: whoever looks like a browser, or calls it by the name of another host, is
 * answered with 403.
 */
#ifndef MQRIG_CONTROL_H
#define MQRIG_CONTROL_H

#include "fault/fleet.h"
#include "net/http.h"

#define CONTROL_PORT        8474
#define CONTROL_API_VERSION "2.12.0" /* of Toxiproxy's: what is spoken here */
#define CONTROL_HOSTS_MAX   16

struct control;

/* `listen`: where it is served. On loopback it is called by localhost or a loopback address; elsewhere by any address,
 * and by names only that are allowed here. */
struct control *control_new(struct fleet *f, const struct url *listen);
void control_free(struct control *c);
bool control_allow_host(struct control *c, const char *name); /* false: too many */

/* An http_answer; `arg` is the control. */
void control_answer(void *arg, const struct http_request *q, struct http_response *r);

/* An address for --control: a port, host:port, or a URL; without a host 127.0.0.1, without a port CONTROL_PORT. */
bool control_address(const char *text, struct url *out, struct err *err);

#endif
