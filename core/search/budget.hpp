// What a search may still spend: time, evaluations, the user's patience. The one place where these are
// counted.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>

namespace dosa {

inline constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

/// What work on one layer may still take. Layers are worked on at the same time, and what they find must not
/// depend on which one is first, so each gets its own.
struct Allowance {
  std::int64_t evaluations = kNoLimit;
  std::function<bool()> stop;  ///< asked every few thousand evaluations; may be empty
  bool fell_short = false;     ///< set by work that did less than it was asked for, for lack of evaluations

  /// Whether the work has to end.
  bool is_spent() const { return evaluations <= 0 || (stop && stop()); }
  void spend(std::int64_t count) {
    if (evaluations != kNoLimit) evaluations -= count;
  }
};

class Budget {
 public:
  /// 0: no limit. `interrupt` may be null.
  Budget(double time_limit_s, std::int64_t max_evaluations, const std::atomic<bool>* interrupt)
      : time_limit_s_(time_limit_s), max_evaluations_(max_evaluations), interrupt_(interrupt) {}

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  bool has_time_limit() const { return time_limit_s_ > 0; }
  bool interrupted() const { return interrupt_ != nullptr && *interrupt_; }
  /// Whether `share` of the time is used up.
  bool out_of_time(double share = 1) const { return time_limit_s_ > 0 && elapsed() > share * time_limit_s_; }
  bool has_to_end() const { return interrupted() || out_of_time(); }

  void spend(std::int64_t evaluations) { spent_ += evaluations; }
  std::int64_t spent() const { return spent_; }
  void set_spent(std::int64_t evaluations) { spent_ = evaluations; }
  /// Evaluations left of `share` of the limit; never below zero.
  std::int64_t left(double share = 1) const {
    if (max_evaluations_ == 0) return kNoLimit;
    const auto allowed = static_cast<std::int64_t>(share * static_cast<double>(max_evaluations_));
    return allowed > spent_ ? allowed - spent_ : 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  double time_limit_s_;
  std::int64_t max_evaluations_;
  const std::atomic<bool>* interrupt_;
  std::int64_t spent_ = 0;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace dosa
