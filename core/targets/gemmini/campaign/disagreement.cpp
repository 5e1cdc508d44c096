#include "dosa/core/targets/gemmini/campaign/disagreement.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"

namespace dosa {

Uncertainty disagreement(const RtlModel& model, const ArraySizes& hardware, const std::string& where) {
  const Surrogate* surrogate = model.surrogate();
  if (surrogate == nullptr) fail(ErrorId::kValue, "{}: no surrogate", where);
  if (surrogate->target.name != gemmini::kTarget) {
    fail(ErrorId::kValue, "{}: target.name: found {}, the sample is for {}", where, surrogate->target.name,
         gemmini::kTarget);
  }
  if (surrogate->predictor == Predictor::kAnalytical)
    fail(ErrorId::kValue, "{}: predictor: found analytical, expected learned or combined", where);
  return [&model, hardware](const std::vector<std::pair<Layer, gemmini::Tile>>& calls) {
    constexpr std::size_t kAtOnce = 4096;  // bounds the memory of the tensors
    std::vector<double> log_sd;
    log_sd.reserve(calls.size());
    for (std::size_t first = 0; first < calls.size(); first += kAtOnce) {
      std::vector<Layer> layers;
      std::vector<gemmini::Tile> tiles;
      for (std::size_t i = first; i < std::min(first + kAtOnce, calls.size()); ++i) {
        layers.push_back(calls[i].first);
        tiles.push_back(calls[i].second);
      }
      const torch::Tensor sd = model.costs(layers, tiles, hardware).log_sd.to(torch::kFloat64).contiguous();
      log_sd.insert(log_sd.end(), sd.data_ptr<double>(), sd.data_ptr<double>() + sd.numel());
    }
    return log_sd;
  };
}

}  // namespace dosa
