// All mappings of a layer on one array, enumerated with the exact model; of too many, those nearest to a
// wish.
//
// Factors need not divide (Mapping): the factors of a dimension multiply to at least its size, and no factor
// could be smaller. All such nests are candidates where they are few, more of them on fixed buffers than on a
// range; otherwise those that divide and, for sizes that divide badly, those that cut them into, or from,
// powers of two, and improve() looks at the others around the best. Spatial factors are those that no other
// one matches or beats in both iterations and padding (a loop that becomes spatial never adds an access, a
// cycle or a word of need): where the tile divides, the largest divisor that fits the array is the last of
// them. Nests that are larger than the
// buffers may be are left out before they are evaluated, whole branches of them at once: tiles only grow with
// the factors of further dimensions. On fixed buffers so are nests that a known mapping beats even at a lower
// bound of all their orders (Sharpness::lower_bound), best bounds first.
#pragma once

#include <vector>

#include "dosa/core/search/space.hpp"
#include "dosa/core/targets/array_target.hpp"
#include "dosa/models/chain/nest_model.hpp"
#include "dosa/models/cost/cost_model.hpp"

namespace dosa {

/// The models of a machine that enumerations share.
struct EnumerationModels {
  CostModel all;    ///< every search order
  CostModel bound;  ///< one order only: for what does not depend on it

  explicit EnumerationModels(const ArrayMachine& machine);
};

class Enumeration : public LayerSpace {
 public:
  /// A code of the frontier is a nest's log factors [slots] and the index of its order. All references must
  /// outlive this.
  Enumeration(const SearchProblem& problem, const EnumerationModels& models, std::size_t layer,
              std::int64_t pe_dim);

  double size() const override { return frontier_.candidates; }
  /// `near`: log factors [layers, slots]; undefined: even splits.
  void look(const torch::Tensor& near, std::int64_t limit, Allowance& allowance) override;
  /// From the best mapping at these prices: the splits nearest to its own of any two dimensions, padded or
  /// not, as long as that helps.
  void improve(const Objective::Prices& prices, const Hardware& hardware, Allowance& allowance) override;

 private:
  /// One way to spread a dimension over its slots.
  using Split = std::vector<std::int64_t>;
  /// The choices of a dimension, and which slots they fill.
  struct Splits {
    std::vector<Split> choices;
    std::vector<std::int64_t> slots;
    double all;  ///< those with smaller spatial factors too
  };

  std::int64_t slot_count() const { return static_cast<std::int64_t>(models_.all.slots().size()); }
  /// Log factors to look for: those of `near` [slots], or undefined: even splits.
  std::vector<double> wanted(const Splits& splits, Dim dim, const torch::Tensor& near) const;
  /// Each choice as a row of log factors over all slots; a nest is the sum of one row per dimension.
  torch::Tensor table_of(const Splits& splits) const;
  /// Whether the machine cuts loops whose factors do not divide.
  bool cuts() const { return array_machine(problem_).remainders == Remainders::kCut; }
  /// Whole KiB that tiles of nests need of every buffer, [nests, buffers].
  torch::Tensor needs(const torch::Tensor& nests) const;
  torch::Tensor needs_of_cuts(const torch::Tensor& nests) const;
  /// Numbers of nests with these needs, [nests * orders, columns].
  torch::Tensor numbers_of(const CostModel& model, const torch::Tensor& nests, const torch::Tensor& needed,
                           const Sharpness& sharpness);
  torch::Tensor numbers_of_cuts(const torch::Tensor& nests, const torch::Tensor& needed);
  /// A nest [slots] in plain numbers, with the machine's loop orders of that index.
  ChainNest plain(const double* log_factors, std::int64_t order) const;
  void add(const torch::Tensor& nests, const torch::Tensor& needed);
  void evaluate(const torch::Tensor& nests);
  /// Depth first, one dimension after the other: `partial` nests have those from `dims` on, and the
  /// dimensions to come at DRAM alone, which needs the least; what is too large now stays too large.
  void extend(const torch::Tensor& partial, std::size_t dims);
  void flush();
  /// A nest [slots] with the splits of any two dimensions replaced by those nearest to its own, [any, slots].
  torch::Tensor neighbours(const torch::Tensor& nest) const;
  /// Evaluates those of the nests that fit the hardware and may be better than `best` at the prices.
  void try_nests(const torch::Tensor& nests, const Objective::Prices& prices, const Hardware& hardware,
                 double best);
  /// The best entry on the hardware at the prices, as its value and its row; infinity and -1 where none fits.
  std::pair<double, std::int64_t> best_entry(const Objective::Prices& prices, const Hardware& hardware) const;

  const SearchProblem& problem_;
  const EnumerationModels& models_;
  std::size_t layer_index_;
  const Layer& layer_;
  std::int64_t pe_dim_;
  LayerBatch batch_;
  BufferRange range_;
  std::vector<NestModel> cut_models_;  ///< at sizes that give the energy at none, and at one KiB of each more
  std::vector<Splits> dims_;           ///< of the candidates, by dimension
  std::vector<Splits> padded_;  ///< all of them, whatever their number; empty where improve() does nothing

  // While looking.
  std::vector<torch::Tensor> tables_;
  std::vector<torch::Tensor> waiting_;
  std::int64_t waiting_rows_ = 0;
  const std::function<bool()>* stop_ = nullptr;
  bool stopped_ = false;
};

}  // namespace dosa
