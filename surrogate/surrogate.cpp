#include "dosa/surrogate/surrogate.hpp"

#include <algorithm>

#include "dosa/models/base/error.hpp"
#include "dosa/models/base/files.hpp"
#include "dosa/models/base/tensor_file.hpp"

namespace dosa {
namespace {

using torch::Tensor;

constexpr const char* kSchema = "dosa-surrogate/5";
constexpr const char* kKind = "dosa surrogate";
constexpr double kMaxGrowth = 100;

/// Every tensor of a surrogate that has networks.
std::vector<NamedTensor> tensors_of(FeatureSurrogate& s, std::int64_t terms, std::int64_t inputs) {
  const auto f64 = torch::kFloat64;
  const auto f32 = torch::kFloat32;
  Ensemble& e = s.ensemble;
  return {{"base.constants", &s.base.constants, f64, {kKinds, terms}},
          {"base.overlap", &s.base.overlap, f64, {kKinds, kOverlapConstants}},
          {"inputs.mean", &e.mean, f64, {inputs}},
          {"inputs.scale", &e.scale, f64, {inputs}},
          {"inputs.lowest", &e.lowest, f64, {inputs}},
          {"inputs.highest", &e.highest, f64, {inputs}},
          {"networks.w1", &e.w1, f32, {0, inputs, 0}},
          {"networks.b1", &e.b1, f32, {0, 1, 0}},
          {"networks.w2", &e.w2, f32, {0, 0, 0}},
          {"networks.b2", &e.b2, f32, {0, 1, 0}},
          {"networks.w3", &e.w3, f32, {0, 0, 1}},
          {"networks.b3", &e.b3, f32, {0, 1, 1}}};
}

std::vector<std::string> term_names(const FeatureTable& table) {
  std::vector<std::string> names;
  for (const BaseTerm& term : table.terms) names.push_back(term.name);
  return names;
}

void require_names(const JsonInput& list, const std::vector<std::string>& expected) {
  std::vector<std::string> found;
  for (const JsonInput& item : list.items()) found.push_back(item.text());
  for (std::size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
    const std::string here = i < found.size() ? found[i] : "nothing";
    const std::string wanted = i < expected.size() ? expected[i] : "nothing";
    if (here != wanted) {
      fail(ErrorId::kSchema, "{}[{}]: found '{}', this program computes '{}'; train the surrogate again",
           list.where(), i, here, wanted);
    }
  }
}

/// Throws unless the networks of a file are networks.
void check_networks(const Ensemble& e, const std::string& file) {
  const std::int64_t networks = e.w1.size(0), hidden = e.w1.size(2), hidden2 = e.w2.size(2);
  const bool fits = e.b1.size(0) == networks && e.b1.size(2) == hidden && e.w2.size(0) == networks &&
                    e.w2.size(1) == hidden && e.b2.size(0) == networks && e.b2.size(2) == hidden2 &&
                    e.w3.size(0) == networks && e.w3.size(1) == hidden2 && e.b3.size(0) == networks;
  if (!fits) fail(ErrorId::kSchema, "{}: tensors: the shapes of the networks do not fit together", file);
  if ((e.scale <= 0).any().item<bool>())
    fail(ErrorId::kValue, "{}: tensor 'inputs.scale' holds a number that is not positive", file);
}

}  // namespace

Predictor predictor_from_name(const std::string& name) {
  for (const Predictor p : {Predictor::kAnalytical, Predictor::kLearned, Predictor::kCombined}) {
    if (name == kPredictorNames[static_cast<int>(p)]) return p;
  }
  fail(ErrorId::kValue, "found '{}', expected analytical, learned or combined", name);
}

std::vector<std::string> input_names(Predictor predictor, const FeatureTable& table) {
  if (predictor == Predictor::kLearned) return table.raw;
  std::vector<std::string> names = base_input_names();
  names.insert(names.end(), table.ratios.begin(), table.ratios.end());
  return names;
}

Tensor FeatureSurrogate::inputs(const Features& features, const BaseLatency& b) const {
  if (predictor == Predictor::kLearned) return features.raw;
  return torch::cat({base_inputs(b, features.floor), features.ratios}, -1);
}

Tensor FeatureSurrogate::network_log_cycles(const Features& e, BaseLatency* base_latency) const {
  std::vector<std::int64_t> shape = e.floor.sizes().vec();
  shape.insert(shape.begin(), ensemble.w1.size(0));
  if (e.relaxed && predictor == Predictor::kCombined) {
    const Tensor x = torch::cat({fused_base_inputs(base, e), e.ratios}, -1);
    return fused_combined(x.flatten(0, -2), ensemble).view(shape);
  }
  BaseLatency b;
  if (predictor == Predictor::kCombined) b = base.latency(e);
  if (base_latency) *base_latency = b;
  const Tensor x = inputs(e, b).flatten(0, -2);
  const Tensor f =
      ensemble(ensemble.normalise(ensemble.within_range(x))).to(e.floor.scalar_type()).view(shape);
  return predictor == Predictor::kLearned ? f : combine(f, b.cycles.log(), e.floor.log());
}

Estimate FeatureSurrogate::predict(const Features& features) const {
  Estimate estimate;
  Tensor each = network_log_cycles(features, &estimate.base);
  // Without a base nothing keeps a network above the floor. Training does not see this maximum: it would
  // leave a network that is below the floor without a gradient.
  if (predictor == Predictor::kLearned) each = torch::maximum(each, features.floor.log());
  estimate.floor = features.floor;
  estimate.networks = each;
  estimate.log_cycles = each.mean(0);
  if (features.relaxed) return estimate;  // a search asks how the networks differ between tilings
  const Tensor variance = (each - estimate.log_cycles).square().mean(0);
  estimate.log_sd = (sd_scale * sd_scale * variance + sd_floor * sd_floor).sqrt();
  return estimate;
}

void FeatureSurrogate::lighten(const torch::TensorOptions& options, std::int64_t networks) {
  for (Tensor* weight : ensemble.weights()) {
    if (weight->defined()) *weight = weight->slice(0, 0, networks).contiguous().to(options.device());
  }
  Ensemble& e = ensemble;
  for (Tensor* t : {&base.constants, &base.overlap, &base.parts, &e.mean, &e.scale, &e.lowest, &e.highest}) {
    if (t->defined()) *t = t->to(options);
  }
}

void FeatureSurrogate::save_as(const FeatureTable& table, const std::filesystem::path& path,
                               const Json& target) const {
  TORCH_CHECK(predictor != Predictor::kAnalytical, "the roofline has nothing to save");
  FeatureSurrogate copy = *this;
  const Json header{{"schema", kSchema},
                    {"predictor", kPredictorNames[static_cast<int>(predictor)]},
                    {"target", target},
                    {"terms", term_names(table)},
                    {"inputs", input_names(predictor, table)},
                    {"sd_scale", sd_scale},
                    {"sd_floor", sd_floor},
                    {"growth_per_octave", growth_per_octave},
                    {"card", card}};
  TensorFile::write(path, kKind, header,
                    tensors_of(copy, static_cast<std::int64_t>(table.terms.size()), ensemble.mean.size(0)));
  std::filesystem::path card_path = path;
  write_file(card_path.replace_extension(".json"), header.dump(2) + "\n");
}

void FeatureSurrogate::load_as(const FeatureTable& table, const std::filesystem::path& path,
                               const std::function<void(const JsonInput&)>& read_target) {
  const TensorFile file(path, kKind);
  const JsonInput& header = file.header();
  file.allow_only({"schema", "predictor", "target", "terms", "inputs", "sd_scale", "sd_floor",
                   "growth_per_octave", "card"});
  header.require_schema(kSchema);
  try {
    predictor = predictor_from_name(header.at("predictor").text());
  } catch (const Error& error) {
    throw error.in(header.at("predictor").where());
  }
  read_target(header.at("target"));
  require_names(header.at("terms"), term_names(table));
  const std::vector<std::string> names = input_names(predictor, table);
  require_names(header.at("inputs"), names);
  sd_scale = header.at("sd_scale").number(0, 1e6);
  sd_floor = header.at("sd_floor").number(0, 1e6);
  growth_per_octave = header.at("growth_per_octave").number(1, kMaxGrowth);
  card = header.at("card").value();
  file.read(tensors_of(*this, static_cast<std::int64_t>(table.terms.size()),
                       static_cast<std::int64_t>(names.size())));
  base.parts = parts_of(table);
  data_hash = header.at("data_hash").text();
  check_networks(ensemble, path.string());
}

}  // namespace dosa
