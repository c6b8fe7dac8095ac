# Finds libtorch in a pip wheel (site-packages/torch) or an unpacked archive, without importing torch and
# without its TorchConfig.cmake, which wants a CUDA toolkit. Makes LibTorch::torch_cpu and LibTorch::c10.
# Takes LibTorch_ROOT; else the venv that scripts/setup.sh made, else the Python on the path.

if(NOT LibTorch_ROOT)
  file(GLOB _venv ${CMAKE_CURRENT_LIST_DIR}/../build/libtorch/lib/python3*/site-packages/torch)
  if(NOT _venv)
    find_package(Python3 COMPONENTS Interpreter)
    if(Python3_FOUND)
      execute_process(COMMAND ${Python3_EXECUTABLE} -c
        "import importlib.util as u,os,sys;s=u.find_spec('torch');sys.stdout.write(os.path.dirname(s.origin) if s and s.origin else '')"
        OUTPUT_VARIABLE _venv)
    endif()
  endif()
  get_filename_component(_venv "${_venv}" REALPATH)
  set(LibTorch_ROOT "${_venv}" CACHE PATH "folder of libtorch" FORCE)
endif()

find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h PATHS ${LibTorch_ROOT}/include NO_DEFAULT_PATH)
# The wheel brings headers of an fmt that it has no library for; with them in the way of the system's, nothing
# links. So libtorch's headers are seen through a folder of links that leaves them out.
set(_headers ${CMAKE_BINARY_DIR}/libtorch-headers)
file(MAKE_DIRECTORY ${_headers})
file(GLOB _entries RELATIVE ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/*)
list(REMOVE_ITEM _entries fmt)
foreach(_entry IN LISTS _entries)
  file(CREATE_LINK ${LibTorch_INCLUDE_DIR}/${_entry} ${_headers}/${_entry} SYMBOLIC)
endforeach()
foreach(_library c10 torch_cpu)
  find_library(LibTorch_${_library}_LIBRARY ${_library} PATHS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
  if(LibTorch_${_library}_LIBRARY AND NOT TARGET LibTorch::${_library})
    add_library(LibTorch::${_library} SHARED IMPORTED)
    set_target_properties(LibTorch::${_library} PROPERTIES
      IMPORTED_LOCATION ${LibTorch_${_library}_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${_headers}
      INTERFACE_COMPILE_DEFINITIONS AT_PER_OPERATOR_HEADERS  # <ATen/TensorOperators.h> without all operators there are
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${_headers})
  endif()
endforeach()

if(EXISTS ${LibTorch_ROOT}/version.py)
  file(READ ${LibTorch_ROOT}/version.py _version)
  if(_version MATCHES "__version__ = '([0-9]+\\.[0-9]+\\.[0-9]+)")
    set(LibTorch_VERSION ${CMAKE_MATCH_1})
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_torch_cpu_LIBRARY LibTorch_c10_LIBRARY LibTorch_INCLUDE_DIR VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup.sh, or pass -DLibTorch_ROOT=<site-packages>/torch")
if(LibTorch_FOUND)
  set_property(TARGET LibTorch::torch_cpu PROPERTY INTERFACE_LINK_LIBRARIES LibTorch::c10)
  # The wheel's libraries find their own dependencies through their RPATH; the linker need not.
  set_property(TARGET LibTorch::torch_cpu PROPERTY INTERFACE_LINK_OPTIONS -Wl,--allow-shlib-undefined)
endif()
