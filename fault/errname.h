/* errname: the names of the system's error numbers: "EINTR". */
#ifndef MQRIG_ERRNAME_H
#define MQRIG_ERRNAME_H

#include "base/slice.h"

#define ERRNAME_MAX 256 /* error numbers are below this */

int errname_find(struct slice name);         /* 0: there is none of that name */
const char *errname_text(int error);         /* "EINTR"; of one without a name "an error" */
const char *errname_near(struct slice name); /* the one that was meant, or NULL */

#endif
