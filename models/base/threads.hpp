// Threads: of the libraries below us, and our own.
#pragma once

#include <cstdint>
#include <functional>

namespace dosa {

/// Makes every tensor operation of the program run on the thread that calls it. Searches run whole groups of
/// starts or layers on threads of their own, and training is a row of small batches; slicing such small
/// tensors would only make threads wait for each other (by spinning, which takes cores from others: on busy
/// cores training with LibTorch 2.6 took twenty times as long). Denormal numbers count as zero on the calling
/// thread and those it starts.
void one_thread_per_operation();

/// Calls work(0) ... work(count - 1) on up to `threads` threads (0: one per core); the first exception is
/// thrown again.
void parallel(std::int64_t count, std::int64_t threads, const std::function<void(std::int64_t)>& work);

}  // namespace dosa
