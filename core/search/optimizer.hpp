// The search: Adam on the relaxation from many starts, rounding to schedules that can run, exact scoring,
// polish; or, where the space of schedules is small enough, all of it at once. It serves every target.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dosa/core/search/problem.hpp"

namespace dosa {

/// What a search does. kAutomatic enumerates where it can (no descent could find better), else descends and
/// polishes. The others are there to see what each stage is worth: kDescent descends and rounds, kPolish
/// looks at schedules nowhere in particular, on the largest array and its neighbours.
enum class Stages { kAutomatic, kDescent, kDescentAndPolish, kPolish };
inline constexpr std::array<const char*, 4> kStagesNames{"auto", "descent", "descent+polish", "polish"};
/// Throws Error{kValue}.
Stages stages_from_name(const std::string& name);

struct SearchOptions {
  Stages stages = Stages::kAutomatic;
  /// Independent random starts of the relaxation. More starts find more valleys; cost grows linearly. 1 to
  /// 4096.
  std::int64_t starts = 16;
  /// Adam steps. 1 to 10 million.
  std::int64_t steps = 800;
  /// Steps between roundings to integer designs. 1 to 10 million.
  std::int64_t round_every = 200;
  /// Roundings in a row without a better design that end the descent; the polish follows. 0: none does. 0 to
  /// 10 million.
  std::int64_t patience = 10;
  /// Adam's step in the parameters at the beginning; falls to zero along a cosine. Over 0 to 10.
  double learning_rate = 0.3;
  /// Schedules (nests, or calls with tiles) per layer that the final polish looks at; beyond it, those
  /// nearest to the relaxed optimum. Where lower bounds choose the shapes and evaluations are limited, fewer,
  /// so that they last for many shapes. 64 to 100 million.
  std::int64_t polish_nests = 300'000;
  /// Seed of the starts. The result depends on nothing else than this, the other options and the machine.
  std::uint64_t seed = 0;
  /// Threads; the result does not depend on it. 1 to 1024; 0: one per core.
  std::int64_t threads = 0;
  /// Stop after this many seconds with the best design so far: at most 70 % go to the descent, the rest to
  /// the polish. The first design is finished in any case. 0: no limit.
  double time_limit_s = 0;
  /// Evaluate at most this many schedules (see SearchSummary::evaluations), shared like the time. The first
  /// design is made in any case, which takes some evaluations for every layer
  /// (SearchSpace::least_evaluations). 0: no limit.
  std::int64_t max_evaluations = 0;
  /// Where to save the descent, every so many seconds (0 to 1e6; 0: after every few steps) and at its end;
  /// empty: nowhere.
  std::filesystem::path checkpoint;
  double checkpoint_every_s = 10;
  /// A checkpoint to go on from, of the same problem and options; the result is that of a run without a
  /// break. Empty: from the beginning.
  std::filesystem::path resume;
  /// Afterwards look for the smallest hardware, too, whose objective is within this share of the best's: 0.01
  /// for 1 %. 0 to 100; 0: do not.
  double within = 0;
  /// Look for it on every shape that may have it, not only on those that come by little work
  /// (smallest_hardware).
  bool within_everywhere = false;
  /// Where the descent runs: "cpu" or "cuda". The polish runs on the CPU in any case.
  std::string device = "cpu";

  /// Names the first field that is out of its range.
  bool is_valid(std::string* error) const;
};

/// What a design and a checkpoint record of the options and bounds: all that decides the result but the
/// limits.
Json to_json(const SearchOptions& options, const SearchProblem& problem);

/// What a search reports while it runs.
struct SearchProgress {
  std::int64_t step = 0, steps = 0;
  double best_objective = 0;     ///< of the best integer design so far; infinity before the first rounding
  double relaxed_objective = 0;  ///< of the best start now; 0 where there is none, or none was looked for
  Hardware hardware;             ///< of the best integer design, or of the best start, rounded up
  double elapsed_s = 0, eta_s = 0;
  std::int64_t evaluations = 0;  ///< so far; see SearchSummary
  /// Of a shape that is looked at, the layers that are done and all; 0 of 0 between two.
  std::size_t layers_done = 0, layers = 0;
  std::string phase;  ///< "descent", "polish", "enumeration" or "smaller hardware"
};

struct SearchSummary {
  Design best;
  /// The smallest hardware within SearchOptions::within, where it is smaller than the best design's.
  std::optional<Design> smallest;
  std::int64_t steps = 0;
  /// Evaluations of the model: every layer's schedule in every loop order, relaxed or exact, of every step,
  /// rounding and polish, and every lower bound; those for `smallest` are not counted.
  std::int64_t evaluations = 0;
  double wall_s = 0;
  std::string stopped =
      "steps";              ///< "steps", "end" (no descent), "patience", "time", "evaluations" or "interrupt"
  bool complete = false;    ///< on the chosen shape the whole space of schedules was looked at
  bool enumerated = false;  ///< at once, without a descent
  std::string space;        ///< what was enumerated then (SearchSpace::enumerated)

  std::string brief_report() const;
};

using ProgressCallback = std::function<void(const SearchProgress&)>;

/// Runs the search. Stops at the next step when `*interrupt` becomes true. Throws Error{kBounds} (see
/// Target::space) and Error{kValue} for options out of range, a device that is not there or a checkpoint of
/// another run. As a rank of an MPI job other than 0 it only descends its share of the starts and returns a
/// summary without a design (see Ranks).
SearchSummary optimize(const SearchProblem& problem, const SearchOptions& options,
                       const ProgressCallback& progress = {}, const std::atomic<bool>* interrupt = nullptr);

}  // namespace dosa
