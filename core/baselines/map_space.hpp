// What the baselines share: random legal hardware and mappings, exact scores of batches of them, and the best
// mapping of every layer. A method knows no more of a problem than a MapSpace; each family of machines has
// its own (array_map_space.hpp, chain_map_space.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dosa/core/baselines/baseline.hpp"
#include "dosa/core/search/problem.hpp"
#include "dosa/models/base/random.hpp"
#include "dosa/models/base/torch.hpp"

namespace dosa {

/// Mappings of layers of a problem, N of them.
struct Candidates {
  torch::Tensor codes;  ///< [N, MapSpace::width()], float64, as SearchSpace::schedule takes them
  torch::Tensor layer;  ///< [N], int64

  std::int64_t size() const { return layer.size(0); }
  Candidates at(const torch::Tensor& index) const {
    return {codes.index_select(0, index), layer.index_select(0, index)};
  }
  static Candidates cat(const Candidates& a, const Candidates& b) {
    return {torch::cat({a.codes, b.codes}), torch::cat({a.layer, b.layer})};
  }
};

/// Exact results of candidates, each [N]: one run of the layer with all its groups.
struct Scores {
  torch::Tensor energy_uj, cycles;
  torch::Tensor fits;  ///< bool: the hardware has what the candidate needs

  Scores at(const torch::Tensor& index) const {
    return {energy_uj.index_select(0, index), cycles.index_select(0, index), fits.index_select(0, index)};
  }
  static Scores cat(const Scores& a, const Scores& b) {
    return {torch::cat({a.energy_uj, b.energy_uj}), torch::cat({a.cycles, b.cycles}),
            torch::cat({a.fits, b.fits})};
  }
};

/// One entry for every layer, and what the network then costs.
struct NetworkChoice {
  std::vector<std::int64_t> entry;  ///< per layer, a row of the candidates
  double objective = std::numeric_limits<double>::infinity();
};

class MapSpace {
 public:
  /// That of the problem's machine, whose mappings are loop nests. The problem must outlive it.
  static std::unique_ptr<MapSpace> of(const SearchProblem& problem, std::int64_t threads);
  virtual ~MapSpace() = default;

  std::int64_t layers() const { return static_cast<std::int64_t>(repetitions_.size()); }
  const std::vector<double>& counts() const { return repetitions_; }
  const SearchProblem& problem() const { return problem_; }
  /// Numbers of a mapping's code.
  virtual std::int64_t width() const = 0;
  /// Samples per layer without which the machine's own search of mappings need not be begun.
  virtual std::int64_t least_search() const = 0;

  // ---- Hardware.

  /// The size of a parameter nearest to `wanted` that the methods may choose: within the bounds, and of a
  /// shape one of the values that a search tries. Where that is `from` itself, the next one on the side of
  /// `wanted`, if there is one. The one place where sizes are chosen.
  std::int64_t allowed(std::size_t parameter, std::int64_t wanted, std::int64_t from) const;
  std::int64_t allowed(std::size_t parameter, std::int64_t wanted) const {
    return allowed(parameter, wanted, wanted);
  }
  /// Legal hardware: the shape uniform, the buffers log-uniform within the bounds (shrunk into the area where
  /// there is a limit); every layer has a mapping on it. Throws Error{kBounds} where none is found.
  Hardware random_hardware(Random& random) const;
  /// Whether the area is allowed and the mapping with all loops at DRAM, which needs the least, fits for
  /// every layer.
  bool legal(const Hardware& hardware) const;

  // ---- Mappings.

  /// `per_layer` random mappings of every layer that fit the hardware, with their scores. Every one returned
  /// is counted as a sample; at most layers * per_layer are, at least one of every layer. Draws that do not
  /// fit are told to the recorder as rejected.
  virtual std::pair<Candidates, Scores> random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                        Random& random, Recorder& recorder) const = 0;
  /// Makes a neighbour of a mapping of a layer out of its code (width() numbers). It may not fit.
  virtual void move(std::int64_t layer, const Hardware& hardware, Random& random, double* code) const = 0;
  /// Mappings of other hardware give up factors to the outermost level until they fit; what they then score.
  /// Some may still not fit. `hardware` as for score(). What was tried on the way is told to the recorder as
  /// rejected, the mappings returned are not counted.
  virtual Scores cut_down(Candidates& candidates, const std::vector<Hardware>& hardware, Random& random,
                          Recorder& recorder) const = 0;
  /// Uncounted: the caller tells the recorder. `hardware`: that of all candidates, or one for each of as many
  /// equal parts of them, one after the other.
  virtual Scores score(const Candidates& candidates, const std::vector<Hardware>& hardware) const = 0;
  /// Every layer with all its loops at DRAM.
  virtual Candidates outermost() const = 0;
  /// The least sizes that chosen rows need, of those that may be chosen; `hardware` is one that they fit.
  virtual Hardware need(const Hardware& hardware, const Candidates& candidates,
                        const std::vector<std::int64_t>& rows) const = 0;

  // ---- Designs.

  /// The candidates that together are best, one per layer among those that fit: first each layer's own best,
  /// then exchanges that lower the network's objective, found on its linearisation. No evaluations.
  NetworkChoice best_of(const Candidates& candidates, const Scores& scores) const;
  DesignDraft draft(const Hardware& hardware, const Candidates& candidates,
                    const std::vector<std::int64_t>& rows) const;
  /// Offers the choice on `hardware` and, where samples are left, on the smallest hardware that it needs.
  void offer(const Hardware& hardware, const Candidates& candidates, const NetworkChoice& choice,
             Recorder& recorder) const;
  /// Energy and cycles of one network from scores of one candidate per layer.
  double objective(double energy_uj, double cycles) const;

 protected:
  MapSpace(const SearchProblem& problem, std::int64_t threads);

  const SearchProblem& problem_;
  std::int64_t threads_;
  /// [shape parameter] what may be chosen, ascending; of none any whole number may.
  std::vector<std::vector<std::int64_t>> shape_values_;

 private:
  std::vector<double> repetitions_;  ///< count of each layer
};

}  // namespace dosa
