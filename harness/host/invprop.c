#include "host/invprop.h"

/* How the values of 5.0 table 2-4 are written: so many bytes, or: */
enum invprop_form { INVPROP_NONE, INVPROP_VARIABLE = 8, INVPROP_STRING, INVPROP_PAIR };

#define INVPROP_ID_MAX 0x2a

static const uint8_t invprop_forms[INVPROP_ID_MAX + 1] = {
  [0x01] = 1,
  [0x02] = 4,
  [0x03] = INVPROP_STRING,
  [0x08] = INVPROP_STRING,
  [0x09] = INVPROP_STRING,
  [0x0b] = INVPROP_VARIABLE,
  [0x11] = 4,
  [0x12] = INVPROP_STRING,
  [0x13] = 2,
  [0x15] = INVPROP_STRING,
  [0x16] = INVPROP_STRING,
  [0x17] = 1,
  [0x18] = 4,
  [0x19] = 1,
  [0x1a] = INVPROP_STRING,
  [0x1c] = INVPROP_STRING,
  [0x1f] = INVPROP_STRING,
  [0x21] = 2,
  [0x22] = 2,
  [0x23] = 2,
  [0x24] = 1,
  [0x25] = 1,
  [0x26] = INVPROP_PAIR,
  [0x27] = 4,
  [0x28] = 1,
  [0x29] = 1,
  [0x2a] = 1,
};

static size_t invprop_string_size(struct slice at) {
  return at.size < 2 ? 0 : 2 + ((size_t)at.data[0] << 8 | at.data[1]);
}

/* Bytes of a value, 0 if that cannot be told. */
static size_t invprop_size(uint8_t form, struct slice at) {
  size_t first = invprop_string_size(at), n = 1;
  switch (form) {
  case INVPROP_VARIABLE:
    while (n < at.size && n < 4 && at.data[n - 1] & 0x80) n++;
    return n;
  case INVPROP_STRING: return first;
  case INVPROP_PAIR: return !first || first > at.size ? 0 : first + invprop_string_size(slice_from(at, first));
  default: return form;
  }
}

bool invprop_find(struct slice properties, enum invprop_id id, uint32_t *value) {
  while (properties.size) {
    uint8_t found = properties.data[0], form = found <= INVPROP_ID_MAX ? invprop_forms[found] : INVPROP_NONE;
    properties = slice_from(properties, 1);
    size_t size = form ? invprop_size(form, properties) : 0;
    if (!size || size > properties.size) return false;
    if (found == id) {
      *value = 0;
      for (size_t i = 0; i < size; i++) *value = *value << 8 | properties.data[i];
      return true;
    }
    properties = slice_from(properties, size);
  }
  return false;
}
