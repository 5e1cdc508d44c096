// Sums over the networks of a problem, whose layers stand one network after the other.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dosa/models/base/torch.hpp"

namespace dosa {

/// Which items (layers, or variants of layers) of a row belong to which network: [begin, end) of each, one
/// after the other. Of one network, nothing is sliced or gathered.
class NetworkRanges {
 public:
  explicit NetworkRanges(std::vector<std::pair<std::int64_t, std::int64_t>> ranges)
      : ranges_(std::move(ranges)) {
    std::vector<std::int64_t> network_of;
    for (std::size_t n = 0; n < ranges_.size(); ++n)
      network_of.insert(network_of.end(), static_cast<std::size_t>(ranges_[n].second - ranges_[n].first),
                        static_cast<std::int64_t>(n));
    network_of_ = torch::tensor(network_of, torch::kInt64);
  }

  /// [.., items] -> [.., networks]
  torch::Tensor sum(const torch::Tensor& of_items) const {
    if (ranges_.size() == 1) return of_items.sum(-1).unsqueeze(-1);
    std::vector<torch::Tensor> sums;
    for (const auto& [begin, end] : ranges_) sums.push_back(of_items.slice(-1, begin, end).sum(-1));
    return torch::stack(sums, -1);
  }
  /// [.., networks] -> [.., items]; of one network [.., 1].
  torch::Tensor spread(const torch::Tensor& of_networks) const {
    return ranges_.size() == 1 ? of_networks
                               : of_networks.index_select(-1, network_of_.to(of_networks.device()));
  }

 private:
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges_;
  torch::Tensor network_of_;  // [items]
};

}  // namespace dosa
