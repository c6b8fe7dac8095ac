# How our targets are made: one static library a layer, and tables of one-file entries.

option(STRATA_FUZZ "build the libFuzzer targets (clang only)" OFF)
option(STRATA_PRECOMPILE "precompile the headers of libraries" ON)

function(strata_warnings target)
  target_compile_options(${target} PRIVATE -Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -fno-math-errno
                         -ffp-contract=off -Wno-missing-field-initializers)  # designated initialisers leave defaults out
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)  # base/mutex.h; and what g++ takes -Wconversion for
    target_compile_options(${target} PRIVATE -Wthread-safety -Wno-sign-conversion)
  endif()
  if(STRATA_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${STRATA_SANITIZE} -fno-sanitize-recover=all
                           -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${STRATA_SANITIZE})
    if(CMAKE_CXX_COMPILER_ID MATCHES Clang)  # g++ says so by itself
      if(STRATA_SANITIZE MATCHES address)
        target_compile_definitions(${target} PRIVATE __SANITIZE_ADDRESS__=1)
      endif()
    endif()
  endif()
  if(STRATA_FUZZ)
    target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS)
  endif()
endfunction()

# strata_coverage(target): where STRATA_FUZZ is on, a fuzzer sees which code of the target an input reaches.
function(strata_coverage target)
  if(STRATA_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# strata_precompile(target header...): parses these headers of libraries, and those of the standard library that every
# second file includes, once for the target: half the time of a build. Sources include what they use all the same, and
# the sanitizer build, which has no precompiled headers, proves it.
function(strata_precompile target)
  if(STRATA_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE <algorithm> <array> <cmath> <cstdint> <cstring> <functional> <map>
                              <memory> <optional> <span> <string> <string_view> <unordered_map> <vector> ${ARGN})
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # -fpch-preprocess lets ccache see it. GCC 12 forgets that what it inlines from <string> is a system header's, and that
      # it must not warn of bounds there (PR 105651); ASan looks at these.
      target_compile_options(${target} PRIVATE -fpch-preprocess -Wno-array-bounds -Wno-restrict -Wno-stringop-overread
                             -Wno-stringop-overflow)
    endif()
  endif()
endfunction()

# strata_layer(folder library... [EXCEPT inner...]): the static library strata_<folder> of all .cc files below the folder but
# those of the inner ones. "/" of a name becomes "_".
function(strata_layer folder)
  cmake_parse_arguments(PARSE_ARGV 1 layer "" "" EXCEPT)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cc)
  foreach(inner IN LISTS layer_EXCEPT)
    list(FILTER sources EXCLUDE REGEX "/${folder}/${inner}/")
  endforeach()
  string(REPLACE "/" "_" name strata_${folder})
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${layer_UNPARSED_ARGUMENTS})
  strata_warnings(${name})
  if(folder MATCHES "^(base|formats|profiles|cache)$")  # no fuzzer goes higher
    strata_coverage(${name})
  endif()
endfunction()

# strata_table(target folders type namespace accessor header): every <folder>/<stem>.cc of the
# folders that has no header of its name, and is no test, defines `extern const <type> strata::<namespace>::<stem>`; strata::<accessor>() gives
# them all, in order of file name. A symbol that does not match its file is a link error; nothing registers itself at run time.
function(strata_table target folder type namespace accessor header)
  set(patterns ${folder})
  list(TRANSFORM patterns PREPEND ${PROJECT_SOURCE_DIR}/)
  list(TRANSFORM patterns APPEND /*.cc)
  file(GLOB files CONFIGURE_DEPENDS ${patterns})
  list(FILTER files EXCLUDE REGEX "_test[.]cc$")
  set(declarations "")
  set(rows "")
  foreach(file IN LISTS files)
    get_filename_component(stem ${file} NAME_WE)
    string(REGEX REPLACE "[.]cc$" ".h" header_of_file ${file})
    if(EXISTS ${header_of_file})
      continue()
    endif()
    string(APPEND declarations "extern const ${type} ${stem};\n")
    string(APPEND rows "    &${namespace}::${stem},\n")
  endforeach()
  set(table ${CMAKE_CURRENT_BINARY_DIR}/${accessor}.cc)
  file(CONFIGURE OUTPUT ${table} CONTENT
"// Generated from the files of ${folder}.
#include <array>
#include <span>

#include \"${header}\"

namespace strata {
namespace ${namespace} {
${declarations}}
std::span<const ${type}* const> ${accessor}() {
  static constexpr auto table = std::to_array<const ${type}*>({
${rows}  });
  return table;
}
}  // namespace strata
" @ONLY)
  target_sources(${target} PRIVATE ${table})
endfunction()
