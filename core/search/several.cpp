#include "dosa/core/search/several.hpp"

#include <algorithm>
#include <cmath>

#include "dosa/core/search/space.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

class SeveralSearch {
 public:
  SeveralSearch(const SearchProblem& problem, const SearchOptions& options, const SeveralProgress& progress,
                const std::atomic<bool>* interrupt)
      : problem_(problem),
        options_(options),
        progress_(progress),
        interrupt_(interrupt),
        networks_(problem.networks()),
        space_(problem.target->space(problem, "cpu")) {}

  SeveralSummary run(const std::vector<std::optional<Design>>& given) {
    for (std::size_t n = 0; n < networks_.size(); ++n)
      own_.push_back(n < given.size() && given[n] ? *given[n] : search_own(n));
    SearchOptions joint = shared_out(static_cast<double>(networks_.size()));
    joint.within = options_.within;
    joint.checkpoint = options_.checkpoint;
    joint.resume = options_.resume;
    summary_.joint = search("all networks", problem_, joint);
    if (!summary_.joint.best.machine) return std::move(summary_);  // another rank has the designs
    offer(of_networks(summary_.joint.best), "");
    challenge();
    finish();
    return std::move(summary_);
  }

 private:
  bool interrupted() const { return interrupt_ != nullptr && *interrupt_; }

  /// The options with `parts` of the limits.
  SearchOptions shared_out(double parts) const {
    const auto count = static_cast<double>(networks_.size());
    const double share = parts / (2 * count + count * count);
    SearchOptions options = options_;
    options.within = 0;
    options.checkpoint.clear();
    options.resume.clear();
    options.time_limit_s *= share;
    if (options.max_evaluations > 0)
      options.max_evaluations =
          std::max<std::int64_t>(1, std::llround(share * static_cast<double>(options.max_evaluations)));
    return options;
  }

  /// A design of all layers as one of each network, costed by itself: the last bit of a prediction can depend
  /// on the layers beside it.
  std::vector<Design> of_networks(const Design& joint) const {
    std::vector<Design> designs = problem_.split(joint);
    for (Design& design : designs) evaluate(design, *problem_.target);
    return designs;
  }

  SearchSummary search(const std::string& name, const SearchProblem& problem, const SearchOptions& options) {
    SearchSummary found = optimize(
        problem, options,
        [&](const SearchProgress& now) {
          if (progress_) progress_(name, now);
        },
        interrupt_);
    summary_.evaluations += found.evaluations;
    summary_.wall_s += found.wall_s;
    return found;
  }

  Design search_own(std::size_t n) {
    const SearchProblem alone = problem_.alone(n);
    return search(fmt::format("{} alone", networks_[n].name), alone, shared_out(1)).best;
  }

  /// A network mapped onto fixed hardware: nothing to descend, and as many schedules as an enumeration looks
  /// at. Where cycles are predicted, a search counts them with their uncertainty, and more schedules may lead
  /// to a worse expectation: then with the options as they are, too. Nothing where it does not fit.
  std::optional<Design> map_onto(const Hardware& hardware, std::size_t n) {
    SearchProblem fixed = problem_.alone(n);
    fixed.bounds.min = fixed.bounds.max = hardware;
    const std::string name = fmt::format("{} on {}", networks_[n].name, fmt::join(hardware.values, "/"));
    const SearchOptions given = shared_out(1);
    SearchOptions all = given;
    all.stages = Stages::kPolish;
    all.polish_nests = std::min<std::int64_t>(
        100'000'000, std::max(given.polish_nests, problem_.target->enumeration_limit()));
    try {
      Design design = search(name, fixed, all).best;
      const auto is_predicted = [](const DesignLayer& layer) {
        return layer.costs.cycles_sd_log.has_value();
      };
      if (std::any_of(design.layers.begin(), design.layers.end(), is_predicted))
        take_if_better(n, design, search(name, fixed, given).best);
      return design;
    } catch (const Error& error) {
      if (error.id() != ErrorId::kBounds && error.id() != ErrorId::kCapacity) throw;
      return std::nullopt;
    }
  }

  /// A design of a network is better first if it is no slower than the space allows, then by its objective.
  void take_if_better(std::size_t n, Design& design, const Design& other) const {
    const bool fast = is_fast(n, design), other_fast = is_fast(n, other);
    if (fast == other_fast ? value_of(other) < value_of(design) : other_fast) design = other;
  }

  /// Maps every network onto the joint design's hardware and onto every network's own.
  void challenge() {
    std::vector<std::pair<Hardware, std::string>> places{{best_.front().hardware, ""}};
    for (std::size_t n = 0; n < networks_.size(); ++n) {
      const Hardware& hardware = own_[n].hardware;
      const bool is_there = std::any_of(places.begin(), places.end(),
                                        [&](const auto& place) { return place.first == hardware; });
      if (!is_there && is_allowed(hardware)) places.emplace_back(hardware, networks_[n].name);
    }
    const std::vector<Design> joint = best_;
    for (const auto& [hardware, name] : places) {
      std::vector<Design> designs;
      for (std::size_t n = 0; n < networks_.size() && !interrupted(); ++n) {
        std::optional<Design> design = map_onto(hardware, n);
        for (const Design* known : std::initializer_list<const Design*>{&own_[n], &joint[n]}) {
          if (!(known->hardware == hardware)) continue;
          if (!design) design = *known;
          take_if_better(n, *design, *known);
        }
        if (!design) break;
        designs.push_back(std::move(*design));
      }
      if (designs.size() == networks_.size()) offer(designs, name);
    }
  }

  bool is_allowed(const Hardware& hardware) const {
    for (std::size_t p = 0; p < hardware.size(); ++p) {
      if (hardware[p] < problem_.bounds.min[p] || hardware[p] > problem_.bounds.max[p]) return false;
    }
    return problem_.machine().area_mm2(hardware) <= problem_.bounds.max_area_mm2;
  }

  /// Keeps designs of all networks on one hardware if they are better together: first none slower than the
  /// space allows, then by the joint objective. `name` is the network whose hardware it is.
  void offer(const std::vector<Design>& designs, const std::string& name) {
    for (std::size_t n = 0; n < designs.size(); ++n) {
      if (known_.size() <= n) known_.push_back(own_[n]);
      take_if_better(n, known_[n], designs[n]);
    }
    const bool fast = is_fast(designs);
    if (!best_.empty()) {
      const bool better = fast == is_fast(best_) ? joint_value(designs) < joint_value(best_) : fast;
      if (!better) return;
    }
    best_ = designs;
    summary_.hardware_from = name;
  }

  bool is_fast(std::size_t n, const Design& design) const {
    return design.totals.cycles <= space_->most_cycles(n) * (1 + 1e-12);
  }
  bool is_fast(const std::vector<Design>& designs) const {
    for (std::size_t n = 0; n < designs.size(); ++n) {
      if (!is_fast(n, designs[n])) return false;
    }
    return true;
  }

  double joint_value(const std::vector<Design>& designs) const {
    std::vector<LayerCosts> costs;
    for (const Design& design : designs)
      costs.push_back({design.totals.cycles, design.totals.energy_uj, {}, {}});
    return std::exp(problem_.log_value(costs));
  }

  /// Keeps what the joint search says is the smallest, mapped as the others, where it is within the share.
  void keep_smallest() {
    if (!summary_.joint.smallest) return;
    std::vector<Design> designs = of_networks(*summary_.joint.smallest);
    for (std::size_t n = 0; options_.within_everywhere && n < designs.size() && !interrupted(); ++n) {
      const std::optional<Design> mapped = map_onto(designs[n].hardware, n);
      if (mapped) take_if_better(n, designs[n], *mapped);
    }
    if (joint_value(designs) > joint_value(best_) * (1 + options_.within) ||
        designs.front().totals.area_mm2 >= best_.front().totals.area_mm2)
      return;
    summary_.smallest_value = joint_value(designs);
    summary_.smallest = std::move(designs);
  }

  void finish() {
    keep_smallest();
    for (std::size_t n = 0; n < networks_.size(); ++n)
      summary_.networks.push_back({networks_[n].weight, best_[n], known_[n]});
    summary_.value = joint_value(best_);
    summary_.own_value = joint_value(known_);
  }

  double value_of(const Design& design) const {
    return problem_.objective.value(design.totals.energy_uj, design.totals.cycles);
  }

  const SearchProblem& problem_;
  const SearchOptions& options_;
  const SeveralProgress& progress_;
  const std::atomic<bool>* interrupt_;
  std::vector<ProblemNetwork> networks_;
  std::unique_ptr<SearchSpace> space_;
  std::vector<Design> own_;    // by network
  std::vector<Design> known_;  // by network, the best of all that was found
  std::vector<Design> best_;   // by network, on one hardware
  SeveralSummary summary_;
};

}  // namespace

SeveralSummary optimize_several(const SearchProblem& problem, const SearchOptions& options,
                                const std::vector<std::optional<Design>>& own,
                                const SeveralProgress& progress, const std::atomic<bool>* interrupt) {
  return SeveralSearch(problem, options, progress, interrupt).run(own);
}

}  // namespace dosa
