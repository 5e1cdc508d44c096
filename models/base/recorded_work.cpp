#include "dosa/models/base/recorded_work.hpp"

#include "dosa/models/base/torch.hpp"

#ifdef DOSA_HAS_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace dosa {

#ifdef DOSA_HAS_CUDA

// Recording takes a stream of its own; what comes before and after is on the default one.
struct RecordedWork::Recording {
  at::cuda::CUDAStream stream = at::cuda::getStreamFromPool();
  at::cuda::CUDAGraph graph;
};

bool RecordedWork::available() { return torch::cuda::is_available(); }

void RecordedWork::record(const std::function<void()>& work, int warm_up) {
  recording_ = std::make_unique<Recording>();
  torch::cuda::synchronize();
  const c10::cuda::CUDAStreamGuard guard(recording_->stream);
  for (int i = 0; i < warm_up; ++i) work();
  torch::cuda::synchronize();
  recording_->graph.capture_begin();
  work();
  recording_->graph.capture_end();
}

void RecordedWork::replay(std::int64_t times) {
  torch::cuda::synchronize();
  const c10::cuda::CUDAStreamGuard guard(recording_->stream);
  for (std::int64_t i = 0; i < times; ++i) recording_->graph.replay();
  recording_->stream.synchronize();
}

#else

struct RecordedWork::Recording {};

bool RecordedWork::available() { return false; }

void RecordedWork::record(const std::function<void()>& /*work*/, int /*warm_up*/) {
  TORCH_CHECK(false, "this LibTorch has no CUDA");
}

void RecordedWork::replay(std::int64_t /*times*/) {}

#endif

RecordedWork::RecordedWork() = default;
RecordedWork::~RecordedWork() = default;
RecordedWork::RecordedWork(RecordedWork&&) noexcept = default;
RecordedWork& RecordedWork::operator=(RecordedWork&&) noexcept = default;

}  // namespace dosa
