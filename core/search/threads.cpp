#include "core/search/threads.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>

namespace dosa {

void one_thread_per_operation() {
  at::set_num_threads(1);
  // Not part of BLAS: there only where BLAS is OpenBLAS.
  using SetThreads = void (*)(int);
  const auto set_threads = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set_threads != nullptr) set_threads(1);
}

}  // namespace dosa
