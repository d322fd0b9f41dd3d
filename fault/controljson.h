/* controljson: what the control interface reads and writes, to JSON and back. Sentences name the field. */
#ifndef MQRIG_CONTROLJSON_H
#define MQRIG_CONTROLJSON_H

#include <jansson.h>

#include "fault/fleet.h"

/* The body of a request; NULL with line, column and what is wrong. To be released with json_decref. */
json_t *controljson_read(struct slice body, struct err *err);

/* A proxy to be made. What it holds is to be released by fleet_order_fini, also where this fails. */
bool controljson_order(const json_t *v, struct fleet_order *out, struct err *err);

/* A toxic to be made; checked. `out` is to be released by toxic_fini, also where this fails. */
bool controljson_toxic(const json_t *v, struct toxic *out, struct err *err);
/* Attributes and toxicity, over those of a toxic that is there; checked. */
bool controljson_change(const json_t *v, struct toxic *t, struct err *err);

/* Fields of an object that may be missing or null: then they are left alone. */
bool controljson_text(const json_t *v, const char *key, const char **out, struct err *err);
bool controljson_flag(const json_t *v, const char *key, bool *out, struct err *err);

json_t *controljson_of_toxic(const struct toxic *t);
json_t *controljson_of_toxics(const struct infect *i);
json_t *controljson_of_member(const struct fleet_member *m);

#endif
