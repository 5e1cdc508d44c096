// Work on a CUDA device that is recorded once and replayed: a step of many small operations, each of which
// takes the processor longer to launch than the device to do, then costs one launch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace dosa {

class RecordedWork {
 public:
  /// Whether this build can record, which takes a LibTorch with CUDA.
  static bool available();

  RecordedWork();
  ~RecordedWork();
  RecordedWork(RecordedWork&&) noexcept;
  RecordedWork& operator=(RecordedWork&&) noexcept;

  /// Does `work` `warm_up` times, as it is, and then records it without doing it. It must not wait for the
  /// device nor bring anything to it, and may change tensors in place, which then have to live as long as
  /// this; what it makes on the way lives in memory of its own. Throws c10::Error where the device refuses.
  void record(const std::function<void()>& work, int warm_up);
  /// Does what was recorded `times` times, and waits until it is done.
  void replay(std::int64_t times);

 private:
  struct Recording;
  std::unique_ptr<Recording> recording_;
};

}  // namespace dosa
