# Plants each kind of breach in a small tree and expects layering.cmake to find exactly it. Run as
#   cmake -DWORK=<scratch folder> -P tests/layering_test.cmake
cmake_minimum_required(VERSION 3.25)

# expect(file contents place): layering.cmake reports `place`, or nothing when it is empty.
function(expect file contents place)
  file(REMOVE_RECURSE ${WORK})
  file(WRITE ${WORK}/base/good.h "#pragma once\n#include <vector>\n")
  file(WRITE ${WORK}/engine/good.cc "#include <ATen/core/Tensor.h>\n#include \"cache/store.h\"\n")
  file(WRITE ${WORK}/${file} "${contents}")
  execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${WORK} -P ${CMAKE_CURRENT_LIST_DIR}/layering.cmake
                  RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(place STREQUAL "" AND NOT code EQUAL 0)
    message(SEND_ERROR "${file} is in order but was refused: ${output}")
  elseif(NOT place STREQUAL "" AND (code EQUAL 0 OR NOT output MATCHES "${place}: .*layering: 1 breaches"))
    message(SEND_ERROR "expected one breach at ${place}, got: ${output}")
  endif()
endfunction()

string(REPEAT "// a line\n" 400 longest)
string(ASCII 195 169 accented)

expect(formats/good.cc "#include \"base/good.h\"\n#include \"formats/x.h\"\n" "")
expect(formats/bad.cc "#include \"base/good.h\"\n\n#include \"profiles/x.h\"\n" "formats/bad.cc:3")
expect(base/bad.cc "#include \"cli/command.h\"\n" "base/bad.cc:1")
expect(engine/model/bad.cc "int a[2];\n#  include <cli/command.h>\n" "engine/model/bad.cc:2")
expect(formats/bad.cc "int x;\n#include <ATen/ATen.h>\n" "formats/bad.cc:2")
expect(cli/bad.cc "#include \"torch/torch.h\"\n" "cli/bad.cc:1")
expect(engine/bad.h "#pragma once\n#include <c10/core/ScalarType.h>\n" "engine/bad.h:2")
expect(tests/good.cc "#include <ATen/ATen.h>\n#include \"cli/command.h\"\n" "")
expect(bench/good.cc "#include <ATen/ATen.h>\n" "")
expect(base/good.cc "${longest}" "")
expect(base/bad.cc "${longest}// one more\n" "base/bad.cc:401")
expect(scripts/bad.sh "${longest}# one more\n" "scripts/bad.sh:401")
expect(tests/oracle/bad.py "x = 1\ny = '${accented}'\n" "tests/oracle/bad.py:2")
expect(cmake/bad.cmake "# ${accented}\n" "cmake/bad.cmake:1")
file(REMOVE_RECURSE ${WORK})
