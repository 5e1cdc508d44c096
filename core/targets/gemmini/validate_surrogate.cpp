#include "dosa/core/targets/gemmini/validate_surrogate.hpp"

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {

std::string SurrogateValidation::full_report() const {
  std::vector<std::pair<std::string, Accuracy>> parts{
      {"all", accuracy}, {"convolutions", convolutions}, {"matmuls", matmuls}};
  for (const auto& [pe_dim, of_array] : arrays) parts.emplace_back(fmt::format("pe {}", pe_dim), of_array);
  return fmt::format("{} against {}\n", printable(file),
                     surrogate.empty() ? "the analytical roofline" : printable(surrogate)) +
         accuracy_table(parts) +
         (dropped > 0 ? fmt::format("dropped by the reader: {}\n", counted(dropped, "row")) : "");
}

Json SurrogateValidation::to_json() const {
  Json json{{"table", file},
            {"surrogate", surrogate.empty() ? Json() : Json(surrogate)},
            {"all", dosa::to_json(accuracy)},
            {"convolutions", dosa::to_json(convolutions)},
            {"matmuls", dosa::to_json(matmuls)},
            {"arrays", Json::array()},
            {"dropped", dropped},
            {"rows", Json::array()}};
  for (const auto& [pe_dim, of_array] : arrays)
    json["arrays"].push_back({{"pe_dim", pe_dim}, {"accuracy", dosa::to_json(of_array)}});
  for (const Row& row : rows) {
    json["rows"].push_back({{"file", row.file},
                            {"line", row.line},
                            {"pe_dim", row.pe_dim},
                            {"matmul", row.matmul},
                            {"measured_cycles", row.measured_cycles},
                            {"predicted_cycles", row.predicted_cycles}});
  }
  return json;
}

SurrogateValidation validate_surrogate(const std::filesystem::path& table, const std::filesystem::path& path,
                                       const std::optional<gemmini::LibraryVersion>& library) {
  SurrogateValidation v;
  v.surrogate = path.string();
  std::optional<Surrogate> surrogate;
  if (!path.empty()) surrogate = Surrogate::load(path);
  const Measurements measured = read_measurements(table, library);
  v.file = measured.file();
  for (const auto& [reason, count] : measured.dropped) v.dropped += count;
  const MeasuredRuns runs = MeasuredRuns::of(measured);
  Surrogate predictor;
  if (surrogate) {
    predictor = *surrogate;
    const Json known = to_json(predictor.target), found = to_json(runs.target);
    for (const char* field : {"first_layer_packing", "downsampling", "l2_kib", "llc_kib"}) {
      if (known[field] != found[field]) {
        fail(ErrorId::kValue, "{}: {}: found {}, {} was trained with {}", measured.file(), field,
             found[field].dump(), path.string(), known[field].dump());
      }
    }
  } else {
    predictor.predictor = Predictor::kAnalytical;
  }
  const torch::NoGradGuard no_grad;
  const Estimate e = predictor.predict(runs.tile, runs.pe_dim, runs.runs, false);
  const torch::Tensor predicted = e.log_cycles.exp().to(torch::kFloat64).contiguous();
  for (std::size_t i = 0; i < measured.rows.size(); ++i) {
    const Measurement& row = measured.rows[i];
    v.rows.push_back({row.file, row.line, row.pe_dim, row.matmul, row.cycles,
                      predicted[static_cast<std::int64_t>(i)].item<double>()});
  }
  const auto part = [&](const std::function<bool(const Measurement&)>& belongs) {
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < runs.set.rows(); ++i) {
      if (belongs(measured.rows[static_cast<std::size_t>(i)])) rows.push_back(i);
    }
    if (rows.empty()) return Accuracy{};
    TrainingSet chosen = runs.set.select(rows);
    const torch::Tensor index = torch::tensor(rows, torch::TensorOptions(torch::kInt64));
    return accuracy_of(e.log_cycles.index_select(0, index),
                       surrogate ? e.log_sd.index_select(0, index) : torch::Tensor(), chosen);
  };
  v.accuracy = part([](const Measurement&) { return true; });
  v.convolutions = part([](const Measurement& m) { return !m.matmul; });
  v.matmuls = part([](const Measurement& m) { return m.matmul; });
  if (measured.hardware.size() > 1) {
    for (const ArraySizes& h : measured.hardware)
      v.arrays.emplace_back(h.pe_dim, part([&](const Measurement& m) { return m.pe_dim == h.pe_dim; }));
  }
  return v;
}

}  // namespace dosa
