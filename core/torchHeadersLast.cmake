# Makes LibTorch's headers the last that the compiler looks up. Newer LibTorch ships headers of other libraries too, fmt
# among them, in versions of its own, and the usual -isystem would find those before the ones that we link.
# After find_package(Torch). Takes the folders from Torch's imported targets and lists them in DOSA_TORCH_HEADERS.
set(folders ${TORCH_INCLUDE_DIRS})
foreach(target IN ITEMS torch torch_library torch_cpu torch_cpu_library torch_cuda torch_cuda_library c10 c10_cuda)
  if(TARGET ${target})
    get_target_property(of_target ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(of_target)
      set(others ${of_target})  # generator expressions refer to other libraries, such as protobuf
      list(FILTER others INCLUDE REGEX "[$]<")
      list(FILTER of_target EXCLUDE REGEX "[$]<")
      list(APPEND folders ${of_target})
      set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${others})
    endif()
  endif()
endforeach()
set(DOSA_TORCH_HEADERS)
foreach(folder IN LISTS folders)
  file(REAL_PATH "${folder}" folder)
  list(APPEND DOSA_TORCH_HEADERS "${folder}")
endforeach()
list(REMOVE_DUPLICATES DOSA_TORCH_HEADERS)
list(REMOVE_ITEM DOSA_TORCH_HEADERS ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
