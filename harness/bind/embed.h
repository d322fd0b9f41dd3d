/* embed: the Lua library inside the program, made at build time (cmake/EmbedLua.cmake). */
#ifndef MQRIG_EMBED_H
#define MQRIG_EMBED_H

struct embed_module {
  const char *name; /* as require names it: "mqrig.task"; NULL ends the table */
  const char *begin, *end;
};

extern const struct embed_module embed_modules[];

#endif
