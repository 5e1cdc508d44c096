// Simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 1983) over hardware and mappings together, in
// several chains at once whose worst now and then go on from the best.
//
// Given the hardware, layers meet only in the network's sums, so a step changes one mapping in every layer
// and accepts each by its own share of the change. A step in eight changes the hardware instead and scores
// all layers anew; mappings that no longer fit are cut down first.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "dosa/core/baselines/map_space.hpp"

namespace dosa {
namespace {

constexpr double kHot = 0.1, kCold = 1e-4;  // temperatures in units of the log objective
constexpr std::int64_t kHardwareEvery = 8;
constexpr std::int64_t kMostChains = 32, kLeastSteps = 400;
constexpr std::int64_t kFirstMappings = 10;  // per layer: the best of so many random ones begin a chain

struct MarkovChain {
  Hardware hardware;
  std::vector<double> codes;  // [layers, width]
  std::vector<double> energy, cycles;
};

class Annealer {
 public:
  Annealer(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads, Recorder& recorder)
      : problem_(problem),
        mappings_(MapSpace::of(problem, threads)),
        space_(*mappings_),
        random_(seed),
        recorder_(recorder),
        width_(static_cast<std::size_t>(space_.width())) {}

  void run() {
    const std::int64_t layers = space_.layers();
    const std::int64_t chains =
        std::clamp<std::int64_t>(recorder_.budget() / (layers * kLeastSteps), 1, kMostChains);
    for (std::int64_t c = 0; c < chains && !recorder_.stop(layers); ++c) begin_chain(chains);
    int copies = 0;
    for (std::int64_t step = 1; !recorder_.stop(samples_of_step()); ++step) {
      share_ = static_cast<double>(recorder_.evaluations()) / static_cast<double>(recorder_.budget());
      temperature_ = kHot * std::pow(kCold / kHot, share_);
      const std::int64_t before = recorder_.evaluations();
      if (step % kHardwareEvery == 0) {
        move_hardware();
      } else {
        move_mappings();
      }
      for (const MarkovChain& chain : chains_) offer(chain);
      if (share_ * 10 > copies + 1) {
        copies = static_cast<int>(share_ * 10);
        copy_best();
      }
      // A step in which nothing fits costs no samples; it must not go on for ever.
      idle_ = recorder_.evaluations() == before ? idle_ + 1 : 0;
      if (idle_ == 1000) break;
    }
    shrink_best();
  }

 private:
  std::int64_t samples_of_step() const { return static_cast<std::int64_t>(chains_.size()) * space_.layers(); }
  double value(const MarkovChain& chain) const {
    double energy = 0, cycles = 0;
    for (std::size_t l = 0; l < chain.energy.size(); ++l) {
      energy += space_.counts()[l] * chain.energy[l];
      cycles += space_.counts()[l] * chain.cycles[l];
    }
    return space_.objective(energy, cycles);
  }

  Candidates all_of(const MarkovChain& chain) const {
    return {torch::tensor(chain.codes, torch::kFloat64).view({space_.layers(), -1}),
            torch::arange(space_.layers())};
  }

  void offer(const MarkovChain& chain) {
    const double objective = value(chain);
    if (!(objective < recorder_.best())) return;
    recorder_.offer(objective, {chain.hardware, all_of(chain).codes});
  }

  void begin_chain(std::int64_t chains) {
    MarkovChain chain;
    chain.hardware = space_.random_hardware(random_);
    // The beginnings of all chains take at most a fifth of a small budget.
    const std::int64_t mappings =
        std::clamp<std::int64_t>(recorder_.budget() / (5 * chains * space_.layers()), 1,
                                 std::min(kFirstMappings, recorder_.left() / space_.layers()));
    const auto [candidates, scores] = space_.random_mappings(chain.hardware, mappings, random_, recorder_);
    const NetworkChoice choice = space_.best_of(candidates, scores);
    const double* codes = candidates.codes.data_ptr<double>();
    for (const std::int64_t entry : choice.entry) {
      const double* first = codes + static_cast<std::size_t>(entry) * width_;
      chain.codes.insert(chain.codes.end(), first, first + width_);
      chain.energy.push_back(scores.energy_uj.data_ptr<double>()[entry]);
      chain.cycles.push_back(scores.cycles.data_ptr<double>()[entry]);
    }
    chains_.push_back(std::move(chain));
    offer(chains_.back());
  }

  /// The mappings of all chains, one after the other.
  Candidates all_mappings() const {
    std::vector<double> codes;
    for (const MarkovChain& chain : chains_)
      codes.insert(codes.end(), chain.codes.begin(), chain.codes.end());
    return {torch::tensor(codes, torch::kFloat64).view({-1, space_.width()}),
            torch::arange(space_.layers()).repeat({static_cast<std::int64_t>(chains_.size())})};
  }
  std::vector<Hardware> hardware() const {
    std::vector<Hardware> all;
    for (const MarkovChain& chain : chains_) all.push_back(chain.hardware);
    return all;
  }
  bool accept(double change) { return change <= 0 || random_.uniform() < std::exp(-change / temperature_); }

  void move_mappings() {
    const Candidates next = all_mappings();
    double* codes = next.codes.data_ptr<double>();
    for (std::size_t c = 0; c < chains_.size(); ++c) {
      for (std::int64_t l = 0; l < space_.layers(); ++l, codes += width_)
        space_.move(l, chains_[c].hardware, random_, codes);
    }
    codes = next.codes.data_ptr<double>();
    const Scores scores = space_.score(next, hardware());
    count(scores);
    const double* energy = scores.energy_uj.data_ptr<double>();
    const double* cycles = scores.cycles.data_ptr<double>();
    for (std::size_t c = 0; c < chains_.size(); ++c) {
      MarkovChain& chain = chains_[c];
      double total_energy = 0, total_cycles = 0;
      for (std::size_t l = 0; l < chain.energy.size(); ++l) {
        total_energy += space_.counts()[l] * chain.energy[l];
        total_cycles += space_.counts()[l] * chain.cycles[l];
      }
      for (std::size_t l = 0; l < chain.energy.size(); ++l) {
        const std::size_t i = c * chain.energy.size() + l;
        if (!scores.fits.data_ptr<bool>()[i]) continue;
        const double change_e = space_.counts()[l] * (energy[i] - chain.energy[l]);
        const double change_c = space_.counts()[l] * (cycles[i] - chain.cycles[l]);
        const double change =
            problem_.objective.log_value(1 + change_e / total_energy, 1 + change_c / total_cycles);
        if (!accept(change)) continue;
        std::copy_n(codes + i * width_, width_, chain.codes.data() + l * width_);
        chain.energy[l] = energy[i];
        chain.cycles[l] = cycles[i];
        total_energy += change_e;
        total_cycles += change_c;
      }
    }
  }

  void count(const Scores& scores) {
    const std::int64_t fitting = scores.fits.sum().item<std::int64_t>();
    recorder_.evaluated(fitting);
    recorder_.rejected(scores.fits.size(0) - fitting);
  }

  Hardware neighbour(const MarkovChain& chain) {
    Hardware next = chain.hardware;
    if (random_.below(3) == 0) {  // what its mappings need
      std::vector<std::int64_t> rows(chain.energy.size());
      std::iota(rows.begin(), rows.end(), 0);
      return space_.need(chain.hardware, all_of(chain), rows);
    }
    const auto sizes = static_cast<std::int64_t>(next.size());
    const std::int64_t only = random_.below(sizes + 1);  // one of the sizes, or all
    for (std::size_t p = 0; p < next.size(); ++p) {
      if (only < sizes && static_cast<std::int64_t>(p) != only) continue;
      const std::int64_t before = next[p];
      const double spread = 0.02 + 0.4 * (1 - share_);
      std::int64_t size = std::llround(static_cast<double>(before) * std::exp(spread * random_.normal()));
      if (size == before) size += random_.below(2) == 0 ? 1 : -1;
      next[p] = space_.allowed(p, size, before);
    }
    return problem_.has_room_for(problem_.shape_of(next)) ? problem_.within_area(next) : chain.hardware;
  }

  void move_hardware() {
    const auto layers = static_cast<std::size_t>(space_.layers());
    std::vector<Hardware> next;
    for (const MarkovChain& chain : chains_) next.push_back(neighbour(chain));
    Candidates all = all_mappings();
    const Scores scores = space_.cut_down(all, next, random_, recorder_);
    count(scores);
    for (std::size_t c = 0; c < chains_.size(); ++c) {
      const auto first = static_cast<std::ptrdiff_t>(c * layers),
                 last = first + static_cast<std::ptrdiff_t>(layers);
      const bool* fits = scores.fits.data_ptr<bool>();
      if (!std::all_of(fits + first, fits + last, [](bool fit) { return fit; })) continue;
      const double* energy = scores.energy_uj.data_ptr<double>();
      const double* cycles = scores.cycles.data_ptr<double>();
      MarkovChain moved;
      moved.hardware = next[c];
      const double* codes = all.codes.data_ptr<double>();
      moved.codes.assign(codes + first * space_.width(), codes + last * space_.width());
      moved.energy.assign(energy + first, energy + last);
      moved.cycles.assign(cycles + first, cycles + last);
      if (accept(std::log(value(moved) / value(chains_[c])))) chains_[c] = std::move(moved);
    }
  }

  /// The worst quarter of the chains goes on from where the best quarter is.
  void copy_best() {
    std::stable_sort(chains_.begin(), chains_.end(),
                     [this](const MarkovChain& a, const MarkovChain& b) { return value(a) < value(b); });
    const std::size_t quarter = chains_.size() / 4;
    for (std::size_t i = 0; i < quarter; ++i) chains_[chains_.size() - 1 - i] = chains_[i];
  }

  void shrink_best() {
    const DesignDraft best = recorder_.draft();
    const Candidates all{best.codes, torch::arange(space_.layers())};
    NetworkChoice choice;
    choice.objective = recorder_.best();
    choice.entry.resize(static_cast<std::size_t>(space_.layers()));
    std::iota(choice.entry.begin(), choice.entry.end(), 0);
    space_.offer(best.hardware, all, choice, recorder_);
  }

  const SearchProblem& problem_;
  const std::unique_ptr<const MapSpace> mappings_;
  const MapSpace& space_;
  Random random_;
  Recorder& recorder_;
  std::size_t width_;
  std::vector<MarkovChain> chains_;
  double share_ = 0, temperature_ = kHot;
  int idle_ = 0;
};

class Annealing : public Baseline {
 public:
  std::string name() const override { return "annealing"; }
  std::string description() const override {
    return "simulated annealing of hardware and mappings together, up to 32 chains";
  }
  void run(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads,
           Recorder& recorder) const override {
    Annealer(problem, seed, threads, recorder).run();
  }
};

}  // namespace

std::unique_ptr<Baseline> make_annealing() { return std::make_unique<Annealing>(); }

}  // namespace dosa
