# Run by a build: writes OUT, a Lua module that returns a hash of all SOURCES below ROOT, so that a replay file can say
# which build it was made by.

set(all "")
foreach(source IN LISTS SOURCES)
  file(SHA256 ${ROOT}/${source} hash)
  string(APPEND all "${source} ${hash}\n")
endforeach()
string(SHA256 all "${all}")
string(SUBSTRING ${all} 0 12 all)
file(WRITE ${OUT} "return \"${all}\"\n")
