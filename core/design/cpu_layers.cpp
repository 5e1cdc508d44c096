#include "dosa/core/design/cpu_layers.hpp"

#include <algorithm>
#include <map>

#include "dosa/core/design/design.hpp"
#include "dosa/models/base/error.hpp"
#include "dosa/models/base/text.hpp"

namespace dosa {
namespace {

double macs_of(const Layer& layer) {
  return static_cast<double>(layer.macs()) * static_cast<double>(layer.repetitions());
}

/// Layers for which the CPU does the same work.
struct Preparation {
  std::vector<std::string> names;
  double macs = 0;
};

/// "a, b, c and 4 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(kMost, names.size())));
  const std::string text = fmt::format("{}", fmt::join(first, ", "));
  return names.size() > kMost ? fmt::format("{} and {} more", text, names.size() - kMost) : text;
}

/// `prepared`: by what the CPU does for the layers; `all`: the multiply-accumulates that the target runs.
std::vector<std::string> remarks_on(const std::map<std::string, Preparation>& prepared,
                                    const std::vector<CpuLayer>& left, double all) {
  for (const CpuLayer& one : left) all += macs_of(one.layer);
  std::vector<std::string> remarks;
  for (const auto& [work, of] : prepared) {
    remarks.push_back(fmt::format("{} on the CPU, which is not counted: {} ({:.2f} % of the MACs)", work,
                                  printable(listed(of.names)), 100 * of.macs / all));
  }
  for (const CpuLayer& one : left) {
    remarks.push_back(fmt::format("left to the CPU, not counted: {} ({:.2f} % of the MACs): {}",
                                  printable(one.layer.name), 100 * macs_of(one.layer) / all, one.reason));
  }
  return remarks;
}

}  // namespace

CpuLayer cpu_layer_from_json(const JsonInput& json) {
  return {layer_from_json(json, {"reason"}), json.at("reason").text()};
}

Json to_json(const CpuLayer& layer) {
  Json json = to_json(layer.layer);
  json["reason"] = layer.reason;
  return json;
}

std::vector<CpuLayer> take_cpu_layers(Workload& network, const Target& target) {
  std::vector<CpuLayer> left;
  std::vector<Layer> run;
  for (Layer& layer : network.layers) {
    const std::optional<CpuWork> work = target.cpu_work(layer);
    if (work && work->everything) {
      left.push_back({std::move(layer), work->reason});
    } else {
      run.push_back(std::move(layer));
    }
  }
  if (run.empty()) {
    fail(ErrorId::kValue, "{}: {} runs none of the layers; {}: {}", network.name, target.machine().name,
         left.front().layer.name, left.front().reason);
  }
  network.layers = std::move(run);
  return left;
}

void refuse_cpu_work(const Workload& network, const Target& target) {
  for (const Layer& layer : network.layers) {
    const std::optional<CpuWork> work = target.cpu_work(layer);
    if (!work) continue;
    fail(ErrorId::kValue, "{}: layer {}: {} does not run it without the CPU: {}", network.name, layer.name,
         target.machine().name, work->reason);
  }
}

std::vector<std::string> cpu_remarks(const Design& design) {
  std::map<std::string, Preparation> prepared;
  double all = 0;
  for (const DesignLayer& entry : design.layers) {
    all += macs_of(entry.layer);
    const std::string work = entry.schedule->cpu_work();
    if (work.empty()) continue;
    prepared[work].names.push_back(entry.layer.name);
    prepared[work].macs += macs_of(entry.layer);
  }
  return remarks_on(prepared, design.left_to_cpu, all);
}

std::vector<std::string> cpu_remarks(const Workload& network, const std::vector<CpuLayer>& left,
                                     const Target& target) {
  std::map<std::string, Preparation> prepared;
  double all = 0;
  for (const Layer& layer : network.layers) {
    all += macs_of(layer);
    const std::optional<CpuWork> work = target.cpu_work(layer);
    if (!work) continue;
    prepared[work->kind].names.push_back(layer.name);
    prepared[work->kind].macs += macs_of(layer);
  }
  return remarks_on(prepared, left, all);
}

}  // namespace dosa
