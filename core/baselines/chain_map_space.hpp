// The mappings of machines of schema 2 (Chain) as the baselines draw them: every prime factor at any level,
// in time or on an axis, and any loop orders that the levels allow.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "dosa/core/baselines/map_space.hpp"
#include "dosa/core/targets/chain/nests.hpp"

namespace dosa {

/// Codes are those of core/targets/chain/codes.hpp.
class ChainMapSpace : public MapSpace {
 public:
  /// Of a problem whose machine is a Chain.
  ChainMapSpace(const SearchProblem& problem, std::int64_t threads);

  std::int64_t width() const override;
  std::int64_t least_search() const override { return 64; }
  /// Every prime at a random place within the fan-outs, the loops in random orders; what does not fit is
  /// moved outwards, so no draw is rejected.
  std::pair<Candidates, Scores> random_mappings(const Hardware& hardware, std::int64_t per_layer,
                                                Random& random, Recorder& recorder) const override;
  /// A step of the machine's own walks (NestSteps).
  void move(std::int64_t layer, const Hardware& hardware, Random& random, double* code) const override;
  Scores cut_down(Candidates& candidates, const std::vector<Hardware>& hardware, Random& random,
                  Recorder& recorder) const override;
  Scores score(const Candidates& candidates, const std::vector<Hardware>& hardware) const override;
  Candidates outermost() const override;
  /// Of the shape only fan-outs shrink: to what the loops in space use.
  Hardware need(const Hardware& hardware, const Candidates& candidates,
                const std::vector<std::int64_t>& rows) const override;

 private:
  /// [layer] on the machine as it is built with some hardware.
  using Nests = std::vector<LayerNests>;
  /// Those of recent hardware are kept. Not for several threads at once.
  std::shared_ptr<const Nests> nests_on(const Hardware& hardware) const;
  std::vector<std::shared_ptr<const Nests>> nests_on(const std::vector<Hardware>& hardware) const;
  ChainNest nest_of(const Candidates& candidates, std::int64_t row) const;
  /// The least size of a shape's parameter whose fan-outs have room for the rows' loops in space; nothing
  /// where no fan-out follows from it.
  std::optional<double> used_of(std::size_t parameter, const Candidates& candidates,
                                const std::vector<std::int64_t>& rows) const;
  /// Calls work(row, nests of its layer on its hardware) for every candidate, on all threads.
  template <typename Work>
  void for_each(const Candidates& candidates, const std::vector<Hardware>& hardware, const Work& work) const;

  const Chain& machine_;
  mutable std::map<Hardware, std::shared_ptr<const Nests>> recent_;
};

}  // namespace dosa
