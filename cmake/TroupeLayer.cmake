# The layers, from the bottom up. Each may use those before it, never one after it.
set(TROUPE_LAYERS core schemas persistence actors client)

# Keeps, of the given link items, those that exist: a layer without files has no target yet.
function(troupe_existing out)
  set(items)
  foreach(item IN LISTS ARGN)
    if(NOT item MATCHES "^troupe::" OR TARGET ${item})
      list(APPEND items ${item})
    endif()
  endforeach()
  set(${out} ${items} PARENT_SCOPE)
endfunction()

# troupe_layer(<layer> [PUBLIC item...] [PRIVATE item...])
#
# Target troupe_<layer> (alias troupe::<layer>) from every <layer>/src/**.cpp. Public headers are <layer>/include, private
# ones <layer>/src. A layer of headers only is an interface target; a layer without files is left out.
function(troupe_layer layer)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC;PRIVATE")
  set(root "${PROJECT_SOURCE_DIR}/${layer}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${root}/src/*.cpp")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${root}/include/*.hpp")
  if(NOT sources AND NOT headers)
    return()
  endif()
  troupe_existing(public ${arg_PUBLIC})
  troupe_existing(private ${arg_PRIVATE})

  set(target troupe_${layer})
  if(sources)
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC "${root}/include" PRIVATE "${root}/src")
    target_link_libraries(${target} PUBLIC ${public} PRIVATE ${private} troupe_warnings)
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${root}/include")
    target_link_libraries(${target} INTERFACE ${public})
  endif()
  add_library(troupe::${layer} ALIAS ${target})
endfunction()

# Compiles schemas/*.capnp into the schemas layer. The generated header is that layer's own business: no other target
# gets its directory, only tests of the codec do (through TROUPE_GENERATED_DIR).
function(troupe_generate_schemas)
  file(GLOB schema_files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/schemas/*.capnp")
  get_target_property(type troupe_schemas TYPE)
  if(NOT schema_files OR type STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  set(CAPNPC_OUTPUT_DIR "${TROUPE_GENERATED_DIR}")
  set(CAPNPC_SRC_PREFIX "${PROJECT_SOURCE_DIR}/schemas")
  file(MAKE_DIRECTORY "${CAPNPC_OUTPUT_DIR}")
  capnp_generate_cpp(generated_sources generated_headers ${schema_files})
  set_source_files_properties(${generated_sources} PROPERTIES COMPILE_OPTIONS -w)
  target_sources(troupe_schemas PRIVATE ${generated_sources} ${generated_headers})
  target_include_directories(troupe_schemas SYSTEM PRIVATE "${TROUPE_GENERATED_DIR}")
  # For tools that read sources without building them (scripts/check).
  add_custom_target(troupe_generated DEPENDS ${generated_sources} ${generated_headers})
endfunction()
