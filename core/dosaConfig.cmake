include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(Torch)
find_dependency(nlohmann_json)
find_dependency(fmt)
find_dependency(yaml-cpp)
find_dependency(ZLIB)
find_package(MPI QUIET COMPONENTS CXX)  # where dosa was built with it
include("${CMAKE_CURRENT_LIST_DIR}/dosaTargets.cmake")
