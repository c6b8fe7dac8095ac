# The rules of the house that a compiler does not check. Run as
#   cmake -DROOT=<source folder> -P tests/layering.cmake
# Every breach is printed with its file and line; one is enough to fail.
#   - a layer includes only itself and the layers before it, and so does a room, a folder of a layer; every folder is known;
#   - headers of libtorch are included only in some rooms' *.cc, tests/ and bench/;
#   - engine/ and cli/ know no number format by its name: what they ask about one is a field of its record;
#   - of which kind a block of a layer is (std::get<...Spec>, std::visit on a body) is told apart in few places;
#   - a source file has at most 400 lines, and only ASCII characters.
cmake_minimum_required(VERSION 3.25)

set(layers base formats profiles cache engine cli)
# The floors from the ground up: what a layer's own folder holds comes first.
set(rooms
    base
    formats formats/kernels formats/weight formats/number formats/config formats/storage formats/checkpoint
    formats/tokenizer formats/text
    profiles profiles/family
    cache
    engine/plan engine/check engine/solver engine/prices engine/measure
    engine/device engine/graph engine/rounding engine/source engine/output engine/work engine/model engine/sweep
    engine/passes engine/eval engine/run
    cli cli/command cli/main)
set(torch_rooms device model sweep passes rounding eval)
# Who may look into a Body; all others ask profiles/layer_questions.h and engine/plan/blocks.h.
set(knows_kinds "^(profiles/|engine/model/|engine/plan/blocks[.](h|cc)$|tests/unit/engine/)")

# breach(offset message): offset is that of the first character of the faulty line in ${contents}.
function(breach offset text)
  string(SUBSTRING "${contents}" 0 ${offset} before)
  string(REGEX MATCHALL "\n" ends "${before}")
  list(LENGTH ends line)
  math(EXPR line "${line} + 1")
  message(NOTICE "${file}:${line}: ${text}")
  set_property(GLOBAL APPEND PROPERTY breaches "${file}:${line}")
endfunction()

# The room of a file of ours, and its floor; empty and -1 for tests, benchmarks and whatever is no file of ours.
function(find_room path room floor)
  string(REGEX REPLACE "/[^/]*$" "" folder "${path}")
  list(FIND rooms "${folder}" at)
  set(${room} "" PARENT_SCOPE)
  set(${floor} ${at} PARENT_SCOPE)
  if(at GREATER -1)
    set(${room} "${folder}" PARENT_SCOPE)
  endif()
endfunction()

# What is wrong with including `header` in ${file}; empty when nothing is.
function(judge_include header result)
  find_room("${file}" here own)
  find_room("${header}" there theirs)
  set(${result} "" PARENT_SCOPE)
  list(JOIN torch_rooms "|" with_torch)
  if(own GREATER -1 AND theirs GREATER own)
    set(${result} "${here}/ must not include ${header}: ${there}/ is on a higher floor" PARENT_SCOPE)
  elseif(header MATCHES "^(torch|ATen|c10|caffe2)/" AND NOT file MATCHES "^(engine/(${with_torch})/[^/]*[.]cc$|tests/|bench/)")
    set(${result} "${header} is libtorch's; its headers belong in the .cc files of engine/{${with_torch}} only" PARENT_SCOPE)
  endif()
endfunction()

# A source of a layer is in a room that the list above knows.
function(check_room)
  string(REGEX REPLACE "/.*" "" layer "${file}")
  find_room("${file}" room floor)
  if(layer IN_LIST layers AND file MATCHES "[.](cc|h|cu|cuh)$" AND floor EQUAL -1)
    breach(0 "its folder is no room; tests/layering.cmake has the list")
  endif()
endfunction()

function(check_includes)
  string(REGEX MATCHALL "#[ \t]*include[ \t]*[<\"][^>\"\n]+" lines "${contents}")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE ".*[<\"]" "" header "${line}")
    judge_include("${header}" wrong)
    if(wrong)
      string(FIND "${contents}" "${line}" offset)
      breach(${offset} "${wrong}")
    endif()
  endforeach()
endfunction()

# A text that is a format's name, or begins with one. In comments names are welcome, and within a text, as in an example.
function(check_names)
  if(NOT names OR NOT file MATCHES "^(engine|cli)/.*[.](cc|h|cu|cuh)$")
    return()
  endif()
  string(REGEX REPLACE "(^|[ \t\n])//[^\n]*" "\\1" contents "${contents}")  # as many lines as before
  string(REGEX MATCHALL "\"[(]?(${names})[^\n]*" texts "${contents}")
  foreach(text IN LISTS texts)
    string(FIND "${contents}" "${text}" offset)
    breach(${offset} "${text}: a number format by its name; give the record a field (docs/add-a-format.md)")
  endforeach()
endfunction()

function(check_kinds)
  if(NOT file MATCHES "[.](cc|h|cu|cuh)$" OR file MATCHES "${knows_kinds}")
    return()
  endif()
  string(REGEX MATCHALL "std::(get|get_if|holds_alternative)<[A-Za-z]*Spec>|std::visit[^~]*body" looks "${contents}")
  foreach(look IN LISTS looks)
    string(FIND "${contents}" "${look}" offset)
    breach(${offset} "looks into the body of a block; profiles/layer_questions.h and engine/plan/blocks.h answer for it")
  endforeach()
endfunction()

function(check_shape)
  string(REGEX MATCHALL "\n" ends "${contents}")
  list(LENGTH ends count)
  if(count GREATER 400)
    string(LENGTH "${contents}" size)
    math(EXPR last "${size} - 1")
    breach(${last} "the file has ${count} lines, and 400 are the limit: one concept a file")
  endif()
  string(REGEX MATCH "[^\t\n\r -~]" character "${contents}")
  if(NOT character STREQUAL "")
    string(FIND "${contents}" "${character}" offset)
    breach(${offset} "a character that is not ASCII; write it as an escape")
  endif()
endfunction()

foreach(folder IN LISTS layers ITEMS tests bench demo scripts cmake)
  foreach(kind .cc .h .cu .cuh .py .sh .awk .cmake CMakeLists.txt)
    list(APPEND patterns ${ROOT}/${folder}/*${kind})
  endforeach()
endforeach()
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/CMakeLists.txt ${patterns})
list(FILTER files EXCLUDE REGEX "^build/")
list(REMOVE_DUPLICATES files)

file(GLOB records ${ROOT}/formats/number/*.cc)
set(names "")
foreach(record IN LISTS records)
  file(STRINGS ${record} found REGEX "^    [.](name|aliases) = \"[^\"]+\"")
  if(NOT found)
    message(FATAL_ERROR "layering: ${record} states no .name on a line of its own")
  endif()
  foreach(line IN LISTS found)
    string(REGEX REPLACE ".*= \"([^\"]+)\".*" "\\1" line "${line}")
    string(REPLACE " " "|" line "${line}")
    list(APPEND names "${line}")
  endforeach()
endforeach()
list(JOIN names "|" names)

foreach(file IN LISTS files)
  file(READ ${ROOT}/${file} contents)
  # Brackets and semicolons would join or cut the lists that are made of the text; backslashes would escape.
  string(REPLACE "\\\"" "''" contents "${contents}")  # a quote within a text begins none
  string(REGEX REPLACE "[];[\\\\]" "~" contents "${contents}")
  check_room()
  check_includes()
  check_names()
  check_kinds()
  check_shape()
endforeach()

list(LENGTH files count)
get_property(breaches GLOBAL PROPERTY breaches)
if(breaches)
  list(LENGTH breaches number)
  message(FATAL_ERROR "layering: ${number} breaches in ${count} files")
endif()
message(STATUS "layering: ${count} files in order")
