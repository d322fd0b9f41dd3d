# The Lua library as bytecode inside the program. Each module becomes one row of `embed_modules` (embed.h): its require
# name, and its bytes. Line information is kept: tracebacks name the file and line in lua/.

find_program(MQRIG_LUAC NAMES luac5.4 luac REQUIRED)

# The directory that holds Debian's argparse.lua and dkjson.lua.
find_path(MQRIG_LUA_SHARE argparse.lua PATHS /usr/share/lua/5.4 /usr/local/share/lua/5.4 REQUIRED)

# Makes the module mqrig.sources: one hash of all that the program is built of here.
function(mqrig_hash_sources out)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/harness/*.[ch]
    ${CMAKE_SOURCE_DIR}/fault/*.[ch] ${CMAKE_SOURCE_DIR}/lua/*.lua)
  list(TRANSFORM sources PREPEND ${CMAKE_SOURCE_DIR}/ OUTPUT_VARIABLE paths)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DSOURCES=${sources}" -DROOT=${CMAKE_SOURCE_DIR} -DOUT=${out}
      -P ${CMAKE_SOURCE_DIR}/cmake/HashSources.cmake
    DEPENDS ${paths} ${CMAKE_SOURCE_DIR}/cmake/HashSources.cmake
    VERBATIM)
endfunction()

function(mqrig_embed_lua target)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/lua ${CMAKE_SOURCE_DIR}/lua/mqrig/*.lua)
  list(FILTER files EXCLUDE REGEX "\\.d\\.lua$")
  set(out ${CMAKE_BINARY_DIR}/embed)
  set(rows "")
  set(blobs "")
  set(index 0)
  mqrig_hash_sources(${out}/mqrig/sources.lua)
  foreach(file IN LISTS files ITEMS mqrig/sources.lua argparse.lua dkjson.lua)
    if(file STREQUAL "mqrig/sources.lua")
      set(root ${out})
    elseif(file MATCHES "^mqrig/")
      set(root ${CMAKE_SOURCE_DIR}/lua)
    else()
      set(root ${MQRIG_LUA_SHARE})
    endif()
    string(REGEX REPLACE "\\.lua$" "" module ${file})
    string(REPLACE "/" "." module ${module})
    string(REGEX REPLACE "\\.init$" "" module ${module})
    set(blob ${out}/${module}.luac)
    add_custom_command(OUTPUT ${blob}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND ${MQRIG_LUAC} -o ${blob} ${file}
      WORKING_DIRECTORY ${root}
      DEPENDS ${root}/${file}
      VERBATIM)
    list(APPEND blobs ${blob})
    string(APPEND rows "EMBED(${index}, \"${module}\", \"${blob}\")\n")
    string(APPEND table "  ROW(${index}, \"${module}\"),\n")
    math(EXPR index "${index} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${out}/embed.c CONTENT [[
#include "bind/embed.h"

#define EMBED(n, name, path)                                                                                   \
  __asm__(".section .rodata\n.balign 16\nembed_" #n ":\n.incbin \"" path "\"\nembed_end_" #n ":\n.byte 0\n.previous"); \
  extern const char embed_##n[] __asm__("embed_" #n), embed_end_##n[] __asm__("embed_end_" #n);
#define ROW(n, name) { name, embed_##n, embed_end_##n }

@rows@
const struct embed_module embed_modules[] = {
@table@  { 0, 0, 0 },
};
]] @ONLY)
  add_library(${target} OBJECT ${out}/embed.c)
  target_link_libraries(${target} PUBLIC mqrig_flags)
  set_source_files_properties(${out}/embed.c PROPERTIES OBJECT_DEPENDS "${blobs}")
endfunction()
