// Sample, measure, train, optimise, and again, until the tilings of the design that is found are measured.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "dosa/core/targets/gemmini/campaign/measure.hpp"
#include "dosa/core/targets/gemmini/campaign/sample.hpp"
#include "dosa/models/workload.hpp"

namespace dosa {

struct CampaignOptions {
  MeasureOptions run;         ///< how programs are compiled and simulated; `programs` is not used
  std::int64_t budget = 200;  ///< measurements in all, 2 to 100000
  MachineChoice machine = gemmini::kTarget;  ///< of Gemmini's rules
  ArraySizes hardware{16, 256, 64};  ///< the simulated Gemmini as built: the most that the design may have
  std::string surrogate;             ///< to fine-tune; empty: the shipped one
  bool from_scratch = false;         ///< fine-tune none
  std::string objective = "edp";     ///< of the search
  double kappa = 1;                  ///< as TargetOptions::kappa
  std::uint64_t seed = 1;            ///< of sample, training and search
  std::int64_t max_macs = kMaxMacs;  ///< layers with more multiply-accumulates are not measured
  std::int64_t threads = 0;          ///< of training and search, 0: one per core
  BatchLimits batch;

  /// Throws Error naming the option.
  void check() const;
};

struct CampaignHooks {
  std::function<void(const std::string&)> say;  ///< a line about what is done now
  std::function<void(const MeasureProgress&)> progress;
  const std::atomic<bool>* interrupt = nullptr;
};

struct CampaignResult {
  bool interrupted = false;  ///< nothing below is filled in then
  /// Every layer of the design and of the default has measured cycles, and the search itself proposes nothing
  /// that is not measured.
  bool is_complete = false;
  Json json;
  std::string text;
};

/// Runs a campaign in `folder`, or goes on with the one that is there. Each round is a folder round_01, ...
/// with the plan, its programs and logs, what was measured, and the surrogate and design that came of it. At
/// the end the folder holds measurements.csv, surrogate.safetensors, design.json (the best design of tilings
/// that were measured, at their measured cycles), report.json and report.txt. The default is the library's
/// own tiles on the target's default hardware, or, where its tiles do not fit the simulated one, on that.
/// Energies are the model's throughout. Throws Error for options that contradict those of the campaign in the
/// folder, for a budget that does not hold the default's tilings, and for a round of which nothing was
/// measured.
CampaignResult run_campaign(const Workload& workload, const CampaignOptions& options,
                            const std::filesystem::path& folder, const CampaignHooks& hooks);

}  // namespace dosa
