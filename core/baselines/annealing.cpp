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
#include "dosa/core/targets/array_target.hpp"
#include "dosa/models/base/math.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr double kHot = 0.1, kCold = 1e-4;  // temperatures in units of the log objective
constexpr std::int64_t kHardwareEvery = 8;
constexpr std::int64_t kMostChains = 32, kLeastSteps = 400;
constexpr std::int64_t kFirstMappings = 10;  // per layer: the best of so many random ones begin a chain
constexpr int kRepairs = 24;

struct MarkovChain {
  Hardware hardware;
  std::vector<double> log_factors;  // [layers, slots]
  std::vector<std::int64_t> order;  // [layers]
  std::vector<double> energy, cycles;
};

class Annealer {
 public:
  Annealer(const SearchProblem& problem, std::uint64_t seed, std::int64_t threads, Recorder& recorder)
      : problem_(problem),
        space_(problem, threads),
        random_(seed),
        recorder_(recorder),
        width_(space_.slots().size()) {}

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
  double* row(MarkovChain& chain, std::int64_t layer) const {
    return chain.log_factors.data() + static_cast<std::size_t>(layer) * width_;
  }

  double value(const MarkovChain& chain) const {
    double energy = 0, cycles = 0;
    for (std::size_t l = 0; l < chain.order.size(); ++l) {
      energy += space_.counts()[l] * chain.energy[l];
      cycles += space_.counts()[l] * chain.cycles[l];
    }
    return space_.objective(energy, cycles);
  }

  Candidates all_of(const MarkovChain& chain) const {
    return {torch::tensor(chain.log_factors, torch::kFloat64).view({space_.layers(), -1}),
            torch::tensor(chain.order, torch::kInt64), torch::arange(space_.layers())};
  }

  void offer(const MarkovChain& chain) {
    const double objective = value(chain);
    if (!(objective < recorder_.best())) return;
    const Candidates all = all_of(chain);
    recorder_.offer(objective, {chain.hardware, all.log_factors, all.order});
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
    const double* factors = candidates.log_factors.data_ptr<double>();
    for (const std::int64_t entry : choice.entry) {
      const double* first = factors + static_cast<std::size_t>(entry) * width_;
      chain.log_factors.insert(chain.log_factors.end(), first, first + width_);
      chain.order.push_back(candidates.order.data_ptr<std::int64_t>()[entry]);
      chain.energy.push_back(scores.energy_uj.data_ptr<double>()[entry]);
      chain.cycles.push_back(scores.cycles.data_ptr<double>()[entry]);
    }
    chains_.push_back(std::move(chain));
    offer(chains_.back());
  }

  /// Moves a random prime of a random slot in `from` to a slot in `to` of the same dimension.
  template <typename From, typename To>
  bool move_prime(double* factors, From from, To to) {
    const auto& slots = space_.slots();
    std::vector<std::size_t> sources;
    for (std::size_t s = 0; s < width_; ++s) {
      if (factors[s] > 0.1 && from(slots[s])) sources.push_back(s);
    }
    if (sources.empty()) return false;
    const std::size_t source = sources[pick(sources.size())];
    std::vector<std::size_t> targets;
    for (std::size_t s = 0; s < width_; ++s) {
      if (s != source && slots[s].dim == slots[source].dim && to(slots[s])) targets.push_back(s);
    }
    if (targets.empty()) return false;
    const std::size_t target = targets[pick(targets.size())];
    const std::vector<std::int64_t> primes = prime_factors_of(whole(factors[source]));
    const std::int64_t prime = primes[pick(primes.size())];
    factors[target] = std::log(static_cast<double>(whole(factors[target]) * prime));
    factors[source] = std::log(static_cast<double>(whole(factors[source]) / prime));
    return true;
  }
  static std::int64_t whole(double log_factor) { return std::llround(std::exp(log_factor)); }
  std::size_t pick(std::size_t count) {
    return static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(count)));
  }

  /// A neighbour of a mapping: one or two primes elsewhere, another split of a dimension, or another order.
  void propose(const MarkovChain& chain, std::int64_t layer, double* factors, std::int64_t& order) {
    const double kind = random_.uniform();
    if (kind < 0.12 && space_.orders() > 1) {
      order = (order + 1 + random_.below(space_.orders() - 1)) % space_.orders();
      return;
    }
    const auto any = [](const Slot&) { return true; };
    if (kind < 0.8) {
      for (int moves = random_.below(3) == 0 ? 2 : 1; moves > 0; --moves) move_prime(factors, any, any);
      return;
    }
    std::vector<double> other(width_);
    space_.random_nest(layer, ArraySizes::of(chain.hardware).pe_dim, random_, other.data());
    const auto dim = static_cast<Dim>(random_.below(kDims));
    for (std::size_t s = 0; s < width_; ++s) {
      if (space_.slots()[s].dim == dim) factors[s] = other[s];
    }
  }

  /// Candidates of all chains and layers from flat storage.
  Candidates flat(std::vector<double>& factors, std::vector<std::int64_t>& orders) const {
    const auto chains = static_cast<std::int64_t>(chains_.size());
    return {torch::tensor(factors, torch::kFloat64).view({-1, static_cast<std::int64_t>(width_)}),
            torch::tensor(orders, torch::kInt64), torch::arange(space_.layers()).repeat({chains})};
  }
  HardwareTensors of_rows(const std::vector<Hardware>& hardware) const {
    const HardwareTensors one = hardware_tensors(hardware);
    return {one.pe_dim.repeat_interleave(space_.layers()),
            one.scratchpad_kib.repeat_interleave(space_.layers()),
            one.accumulator_kib.repeat_interleave(space_.layers())};
  }
  std::vector<Hardware> hardware() const {
    std::vector<Hardware> all;
    for (const MarkovChain& chain : chains_) all.push_back(chain.hardware);
    return all;
  }
  bool accept(double change) { return change <= 0 || random_.uniform() < std::exp(-change / temperature_); }

  void move_mappings() {
    const std::int64_t layers = space_.layers();
    std::vector<double> factors;
    std::vector<std::int64_t> orders;
    for (const MarkovChain& chain : chains_) {
      factors.insert(factors.end(), chain.log_factors.begin(), chain.log_factors.end());
      orders.insert(orders.end(), chain.order.begin(), chain.order.end());
    }
    for (std::size_t i = 0; i < orders.size(); ++i) {
      propose(chains_[i / static_cast<std::size_t>(layers)], static_cast<std::int64_t>(i) % layers,
              factors.data() + i * width_, orders[i]);
    }
    const Scores scores = space_.score(flat(factors, orders), of_rows(hardware()));
    count(scores);
    const double* energy = scores.energy_uj.data_ptr<double>();
    const double* cycles = scores.cycles.data_ptr<double>();
    for (std::size_t c = 0; c < chains_.size(); ++c) {
      MarkovChain& chain = chains_[c];
      double total_energy = 0, total_cycles = 0;
      for (std::size_t l = 0; l < chain.order.size(); ++l) {
        total_energy += space_.counts()[l] * chain.energy[l];
        total_cycles += space_.counts()[l] * chain.cycles[l];
      }
      for (std::size_t l = 0; l < chain.order.size(); ++l) {
        const std::size_t i = c * chain.order.size() + l;
        if (!scores.fits.data_ptr<bool>()[i]) continue;
        const double change_e = space_.counts()[l] * (energy[i] - chain.energy[l]);
        const double change_c = space_.counts()[l] * (cycles[i] - chain.cycles[l]);
        const double change =
            problem_.objective.log_value(1 + change_e / total_energy, 1 + change_c / total_cycles);
        if (!accept(change)) continue;
        std::copy_n(factors.begin() + static_cast<std::ptrdiff_t>(i * width_), width_,
                    row(chain, static_cast<std::int64_t>(l)));
        chain.order[l] = orders[i];
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
    const HardwareBounds& bounds = problem_.bounds;
    if (random_.below(3) == 0) {  // what its mappings need
      std::vector<std::int64_t> rows(chain.order.size());
      std::iota(rows.begin(), rows.end(), 0);
      return space_.need(all_of(chain), rows);
    }
    const std::int64_t only = random_.below(4);  // one of the sizes, or all
    for (std::size_t f = 0; f < next.size(); ++f) {
      if (only < 3 && static_cast<std::int64_t>(f) != only) continue;
      std::int64_t& size = next[f];
      const double spread = 0.02 + 0.4 * (1 - share_);
      const std::int64_t before = size;
      size = std::llround(static_cast<double>(size) * std::exp(spread * random_.normal()));
      if (size == before) size += random_.below(2) == 0 ? 1 : -1;
      size = std::clamp(size, bounds.min[f], bounds.max[f]);
    }
    return problem_.has_room_for(problem_.shape_of(next)) ? problem_.within_area(next) : chain.hardware;
  }

  void move_hardware() {
    const auto layers = static_cast<std::size_t>(space_.layers());
    std::vector<Hardware> next;
    std::vector<double> factors;
    std::vector<std::int64_t> orders;
    for (MarkovChain& chain : chains_) {
      next.push_back(neighbour(chain));
      factors.insert(factors.end(), chain.log_factors.begin(), chain.log_factors.end());
      orders.insert(orders.end(), chain.order.begin(), chain.order.end());
    }
    const HardwareTensors sizes = of_rows(next);
    // Mappings that do not fit give up primes to the outermost level, those too wide for the array first.
    Scores scores = space_.score(flat(factors, orders), sizes);
    for (int repair = 0; repair < kRepairs && !scores.fits.all().item<bool>(); ++repair) {
      for (std::size_t i = 0; i < orders.size(); ++i) {
        if (scores.fits.data_ptr<bool>()[i]) continue;
        double* own = factors.data() + i * width_;
        const auto outermost = [&](const Slot& s) {
          return !s.spatial && s.level == array_machine(problem_).dram();
        };
        bool too_wide = false;
        for (std::size_t s = 0; s < width_; ++s) {
          too_wide |= space_.slots()[s].spatial && whole(own[s]) > ArraySizes::of(next[i / layers]).pe_dim;
        }
        move_prime(
            own, [&](const Slot& s) { return !outermost(s) && (!too_wide || s.spatial); }, outermost);
      }
      const Tensor cut = (~scores.fits).nonzero().squeeze(-1);
      recorder_.rejected(cut.size(0));
      const auto own = [&](const Tensor& size) { return size.index_select(0, cut); };
      const Scores again =
          space_.score(flat(factors, orders).at(cut),
                       {own(sizes.pe_dim), own(sizes.scratchpad_kib), own(sizes.accumulator_kib)});
      scores.energy_uj.index_copy_(0, cut, again.energy_uj);
      scores.cycles.index_copy_(0, cut, again.cycles);
      scores.fits.index_copy_(0, cut, again.fits);
    }
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
      moved.log_factors.assign(factors.begin() + first * static_cast<std::ptrdiff_t>(width_),
                               factors.begin() + last * static_cast<std::ptrdiff_t>(width_));
      moved.order.assign(orders.begin() + first, orders.begin() + last);
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
    const Candidates all{best.log_factors, best.order, torch::arange(space_.layers())};
    NetworkChoice choice;
    choice.objective = recorder_.best();
    choice.entry.resize(static_cast<std::size_t>(space_.layers()));
    std::iota(choice.entry.begin(), choice.entry.end(), 0);
    space_.offer(best.hardware, all, choice, recorder_);
  }

  const SearchProblem& problem_;
  MapSpace space_;
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
