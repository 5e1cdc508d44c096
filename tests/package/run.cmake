# Installs the build into a prefix of its own, builds the project beside this file against it, and runs both programs.
# cmake -D build=... -D work=... -D source=... -D generator=... -D compiler=... -D flags=... -D type=... -D launcher=...
#       -P run.cmake
set(prefix ${work}/prefix)
file(REMOVE_RECURSE ${prefix} ${work}/build)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${out}${err}\nended with ${code}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${build} --prefix ${prefix})
string(REPLACE ";" "\\;" launcher "${launcher}")
run(${CMAKE_COMMAND} -S ${source} -B ${work}/build -G ${generator} -D CMAKE_PREFIX_PATH=${prefix}
    -D CMAKE_CXX_COMPILER=${compiler} "-DCMAKE_CXX_FLAGS=${flags}" -D CMAKE_BUILD_TYPE=${type}
    "-DCMAKE_CXX_COMPILER_LAUNCHER=${launcher}")
run(${CMAKE_COMMAND} --build ${work}/build)
run(${CMAKE_COMMAND} -E env DOSA_HOME=${prefix}/share/dosa ${work}/build/uses_dosa)
if(NOT out MATCHES "^encoder.attention.scores: [0-9]+ cycles, [0-9.]+ uJ")
  message(FATAL_ERROR "unexpected output: ${out}")
endif()

# The installed program reads the data that was installed with it, not the source tree's.
file(COPY_FILE ${prefix}/share/dosa/data/workloads/bert.json ${prefix}/share/dosa/data/workloads/installed_bert.json)
run(${prefix}/bin/dosa workloads)
if(NOT out MATCHES "installed_bert")
  message(FATAL_ERROR "the installed program does not read the installed data: ${out}")
endif()

# Nothing of the program's own, nor of the tests, belongs into the package.
file(GLOB_RECURSE headers RELATIVE ${prefix} ${prefix}/include/*)
foreach(header IN LISTS headers)
  if(NOT header MATCHES "^include/dosa/(models|core|surrogate)/.*\\.hpp$" OR header MATCHES "/cli/")
    message(FATAL_ERROR "${header} is installed")
  endif()
endforeach()
