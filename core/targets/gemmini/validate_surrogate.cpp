#include "dosa/core/targets/gemmini/validate_surrogate.hpp"

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {

std::string SurrogateValidation::full_report() const {
  return fmt::format("{} against {}\n", printable(file),
                     surrogate.empty() ? "the analytical roofline" : printable(surrogate)) +
         accuracy_table({{"all", accuracy}, {"convolutions", convolutions}, {"matmuls", matmuls}}) +
         (dropped > 0 ? fmt::format("{} rows were dropped by the reader\n", dropped) : "");
}

Json SurrogateValidation::to_json() const {
  return {{"table", file},
          {"surrogate", surrogate.empty() ? Json() : Json(surrogate)},
          {"all", dosa::to_json(accuracy)},
          {"convolutions", dosa::to_json(convolutions)},
          {"matmuls", dosa::to_json(matmuls)},
          {"dropped", dropped}};
}

SurrogateValidation validate_surrogate(const std::filesystem::path& table,
                                       const std::filesystem::path& path) {
  SurrogateValidation v;
  v.surrogate = path.string();
  std::optional<Surrogate> surrogate;
  if (!path.empty()) surrogate = Surrogate::load(path);
  const Measurements measured = read_measurements(table);
  v.file = measured.file;
  for (const auto& [reason, count] : measured.dropped) v.dropped += count;
  const MeasuredRuns runs = MeasuredRuns::of(measured);
  Surrogate predictor;
  if (surrogate) {
    predictor = *surrogate;
    const Json known = to_json(predictor.target), found = to_json(runs.target);
    for (const char* field : {"first_layer_packing", "downsampling", "l2_kib", "llc_kib"}) {
      if (known[field] != found[field]) {
        fail(ErrorId::kValue, "{}: {}: found {}, {} was trained with {}", measured.file, field,
             found[field].dump(), path.string(), known[field].dump());
      }
    }
    for (const std::int64_t pe_dim : runs.target.pe_dims)
      predictor.check_hardware({pe_dim, 0, 0}, measured.file);
  } else {
    predictor.predictor = Predictor::kAnalytical;
  }
  const torch::NoGradGuard no_grad;
  const Estimate e = predictor.predict(runs.tile, runs.pe_dim, runs.runs, false);
  const auto part = [&](const std::optional<bool>& matmuls) {
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < runs.set.rows(); ++i) {
      if (!matmuls || measured.rows[static_cast<std::size_t>(i)].matmul == *matmuls) rows.push_back(i);
    }
    if (rows.empty()) return Accuracy{};
    TrainingSet chosen = runs.set.select(rows);
    const torch::Tensor index = torch::tensor(rows, torch::TensorOptions(torch::kInt64));
    return accuracy_of(e.log_cycles.index_select(0, index),
                       surrogate ? e.log_sd.index_select(0, index) : torch::Tensor(), chosen);
  };
  v.accuracy = part(std::nullopt);
  v.convolutions = part(false);
  v.matmuls = part(true);
  return v;
}

}  // namespace dosa
