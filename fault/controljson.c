#include "fault/controljson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define CONTROLJSON_ADDRESS_MAX (URL_PATH_MAX + 300)

json_t *controljson_read(struct slice body, struct err *err) {
  json_error_t why;
  if (!body.size) {
    err_set(err, "bad request body: it is empty");
    return NULL;
  }
  json_t *v = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &why);
  if (!v) err_set(err, "bad request body: line %d, column %d: %s", why.line, why.column, why.text);
  return v;
}

/* Fields. */

static const char *controljson_kind(const json_t *v) {
  switch (json_typeof(v)) {
  case JSON_OBJECT: return "an object";
  case JSON_ARRAY: return "an array";
  case JSON_STRING: return "a string";
  case JSON_INTEGER:
  case JSON_REAL: return "a number";
  default: return json_is_null(v) ? "null" : "true or false";
  }
}

static bool controljson_unfit(const json_t *v, const char *key, const char *wanted, struct err *err) {
  return err_set(err, "bad request body: \"%.60s\" is %s, and %s is wanted", key, controljson_kind(v), wanted);
}

/* The field, or NULL. */
static const json_t *controljson_field(const json_t *v, const char *key) {
  const json_t *field = json_object_get(v, key);
  return json_is_null(field) ? NULL : field;
}

bool controljson_text(const json_t *v, const char *key, const char **out, struct err *err) {
  const json_t *field = controljson_field(v, key);
  if (!field) return true;
  if (!json_is_string(field)) return controljson_unfit(field, key, "a string", err);
  *out = json_string_value(field);
  return true;
}

bool controljson_flag(const json_t *v, const char *key, bool *out, struct err *err) {
  const json_t *field = controljson_field(v, key);
  if (!field) return true;
  if (!json_is_boolean(field)) return controljson_unfit(field, key, "true or false", err);
  *out = json_is_true(field);
  return true;
}

static bool controljson_object(const json_t *v, const char *what, struct err *err) {
  return json_is_object(v) ||
         err_set(err, "bad request body: %s is %s, and an object is wanted", what, controljson_kind(v));
}

static bool controljson_copy(const json_t *v, const char *key, char **out, struct err *err) {
  const char *text = NULL;
  if (!controljson_text(v, key, &text, err)) return false;
  if (text) *out = mem_copy(slice_text(text));
  return true;
}

static bool controljson_required(const char *text, const char *key, struct err *err) {
  return (text && text[0]) || err_set(err, "missing required field: %s", key);
}

/* Toxics. */

/* Some languages write 1000 as 1000.0. */
static bool controljson_number(const json_t *v, const char *key, int64_t *out, struct err *err) {
  double d = json_number_value(v);
  if (!json_is_number(v)) return controljson_unfit(v, key, "a whole number", err);
  if (!(d >= 0 && d <= (double)TOXIC_NUMBER_MAX && d == floor(d)))
    return err_set(err, "bad request body: \"%.60s\" is a whole number from 0 to %lld", key,
                   (long long)TOXIC_NUMBER_MAX);
  *out = (int64_t)d;
  return true;
}

static bool controljson_attribute(struct toxic *t, const char *key, const json_t *v, struct err *err) {
  struct err why;
  int i = toxic_attribute(t->row, key, &why);
  if (i < 0) return err_set(err, "bad request body: attributes: %s", why.text);
  if (json_is_null(v)) return true;
  if (!t->row->attributes[i].is_text) return controljson_number(v, key, &t->numbers[i], err);
  if (!json_is_string(v)) return controljson_unfit(v, key, "a string", err);
  free(t->texts[i]);
  t->texts[i] = mem_copy(slice_text(json_string_value(v)));
  return true;
}

static bool controljson_attributes(const json_t *v, struct toxic *t, struct err *err) {
  json_t *attributes = json_object_get(v, "attributes"), *value;
  const char *key;
  if (!attributes || json_is_null(attributes)) return true;
  if (!controljson_object(attributes, "\"attributes\"", err)) return false;
  json_object_foreach(attributes, key, value) {
    if (!controljson_attribute(t, key, value, err)) return false;
  }
  return true;
}

static bool controljson_toxicity(const json_t *v, struct toxic *t, struct err *err) {
  const json_t *field = controljson_field(v, "toxicity");
  if (!field) return true;
  double d = json_number_value(field);
  if (!json_is_number(field)) return controljson_unfit(field, "toxicity", "a number", err);
  if (!(d >= 0 && d <= 1)) return err_set(err, "bad request body: \"toxicity\" is a number from 0 to 1");
  t->toxicity = (int64_t)floor(d * VALUE_RATIO_ONE + 0.5);
  return true;
}

bool controljson_change(const json_t *v, struct toxic *t, struct err *err) {
  struct err why;
  if (!controljson_object(v, "it", err) || !controljson_attributes(v, t, err) || !controljson_toxicity(v, t, err))
    return false;
  return toxic_check(t, &why) || err_set(err, "bad request body: %s", why.text);
}

static bool controljson_stream(const json_t *v, struct toxic *t, struct err *err) {
  const char *stream = "downstream";
  if (!controljson_text(v, "stream", &stream, err)) return false;
  t->up = strcmp(stream, "upstream") == 0;
  return t->up || strcmp(stream, "downstream") == 0 ||
         err_set(err, "stream was invalid, can be either upstream or downstream");
}

/* A toxic that is not named is called after its kind and direction. */
static bool controljson_name(const json_t *v, struct toxic *t, struct err *err) {
  char own[TOXIC_NAME_MAX];
  const char *name = "";
  if (!controljson_text(v, "name", &name, err)) return false;
  snprintf(own, sizeof own, "%s_%s", t->row->name, toxic_stream(t));
  t->name = mem_copy(slice_text(name[0] ? name : own));
  return strlen(t->name) <= TOXIC_NAME_MAX ||
         err_set(err, "bad request body: the name of a toxic has at most %d bytes", TOXIC_NAME_MAX);
}

bool controljson_toxic(const json_t *v, struct toxic *out, struct err *err) {
  const char *type = NULL;
  struct err why;
  *out = (struct toxic){ .toxicity = VALUE_RATIO_ONE };
  if (!controljson_object(v, "it", err) || !controljson_text(v, "type", &type, err)) return false;
  out->row = toxic_row(type ? type : "", &why);
  if (!out->row) return err_set(err, "invalid toxic type: %s", type ? why.text : "there is none");
  return controljson_stream(v, out, err) && controljson_name(v, out, err) && controljson_change(v, out, err);
}

/* Proxies. */

static bool controljson_toxics(const json_t *v, struct fleet_order *out, struct err *err) {
  const json_t *field = controljson_field(v, "toxics"), *one;
  size_t i;
  if (!field) return true;
  if (!json_is_array(field)) return controljson_unfit(field, "toxics", "an array", err);
  out->has_toxics = true;
  out->toxics = mem_zero((json_array_size(field) + 1) * sizeof *out->toxics);
  json_array_foreach(field, i, one) {
    out->toxic_count = i + 1;
    if (!controljson_toxic(one, &out->toxics[i], err)) return false;
  }
  return true;
}

bool controljson_order(const json_t *v, struct fleet_order *out, struct err *err) {
  struct err why;
  *out = (struct fleet_order){ .enabled = true };
  if (!controljson_object(v, "a proxy", err)) return false;
  if (!controljson_copy(v, "name", &out->name, err) || !controljson_copy(v, "listen", &out->listen, err) ||
      !controljson_copy(v, "upstream", &out->upstream, err) || !controljson_flag(v, "enabled", &out->enabled, err))
    return false;
  if (!controljson_required(out->name, "name", err) || !controljson_required(out->upstream, "upstream", err))
    return false;
  if (!controljson_toxics(v, out, err)) return false;
  return fleet_check(out, &why) || err_set(err, "bad request body: %s", why.text);
}

/* To JSON. */

static json_t *controljson_share(int64_t parts) {
  if (parts % VALUE_RATIO_ONE == 0) return json_integer(parts / VALUE_RATIO_ONE);
  return json_real((double)parts / VALUE_RATIO_ONE);
}

json_t *controljson_of_toxic(const struct toxic *t) {
  json_t *v = json_object(), *attributes = json_object();
  for (int i = 0; i < TOXIC_ATTRIBUTES_MAX && t->row->attributes[i].name; i++) {
    const struct toxic_attribute *a = &t->row->attributes[i];
    json_object_set_new(attributes, a->name, a->is_text ? json_string(t->texts[i]) : json_integer(t->numbers[i]));
  }
  json_object_set_new(v, "attributes", attributes);
  json_object_set_new(v, "name", json_string(t->name));
  json_object_set_new(v, "type", json_string(t->row->name));
  json_object_set_new(v, "stream", json_string(toxic_stream(t)));
  json_object_set_new(v, "toxicity", controljson_share(t->toxicity));
  return v;
}

json_t *controljson_of_toxics(const struct infect *i) {
  json_t *v = json_array();
  for (size_t k = 0; k < infect_count(i); k++) json_array_append_new(v, controljson_of_toxic(infect_toxic(i, k)));
  return v;
}

json_t *controljson_of_member(const struct fleet_member *m) {
  char listen[CONTROLJSON_ADDRESS_MAX];
  json_t *v = json_object();
  fleet_listen(m, listen, sizeof listen);
  json_object_set_new(v, "name", json_string(m->name));
  json_object_set_new(v, "listen", json_string(listen));
  json_object_set_new(v, "upstream", json_string(m->upstream));
  json_object_set_new(v, "enabled", json_boolean(proxy_is_enabled(m->proxy)));
  json_object_set_new(v, "toxics", controljson_of_toxics(m->infect));
  return v;
}
