#include "dosa/models/base/threads.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace dosa {

void one_thread_per_operation() {
  at::set_num_threads(1);
  // Not part of BLAS: there only where BLAS is OpenBLAS.
  using SetThreads = void (*)(int);
  const auto set_threads = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set_threads != nullptr) set_threads(1);
  // Mixtures leave numbers below the normal range of float32, which processors are slow with: they cost a
  // descent with a surrogate 8 % of its time. Threads that are started later inherit this.
  at::globalContext().setFlushDenormal(true);
}

void parallel(std::int64_t count, std::int64_t threads, const std::function<void(std::int64_t)>& work) {
  if (threads == 0) threads = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&] {
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::thread> pool;
  for (std::int64_t t = 1; t < std::min(count, threads); ++t) pool.emplace_back(run);
  run();
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace dosa
