# What every target of ours is compiled with. Flags of Release leave out -g, so that objects are equal in every build
# directory of a checkout and the compiler cache can share them.

option(TROUPE_WERROR "Treat warnings in our own code as errors" OFF)
set(TROUPE_SANITIZE "" CACHE STRING "Sanitizers for our own code, as -fsanitize takes them")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")
if(TROUPE_SANITIZE)
  # -O1 keeps sanitized tests at half the plain speed; -g1 is enough for a readable stack.
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
  add_compile_options(-fsanitize=${TROUPE_SANITIZE} -fno-sanitize-recover=all)
  if(TROUPE_SANITIZE MATCHES "undefined")
    # A header of CAF 0.17.6 binds a reference to null whenever a function without arguments becomes an actor. Who reads
    # through such a reference is caught all the same.
    add_compile_options(-fno-sanitize=null)
  endif()
  add_link_options(-fsanitize=${TROUPE_SANITIZE})
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

find_program(TROUPE_CCACHE ccache)
if(TROUPE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # With a base directory the cache sees relative paths, so another checkout of the same sources hits too.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${TROUPE_CCACHE}")
endif()

add_library(troupe_warnings INTERFACE)
target_compile_options(troupe_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wnon-virtual-dtor
  # Designated initialisers with defaults for the rest are how we pass options.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns of std::string's own operator+ (GCC bug 105651).
  target_compile_options(troupe_warnings INTERFACE -Wno-restrict)
endif()
if(TROUPE_WERROR)
  target_compile_options(troupe_warnings INTERFACE -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # These depend on what the optimiser (or a sanitizer) made of inlined library code; too often wrong to stop a build.
    target_compile_options(troupe_warnings INTERFACE
      -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=stringop-overflow
      -Wno-error=stringop-overread -Wno-error=dangling-pointer -Wno-error=free-nonheap-object)
  endif()
endif()
